"""Files that are whole or not there at all, and folders that one process writes at a time."""

import contextlib
import errno
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # Windows: no lock, so two processes must not write one thing at once
    fcntl = None


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A file beside `path` to write, which takes its name when all went well and else is taken away."""
    beside = path.with_name(f".{platform.node()}-{os.getpid()}.{path.name}")  # hosts may share the folder
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write(path: Path | str, text: str) -> None:
    """Write a text file whole or not at all."""
    with aside(Path(path)) as beside:
        beside.write_text(text, encoding="utf-8")


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write an .npz of named arrays whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with aside(path) as beside, open(beside, "wb") as file:  # a file, or numpy puts .npz behind another name
        np.savez(file, **arrays)


@contextlib.contextmanager
def alone(path: Path, said: str) -> Iterator[None]:
    """As `locked`, but where another process has the lock a BlockingIOError that says so, of the lock's
    folder."""
    with open(path, "a") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BlockingIOError(errno.EWOULDBLOCK, said, str(path.parent)) from None
        yield


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; the kernel lets go of the lock however the process ends. The file stays."""
    with open(path, "a") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
