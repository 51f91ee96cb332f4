"""Chains of cleaning steps: what may be done to sound between decoding and storing.

A chain is a tuple of steps (levels.py, denoise.py): `clean` runs it on a wave, `clean_blocks` on a stream in
bounded memory, `parse` makes it from the words that people type.
"""

import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from ssl_audio.audio.denoise import SpectralGate, Wavelet, Wiener
from ssl_audio.audio.files import Refused
from ssl_audio.audio.levels import RMS, BandPass, Log, Loudness, Peak, RemoveDC, Samples, Step, Trim, finite

REVISION = 1  # raised when a step comes to give other samples, so that stores are built anew
_HELD = 1 << 23  # samples of a stream that stay in memory; longer ones go through a file


def parse(words: Sequence[str]) -> tuple[Step, ...]:
    """The steps that words name, in their order, e.g. ("dc", "band:100:7000", "gate", "loudness:-23").

    dc · band:LOW:HIGH (Hz; LOW 0 or HIGH left away: none) · gate:DB · gate-moving:DB · wiener:DB (by how much
    noise is turned down, 20) · wavelet · trim · peak:DBFS (-1) · rms:DB (-20) · loudness:LUFS (-23). Without
    a number it is the one in parentheses.

    Raises:
        ValueError: for a word that isn't one of these.
    """
    return tuple(_step(word) for word in words)


def _step(word: str) -> Step:
    kinds = {
        "dc": (RemoveDC, 0),
        "band": (BandPass, 2),
        "gate": (SpectralGate, 1),
        "gate-moving": (lambda *reduction: SpectralGate(*reduction, moving=True), 1),
        "wiener": (Wiener, 1),
        "wavelet": (Wavelet, 0),
        "trim": (Trim, 0),
        "peak": (Peak, 1),
        "rms": (RMS, 1),
        "loudness": (Loudness, 1),
    }
    name, *numbers = word.split(":")
    if name not in kinds:
        raise ValueError(f"no cleaning step {word!r}; there are {', '.join(kinds)}, numbers after colons")
    make, most = kinds[name]
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        raise ValueError(
            f"cleaning step {word!r}: after the colons come numbers, e.g. band:100:7000"
        ) from None
    if len(values) > most or not all(map(math.isfinite, values)):
        raise ValueError(f"cleaning step {word!r}: {name} takes {most} number{'s' * (most != 1)} at most")
    return make(*values)


def identity(steps: Sequence[Step]) -> tuple[list[str], dict[str, str]]:
    """(every step with its settings, versions of what computes): cleanings alike in both are the same."""
    packages = ("numpy", "scipy", *({"PyWavelets"} if any(isinstance(s, Wavelet) for s in steps) else ()))
    versions = {name: metadata.version(name) for name in packages} | {"clean": str(REVISION)}
    return [repr(step) for step in steps], versions if steps else {}


def clean(
    wave: Float[np.ndarray, " t"], rate: int, steps: Sequence[Step]
) -> tuple[Float32[np.ndarray, " _"], Log]:
    """The wave after all steps, and what happened. ValueError: as the steps raise it."""
    log, wave = Log(), finite(wave)
    for step in steps:
        wave = step(wave, rate, log)
    return wave, log


def clean_blocks(
    blocks: Iterable[Float32[np.ndarray, " _"]], rate: int, steps: Sequence[Step], log: Log, folder: Path
) -> Iterator[Float32[np.ndarray, " _"]]:
    """As `clean`, for blocks in and out.

    A long wave goes through unnamed files in `folder` (4 bytes a sample, two copies at the most), so memory
    doesn't grow with it.

    Raises:
        Refused: a step can't clean it, or leaves nothing or NaN. What `blocks` raises.
    """
    for step in steps:
        blocks = _explained(step, _hold(blocks, folder), rate, log)
    yield from blocks


def _explained(step: Step, wave: Samples, rate: int, log: Log) -> Iterator[Float32[np.ndarray, " _"]]:
    empty = True
    try:
        for block in step.stream(wave, rate, log):
            if not np.isfinite(block).all():
                raise Refused("NaN or infinite samples")
            empty &= not len(block)
            yield block
    except ValueError as reason:
        raise Refused(f"{type(step).__name__}: {reason}") from None
    if empty:
        raise Refused(f"{type(step).__name__}: nothing but silence")


def _hold(blocks: Iterable[Float32[np.ndarray, " _"]], folder: Path) -> Samples:
    held: list[np.ndarray] = []
    size, blocks = 0, iter(blocks)
    for block in blocks:
        held.append(block)
        size += len(block)
        if size > _HELD:
            return _Spool(held, blocks, folder)
    return np.concatenate(held) if held else np.zeros(0, np.float32)


class _Spool:
    """A wave in a file without a name, which goes when this does."""

    def __init__(self, held: list[np.ndarray], blocks: Iterator[np.ndarray], folder: Path):
        self._file, self._length = tempfile.TemporaryFile(dir=folder), 0
        while held:  # let go of each as it is written
            self._append(held.pop(0))
        for block in blocks:
            self._append(block)

    def _append(self, block: np.ndarray) -> None:
        self._file.write(memoryview(np.ascontiguousarray(block, np.float32)).cast("B"))
        self._length += len(block)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, at: slice) -> np.ndarray:
        begin, end, _ = at.indices(self._length)
        self._file.seek(4 * begin)
        return np.frombuffer(self._file.read(4 * max(0, end - begin)), np.float32)
