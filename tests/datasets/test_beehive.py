"""beehive: queen, hive and date from the file names of both projects."""

import pytest

from ssl_audio.datasets import beehive


def lay_out(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("name", "labels", "licence"),
    [
        (
            "Hive3_28_07_2017/Hive3_28_07_2017_QueenBee____07_50_00.wav",
            ("QUEEN", "Hive3", "2017-07-28", "NU-Hive"),
            "not verified",
        ),
        (
            "a/Hive1 31_05_2018_NO_QueenBee____00_00_00.wav",
            ("NOQUEEN", "Hive1", "2018-05-31", "NU-Hive"),
            "not verified",
        ),
        (
            "Hive1_12_06_2018_QueenBee_H1_audio___15_00_00.wav",
            ("QUEEN", "Hive1", "2018-06-12", "NU-Hive"),
            "CC BY 4.0",
        ),
        ("CF003 - Active - Day - (214).wav", ("QUEEN", "CF003", "", "OSBH"), "CC BY 4.0"),
        ("CJ001 - Missing Queen - Day -  (100).mp3", ("NOQUEEN", "CJ001", "", "OSBH"), "CC BY 4.0"),
        ("Inside a Swarming Hive +5.mp3", ("", "Inside a Swarming Hive +5", "", "OSBH"), "CC BY 4.0"),
    ],
)
def test_names_give_labels_group_and_licence(tmp_path, name, labels, licence):
    lay_out(tmp_path, name, "notes.lab")
    (clip,) = beehive.clips(tmp_path)
    assert clip.path == tmp_path / name
    assert dict(clip.labels) == dict(zip(("queen", "hive", "date", "project"), labels, strict=True))
    assert (clip.fold, clip.group, clip.licence) == ("", labels[1], licence)


def test_no_recordings_and_strange_names_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no recordings"):
        beehive.clips(tmp_path)
    lay_out(tmp_path, "Hive1_12_06_2018.wav")
    with pytest.raises(ValueError, match=r"Hive1_12_06_2018\.wav: the name tells neither"):
        beehive.clips(tmp_path)


def test_a_missing_set_says_where_it_is_to_be_had(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"2667806/files/Hive1_12_06_2018\.rar"):
        beehive.clips()
