"""Throughput of the features: ours against librosa's, log-mel also against torch's; same waves, in turn.

    python tests/benchmarks/features.py [--clips 16] [--seconds 10] [--repeats 15] [--threads 2]

Prints seconds of sound a second (medians) and the ratio of medians. Ours starts from waves on the device, as
in the jitted step. librosa's is the faster of the batch in one call and clip by clip. All with its sizes
(rate 22,050, n_fft 2048, hop 512); chroma without estimating the tuning. torch's is its own stft and a mel
product; it is left out where absent.
"""

import argparse
import os
import sys
import time

if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:  # as the command line does, for all sides
    os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

RATE = 22_050


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--clips", type=int, default=16)
    arguments.add_argument("--seconds", type=int, default=10)
    arguments.add_argument("--repeats", type=int, default=15)
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    if hasattr(os, "sched_setaffinity"):  # before jax starts its threads
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])

    import jax
    import librosa
    import numpy as np

    from ssl_audio.signal.cepstrum import mfcc
    from ssl_audio.signal.descriptors import spectral_contrast
    from ssl_audio.signal.frontend import LogMel
    from ssl_audio.signal.pitch import chroma_stft
    from ssl_audio.signal.spectrum import stft

    log_mel = LogMel(rate=RATE, n_fft=2048, win=2048, hop=512, mels=128, fmin=0.0, fmax=RATE / 2)

    def librosa_log_mel(y):
        return np.log(librosa.feature.melspectrogram(y=y, sr=RATE) + log_mel.floor)

    features = {
        "log-mel": (log_mel.raw, librosa_log_mel),
        "MFCC": (lambda x: mfcc(x, RATE), lambda y: librosa.feature.mfcc(y=y, sr=RATE)),
        "chroma": (
            lambda x: chroma_stft(x, RATE),
            lambda y: librosa.feature.chroma_stft(y=y, sr=RATE, tuning=0.0),
        ),
        "contrast": (
            lambda x: spectral_contrast(x, RATE),
            lambda y: librosa.feature.spectral_contrast(y=y, sr=RATE),
        ),
        "STFT": (stft, librosa.stft),
    }

    waves = (
        np.random.default_rng(0)
        .normal(scale=0.1, size=(options.clips, options.seconds * RATE))
        .astype(np.float32)
    )
    on_device = jax.device_put(waves)

    def systems_of(ours, theirs):
        compiled = jax.jit(ours)
        return {
            "ssl_audio": lambda: jax.block_until_ready(compiled(on_device)),
            "librosa, batch": lambda: np.swapaxes(theirs(waves), 1, 2),
            "librosa, clip by clip": lambda: np.stack([theirs(clip).T for clip in waves]),
        }

    benchmarks = {name: systems_of(*pair) for name, pair in features.items()}
    try:
        import torch

        torch.set_num_threads(options.threads)
        window, filters = torch.hann_window(log_mel.win), torch.from_numpy(log_mel.filters())
        waves_in_torch = torch.from_numpy(waves)
        sizes = dict(window=window, center=True, pad_mode="constant", return_complex=True)

        def with_torch():
            s = torch.stft(waves_in_torch, log_mel.n_fft, log_mel.hop, log_mel.win, **sizes)
            energy = s.real**2 + s.imag**2
            return torch.log(energy.transpose(1, 2) @ filters + log_mel.floor).numpy()

        benchmarks["log-mel"]["torch"] = with_torch
    except ImportError:
        print("torch is not installed: left out")

    sound = options.clips * options.seconds
    print(f"{options.clips} clips of {options.seconds} s, {options.threads} threads")
    for feature, systems in benchmarks.items():
        expected = systems["librosa, clip by clip"]()
        times = {name: [] for name in systems}
        for name, system in systems.items():  # compiles, fills caches, and all compute the same
            np.testing.assert_allclose(np.asarray(system()), expected, rtol=1e-3, atol=5e-3, err_msg=name)
        for _ in range(options.repeats):
            for name, system in systems.items():
                start = time.perf_counter()
                system()
                times[name].append(time.perf_counter() - start)
        median = {name: float(np.median(each)) for name, each in times.items()}
        ours = median.pop("ssl_audio")
        theirs = min(value for name, value in median.items() if name.startswith("librosa"))
        line = f"{feature:9s} {sound / ours:8,.0f} s of sound a second; librosa {sound / theirs:8,.0f}, "
        line += f"{theirs / ours:5.2f} x"
        if "torch" in median:
            line += f"; torch {sound / median['torch']:8,.0f}, {median['torch'] / ours:5.2f} x"
        print(line)


if __name__ == "__main__":
    main()
