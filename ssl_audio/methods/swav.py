"""SwAV: predict from one view of a sound which cluster another view of it is assigned to."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import MLP
from ssl_audio.losses import assigned, unit
from ssl_audio.quantise import perplexity, sinkhorn


class Queue(nnx.Variable):
    """Projections of earlier batches, the newest first."""


class Counter(nnx.Variable):
    """Steps done."""


@dataclasses.dataclass(frozen=True)
class SwAV:
    """Swapped assignments between views: prototypes, balanced assignment, swapped prediction.

    Caron et al., "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments", 2020. Two
    views or more, of any lengths (multi-crop): the first two are assigned, every one predicts the
    assignments of the others. The authors scale the prototypes to length 1 before each step, here they are
    scaled where they are used: the loss is the same, its gradient is the part along the sphere.
    """

    prototypes: int = 3000
    temperature: float = 0.1
    """Of the predictions."""
    epsilon: float = 0.05
    """Of the assignments: the smaller, the harder they are."""
    rounds: int = 3
    """Of Sinkhorn's normalisation."""
    freeze: int = 313
    """First steps, in which the prototypes stay as they were drawn."""
    queue: int = 0
    """Earlier projections of each assigned view that are assigned with the batch's, for small batches (the
    paper: 3,840 beside 256); 0: none."""
    wait: int = 0
    """Steps before the queue is filled; it is used once it is full."""
    hidden: int = 2048
    width: int = 128
    """Size of the projection."""

    def build(self, encoder, *, rngs):
        draw = nnx.initializers.variance_scaling(1 / 3, "fan_out", "uniform")  # PyTorch's, of [k d]
        net = nnx.Dict(
            encoder=encoder,
            project=MLP(encoder.width, self.hidden, self.width, rngs=rngs),
            prototypes=nnx.Param(draw(rngs.params(), (self.prototypes, self.width))),
            step=Counter(jnp.zeros((), jnp.int32)),
        )
        if self.queue:
            net.queue = Queue(jnp.zeros((2, self.queue, self.width)))
        return net

    def loss(self, net, views, batch, key):
        if len(views) < 2:
            raise ValueError(f"SwAV swaps the assignments of two views; the experiment has {len(views)}")
        b, step = len(views[0]), net.step[...]
        x = [  # one pass over views of one length
            net.encoder.embed(jnp.concatenate(list(same)), key=jax.random.fold_in(key, i))
            for i, (_, same) in enumerate(itertools.groupby(views, lambda v: v.shape))
        ]
        x = unit(net.project(jnp.concatenate(x)).astype(jnp.float32)).reshape(len(views), b, self.width)
        codes = unit(net.prototypes[...].astype(jnp.float32))
        codes = jnp.where(step < self.freeze, jax.lax.stop_gradient(codes), codes)
        scores = jnp.einsum("vbd,kd->vbk", x, codes)
        target = self.assign(net, *jax.lax.stop_gradient((x[:2], codes, scores[:2])))
        guess = jax.nn.log_softmax(scores / self.temperature, -1)
        pairs = -jnp.einsum("ibk,vbk->iv", target, guess) / b
        others = 1 - jnp.eye(2, len(views))
        logs = {
            "target_std": assigned(target.reshape(2 * b, -1)),
            "perplexity": perplexity(jnp.exp(guess).mean((0, 1))),
            "accuracy": jnp.mean(target[0].argmax(-1) == guess[1].argmax(-1), dtype=jnp.float32),
        }
        return jnp.sum(pairs * others) / jnp.sum(others), logs

    def assign(self, net, x, codes, scores):
        """Assignments [2 b k] of the first two views, each view for itself; moves the queue."""

        def alone(scores):
            return jax.vmap(lambda s: sinkhorn(s, self.epsilon, self.rounds))(scores)

        if not self.queue:
            return alone(scores)
        b = scores.shape[1]
        if self.queue < b:
            raise ValueError(f"SwAV: a queue of {self.queue} is shorter than a batch of {b}; give b or more")
        queue = net.queue[...]
        target = jax.lax.cond(
            jnp.any(queue[:, -1] != 0),
            lambda s: alone(jnp.concatenate([s, jnp.einsum("vqd,kd->vqk", queue, codes)], 1))[:, :b],
            alone,
            scores,
        )
        moved = jnp.concatenate([x, queue], 1)[:, : self.queue]
        net.queue[...] = jnp.where(net.step[...] < self.wait, queue, moved)
        return target

    def after(self, net, step):
        net.step[...] = jnp.asarray(step + 1, jnp.int32)

    def encoder(self, net):
        return net.encoder
