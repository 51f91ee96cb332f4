"""Barlow Twins: make the dimensions of two views agree and say different things."""

import dataclasses

import jax.numpy as jnp
from flax import nnx

from ssl_audio.losses import barlow_twins, pairs, spread


@dataclasses.dataclass(frozen=True)
class BarlowTwins:
    """Redundancy reduction: the cross-correlation of two views' projections is to be the identity. Two views.

    Zbontar et al., "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", 2021; for sound
    Anton et al., "Audio Barlow Twins", 2022, whose projector has these sizes (one hidden layer; the first
    paper has two, and 8,192 out). Both views pass the network at once, so batch normalisation inside it
    takes its statistics over both; the correlation standardises each view by itself, as published.
    """

    hidden: int = 8192
    width: int = 256
    """Size of the projection whose dimensions are correlated."""
    depth: int = 1
    """Hidden layers of the projector."""
    weight: float = 0.005
    """Of the redundancy, against the invariance: the papers' lambda."""

    def __post_init__(self):
        if self.depth < 1:
            raise ValueError(
                f"BarlowTwins: a projector of depth={self.depth}; it has one hidden layer or more"
            )

    def build(self, encoder, *, rngs):
        sizes = [encoder.width] + [self.hidden] * self.depth
        return nnx.Dict(
            encoder=encoder,
            up=nnx.List([nnx.Linear(i, self.hidden, use_bias=False, rngs=rngs) for i in sizes[:-1]]),
            norm=nnx.List([nnx.BatchNorm(self.hidden, epsilon=1e-5, rngs=rngs) for _ in sizes[1:]]),
            down=nnx.Linear(self.hidden, self.width, use_bias=False, rngs=rngs),
        )

    def loss(self, net, views, batch, key):
        x = net.encoder.embed(pairs(views, "Barlow Twins"), key=key)
        for up, norm in zip(net.up, net.norm, strict=True):
            x = nnx.relu(norm(up(x)))
        a, b = jnp.split(net.down(x), 2)
        return barlow_twins(a, b, self.weight), {"projection_std": spread(a)}

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
