"""ConvNeXt."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from ssl_audio.encoders.conv import inside
from ssl_audio.encoders.layers import masked_mean, within


@dataclasses.dataclass(frozen=True)
class ConvNeXt:
    """ConvNeXt on a spectrogram as a picture of one channel; the embedding is the normalised mean over time
    and frequency, eight times `channels` wide, a token the same of 32 frames.

    Liu et al., "A ConvNet for the 2020s", 2022: Tiny (96 channels, depth 9), Small (96, 27), Base (128, 27),
    Large (192, 27). No stochastic depth, which belongs to the supervised recipe. A clip or a number of bands
    that isn't a multiple of 32 is filled up with zeros.
    """

    channels: int = 96
    """Of the first stage; each further one has twice as many."""
    depth: int = 9
    """Blocks of the third stage; each of the others has 3, or `depth` if that is fewer."""

    def build(self, mels: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """The network for spectrograms of `mels` bands, a multiple of 8."""
        if mels % 8:
            raise ValueError(
                f"ConvNeXt cuts the frequency axis by 4 and 2: {mels} bands are no multiple of 8"
            )
        return ConvNeXtNet(self, mels, rngs=rngs)


def weights(shape, rngs):
    return nnx.Param(nnx.initializers.truncated_normal(0.02)(rngs.params(), shape))


def convolve(x, kernel, bias, stride, padding, groups=1):
    x = jax.lax.conv_general_dilated(
        x,
        kernel[...].astype(x.dtype),
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    return x + bias[...].astype(x.dtype)[None, None, None]


class Cut(nnx.Module):
    """Squares that tile the picture, each a vector: the stem, and what halves the picture between stages."""

    def __init__(self, cin: int, cout: int, size: int, *, rngs: nnx.Rngs):
        self.size = size
        self.kernel, self.bias = weights((size, size, cin, cout), rngs), nnx.Param(jnp.zeros(cout))

    def __call__(self, x, frames):
        """x [b f m c] -> [b g o d], rounded up, and its frames [b]."""
        ends = tuple((0, -n % self.size) for n in x.shape[1:3])
        x = convolve(inside(x, frames), self.kernel, self.bias, self.size, ends)
        return x, None if frames is None else -(-frames // self.size)


class Mix(nnx.Module):
    """Depthwise 7x7 convolution, layer normalisation and a perceptron of four times the width, all scaled."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.kernel, self.bias = weights((7, 7, 1, width), rngs), nnx.Param(jnp.zeros(width))
        self.norm = nnx.LayerNorm(width, epsilon=1e-6, rngs=rngs)
        init = nnx.initializers.truncated_normal(0.02)
        self.up = nnx.Linear(width, 4 * width, kernel_init=init, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, kernel_init=init, rngs=rngs)
        self.scale = nnx.Param(jnp.full(width, 1e-6))

    def __call__(self, x, frames):
        y = convolve(inside(x, frames), self.kernel, self.bias, 1, ((3, 3), (3, 3)), x.shape[-1])
        y = self.down(nnx.gelu(self.up(self.norm(y)), approximate=False))
        return x + self.scale[...].astype(y.dtype)[None, None, None] * y


class ConvNeXtNet(nnx.Module):
    def __init__(self, c: ConvNeXt, mels: int, *, rngs: nnx.Rngs):
        self.patch, self.columns = (32, mels), 1
        widths = [c.channels * 2**i for i in range(4)]
        self.width = self.token = widths[-1]
        self.cuts = nnx.List(
            [
                Cut(i, o, 2 if k else 4, rngs=rngs)
                for k, (i, o) in enumerate(zip([1, *widths], widths, strict=False))
            ]
        )
        # of what comes out of the stem, and of what goes into the other cuts
        self.norms = nnx.List([nnx.LayerNorm(w, epsilon=1e-6, rngs=rngs) for w in (widths[0], *widths[:-1])])
        self.stages = nnx.List(
            [
                nnx.List([Mix(w, rngs=rngs) for _ in range(c.depth if k == 2 else min(3, c.depth))])
                for k, w in enumerate(widths)
            ]
        )
        self.norm = nnx.LayerNorm(self.width, epsilon=1e-6, rngs=rngs)

    def steps(self, frames):
        """Tokens that so many frames give, 32 each, rounded up: an int of an int, an array of an array."""
        return -(-frames // 32)

    def raw(self, spec, frames):
        if not spec.shape[1]:
            raise ValueError("ConvNeXt needs a clip of at least one of its frames; got 0 frames")
        x = spec[..., None]
        for k, (cut, norm, stage) in enumerate(zip(self.cuts, self.norms, self.stages, strict=True)):
            x, frames = cut(norm(x) if k else x, frames)
            x = x if k else norm(x)
            for block in stage:
                x = block(x, frames)
        return x.mean(2)

    def __call__(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b n d"]:
        """Tokens: the normalised mean over frequency of each time step of the last stage. No dropout."""
        return self.norm(self.raw(spec, frames))

    def embed(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b d"]:
        """Embedding: mean over time and frequency, normalised."""
        x = self.raw(spec, frames)
        mask = None if frames is None else within(jnp.maximum(self.steps(frames), 1), x.shape[1])
        return self.norm(masked_mean(x, mask))
