"""crema_d: labels of the file names, EVAR's split of the speakers, pointers instead of sounds."""

import pytest

from ssl_audio.datasets import crema_d


def lay_out(folder, *files):
    (folder / "AudioWAV").mkdir(parents=True)
    for name in files:
        (folder / "AudioWAV" / name).touch()
    return folder


def test_names_give_emotion_intensity_sentence_and_speaker(tmp_path):
    files = ("1001_DFA_ANG_XX.wav", "1009_IEO_HAP_HI.flac", "1002_TIE_NEU_XX.wav", "1006_TIE_NEU_XX.wav")
    first, second, third, fourth = crema_d.clips(lay_out(tmp_path, *files))
    assert first.path == tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav"
    assert dict(first.labels) == {
        "emotion": "anger",
        "intensity": "unspecified",
        "sentence": "DFA",
        "speaker": "1001",
        "evar": "test",
    }
    assert (first.fold, first.group, first.licence) == ("", "1001", "ODbL 1.0 (contents DbCL 1.0)")
    assert (second.labels["speaker"], second.labels["evar"]) == ("1002", "train")
    assert (third.labels["speaker"], third.labels["evar"]) == ("1006", "")  # not in EVAR's list
    assert (fourth.labels["emotion"], fourth.labels["intensity"]) == ("happy", "high")
    assert fourth.labels["evar"] == "valid"


def test_evar_splits_91_speakers(tmp_path):
    files = [f"{speaker}_IEO_SAD_LO.wav" for speaker in range(1001, 1092)]
    evar = [clip.labels["evar"] for clip in crema_d.clips(lay_out(tmp_path, *files))]
    assert (evar.count("train"), evar.count("valid"), evar.count("test")) == (63, 9, 19)


def test_nothing_strange_names_and_pointers_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no sounds"):
        crema_d.clips(tmp_path)
    for name in ("1001_DFA_BAD_XX.wav", "1001_DFA_ANG.wav", "03-01-01-01-01-01-01.wav"):
        with pytest.raises(ValueError, match="not named"):
            crema_d.clips(lay_out(tmp_path / name, name))
    folder = lay_out(tmp_path / "lfs", "1001_DFA_ANG_XX.wav", "1002_DFA_ANG_XX.wav")
    pointer = folder / "AudioWAV" / "1002_DFA_ANG_XX.wav"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 82260\n")
    with pytest.raises(FileNotFoundError, match=r"1002_DFA_ANG_XX\.wav: a git-lfs pointer.*git lfs pull"):
        crema_d.clips(folder)


def test_the_one_name_with_a_single_x_is_taken(tmp_path):
    (tmp_path / "AudioWAV").mkdir()
    (tmp_path / "AudioWAV" / "1040_ITH_SAD_X.wav").write_bytes(b"RIFF")
    (clip,) = crema_d.clips(tmp_path)
    assert (clip.labels["intensity"], clip.labels["evar"]) == ("unspecified", "")
