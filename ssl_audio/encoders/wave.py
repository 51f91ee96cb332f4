"""Transformer on the wave itself."""

import dataclasses
import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from ssl_audio.encoders.layers import masked_mean, sincos, within

TAPS, GROUPS = 128, 16  # of the convolution that tells places apart


@dataclasses.dataclass(frozen=True)
class Wav2Vec2:
    """wav2vec 2.0's encoder: seven convolutions on the wave, unpadded, then a transformer; takes `RawFrames`.

    At 16 kHz a token covers 25 ms and comes every 20 ms. Baevski et al., "wav2vec 2.0", 2020; it is also the
    encoder of Hsu et al., "HuBERT", 2021. The defaults are the papers' Base; Large is width 1024, depth 24,
    heads 16, norm "layer", fed with waves of zero mean and unit variance. Padding has no part in statistics,
    positions and attention. The positions' convolution goes through the Fourier transform: as a convolution
    with 128 taps in groups its gradient was 40 times slower on a CPU, and equal.
    """

    width: int = 768
    depth: int = 12
    heads: int = 12
    channels: int = 512
    """Of the convolutions."""
    convs: tuple[tuple[int, int], ...] = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))
    """Kernel and stride of each convolution."""
    norm: Literal["group", "layer"] = "group"
    """Base: each channel of the first convolution normalised over its clip, no biases, blocks that normalise
    after; or Large: layer normalisation behind every convolution, biases, blocks that normalise before."""
    positions: Literal["conv", "sincos"] = "conv"
    """A convolution over 128 tokens in 16 groups as published, which needs every token; or fixed sines, with
    which an encoder may be shown the `keep` ones only."""
    dropout: float = 0.1
    """Of the blocks' branches, of attention and of what enters the blocks; on with a key."""
    layerdrop: float = 0.05
    """Chance that a block is left out; on with a key."""

    def build(self, mels: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """The network for frames of `mels` samples, the hop of RawFrames, of which a token's stride is a
        multiple."""
        stride = math.prod(s for _, s in self.convs)
        if stride % mels:
            raise ValueError(
                f"a token comes every {stride} samples, no multiple of the frames' {mels}; change the "
                f"frontend's hop or the strides in convs"
            )
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")
        if self.positions == "conv" and self.width % GROUPS:
            raise ValueError(f"width {self.width} is not a multiple of the positions' {GROUPS} groups")
        return Wav2Vec2Net(self, mels, rngs=rngs)


class WaveBlock(nnx.Module):
    """Transformer block that normalises before its two branches, or after adding them, with dropout."""

    def __init__(self, width: int, heads: int, before: bool, dropout: float, *, rngs: nnx.Rngs):
        self.heads, self.before = heads, before
        self.norm1, self.norm2 = (nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs) for _ in range(2))
        init = nnx.initializers.normal(0.02)  # BERT's, as published
        self.qkv = nnx.Linear(width, 3 * width, kernel_init=init, rngs=rngs)
        self.out = nnx.Linear(width, width, kernel_init=init, rngs=rngs)
        self.up = nnx.Linear(width, 4 * width, kernel_init=init, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, kernel_init=init, rngs=rngs)
        self.drop = nnx.Dropout(dropout)

    def __call__(
        self, x: Float[Array, "b n d"], mask: Bool[Array, "b n"] | None = None, key: Array | None = None
    ) -> Float[Array, "b n d"]:
        keys = (None,) * 3 if key is None else jax.random.split(key, 3)
        still = lambda x: x
        one, two = (self.norm1, self.norm2) if self.before else (still, still)
        x = x + self.drop(self.attend(one(x), mask, keys[0]), deterministic=key is None, rngs=keys[1])
        x = x if self.before else self.norm1(x)
        y = self.down(nnx.gelu(self.up(two(x)), approximate=False))
        x = x + self.drop(y, deterministic=key is None, rngs=keys[2])
        return x if self.before else self.norm2(x)

    def attend(self, x, mask, key):
        b, n, d = x.shape
        q, k, v = jnp.moveaxis(self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads), 2, 0)
        scores = jnp.einsum("bnhd,bmhd->bhnm", q, k).astype(jnp.float32) * (d // self.heads) ** -0.5
        if mask is not None:
            scores = jnp.where(mask[:, None, None], scores, jnp.finfo(jnp.float32).min)
        share = self.drop(jax.nn.softmax(scores, -1).astype(x.dtype), deterministic=key is None, rngs=key)
        return self.out(jnp.einsum("bhnm,bmhd->bnhd", share, v).reshape(b, n, d))


class Places(nnx.Module):
    """What a grouped convolution with normalised weights and GELU tells each token about its neighbours."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        shape = (TAPS, width // GROUPS, width)
        self.direction = nnx.Param(nnx.initializers.normal(2 * (TAPS * width) ** -0.5)(rngs.params(), shape))
        self.length = nnx.Param(jnp.sqrt(jnp.sum(self.direction[...] ** 2, (1, 2))))
        self.bias = nnx.Param(jnp.zeros(width))

    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        b, n, d = x.shape
        kernel = self.direction[...].astype(jnp.float32)
        squares = jnp.sum(kernel * kernel, (1, 2), keepdims=True)
        kernel = kernel * (self.length[...].astype(jnp.float32)[:, None, None] * jax.lax.rsqrt(squares))
        size = 1 << (n + TAPS - 1).bit_length()  # no end of the clip wraps around to the other
        w = jnp.fft.rfft(kernel[::-1].reshape(TAPS, d // GROUPS, GROUPS, d // GROUPS), size, axis=0)
        y = jnp.fft.rfft(x.astype(jnp.float32).reshape(b, n, GROUPS, d // GROUPS), size, axis=1)
        y = jnp.fft.irfft(jnp.einsum("bfgi,figo->bfgo", y, w), size, axis=1)
        y = y[:, TAPS // 2 - 1 : TAPS // 2 - 1 + n].reshape(b, n, d).astype(x.dtype)
        return nnx.gelu(y + self.bias[...][None, None], approximate=False)


class Wav2Vec2Net(nnx.Module):
    def __init__(self, c: Wav2Vec2, hop: int, *, rngs: nnx.Rngs):
        self.width = self.token = c.width
        self.convs, self.before, self.layerdrop = c.convs, c.norm == "layer", c.layerdrop
        self.stride = math.prod(s for _, s in c.convs)
        self.field = 1 + sum(
            (k - 1) * math.prod(s for _, s in c.convs[:i]) for i, (k, _) in enumerate(c.convs)
        )
        self.patch, self.columns, self.hop = (self.stride // hop, hop), 1, hop
        self.middle = (self.field - hop) / 2 / hop  # of a frame of samples the middle is (hop - 1) / 2
        sizes = [(k, c.channels if i else 1, c.channels) for i, (k, _) in enumerate(c.convs)]
        init = nnx.initializers.he_normal()
        self.kernels = nnx.List([nnx.Param(init(rngs.params(), size)) for size in sizes])
        several = range(len(c.convs) if self.before else 1)
        self.scales = nnx.List([nnx.Param(jnp.ones(c.channels)) for _ in several])
        self.shifts = nnx.List([nnx.Param(jnp.zeros(c.channels)) for _ in several])
        self.biases = nnx.List([nnx.Param(jnp.zeros(c.channels)) for _ in several]) if self.before else None
        self.front_norm = nnx.LayerNorm(c.channels, epsilon=1e-5, rngs=rngs)
        self.project = nnx.Linear(c.channels, c.width, rngs=rngs)
        self.places = Places(c.width, rngs=rngs) if c.positions == "conv" else None
        self.last_norm = nnx.LayerNorm(c.width, epsilon=1e-5, rngs=rngs)  # after: in front of the blocks
        self.blocks = nnx.List(
            [WaveBlock(c.width, c.heads, self.before, c.dropout, rngs=rngs) for _ in range(c.depth)]
        )
        self.drop = nnx.Dropout(c.dropout)

    def steps(self, frames):
        """Tokens that so many frames give: an int of an int, an array of an array."""
        count = (frames * self.hop - self.field) // self.stride + 1
        return max(count, 0) if isinstance(count, int) else count.clip(0)

    def convolve(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None
    ) -> Float[Array, "b n c"]:
        """What the convolutions make of the wave; past steps(frames) there is no meaning in it."""
        b, f, hop = spec.shape
        if f * hop < self.field:
            raise ValueError(f"a clip of {f} frames of {hop} samples has no token, which covers {self.field}")
        x = spec.reshape(b, f * hop, 1)
        if frames is not None:  # whatever lies there, it must not reach a sum as inf or NaN
            x = jnp.where(within(frames * hop, f * hop)[..., None], x, 0)
        for i, ((kernel, stride), w) in enumerate(zip(self.convs, self.kernels, strict=True)):
            x = jax.lax.conv_general_dilated(
                x, w[...], (stride,), "VALID", dimension_numbers=("NWC", "WIO", "NWC")
            )
            if self.before:
                x = x + self.biases[i][...][None, None]
            if self.before or i == 0:
                there = jnp.ones((1, x.shape[1]), bool)
                if frames is not None and i == 0:
                    there = within((frames * hop - kernel) // stride + 1, x.shape[1])
                x = self.normalise(x, i, there)
            x = nnx.gelu(x, approximate=False)
        return x

    def normalise(self, x, i, there):
        """Over the channels, or over the time that is there; sums in float32."""
        y = x.astype(jnp.float32)
        if self.before:
            y = y - y.mean(-1, keepdims=True)
            y = y * jax.lax.rsqrt((y * y).mean(-1, keepdims=True) + 1e-5)
        else:
            weight = there[..., None].astype(jnp.float32)
            weight = weight / jnp.maximum(weight.sum(1, keepdims=True), 1)
            y = y - jnp.sum(y * weight, 1, keepdims=True)
            y = y * jax.lax.rsqrt(jnp.sum(y * y * weight, 1, keepdims=True) + 1e-5)
        return y.astype(x.dtype) * self.scales[i][...][None, None] + self.shifts[i][...][None, None]

    def features(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None
    ) -> Float[Array, "b n c"]:
        """The convolutions' result after layer normalisation: what methods quantise."""
        return self.front_norm(self.convolve(spec, frames))

    def cut(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None
    ) -> Float[Array, "b n d"]:
        """Features at the transformer's width, before positions: where a method puts its mask token."""
        return self.project(self.features(spec, frames))

    def layers(
        self,
        x: Float[Array, "b n d"],
        mask: Bool[Array, "b n"] | None = None,
        keep: Int[Array, "b k"] | None = None,
        key: Array | None = None,
    ) -> list[Float[Array, "b m d"]]:
        """What each block makes of all tokens of `cut`, or of those at `keep` (positions "sincos" only).

        The last of them goes through `norm` to be a token. mask [b n]: tokens that may be attended to.
        """
        if keep is not None and self.places is not None:
            raise ValueError('keep needs positions="sincos": the published convolution mixes all tokens')
        keys = (
            (None,) * (2 + len(self.blocks)) if key is None else jax.random.split(key, 2 + len(self.blocks))
        )
        if self.places is not None:
            x = x if mask is None else jnp.where(mask[..., None], x, 0)
            x = x + self.places(x)
        else:
            n, d = x.shape[1:]  # the half for the first of two axes
            table = sincos(np.stack([np.arange(n), np.zeros(n)], 1), 2 * d)[:, :d]
            x = x + jnp.asarray(table, x.dtype)[None]
        if keep is not None:
            x = jnp.take_along_axis(x, keep[..., None], 1)
            mask = None if mask is None else jnp.take_along_axis(mask, keep, 1)
        x = x if self.before else self.last_norm(x)
        x, out = self.drop(x, deterministic=key is None, rngs=keys[0]), []
        for i, block in enumerate(self.blocks):
            y = block(x, mask, keys[2 + i])
            if key is not None:
                y = jnp.where(jax.random.bernoulli(jax.random.fold_in(keys[1], i), self.layerdrop), x, y)
            out.append(x := y)
        return out

    def norm(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        """The last normalisation; blocks that normalise after have done it."""
        return self.last_norm(x) if self.before else x

    def __call__(
        self,
        spec: Float[Array, "b f m"],
        frames: Int[Array, " b"] | None = None,
        key: Array | None = None,
        keep: Int[Array, "b k"] | None = None,
    ) -> Float[Array, "b n d"]:
        """Tokens, one every `patch[0]` frames; with `keep` of those only."""
        x = self.cut(spec, frames)
        mask = None if frames is None else self.visible(frames, x.shape[1])
        return self.norm(self.layers(x, mask, keep, key)[-1])

    def visible(self, frames, n):
        """Mask [b n] of the tokens that lie within the sound (the first always does)."""
        return within(jnp.maximum(self.steps(frames), 1), n)

    def embed(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b d"]:
        """Embedding: mean over time."""
        x = self(spec, frames, key)
        return masked_mean(x, None if frames is None else self.visible(frames, x.shape[1]))
