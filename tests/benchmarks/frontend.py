"""Log-mel throughput: ours against librosa and torch, the same sound in the same run, turns taken.

    python tests/benchmarks/frontend.py [--repeats 15] [--threads 2]

Prints seconds of sound a second (medians) and the ratio of medians to the faster way of librosa, clip by
clip and the batch in one call. Ours starts from the wave on the device, as in the jitted step. torch's is its
own stft and a mel product; it is left out where absent.
"""

import argparse
import os
import time


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--repeats", type=int, default=15)
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    if hasattr(os, "sched_setaffinity"):  # before jax starts its threads
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])

    import jax
    import librosa
    import numpy as np

    from ssl_audio.signal.frontend import LogMel

    frontend = LogMel()
    compiled = jax.jit(frontend.raw)
    settings = dict(sr=frontend.rate, n_fft=frontend.n_fft, hop_length=frontend.hop, n_mels=frontend.mels)
    settings |= dict(fmin=frontend.fmin, fmax=frontend.fmax)

    def with_librosa(wave):
        mel = librosa.feature.melspectrogram(y=wave, **settings)
        return np.swapaxes(np.log(mel + frontend.floor), -1, -2)

    systems = {
        "ssl_audio": lambda wave: jax.block_until_ready(compiled(on_device)),
        "librosa, clip by clip": lambda wave: np.stack([with_librosa(clip) for clip in wave]),
        "librosa, batch": with_librosa,
    }
    try:
        import torch

        torch.set_num_threads(options.threads)
        window, filters = torch.hann_window(frontend.win), torch.from_numpy(frontend.filters())

        def with_torch(wave):
            stft = torch.stft(
                torch.from_numpy(wave),
                frontend.n_fft,
                frontend.hop,
                frontend.win,
                window,
                center=True,
                pad_mode="constant",
                return_complex=True,
            )
            energy = stft.real**2 + stft.imag**2
            return torch.log(energy.transpose(1, 2) @ filters + frontend.floor).numpy()

        systems["torch"] = with_torch
    except ImportError:
        print("torch is not installed: left out")

    for clips, seconds in ((64, 1), (16, 10)):
        wave = (
            np.random.default_rng(0)
            .normal(scale=0.1, size=(clips, seconds * frontend.rate))
            .astype(np.float32)
        )
        expected = with_librosa(wave)
        on_device = jax.device_put(wave)
        times = {name: [] for name in systems}
        for name, system in systems.items():  # compiles, fills caches, and all compute the same
            np.testing.assert_allclose(np.asarray(system(wave)), expected, rtol=1e-4, atol=1e-4, err_msg=name)
        for _ in range(options.repeats):
            for name, system in systems.items():
                start = time.perf_counter()
                system(wave)
                times[name].append(time.perf_counter() - start)
        median = {name: float(np.median(each)) for name, each in times.items()}
        reference = min(value for name, value in median.items() if name.startswith("librosa"))
        print(f"{clips} clips of {seconds} s:")
        for name, value in median.items():
            rate = clips * seconds / value
            print(f"  {name:22s} {rate:8,.0f} s of sound a second, {reference / value:5.2f} x librosa")


if __name__ == "__main__":
    main()
