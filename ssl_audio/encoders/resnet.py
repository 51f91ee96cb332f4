"""Residual convnets."""

import dataclasses

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from ssl_audio.encoders.conv import BatchNorm, Conv, halved, inside
from ssl_audio.encoders.layers import masked_mean, within

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
"""Residual blocks of each stage, by layers."""


@dataclasses.dataclass(frozen=True)
class ResNet:
    """ResNet-18, -34 or -50 on a spectrogram as a picture of one channel; the embedding is the mean over time
    and frequency, 512 wide (2,048 for 50 layers), a token the mean over frequency of 32 frames.

    He et al., "Deep Residual Learning for Image Recognition", 2016; torchvision's version 1.5, whose
    bottlenecks have their stride in the 3x3 convolution. Any length of at least a frame will do.
    """

    layers: int = 18
    """18, 34 or 50."""
    channels: int = 64
    """Of the first convolution and stage; each further stage has twice as many."""

    def build(self, mels: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """The network for spectrograms of `mels` bands, a multiple of 8."""
        if self.layers not in BLOCKS:
            raise ValueError(f"there are ResNets of {', '.join(map(str, BLOCKS))} layers, not {self.layers}")
        if mels % 8:
            raise ValueError(f"ResNet halves the frequency axis: {mels} bands are not a multiple of 8")
        return ResNetNet(self, mels, rngs=rngs)


class Residual(nnx.Module):
    """Two 3x3 convolutions, or a bottleneck of 1x1, 3x3 and 1x1 to four times the width; and a shortcut."""

    def __init__(self, cin: int, width: int, stride: int, bottleneck: bool, *, rngs: nnx.Rngs):
        cout = 4 * width if bottleneck else width
        plan = ((3, width, stride), (3, width, 1))
        if bottleneck:
            plan = ((1, width, 1), (3, width, stride), (1, cout, 1))
        ins = (cin, *(c for _, c, _ in plan))
        self.convs = nnx.List([Conv(i, c, k, s, rngs=rngs) for i, (k, c, s) in zip(ins, plan, strict=False)])
        self.norms = nnx.List([BatchNorm(c) for _, c, _ in plan])
        changes = stride > 1 or cin != cout
        self.short = Conv(cin, cout, 1, stride, rngs=rngs) if changes else None
        self.short_norm = BatchNorm(cout) if changes else None

    def __call__(self, x, frames):
        """x [b f m c], zero beyond frames [b] -> the same of what comes out, and its frames."""
        y, short = x, x if self.short is None else self.short_norm(self.short(x))
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            if i:
                y = inside(nnx.relu(y), frames)
            y = norm(conv(y))
            frames = halved(frames) if conv.stride == 2 else frames
        return inside(nnx.relu(y + short), frames), frames


class ResNetNet(nnx.Module):
    def __init__(self, c: ResNet, mels: int, *, rngs: nnx.Rngs):
        self.patch, self.columns = (32, mels), 1
        self.middle = 0.0  # padded on both sides, a token is centred on the first of its frames
        self.stem, self.stem_norm = Conv(1, c.channels, 7, 2, rngs=rngs), BatchNorm(c.channels)
        cin, blocks = c.channels, []
        for stage, count in enumerate(BLOCKS[c.layers]):
            for i in range(count):
                width, stride = c.channels * 2**stage, 2 if stage and not i else 1
                blocks.append(Residual(cin, width, stride, c.layers >= 50, rngs=rngs))
                cin = width * (4 if c.layers >= 50 else 1)
        self.blocks = nnx.List(blocks)
        self.width = self.token = cin

    def steps(self, frames):
        """Tokens that so many frames give, 32 each, rounded up: an int of an int, an array of an array."""
        return -(-frames // 32)

    def __call__(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b n d"]:
        """Tokens: the mean over frequency of each time step of the last stage. There is no dropout."""
        if not spec.shape[1]:
            raise ValueError("ResNet needs a clip of at least one of its frames; got 0 frames")
        x = self.stem(inside(spec[..., None], frames))
        frames = halved(frames)
        x = inside(nnx.relu(self.stem_norm(x)), frames)
        x = nnx.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        frames = halved(frames)
        x = inside(x, frames)
        for block in self.blocks:
            x, frames = block(x, frames)
        return x.mean(2)

    def embed(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b d"]:
        """Embedding: mean over time and frequency."""
        x = self(spec, frames, key)
        return masked_mean(
            x, None if frames is None else within(jnp.maximum(self.steps(frames), 1), x.shape[1])
        )
