"""The embedded data set is whole, is what its datasheet says, and its folds keep instruments apart."""

import importlib.util
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ssl_audio.datasets import gm_instruments

DATA = Path(gm_instruments.__file__).parent / "data"
FOLDER = DATA / "gm_instruments"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("cut_gm_instruments", DATA / "cut_gm_instruments.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_919_clips_of_101_instruments_in_13_families():
    clips = gm_instruments.clips()
    assert len(clips) == len({c.path for c in clips}) == len({c.name for c in clips}) == 919
    assert len({c.labels["instrument"] for c in clips}) == 101
    assert len({c.labels["family"] for c in clips}) == 13
    assert {tuple(c.labels) for c in clips} == {("family", "octave", "instrument")}
    assert all(c.group == c.labels["instrument"] for c in clips)
    octaves = Counter(c.labels["octave"] for c in clips)
    assert octaves == {
        "": 219,
        "0": 2,
        "1": 44,
        "2": 108,
        "3": 150,
        "4": 175,
        "5": 130,
        "6": 65,
        "7": 24,
        "8": 2,
    }


def test_no_instrument_is_in_two_folds_and_every_fold_but_two_has_every_family():
    clips = gm_instruments.clips()
    assert {c.fold for c in clips} == set("12345")
    assert len({(c.group, c.fold) for c in clips}) == 101
    families = {f: {c.labels["family"] for c in clips if c.fold == f} for f in "12345"}
    everything = set().union(*families.values())
    assert {f: everything - families[f] for f in families} == {
        "1": set(), "2": set(), "3": {"ensemble"}, "4": set(), "5": {"ensemble"},
    }  # fmt: skip


def test_the_folds_are_the_rule_of_the_script(script):
    clips = gm_instruments.clips()
    folds = script.folds_of([c.labels["family"] for c in clips], [c.group for c in clips])
    for number in set(folds):  # of the rule: whatever a later scikit-learn draws, groups stay whole
        assert not {c.group for c, f in zip(clips, folds, strict=True) if f == number} & {
            c.group for c, f in zip(clips, folds, strict=True) if f != number
        }


def test_the_files_are_those_of_the_datasheet_and_at_most_8_mb(script):
    digest = script.files_digest(FOLDER)
    assert digest == gm_instruments.SHA256
    assert digest in (FOLDER / "DATASHEET.md").read_text("utf-8")
    assert sum(f.stat().st_size for f in FOLDER.rglob("*")) <= 8_000_000
    licence = (FOLDER / "LICENSE.txt").read_text("utf-8")
    assert "Permission is hereby granted" in licence
    table = {p.relative_to(FOLDER).as_posix() for p in (FOLDER / "audio").iterdir()}
    assert table == {Path(c.path).relative_to(FOLDER).as_posix() for c in gm_instruments.clips()}


def test_the_clips_are_16_khz_mono_and_at_most_2_s():
    for clip in gm_instruments.clips()[::13]:
        wave, rate = soundfile.read(clip.path, dtype="float32")
        assert rate == 16_000
        assert wave.ndim == 1
        assert 2_512 <= len(wave) <= 32_000
        assert np.abs(wave).max() > 0.05


def test_octave_is_empty_without_a_pitch(script):
    keys = {"21": "0", "59": "3", "60": "4", "108": "8"}
    assert {key: script.octave(key, "piano", "Grand Piano") for key in keys} == keys
    assert script.octave("", "drum_kit", "Power") == ""
    assert script.octave("60", "percussive", "Temple Blocks") == ""
    assert script.octave("72", "percussive", "Steel Drums") == "5"


def test_cutting_fades_only_where_it_cuts_and_gives_the_same_bytes_twice(script, tmp_path):
    loud = np.full(40_000, 0.5, np.float32)
    for name, length in (("short.wav", 32_000), ("long.wav", 32_001)):
        soundfile.write(tmp_path / name, loud[:length], 16_000, subtype="FLOAT")
    short, was_cut = script.first_seconds(tmp_path / "short.wav")
    assert not was_cut
    np.testing.assert_array_equal(short, loud[:32_000])
    long, was_cut = script.first_seconds(tmp_path / "long.wav")
    assert was_cut
    np.testing.assert_array_equal(long[:-320], loud[: 32_000 - 320])
    assert (np.diff(long[-321:]) < 0).all()
    assert abs(long[-1]) < 1e-6

    coded = script.encode(long, serial=7)
    assert coded == script.encode(long, serial=7)
    (tmp_path / "coded.ogg").write_bytes(coded)
    back, rate = soundfile.read(tmp_path / "coded.ogg", dtype="float32")
    assert (rate, len(back)) == (16_000, 32_000)
    # a page whose checksum is wrong is dropped: the decoder agreeing shows that the checksums were made anew
    damaged = bytearray(coded)
    damaged[-40] ^= 1
    (tmp_path / "damaged.ogg").write_bytes(damaged)
    assert len(soundfile.read(tmp_path / "damaged.ogg")[0]) < 32_000


def test_the_whole_cut_from_the_recordings(script, recordings, tmp_path, capsys):
    source = recordings / "gm_instruments"
    if not source.is_dir():
        pytest.skip(f"no {source}")
    script.main(source, tmp_path / "again")
    printed = capsys.readouterr().out
    made = (tmp_path / "again" / "labels.csv").read_text("utf-8")
    assert made == (FOLDER / "labels.csv").read_text("utf-8")
    if soundfile.__libsndfile_version__ == "1.2.2":  # another one may code otherwise
        assert re.findall("[0-9a-f]{64}", printed)[0] == gm_instruments.SHA256
        assert re.findall("[0-9a-f]{64}", printed)[1] in (FOLDER / "DATASHEET.md").read_text("utf-8")


def test_without_its_data_the_error_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="install it again"):
        gm_instruments.clips(tmp_path)
