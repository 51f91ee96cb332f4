"""SimCLR: pick the other view of the same sound out of the batch."""

import dataclasses

import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import MLP
from ssl_audio.losses import nt_xent, pairs


@dataclasses.dataclass(frozen=True)
class SimCLR:
    """Simple contrastive learning of representations: two views, a projector, NT-Xent.

    Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", 2020; for sound
    Fonseca et al., "Unsupervised Contrastive Learning of Sound Event Representations", 2021. Two views.
    """

    temperature: float = 0.1
    hidden: int = 512
    width: int = 128
    """Size of the projection that the loss compares; it is thrown away after training."""

    def build(self, encoder, *, rngs):
        return nnx.Dict(encoder=encoder, project=MLP(encoder.width, self.hidden, self.width, rngs=rngs))

    def loss(self, net, views, batch, key):
        a, b = jnp.split(net.project(net.encoder.embed(pairs(views, "SimCLR"), key=key)), 2)
        return nt_xent(a, b, self.temperature), {}

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
