"""voxlingua107: languages by folder, videos by file name, HEAR's ten languages by count."""

import pytest

from ssl_audio.datasets import voxlingua107

NAME = "1WCI1U2iEGQ__U__S122---1453.730-1472.010.wav"


def lay_out(folder, *files):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_folders_give_language_fold_and_video(tmp_path):
    train, moved, dev = voxlingua107.clips(
        lay_out(tmp_path, f"ceb/{NAME}", f"train/iw/{NAME}", f"dev/fi/_{NAME}", "readme.txt")
    )
    assert train.path == tmp_path / "ceb" / NAME
    assert dict(train.labels) == {"language": "ceb", "top10": "", "hear_fold": ""}
    assert (train.fold, train.group, train.name) == ("train", "1WCI1U2iEGQ", f"ceb/{NAME}")
    assert train.licence.startswith("CC BY 4.0 or CC BY-NC 4.0")
    assert (moved.labels["language"], moved.fold) == ("iw", "train")
    assert (dev.labels["language"], dev.fold, dev.group) == ("fi", "valid", "_1WCI1U2iEGQ")


def test_the_ten_languages_with_most_segments_of_a_whole_dev(tmp_path, monkeypatch):
    files = [f"dev/{lang}/{lang}{n}{NAME}" for lang in voxlingua107.LANGUAGES[:12] for n in range(2)]
    files.remove(f"dev/af/af1{NAME}")
    files.remove(f"dev/as/as1{NAME}")
    lay_out(tmp_path, *files, f"af/{NAME}", f"zh/{NAME}", f"ab/{NAME}")
    assert {c.labels["top10"] for c in voxlingua107.clips(tmp_path)} == {""}  # 22 segments are no whole dev
    monkeypatch.setattr(voxlingua107, "DEV", 22)
    languages = [lang for lang in voxlingua107.LANGUAGES[:12] if lang not in ("af", "as")]
    whole = voxlingua107.hear.folds  # HEAR makes five, with two segments a language there can be two
    monkeypatch.setattr(voxlingua107.hear, "folds", lambda labels, k: whole(labels, {5: 2}[k]))
    top = {(c.labels["language"], c.labels["top10"]) for c in voxlingua107.clips(tmp_path)}
    assert {lang for lang, answer in top if answer == "False"} == {"af", "as", "zh"}
    assert len(top) == 13 and ("ab", "True") in top
    folds = {}
    for clip in voxlingua107.clips(tmp_path):
        its = clip.labels["top10"] == "True" and clip.fold == "valid"
        assert bool(clip.labels["hear_fold"]) == its
        if its:
            folds.setdefault(clip.labels["hear_fold"], set()).add(clip.labels["language"])
    assert folds == {f"fold0{i}": set(languages) for i in range(2)}


def test_nothing_and_other_folders_are_told(tmp_path, monkeypatch):
    assert len(set(voxlingua107.LANGUAGES)) == 107
    with pytest.raises(FileNotFoundError, match="no segments"):
        voxlingua107.clips(tmp_path)
    with pytest.raises(ValueError, match="'english' is no language"):
        voxlingua107.clips(lay_out(tmp_path, f"dev/english/{NAME}"))
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"dev\.zip.*zip_urls\.txt.*so that there is .*voxlingua107"):
        voxlingua107.clips()
