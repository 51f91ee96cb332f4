"""Shared settings: strict arrays, eight simulated devices, jax's compilation cache, the folder of real recordings."""

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings ($SSL_AUDIO_DATA); tests that need them skip without it."""
    folder = Path(os.environ.get("SSL_AUDIO_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recordings at SSL_AUDIO_DATA ({folder})")
    return folder
