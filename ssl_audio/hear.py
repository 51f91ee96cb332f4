"""The HEAR API over any run, for hear-eval-kit and whatever else speaks it (it wants PyTorch).

    hear-validator ssl_audio.hear -m runs/mine

Turian et al., "HEAR: Holistic Evaluation of Audio Representations", 2022. Sound is rounded to 16 bits as in a
store, so that embeddings are those of `ssl-audio embed`.
"""

import functools

import numpy as np
import soxr
import torch

from ssl_audio.embed import made, restore, shared, steps_of
from ssl_audio.embeddings import Embeddings, compute
from ssl_audio.train import encoder

RATES = (16_000, 22_050, 32_000, 44_100, 48_000)
"""What HEAR hands out, samples a second."""


class Waves:
    """A batch of waves as `embeddings.compute` reads a store."""

    def __init__(self, wave: np.ndarray, rate: int):
        self.wave, self.rate, self.lengths = wave, rate, np.full(len(wave), wave.shape[1])

    def __len__(self) -> int:
        return len(self.wave)

    def __getitem__(self, at: tuple[int, int, int]) -> np.ndarray:
        i, start, length = at
        return self.wave[i, start : start + length]


class Model(torch.nn.Module):
    """A run's newest checkpoint. Its weights are jax's: moving this module moves nothing."""

    def __init__(self, run: str):
        super().__init__()
        self.experiment, self.graph, self.state, self.checkpoint = restore(run)
        self.rate = self.experiment.frontend.rate
        self.sample_rate = next((rate for rate in RATES if rate >= self.rate), RATES[-1])
        net = encoder(self.experiment, self.graph, self.state)
        self.scene_embedding_size = int(net.width)
        self.timestamp_embedding_size = int(net.token * net.columns)
        self.steps = steps_of(self.experiment, net)
        self.made = {what: made(self.experiment, self.graph, what) for what in ("clip", "frames")}

    def embed(self, audio: torch.Tensor, what: str) -> Embeddings:
        """Embeddings of waves [n samples], -1 to 1 at `sample_rate`."""
        wave = audio.detach().cpu().numpy().astype(np.float64)
        if self.sample_rate != self.rate:
            wave = soxr.resample(wave.T, self.sample_rate, self.rate).T
        sound = np.clip(np.rint(wave * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
        rows, everywhere, batch = shared(None, len(sound))
        f = functools.partial(self.made[what], everywhere(self.state))
        steps = self.steps if what == "frames" else None
        return compute(f, Waves(sound, self.rate), {}, put=rows, batch=batch, steps=steps, title="HEAR")


def load_model(model_file_path: str = "") -> Model:
    """The model of a run's folder. ValueError: none is given."""
    if not model_file_path:
        raise ValueError("HEAR: give the folder of a run of ssl-audio in place of a file of weights")
    return Model(model_file_path)


def get_scene_embeddings(audio: torch.Tensor, model: Model) -> torch.Tensor:
    """One embedding a clip, float32 [n scene_embedding_size], of waves [n samples]."""
    return torch.tensor(model.embed(audio, "clip").x).to(audio.device)


def get_timestamp_embeddings(audio: torch.Tensor, model: Model) -> tuple[torch.Tensor, torch.Tensor]:
    """(embeddings [n steps timestamp_embedding_size], the middle of each step [n steps], milliseconds)."""
    found = model.embed(audio, "frames")
    n = len(audio)
    x, times = found.x.reshape(n, -1, found.x.shape[1]), 1000 * found.times.reshape(n, -1)
    return torch.tensor(x).to(audio.device), torch.tensor(times, dtype=torch.float32).to(audio.device)
