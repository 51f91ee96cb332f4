"""Encoders: spectrogram [b f m] -> tokens [b n d] -> embedding [b d].

An encoder is a frozen dataclass of sizes whose `build(mels, rngs=...)` makes an `nnx.Module` with
`net(spec, frames=None, key=None) -> tokens`, `net.embed(spec, frames=None, key=None) -> [b width]` and
`net.width` (of that embedding), `net.token` (width of a token), `net.patch` (frames and bands of a token).
`frames` [b] says how many frames of each row are sound; the rest is padding and changes nothing. `key` turns
dropout on.
"""

from ssl_audio.encoders.conv import AudioNTT
from ssl_audio.encoders.learned import Learned
from ssl_audio.encoders.vit import ViT

__all__ = ["AudioNTT", "Learned", "ViT"]
