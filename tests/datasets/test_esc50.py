"""esc50: rows of the official table, in the official layout and in copies."""

from collections import Counter

import pytest

from ssl_audio.datasets import esc50

HEAD = "filename,fold,target,category,esc10,src_file,take\n"
ROWS = "1-100032-A-0.wav,1,0,dog,True,100032,A\n4-77-B-49.wav,4,49,hand_saw,False,77,B\n"


def lay_out(folder, text, *files):
    (folder / "meta").mkdir(parents=True)
    (folder / "audio").mkdir()
    (folder / "meta" / "esc50.csv").write_text(text)
    for name in files:
        (folder / "audio" / name).touch()


def test_rows_give_labels_fold_group_and_licence(tmp_path):
    lay_out(tmp_path, HEAD + ROWS, "1-100032-A-0.wav", "4-77-B-49.ogg")  # one official, one copy
    dog, saw = esc50.clips(tmp_path)
    assert dog.path == tmp_path / "audio" / "1-100032-A-0.wav"
    assert dict(dog.labels) == {"category": "dog", "target": "0", "esc10": "True", "major": "animals"}
    assert (dog.fold, dog.group, dog.licence) == ("1", "100032-0", "CC BY 3.0")
    assert saw.path == tmp_path / "audio" / "4-77-B-49.ogg"
    assert dict(saw.labels) == {"category": "hand_saw", "target": "49", "esc10": "False", "major": "urban"}
    assert (saw.fold, saw.group, saw.licence) == ("4", "77-49", "CC BY-NC 3.0")


def test_missing_table_missing_sound_and_another_table_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"esc50\.csv"):
        esc50.clips(tmp_path)
    lay_out(tmp_path / "a", HEAD + ROWS, "4-77-B-49.ogg")
    with pytest.raises(FileNotFoundError, match=r"1 files .* such as 1-100032-A-0"):
        esc50.clips(tmp_path / "a")
    lay_out(tmp_path / "b", "file,class\nx.wav,dog\n")
    with pytest.raises(ValueError, match="not ESC-50's table"):
        esc50.clips(tmp_path / "b")


def test_the_recordings(recordings, monkeypatch):
    if not (recordings / "esc50").is_dir():
        pytest.skip(f"no esc50 in {recordings}")
    monkeypatch.setenv("SSL_AUDIO_DATA", str(recordings))
    clips = esc50.clips()
    assert len(clips) == 2000
    assert set(Counter(c.labels["category"] for c in clips).values()) == {40}
    assert Counter(c.fold for c in clips) == dict.fromkeys("12345", 400)
    assert Counter(c.labels["esc10"] for c in clips) == {"False": 1600, "True": 400}
    assert Counter(c.labels["major"] for c in clips) == dict.fromkeys(esc50.MAJOR, 400)
    # the official folds cut no recording of one class, and four recordings that gave clips of two
    assert len({c.group for c in clips}) == len({(c.group, c.fold) for c in clips}) == 1528
    recording = {(c.group.split("-")[0], c.fold) for c in clips}
    cut = [r for r, n in Counter(r for r, _ in recording).items() if n > 1]
    assert sorted(cut) == ["131943", "134049", "209698", "234879"]
