"""Files that are whole or not there at all, and folders that one process writes at a time."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # Windows: no lock, so two processes must not write one thing at once
    fcntl = None


def write(path: Path | str, text: str) -> None:
    """Write a text file whole or not at all."""
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write an .npz of named arrays whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    with open(aside, "wb") as file:  # a file, or numpy puts .npz behind any other name
        np.savez(file, **arrays)
    os.replace(aside, path)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; the kernel lets go of the lock however the process ends. The file stays."""
    with open(path, "a") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
