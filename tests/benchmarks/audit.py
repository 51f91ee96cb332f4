"""What the audit finds of changed copies, and how many strangers it takes for copies, on a store of yours.

    python tests/benchmarks/audit.py stores/esc50-16000

Strangers are pairs of different recordings (groups) that the audit finds likest, among 700 clips drawn by
seed; copies are made of 25 of them: 10 dB quieter, once at eleven sixteenths of the rate, with white noise
10 dB below, and the half from a quarter on (0.2 s at least).
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

from ssl_audio import audit
from ssl_audio.audio.build import build
from ssl_audio.audio.store import Clip, Store

CLIPS, COPIES, STRANGERS = 700, 25, 2500


def changes(wave: np.ndarray, rate: int, rng) -> dict[str, np.ndarray]:
    """The copies of a wave [t], -1 to 1."""
    noise = rng.standard_normal(len(wave))
    noise *= wave.std() / noise.std() * 10**-0.5
    low, quarter = rate * 11 // 16, len(wave) // 4
    return {
        "quieter": wave * 10**-0.5,
        "rate": soxr.resample(soxr.resample(wave, rate, low), low, rate),
        "noise": 0.5 * (wave + noise),
        "cut": wave[quarter : quarter + max(len(wave) // 2, rate // 5)],
    }


def one(cuts: audit.Cuts, other: audit.Cuts, p: int, q: int) -> bool:
    """Whether two stretches are taken for one sound."""
    phases, waves, _ = audit.agreement(cuts.wave(p)[0], other.wave(q, audit.EVERY)[0])
    return audit.alike(phases, waves)


def main() -> None:
    store, rng = Store(Path(sys.argv[1])), np.random.default_rng(0)
    group, cuts = store.values("group"), audit.Cuts(store)
    some = np.isin(cuts.clip, rng.choice(len(store), min(len(store), CLIPS), replace=False))
    cuts.clip, cuts.start = cuts.clip[some], cuts.start[some]
    shapes = np.stack([audit.shape(cuts.wave(k)[0]) for k in range(len(cuts))])
    pairs = audit.candidates(shapes, shapes, cuts.clip, cuts.clip, True)
    pairs = pairs[group[cuts.clip[pairs[:, 0]]] != group[cuts.clip[pairs[:, 1]]]]
    pairs = pairs[rng.permutation(len(pairs))[:STRANGERS]]
    taken = sum(one(cuts, cuts, p, q) for p, q in pairs.tolist())
    print(f"{store.path.name}: {taken} of {len(pairs)} pairs of strangers are taken for one sound")

    with tempfile.TemporaryDirectory() as folder:
        made = []
        for i in rng.choice(np.unique(cuts.clip), COPIES, replace=False).tolist():
            for how, wave in changes(store[i].astype(np.float64) / 2**15, store.rate, rng).items():
                file = Path(folder) / f"{how} {i}.wav"
                soundfile.write(file, wave, store.rate)
                made.append(Clip(file, name=f"{how} {i}"))
        build(made, Path(folder) / "store", rate=store.rate, workers=1)
        copies = Store(Path(folder) / "store")
        theirs = audit.Cuts(copies)
        seen = np.stack([audit.shape(theirs.wave(k)[0]) for k in range(len(theirs))])
        found = set()
        for p, q in audit.candidates(shapes, seen, cuts.clip, theirs.clip, False).tolist():
            how, i = copies.name(int(theirs.clip[q])).split()
            if int(i) == int(cuts.clip[p]) and one(cuts, theirs, p, q):
                found.add((how, i))
        for how in ("quieter", "rate", "noise", "cut"):
            print(f"  {how}: {sum(kind == how for kind, _ in found)} of {COPIES} copies found")


if __name__ == "__main__":
    main()
