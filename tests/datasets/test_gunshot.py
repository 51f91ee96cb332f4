"""gunshot: microphone, shot and firearm from the names of HEAR's clips."""

import pytest

from ssl_audio.datasets import gunshot


def lay_out(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_names_give_labels_group_and_hears_fold(tmp_path):
    lay_out(tmp_path, "fold03/mic1_shot0_fid1.wav", "fold03/mic4_shot21_fid7.wav", "mic2_shot5_fid2.flac")
    lay_out(tmp_path, "fold03.json")
    first, last, loose = gunshot.clips(tmp_path)
    assert first.path == tmp_path / "fold03" / "mic1_shot0_fid1.wav"
    assert dict(first.labels) == {"microphone": "mic1", "shot": "0", "firearm": "1"}
    assert (first.fold, first.group, first.licence) == ("fold03", "fid1", "CC0 1.0")
    assert dict(last.labels) == {"microphone": "mic4", "shot": "21", "firearm": "7"}
    assert (loose.fold, loose.group) == ("", "fid2")


def test_no_clips_and_whole_recordings_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no clips"):
        gunshot.clips(tmp_path)
    lay_out(tmp_path, "mic1raw.wav")
    with pytest.raises(ValueError, match=r"mic1raw\.wav: not named .* take HEAR's cut"):
        gunshot.clips(tmp_path)


def test_a_missing_set_says_where_it_is_to_be_had(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match=r"gunshot_triangulation-v1\.0-full"):
        gunshot.clips()
    lay_out(tmp_path / "gunshot", "48000/fold00/mic1_shot0_fid1.wav")
    assert [c.fold for c in gunshot.clips()] == ["fold00"]
