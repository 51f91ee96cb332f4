"""The HEAR API: what a store's embeddings are, in PyTorch's clothes."""

import dataclasses

import jax
import numpy as np
import pytest
from toys import FRONTEND, RATE, experiment, started

from ssl_audio.checkpoint import Checkpoints
from ssl_audio.config import save_run
from ssl_audio.embed import embed

torch = pytest.importorskip("torch")
from ssl_audio import hear  # noqa: E402


def run_of(folder, chosen):
    save_run(folder, chosen, None)
    with Checkpoints(folder, chosen) as checkpoints:
        checkpoints.save(3, jax.device_put(started(chosen)[1]))
    return str(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("hear") / "run", experiment("SimCLR"))


def test_scene_embeddings_are_those_of_a_store(run, store):
    model = hear.load_model(run)
    found = embed(run, store).x
    assert model.sample_rate == 16_000 and model.rate == RATE  # HEAR hands out nothing at 8 kHz
    model.sample_rate = RATE
    wave = torch.tensor(np.stack([store[i] for i in range(4)]).astype(np.float32) / 2**15)
    x = hear.get_scene_embeddings(wave, model)
    assert x.dtype == torch.float32 and x.shape == (4, model.scene_embedding_size)
    np.testing.assert_allclose(x.numpy(), found[:4], rtol=1e-4, atol=1e-5)


def test_sound_is_brought_to_the_runs_rate(run):
    model = hear.load_model(run)
    t = np.arange(16_000) / 16_000
    slow, fast = (0.5 * np.sin(2 * np.pi * 440 * s)[None].astype(np.float32) for s in (t[::2], t))
    high = hear.get_scene_embeddings(torch.tensor(fast), model)
    model.sample_rate = RATE
    low = hear.get_scene_embeddings(torch.tensor(slow), model)
    np.testing.assert_allclose(high.numpy(), low.numpy(), rtol=0.05, atol=0.05)


def test_times_go_on_evenly_through_a_long_sound(run):
    """As hear-validator wants it: 1 ms at most from an even step, none behind the end, none missing there."""
    model = hear.load_model(run)
    for seconds in (1.07, 1.98, 4.0, 25.3):
        wave = torch.rand(2, int(16_000 * seconds)) * 2 - 1
        x, times = hear.get_timestamp_embeddings(wave, model)
        assert x.shape[:2] == times.shape and x.shape[2] == model.timestamp_embedding_size
        step = np.diff(times.numpy())
        assert np.ptp(step) < 0.01 and step.mean() == pytest.approx(8 * FRONTEND.hop / RATE * 1000, abs=1e-3)
        assert 1000 * seconds - 2 * step.mean() < times.max() < 1000 * seconds


def test_no_run_no_model():
    with pytest.raises(ValueError, match="folder of a run"):
        hear.load_model()


@pytest.mark.nightly
def test_the_validator_is_content(tmp_path, capsys):
    """The real one; it wants tensorflow too: `pip install hearvalidator tensorflow`."""
    validate = pytest.importorskip("hearvalidator.validate")
    chosen = experiment("SimCLR", frontend=dataclasses.replace(FRONTEND, rate=16_000, fmax=7_800.0))
    validate.ValidateModel("ssl_audio.hear", run_of(tmp_path / "run", chosen), "cpu")()
    assert "Checking get_scene_embeddings" in capsys.readouterr().out
