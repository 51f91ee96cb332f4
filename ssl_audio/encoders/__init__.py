"""Encoders: spectrogram [b f m] -> tokens [b n d] -> embedding [b d].

An encoder is a frozen dataclass of sizes whose `build(mels, rngs=...)` makes an `nnx.Module` with
`net(spec, frames=None, key=None) -> tokens`, `net.embed(spec, frames=None, key=None) -> [b width]` and
`net.width` (of that embedding), `net.token` (width of a token), `net.patch` (frames and bands of a token),
`net.columns` (tokens of one time step, next to one another) and `net.steps(frames)` (time steps).
`frames` [b] says how many frames of each row are sound; the rest is padding and changes nothing. `key` turns
dropout on. Where there is a `net.read(spec, frames=None)`, that is judged in place of `embed`.

Those that methods may mask inside (transformers) also have `net.cut(spec, frames=None)`, tokens before
positions, `net.visible(frames, n)`, which of n of them are sound, and `net.layers(x, mask=None, keep=None)`,
what each block makes of them; `net.norm` ends the last.
"""

from ssl_audio.encoders.conformer import Conformer
from ssl_audio.encoders.conv import AudioNTT, AudioNTT2
from ssl_audio.encoders.convnext import ConvNeXt
from ssl_audio.encoders.efficientnet import EfficientNet
from ssl_audio.encoders.learned import Learned
from ssl_audio.encoders.recurrent import CRNN, GRU
from ssl_audio.encoders.resnet import ResNet
from ssl_audio.encoders.vit import ViT
from ssl_audio.encoders.wave import Wav2Vec2
from ssl_audio.encoders.wave_conv import Context, CPCConv

__all__ = [
    "CRNN",
    "GRU",
    "AudioNTT",
    "AudioNTT2",
    "CPCConv",
    "Conformer",
    "Context",
    "ConvNeXt",
    "EfficientNet",
    "Learned",
    "ResNet",
    "ViT",
    "Wav2Vec2",
]
