"""The audit finds copies of real recordings, changed as copies are, and takes no stranger for one."""

import csv
import itertools

import numpy as np
import pytest
import soundfile
import soxr

from ssl_audio import audit, cli
from ssl_audio.audio.build import build
from ssl_audio.audio.store import Clip, Store
from ssl_audio.datasets import gm_instruments

RATE = 16_000
CHANGES = ("gain", "noise", "rate", "cut")


def changed(wave, rng, how):
    """As copies are: quieter; with noise 10 dB below; once at 11 kHz; without its first 100 ms."""
    noise = rng.standard_normal(len(wave))
    noise *= wave.std() / noise.std() * 10**-0.5
    there = soxr.resample(soxr.resample(wave, RATE, 11_000), 11_000, RATE)
    return {"gain": -0.3 * wave, "noise": 0.5 * (wave + noise), "rate": there, "cut": wave[1600:]}[how]


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """(notes of many instruments; changed copies of some of them, and new sounds)."""
    folder, rng = tmp_path_factory.mktemp("audit"), np.random.default_rng(0)
    clips = [clip for clip in gm_instruments.clips() if clip.fold in "12"][::3]
    build(clips, folder / "one", rate=RATE, workers=1)
    one, made = Store(folder / "one"), []

    def put(name, wave, fold="1"):
        soundfile.write(folder / f"{name}.wav", wave, RATE)
        made.append(Clip(folder / f"{name}.wav", name=name, fold=fold))

    loud = [i for i in range(len(one)) if one.lengths[i] > RATE and np.abs(one[i]).max() > 3000]
    for i in loud[::4]:
        for how in CHANGES:
            put(f"{how} {i}", changed(one[i].astype(np.float64) / 2**15, rng, how))
    for i in range(2):
        put(f"new {i}", 0.1 * rng.standard_normal(2 * RATE))
    put("copy of new 0", soundfile.read(folder / "new 0.wav")[0], fold="2")
    put("silence", np.zeros(RATE))
    put("tiny", 0.1 * rng.standard_normal(80))
    build(made, folder / "other", rate=RATE, workers=1)
    return one, Store(folder / "other"), loud[::4]


def test_copies_are_found_whatever_was_done_to_them(stores):
    one, other, chosen = stores
    pairs = audit.audit(one, other)
    names = [other.name(pair.b).split() for pair in pairs]
    right = {(name[0], pair.a) for name, pair in zip(names, pairs, strict=True) if name[-1] == str(pair.a)}
    share = {how: sum((how, i) in right for i in chosen) / len(chosen) for how in CHANGES}
    assert len(chosen) >= 10 and share["gain"] == share["rate"] == 1
    assert share["noise"] >= 0.6 and share["cut"] >= 0.6, share
    assert not any(name[0] in ("new", "silence", "tiny") for name in names)
    found = [(n, pair) for n, pair in zip(names, pairs, strict=True) if n[-1] == str(pair.a)]
    assert all(0.85 < pair.likeness <= 1 + 1e-6 and not pair.exact for _, pair in found)
    late = [abs(pair.delay - (0.1 if n[0] == "cut" else 0.0)) < 0.01 for n, pair in found]
    assert np.mean(late) > 0.9  # a steady tone is like itself at other delays, too
    assert len(found) > 0.9 * len(pairs)  # others are notes of one instrument


def test_strangers_of_one_pitch_are_none(stores):
    """Between instruments of different folds there are few: samples that kits of drums share."""
    one = stores[0]
    pairs = audit.audit(one)
    assert all(pair.a < pair.b for pair in pairs)
    leaks = audit.across(pairs, one.values("fold"))
    family = one.values("family")
    assert all(family[pair.a] == family[pair.b] == "drum_kit" for pair in leaks) and len(leaks) <= 3


def test_the_same_samples_are_told_and_come_first(stores):
    other = stores[1]
    pairs = audit.audit(other)
    assert pairs[0].exact and not any(pair.exact for pair in pairs[1:])
    assert {other.name(pairs[0].a), other.name(pairs[0].b)} == {"new 0", "copy of new 0"}
    assert (pairs[0].likeness, pairs[0].delay) == (1.0, 0.0)


def test_two_clips_alone_are_compared(tmp_path):
    """There is no crowd to tell them from."""
    rng = np.random.default_rng(0)
    wave = np.convolve(rng.standard_normal(8000), np.ones(8) / 8, "same") * 0.3
    quiet = 0.5 * wave + 1e-4 * rng.standard_normal(8000)
    clips = {}
    for name, x in (("a", wave), ("b", quiet), ("silence 1", 0 * wave), ("silence 2", 0 * wave)):
        soundfile.write(tmp_path / f"{name}.wav", x, 8000, "FLOAT")
        clips[name] = Clip(tmp_path / f"{name}.wav", name=name)

    def store(*names):
        build([clips[name] for name in names], tmp_path / "-".join(names), rate=8000, workers=1)
        return Store(tmp_path / "-".join(names))

    (pair,) = audit.audit(store("a"), store("b"))
    assert pair.likeness > 0.99 and not pair.exact
    (pair,) = audit.audit(store(*clips))
    assert (pair.a, pair.b, pair.exact) == (0, 1, False)  # and silence is no copy of silence


def test_clips_of_the_same_samples():
    names = [b"x", b"y", b"x", None, None, b"x"]
    assert audit.same(names, names, True) == {(0, 2), (0, 5), (2, 5)}
    assert audit.same([b"x", None], names, False) == {(0, 0), (0, 2), (0, 5)}
    many = [b"x"] * 1000
    found = audit.same(many, many, True)
    assert found == {(0, i) for i in range(1, 1000)}
    assert {j for _, j in audit.same(many, many, False)} == set(range(1000))


def test_stretches_cover_a_long_clip():
    for seconds in (0.1, 2.0, 2.5, 7.3):
        found = audit.starts(seconds)
        assert found[0] == 0 and found[-1] == max(0.0, seconds - audit.SECONDS)
        assert all(b - a <= audit.EVERY + 1e-9 for a, b in itertools.pairwise(found))


def test_shapes_do_not_move_with_the_sound():
    rng = np.random.default_rng(0)
    burst, other = (np.convolve(rng.standard_normal(3000), rng.standard_normal(9)) for _ in range(2))
    at = lambda x, start: audit.shape(np.pad(x, (start, 16_000 - start - len(x))).astype(np.float32))
    assert at(burst, 0) @ at(7 * burst, 9000) > 0.97 > at(burst, 0) @ at(other, 0)
    assert not audit.shape(np.zeros(500, np.float32)).any()


def test_the_verb(stores, tmp_path, capsys, monkeypatch):
    one, other, _ = stores
    cli.main(["audit", str(other.path), "--out", str(tmp_path / "all.csv")])
    text = capsys.readouterr().out
    assert "same samples" in text and "across values of fold" in text
    with open(tmp_path / "all.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["exact"] == "true" and rows[0]["across"] == "true" and float(rows[0]["likeness"]) == 1
    cli.main(["audit", str(one.path), str(other.path)])
    text = capsys.readouterr().out
    assert "hold one sound" in text and "across" not in text and "gain" in text
    for wrong in (["--fold", "nothing"], ["--out", str(tmp_path / "nowhere" / "x.csv")]):
        with pytest.raises(SystemExit) as left:
            cli.main(["audit", str(one.path), *wrong])
        assert wrong[1] in str(left.value.code)


@pytest.mark.parametrize("delay", [1600, 1601, 1607])
def test_a_copy_may_begin_between_two_samples(delay):
    """An odd number of samples at 16 kHz is half a one of the audit: noise without a low pitch is found
    too."""
    wave = np.random.default_rng(0).standard_normal(48_000)
    one, other = (soxr.resample(x, 16_000, audit.RATE).astype(np.float32) for x in (wave, wave[delay:]))
    phases, waves, late = audit.agreement(one, other)
    assert min(phases, waves) > 0.9 and late == pytest.approx(delay / 16_000, abs=1e-4)


def test_all_copies_of_a_clip_are_candidates_in_either_order():
    rng = np.random.default_rng(0)
    shapes = rng.standard_normal((60, 20)).astype(np.float32)
    shapes[:30] = shapes[0] + 0.05 * rng.standard_normal((30, 20))
    a, b = shapes[:1], shapes[1:]
    clips = np.zeros(1, np.int64), np.arange(59)
    pairs = audit.candidates(a, b, *clips, False)
    assert {(0, i) for i in range(29)} <= {tuple(p) for p in pairs.tolist()}
    swapped = audit.candidates(b, a, *clips[::-1], False)
    assert {(j, i) for i, j in pairs.tolist()} == {tuple(p) for p in swapped.tolist()}
