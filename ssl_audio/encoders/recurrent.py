"""Recurrent encoders: a state walks over the frames."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from ssl_audio.encoders.conv import BatchNorm, conv3x3
from ssl_audio.encoders.layers import masked_mean, within


class GRULayer(nnx.Module):
    """Gated recurrent units in one direction, as torch.nn.GRU computes and draws them.

    Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014. PyTorch's two biases of the
    gates are one here: their sum. The state stays float32, since small updates of it add up.
    """

    def __init__(self, din: int, width: int, *, reverse: bool = False, rngs: nnx.Rngs):
        self.width, self.reverse = width, reverse

        def draw(*shape):
            return nnx.Param(jax.random.uniform(rngs.params(), shape, minval=-1, maxval=1) * width**-0.5)

        self.enter, self.back = draw(din, 3 * width), draw(width, 3 * width)  # reset, update, candidate
        self.bias, self.inner = draw(3 * width), draw(width)  # inner: within what the reset gate scales

    def __call__(self, x: Float[Array, "b n d"], mask: Bool[Array, "b n"] | None = None):
        """States [b n width]; where the mask is False the state stands still."""
        w, back, inner = self.width, self.back[...], self.inner[...].astype(jnp.float32)[None]
        gates = x @ self.enter[...] + self.bias[...][None, None]

        def step(h, now):
            given, there = now
            given, kept = given.astype(jnp.float32), (h.astype(x.dtype) @ back).astype(jnp.float32)
            reset, update = jnp.split(jax.nn.sigmoid(given[:, : 2 * w] + kept[:, : 2 * w]), 2, -1)
            new = jnp.tanh(given[:, 2 * w :] + reset * (kept[:, 2 * w :] + inner))
            new = new + update * (h - new)
            if there is not None:
                new = jnp.where(there[:, None], new, h)
            return new, new.astype(x.dtype)

        time_major = gates.swapaxes(0, 1), None if mask is None else mask.T
        start = jnp.zeros((len(x), w), jnp.float32)
        return jax.lax.scan(step, start, time_major, reverse=self.reverse)[1].swapaxes(0, 1)


@dataclasses.dataclass(frozen=True)
class GRU:
    """Stack of GRU layers over the frames, forward in time only, each added to its input where widths agree.

    The encoder of Chung et al., "An Unsupervised Autoregressive Model for Speech Representation Learning",
    2019, in their published code: a token is the last layer's state, which has heard no later frame.
    """

    width: int = 512
    depth: int = 3
    dropout: float = 0.1
    """Between the layers."""

    def build(self, mels: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """The network for spectrograms of any number of bands."""
        return GRUNet(self, mels, rngs=rngs)


class GRUNet(nnx.Module):
    causal = True
    """A token depends on no later frame."""

    def __init__(self, c: GRU, mels: int, *, rngs: nnx.Rngs):
        self.width = self.token = c.width
        self.patch, self.columns = (1, mels), 1
        widths = [mels] + c.depth * [c.width]
        self.stack = nnx.List([GRULayer(i, c.width, rngs=rngs) for i in widths[:-1]])
        self.drop = nnx.Dropout(c.dropout)

    def steps(self, frames):
        """Tokens that so many frames give: as many."""
        return frames

    def __call__(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b n d"]:
        """Tokens, one for each frame."""
        if not spec.shape[1]:
            raise ValueError("GRU needs 1 frame at least; the clip has no frames")
        x, mask = spec, None if frames is None else within(frames, spec.shape[1])
        for i, layer in enumerate(self.stack):
            y = layer(x, mask)
            if i + 1 < len(self.stack):
                at = None if key is None else jax.random.fold_in(key, i)
                y = self.drop(y, deterministic=key is None, rngs=at)
            x = x + y if x.shape == y.shape else y
        return x

    def embed(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b d"]:
        """Embedding: mean over time."""
        return masked_mean(self(spec, frames, key), None if frames is None else within(frames, spec.shape[1]))


@dataclasses.dataclass(frozen=True)
class CRNN:
    """Seven gated convolutions, then bidirectional GRUs: the sound event detection baseline of DCASE.

    Turpault et al., "Sound Event Detection in Domestic Environments with Weakly Labeled Data and Soundscape
    Synthesis", 2019. Its 128 bands are halved seven times; here they are halved for as long as they are even,
    at most seven times, so 64 and 40 bands will do. Time is halved twice. The embedding is the mean over
    time, where the baseline weighs time by attention for each class.
    """

    width: int = 128
    """Of the GRU in each direction; a token is twice as wide."""
    channels: int = 128
    """Of the last convolutions; the first have 16, 32 and 64 of them."""
    depth: int = 2
    """Layers of the GRU."""
    dropout: float = 0.5

    def build(self, mels: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """The network for spectrograms of `mels` bands, a multiple of 8."""
        if mels % 8:
            raise ValueError(
                f"CRNN halves the frequency axis three times at least: {mels} bands are not a multiple of 8"
            )
        return CRNNNet(self, mels, rngs=rngs)


class GatedBlock(nnx.Module):
    """3x3 convolution, batch normalisation, gate, mean over cells of `pool` frames and bands."""

    def __init__(self, cin: int, cout: int, pool: tuple[int, int], *, rngs: nnx.Rngs):
        init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        self.kernel = nnx.Param(init(rngs.params(), (3, 3, cin, cout)))
        # the published 0.99 counts the new: running averages are the last batches' statistics
        self.norm = BatchNorm(cout, momentum=0.99, epsilon=1e-3)
        self.line = nnx.Linear(cout, cout, rngs=rngs)
        self.pool = pool

    def __call__(self, x: Float[Array, "b f m c"]) -> Float[Array, "b g o d"]:
        x = self.norm(conv3x3(x, self.kernel[...]))
        x = self.line(x) * jax.nn.sigmoid(x)
        (b, f, m, c), (t, p) = x.shape, self.pool
        return x[:, : f // t * t].reshape(b, f // t, t, m // p, p, c).mean((2, 4))


class CRNNNet(nnx.Module):
    def __init__(self, c: CRNN, mels: int, *, rngs: nnx.Rngs):
        self.width = self.token = 2 * c.width
        self.patch, self.columns = (4, mels), 1
        sizes = [1] + [min(16 * 2**i, c.channels) for i in range(7)]
        blocks, bands = [], mels
        for i in range(7):
            pool = (2 if i < 2 else 1, 1 if bands % 2 else 2)
            blocks.append(GatedBlock(sizes[i], sizes[i + 1], pool, rngs=rngs))
            bands //= pool[1]
        self.blocks, self.drop = nnx.List(blocks), nnx.Dropout(c.dropout)
        widths = [bands * sizes[-1]] + c.depth * [2 * c.width]
        self.ahead = nnx.List([GRULayer(i, c.width, rngs=rngs) for i in widths[:-1]])
        self.astern = nnx.List([GRULayer(i, c.width, reverse=True, rngs=rngs) for i in widths[:-1]])

    def steps(self, frames):
        """Tokens that so many frames give: an int of an int, an array of an array."""
        return frames // 4

    def __call__(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b n d"]:
        """Tokens, one for each 4 frames."""
        if spec.shape[1] < 4:
            raise ValueError(f"CRNN needs 4 frames at least (two halvings); got {spec.shape[1]}")
        keys = 8 * [None] if key is None else jax.random.split(key, 8)
        x, valid = spec[..., None], frames
        for block, at in zip(self.blocks, keys[:7], strict=True):
            if valid is not None:  # zero as the convolution's own padding is
                x = jnp.where(within(valid, x.shape[1])[..., None, None], x, 0)
                valid = valid // block.pool[0]
            x = self.drop(block(x), deterministic=at is None, rngs=at)
        x = x.reshape(*x.shape[:2], -1)
        mask = None if valid is None else within(jnp.maximum(valid, 1), x.shape[1])
        for ahead, astern in zip(self.ahead, self.astern, strict=True):
            x = jnp.concatenate([ahead(x, mask), astern(x, mask)], -1)
        return self.drop(x, deterministic=key is None, rngs=keys[7])

    def embed(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b d"]:
        """Embedding: mean over time."""
        x = self(spec, frames, key)
        mask = None if frames is None else within(jnp.maximum(self.steps(frames), 1), x.shape[1])
        return masked_mean(x, mask)
