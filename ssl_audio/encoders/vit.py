"""Vision transformer on patches of a spectrogram."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from ssl_audio.encoders.layers import Block, masked_mean, patches, positions, sincos, within

SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}
"""Width, depth and heads of the published vision transformers."""


@dataclasses.dataclass(frozen=True)
class ViT:
    """Pre-norm vision transformer on patches; with its fixed sine-cosine positions any length will do.

    Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021; on spectrograms Gong et al., "AST", 2021:
    `ViT.of("base", cls=True, positions="learned", places=101, stride=(10, 10))` is AST at 1,024 frames of 128
    bands, less its distillation token.
    """

    width: int = 192
    depth: int = 12
    heads: int = 3
    patch: tuple[int, int] = (16, 16)
    """Frames and mel bands of a patch."""
    cls: bool = False
    """A class token in front, for methods with a loss on the whole clip."""
    positions: Literal["sincos", "learned"] = "sincos"
    places: int = 64
    """Time steps that have a learned position. A shorter clip takes the first of them; over a longer one they
    are stretched (linear interpolation), over its padding too."""
    stride: tuple[int, int] | None = None
    """Frames and bands from one patch to the next, at most a patch; None: a patch, so that they tile. What
    reconstructs patches (MAE) needs them to tile."""
    remat: bool = False
    """Compute each block again for the gradient instead of remembering its inside: less memory, 4/3 of the
    work."""
    scan: bool = False
    """Compile one block and loop over it: same outputs and parameters, a deep network compiles sooner."""

    @classmethod
    def of(cls, size: str, /, **changes) -> "ViT":
        """A published size: tiny (5.7 million parameters), small (22), base (86), large (304)."""
        if size not in SIZES:
            raise ValueError(f"no published size is called {size!r}; there are {', '.join(SIZES)}")
        return cls(**dict(zip(("width", "depth", "heads"), SIZES[size], strict=True)) | changes)

    def build(self, mels: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """The network for spectrograms of `mels` bands; where patches tile, a multiple of their height."""
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")
        if self.positions not in ("sincos", "learned"):
            raise ValueError(f"positions are 'sincos' or 'learned', not {self.positions!r}")
        if self.stride is None:
            if mels % self.patch[1]:
                raise ValueError(f"{mels} mel bands are not a multiple of the patch's {self.patch[1]}")
        elif not all(1 <= s <= p for s, p in zip(self.stride, self.patch, strict=True)):
            raise ValueError(
                f"a stride of {self.stride} skips some of the spectrogram: patches are {self.patch}"
            )
        elif mels < self.patch[1]:
            raise ValueError(f"{mels} mel bands are fewer than the patch's {self.patch[1]}")
        return ViTNet(self, mels, rngs=rngs)


class ViTNet(nnx.Module):
    def __init__(self, c: ViT, mels: int, *, rngs: nnx.Rngs):
        self.patch, self.stride, self.token, self.heads = c.patch, c.stride or c.patch, c.width, c.heads
        self.every = self.stride[0]
        self.columns = (mels - c.patch[1]) // self.stride[1] + 1
        self.remat, self.scan = c.remat, c.scan
        self.width = 2 * c.width if c.cls else c.width * self.columns
        self.stem = nnx.Linear(
            c.patch[0] * c.patch[1], c.width, kernel_init=nnx.initializers.xavier_uniform(), rngs=rngs
        )
        normal = nnx.initializers.normal(0.02)
        self.cls = nnx.Param(normal(rngs.params(), (c.width,))) if c.cls else None
        learned = c.positions == "learned"
        places = (c.places, self.columns, c.width)
        self.places = nnx.Param(normal(rngs.params(), places)) if learned else None
        self.blocks = nnx.List([Block(c.width, c.heads, rngs=rngs) for _ in range(c.depth)])
        self.norm = nnx.LayerNorm(c.width, epsilon=1e-6, rngs=rngs)

    def steps(self, frames):
        """Time steps that so many frames give: an int of an int, an array of an array."""
        n = (frames - self.patch[0]) // self.stride[0] + 1
        return (n + abs(n)) // 2

    def cut(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None
    ) -> Float[Array, "b n d"]:
        """Embedded patches, time-major, before positions: where a method puts its mask token. frames: unused,
        for a patch sees nothing beside it."""
        if spec.shape[1] < self.patch[0]:
            raise ValueError(f"a clip of {spec.shape[1]} frames is shorter than a patch of {self.patch[0]}")
        if self.stride == self.patch:
            return self.stem(patches(spec, self.patch))
        kernel = self.stem.kernel[...].reshape(*self.patch, 1, self.token)
        x = jax.lax.conv_general_dilated(
            spec[..., None],
            kernel.astype(spec.dtype),
            self.stride,
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return x.reshape(len(x), -1, self.token) + self.stem.bias[...].astype(x.dtype)[None, None]

    def places_of(self, n: int) -> Float[Array, "n d"]:
        """Positions of n patches."""
        steps = n // self.columns
        if self.places is None:
            grid = positions(steps * self.patch[0], self.columns * self.patch[1], self.patch)
            return jnp.asarray(sincos(grid, self.token))
        table = self.places[...]
        if steps > len(table):
            table = jax.image.resize(table, (steps, *table.shape[1:]), "linear")
        return table[:steps].reshape(n, self.token)

    def layers(
        self,
        x: Float[Array, "b n d"],
        mask: Bool[Array, "b n"] | None = None,
        keep: Int[Array, "b k"] | None = None,
    ) -> list[Float[Array, "b m d"]]:
        """What each block makes of all patches of `cut`, or of those at `keep`; a class token is first.

        The last of them goes through `norm` to be a token. mask [b n]: patches that may be attended to.
        """
        x = x + self.places_of(x.shape[1]).astype(x.dtype)[None]
        if keep is not None:
            x = jnp.take_along_axis(x, keep[..., None], 1)
            mask = None if mask is None else jnp.take_along_axis(mask, keep, 1)
        if self.cls is not None:
            cls = jnp.broadcast_to(self.cls[...].astype(x.dtype)[None, None], (len(x), 1, self.token))
            x = jnp.concatenate([cls, x], 1)
            mask = None if mask is None else jnp.pad(mask, ((0, 0), (1, 0)), constant_values=True)
        out = []
        if not (self.remat or self.scan):
            for block in self.blocks:
                x = block(x, mask)
                out.append(x)
            return out
        graphs, params = zip(*(nnx.split(block) for block in self.blocks), strict=True)
        params = [nnx.as_pure(p) for p in params]

        def step(x, params):
            x = nnx.merge(graphs[0], params)(x, mask)
            return x, x

        if self.remat:
            step = jax.checkpoint(step)
        if self.scan:  # stacked here, so that parameters keep their names, axes and weight decay
            _, out = jax.lax.scan(step, x, jax.tree.map(lambda *p: jnp.stack(p), *params))
            return list(out)
        for p in params:
            x, _ = step(x, p)
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
