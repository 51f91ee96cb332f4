"""W-MSE: whiten each view's embeddings, then bring the views together."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import MLP
from ssl_audio.losses import spread, w_mse


@dataclasses.dataclass(frozen=True)
class WMSE:
    """Whitening mean squared error: embeddings can't collapse whose covariance is the identity. Two or more
    views (W-MSE 4 has four).

    Ermolov et al., "Whitening for Self-Supervised Representation Learning", 2021. A batch smaller than `size`
    is whitened as one; where it has no more clips than the projection has dimensions, whitening has nothing
    left to compare and only `epsilon` keeps it defined: good for a trial, not for training.
    """

    hidden: int = 1024
    width: int = 64
    """Size of the projection that is whitened."""
    size: int = 128
    """Clips whitened together, drawn anew each step: the paper's sub-batch, twice `width`."""
    rounds: int = 1
    """Draws of sub-batches a step, averaged."""
    epsilon: float = 1e-4
    """Share of the identity in the covariance that is whitened; the paper has 0, too little for float32."""

    def __post_init__(self):
        if self.size <= self.width:
            raise ValueError(
                f"WMSE: {self.size} clips can't be whitened in {self.width} dimensions; "
                f"give size more than width (the paper: twice)"
            )

    def build(self, encoder, *, rngs):
        return nnx.Dict(encoder=encoder, project=MLP(encoder.width, self.hidden, self.width, rngs=rngs))

    def loss(self, net, views, batch, key):
        if len(views) < 2:
            raise ValueError("WMSE compares views: give the experiment two or more; it has one")
        dropout, *draws = jax.random.split(key, 1 + self.rounds)
        x = net.project(net.encoder.embed(jnp.concatenate(views), key=dropout))
        x = x.reshape(len(views), -1, self.width)
        size = min(self.size, x.shape[1])
        shuffled = (x[:, jax.random.permutation(draw, x.shape[1])] for draw in draws)
        losses = [w_mse(y, size, self.epsilon) for y in shuffled]
        return sum(losses) / self.rounds, {"projection_std": spread(x[0])}

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
