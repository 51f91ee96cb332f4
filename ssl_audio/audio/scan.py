"""A folder or a CSV to a list of clips: what is to be stored, before anything is opened."""

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ssl_audio.audio.store import Clip

# decoded by libsndfile
SUFFIXES = (
    *(".wav", ".wave", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3"),
    *(".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".sph"),
)
# sound that it can't: by ffmpeg where that is installed, else listed, so that the build refuses it by name
# instead of passing it over in silence
FOREIGN = (
    *(".m4a", ".m4b", ".mp4", ".mov", ".aac", ".ac3", ".amr", ".ape"),
    *(".mka", ".mkv", ".webm", ".mp2", ".wma", ".wv"),
)


def scan(folder_or_csv: Path | str) -> list[Clip]:
    """Lists the clips of a folder, or of a CSV file.

    A folder: every sound file under it, sorted by name; label column "label" is the first sub-folder (none
    for files that lie in the folder itself); group is the file's relative path. Links to folders are
    followed. Things with a sound file's extension that aren't one (a directory, a broken link) are listed:
    the build refuses them.

    A CSV (comma, utf-8, with a header): columns path (relative to the CSV), and as wanted start, duration
    (seconds), label, fold, group, licence; every further column is a label column too. One clip a row, in the
    file's order.

    Raises:
        FileNotFoundError: if there is nothing at the path.
        ValueError: for a folder without sound files, or a bad CSV (with the line numbers).
    """
    path = Path(folder_or_csv)
    if path.is_dir():
        return _scan_folder(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such folder or CSV file")
    return _scan_csv(path)


def walk(
    folder: Path, onerror: Callable[[OSError], None] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk` with links to folders followed, but none to a folder above it, which would be a loop."""
    above: dict[str, tuple[str, ...]] = {str(folder): (os.path.realpath(folder),)}
    for here, folders, files in os.walk(folder, followlinks=True, onerror=onerror):
        for name in list(folders):
            real = os.path.realpath(os.path.join(here, name))
            if real in above[here]:
                folders.remove(name)
            above[os.path.join(here, name)] = (*above[here], real)
        yield here, folders, files


def _scan_folder(folder: Path) -> list[Clip]:
    found: list[Path] = []
    unreadable: list[Path] = []
    for here, folders, files in walk(folder, lambda error: unreadable.append(Path(error.filename))):
        if os.path.exists(os.path.join(here, "manifest.json")) and os.path.exists(
            os.path.join(here, ".lock")
        ):
            folders.clear()  # a store among the sounds
            continue
        found += [Path(here, n) for n in [*files, *folders] if Path(n).suffix.lower() in SUFFIXES + FOREIGN]
    found += unreadable
    if not found:
        kinds = " ".join(SUFFIXES)
        raise ValueError(f"{folder}: no sound files under it; files are found by their extension: {kinds}")
    clips = []
    for file in sorted(set(found), key=lambda file: file.relative_to(folder).as_posix()):
        relative = file.relative_to(folder)
        labels = {"label": relative.parts[0]} if len(relative.parts) > 1 else {}
        clips.append(Clip(file, labels=labels, group=relative.as_posix(), name=relative.as_posix()))
    return clips


def _scan_csv(file: Path) -> list[Clip]:
    problems: list[str] = []
    clips: list[Clip] = []
    try:
        with open(file, encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle)
            header = [column.strip() for column in next(reader, [])]
            if "path" not in header:
                columns = ", ".join(header) or "nothing"
                raise ValueError(f"{file}: line 1: no column 'path' (comma-separated); it has {columns}")
            if len(set(header)) < len(header) or "" in header or "name" in header:
                raise ValueError(f"{file}: line 1: a column is named twice, 'name' (taken), or not at all")
            for row in reader:
                if not any(cell.strip() for cell in row):
                    continue
                try:
                    if len(row) != len(header):
                        raise ValueError(f"{len(row)} values for {len(header)} columns")
                    clips.append(_csv_clip(file, {c: v.strip() for c, v in zip(header, row, strict=True)}))
                except ValueError as error:
                    problems.append(f"line {reader.line_num}: {error}")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not utf-8 text ({error.reason} at byte {error.start})") from None
    except csv.Error as error:
        raise ValueError(f"{file}: line {reader.line_num}: {error}") from None
    if problems:
        more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
        raise ValueError(f"{file}: {'; '.join(problems[:5])}{more}")
    if not clips:
        raise ValueError(f"{file}: no clips, only a header")
    return clips


def _csv_clip(file: Path, row: dict[str, str]) -> Clip:
    path = row.pop("path")
    if not path:
        raise ValueError("path is empty")
    if "\0" in path:
        raise ValueError("path has a NUL character")
    start = _seconds(row.pop("start", ""), "start")
    duration = _seconds(row.pop("duration", ""), "duration")
    fold, group, licence = (row.pop(column, "") for column in ("fold", "group", "licence"))
    # an absolute path says where this machine keeps its files: build makes such names relative to their
    # common folder
    name = "" if os.path.isabs(path) else Path(path).as_posix()
    cut = start is not None or duration is not None
    return Clip(
        path=file.parent / path,
        start=start or 0.0,
        duration=duration,
        labels=row,
        fold=fold,
        group=group or name,
        licence=licence,
        name=f"{name}@{start or 0.0:.10g}" if name and cut else name,
    )


def _seconds(text: str, column: str) -> float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{column} is {text!r}, not a number of seconds") from None
