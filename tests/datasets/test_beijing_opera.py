"""beijing_opera: instruments from file names, HEAR's folds of the whole set."""

import pytest

from ssl_audio.datasets import beijing_opera


def lay_out(folder, *names):
    sounds = folder / beijing_opera.FOLDER
    sounds.mkdir(parents=True, exist_ok=True)
    for name in names:
        (sounds / name).touch()


def test_names_give_instruments(tmp_path):
    lay_out(tmp_path, "205972__ajaysm__daluo-01.wav", "205973__ajaysm__bangu-06.flac", "_readme.txt")
    daluo, bangu = beijing_opera.clips(tmp_path)
    assert daluo.path == tmp_path / beijing_opera.FOLDER / "205972__ajaysm__daluo-01.wav"
    assert dict(daluo.labels) == {"instrument": "daluo", "hear_fold": ""}
    assert dict(bangu.labels) == {"instrument": "bangu", "hear_fold": ""}
    assert (daluo.fold, daluo.group, daluo.licence) == ("", "", "CC BY 4.0")


def test_an_empty_folder_and_strange_names_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no strokes"):
        beijing_opera.clips(tmp_path)
    for i, name in enumerate(("daluo.wav", "205972__ajaysm__gong-01.wav")):
        lay_out(tmp_path / str(i), name)
        with pytest.raises(ValueError, match="not named"):
            beijing_opera.clips(tmp_path / str(i))


def test_the_whole_set_has_five_folds_with_every_instrument(tmp_path, monkeypatch):
    monkeypatch.setattr(beijing_opera, "CLIPS", 80)
    names = (
        f"{i}{n}__ajaysm__{name}-{i}.wav"
        for n, name in enumerate(beijing_opera.INSTRUMENTS)
        for i in range(20)
    )
    lay_out(tmp_path, *names)
    clips = beijing_opera.clips(tmp_path)
    assert len({(c.labels["instrument"], c.labels["hear_fold"]) for c in clips}) == 4 * 5
