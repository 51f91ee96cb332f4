"""EfficientNet-B0."""

import dataclasses

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from ssl_audio.encoders.conv import BatchNorm, Conv, halved, inside
from ssl_audio.encoders.layers import masked_mean, within

STAGES = (  # kernel, stride, expansion, channels, blocks
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


@dataclasses.dataclass(frozen=True)
class EfficientNet:
    """EfficientNet-B0 on a spectrogram as a picture of one channel; the embedding is the mean over time and
    frequency, 1,280 wide, a token the mean over frequency of 32 frames.

    Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019; on sound in
    COLA (Saeed et al., 2021), which takes the maximum instead of the mean. Padding is torchvision's, the same
    on both sides, so that it doesn't depend on a clip's length; no stochastic depth and no dropout, which
    belong to the supervised recipe.
    """

    channels: int = 32
    """Of the first convolution; all others are in proportion, rounded to a multiple of 8."""
    depth: int = 4
    """Blocks of a stage at most: B0 has 1, 2, 2, 3, 3, 4 and 1."""

    def build(self, mels: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """The network for spectrograms of `mels` bands, a multiple of 8."""
        if mels % 8:
            raise ValueError(f"EfficientNet halves the frequency axis: {mels} bands are not a multiple of 8")
        return EfficientNetNet(self, mels, rngs=rngs)


def scaled(channels: int, factor: float) -> int:
    """Channels times a factor, to the nearest multiple of 8 that is no more than a tenth below."""
    exact = channels * factor
    near = max(8, int(exact + 4) // 8 * 8)
    return near + 8 * (near < 0.9 * exact)


def norm(width: int) -> BatchNorm:
    # the paper's averages move by a hundredth a step; by a tenth, as torchvision's, they suit a short run
    return BatchNorm(width, momentum=0.1, epsilon=1e-3)


class MBConv(nnx.Module):
    """Inverted bottleneck: 1x1 to a wider layer, depthwise convolution, squeeze and excitation, 1x1 back."""

    def __init__(
        self, cin: int, cout: int, size: int, stride: int, expansion: int, squeeze: int, *, rngs: nnx.Rngs
    ):
        width = cin * expansion
        self.expand = Conv(cin, width, 1, rngs=rngs) if expansion > 1 else None
        self.expand_norm = norm(width) if expansion > 1 else None
        self.depth, self.depth_norm = Conv(width, width, size, stride, width, rngs=rngs), norm(width)
        self.reduce, self.excite = (
            nnx.Linear(width, squeeze, rngs=rngs),
            nnx.Linear(squeeze, width, rngs=rngs),
        )
        self.project, self.project_norm = Conv(width, cout, 1, rngs=rngs), norm(cout)
        self.stride, self.adds = stride, stride == 1 and cin == cout

    def __call__(self, x, frames):
        """x [b f m c], zero beyond frames [b] -> the same of what comes out, and its frames."""
        y = x
        if self.expand is not None:
            y = inside(nnx.silu(self.expand_norm(self.expand(y))), frames)
        y = self.depth(y)
        frames = halved(frames) if self.stride == 2 else frames
        y = inside(nnx.silu(self.depth_norm(y)), frames)
        pooled = masked_mean(y.mean(2), None if frames is None else within(frames, y.shape[1]))
        gate = nnx.sigmoid(self.excite(nnx.silu(self.reduce(pooled))))
        y = self.project_norm(self.project(y * gate[:, None, None]))
        return inside(x + y if self.adds else y, frames), frames


class EfficientNetNet(nnx.Module):
    def __init__(self, c: EfficientNet, mels: int, *, rngs: nnx.Rngs):
        self.patch, self.columns = (32, mels), 1
        self.middle = 0.0  # padded on both sides, a token is centred on the first of its frames
        factor = c.channels / 32
        cin = scaled(32, factor)
        self.stem, self.stem_norm = Conv(1, cin, 3, 2, rngs=rngs), norm(cin)
        blocks = []
        for size, stride, expansion, channels, count in STAGES:
            cout = scaled(channels, factor)
            for i in range(min(count, c.depth)):
                squeeze = max(1, cin // 4)
                blocks.append(MBConv(cin, cout, size, 1 if i else stride, expansion, squeeze, rngs=rngs))
                cin = cout
        self.blocks = nnx.List(blocks)
        self.width = self.token = scaled(1280, factor)
        self.top, self.top_norm = Conv(cin, self.width, 1, rngs=rngs), norm(self.width)

    def steps(self, frames):
        """Tokens that so many frames give, 32 each, rounded up: an int of an int, an array of an array."""
        return -(-frames // 32)

    def __call__(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b n d"]:
        """Tokens: the mean over frequency of each time step of the last layer. There is no dropout."""
        if not spec.shape[1]:
            raise ValueError("EfficientNet needs a clip of at least one of its frames; got 0 frames")
        x = self.stem(inside(spec[..., None], frames))
        frames = halved(frames)
        x = inside(nnx.silu(self.stem_norm(x)), frames)
        for block in self.blocks:
            x, frames = block(x, frames)
        return nnx.silu(self.top_norm(self.top(x))).mean(2)

    def embed(
        self, spec: Float[Array, "b f m"], frames: Int[Array, " b"] | None = None, key: Array | None = None
    ) -> Float[Array, "b d"]:
        """Embedding: mean over time and frequency."""
        x = self(spec, frames, key)
        return masked_mean(
            x, None if frames is None else within(jnp.maximum(self.steps(frames), 1), x.shape[1])
        )
