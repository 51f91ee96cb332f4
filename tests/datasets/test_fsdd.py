"""fsdd: labels, official split and speakers from the file names."""

from collections import Counter

import pytest

from ssl_audio.datasets import fsdd


def touch(folder, *names):
    (folder / "recordings").mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / "recordings" / name).touch()


def test_names_give_labels_fold_and_group(tmp_path):
    touch(tmp_path, "7_jackson_4.wav", "7_jackson_5.wav", "0_theo_49.ogg", "notes.txt")
    clips = fsdd.clips(tmp_path)
    assert [(c.name, dict(c.labels), c.fold, c.group) for c in clips] == [
        ("0_theo_49.ogg", {"digit": "0", "speaker": "theo", "take": "49"}, "train", "theo"),
        ("7_jackson_4.wav", {"digit": "7", "speaker": "jackson", "take": "4"}, "test", "jackson"),
        ("7_jackson_5.wav", {"digit": "7", "speaker": "jackson", "take": "5"}, "train", "jackson"),
    ]


def test_a_strange_name_and_an_empty_folder_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no recordings"):
        fsdd.clips(tmp_path)
    touch(tmp_path, "seven_jackson_4.wav")
    with pytest.raises(ValueError, match="seven_jackson_4"):
        fsdd.clips(tmp_path)


def test_the_recordings(recordings, monkeypatch):
    if not (recordings / "fsdd").is_dir():
        pytest.skip(f"no fsdd in {recordings}")
    monkeypatch.setenv("SSL_AUDIO_DATA", str(recordings))
    clips = fsdd.clips()
    assert len(clips) == 3000
    assert Counter(c.fold for c in clips) == {"train": 2700, "test": 300}
    assert set(Counter((c.labels["digit"], c.group) for c in clips).values()) == {50}
    assert len({c.group for c in clips}) == 6
