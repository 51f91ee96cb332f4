"""Shared settings: strict arrays, eight simulated devices, jax's compilation cache, real recordings."""

import os
from importlib import metadata
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ssl_audio" / "jax-tests"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
# tests compile much and compute little: without XLA's last optimisations they take half the time
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
# the older emitters compile in two thirds of the time; XLA aborts on a flag that it doesn't know
if metadata.version("jaxlib").startswith("0.10."):
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"

import jax
import pytest
from xdist.scheduler import LoadScopeScheduling

pytest.register_assert_rewrite("latent")  # tests of several files share it
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def group(nodeid: str) -> str:
    """What shares costly fixtures: a file; of the contracts, a method, an encoder or a frontend."""
    file, _, test = nodeid.partition("::")
    return file + test.rstrip("]").rpartition("[")[2].rpartition("-")[2] if "test_contracts" in file else file


class Groups(LoadScopeScheduling):
    """A group goes to one process. (Groups of xdist's own are put into test ids, unseen by pytest 9.2.)"""

    def _split_scope(self, nodeid):
        return group(nodeid)


def pytest_collection_modifyitems(items):
    """Files whose groups take minutes come first, so that at the end no process waits for another."""
    long = ("experiments", "quickstart", "notebooks", "bench", "label_efficiency", "train", "cli")
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in long)


def pytest_xdist_make_scheduler(config, log):
    return Groups(config, log)


def pytest_runtest_teardown(item, nextitem):
    """Forget compiled programs: each holds memory maps, of which Linux gives a process 65,530."""
    if nextitem is not None and group(item.nodeid) != group(nextitem.nodeid):
        jax.clear_caches()


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    """A folder of 36 wav files of 0.3 s, six of each of six tones, 8 kHz."""
    from toys import wavs

    return wavs(tmp_path_factory.mktemp("tones") / "wavs")


@pytest.fixture(scope="session")
def store(tones, tmp_path_factory):
    """The store of `tones`."""
    from toys import make_store

    return make_store(tones, tmp_path_factory.mktemp("store") / "tones")


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings ($SSL_AUDIO_DATA); tests that need them skip without it."""
    folder = Path(os.environ.get("SSL_AUDIO_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recordings at SSL_AUDIO_DATA ({folder})")
    return folder
