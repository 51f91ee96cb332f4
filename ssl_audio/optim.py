"""The optimiser of a run: AdamW or LARS with warm-up, cosine, clipping; weight decay on matrices only."""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


@dataclasses.dataclass(frozen=True)
class Optim:
    """AdamW (Loshchilov & Hutter, 2019) or LARS under a linear warm-up and a cosine decay to zero."""

    steps: int = 1000
    """Optimiser steps of the whole run."""
    rate: float = 3e-4
    """Peak learning rate."""
    warmup: int = 0
    """Steps of linear warm-up from 0 to the peak."""
    cosine: bool = True
    """Decay to zero along a cosine after the warm-up; off: stay at the peak."""
    decay: float = 0.0
    """Decoupled weight decay, on arrays of two and more axes only (no bias, no normalisation scale)."""
    clip: float | None = None
    """Largest global norm of the gradient; None: no clipping."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Averages of the gradient and its square; of LARS the first is the momentum."""
    epsilon: float = 1e-8
    """Added to the root of the average square."""
    lars: bool = False
    """LARS in AdamW's place, for large batches (You et al., "Large Batch Training of Convolutional Networks",
    2017): each matrix moves by rate / 1000 of its own norm, and decays before momentum."""
    vectors: float = 1.0
    """Rate of biases and scales, as a share of `rate`."""
    accumulate: int = 1
    """Micro-batches that a batch is cut into; their gradients are averaged before one update. A loss that
    looks at the whole batch (negatives, batch normalisation, redundancy, clusters) then sees one."""

    def schedule(self) -> optax.Schedule:
        """Learning rate as a function of the step."""
        after = self.steps - self.warmup
        tail = (
            optax.cosine_decay_schedule(self.rate, max(1, after))
            if self.cosine
            else optax.constant_schedule(self.rate)
        )
        if not self.warmup:
            return lenient(tail)
        return lenient(
            optax.join_schedules([optax.linear_schedule(0.0, self.rate, self.warmup), tail], [self.warmup])
        )

    def build(self) -> optax.GradientTransformation:
        """The optax transformation."""
        parts = [] if self.clip is None else [optax.clip_by_global_norm(self.clip)]
        b1, b2 = self.betas
        if self.lars:
            parts.append(
                optax.lars(self.schedule(), self.decay, matrices, trust_ratio_mask=matrices, momentum=b1)
            )
        else:
            decay = optax.add_decayed_weights(self.decay, matrices)
            parts += [adam(b1, b2, self.epsilon), decay, optax.scale_by_learning_rate(self.schedule())]
        if self.vectors != 1:
            rest = lambda params: jax.tree.map(lambda p: p.ndim <= 1, params)
            parts.append(optax.masked(optax.scale(self.vectors), rest))
        tx = optax.chain(*parts)
        return optax.GradientTransformation(tx.init, lenient(tx.update))


class Adam(NamedTuple):
    """State of `adam`: of each array the updates that moved it, and both averages."""

    count: Any
    mu: Any
    nu: Any


def adam(b1: float, b2: float, epsilon: float) -> optax.GradientTransformation:
    """Adam's direction, each array's bias correction counted from its own first gradient, as PyTorch has it.

    What rested so far (DINO's frozen head, BEATs' tokenizer) begins as at a run's start. Counted for all
    together, as optax does, its first steps would be several times too long. Kingma & Ba, 2015.
    """

    def init(params):
        zeros = lambda: jax.tree.map(jnp.zeros_like, params)
        return Adam(jax.tree.map(lambda p: jnp.zeros((), jnp.int32), params), zeros(), zeros())

    def update(grads, state, params=None):
        average = lambda b, old, new: jax.tree.map(lambda m, g: (1 - b) * g + b * m, old, new)
        mu = average(b1, state.mu, grads)
        nu = average(b2, state.nu, jax.tree.map(jnp.square, grads))
        began = lambda n, v: jnp.where((n > 0) | jnp.any(v != 0), n + 1, n)
        count = jax.lax.cond(  # once all have begun, nobody looks any more
            jnp.all(jnp.stack(jax.tree.leaves(state.count)) > 0),
            lambda counts, _: jax.tree.map(lambda n: n + 1, counts),
            lambda *both: jax.tree.map(began, *both),
            *(state.count, nu),
        )

        def share(b, n):  # 1 - b^n; subtracted in float32 it would be off by some 1e-5 at first
            return -jnp.expm1(jnp.maximum(n, 1).astype(jnp.float32) * (math.log(b) if b else -math.inf))

        def step(n, m, v):
            return (m / share(b1, n)) / (jnp.sqrt(v / share(b2, n)) + epsilon)

        return jax.tree.map(step, count, mu, nu), Adam(count, mu, nu)

    return optax.GradientTransformation(init, update)


def renewed(opt: Any, old: Any, new: Any) -> Any:
    """The optimiser's state where parameters went from `old` to `new` without it: of an array that is another
    one now, Adam's averages and count begin anew.

    What rested, and is drawn afresh then (BEATs' student), would else take steps several times too long: its
    averages have faded, its count has not.
    """
    moved = jax.tree.map(lambda a, b: jnp.any(a != b), old, new)

    def fresh(tree):
        return jax.tree.map(lambda m, x: jnp.where(m, jnp.zeros_like(x), x), moved, tree)

    ours = lambda x: isinstance(x, Adam)
    return jax.tree.map(lambda x: Adam(*map(fresh, x)) if ours(x) else x, opt, is_leaf=ours)


def lenient(f):
    """f under jax's usual promotion of types, strict elsewhere or not: optax mixes floats with its integer
    counts."""

    @functools.wraps(f)
    def call(*args):
        with jax.numpy_dtype_promotion("standard"):
            return f(*args)

    return call


def matrices(params):
    """Decay mask: True for arrays of two and more axes."""
    return jax.tree.map(lambda p: p.ndim > 1, params)
