"""Vision transformer on patches of a spectrogram."""

import dataclasses

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from ssl_audio.encoders.layers import Block, masked_mean, patches, positions, sincos, within


@dataclasses.dataclass(frozen=True)
class ViT:
    """Pre-norm vision transformer on patches, with fixed sine-cosine positions, so any length will do.

    Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021; on spectrograms Gong et al., "AST", 2021.
    """

    width: int = 192
    depth: int = 12
    heads: int = 3
    patch: tuple[int, int] = (16, 16)
    """Frames and mel bands of a patch."""

    def build(self, mels: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """The network for spectrograms of `mels` bands, a multiple of the patch's height."""
        if mels % self.patch[1]:
            raise ValueError(f"{mels} mel bands are not a multiple of the patch's {self.patch[1]}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")
        return ViTNet(self, mels, rngs=rngs)


class ViTNet(nnx.Module):
    def __init__(self, c: ViT, mels: int, *, rngs: nnx.Rngs):
        self.patch, self.columns, self.token, self.heads = c.patch, mels // c.patch[1], c.width, c.heads
        self.width = c.width * self.columns
        self.stem = nnx.Linear(
            c.patch[0] * c.patch[1], c.width, kernel_init=nnx.initializers.xavier_uniform(), rngs=rngs
        )
        self.blocks = nnx.List([Block(c.width, c.heads, rngs=rngs) for _ in range(c.depth)])
        self.norm = nnx.LayerNorm(c.width, epsilon=1e-6, rngs=rngs)

    def __call__(
        self,
        spec: Float[Array, "b f m"],
        frames: Int[Array, " b"] | None = None,
        key: Array | None = None,
        keep: Int[Array, "b k"] | None = None,
    ) -> Float[Array, "b n d"]:
        """Tokens of all patches, or with `keep` of the visible ones only."""
        if spec.shape[1] < self.patch[0]:
            raise ValueError(f"a clip of {spec.shape[1]} frames is shorter than a patch of {self.patch[0]}")
        codes = sincos(positions(spec.shape[1], spec.shape[2], self.patch), self.token)
        x = self.stem(patches(spec, self.patch))
        x = x + jnp.asarray(codes, x.dtype)[None]
        mask = None if frames is None else self.visible(frames, x.shape[1])
        if keep is not None:
            x = jnp.take_along_axis(x, keep[..., None], 1)
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)

    def visible(self, frames, n):
        """Mask [b n] of the patches that lie within the sound (the first column always does)."""
        return within(jnp.maximum(frames // self.patch[0], 1) * self.columns, n)

    def embed(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b d"]:
        """Embedding: mean over time, the frequency patches side by side (as M2D and MW-MAE evaluate)."""
        x = self(spec, frames, key)
        b, n, d = x.shape
        mask = None if frames is None else self.visible(frames, n)[:, :: self.columns]
        return masked_mean(x.reshape(b, n // self.columns, self.columns * d), mask)
