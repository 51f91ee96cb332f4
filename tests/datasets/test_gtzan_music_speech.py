"""gtzan_music_speech: kinds by folder, folds by name."""

from collections import Counter

import pytest

from ssl_audio.datasets import gtzan_music_speech


def lay_out(folder, music, speech):
    for kind, count in (("music", music), ("speech", speech)):
        home = folder / "music_speech" / f"{kind}_wav"
        home.mkdir(parents=True, exist_ok=True)
        for n in range(count):
            (home / f"{kind[0]}{n}.wav").touch()
    return folder


def test_folders_give_the_kind_and_names_the_fold(tmp_path):
    clips = gtzan_music_speech.clips(lay_out(tmp_path, 64, 64))
    count = Counter((clip.labels["kind"], clip.fold) for clip in clips)
    assert len(count) == 20 and set(count.values()) == {6, 7}
    assert (clips[0].name, clips[0].group) == ("music/m0.wav", "")
    assert [clip.fold for clip in clips] == [clip.fold for clip in gtzan_music_speech.clips(tmp_path)]


def test_a_kind_without_tracks_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"speech_wav: no tracks; unpack http"):
        gtzan_music_speech.clips(lay_out(tmp_path, 2, 0))
