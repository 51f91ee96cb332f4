"""audioset: clips of every usual name, the official csv files, what was found of what is listed."""

import hashlib

import pytest

from ssl_audio.datasets import audioset

HEAD = (
    "# Segments csv created Sun Mar  5 10:54:31 2017\n# num_ytids=1\n"
    "# YTID, start_seconds, end_seconds, positive_labels\n"
)
BALANCED = (
    '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n'
    '--ZhevVpy1s, 50.000, 60.000, "/m/012xff"\n'
    'YabcdefghiJ, 0.000, 10.000, "/m/03fwl"\n'
)
EVAL = '_0RWZT-miF_, 420.000, 430.000, "/m/03v3yw,/m/0k4j"\n'


def lay_out(folder, *files, where="metadata", balanced=HEAD + BALANCED):
    (folder / where).mkdir(parents=True, exist_ok=True)
    (folder / where / "balanced_train_segments.csv").write_text(balanced)
    (folder / where / "eval_segments.csv").write_text(HEAD + EVAL)
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_clips_of_every_name_get_their_labels(tmp_path):
    lay_out(
        tmp_path,
        "audios/balanced_train_segments/Y--PJHxphWEs.wav",
        "x/--ZhevVpy1s_50000_60000.flac",
        "YabcdefghiJ.ogg",
        "eval/Y_0RWZT-miF__420.000_430.000.wav",
        "eval/Y-notListed0.wav",
        "eval/readme.wav",
    )
    clips = {c.group: c for c in audioset.clips(tmp_path)}
    assert list(clips) == ["--PJHxphWEs", "--ZhevVpy1s", "YabcdefghiJ", "_0RWZT-miF_"]
    speech, _, _, keys = clips.values()
    assert dict(speech.labels) == {"mids": "/m/09x0r|/t/dd00088", "subset": "balanced_train"}
    assert (speech.fold, speech.start, speech.duration) == ("train", 0.0, None)  # the file is the stretch
    assert dict(keys.labels) == {"mids": "/m/03v3yw|/m/0k4j", "subset": "eval"}
    assert keys.fold == "test"


@pytest.mark.parametrize("stem", ("{}", "Y{}", "{}_30", "Y{}_30", "{}_30_40", "Y{}_30.000_40.000"))
@pytest.mark.parametrize("name", ("--PJHxphWEs", "YabcdefghiJ", "_0RWZT-miF_"))
def test_every_layout_of_names(tmp_path, stem, name):
    lay_out(tmp_path, f"{stem.format(name)}.wav", where="")
    assert [c.group for c in audioset.clips(tmp_path)] == [name]


def test_coverage_and_fingerprint(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path))
    lay_out(tmp_path / "audioset", "YabcdefghiJ.wav", "b/--PJHxphWEs.wav", "a/Y--PJHxphWEs.wav")
    assert audioset.coverage() == {"balanced_train": (2, 3), "eval": (0, 1)}
    clips = audioset.clips()
    assert clips[0].path.parent.name == "a"  # of two files of one id the first
    digest = hashlib.sha256(b"--PJHxphWEs\nYabcdefghiJ\n").hexdigest()
    assert audioset.fingerprint(clips) == audioset.fingerprint(clips[::-1]) == (digest, 2)
    assert audioset.fingerprint(clips[:1])[0] != digest


def test_no_clips_no_csv_and_another_csv_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"eval_segments\.csv.*audioset.metadata"):
        audioset.clips()
    with pytest.raises(FileNotFoundError, match="no csv file of AudioSet's"):
        audioset.clips(tmp_path)
    lay_out(tmp_path / "a", "Y-notListed0.wav")
    with pytest.raises(FileNotFoundError, match=r"none of the 4 clips listed is here.*--PJHxphWEs\.wav"):
        audioset.clips(tmp_path / "a")
    lay_out(tmp_path / "b", balanced="file,class\nx.wav,dog\n")
    with pytest.raises(ValueError, match="isn't a row of AudioSet's csv"):
        audioset.clips(tmp_path / "b")
