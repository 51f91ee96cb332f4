"""The optimiser of a run: AdamW or LARS with warm-up, cosine, clipping; weight decay on matrices only."""

import dataclasses
import functools

import jax
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
            parts.append(
                optax.adamw(self.schedule(), b1, b2, self.epsilon, weight_decay=self.decay, mask=matrices)
            )
        if self.vectors != 1:
            rest = lambda params: jax.tree.map(lambda p: p.ndim <= 1, params)
            parts.append(optax.masked(optax.scale(self.vectors), rest))
        tx = optax.chain(*parts)
        return optax.GradientTransformation(tx.init, lenient(tx.update))


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
