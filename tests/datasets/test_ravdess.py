"""ravdess: the seven numbers of a file name, of speech and song."""

import pytest

from ssl_audio.datasets import ravdess


def lay_out(folder, *files):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_names_give_emotion_channel_speaker_and_sex(tmp_path):
    files = ("Actor_12/03-01-06-01-02-01-12.wav", "Actor_07/03-02-02-02-01-02-07.wav")
    spoken, sung = ravdess.clips(lay_out(tmp_path, *files))
    assert spoken.path == tmp_path / "Actor_12" / "03-01-06-01-02-01-12.wav"
    assert dict(spoken.labels) == {
        "emotion": "fearful",
        "intensity": "normal",
        "channel": "speech",
        "statement": "dogs",
        "repetition": "1",
        "speaker": "12",
        "sex": "female",
    }
    assert (spoken.fold, spoken.group, spoken.licence) == ("", "12", "CC BY-NC-SA 4.0")
    assert (sung.labels["emotion"], sung.labels["intensity"]) == ("calm", "strong")
    assert (sung.labels["channel"], sung.labels["sex"]) == ("song", "male")
    assert (sung.labels["statement"], sung.labels["repetition"]) == ("kids", "2")


def test_archives_may_lie_apart_but_not_twice(tmp_path):
    folder = lay_out(
        tmp_path, "speech/Actor_01/03-01-01-01-01-01-01.wav", "Actor_01/03-02-01-01-01-01-01.ogg"
    )
    assert [clip.labels["channel"] for clip in ravdess.clips(folder)] == ["speech", "song"]
    lay_out(tmp_path, "copy/Actor_01/03-01-01-01-01-01-01.flac")
    with pytest.raises(ValueError, match="also there as"):
        ravdess.clips(folder)


def test_nothing_and_strange_names_are_told(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no sounds"):
        ravdess.clips(tmp_path)
    for name in ("03-01-09-01-01-01-01.wav", "01-01-01-01-01-01-01.wav", "03-01-01-01-01-01-25.wav"):
        with pytest.raises(ValueError, match="not named like"):
            ravdess.clips(lay_out(tmp_path / name, f"Actor_01/{name}"))
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"Speech_Actors.*Song_Actors.*so that there is .*ravdess"):
        ravdess.clips()
