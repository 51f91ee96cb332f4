"""librispeech: utterances of the subsets that are there, and the readers' sex."""

from collections import Counter

import pytest

from ssl_audio.datasets import librispeech

SPEAKERS = (
    "; Some pipe(|) separated metadata\n;\n;ID  |SEX| SUBSET           |MINUTES| NAME\n"
    "14   | F | train-clean-360  | 25.03 | Kristin\n1998 | M | test-other       | 10.00 | A | B\n"
)


def lay_out(folder, *files):
    for name in files:
        subset, _, utterance = name.partition("/")
        speaker, chapter, _ = utterance.split("-")
        home = folder / subset / speaker / chapter
        home.mkdir(parents=True, exist_ok=True)
        (home / utterance).touch()


def test_utterances_give_speaker_sex_subset_and_fold(tmp_path):
    home = tmp_path / "LibriSpeech"
    lay_out(home, "train-clean-360/14-208-0000.flac", "test-other/1998-15444-0001.flac")
    lay_out(home, "dev-clean/84-121123-0000.wav")
    (home / "dev-clean" / "84" / "121123" / "84-121123.trans.txt").touch()
    (home / "SPEAKERS.TXT").write_text(SPEAKERS)
    dev, test, train = librispeech.clips(tmp_path)  # the folder that holds LibriSpeech/
    assert [c.path for c in librispeech.clips(home)] == [dev.path, test.path, train.path]
    assert train.path == home / "train-clean-360" / "14" / "208" / "14-208-0000.flac"
    assert dict(train.labels) == {
        "speaker": "14",
        "sex": "female",
        "chapter": "208",
        "subset": "train-clean-360",
    }
    assert (train.fold, train.group, train.licence) == ("train", "14", "CC BY 4.0")
    assert (test.fold, test.labels["sex"], test.group) == ("test", "male", "1998")
    assert (dev.fold, dev.labels["sex"]) == ("valid", "")  # not in the table


def test_nothing_strange_names_and_another_table_are_told(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no utterances"):
        librispeech.clips(tmp_path)
    lay_out(tmp_path, "dev-other/116-288045-x.flac")
    with pytest.raises(ValueError, match="not named"):
        librispeech.clips(tmp_path)
    (tmp_path / "SPEAKERS.TXT").write_text("id,sex\n14,F\n")
    with pytest.raises(ValueError, match="not LibriSpeech's"):
        librispeech.clips(tmp_path)
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"openslr\.org.*so that there is .*LibriSpeech"):
        librispeech.clips()


def test_the_recordings(recordings, monkeypatch):
    if not (recordings / "LibriSpeech").is_dir():
        pytest.skip(f"no LibriSpeech in {recordings}")
    monkeypatch.setenv("SSL_AUDIO_DATA", str(recordings))
    clips = librispeech.clips()
    assert {c.labels["subset"] for c in clips} >= {"test-other"}
    few = Counter(c.group for c in clips if c.labels["subset"] == "test-other")
    assert {"1688", "1998", "2033", "2414", "2609", "3005", "3080", "3331", "367", "533"} <= few.keys()
    assert min(few.values()) >= 10
    assert {c.fold for c in clips if c.labels["subset"] == "test-other"} == {"test"}
    assert len({c.path for c in clips}) == len(clips)
