"""Clips to a store: decoded once, in parallel, and switched in by one rename (format: see store.py).

Audio is looked up by (sha256 of the file's bytes, start, duration), first in the old store, then in the
finished parts that an interrupted build left in `.build/`; only what is in neither is decoded. Files of a
store are named by their content, so a rebuild that changes nothing writes nothing.
"""

import contextlib
import errno
import functools
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ssl_audio.audio.clean import identity
from ssl_audio.audio.decode import Cut, Job, Key, decode, run, write
from ssl_audio.audio.files import Refused, check_file, remark
from ssl_audio.audio.levels import Step
from ssl_audio.audio.store import FORMAT, Clip, Store
from ssl_audio.disk import alone

SHARD = 500_000_000  # samples: 1 GB of int16
_COPY = 1 << 22  # samples copied at once


@dataclass(frozen=True)
class Report:
    """What a build did; str() is the closing text for people.

    refused: (name, reason) · notes: (name, remark) of clips that were stored · duplicates: (name, name of the
    first clip with exactly these samples); they are clips of the store too, and share its sound · clipped:
    samples at full scale in the files · clamped: samples beyond what int16 holds · limited: clips that
    cleaning left below the wanted level, since their peak is at full scale · decoded, copied: distinct cuts
    of files that were decoded now, or known from before · removed: clips that were in the store and aren't
    any more.
    """

    path: Path
    hash: str
    rate: int
    clips: int
    hours: float
    refused: tuple[tuple[str, str], ...]
    duplicates: tuple[tuple[str, str], ...]
    notes: tuple[tuple[str, str], ...]
    clipped: int
    clipped_clips: int
    clamped: int
    limited: int
    decoded: int
    copied: int
    changed: bool
    removed: int = 0

    def __str__(self) -> str:
        lines = [
            f"{self.path}: {self.clips:,} clips, {self._time()} at {self.rate} Hz, {self.hash[:12]}",
            f"decoded {self.decoded:,}, known from before {self.copied:,}"
            + ("" if self.changed else "; unchanged"),
        ]
        if self.removed:
            lines.append(f"removed: {self.removed:,} clips that were in it before; another --out keeps both")
        for what, pairs, joint in (
            ("refused", self.refused, ": "),
            ("exact duplicates (kept)", self.duplicates, " = "),
            ("to note", self.notes, ": "),
        ):
            lines.append(f"{what}: {len(pairs):,}" if pairs else f"{what}: none")
            lines += [f"  {name}{joint}{text}" for name, text in pairs[:20]]
            if len(pairs) > 20:
                where = "" if what == "to note" else " (all are in manifest.json)"
                lines.append(f"  ... and {len(pairs) - 20:,} more{where}")
        if self.clipped:
            lines.append(f"clipping: {self.clipped:,} samples at full scale in {self.clipped_clips:,} clips")
        if self.clamped:
            lines.append(f"clamped: {self.clamped:,} samples were louder than full scale")
        if self.limited:
            lines.append(f"limited: {self.limited:,} clips stayed below the wanted level, at full scale")
        return "\n".join(lines)

    def _time(self) -> str:
        seconds = self.hours * 3600
        return f"{self.hours:.2f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def build(
    clips: Iterable[Clip],
    out: Path | str,
    *,
    rate: int = 16_000,
    clean: Sequence[Step] = (),
    workers: int | None = None,
    title: str = "",
) -> Report:
    """Writes the store at `out`, or brings the one that is there up to date with the clips.

    Clips that can't be decoded are refused, named with the reason in the report and manifest, and never
    fatal. The old store is whole and readable until the new one replaces it in one rename, whatever
    interrupts the build; the same call then continues from the parts that were finished.

    Args:
        clips: what to store, in this order (`ssl_audio.audio.scan.scan`).
        out: the folder of the store; created, or a store.
        rate: Hz of the store, 100 or more.
        clean: what is done to each clip after it is cut out and resampled, in this order
            (`ssl_audio.audio.clean`). It is in the manifest, and a store that was cleaned otherwise is
            decoded anew. Start and duration of a clip stay the file's times, also where cleaning trims it.
        workers: processes that decode; None: one a core; 1: this process.
        title: what people call the data.

    Raises:
        ValueError: if no clip can be decoded, a cleaning step isn't possible at this rate, or `out` is a
            folder of something else.
        BlockingIOError: if another build is writing this store.
        OSError: if the disk is full (finished parts stay for the next try), or unwritable.
    """
    clips = list(clips)
    out = Path(out)
    if not clips:
        raise ValueError(f"{out}: no clips to store")
    if rate < 100:
        raise ValueError(f"rate is {rate}; it must be 100 Hz or more")
    for step in clean:
        step.check(rate)
    new = not out.exists()
    if not (new or _ours(out)):
        raise ValueError(f"{out}: exists and is not a store; choose another place")
    out.mkdir(parents=True, exist_ok=True)
    try:
        with alone(out / ".lock", "another build is writing this store"):
            try:
                return _build(clips, out, rate, tuple(clean), workers or _cores(), title)
            except BaseException:
                _sweep(out / ".build")
                raise
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        text = (
            "no space left; the old store is untouched, finished parts are kept: make room and run it again"
        )
        raise OSError(errno.ENOSPC, text, str(out)) from error
    except ValueError:
        if new and not any(out.glob(".build/part-*")):  # what was decoded is kept
            shutil.rmtree(out)
        raise


def _build(
    clips: list[Clip], out: Path, rate: int, clean: tuple[Step, ...], workers: int, title: str
) -> Report:
    steps, cleaners = identity(clean)
    title = _clean(title)
    settings = {
        "format": FORMAT,
        "rate": rate,
        "clean": steps,
        "versions": {
            "soundfile": soundfile.__version__,
            "libsndfile": soundfile.__libsndfile_version__,
            "soxr": soxr.__version__,
            "libsoxr": soxr.__libsoxr_version__,
            **cleaners,
        },
    }
    parts = out / ".build"
    parts.mkdir(exist_ok=True)
    _sweep(parts)
    try:
        old = Store(out)
        known = _known_from_store(old, settings)
    except (OSError, ValueError, KeyError):
        old, known = None, {}  # none yet, or damaged: decode again
    known = {**_known_from_parts(parts, settings), **known}

    with _progress() as progress:
        sums = _sums(clips, workers, progress)
        wanted: dict[str, tuple[str, dict[tuple[float, float | None], None]]] = {}
        for clip in clips:
            path, sha = os.fspath(clip.path), sums[os.fspath(clip.path)]
            if not isinstance(sha, Refused) and (sha, clip.start, clip.duration) not in known:
                wanted.setdefault(sha, (path, {}))[1][clip.start, clip.duration] = None
        sources = [(sha, path, sorted(cuts, key=lambda cut: cut[0])) for sha, (path, cuts) in wanted.items()]
        done = _decode_all(sources, parts, settings, clean, workers, progress)
        cuts = {**known, **done}

        names, groups = _names(clips)
        rows: list[tuple[Clip, str, str, str, Cut]] = []  # clip, name, group, sha, cut
        refused: list[tuple[str, str]] = []
        notes: list[tuple[str, str]] = []
        for clip, name, group in zip(clips, names, groups, strict=True):
            sha = sums[os.fspath(clip.path)]
            cut = str(sha) if isinstance(sha, Refused) else cuts[sha, clip.start, clip.duration]
            if isinstance(cut, str):
                refused.append((name, cut))
                continue
            rows.append((clip, name, group, str(sha), cut))
            remarks = [remark(clip.path, cut.format)]
            length = cut.trimmed_start + cut.length + cut.trimmed_end
            if clip.duration is not None and length < round(clip.duration * rate) - 1:
                remarks.append(f"the file ends after {length / rate:.2f} s of {clip.duration:g} s")
            if cut.short:
                remarks.append(f"{cut.short:.1f} dB below the wanted level, its peak at full scale")
            if any(remarks):
                notes.append((name, "; ".join(filter(None, remarks))))
        if not rows:
            shutil.rmtree(parts)
            first = "; ".join(f"{name}: {reason}" for name, reason in refused[:3])
            raise ValueError(f"none of {len(clips)} clips could be decoded ({first})")
        manifest, duplicates = _write(rows, refused, old, out, settings, title, progress)

    before = set() if old is None else {old.name(i) for i in range(len(old))}
    changed = old is None or old.manifest != manifest
    if changed:
        _switch(out, parts, manifest)
    keep = {manifest["index"], manifest["sources"], *manifest["shards"]}
    for stale in [*out.glob("shard-*.npy"), *out.glob("index-*"), *out.glob("sources-*.jsonl")]:
        if stale.name not in keep:
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    shutil.rmtree(parts)
    decoded = sum(isinstance(cut, Cut) for cut in done.values())
    return Report(
        path=out,
        hash=manifest["hash"],
        rate=rate,
        clips=len(rows),
        hours=sum(row[-1].length for row in rows) / rate / 3600,
        refused=tuple(refused),
        duplicates=tuple(duplicates),
        notes=tuple(notes),
        clipped=manifest["clipped"],
        clipped_clips=sum(row[-1].clipped > 0 for row in rows),
        clamped=manifest["clamped"],
        limited=manifest["limited"],
        decoded=decoded,
        copied=len({(sha, clip.start, clip.duration) for clip, _, _, sha, _ in rows}) - decoded,
        changed=changed,
        removed=len(before - {row[1] for row in rows}),
    )


# ---- what is there already


def _ours(out: Path) -> bool:
    """Whether `out` is a folder that a build may write: empty, a store, or the beginnings of one."""
    if not out.is_dir():
        return False
    if not any(out.iterdir()) or (out / ".lock").exists():
        return True
    try:
        return bool(Store(out).hash)
    except (OSError, ValueError, KeyError):
        return False


def _sweep(parts: Path) -> None:
    """Removes what an interrupted build had begun to write, so that only finished parts take room."""
    for unfinished in [*parts.glob("*.writing"), *parts.glob("new-*")]:
        shutil.rmtree(unfinished) if unfinished.is_dir() else unfinished.unlink()


def _known_from_store(old: Store, settings: dict[str, Any]) -> dict[Key, Cut | str]:
    """The cuts that need no decoding; none if other versions of the decoders made them (other samples)."""
    if any(old.manifest.get(name, []) != value for name, value in settings.items()):  # none: not cleaned
        return {}
    index = old.path / old.manifest["index"]
    files = [str(old.path / name) for name in old.manifest["shards"]]
    place = [np.load(index / f"{name}.npy").tolist() for name in ("shard", "offset", "length")]
    known: dict[Key, Cut | str] = {}
    with open(old.path / old.manifest["sources"], encoding="utf-8") as lines:
        for line, shard, offset, length, digest in zip(lines, *place, old.digests, strict=True):
            _, sha, start, duration, *rest = json.loads(line)
            known[sha, start, duration] = Cut(files[shard], offset, length, digest.tobytes().hex(), *rest)
    return known


def _known_from_parts(parts: Path, settings: dict[str, Any]) -> dict[Key, Cut | str]:
    known: dict[Key, Cut | str] = {}
    for file in sorted(parts.glob("part-*.json")):
        try:
            part = json.loads(file.read_text("utf-8"))
        except ValueError:  # a power cut; its sounds are decoded again
            part = {"settings": None}
        if part["settings"] != settings:
            file.unlink()
            continue
        for sha, start, duration, cut in part["cuts"]:
            if not isinstance(cut, str):  # what was refused is tried again
                known[sha, start, duration] = Cut(str(file.with_suffix(".pcm")), *cut)
    return known


def _sums(clips: list[Clip], workers: int, progress: Progress) -> dict[str, str | Refused]:
    """The sha256 of every file, by its path, or why it can't be read."""

    def sum_of(path: str) -> str | Refused:
        try:
            check_file(path)
            with open(path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except Refused as reason:
            return reason
        except OSError as error:
            return Refused(f"unreadable ({error.strerror or error})")

    paths = list(dict.fromkeys(os.fspath(clip.path) for clip in clips))
    sums: dict[str, str | Refused] = {}
    task = progress.add_task("reading", total=len(paths))
    with ThreadPoolExecutor(workers) as pool:  # reading and sha256 let go of the GIL
        for path, result in zip(paths, pool.map(sum_of, paths), strict=True):
            sums[path] = result
            progress.advance(task)
    return sums


def _names(clips: list[Clip]) -> tuple[list[str], list[str]]:
    """Names and groups; by default the path relative to the folder that holds all files."""
    absolute = [os.path.abspath(clip.path) for clip in clips]
    common = os.path.commonpath({os.path.dirname(path) for path in absolute})
    relative = [_clean(Path(os.path.relpath(path, common)).as_posix()) for path in absolute]
    names = []
    for clip, path in zip(clips, relative, strict=True):
        cut = clip.start or clip.duration is not None
        names.append(_clean(clip.name) or (f"{path}@{clip.start:.10g}" if cut else path))
    often = Counter(names)
    names = [
        f"{name}+{clip.duration:.10g}" if often[name] > 1 and clip.duration is not None else name
        for clip, name in zip(clips, names, strict=True)
    ]
    groups = [_clean(clip.group) or path for clip, path in zip(clips, relative, strict=True)]
    return names, groups


def _clean(text: str) -> str:
    """Valid utf-8, whatever bytes a file system or a caller gave."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


# ---- decoding and writing


def _decode_all(
    sources: list[tuple[str, str, list[tuple[float, float | None]]]],
    parts: Path,
    settings: dict[str, Any],
    clean: tuple[Step, ...],
    workers: int,
    progress: Progress,
) -> dict[Key, Cut | str]:
    # Many cuts of one file are shared out too. Jobs are small (an interruption loses one a worker at most),
    # but hold several files (a part for every file would be too many).
    pieces = [(sha, path, cuts[i : i + 256]) for sha, path, cuts in sources for i in range(0, len(cuts), 256)]
    size = min(32, max(1, len(pieces) // (4 * workers)))
    jobs = [Job(str(parts), settings, pieces[i : i + size], clean) for i in range(0, len(pieces), size)]
    split = lambda job: [job._replace(sources=[source]) for source in job.sources]
    done: dict[Key, Cut | str] = {}
    task = progress.add_task("decoding", total=len(pieces))
    for job, results in run(decode, jobs, max(1, min(workers, len(jobs))), split):
        if results is None:
            crash = "the decoder crashed on it, or ran out of memory"
            results = [(sha, *cut, crash) for sha, _, cuts in job.sources for cut in cuts]
        done.update({(sha, start, duration): cut for sha, start, duration, cut in results})
        progress.advance(task, len(job.sources))
    return done


def _write(
    rows: list[tuple[Clip, str, str, str, Cut]],
    refused: list[tuple[str, str]],
    old: Store | None,
    out: Path,
    settings: dict[str, Any],
    title: str,
    progress: Progress,
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Writes shards, index and sources that aren't there yet, and returns the manifest and the duplicates."""
    kept = {old.manifest["index"], old.manifest["sources"], *old.manifest["shards"]} if old else set()
    parts = out / ".build"

    # where each sound goes: equal sounds once, in the order of the clips
    shards: list[list[tuple[str, Cut]]] = []
    place: dict[str, tuple[int, int]] = {}
    owner: dict[str, str] = {}
    duplicates: list[tuple[str, str]] = []
    size = SHARD
    for _, name, _, _, cut in rows:
        if cut.digest in place:
            duplicates.append((name, owner[cut.digest]))
            continue
        if not shards or size + cut.length > SHARD:
            shards.append([])
            size = 0
        place[cut.digest], owner[cut.digest] = (len(shards) - 1, size), name
        shards[-1].append((name, cut))
        size += cut.length

    task = progress.add_task("writing", total=len(place))
    shard_names = []
    for cuts in shards:
        shard = f"shard-{_sha(bytes.fromhex(cut.digest) for _, cut in cuts)[:16]}.npy"
        shard_names.append(shard)
        if shard not in kept:
            with _new(parts / f"new-{shard}") as file:
                header = {
                    "descr": "<i2",
                    "fortran_order": False,
                    "shape": (sum(cut.length for _, cut in cuts),),
                }
                np.lib.format.write_array_header_1_0(file, header)
                for name, cut in cuts:
                    _copy(cut, name, file)
                    progress.advance(task)
        else:
            progress.advance(task, len(cuts))

    columns = [*sorted({column for row in rows for column in row[0].labels}), "fold", "group", "licence"]
    lengths = np.array([cut.length for *_, cut in rows], np.int64)
    names = [name.encode() for _, name, *_ in rows]
    content = {
        "shard": np.array([place[cut.digest][0] for *_, cut in rows], np.int32),
        "offset": np.array([place[cut.digest][1] for *_, cut in rows], np.int64),
        "length": lengths,
        "digest": np.frombuffer(b"".join(bytes.fromhex(cut.digest) for *_, cut in rows), np.uint8).reshape(
            -1, 32
        ),
        "names": np.frombuffer(b"".join(names), np.uint8),
        "names_at": np.cumsum([0, *map(len, names)], dtype=np.int64),
    }
    vocabularies: list[list[str]] = []
    for j, column in enumerate(columns):
        values = [_value(clip, group, column) for clip, _, group, *_ in rows]
        vocabularies.append(sorted({value for value in values if value}))
        code = {value: i for i, value in enumerate(vocabularies[-1])} | {"": -1}
        content[f"codes-{j}"] = np.array([code[value] for value in values], np.int32)

    # What the store holds, whatever it was decoded from, when and where, and however it lies on the disk.
    # Beginning with the column names and vocabularies as JSON, the rest of fixed width: no two contents read
    # alike.
    about = json.dumps([FORMAT, settings["rate"], len(rows), columns, vocabularies])
    arrays = [array for name, array in content.items() if name not in ("shard", "offset")]
    content_hash = _sha([about.encode(), b"\0", *(np.ascontiguousarray(array) for array in arrays)])

    index = f"index-{_sha([content_hash.encode(), *(name.encode() for name in shard_names)])[:16]}"
    if index not in kept:
        (parts / f"new-{index}").mkdir()
        for name, array in content.items():
            with _new(parts / f"new-{index}" / f"{name}.npy") as file:
                np.save(file, array)
        for j, vocabulary in enumerate(vocabularies):
            with _new(parts / f"new-{index}" / f"vocabulary-{j}.json") as file:
                file.write(json.dumps(vocabulary, ensure_ascii=False).encode())
    lines = [
        json.dumps([name, sha, clip.start, clip.duration, *cut[4 : 10 if any(cut[7:]) else 7]]).encode()
        + b"\n"
        for clip, name, _, sha, cut in rows
    ]
    sources = f"sources-{_sha(lines)[:16]}.jsonl"
    if sources not in kept:
        with _new(parts / f"new-{sources}") as file:
            file.writelines(lines)

    manifest = {
        **settings,
        "hash": content_hash,
        "title": title,
        "clips": len(rows),
        "samples": int(lengths.sum()),
        "columns": columns,
        "licences": dict(sorted(Counter(_clean(clip.licence) for clip, *_ in rows).items())),
        "clipped": sum(cut.clipped for *_, cut in rows),
        "clamped": sum(cut.clamped for *_, cut in rows),
        "limited": sum(cut.short > 0 for *_, cut in rows),
        "refused": [list(pair) for pair in refused],
        "duplicates": [list(pair) for pair in duplicates],
        "shards": shard_names,
        "index": index,
        "sources": sources,
    }
    return manifest, duplicates


def _value(clip: Clip, group: str, column: str) -> str:
    own = {"fold": clip.fold, "group": group, "licence": clip.licence}
    return _clean(own[column] if column in own else clip.labels.get(column, ""))


def _copy(cut: Cut, name: str, file: BinaryIO) -> None:
    # read, not mapped: the pages of a map that is gone through count as this process's memory
    begin, digest = _data_offset(cut.file), hashlib.sha256()
    for at in range(cut.offset, cut.offset + cut.length, _COPY):
        count = min(_COPY, cut.offset + cut.length - at)
        block = np.fromfile(cut.file, "<i2", count, offset=begin + 2 * at)
        digest.update(block)
        write(file, block)
    if digest.hexdigest() != cut.digest:
        raise OSError(errno.EIO, f"damaged sound of {name}: delete this file and run it again", cut.file)


@functools.lru_cache
def _data_offset(file: str) -> int:
    return np.load(file, mmap_mode="r").offset if file.endswith(".npy") else 0


def _switch(out: Path, parts: Path, manifest: dict[str, Any]) -> None:
    """Moves what is new beside what is in use, then makes it the store by replacing manifest.json."""
    with _new(parts / "new-manifest.json") as file:
        file.write(json.dumps(manifest, indent=1, ensure_ascii=False).encode())
    for new in parts.glob("new-*"):
        name = new.name.removeprefix("new-")
        if name != "manifest.json":
            if (out / name).is_dir():
                shutil.rmtree(
                    out / name
                )  # left by a build that ended here, or damaged: the manifest doesn't use it
            os.replace(new, out / name)
    _sync(out)
    os.replace(parts / "new-manifest.json", out / "manifest.json")
    _sync(out)


@contextlib.contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    try:
        with open(path, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)  # give the room back
        raise


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)  # renames are on the disk before what depends on them
    finally:
        os.close(handle)


def _sha(pieces: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ---- progress


class _Rate(ProgressColumn):
    def render(self, task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)
