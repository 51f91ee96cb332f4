"""COLA: tell with a bilinear form which two segments come from the same recording."""

import dataclasses

import jax.numpy as jnp
from flax import nnx

from ssl_audio.losses import info_nce, pairs


@dataclasses.dataclass(frozen=True)
class COLA:
    """Contrastive learning of general-purpose audio representations: bilinear similarity, one direction.

    Saeed, Grangier & Zeghidour, "Contrastive Learning of General-Purpose Audio Representations", 2021. Two
    views: anchor and positive, two crops of one clip; the other positives of the batch are the negatives.
    """

    width: int = 512
    """Size of the projection, behind layer normalisation and tanh."""

    def build(self, encoder, *, rngs):
        return nnx.Dict(
            encoder=encoder,
            project=nnx.Linear(encoder.width, self.width, rngs=rngs),
            norm=nnx.LayerNorm(self.width, epsilon=1e-3, rngs=rngs),
            # Keras' random_normal, which the authors take, has this deviation; at 1 the network collapsed
            bilinear=nnx.Param(nnx.initializers.normal(0.05)(rngs.params(), (self.width, self.width))),
        )

    def loss(self, net, views, batch, key):
        x = net.encoder.embed(pairs(views, "COLA"), key=key)
        anchor, positive = jnp.split(jnp.tanh(net.norm(net.project(x))), 2)
        anchor, positive, form = (a.astype(jnp.float32) for a in (anchor, positive, net.bilinear[...]))
        logits = anchor @ form @ positive.T
        right = jnp.argmax(logits, -1) == jnp.arange(len(logits))
        return info_nce(logits), {"accuracy": right.mean(dtype=jnp.float32)}

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
