"""Host side of sound: files, stores, batches. numpy only; nothing here imports jax.

`ssl_audio.audio.store` reads (Clip, Store), `.scan` lists what is to be stored, `.build` writes, `.decode`
and `.files` open sound files.
"""

from ssl_audio.audio.store import Clip, Store

__all__ = ["Clip", "Store"]
