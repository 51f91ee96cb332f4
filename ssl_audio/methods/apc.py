"""APC: predict the frames to come from those that were."""

import dataclasses

import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import patches


@dataclasses.dataclass(frozen=True)
class APC:
    """Autoregressive predictive coding: a linear map of each state foretells the frame some steps later, by
    its L1 error. One view, a causal encoder (`GRU`).

    Chung et al., "An Unsupervised Autoregressive Model for Speech Representation Learning", 2019. The log's
    `copy` is the error of taking the present frame for the coming one: what is learned lies below it.
    """

    ahead: int = 5
    """Frames from the last one heard to the one foretold; the paper tries 1 to 20."""

    def build(self, encoder, *, rngs):
        if not getattr(encoder, "causal", False):
            raise ValueError(
                f"APC: tokens of {type(encoder).__name__} have heard later frames, which it would only copy; "
                f"give a causal encoder such as GRU"
            )
        if self.ahead < 1:
            raise ValueError(f"APC: ahead {self.ahead} must be 1 at least")
        size = encoder.patch[0] * encoder.patch[1]
        return nnx.Dict(encoder=encoder, out=nnx.Linear(encoder.token, size, rngs=rngs))

    def loss(self, net, views, batch, key):
        (spec,) = views
        target = patches(spec, net.encoder.patch)
        if target.shape[1] <= self.ahead:
            raise ValueError(
                f"APC foretells {self.ahead} steps ahead, but a clip has only {target.shape[1]}; lengthen "
                f"the clips or lower `ahead`"
            )
        guess = net.out(net.encoder(spec, key=key)[:, : -self.ahead])
        now, then = target[:, : -self.ahead], target[:, self.ahead :]
        copy = jnp.mean(jnp.abs(now - then), dtype=jnp.float32)
        return jnp.mean(jnp.abs(guess - then), dtype=jnp.float32), {"copy": copy}

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
