"""Layers that several encoders and heads share."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int


def within(frames: Int[Array, " b"], n: int) -> Bool[Array, "b n"]:
    """True at the first `frames` of n places of each row."""
    return jnp.arange(n)[None] < frames[:, None]


def masked_mean(x: Float[Array, "b n d"], mask: Bool[Array, "b n"] | None) -> Float[Array, "b d"]:
    """Mean over the places where the mask is True (over all without a mask)."""
    if mask is None:
        return x.mean(1)
    weight = mask.astype(x.dtype)[..., None]
    return jnp.sum(x * weight, 1) / jnp.maximum(jnp.sum(weight, 1), 1)


def masked_max(x: Float[Array, "b n d"], mask: Bool[Array, "b n"] | None) -> Float[Array, "b d"]:
    """Maximum over the places where the mask is True (over all without a mask)."""
    return x.max(1) if mask is None else jnp.where(mask[..., None], x, jnp.finfo(x.dtype).min).max(1)


class MLP(nnx.Module):
    """Linear, batch normalisation, ReLU, linear: the projector and predictor of BYOL and SimCLR."""

    def __init__(self, din: int, hidden: int, dout: int, *, rngs: nnx.Rngs):
        self.up = nnx.Linear(din, hidden, rngs=rngs)
        self.norm = nnx.BatchNorm(hidden, rngs=rngs)
        self.down = nnx.Linear(hidden, dout, rngs=rngs)

    def __call__(self, x: Float[Array, "b d"]) -> Float[Array, "b e"]:
        return self.down(nnx.relu(self.norm(self.up(x))))


class Block(nnx.Module):
    """Pre-norm transformer block (Vaswani et al., 2017; pre-norm as in Dosovitskiy et al., 2021)."""

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        self.heads = heads
        self.norm1, self.norm2 = (
            nnx.LayerNorm(width, epsilon=1e-6, rngs=rngs),
            nnx.LayerNorm(width, epsilon=1e-6, rngs=rngs),
        )
        init = nnx.initializers.xavier_uniform()
        self.qkv = nnx.Linear(width, 3 * width, kernel_init=init, rngs=rngs)
        self.out = nnx.Linear(width, width, kernel_init=init, rngs=rngs)
        self.up = nnx.Linear(width, 4 * width, kernel_init=init, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, kernel_init=init, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b n d"], mask: Bool[Array, "b n"] | None = None
    ) -> Float[Array, "b n d"]:
        b, n, d = x.shape
        q, k, v = jnp.moveaxis(self.qkv(self.norm1(x)).reshape(b, n, 3, self.heads, d // self.heads), 2, 0)
        seen = None if mask is None else mask[:, None, None, :]
        x = x + self.out(jax.nn.dot_product_attention(q, k, v, mask=seen).reshape(b, n, d))
        return x + self.down(nnx.gelu(self.up(self.norm2(x)), approximate=False))


def sincos(grid: np.ndarray, width: int) -> np.ndarray:
    """Fixed two-dimensional sine-cosine position codes of grid [n 2]: half the width for each axis."""
    if width % 4:
        raise ValueError(f"sine-cosine positions need a width divisible by 4; got {width}")
    angle = grid[:, :, None] / 1e4 ** (np.arange(width // 4) / (width // 4))
    return np.concatenate([np.sin(angle), np.cos(angle)], -1).reshape(len(grid), width).astype(np.float32)


def patches(spec: Float[Array, "b f m"], patch: tuple[int, int]) -> Float[Array, "b n p"]:
    """Cut into patches, time-major: token i covers time i // columns and band i % columns; odd frames at the
    end fall away."""
    b, f, m = spec.shape
    pf, pm = patch
    f, m = f // pf, m // pm
    return (
        spec[:, : f * pf, : m * pm]
        .reshape(b, f, pf, m, pm)
        .transpose(0, 1, 3, 2, 4)
        .reshape(b, f * m, pf * pm)
    )


def positions(frames: int, mels: int, patch: tuple[int, int]) -> np.ndarray:
    """Time and frequency place of each patch, int [n 2]."""
    f, m = frames // patch[0], mels // patch[1]
    return np.stack(np.meshgrid(np.arange(f), np.arange(m), indexing="ij"), -1).reshape(-1, 2)
