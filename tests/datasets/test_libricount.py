"""libricount: counts from file names, speakers from json files, and HEAR's folds."""

import pytest

from ssl_audio.datasets import libricount

PEOPLE = '[{"sex": "F", "activity": [[0, 9]], "speaker_id": 1221}, {"sex": "M", "speaker_id": 5105}]'


def lay_out(folder, *names):
    (folder / "test").mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / "test" / name).touch()


def test_names_give_counts_and_json_files_give_speakers(tmp_path):
    lay_out(tmp_path, "0_a1.wav", "10_b_2.flac", "2_c3.wav", "readme.txt")
    (tmp_path / "test" / "0_a1.json").write_text("[]")
    (tmp_path / "test" / "2_c3.json").write_text(PEOPLE)
    nobody, ten, two = libricount.clips(tmp_path)
    assert nobody.path == tmp_path / "test" / "0_a1.wav"
    assert dict(nobody.labels) == {"count": "0", "speakers": "", "sexes": "", "hear_fold": ""}
    assert dict(ten.labels) == {"count": "10", "speakers": "", "sexes": "", "hear_fold": ""}
    assert dict(two.labels) == {"count": "2", "speakers": "1221|5105", "sexes": "F|M", "hear_fold": ""}
    assert {(c.fold, c.group, c.licence) for c in (nobody, ten, two)} == {("", "", "CC BY 4.0")}


def test_missing_sounds_strange_names_and_damaged_json_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no recordings"):
        libricount.clips(tmp_path)
    lay_out(tmp_path / "a", "11_x.wav")
    with pytest.raises(ValueError, match=r"11_x\.wav: not named"):
        libricount.clips(tmp_path / "a")
    lay_out(tmp_path / "b", "1_x.wav")
    for text in ("{", '[{"sex": "F"}]'):
        (tmp_path / "b" / "test" / "1_x.json").write_text(text)
        with pytest.raises(ValueError, match=r"1_x\.json: not LibriCount's"):
            libricount.clips(tmp_path / "b")


def test_the_whole_set_has_hears_folds(tmp_path, monkeypatch):
    monkeypatch.setattr(libricount, "CLIPS", 10)
    lay_out(tmp_path, *(f"{count}_{i}.wav" for count in (1, 2) for i in range(5)))
    assert {c.labels["hear_fold"] for c in libricount.clips(tmp_path)} == {f"fold0{i}" for i in range(5)}
