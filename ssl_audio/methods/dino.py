"""DINO: match a slow teacher's centred and sharpened distribution over prototypes."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from ssl_audio.losses import assigned, unit
from ssl_audio.quantise import perplexity


class Centre(nnx.Variable):
    """Running mean of the teacher's logits."""


class Counter(nnx.Variable):
    """Steps done."""


class Head(nnx.Module):
    """Three layers with GELU to a bottleneck of length 1, then its cosine with each prototype: a layer whose
    weights are normalised, their scale fixed at 1."""

    def __init__(self, din, hidden, width, prototypes, *, rngs):
        init = nnx.initializers.truncated_normal(0.02)
        sizes = (din, hidden, hidden, width)
        self.layers = nnx.List(
            [nnx.Linear(i, o, kernel_init=init, rngs=rngs) for i, o in itertools.pairwise(sizes)]
        )
        self.prototypes = nnx.Param(init(rngs.params(), (prototypes, width)))

    def __call__(self, x, frozen):
        *first, last = self.layers
        for layer in first:
            x = nnx.gelu(layer(x), approximate=False)
        x = last(x)
        codes = unit(self.prototypes[...].astype(jnp.float32))
        codes = jnp.where(frozen, jax.lax.stop_gradient(codes), codes).astype(x.dtype)
        x = unit(x.astype(jnp.float32)).astype(x.dtype)
        return jnp.matmul(x, codes.T, preferred_element_type=jnp.float32)


@dataclasses.dataclass(frozen=True)
class DINO:
    """Self-distillation with no labels: student, teacher by moving average, centring and sharpening.

    Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", 2021. Two views or more, of
    any lengths (multi-crop): the teacher sees the first two, the student all, and each predicts the others.
    The teacher is what is judged, as in the paper. The head takes the encoder's embedding, where the paper's
    takes the class token alone. Stochastic depth and the paper's rising weight decay are left out.
    """

    prototypes: int = 65_536
    hidden: int = 2048
    width: int = 256
    """Of the head's bottleneck."""
    temperature: float = 0.1
    """Of the student."""
    sharp: tuple[float, float] = (0.04, 0.07)
    """Temperature of the teacher, at first and after `warmup` steps."""
    warmup: int = 37_530
    """Steps in which the teacher's temperature rises: the paper's 30 epochs."""
    decay: float = 0.996
    """Of the teacher's moving average, a step, at first; it rises to 1 along a cosine."""
    steps: int = 125_100
    """Steps of that cosine: the length of the run (the paper's 100 epochs)."""
    slow: float = 0.9
    """Of the centre's moving average, a step (a micro-batch, where batches are cut)."""
    freeze: int = 1251
    """First steps, in which the student's prototypes stay as they were drawn: the paper's first epoch."""
    centre: bool = True
    """Without it one prototype takes all: the collapse alarm is tested with it."""

    def build(self, encoder, *, rngs):
        head = Head(encoder.width, self.hidden, self.width, self.prototypes, rngs=rngs)
        student = nnx.Dict(encoder=encoder, head=head)
        return nnx.Dict(
            student=student,
            teacher=nnx.clone(student),
            centre=Centre(jnp.zeros(self.prototypes)),
            step=Counter(jnp.zeros((), jnp.int32)),
        )

    def logits(self, part, views, key, frozen):
        """Logits [v b k], float32."""
        x = [  # one pass over views of one length
            part.encoder.embed(jnp.concatenate(list(same)), key=jax.random.fold_in(key, i))
            for i, (_, same) in enumerate(itertools.groupby(views, lambda v: v.shape))
        ]
        return part.head(jnp.concatenate(x), frozen).reshape(len(views), -1, self.prototypes)

    def loss(self, net, views, batch, key):
        if len(views) < 2:
            raise ValueError(f"DINO compares two views at least; the experiment has {len(views)}")
        b, step, keys = len(views[0]), net.step[...], jax.random.split(key)
        first, last = self.sharp
        risen = jnp.minimum(step.astype(jnp.float32) / max(1, self.warmup), 1)
        seen = jax.lax.stop_gradient(self.logits(net.teacher, views[:2], keys[0], True))
        target = seen - net.centre[...][None, None]
        target = jax.nn.softmax(target / (first + (last - first) * risen), -1)
        guess = self.logits(net.student, views, keys[1], step < self.freeze) / self.temperature
        guess = jax.nn.log_softmax(guess, -1)
        pairs = -jnp.einsum("ibk,vbk->iv", target, guess) / b
        others = 1 - jnp.eye(2, len(views))
        if self.centre:
            net.centre[...] = self.slow * net.centre[...] + (1 - self.slow) * seen.mean((0, 1))
        return jnp.sum(pairs * others) / jnp.sum(others), {
            "target_std": assigned(target.reshape(2 * b, -1)),
            "perplexity": perplexity(target.mean((0, 1))),
            "sharpness": perplexity(target).mean(),
            "accuracy": jnp.mean(target[0].argmax(-1) == guess[1].argmax(-1), dtype=jnp.float32),
        }

    def after(self, net, step):
        done = jnp.minimum(step.astype(jnp.float32) / self.steps, 1)
        share = (1 - self.decay) * (1 + jnp.cos(jnp.pi * done)) / 2
        new, old = nnx.state(net.student, nnx.Param), nnx.state(net.teacher, nnx.Param)
        nnx.update(net.teacher, optax.incremental_update(new, old, share))
        net.step[...] = jnp.asarray(step + 1, jnp.int32)

    def encoder(self, net):
        return net.teacher.encoder
