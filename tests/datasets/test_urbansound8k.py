"""urbansound8k: rows of the official table, the group with the class in it, what is told when files lack."""

import pytest

from ssl_audio.datasets import urbansound8k

HEAD = "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
ROWS = (
    "100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark\n"
    "77751-4-0-1.wav,77751,1.5,5.5,2,2,4,drilling\n"
    "77751-7-0-0.wav,77751,0.0,4.0,1,10,7,jackhammer\n"
)


def lay_out(folder, text, *files):
    (folder / "metadata").mkdir(parents=True)
    (folder / "metadata" / "UrbanSound8K.csv").write_text(text)
    for name in files:
        (folder / "audio" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "audio" / name).touch()


def test_rows_give_labels_fold_and_group(tmp_path):
    lay_out(
        tmp_path, HEAD + ROWS, "fold5/100032-3-0-0.wav", "fold2/77751-4-0-1.flac", "fold10/77751-7-0-0.wav"
    )
    dog, drill, hammer = urbansound8k.clips(tmp_path)
    assert dog.path == tmp_path / "audio" / "fold5" / "100032-3-0-0.wav"
    assert dict(dog.labels) == {
        "class": "dog_bark",
        "class_id": "3",
        "salience": "1",
        "recording": "100032",
    }
    assert (dog.fold, dog.group, dog.licence) == ("5", "100032-3", "CC BY-NC 3.0")
    assert (dog.start, dog.duration) == (0.0, None)  # the table's times are of the whole recording
    assert drill.path.suffix == ".flac"
    # one recording in two official folds: its two classes are two groups, so that no fold cuts a group
    assert [(c.fold, c.group) for c in (drill, hammer)] == [("2", "77751-4"), ("10", "77751-7")]
    assert drill.labels["recording"] == hammer.labels["recording"] == "77751"


def test_a_sound_in_another_fold_is_missing(tmp_path):
    lay_out(
        tmp_path, HEAD + ROWS, "fold1/100032-3-0-0.wav", "fold2/77751-4-0-1.wav", "fold10/77751-7-0-0.wav"
    )
    with pytest.raises(FileNotFoundError, match=r"1 files of .* missing, such as fold5/100032-3-0-0"):
        urbansound8k.clips(tmp_path)


def test_a_missing_set_and_another_table_are_told(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"UrbanSound8K\.csv: missing"):
        urbansound8k.clips(tmp_path)
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"zenodo\.org/records/1203745.*urbansound8k.metadata"):
        urbansound8k.clips()
    lay_out(tmp_path / "urbansound8k", "file,class\nx.wav,dog\n")
    with pytest.raises(ValueError, match="not UrbanSound8K's table"):
        urbansound8k.clips()
