"""What a number must carry to be believed: versions, hashes, time, memory."""

import functools
import hashlib
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "ssl-audio",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "scikit-learn",
    "soundfile",
    "soxr",
)


@functools.cache
def code(*rooms: str) -> str:
    """Short hash of the package's own Python files, or of some files and those in some folders of it, in the
    state that this process began with."""
    root = Path(__file__).parent
    total, parts = hashlib.sha256(), [root / part for part in rooms or ("",)]
    for file in sorted(f for part in parts for f in ([part] if part.is_file() else part.rglob("*.py"))):
        total.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:16]


def versions() -> dict[str, str]:
    """Versions of what computed."""
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def peak_memory() -> float:
    """Largest resident memory of this process so far, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
