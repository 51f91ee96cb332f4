"""Encoders: spectrogram [b f m] -> tokens [b n d] -> embedding [b d].

An encoder is a frozen dataclass of sizes whose `build(mels, rngs=...)` makes an `nnx.Module` with
`net(spec, frames=None, key=None) -> tokens`, `net.embed(spec, frames=None, key=None) -> [b width]` and
`net.width` (of that embedding), `net.token` (width of a token), `net.patch` (frames and bands of a token),
`net.columns` (tokens of one time step, next to one another) and `net.steps(frames)` (time steps).
`frames` [b] says how many frames of each row are sound; the rest is padding and changes nothing. `key` turns
dropout on.

Those that methods may mask inside (transformers) also have `net.cut(spec)`, tokens before positions, and
`net.layers(x, mask=None, keep=None)`, what each block makes of them; `net.norm` ends the last.
"""

from ssl_audio.encoders.conv import AudioNTT
from ssl_audio.encoders.learned import Learned
from ssl_audio.encoders.vit import ViT

__all__ = ["AudioNTT", "Learned", "ViT"]
