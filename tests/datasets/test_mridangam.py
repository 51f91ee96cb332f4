"""mridangam: strokes and tonics from file names, HEAR's folds of both tasks."""

import pytest

from ssl_audio.datasets import mridangam


def lay_out(folder, *names):
    for name in names:
        file = folder / mridangam.FOLDER / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_names_give_strokes_and_tonics(tmp_path):
    lay_out(tmp_path, "B/224030__akshaylaya__bheem-b-001.wav", "C#/1__akshaylaya__thom-csh-12.ogg")
    lay_out(tmp_path, "B/_readme_and_license.txt")
    bheem, thom = mridangam.clips(tmp_path)
    folds = {"hear_fold_stroke": "", "hear_fold_tonic": ""}
    assert bheem.path == tmp_path / mridangam.FOLDER / "B" / "224030__akshaylaya__bheem-b-001.wav"
    assert dict(bheem.labels) == {"stroke": "bheem", "tonic": "b", "take": "001"} | folds
    assert dict(thom.labels) == {"stroke": "thom", "tonic": "csh", "take": "12"} | folds
    assert (bheem.fold, bheem.group, bheem.licence) == ("", "", "CC BY-NC 3.0")


def test_an_empty_folder_and_strange_names_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no strokes"):
        mridangam.clips(tmp_path)
    for i, name in enumerate(("B/bheem-b-1.wav", "B/1__a__clap-b-001.wav", "B/1__a__bheem-f-001.wav")):
        lay_out(tmp_path / str(i), name)
        with pytest.raises(ValueError, match="not named"):
            mridangam.clips(tmp_path / str(i))


def test_the_whole_set_has_folds_of_both_tasks(tmp_path, monkeypatch):
    monkeypatch.setattr(mridangam, "CLIPS", 40)
    pairs = [(stroke, tonic) for stroke in ("ta", "thi") for tonic in ("b", "e")]
    lay_out(tmp_path, *(f"B/{i}{s}{t}__a__{s}-{t}-{i}.wav" for s, t in pairs for i in range(10)))
    with pytest.raises(ValueError, match="not named"):  # the id is a number
        mridangam.clips(tmp_path)
    lay_out(
        tmp_path / "a",
        *(f"B/{i}{n}__a__{s}-{t}-{i}.wav" for n, (s, t) in enumerate(pairs) for i in range(10)),
    )
    clips = mridangam.clips(tmp_path / "a")
    for column in ("stroke", "tonic"):
        assert len({(c.labels[column], c.labels[f"hear_fold_{column}"]) for c in clips}) == 2 * 5
