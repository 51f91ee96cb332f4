"""Supervised contrast: clips of one label are each other's positives."""

import dataclasses

import jax.numpy as jnp
from flax import nnx

from ssl_audio.losses import sup_con


@dataclasses.dataclass(frozen=True)
class SupCon:
    """Supervised contrastive learning: what contrast reaches when it is told the labels. One view or more, as
    a rule two.

    Khosla et al., "Supervised Contrastive Learning", 2020: the loss L_out. Clips labelled -1 take no part.
    The authors' program scales the loss by temperature / 0.07; here it isn't.
    """

    temperature: float = 0.1
    hidden: int = 2048
    width: int = 128
    """Size of the projection that the loss compares; it is thrown away after training."""

    def build(self, encoder, *, rngs):
        return nnx.Dict(
            encoder=encoder,
            up=nnx.Linear(encoder.width, self.hidden, rngs=rngs),
            down=nnx.Linear(self.hidden, self.width, rngs=rngs),
        )

    def loss(self, net, views, batch, key):
        if "label" not in batch:
            raise ValueError("SupCon learns from labels: set data.label to a column of the store")
        labels = jnp.tile(batch["label"], len(views))
        x = net.down(nnx.relu(net.up(net.encoder.embed(jnp.concatenate(views), key=key))))
        return sup_con(x, labels, self.temperature), {"labelled": (labels >= 0).mean(dtype=jnp.float32)}

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
