"""nsynth: notes of examples.json in the three official folders."""

import json

import pytest

from ssl_audio.datasets import nsynth

NOTE = {
    "note": 217499,
    "note_str": "bass_synthetic_068-049-025",
    "instrument": 656,
    "instrument_str": "bass_synthetic_068",
    "pitch": 49,
    "velocity": 25,
    "sample_rate": 16000,
    "qualities": [1, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    "qualities_str": ["bright", "dark"],
    "instrument_family": 0,
    "instrument_family_str": "bass",
    "instrument_source": 2,
    "instrument_source_str": "synthetic",
}


def lay_out(folder, fold, notes, *files):
    home = folder / f"nsynth-{fold}"
    (home / "audio").mkdir(parents=True)
    (home / "examples.json").write_text(json.dumps(notes))
    for name in files:
        (home / "audio" / name).touch()


def test_notes_of_three_folders(tmp_path):
    for fold, name in (("train", "a-049-025"), ("valid", "b-049-025"), ("test", "c-049-025")):
        lay_out(tmp_path, fold, {name: NOTE | {"instrument_str": name[0]}}, f"{name}.wav")
    clips = nsynth.clips(tmp_path)
    assert [(c.fold, c.group, c.path.name) for c in clips] == [
        ("train", "a", "a-049-025.wav"),
        ("valid", "b", "b-049-025.wav"),
        ("test", "c", "c-049-025.wav"),
    ]
    assert dict(clips[0].labels) == {
        "pitch": "49",
        "velocity": "25",
        "family": "bass",
        "source": "synthetic",
        "instrument": "a",
        "qualities": "bright|dark",
        "hear_5h": "",
        "hear_50h": "",
    }
    assert clips[0].licence == "CC BY 4.0"


def test_one_fold_alone_and_copies(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lay_out(tmp_path / "nsynth", "test", {"c": NOTE | {"qualities_str": []}}, "c.ogg")
    (clip,) = nsynth.clips(folds=("test",))
    assert (clip.labels["qualities"], clip.path.name) == ("", "c.ogg")
    with pytest.raises(FileNotFoundError, match=r"nsynth-train\.jsonwav\.tar\.gz"):
        nsynth.clips()


def test_missing_sound_missing_table_and_another_table_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"examples\.json: missing"):
        nsynth.clips(tmp_path)
    lay_out(tmp_path / "a", "train", {"c": NOTE, "d": NOTE}, "c.wav")
    with pytest.raises(FileNotFoundError, match=r"1 notes of examples\.json missing, such as d"):
        nsynth.clips(tmp_path / "a")
    lay_out(tmp_path / "b", "train", {"c": {"pitch": 3}}, "c.wav")
    with pytest.raises(ValueError, match="not NSynth's table"):
        nsynth.clips(tmp_path / "b")
    (tmp_path / "b" / "nsynth-train" / "examples.json").write_text("{")
    with pytest.raises(ValueError, match="not NSynth's table"):
        nsynth.clips(tmp_path / "b")


def test_whole_folds_have_hears_draws_of_pitches_21_to_108(tmp_path, monkeypatch):
    monkeypatch.setattr(nsynth, "NOTES", {"train": 6, "valid": 2, "test": 3})
    most = {"train": 2, "valid": 1, "test": 3}
    monkeypatch.setattr(nsynth, "DRAWN", {"hear_5h": most, "hear_50h": {f: 9 for f in most}})
    names = {"train": "abcdef", "valid": "gh", "test": "ij"}  # of the test one is missing
    for fold, some in names.items():
        notes = {name: NOTE | {"pitch": 109 if name in "ag" else 21 if name == "b" else 108} for name in some}
        lay_out(tmp_path, fold, notes, *(f"{name}.wav" for name in some))
    clips = {clip.path.stem: clip.labels for clip in nsynth.clips(tmp_path)}
    kept = {name for name, labels in clips.items() if labels["hear_5h"]}
    assert len(kept & set("bcdef")) == 2 and kept - set("bcdef") == {"h"}
    assert {name for name, labels in clips.items() if labels["hear_50h"]} == set("bcdefh")
    assert all(labels["hear_5h"] in ("", labels["hear_50h"]) for labels in clips.values())
    assert {clips[name]["hear_50h"] for name in "bcdef"} == {"train"} and clips["h"]["hear_50h"] == "valid"
