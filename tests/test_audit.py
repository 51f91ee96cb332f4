"""Duplicates are found through gain, resampling, noise and cuts, and strangers are let be."""

import json

import numpy as np
import pytest
from scipy.signal import resample_poly

from ssl_audio import audit


def sounds(count, seconds=2.0, rate=8000, seed=0):
    """Bursts of a few tones and coloured noise: no two alike."""
    rng, n = np.random.default_rng(seed), int(seconds * rate)
    out = []
    for _ in range(count):
        x = np.zeros(n)
        for _ in range(12):
            at, length = rng.integers(n - 800), rng.integers(800, n // 2)
            part = np.arange(min(length, n - at)) / rate
            tone = np.sin(2 * np.pi * (rng.uniform(200, 3000) + rng.uniform(-400, 400) * part) * part)
            x[at : at + len(part)] += rng.uniform(0.2, 1) * tone * np.hanning(len(part))
        out.append(x / np.abs(x).max() + 0.01 * rng.standard_normal(n))
    return out


def noisy(x, db, seed=1):
    noise = np.random.default_rng(seed).standard_normal(len(x))
    return x + noise * np.sqrt(np.mean(x**2) / np.mean(noise**2)) * 10 ** (-db / 20)


def prints(waves, rate=8000):
    return [audit.fingerprint(w, rate) for w in waves]


def test_gain_changes_nothing():
    (x,) = sounds(1)
    np.testing.assert_array_equal(audit.fingerprint(0.25 * x, 8000), audit.fingerprint(x, 8000))


@pytest.mark.parametrize(
    "change, rate, least",
    [
        (lambda x: 0.1 * x, 8000, 0.99),
        (lambda x: resample_poly(x, 2, 1), 16_000, 0.8),
        (lambda x: resample_poly(x, 441, 80), 44_100, 0.8),
        (lambda x: noisy(x, 10), 8000, 0.35),
        (lambda x: np.round(x * 3000).astype(np.int16), 8000, 0.9),
    ],
    ids=["gain", "16 kHz", "44.1 kHz", "noise", "int16"],
)
def test_each_copy_finds_its_original_and_no_other(change, rate, least):
    waves = sounds(20)
    found = audit.compare(prints(waves), prints([change(x) for x in waves], rate))
    assert {(i, j) for i, j, *_ in found} == {(i, i) for i in range(20)}
    assert min(similarity for _, _, similarity, *_ in found) > least
    assert all(abs(lag) <= 1 for *_, lag, _ in found)


def test_strangers_are_let_be():
    assert audit.compare(prints(sounds(40))) == []
    noise = [np.random.default_rng(s).standard_normal(12_000) for s in range(20)]
    assert audit.compare(prints(noise)) == []


def test_a_cut_is_found_where_it_was_cut():
    waves = sounds(8, seconds=4.0)
    cut = noisy(waves[3][12_800:22_400], 20)  # from 1.6 s, for 1.2 s
    ((i, j, _, lag, shared),) = audit.compare(prints(waves), prints([cut]))
    assert (i, j) == (3, 0) and lag * audit.HOP / audit.RATE == pytest.approx(1.6, abs=0.02)
    assert 300 < shared < 1000


def test_the_best_offset_is_that_of_a_loop():
    """By hand: the agreement of every offset."""
    rng = np.random.default_rng(0)
    a, b = (rng.choice([-1, 0, 1], (n, 32)).astype(np.int8) for n in (30, 50))
    b[17:37] = a[5:25]

    def agreement(lag):
        rows = [(n, n - lag) for n in range(30) if 0 <= n - lag < 50]
        shared = sum(np.sum((a[n] != 0) & (b[m] != 0)) for n, m in rows)
        return sum(a[n].astype(int) @ b[m] for n, m in rows) / max(shared, 1), shared

    best = max(range(-49, 30), key=lambda lag: agreement(lag)[0] * agreement(lag)[1] ** 0.5)
    ((_, _, similarity, lag, shared),) = audit.compare([a], [b], sigma=0.0)
    assert lag == best == -12 and (similarity, shared) == pytest.approx(agreement(best), abs=1e-4)


def test_silence_is_nobodys_copy():
    waves = [*sounds(4), np.zeros(8000), np.zeros(16_000), np.concatenate([np.zeros(8000), sounds(1)[0]])]
    found = audit.compare(prints(waves))
    assert {(i, j) for i, j, *_ in found} == {(0, 6)}  # the same sound after a second of silence
    assert found[0][3] * audit.HOP / audit.RATE == pytest.approx(-1.0, abs=0.02)


def test_of_stores_within_and_between(tmp_path, capsys):
    import soundfile
    from toys import make_store

    waves = sounds(6)
    for name, chosen in {"one": [*waves, 0.5 * waves[0]], "two": [waves[2], sounds(1, seed=9)[0]]}.items():
        (tmp_path / name).mkdir()
        for i, wave in enumerate(chosen):
            soundfile.write(
                tmp_path / name / f"{i}.wav", 0.9 * wave / np.abs(wave).max() * (i < 6 or 0.5), 8000
            )
    one, two = (make_store(tmp_path / name, tmp_path / f"store {name}") for name in ("one", "two"))
    (pair,) = audit.audit(one)
    assert (pair.a, pair.b, pair.exact) == (0, 6, False) and pair.similarity > 0.95
    (pair,) = audit.audit(one, two)
    assert (pair.a, pair.b, pair.exact) == (2, 0, True) and pair.similarity == pytest.approx(1, abs=1e-4)
    folds = np.array(list("1112223"))
    assert audit.across(audit.audit(one), folds) == audit.audit(one)
    assert audit.across(audit.audit(one), np.full(7, "1")) == []
    audit.run(one, two, out=tmp_path / "pairs.json")
    (record,) = json.loads((tmp_path / "pairs.json").read_text())
    assert (record["a"], record["b"], record["exact"]) == ("2.wav", "0.wav", True)
    text = capsys.readouterr().out
    assert "1 pairs of clips are alike, 1 of them the same samples" in text and "same samples" in text
    one.values = lambda column: folds
    audit.run(one)
    assert "1 of them lie in two folds" in capsys.readouterr().out
