"""CPC's two networks: convolutions on the wave, and a recurrent context over any encoder's tokens."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from ssl_audio.encoders.efficientnet import EfficientNetNet
from ssl_audio.encoders.layers import masked_mean, pace, within
from ssl_audio.encoders.recurrent import GRULayer


@dataclasses.dataclass(frozen=True)
class CPCConv:
    """CPC's convolutions on the wave: takes `RawFrames`. A token for each 160 samples.

    van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018: five layers with
    kernels 10, 8, 4, 4, 4 and 512 channels. Padding (3, 2, 1, 1, 1) and the normalisation of each step over
    its channels are those of Rivière et al., "Unsupervised Pretraining Transfers Well Across Languages",
    2020. A token has heard 465 samples, 152 of them after its own 160.
    """

    width: int = 512
    strides: tuple[int, ...] = (5, 4, 2, 2, 2)
    """Of each layer, two at least; its kernel is twice as long."""

    def build(self, mels: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """The network for frames of `mels` samples: the hop of RawFrames."""
        hop = math.prod(self.strides)
        if min(self.strides, default=0) < 2:
            raise ValueError(f"CPCConv: strides {self.strides} must all be 2 at least")
        if hop % mels:
            raise ValueError(
                f"CPCConv steps on by {hop} samples, not a multiple of frames of {mels}; take a frontend "
                f"RawFrames(hop={hop}) or other strides"
            )
        return CPCConvNet(self, mels, rngs=rngs)


class StridedConv(nnx.Module):
    """Convolution over time with a kernel of two strides, half a stride of zeros at both ends.

    Such a kernel covers two neighbouring blocks of a stride each, so that it is two matrix products.
    """

    def __init__(self, cin: int, cout: int, stride: int, *, rngs: nnx.Rngs):
        init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        self.kernel = nnx.Param(init(rngs.params(), (2 * stride * cin, cout)))
        self.bias = nnx.Param(jnp.zeros(cout))
        self.stride = stride

    def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b n d"]:
        (b, t, c), s, pad = x.shape, self.stride, (self.stride + 1) // 2
        x = jnp.pad(x, ((0, 0), (pad, pad), (0, 0)))[:, : t + s].reshape(b, t // s + 1, s * c)
        first, second = jnp.split(self.kernel[...], 2)
        return x[:, :-1] @ first + x[:, 1:] @ second + self.bias[...][None, None]


class CPCConvNet(nnx.Module):
    def __init__(self, c: CPCConv, mels: int, *, rngs: nnx.Rngs):
        self.hop = math.prod(c.strides)
        self.width = self.token = c.width
        self.patch, self.columns = (self.hop // mels, mels), 1
        sizes = [1] + [c.width] * (len(c.strides) - 1)
        self.convs = nnx.List(
            [StridedConv(i, c.width, s, rngs=rngs) for i, s in zip(sizes, c.strides, strict=True)]
        )
        self.norms = nnx.List([nnx.LayerNorm(c.width, epsilon=1e-5, rngs=rngs) for _ in c.strides])

    def steps(self, frames):
        """Tokens that so many frames give: an int of an int, an array of an array."""
        return frames // self.patch[0]

    def __call__(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b n d"]:
        """Tokens, one for each product of the strides in samples."""
        steps = self.steps(spec.shape[1])
        if not steps:
            raise ValueError(f"CPCConv needs {self.patch[0]} frames at least; got {spec.shape[1]}")
        x = spec[:, : steps * self.patch[0]].reshape(len(spec), steps * self.hop, 1)
        valid = None if frames is None else self.steps(frames) * self.hop
        for conv, norm in zip(self.convs, self.norms, strict=True):
            if valid is not None:  # zero as the convolution's own padding is
                x = jnp.where(within(valid, x.shape[1])[..., None], x, 0)
                valid = valid // conv.stride
            x = nnx.relu(norm(conv(x)))
        return x

    def embed(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b d"]:
        """Embedding: mean over time."""
        x = self(spec, frames, key)
        mask = None if frames is None else within(jnp.maximum(self.steps(frames), 1), x.shape[1])
        return masked_mean(x, mask)


@dataclasses.dataclass(frozen=True)
class Context:
    """An encoder and, over its tokens, a GRU: CPC's z and c. The context c is what is judged.

    van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018. Any encoder whose
    tokens hear little of what follows will do: `CPCConv` on waves, `AudioNTT` on spectrograms.
    """

    encoder: Any = CPCConv()
    width: int = 256
    """Of the GRU's state, the context."""

    def build(self, mels: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """The network for spectrograms of `mels` bands, as the inner encoder takes them."""
        return ContextNet(self, mels, rngs=rngs)


class ContextNet(nnx.Module):
    def __init__(self, c: Context, mels: int, *, rngs: nnx.Rngs):
        self.local = c.encoder.build(mels, rngs=rngs)
        inner = getattr(self.local, "inner", self.local)  # behind a frontend that learns
        if hasattr(inner, "cut") or hasattr(inner, "astern") or isinstance(inner, EfficientNetNet):
            raise ValueError(
                f"Context: each token of {type(c.encoder).__name__} hears the whole clip, so nothing would "
                f"be left to predict; give a convolutional encoder such as AudioNTT or CPCConv"
            )
        self.width = self.token = c.width
        self.patch, self.columns = self.local.patch, 1
        self.every, self.middle = pace(self.local)
        self.walk = GRULayer(self.local.token * self.local.columns, c.width, rngs=rngs)

    def steps(self, frames):
        """Time steps of the inner encoder."""
        return self.local.steps(frames)

    def look(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> tuple[Float[Array, "b n e"], Float[Array, "b n d"]]:
        """z, the inner encoder's tokens (those of a time step side by side), and c, the state after each."""
        z = self.local(spec, frames, key)
        z = z.reshape(len(z), -1, z.shape[2] * self.local.columns)
        mask = None if frames is None else within(jnp.maximum(self.steps(frames), 1), z.shape[1])
        return z, self.walk(z, mask)

    def __call__(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b n d"]:
        """Tokens: the context after each of the inner encoder's time steps."""
        return self.look(spec, frames, key)[1]

    def embed(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b d"]:
        """Embedding: mean of the context over time."""
        c = self(spec, frames, key)
        mask = None if frames is None else within(jnp.maximum(self.steps(frames), 1), c.shape[1])
        return masked_mean(c, mask)
