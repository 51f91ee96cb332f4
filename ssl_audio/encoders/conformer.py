"""Conformer: attention and convolution over time, in turn."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from ssl_audio.encoders.conv import BatchNorm, inside
from ssl_audio.encoders.layers import masked_mean, within


@dataclasses.dataclass(frozen=True)
class Conformer:
    """Conformer encoder: two convolutions of stride 2, then blocks of half a feed-forward layer, attention
    with relative positions, a convolution module, and the other half. A token is 4 frames; the embedding is
    the mean over time.

    Gulati et al., "Conformer: Convolution-augmented Transformer for Speech Recognition", 2020: S (width 144,
    depth 16, heads 4), M (256, 16, 4), L (512, 17, 8). No dropout. The two convolutions are padded by a frame
    at the beginning and none at the end, so that n frames are n // 4 tokens and padding is never seen.
    """

    width: int = 144
    depth: int = 16
    heads: int = 4
    kernel: int = 32
    """Tokens that the convolution module spans."""

    def build(self, mels: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """The network for spectrograms of `mels` bands, a multiple of 8."""
        if mels % 8:
            raise ValueError(f"Conformer halves the frequency axis: {mels} bands are not a multiple of 8")
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width {self.width} is not an even multiple of {self.heads} heads")
        return ConformerNet(self, mels, rngs=rngs)


def waves(n: int, width: int) -> np.ndarray:
    """Sine and cosine, in turn, of the distances n - 1 to 1 - n: [2n - 1, width]."""
    angle = np.arange(n - 1, -n, -1)[:, None] / 1e4 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angle), np.cos(angle)], -1).reshape(2 * n - 1, width).astype(np.float32)


class FeedForward(nnx.Module):
    """Layer normalisation, four times the width, swish, back."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.norm = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
        self.up, self.down = nnx.Linear(width, 4 * width, rngs=rngs), nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x):
        return self.down(nnx.silu(self.up(self.norm(x))))


class Attention(nnx.Module):
    """Self-attention whose scores also depend on the distance of two tokens (Dai et al., "Transformer-XL",
    2019)."""

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        init = nnx.initializers.xavier_uniform()
        self.norm = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
        self.qkv = nnx.Linear(width, 3 * width, kernel_init=init, rngs=rngs)
        self.out = nnx.Linear(width, width, kernel_init=init, rngs=rngs)
        self.far = nnx.Linear(width, width, kernel_init=init, use_bias=False, rngs=rngs)
        self.u = nnx.Param(init(rngs.params(), (heads, width // heads)))
        self.v = nnx.Param(init(rngs.params(), (heads, width // heads)))

    def __call__(self, x, mask, keep, n):
        """x [b k d], the tokens at `keep` of n places (None: at all)."""
        b, k, d = x.shape
        heads, size = self.u.shape
        q, key, value = jnp.moveaxis(self.qkv(self.norm(x)).reshape(b, k, 3, heads, size), 2, 0)
        far = self.far(jnp.asarray(waves(n, d), x.dtype)).reshape(2 * n - 1, heads, size)
        u, v = (w[...].astype(q.dtype)[None, None] for w in (self.u, self.v))
        score = jnp.einsum("bihd,rhd->bhir", q + v, far, preferred_element_type=jnp.float32)
        if keep is None:  # row i begins at its own distance: shift it there
            score = jnp.pad(score, ((0, 0), (0, 0), (0, 0), (1, 0))).reshape(b, heads, 2 * n, n)[:, :, 1:]
            score = score.reshape(b, heads, n, 2 * n - 1)[..., :n]
        else:
            place = n - 1 - (keep[:, :, None] - keep[:, None, :])
            score = jnp.take_along_axis(score, jnp.broadcast_to(place[:, None], (b, heads, k, k)), -1)
        score += jnp.einsum("bihd,bjhd->bhij", q + u, key, preferred_element_type=jnp.float32)
        if mask is not None:
            score = jnp.where(mask[:, None, None], score, jnp.finfo(score.dtype).min)
        weight = jax.nn.softmax(score / np.float32(size**0.5), -1).astype(value.dtype)
        return self.out(jnp.einsum("bhij,bjhd->bihd", weight, value).reshape(b, k, d))


class Convolution(nnx.Module):
    """Gated linear unit, depthwise convolution over time, batch normalisation, swish, and a linear layer."""

    def __init__(self, width: int, kernel: int, *, rngs: nnx.Rngs):
        self.norm = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
        self.gate = nnx.Linear(width, 2 * width, use_bias=False, rngs=rngs)
        init = nnx.initializers.lecun_normal()
        self.kernel, self.batch = nnx.Param(init(rngs.params(), (kernel, 1, width))), BatchNorm(width)
        self.out = nnx.Linear(width, width, use_bias=False, rngs=rngs)

    def __call__(self, x, mask, keep, n):
        x = nnx.glu(self.gate(self.norm(x)))
        if mask is not None:
            x = jnp.where(mask[..., None], x, 0)
        if keep is not None:  # what isn't kept is silent to its neighbours
            rows = jnp.arange(len(x))[:, None]
            x = jnp.zeros((len(x), n, x.shape[2]), x.dtype).at[rows, keep].set(x)
        size = self.kernel.shape[0]
        x = jax.lax.conv_general_dilated(
            x,
            self.kernel[...].astype(x.dtype),
            (1,),
            (((size - 1) // 2, size // 2),),
            dimension_numbers=("NHC", "HIO", "NHC"),
            feature_group_count=x.shape[2],
        )
        x = x if keep is None else jnp.take_along_axis(x, keep[..., None], 1)
        return self.out(nnx.silu(self.batch(x)))


class ConformerBlock(nnx.Module):
    def __init__(self, c: Conformer, *, rngs: nnx.Rngs):
        self.before, self.after = FeedForward(c.width, rngs=rngs), FeedForward(c.width, rngs=rngs)
        self.attention = Attention(c.width, c.heads, rngs=rngs)
        self.convolution = Convolution(c.width, c.kernel, rngs=rngs)
        self.norm = nnx.LayerNorm(c.width, epsilon=1e-5, rngs=rngs)

    def __call__(self, x, mask=None, keep=None, n=None):
        """x [b k d]; mask [b k]; keep [b k] of n places -> [b k d]."""
        n = x.shape[1] if n is None else n
        x = x + self.before(x) / 2
        x = x + self.attention(x, mask, keep, n)
        x = x + self.convolution(x, mask, keep, n)
        return self.norm(x + self.after(x) / 2)


class ConformerNet(nnx.Module):
    def __init__(self, c: Conformer, mels: int, *, rngs: nnx.Rngs):
        self.width, self.token, self.heads = c.width, c.width, c.heads
        self.patch, self.columns, self.cls = (4, mels), 1, None
        self.middle = 0.0  # padded on both sides, a token is centred on the first of its frames
        init = nnx.initializers.he_normal()
        self.kernels = nnx.List([nnx.Param(init(rngs.params(), (3, 3, i, c.width))) for i in (1, c.width)])
        self.biases = nnx.List([nnx.Param(jnp.zeros(c.width)) for _ in range(2)])
        self.stem = nnx.Linear(c.width * mels // 4, c.width, rngs=rngs)
        self.blocks = nnx.List([ConformerBlock(c, rngs=rngs) for _ in range(c.depth)])

    def steps(self, frames):
        """Tokens that so many frames give: an int of an int, an array of an array."""
        return frames // 4

    def norm(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        """x: a block ends with its own normalisation."""
        return x

    def cut(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None
    ) -> Float[Array, "b n d"]:
        """Tokens, each of 7 frames, 4 apart: where a method puts its mask token."""
        if spec.shape[1] < 4:
            raise ValueError(f"a clip of {spec.shape[1]} frames is shorter than a Conformer's token of 4")
        x = inside(spec, frames)[..., None]
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            x = jax.lax.conv_general_dilated(
                x,
                kernel[...].astype(x.dtype),
                (2, 2),
                ((1, 0), (1, 0)),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
            x = nnx.relu(x + bias[...].astype(x.dtype)[None, None, None])
        return self.stem(x.reshape(*x.shape[:2], -1))

    def layers(
        self,
        x: Float[Array, "b n d"],
        mask: Bool[Array, "b n"] | None = None,
        keep: Int[Array, "b k"] | None = None,
    ) -> list[Float[Array, "b m d"]]:
        """What each block makes of all tokens of `cut`, or of those at `keep`, at their own distances.

        mask [b n]: tokens that may be attended to. Hidden ones are zero to the convolutions.
        """
        n = x.shape[1]
        if keep is not None:
            x = jnp.take_along_axis(x, keep[..., None], 1)
            mask = None if mask is None else jnp.take_along_axis(mask, keep, 1)
        out = []
        for block in self.blocks:
            x = block(x, mask, keep, n)
            out.append(x)
        return out

    def visible(self, frames, n):
        """Mask [b n] of the tokens that lie within the sound (the first always does)."""
        return within(jnp.maximum(self.steps(frames), 1), n)

    def __call__(
        self,
        spec: Float[Array, "b f m"],
        frames: Int[Array, " b"] | None = None,
        key: Array | None = None,
        keep: Int[Array, "b k"] | None = None,
    ) -> Float[Array, "b n d"]:
        """Tokens of all of the clip, or those at `keep`, the rest unseen. There is no dropout."""
        if keep is not None:  # a token hears three frames of the one before it, which may be hidden
            here = jnp.zeros((len(spec), spec.shape[1]), bool)
            at = keep[..., None] * 4 + jnp.arange(4)[None, None]
            here = here.at[jnp.arange(len(spec))[:, None], at.reshape(len(spec), -1)].set(True, mode="drop")
            spec = jnp.where(here[..., None], spec, 0)
        x = self.cut(spec, frames)
        mask = None if frames is None else self.visible(frames, x.shape[1])
        return self.layers(x, mask, keep)[-1]

    def embed(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b d"]:
        """Embedding: mean over time."""
        x = self(spec, frames, key)
        return masked_mean(x, None if frames is None else self.visible(frames, x.shape[1]))
