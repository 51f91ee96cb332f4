"""gtzan: genres, the fault-filtered lists, random folds that go by the name only."""

from collections import Counter

import pytest

from ssl_audio.datasets import gtzan

LISTS = {
    "train": "blues/blues.00029.wav\n",
    "valid": "jazz/jazz.00002.wav\n",
    "test": "blues/blues.00012.wav\n",
}
FILES = ("blues/blues.00029.wav", "blues/blues.00012.au", "jazz/jazz.00002.wav", "jazz/jazz.00099.wav")


def lay_out(folder, files=FILES, lists=None):
    for name in files:
        (folder / "genres" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "genres" / name).touch()
    (folder / "GTZAN_split").mkdir(parents=True)
    for name, text in (LISTS if lists is None else lists).items():
        (folder / "GTZAN_split" / f"{name}_filtered.txt").write_text(text)


def test_genres_and_the_filtered_split(tmp_path):
    lay_out(tmp_path)
    clips = gtzan.clips(tmp_path)
    assert [(c.name, c.labels["genre"], c.fold) for c in clips] == [
        ("blues/blues.00012.au", "blues", "test"),
        ("blues/blues.00029.wav", "blues", "train"),
        ("jazz/jazz.00002.wav", "jazz", "valid"),
        ("jazz/jazz.00099.wav", "jazz", ""),  # in none of the lists
    ]
    assert {c.licence for c in clips} == {"none stated"}
    assert {c.fold for c in gtzan.clips(tmp_path, split=False)} == {""}


def test_random_folds_are_even_and_do_not_depend_on_the_files(tmp_path):
    lay_out(tmp_path / "all", [f"{g}/{g}.{n:05d}.wav" for g in gtzan.GENRES for n in range(100)])
    clips = gtzan.clips(tmp_path / "all")
    assert len(clips) == 1000
    cells = Counter((c.labels["genre"], c.labels["random_fold"]) for c in clips)
    assert cells == {(g, str(n)): 10 for g in gtzan.GENRES for n in range(1, 11)}
    lay_out(tmp_path / "few")
    fold = {c.path.stem: c.labels["random_fold"] for c in clips}
    few = gtzan.clips(tmp_path / "few")
    assert len(few) == 4
    assert all(c.labels["random_fold"] == fold[c.path.stem] for c in few)
    assert (fold["blues.00000"], fold["rock.00099"]) == ("9", "6")  # frozen


def test_what_is_missing_or_strange_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"opihi.*GTZAN_split.*gtzan.genres"):
        gtzan.clips()
    with pytest.raises(FileNotFoundError, match="no excerpts"):
        gtzan.clips(tmp_path)
    lay_out(tmp_path / "a", lists={"train": LISTS["train"]})
    with pytest.raises(FileNotFoundError, match=r"valid_filtered\.txt: missing; get it from https"):
        gtzan.clips(tmp_path / "a")
    lay_out(tmp_path / "b", FILES[:3], LISTS | {"train": "jazz/jazz.00054.wav\n"})
    with pytest.raises(FileNotFoundError, match=r"1 excerpts of the split missing, such as jazz/jazz\.00054"):
        gtzan.clips(tmp_path / "b")
    lay_out(tmp_path / "c", lists=LISTS | {"test": "404: Not Found\n"})
    with pytest.raises(ValueError, match="'404:' isn't like"):
        gtzan.clips(tmp_path / "c")
    lay_out(tmp_path / "d", (*FILES, "jazz/blues.00000.wav"))
    with pytest.raises(ValueError, match=r"blues\.00000\.wav: not named"):
        gtzan.clips(tmp_path / "d")
