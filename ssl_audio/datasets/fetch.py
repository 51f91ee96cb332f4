"""Find a published data set on this machine, or download it: verified, whole or not at all."""

import hashlib
import json
import os
import shutil
import stat
import sys
import time
import urllib.request
import zipfile
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path, PurePosixPath, PureWindowsPath

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ssl_audio.audio.scan import walk

CHUNK = 1 << 20
SOUND = (".wav", ".flac", ".ogg")


def cache() -> Path:
    """Where downloads are kept: ssl_audio/ in $XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ssl_audio"


def find(name: str, marker: str, how: str) -> Path:
    """The folder of a data set that one gets for oneself: $SSL_AUDIO_DATA/name, else that in the user's
    cache.

    Args:
        name, marker: as of `locate`.
        how: where it is to be had and what lies in the folder then, for the error.

    Raises:
        FileNotFoundError: if it is in neither; says how to get it and where to put it.
    """
    places = _places(name)
    if found := _present(places, marker):
        return found
    raise FileNotFoundError(
        f"{name}: not in {' or '.join(map(str, places))}; {how}, so that there is {places[0] / marker}"
    )


def under(folder: Path, suffixes: Sequence[str] = SOUND) -> list[Path]:
    """The files of those endings at any depth, in order; links to folders are followed."""
    every = (Path(here, name) for here, _, files in walk(folder) for name in files)
    return sorted(file for file in every if file.suffix in suffixes)


def sounds(folder: Path, pattern: str = "*") -> list[Path]:
    """The wav, flac and ogg files that match, in order: copies in another format do instead of the
    official files."""
    return sorted(f for f in folder.glob(pattern) if f.suffix in SOUND)


def copies(folder: Path, pattern: str = "*", suffixes: tuple[str, ...] = (".ogg", ".flac", ".wav")):
    """Sound files by their path in the folder without its ending; of several the last of the suffixes."""
    return {
        file.relative_to(folder).with_suffix("").as_posix(): file
        for suffix in suffixes
        for file in sorted(folder.glob(f"{pattern}{suffix}"))
    }


def here(name: str) -> Path | None:
    """The folder of a data set on this machine, if there is one; whether it is whole isn't looked at."""
    return _present(_places(name), ".")


def _places(name: str) -> list[Path]:
    root = os.environ.get("SSL_AUDIO_DATA")
    return [*([Path(root) / name] if root else []), cache() / name]


def _present(places: list[Path], marker: str) -> Path | None:
    return next((place for place in places if (place / marker).exists()), None)


def locate(name: str, marker: str, *, url: str, sha256: str | None, licence: str) -> Path:
    """The folder of a data set: $SSL_AUDIO_DATA/name, else the user's cache, else downloaded into that cache.

    Args:
        name: the folder's name.
        marker: a file or folder inside it that shows that it is the data set.
        url, sha256: of the zip archive; None where there is no checksum (then the digest is shown and kept).
        licence: shown when it is downloaded.

    Raises:
        FileNotFoundError: if it isn't here and cannot be downloaded; says where to put it.
        ValueError: if what was downloaded isn't what was published, or is unsafe to unpack.
    """
    places, home = _places(name), cache() / name
    if found := _present(places, marker):
        return found
    if home.exists():
        raise FileNotFoundError(
            f"{home}: has no {marker}, so it isn't {name}; remove that folder to download it again"
        )
    _sweep(name)
    archive = cache() / f"{name}.{os.getpid()}.zip"
    Console(stderr=True).print(f"{name}: downloading to {home} (licence: {licence})", highlight=False)
    try:
        digest = download(url, archive, sha256)
        unpack(archive, home, marker, {"url": url, "sha256": digest, "bytes": archive.stat().st_size})
    except OSError as error:
        if (home / marker).exists():  # another process was faster
            return home
        looked = " or ".join(str(p) for p in places)
        raise FileNotFoundError(
            f"{name}: not in {looked}, and the download failed ({error}); "
            f"unpack {url} yourself, so that there is {places[0] / marker}"
        ) from error
    finally:
        archive.unlink(missing_ok=True)
    return home


def _sweep(name: str) -> None:
    """Remove what killed downloads left in the cache: after a day untouched, nobody writes it."""
    for left in cache().glob(f"{name}.*"):
        if time.time() - left.stat().st_mtime > 86_400:
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def download(url: str, out: Path, sha256: str | None) -> str:
    """Download a file with a progress bar; `out` appears whole and verified or not at all. Gives its sha256.

    Raises:
        OSError: if the server cannot be reached, refuses, or stops early.
        ValueError: if the checksum is another one.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f"{out.name}.partial")
    digest, size = hashlib.sha256(), 0
    try:
        with (
            urllib.request.urlopen(url, timeout=60) as answer,
            open(aside, "wb") as file,
            _progress() as progress,
        ):
            length = answer.headers.get("Content-Length")
            bar = progress.add_task(out.name, total=int(length) if length else None)
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                progress.update(bar, completed=size)
        if length and size != int(length):
            raise OSError(f"{url}: ended after {size:,} of {int(length):,} bytes; try again")
        found = digest.hexdigest()
        if sha256 is None:
            print(
                f"{url}: nobody publishes a checksum; downloaded sha256 {found}, unverified", file=sys.stderr
            )
        elif found != sha256:
            raise ValueError(f"{url}: sha256 is {found}, expected {sha256}; the file was damaged or replaced")
        os.replace(aside, out)
    except HTTPException as error:
        raise OSError(f"{url}: {error!r}; try again") from error
    finally:
        aside.unlink(missing_ok=True)
    return found


def unpack(archive: Path, out: Path, marker: str, source: dict | None = None) -> None:
    """Unpack a zip archive to the folder `out`, without its single top folder; whole or not at all.

    Every name is judged before anything is written. `source` is kept as source.json beside the data.

    Raises:
        ValueError: if it is no zip, is damaged, lacks `marker`, or has an absolute path, a `..` or a link.
    """
    aside = out.with_name(f"{out.name}.{os.getpid()}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as zipped:
            for member in zipped.infolist():
                _refuse_unsafe(archive, member)
            zipped.extractall(aside)
        inside = list(aside.iterdir())
        folder = inside[0] if len(inside) == 1 and inside[0].is_dir() and inside[0].name != marker else aside
        if not (folder / marker).exists():
            raise ValueError(f"{archive}: has no {marker}; it isn't the archive that was expected")
        if source is not None:
            (folder / "source.json").write_text(json.dumps(source, indent=2) + "\n", encoding="utf-8")
        os.replace(folder, out)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive}: not a zip archive, or a damaged one ({error})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _refuse_unsafe(archive: Path, member: zipfile.ZipInfo) -> None:
    # orig_filename: what the archive really says; zipfile has already tidied .filename up
    name = member.orig_filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith(("/", "\\")) or PureWindowsPath(name).drive or ".." in parts or "\0" in name:
        raise ValueError(
            f"{archive}: {name!r} would be written outside the folder; the archive is not to be trusted"
        )
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ValueError(f"{archive}: {name!r} is a link or a device; the archive is not to be trusted")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
