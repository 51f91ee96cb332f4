"""A frontend that is trained, before any encoder of spectrograms."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from ssl_audio.encoders.conv import AudioNTT
from ssl_audio.encoders.layers import pace, within
from ssl_audio.signal.learned import LEAF


@dataclasses.dataclass(frozen=True)
class Learned:
    """A trained frontend and an encoder, trained together on the wave itself: takes `RawFrames`.

    Between them the features are normalised over the bands and (valid) frames of each clip, as SincNet's
    layer normalisation does (Ba et al. 2016), then scaled and shifted band by band with trained numbers; the
    batch has no part in it. Train in float32: bfloat16 can't tell neighbouring frequencies apart.
    """

    front: Any = LEAF()
    """LEAF, SincNet or MelPCEN of `signal.learned`, at the rate of the RawFrames."""
    encoder: Any = AudioNTT()
    """The encoder of the front's bands."""

    def build(self, mels: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """The network for frames of `mels` samples: the hop of RawFrames, and of the frontend."""
        return LearnedNet(self, mels, rngs=rngs)


class LearnedNet(nnx.Module):
    def __init__(self, c: Learned, hop: int, *, rngs: nnx.Rngs):
        self.front, self.hop = c.front, hop
        self.params = nnx.Dict({name: nnx.Param(jnp.asarray(v)) for name, v in c.front.init().items()})
        self.scale, self.bias = nnx.Param(jnp.ones(c.front.mels)), nnx.Param(jnp.zeros(c.front.mels))
        self.inner = c.encoder.build(c.front.mels, rngs=rngs)
        self.width, self.token = self.inner.width, self.inner.token
        self.columns = self.inner.columns
        self.every, self.middle = pace(self.inner)
        frames, bands = self.inner.patch
        self.patch = (frames, max(hop // (c.front.mels // bands), 1))  # as many tokens a column as the inner

    def steps(self, frames):
        """Time steps of the inner encoder."""
        return self.inner.steps(frames)

    def features(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None
    ) -> Float[Array, "b f n"]:
        """The normalised features that the inner encoder sees, a frame for each frame of samples."""
        b, f, hop = spec.shape
        there = jnp.ones((b, f, 1), bool) if frames is None else within(frames, f)[..., None]
        wave = jnp.where(there, spec, 0).astype(jnp.float32).reshape(b, f * hop)
        x = self.front(wave, {k: v[...].astype(jnp.float32) for k, v in self.params.items()}, hop)
        weight = there.astype(x.dtype)
        weight = weight / (jnp.maximum(weight.sum((1, 2), keepdims=True), 1) * x.shape[2])
        x = x - jnp.sum(x * weight, (1, 2), keepdims=True)
        x = x * jax.lax.rsqrt(jnp.sum(x * x * weight, (1, 2), keepdims=True) + 1e-5)
        return x.astype(spec.dtype) * self.scale[...][None, None] + self.bias[...][None, None]

    def __call__(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b n d"]:
        """Tokens of the inner encoder."""
        return self.inner(self.features(spec, frames), frames, key)

    def embed(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b d"]:
        """Embedding of the inner encoder."""
        return self.inner.embed(self.features(spec, frames), frames, key)

    def read(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None
    ) -> Float[Array, "b d"]:
        """What is judged, of the inner encoder."""
        return getattr(self.inner, "read", self.inner.embed)(self.features(spec, frames), frames)
