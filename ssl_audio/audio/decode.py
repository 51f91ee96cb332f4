"""The decoding processes of a build: files in, parts out (int16 samples and what they are).

A part is finished or absent. Spawned workers import this, so it stays light.
"""

import contextlib
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ssl_audio.audio.files import Refused, Sound

Key = tuple[str, float, float | None]  # sha256 of the file's bytes, start, duration (seconds)


class Cut(NamedTuple):
    """Decoded sound, and where it lies: an int16 file (shard, or a part's raw samples), offset, length.

    digest is the sha256 of the samples, format that of the sound file, clipped counts samples at full scale
    in the file, clamped those beyond what int16 holds. What cleaning did (levels.Log): samples trimmed off
    the start and the end, and the dB by which a gain was held back by full scale.
    """

    file: str
    offset: int
    length: int
    digest: str
    format: str
    clipped: int
    clamped: int
    trimmed_start: int = 0
    trimmed_end: int = 0
    short: float = 0.0


class Job(NamedTuple):
    """Sources (sha256, path, cuts) that one process decodes into one part of the folder `parts`."""

    parts: str
    settings: dict[str, Any]  # "rate" in Hz, and all that two decodings must share to be the same
    sources: list[tuple[str, str, list[tuple[float, float | None]]]]
    clean: tuple[Any, ...] = ()  # cleaning steps; "clean" in the settings names them


def decode(job: Job) -> list[tuple[str, float, float | None, Cut | str]]:
    """Writes part-<digest>.pcm, then its .json, by which it counts as finished; a str says why it is refused.

    Raises:
        OSError: if the part can't be written (reading errors are refusals).
    """
    spec = json.dumps([job.settings, [(sha, cuts) for sha, _, cuts in job.sources]])
    part = Path(job.parts) / f"part-{hashlib.sha256(spec.encode()).hexdigest()[:16]}.pcm"
    writing = part.with_suffix(f".{os.getpid()}.writing")
    try:
        results = []
        with open(writing, "wb") as file:
            for source in job.sources:
                results += _decode_source(file, str(part), job.settings["rate"], job.clean, *source)
            file.flush()
            os.fsync(file.fileno())
        os.replace(writing, part)
        cuts = [[*key, cut if isinstance(cut, str) else cut[1:]] for *key, cut in results]
        with open(writing, "w", encoding="utf-8") as file:
            json.dump({"settings": job.settings, "cuts": cuts}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(writing, part.with_suffix(".json"))
    except BaseException:
        with contextlib.suppress(OSError):
            writing.unlink(missing_ok=True)  # give the room back at once
        raise
    return results


def _decode_source(
    file: BinaryIO,
    part: str,
    rate: int,
    clean: tuple[Any, ...],
    sha: str,
    path: str,
    cuts: list[tuple[float, float | None]],
) -> Iterator[tuple[str, float, float | None, Cut | str]]:
    try:
        sound = Sound(path)
    except Refused as reason:
        yield from ((sha, start, duration, str(reason)) for start, duration in cuts)
        return
    with sound:
        for start, duration in cuts:
            offset, clamped, digest = file.tell(), 0, hashlib.sha256()
            sound.clipped = 0
            try:
                blocks = sound.blocks(
                    rate, start, duration
                )  # cut before it is cleaned: the times are the file's
                if clean:
                    from ssl_audio.audio.clean import (
                        Log,
                        clean_blocks,
                    )  # here: scipy.signal is slow to import

                    log = Log()
                    blocks = clean_blocks(blocks, rate, clean, log, Path(part).parent)
                for block in blocks:
                    samples, over = quantise(block)
                    clamped += over
                    digest.update(samples)
                    write(file, samples)
            except Refused as reason:
                file.seek(offset)
                file.truncate()
                yield sha, start, duration, str(reason)
                continue
            length = (file.tell() - offset) // 2
            changes = (log.start, log.end, round(log.short, 2)) if clean else ()
            about = (digest.hexdigest(), sound.format, sound.clipped, clamped, *changes)
            yield sha, start, duration, Cut(part, offset // 2, length, *about)


def quantise(wave: np.ndarray) -> tuple[np.ndarray, int]:
    """float32 [t] (full scale 1) to little-endian int16 [t], rounded and clamped; and the count of clamps."""
    scaled = np.rint(wave * np.float32(32768))
    over = int(np.count_nonzero((scaled > 32767) | (scaled < -32768)))
    return np.clip(scaled, -32768, 32767).astype("<i2"), over


def write(file: BinaryIO, samples: np.ndarray) -> None:
    """Appends samples; every sample of a store passes here twice, into its part and into its shard."""
    file.write(memoryview(np.ascontiguousarray(samples)).cast("B"))


# ---- processes


def run(
    function: Callable[[Any], Any], jobs: list[Any], workers: int, split: Callable[[Any], list[Any]]
) -> Iterator[tuple[Any, Any]]:
    """Yields (job, function(job)) as they are done, over `workers` spawned processes (1: in this one).

    A job whose process dies (the decoder crashes, memory runs out) is split, and its pieces run one at a
    time; a piece that still kills its process is yielded with None. What `function` raises is raised here.
    """
    if workers == 1:
        yield from ((job, function(job)) for job in jobs)
        return
    waiting = jobs[::-1]
    while waiting:
        suspects: list[Any] = []
        with _pool(workers) as pool:
            running: dict[Any, Any] = {}
            while (waiting or running) and not suspects:
                while waiting and len(running) < 2 * workers:  # few in flight: few suspects
                    job = waiting.pop()
                    try:
                        running[_submit(pool, function, job)] = job
                    except BrokenProcessPool:
                        waiting.append(job)
                        break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job = running.pop(future)
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        suspects.append(job)
                    else:
                        yield job, result
            suspects += running.values()
        yield from _alone(function, [piece for job in suspects for piece in split(job)])


def _alone(function: Callable[[Any], Any], jobs: list[Any]) -> Iterator[tuple[Any, Any]]:
    left = jobs[::-1]
    while left:
        with _pool(1) as pool:
            while left:
                job = left.pop()
                try:
                    result = _submit(pool, function, job).result()
                except BrokenProcessPool:
                    yield job, None
                    break
                yield job, result


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, function: Callable[[Any], Any], job: Any):
    """Submits; a process this may spawn doesn't import the caller's __main__ and what that imports (jax)."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        return pool.submit(function, job)
    finally:
        sys.modules["__main__"] = main


def _start_worker():
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # mpg123 comments on damaged files there; refusals say it
    parent = multiprocessing.parent_process()

    def follow():  # a parent that is killed can't tell its workers
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
