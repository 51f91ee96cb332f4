"""Any sound file to mono float samples at one rate, in blocks: memory doesn't grow with the file's length.

What the file is, is decided by its content, never by its extension. Decoding is libsndfile's (soundfile),
resampling is soxr's at quality HQ. Level is kept: nothing is normalised.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from jaxtyping import Float32

# what libsndfile's names for a format may be called on disk
EXTENSIONS = {
    "WAV": (".wav", ".wave"),
    "WAVEX": (".wav", ".wave"),
    "RF64": (".wav", ".wave", ".rf64"),
    "FLAC": (".flac",),
    "OGG": (".ogg", ".oga", ".opus"),
    "MP3": (".mp3",),
    "AIFF": (".aif", ".aiff", ".aifc"),
}
_STEPS = {
    "PCM_S8": 7,
    "PCM_U8": 7,
    "PCM_16": 15,
    "PCM_24": 23,
}  # bits below the sign: full scale is 1 - 2**-bits
_BLOCK = 1 << 18  # samples of all channels that are decoded at once


class Refused(ValueError):
    """A file, or a cut of it, that cannot be used; the text is the reason, without the file's name."""


class Sound:
    """A sound file, open for reading.

    Attributes: rate (Hz, of the file), channels, frames (samples a channel, as the header says), clipped
    (samples of any channel at full scale, in what was read so far), format (libsndfile's name of it, e.g.
    "WAV").

    Args:
        path: the file.

    Raises:
        Refused: if it is no regular readable file, is empty, truncated, or nothing that libsndfile decodes.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        check_file(self.path)
        try:
            # bytes: names that aren't valid utf-8 open too
            self._file = soundfile.SoundFile(os.fsencode(self.path))
        except (soundfile.SoundFileError, TypeError, ValueError):
            raise Refused(
                "not a sound file that libsndfile can decode (convert it to wav or flac?)"
            ) from None
        try:
            self._check_header()
        except BaseException:
            self._file.close()
            raise
        self.rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.frames: int = self._file.frames
        self.clipped = 0
        self._full = 1.0 - 2.0 ** -_STEPS[self._file.subtype] if self._file.subtype in _STEPS else 1.0
        self.format: str = self._file.format

    def _check_header(self):
        if (
            self._file.format == "RAW"
        ):  # libsndfile's last resort, taken by the extension: not a header that says so
            raise Refused("no header: not a sound file that libsndfile can decode")
        if not 100 <= self._file.samplerate <= 10_000_000:
            raise Refused(f"sample rate {self._file.samplerate} Hz")
        # libsndfile shortens the frames of a truncated wav or aiff silently, and says so only in its log
        for said, there in re.findall(r"(?:data|SSND)\s*: (\d+) \(should be (\d+)\)", self._file.extra_info):
            streamed = int(said) >= 0xFFFFFF00 or 0x7FFFF000 <= int(said) <= 0x7FFFFFFF  # "length unknown"
            if int(said) > int(there) and not streamed:
                raise Refused(f"truncated: {there} bytes of sound where the header says {said}")
        if self._file.format == "OGG" and not _ogg_ends(self.path):
            raise Refused("truncated: the Ogg stream has no end")
        if self._file.frames <= 0:
            raise Refused("no samples")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def blocks(
        self, rate: int, start: float = 0.0, duration: float | None = None
    ) -> Iterator[Float32[np.ndarray, " t"]]:
        """Mono samples at `rate` in consecutive blocks, none empty; full scale is 1, louder is possible.

        Args:
            rate: Hz, wanted.
            start: seconds, >= 0.
            duration: seconds, > 0; None, or past the end: to the end.

        Raises:
            Refused: at the first block that is damaged, ends early, or has NaN or infinite samples.
        """
        first = round(start * self.rate)
        if first >= self.frames:
            raise Refused(f"the cut begins at {start:g} s, the file ends at {self.frames / self.rate:g} s")
        last = (
            self.frames if duration is None else min(self.frames, first + max(1, round(duration * self.rate)))
        )
        resampler = None
        if rate != self.rate:
            resampler = soxr.ResampleStream(self.rate, rate, 1, dtype="float32", quality="HQ")
        size = max(1, min(_BLOCK // self.channels, 4 * self.rate))
        empty = True
        at = first
        while at < last:
            x = self._read(at, min(size, last - at), seek=at == first)
            if not np.isfinite(x).all():
                where = int(np.flatnonzero(~np.isfinite(x).all(axis=1))[0])
                raise Refused(f"NaN or infinite samples, first at {(at + where) / self.rate:.3f} s")
            self.clipped += int(np.count_nonzero(np.abs(x) >= self._full))
            at += len(x)
            mono = x[:, 0] if self.channels == 1 else x.mean(axis=1, dtype=np.float32)
            if resampler is not None:
                mono = resampler.resample_chunk(np.ascontiguousarray(mono), last=at >= last)
            if len(mono):
                empty = False
                yield mono
        if empty:
            raise Refused(f"no samples: {last - first} at {self.rate} Hz are none at {rate} Hz")

    def _read(self, at: int, count: int, seek: bool) -> np.ndarray:
        try:
            if seek and self._file.tell() != at:
                self._file.seek(at)
            x = self._file.read(count, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError, OSError) as error:
            text = getattr(error, "error_string", str(error)).strip() or "libsndfile stopped"
            raise Refused(f"damaged or truncated after {at / self.rate:.2f} s ({text})") from None
        if len(x) < count:
            # an mp3 header may count the encoder's padding
            if self._file.format == "MP3" and len(x) and at + len(x) >= self.frames - 2 * 1152:
                return np.concatenate([x, np.zeros((count - len(x), self.channels), np.float32)])
            raise Refused(f"truncated: {at + len(x)} samples where the header says {self.frames}")
        return x


def wave(
    path: Path | str, rate: int, start: float = 0.0, duration: float | None = None
) -> Float32[np.ndarray, " t"]:
    """A sound file, or a cut of it, as mono samples at `rate` Hz; arguments and errors as `Sound.blocks`."""
    with Sound(path) as sound:
        return np.concatenate(list(sound.blocks(rate, start, duration)))


def remark(path: Path | str, format: str) -> str:
    """A word to people where a file's extension isn't one of its format; else ""."""
    usual = EXTENSIONS.get(format, ())
    suffix = Path(path).suffix.lower()
    return (
        f"named {suffix or 'without extension'}, is {usual[0][1:]}" if usual and suffix not in usual else ""
    )


def check_file(path: Path | str):
    """Raises Refused if there is no regular, readable, non-empty file at the path; opens no decoder."""
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            os.listdir(path)
            raise Refused("a directory, not a file")
        if not stat.S_ISREG(kind):  # opening a pipe would wait for ever
            raise Refused("not a regular file")
        with open(path, "rb") as file:
            if not file.read(1):
                raise Refused("empty file")
    except FileNotFoundError:
        raise Refused("broken link" if os.path.islink(path) else "no such file") from None
    except OSError as error:  # permission, a loop of links, a disk that fails
        raise Refused(f"unreadable ({error.strerror or error})") from None
    except ValueError as error:
        raise (error if isinstance(error, Refused) else Refused(f"unreadable ({error})")) from None


def _ogg_ends(path: Path) -> bool:
    """Whether the last Ogg page (of < 65,308 bytes) is whole and marked as the last (RFC 3533)."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 2 * 65_308))
        tail = file.read()
    pages = list(re.finditer(rb"OggS\x00[\x00-\x07]", tail))
    if not pages:
        return True  # tags or padding after the stream: decoding will judge
    at = pages[-1].start()
    if len(tail) < at + 27 + tail[min(at + 26, len(tail) - 1)]:
        return False
    table = at + 27 + tail[at + 26]
    return bool(tail[at + 5] & 4) and len(tail) >= table + sum(tail[at + 27 : table])
