"""Vision transformer on patches of a spectrogram."""

import dataclasses

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

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
    cls: bool = False
    """A class token in front, for methods with a loss on the whole clip."""

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
        self.width = 2 * c.width if c.cls else c.width * self.columns
        self.stem = nnx.Linear(
            c.patch[0] * c.patch[1], c.width, kernel_init=nnx.initializers.xavier_uniform(), rngs=rngs
        )
        self.cls = nnx.Param(nnx.initializers.normal(0.02)(rngs.params(), (c.width,))) if c.cls else None
        self.blocks = nnx.List([Block(c.width, c.heads, rngs=rngs) for _ in range(c.depth)])
        self.norm = nnx.LayerNorm(c.width, epsilon=1e-6, rngs=rngs)

    def steps(self, frames):
        """Time steps that so many frames give: an int of an int, an array of an array."""
        return frames // self.patch[0]

    def cut(self, spec: Float[Array, "b f m"]) -> Float[Array, "b n d"]:
        """Embedded patches, time-major, before positions: where a method puts its mask token."""
        if spec.shape[1] < self.patch[0]:
            raise ValueError(f"a clip of {spec.shape[1]} frames is shorter than a patch of {self.patch[0]}")
        return self.stem(patches(spec, self.patch))

    def layers(
        self,
        x: Float[Array, "b n d"],
        mask: Bool[Array, "b n"] | None = None,
        keep: Int[Array, "b k"] | None = None,
    ) -> list[Float[Array, "b m d"]]:
        """What each block makes of all patches of `cut`, or of those at `keep`; a class token is first.

        The last of them goes through `norm` to be a token. mask [b n]: patches that may be attended to.
        """
        n = x.shape[1]
        grid = positions(n // self.columns * self.patch[0], self.columns * self.patch[1], self.patch)
        x = x + jnp.asarray(sincos(grid, self.token), x.dtype)[None]
        if keep is not None:
            x = jnp.take_along_axis(x, keep[..., None], 1)
            mask = None if mask is None else jnp.take_along_axis(mask, keep, 1)
        if self.cls is not None:
            cls = jnp.broadcast_to(self.cls[...].astype(x.dtype)[None, None], (len(x), 1, self.token))
            x = jnp.concatenate([cls, x], 1)
            mask = None if mask is None else jnp.pad(mask, ((0, 0), (1, 0)), constant_values=True)
        out = []
        for block in self.blocks:
            x = block(x, mask)
            out.append(x)
        return out

    def __call__(
        self,
        spec: Float[Array, "b f m"],
        frames: Int[Array, " b"] | None = None,
        key: Array | None = None,
        keep: Int[Array, "b k"] | None = None,
    ) -> Float[Array, "b n d"]:
        """Tokens of all patches, or with `keep` of the visible ones only; without the class token."""
        x = self.cut(spec)
        mask = None if frames is None else self.visible(frames, x.shape[1])
        return self.norm(self.layers(x, mask, keep)[-1])[:, int(self.cls is not None) :]

    def visible(self, frames, n):
        """Mask [b n] of the patches that lie within the sound (the first column always does)."""
        return within(jnp.maximum(self.steps(frames), 1) * self.columns, n)

    def embed(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b d"]:
        """Embedding: mean over time, the frequency patches side by side (as M2D and MW-MAE evaluate); with a
        class token, that token and the mean over all patches."""
        x = self.cut(spec)
        b, n, d = x.shape
        mask = None if frames is None else self.visible(frames, n)
        x = self.norm(self.layers(x, mask)[-1])
        if self.cls is not None:
            return jnp.concatenate([x[:, 0], masked_mean(x[:, 1:], mask)], -1)
        mask = None if mask is None else mask[:, :: self.columns]
        return masked_mean(x.reshape(b, n // self.columns, self.columns * d), mask)
