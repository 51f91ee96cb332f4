"""vocalsound: the publisher's lists, the speakers' table, both releases."""

import json

import pytest

from ssl_audio.datasets import vocalsound

LISTS = {"tr": ["f0003_0_cough"], "val": ["m0010_0_throatclearing"], "te": ["m0011_1_sniff"]}
META = "f0003,female,28,USA,English,no\nm0010,male,41,India,Hindi,no\n"


def lay_out(folder, audio="audio_16k", end="", meta=META, files=None):
    for name in (audio, "datafiles", "meta"):
        (folder / name).mkdir(parents=True)
    for short, stems in LISTS.items():
        data = [{"wav": f"/data/elsewhere/{stem}.wav", "labels": "/m/01b_21"} for stem in stems]
        (folder / "datafiles" / f"{short}{end}.json").write_text(json.dumps({"data": data}))
        for stem in stems if files is None else files:
            (folder / audio / f"{stem}.wav").touch()
    (folder / "meta" / "all_meta.csv").write_text(meta)
    return folder


def test_lists_give_category_speaker_age_and_fold(tmp_path):
    train, valid, test = vocalsound.clips(lay_out(tmp_path))
    assert train.path == tmp_path / "audio_16k" / "f0003_0_cough.wav"
    assert dict(train.labels) == {"category": "cough", "speaker": "f0003", "sex": "female", "age": "28"}
    assert (train.fold, train.group, train.licence) == ("train", "f0003", "CC BY-SA 4.0")
    assert (valid.fold, valid.labels["category"], valid.labels["age"]) == ("valid", "throatclearing", "41")
    assert (test.fold, test.labels["sex"], test.labels["age"]) == ("test", "male", "")  # not in the table


def test_the_other_release_is_read_too(tmp_path):
    clips = vocalsound.clips(lay_out(tmp_path, "data_44k", "_rev"))
    assert [c.path.parent.name for c in clips] == ["data_44k"] * 3
    assert [c.fold for c in clips] == ["train", "valid", "test"]


def test_missing_files_and_other_tables_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"all_meta\.csv: missing"):
        vocalsound.clips(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"1 files of val\.json missing, such as m0010_0_throat"):
        vocalsound.clips(lay_out(tmp_path / "a", files=["f0003_0_cough"]))
    with pytest.raises(ValueError, match="nothing about these speakers"):
        vocalsound.clips(lay_out(tmp_path / "b", meta="id,sex,age\n1,female,28\n"))
    folder = lay_out(tmp_path / "c")
    for text in ('{"rows": []}', '[["f0003_0_cough"]]', "not json"):
        (folder / "datafiles" / "te.json").write_text(text)
        with pytest.raises(ValueError, match=r"te\.json: not VocalSound's"):
            vocalsound.clips(folder)
    (folder / "datafiles" / "te.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"te\.json: missing"):
        vocalsound.clips(folder)
