"""dcase2016_task2: single events, mixtures and their annotations."""

import pytest

from ssl_audio.datasets import dcase2016_task2 as dcase

NOTES = "15.53\t16.47\tcough\n53.07\t53.54\tkeys\n60.23\t60.76\tcough\n"


def lay_out(folder):
    single = folder / dcase.TRAIN
    single.mkdir(parents=True)
    for name in ("cough168.wav", "keysDrop025.wav"):
        (single / name).touch()
    for fold, stem in (
        ("dev", "dev_1_ebr_-6_nec_1_poly_0"),
        ("dev", "dev_1_ebr_0_nec_5_poly_1"),
        ("test", "test_1_ebr_-6_nec_2_poly_0"),
    ):
        for part, suffix, text in (("sound", "wav", ""), ("annotation", "txt", NOTES)):
            file = folder / dcase.MIXTURES[fold] / part / f"{stem}.{suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


def test_folders_and_names_give_folds_and_labels(tmp_path):
    lay_out(tmp_path)
    clips = dcase.clips(tmp_path)
    assert [(c.fold, c.name) for c in clips] == [
        ("train", "train/cough168.wav"),
        ("train", "train/keysDrop025.wav"),
        ("dev", "dev/dev_1_ebr_-6_nec_1_poly_0.wav"),
        ("dev", "dev/dev_1_ebr_0_nec_5_poly_1.wav"),
        ("test", "test/test_1_ebr_-6_nec_2_poly_0.wav"),
    ]
    assert dict(clips[1].labels) == {"event": "keys", "ebr": "", "nec": "", "poly": "", "hear_split": ""}
    assert dict(clips[2].labels) == {
        "event": "cough|keys", "ebr": "-6", "nec": "1", "poly": "0", "hear_split": "train"
    }  # fmt: skip
    assert [c.labels["hear_split"] for c in clips] == ["", "", "train", "valid", "test"]


def test_events_are_read_in_seconds(tmp_path):
    lay_out(tmp_path)
    single, *_, mixture = dcase.clips(tmp_path)
    expected = [(15.53, 16.47, "cough"), (53.07, 53.54, "keys"), (60.23, 60.76, "cough")]
    assert dcase.events(mixture) == expected
    with pytest.raises(FileNotFoundError, match="only mixtures are annotated"):
        dcase.events(single)


def test_a_missing_archive_and_damaged_files_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="unpack both archives"):
        dcase.clips(tmp_path)
    lay_out(tmp_path)
    table = tmp_path / dcase.MIXTURES["test"] / "annotation" / "test_1_ebr_-6_nec_2_poly_0.txt"
    table.write_text("1.0\tcough\n")
    with pytest.raises(ValueError, match="isn't onset, offset and class"):
        dcase.clips(tmp_path)
    table.write_text(NOTES)
    (tmp_path / dcase.MIXTURES["test"] / "sound" / "noise.wav").touch()
    with pytest.raises(ValueError, match=r"noise\.wav: not named"):
        dcase.clips(tmp_path)
    (tmp_path / dcase.TRAIN / "cough.wav").touch()
    (tmp_path / dcase.MIXTURES["test"] / "sound" / "noise.wav").unlink()
    with pytest.raises(ValueError, match=r"cough\.wav: not named"):
        dcase.clips(tmp_path)


def test_hear_trains_on_nine_of_the_eighteen_dev_mixtures():
    grid = {
        (ebr, str(nec), poly)
        for ebr in ("-6", "0", "6")
        for poly, n in (("0", 1), ("1", 3))
        for nec in (n, n + 1, n + 2)
    }
    assert len(grid) == 18
    assert len(dcase.HEAR_TRAIN & grid) == len(dcase.HEAR_TRAIN) == 9
