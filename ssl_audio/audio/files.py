"""Any sound file to mono float samples at one rate, in blocks: memory doesn't grow with the file's length.

What the file is, is decided by its content, never by its extension. Decoding is libsndfile's (soundfile), and
of what it can't decode in whole ffmpeg's where there is one; resampling is soxr's at quality HQ. Level is
kept: nothing is normalised.
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

from ssl_audio.audio import ffmpeg
from ssl_audio.audio.containers import check_mp4, mpeg_samples, ogg_streams

# what files of a format may be called on disk, by libsndfile's name of it, or our own where it has none
EXTENSIONS = {
    "WAV": (".wav", ".wave"),
    "WAVEX": (".wav", ".wave"),
    "RF64": (".wav", ".wave", ".rf64"),
    "FLAC": (".flac",),
    "OGG": (".ogg", ".oga", ".opus"),
    "MP3": (".mp3",),
    "AIFF": (".aif", ".aiff", ".aifc"),
    "MP4": (".m4a", ".mp4", ".mov", ".m4b"),
    "AAC": (".aac",),
    "MATROSKA": (".mka", ".webm", ".mkv"),
    "ASF": (".wma",),
    "WAVPACK": (".wv",),
    "AC3": (".ac3",),
}
_STEPS = {
    "PCM_S8": 7,
    "PCM_U8": 7,
    "PCM_16": 15,
    "PCM_24": 23,
}  # bits below the sign: full scale is 1 - 2**-bits
_BLOCK = 1 << 18  # samples of all channels that are decoded at once
_LOUDEST = 2.0**32  # 32-bit integers kept as floats are below; beyond it, sums and filters overflow
_SPARE = (
    12_000  # samples that an MP3's frames may hold beyond its sound: encoder delay, padding, a header frame
)


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
        self.frames: int
        self._file = self._open()
        try:
            self._check_header()
        except BaseException:
            self._file.close()
            raise
        self.rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.clipped, self._at = 0, 0
        self._full = 1.0 - 2.0 ** -_STEPS[self._file.subtype] if self._file.subtype in _STEPS else 1.0
        self.format: str = self._file.format

    def _open(self) -> soundfile.SoundFile | ffmpeg.Pipe:
        try:
            # bytes: names that aren't valid utf-8 open too
            file = soundfile.SoundFile(os.fsencode(self.path))
        except (soundfile.SoundFileError, TypeError, ValueError):
            return self._open_foreign()
        try:
            lack, self.frames = _whole(file, self.path)
        except ValueError as fault:
            file.close()
            raise Refused(str(fault)) from None
        if lack:
            file.close()
            return self._pipe(file.format, lack)
        return file

    def _open_foreign(self) -> ffmpeg.Pipe:
        name = ffmpeg.recognise(self.path)
        if name is None:
            raise Refused("not a sound file that libsndfile can decode (convert it to wav or flac?)")
        if name == "MP4":
            try:
                check_mp4(self.path)
            except ValueError as fault:
                raise Refused(str(fault)) from None
        return self._pipe(name)

    def _pipe(self, format: str, lack: str = "") -> ffmpeg.Pipe:
        if not ffmpeg.available():
            lack = lack or f"{EXTENSIONS[format][0][1:]}, which libsndfile can't decode"
            raise Refused(f"{lack}: install ffmpeg (it is used when on the PATH), or convert it to flac")
        try:
            pipe = ffmpeg.Pipe(self.path, format)
        except OSError as error:
            raise Refused(f"{lack or 'damaged or truncated'} ({error})") from None
        self.frames = pipe.frames
        return pipe

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
        for there, said in re.findall(r"frame count (\d+) does not match .* of (\d+)", self._file.extra_info):
            if int(said) > int(there):
                raise Refused(f"truncated: {there} samples where the header says {said}")
        if self.frames <= 0:
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
            level = np.abs(x)
            if level.max() > _LOUDEST:
                raise Refused(f"damaged: samples of up to {level.max():.0e}, where full scale is 1")
            self.clipped += int(np.count_nonzero(level >= self._full))
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
            if seek and self._at != at:
                self._go(at)
            x = self._file.read(count, dtype="float32", always_2d=True)
            self._at = at + len(x)
        except (soundfile.SoundFileError, RuntimeError, OSError) as error:
            text = getattr(error, "error_string", str(error)).strip() or "libsndfile stopped"
            raise Refused(f"damaged or truncated after {at / self.rate:.2f} s ({text})") from None
        if len(x) < count:
            # an mp3 header may count the encoder's padding
            some = len(x) or not seek  # a block may begin where the sound ends
            if self._file.format == "MP3" and some and at + len(x) >= self.frames - 2 * 1152:
                return np.concatenate([x, np.zeros((count - len(x), self.channels), np.float32)])
            raise Refused(f"truncated: {at + len(x)} samples where the header says {self.frames}")
        return x

    def _go(self, at: int) -> None:
        """To a sample; in formats without seeking (GSM, ADPCM) by reading what is before it."""
        try:
            self._file.seek(at)
        except (soundfile.SoundFileError, RuntimeError):
            if self._at > at:
                self._file.close()
                self._file, self._at = self._open(), 0
            while self._at < at:
                passed = len(self._file.read(min(_BLOCK, at - self._at), dtype="float32", always_2d=True))
                if not passed:
                    break
                self._at += passed


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


def _whole(file: soundfile.SoundFile, path: Path) -> tuple[str, int]:
    """Why libsndfile would not decode all of the file, or ""; and the number of frames.

    Raises:
        ValueError: if the file is damaged.
    """
    if file.format == "FLAC" and file.frames >= 2**60:
        return "flac of unknown length (it was streamed)", 0
    if file.format == "OGG" and ogg_streams(path) > 1:
        return "several Ogg streams one after another, of which libsndfile decodes the first", 0
    if file.format == "MP3" and (counted := mpeg_samples(path)):
        samples, exact = counted
        if samples > file.frames:
            least = "" if exact else "at least "
            return f"mp3 of {least}{samples} samples, of which libsndfile decodes {file.frames}", 0
        if exact:  # where no header says it, libsndfile estimates from the bytes, tags and all
            return "", samples
    return "", file.frames
