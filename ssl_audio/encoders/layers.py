"""Layers that several encoders and heads share."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Shaped

from ssl_audio.losses import unit


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


def grouped(conv: nnx.Conv, x: Float[Array, "b h w c"]) -> Float[Array, "b h w e"]:
    """A square convolution in groups with stride 1 and zeros around, as matrix products of shifted copies.

    What `conv(x)` is; XLA's own takes fifty times as long on a CPU, forward and back.
    """
    kernel, groups = conv.kernel[...], conv.feature_group_count
    side, (b, h, w, c) = kernel.shape[0], x.shape
    weight = kernel.reshape(side, side, c // groups, groups, -1).transpose(0, 1, 3, 2, 4)
    left = (side - 1) // 2
    pad = (left, side - 1 - left)
    x = jnp.pad(x.reshape(b, h, w, groups, -1).transpose(3, 0, 1, 2, 4), ((0, 0), (0, 0), pad, pad, (0, 0)))
    y = sum(
        jnp.einsum("gbhwi,gio->gbhwo", x[:, :, i : i + h, j : j + w], weight[i, j])
        for i in range(side)
        for j in range(side)
    )
    return y.transpose(1, 2, 3, 0, 4).reshape(b, h, w, -1) + conv.bias[...][None, None, None]


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
        self,
        x: Float[Array, "b n d"],
        mask: Bool[Array, "b n"] | None = None,
        bias: Float[Array, "h n n"] | None = None,
    ) -> Float[Array, "b n d"]:
        """mask: tokens that may be attended to. bias: added to the heads' scores; -inf: not to be seen."""
        b, n, d = x.shape
        q, k, v = jnp.moveaxis(self.qkv(self.norm1(x)).reshape(b, n, 3, self.heads, d // self.heads), 2, 0)
        seen = None if mask is None else mask[:, None, None, :]
        bias = None if bias is None else bias[None]
        x = x + self.out(jax.nn.dot_product_attention(q, k, v, bias=bias, mask=seen).reshape(b, n, d))
        return x + self.down(nnx.gelu(self.up(self.norm2(x)), approximate=False))


class MultiWindowBlock(Block):
    """Transformer block whose heads each attend within windows of their own length along the sequence.

    windows: tokens in a window, one number for each head; 0: all tokens. A window's last, cut off by the end,
    is shorter. Windowed heads have a learned bias for each distance. Yadav et al., "Masked Autoencoders with
    Multi-Window Local-Global Attention Are Better Audio Learners", 2024.
    """

    def __init__(self, width: int, heads: int, windows: tuple[int, ...], *, rngs: nnx.Rngs):
        if len(windows) != heads or any(w < 0 or w == 1 for w in windows):
            raise ValueError(
                f"windows {windows} of {heads} heads: give each head one, 0 (all tokens) or 2 tokens and more"
            )
        super().__init__(width, heads, rngs=rngs)
        self.windows = windows
        init = nnx.initializers.variance_scaling(0.02, "fan_in", "truncated_normal")
        self.tables = nnx.List([nnx.Param(init(rngs.params(), (2 * w - 1, 1))) for w in windows if w])

    def bias(self, n: int) -> Float[Array, "h n n"]:
        """What is added to the scores of n tokens: by distance within a window, -inf outside of it."""
        place, tables, out = np.arange(n), iter(self.tables), []
        away = place[:, None] - place[None]
        for w in self.windows:
            if not w:
                out.append(jnp.zeros((n, n)))
                continue
            inside = place[:, None] // w == place[None] // w
            learned = next(tables)[...][:, 0].astype(jnp.float32)[np.where(inside, away + w - 1, 0)]
            out.append(jnp.where(inside, learned, -jnp.inf))
        return jnp.stack(out)

    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        return super().__call__(x, bias=self.bias(x.shape[1]).astype(x.dtype))


class WindowBlock(nnx.Module):
    """Swin V2 block: attention by cosine within windows of a grid of tokens, normalisation after each branch.

    window and shift: tokens along time and along frequency; windows at the edges are smaller. A learned
    function of the distance, in logarithms, is added to the scores. Liu et al., "Swin Transformer V2", 2022,
    as AudioMAE's decoder has it (Huang et al., 2022), without dropout in that function.
    columns: tokens of one time step, next to one another in the sequence.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        window: tuple[int, int],
        shift: tuple[int, int],
        columns: int,
        *,
        rngs: nnx.Rngs,
    ):
        if min(window) < 1 or any(not 0 <= s < w for s, w in zip(shift, window, strict=True)):
            raise ValueError(
                f"window {window} shifted by {shift}: a shift is from 0 to below the window's size"
            )
        self.heads, self.window, self.shift, self.columns = heads, window, shift, columns
        init = nnx.initializers.xavier_uniform()
        linear = lambda i, o, **more: nnx.Linear(i, o, kernel_init=init, rngs=rngs, **more)
        self.norm1, self.norm2 = (nnx.LayerNorm(width, epsilon=1e-6, rngs=rngs) for _ in range(2))
        self.qkv, self.out = linear(width, 3 * width), linear(width, width)
        self.up, self.down = linear(width, 4 * width), linear(4 * width, width)
        # no bias in the last: a constant added to all scores changes nothing
        self.far1, self.far2 = linear(2, 384), linear(384, heads, use_bias=False)
        self.temperature = nnx.Param(jnp.ones(heads))

    def bias(self) -> Float[Array, "h s s"]:
        """What is added to the scores of a window's tokens."""
        place = positions(*self.window, (1, 1))
        away = (place[:, None] - place[None]).astype(np.float32)
        away = jnp.asarray(np.sign(away) * np.log1p(np.abs(away)), self.far1.kernel[...].dtype)
        return jnp.moveaxis(self.far2(nnx.relu(self.far1(away))), -1, 0)

    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        b, n, d = x.shape
        grid = (n // self.columns, self.columns)
        cut = lambda y: into_windows(y.reshape(-1, *grid, y.shape[-1]), self.window, self.shift)
        seen = cut(jnp.ones((1, n, 1), bool))[0, :, None, None, :, 0]
        y = cut(self.qkv(x))
        q, k, v = jnp.moveaxis(y.reshape(-1, y.shape[2], 3, self.heads, d // self.heads), 2, 0)
        scale = jnp.maximum(self.temperature[...].astype(jnp.float32), 0.01)
        q = unit(q.astype(jnp.float32)) / scale[None, None, :, None]
        q, k = q.astype(x.dtype), unit(k.astype(jnp.float32)).astype(x.dtype)
        y = jax.nn.dot_product_attention(
            q, k, v, bias=self.bias()[None], mask=jnp.tile(seen, (b, 1, 1, 1)), scale=1.0
        )
        y = from_windows(y.reshape(b, -1, y.shape[1], d), grid, self.window, self.shift)
        x = x + self.norm1(self.out(y.reshape(b, n, d)))
        return x + self.norm2(self.down(nnx.gelu(self.up(x), approximate=False)))


def _edges(grid, window, shift):
    """Padding (before, after) of each axis, so that windows `shift` tokens off the beginning tile the
    grid."""
    shift = [0 if size <= w else s for size, w, s in zip(grid, window, shift, strict=True)]
    before = [(w - s) % w for w, s in zip(window, shift, strict=True)]
    return [(a, -(size + a) % w) for a, size, w in zip(before, grid, window, strict=True)]


def into_windows(
    x: Shaped[Array, "b f m d"], window: tuple[int, int], shift: tuple[int, int] = (0, 0)
) -> Shaped[Array, "b w s d"]:
    """Cut a grid of tokens into windows, zero (or False) where one reaches over the edge.

    The first window ends after `shift` tokens, if that isn't 0 and the grid is larger than the window: no
    window wraps around.
    """
    b, d = x.shape[0], x.shape[-1]
    x = jnp.pad(x, ((0, 0), *_edges(x.shape[1:3], window, shift), (0, 0)))
    x = x.reshape(b, x.shape[1] // window[0], window[0], x.shape[2] // window[1], window[1], d)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, -1, window[0] * window[1], d)


def from_windows(
    x: Shaped[Array, "b w s d"],
    grid: tuple[int, int],
    window: tuple[int, int],
    shift: tuple[int, int] = (0, 0),
) -> Shaped[Array, "b f m d"]:
    """The inverse of `into_windows`."""
    (b, _, _, d), ((top, foot), (left, right)) = x.shape, _edges(grid, window, shift)
    f, m = (top + grid[0] + foot) // window[0], (left + grid[1] + right) // window[1]
    x = x.reshape(b, f, m, *window, d).transpose(0, 1, 3, 2, 4, 5).reshape(b, f * window[0], m * window[1], d)
    return x[:, top : top + grid[0], left : left + grid[1]]


class Transformer(nnx.Module):
    """Linear, sine-cosine positions, blocks, norm, linear: predictors and decoders that are thrown away."""

    def __init__(self, din: int, width: int, depth: int, heads: int, dout: int, *, rngs: nnx.Rngs):
        self.width = width
        self.enter = nnx.Linear(din, width, rngs=rngs)
        self.blocks = nnx.List([Block(width, heads, rngs=rngs) for _ in range(depth)])
        self.norm = nnx.LayerNorm(width, epsilon=1e-6, rngs=rngs)
        self.out = nnx.Linear(width, dout, rngs=rngs)

    def __call__(self, x: Float[Array, "b n d"], grid: np.ndarray) -> Float[Array, "b n e"]:
        """grid [n axes]: place of each token."""
        x = self.enter(x)
        x = x + jnp.asarray(sincos(grid, self.width), x.dtype)[None]
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x))


def sincos(grid: np.ndarray, width: int) -> np.ndarray:
    """Fixed sine-cosine position codes of grid [n axes]: an equal share of the width for each axis."""
    parts = 2 * grid.shape[1]
    if width % parts:
        raise ValueError(f"sine-cosine positions need a width divisible by {parts}; got {width}")
    angle = grid[:, :, None] / 1e4 ** (np.arange(width // parts) / (width // parts))
    return np.concatenate([np.sin(angle), np.cos(angle)], -1).reshape(len(grid), width).astype(np.float32)


def pace(net) -> tuple[int, float]:
    """(frames from one token to the next, frame that the first one is centred on), of any encoder's network.

    It may say so by `every` and `middle`; else its tokens tile time and see no more than their patch.
    """
    return getattr(net, "every", net.patch[0]), getattr(net, "middle", (net.patch[0] - 1) / 2)


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
