"""What libsndfile can't decode, by the program ffmpeg where there is one: by a pipe, in bounded memory."""

import os
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import Float32

# where in the file these bytes lie, whose they are, and ffmpeg's name for the container
_SIGNATURES = (
    (4, rb"ftyp", "MP4", "mov"),
    (0, rb"\x1a\x45\xdf\xa3", "MATROSKA", "matroska"),
    (0, rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF", "asf"),
    (0, rb"wvpk", "WAVPACK", "wv"),
    (0, rb"\x0b\x77", "AC3", "ac3"),
    (0, rb"\xff[\xf0\xf1\xf8\xf9]", "AAC", "aac"),
)
_BLOCK = 1 << 18  # samples of all channels that are passed over at once
DEMUXERS = {name: demuxer for *_, name, demuxer in _SIGNATURES} | {"FLAC": "flac", "MP3": "mp3", "OGG": "ogg"}


def recognise(path: Path | str) -> str | None:
    """The container's name, a key of `DEMUXERS`, of a file that libsndfile doesn't know; None: unknown."""
    with open(path, "rb") as file:
        head = file.read(16)
        if head.startswith(b"ID3") and len(head) >= 10:  # a tag before the sound
            size = sum((byte & 127) << 7 * i for i, byte in enumerate(reversed(head[6:10])))
            file.seek(10 + size)
            head = file.read(16)
    for offset, signature, name, _ in _SIGNATURES:
        if re.match(signature, head[offset:], re.DOTALL):
            return name
    return None


def available() -> bool:
    """Whether there is an ffmpeg on the PATH."""
    return shutil.which("ffmpeg") is not None


class Pipe:
    """A sound file that ffmpeg decodes, with those parts of soundfile.SoundFile that reading needs.

    It is decoded twice: at opening, to know its length and that it is whole, and when it is read. Seeking
    decodes what lies before; backwards it begins anew.

    Args:
        path: the file.
        format: of `DEMUXERS`; ffmpeg takes it for that and nothing else, and opens no other file or address
            that it may name.

    Raises:
        OSError: if ffmpeg can't decode it, or complains of anything; the text is its first complaint.
    """

    subtype = "FLOAT"
    extra_info = ""

    def __init__(self, path: Path | str, format: str):
        self.format = format
        self._path = path
        self._process: subprocess.Popen | None = None
        try:
            self.samplerate, self.channels = self._start()
            while len(self.read(_BLOCK // self.channels)):
                pass
            self.frames = self._at
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> tuple[int, int]:
        self.close()
        source = ["-err_detect", "crccheck", "-protocol_whitelist", "file", "-f", DEMUXERS[self.format]]
        source += ["-i", b"file:" + os.fsencode(os.path.abspath(self._path))]
        sink = ["-map", "0:a:0", "-map_metadata", "-1", "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
        self._complaints = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            ["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-threads", "1", *source, *sink],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
        )
        header = self._process.stdout.read(24)  # of Sun's AU format: big-endian
        if len(header) < 24:
            self._finish()
            raise OSError("ffmpeg finds no sound in it")
        _, offset, _, _, rate, channels = struct.unpack(">4s5I", header)
        self._process.stdout.read(offset - 24)
        self._at = 0
        return rate, channels

    def tell(self) -> int:
        """The frame that is read next."""
        return self._at

    def seek(self, at: int) -> None:
        """Goes to the frame `at`."""
        if at < self._at:
            self._start()
        while self._at < at and len(self.read(min(at - self._at, _BLOCK // self.channels))):
            pass

    def read(
        self, frames: int, dtype: str = "float32", always_2d: bool = True
    ) -> Float32[np.ndarray, "t {self.channels}"]:
        """The next frames, fewer at the end."""
        data = self._process.stdout.read(frames * self.channels * 4)
        if len(data) < frames * self.channels * 4:
            self._finish()
        x = np.frombuffer(data, ">f4", len(data) // 4).astype(np.float32)
        x = x[: len(x) // self.channels * self.channels].reshape(-1, self.channels)
        self._at += len(x)
        return x

    def _finish(self) -> None:
        """Raises OSError with what ffmpeg complained of, if it did."""
        failed = self._process.wait() != 0
        self._complaints.seek(0)
        lines = self._complaints.read(4096).decode("utf-8", "replace").splitlines()
        if failed or lines:
            line = re.sub(r"^\[.*?\] ", "", lines[0]) if lines else f"exit {self._process.returncode}"
            raise OSError("ffmpeg: " + line.replace(f"file:{os.path.abspath(self._path)}: ", ""))

    def close(self) -> None:
        """Ends ffmpeg."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._complaints.close()
            self._process = None
