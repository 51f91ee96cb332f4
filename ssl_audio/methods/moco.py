"""MoCo: pick a slow teacher's embedding of the other view out of a queue of its earlier ones."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from ssl_audio.losses import pairs, spread, unit


class Queue(nnx.Variable):
    """Keys of the last batches, newest first, [k d]."""


@dataclasses.dataclass(frozen=True)
class MoCo:
    """Momentum contrast: queries of the online network, keys of its moving average. Two views.

    He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", 2020; Chen, Xie & He, "An
    Empirical Study of Training Self-Supervised Vision Transformers" (MoCo v3), 2021, whose heads, predictor
    (that of its transformers, which ends in a normalisation), symmetric loss and sizes (ResNet-50, but for
    the temperature) these are. With queue=0 it is MoCo v3: the negatives are the other keys of the batch.
    With a queue they are its keys alone, as in MoCo; a network of MoCo v2 has predictor=False, decay 0.999
    and a queue of 65,536, and compares one way only. Both views pass the network at once, and statistics of
    batch normalisation span the devices. MoCo shuffles clips between devices, lest a query and its key be
    told from the queue by statistics of the same clips; here they could be.
    """

    hidden: int = 4096
    width: int = 256
    """Size of the projection that is compared."""
    queue: int = 65_536
    """Keys remembered, those of both views of a batch among them; first in, first out. 0: no queue."""
    temperature: float = 0.2
    decay: float = 0.99
    """Of the teacher's moving average, a step."""
    steps: int = 0
    """Of the half cosine along which `decay` rises to 1, the whole run as a rule; 0: constant."""
    predictor: bool = True

    def build(self, encoder, *, rngs):
        project = head(encoder.width, self.hidden, self.width, rngs)
        online = nnx.Dict(encoder=encoder, project=project)
        net = nnx.Dict(online=online, teacher=nnx.clone(online))
        if self.predictor:
            net.predict = head(self.width, self.hidden, self.width, rngs)
        if self.queue:  # full of noise at first, as the authors'
            net.queue = Queue(unit(jax.random.normal(rngs.params(), (self.queue, self.width))))
        return net

    def loss(self, net, views, batch, key):
        both = pairs(views, "MoCo")
        keys = jax.random.split(key)
        q = net.online.project(net.online.encoder.embed(both, key=keys[0]))
        if self.predictor:
            q = net.predict(q)
        k = jax.lax.stop_gradient(net.teacher.project(net.teacher.encoder.embed(both, key=keys[1])))
        q, k = unit(q.astype(jnp.float32)), unit(k.astype(jnp.float32))
        (q1, q2), (k1, k2) = jnp.split(q, 2), jnp.split(k, 2)
        if self.queue:
            partner = jnp.concatenate([k2, k1])
            old = net.queue[...]
            logits = jnp.concatenate([jnp.sum(q * partner, -1, keepdims=True), q @ old.T], -1)
            right = jnp.zeros(len(q), jnp.int32)
            net.queue[...] = jnp.concatenate([k, old])[: self.queue]
        else:
            logits = jnp.concatenate([q1 @ k2.T, q2 @ k1.T])
            right = jnp.tile(jnp.arange(len(q1)), 2)
        each = optax.softmax_cross_entropy_with_integer_labels(logits / self.temperature, right)
        found = jnp.argmax(logits, -1) == right
        # both directions added, and times 2 temperature, as in MoCo v3
        loss = 2 * each.mean() * 2 * self.temperature
        return loss, {"target_std": spread(k), "accuracy": found.mean(dtype=jnp.float32)}

    def after(self, net, step):
        rest = 1 - self.decay
        if self.steps:
            along = jnp.minimum(step.astype(jnp.float32) / self.steps, 1)
            rest = rest * (1 + jnp.cos(jnp.pi * along)) / 2
        new, old = nnx.state(net.online, nnx.Param), nnx.state(net.teacher, nnx.Param)
        nnx.update(net.teacher, optax.incremental_update(new, old, rest))

    def encoder(self, net):
        return net.online.encoder


def head(din: int, hidden: int, dout: int, rngs: nnx.Rngs) -> nnx.Module:
    """MoCo v3's projector and predictor: no biases, a last normalisation without scale."""
    return nnx.Sequential(
        nnx.Linear(din, hidden, use_bias=False, rngs=rngs),
        nnx.BatchNorm(hidden, epsilon=1e-5, rngs=rngs),
        nnx.relu,
        nnx.Linear(hidden, dout, use_bias=False, rngs=rngs),
        nnx.BatchNorm(dout, epsilon=1e-5, use_bias=False, use_scale=False, rngs=rngs),
    )
