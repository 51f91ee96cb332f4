"""Supervised classification: the control that self-supervision is compared with."""

import dataclasses

import jax.numpy as jnp
import optax
from flax import nnx


@dataclasses.dataclass(frozen=True)
class Supervised:
    """Cross-entropy of one linear layer on the embedding: no self-supervision. One view or more.

    Clips labelled -1 take no part. A label of `classes` or more makes the loss NaN, which stops the run.
    """

    classes: int = 10
    """Labels of the store's column are 0 to classes - 1."""

    def __post_init__(self):
        if self.classes < 2:
            raise ValueError(
                f"Supervised: classes={self.classes}; give as many as the label column has, 2 or more"
            )

    def build(self, encoder, *, rngs):
        return nnx.Dict(encoder=encoder, classify=nnx.Linear(encoder.width, self.classes, rngs=rngs))

    def loss(self, net, views, batch, key):
        if "label" not in batch:
            raise ValueError("Supervised learns from labels: set data.label to a column of the store")
        labels = jnp.tile(batch["label"], len(views))
        logits = net.classify(net.encoder.embed(jnp.concatenate(views), key=key)).astype(jnp.float32)
        known = (labels >= 0).astype(jnp.float32)
        each = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(labels, 0))
        right = (jnp.argmax(logits, -1) == labels).astype(jnp.float32)
        count = jnp.maximum(known.sum(), 1)
        return jnp.sum(known * each) / count, {"accuracy": jnp.sum(known * right) / count}

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
