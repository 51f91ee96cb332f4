"""voxforge: languages by folder, users by submission."""

from collections import Counter

import pytest

from ssl_audio.datasets import voxforge


def lay_out(folder, *files):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_folders_give_language_and_user(tmp_path):
    deep = "de/Trunk/Audio/Main/16kHz_16bit/ralf-20080315-abc/wav/de5-001.wav"
    files = (deep, "ru/anonymous-20100101-xyz/wav/ru_0001.wav", "ru/anonymous-20100101-xyz/etc/PROMPTS")
    german, russian = voxforge.clips(lay_out(tmp_path, *files))
    assert german.path == tmp_path / deep
    assert dict(german.labels) == {"language": "de", "speaker": "ralf", "submission": "ralf-20080315-abc"}
    assert (german.fold, german.group, german.licence) == ("1", "ralf", "GPL")
    assert german.name == "de/ralf-20080315-abc/de5-001.wav"
    assert (russian.labels["language"], russian.group) == ("ru", "anonymous")


def test_a_user_is_one_group_in_all_languages(tmp_path):
    files = ("en/ann-20080315-a/wav/1.wav", "fr/ann-20090315-b/wav/1.wav", "nl/ann-20090315-c/wav/1.wav")
    clips = voxforge.clips(lay_out(tmp_path, *files))
    assert [c.labels["language"] for c in clips] == ["en", "fr"]  # Dutch isn't one of the six
    assert {c.group for c in clips} == {"ann"} and len({c.fold for c in clips}) == 1


def test_nothing_and_sounds_out_of_place_are_told(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no sounds.*de, en, es, fr, it, ru"):
        voxforge.clips(tmp_path)
    for name in ("de/1.wav", "de/wav/1.wav", "de/Trunk/Audio/Main/16kHz_16bit/1.wav"):
        with pytest.raises(ValueError, match=r"not in \{submission\}/wav/"):
            voxforge.clips(lay_out(tmp_path / name, name))
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"voxforge_urls\.txt.*so that there is .*voxforge"):
        voxforge.clips()


def test_users_are_spread_over_five_folds(tmp_path):
    clips = voxforge.clips(lay_out(tmp_path, *(f"en/u{i}-2008-a/wav/1.wav" for i in range(60))))
    count = Counter(clip.fold for clip in clips)
    assert sorted(count) == list("01234") and min(count.values()) > 5
