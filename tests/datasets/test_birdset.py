"""birdset: rows of the parquet tables, if pyarrow is installed."""

import sys

import pytest

from ssl_audio.datasets import birdset

SCAPE = "HSN_001_20150708_061805"


def write(table, rows):
    parquet = pytest.importorskip("pyarrow.parquet")
    table.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(sys.modules["pyarrow"].Table.from_pylist(rows), table)


def row(code, several, start=None, end=None, **other):
    times = {"ebird_code": code, "ebird_code_multilabel": several, "start_time": start, "end_time": end}
    return times | {"lat": 1.0} | other


def lay_out(folder, *shards):
    for name in shards:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    train = row("gcrfin", ["gcrfin", "whcspa"], filepath="audio/XC1.ogg", license="CC BY-NC-SA 4.0")
    write(folder / "HSN_metadata_train.parquet", [train])
    stretches = [
        row(None, [], filepath=f"{SCAPE}_000_005.ogg"),
        row("whcspa", ["whcspa", "amepip"], 95.0, 100.0, filepath=f"{SCAPE}_095_100.ogg"),
    ]
    write(folder / "HSN_metadata_test_5s.parquet", stretches)
    whole = [("whcspa", 95.5, 97.0), ("amepip", 96.0, 96.0)]
    rows = [row(code, [code], start, end, __index_level_0__=f"{SCAPE}.ogg") for code, start, end in whole]
    write(folder / "HSN_metadata_test.parquet", rows)


SOUNDS = (
    "train/XC1.ogg",
    f"test_5s/{SCAPE}_000_005.ogg",
    f"test_5s/{SCAPE}_095_100.ogg",
    f"test/{SCAPE}.ogg",
)


def test_rows_give_labels_fold_group_and_licence(tmp_path):
    lay_out(tmp_path, *SOUNDS)
    train, empty, two = birdset.clips(tmp_path)
    assert train.path == tmp_path / "train" / "XC1.ogg"
    assert dict(train.labels) == {"ebird_code": "gcrfin", "ebird_code_multilabel": "gcrfin|whcspa"}
    assert (train.fold, train.group, train.licence) == ("train", "XC1", "CC BY-NC-SA 4.0")
    assert dict(empty.labels) == {"ebird_code": "", "ebird_code_multilabel": ""}
    assert dict(two.labels) == {"ebird_code": "", "ebird_code_multilabel": "whcspa|amepip"}
    assert (two.fold, two.group, two.licence) == ("test_5s", SCAPE, "CC BY-NC 4.0")
    assert (two.start, two.duration) == (0.0, None)  # the file is the stretch


def test_annotations_are_stretches_of_the_soundscapes(tmp_path):
    lay_out(tmp_path, *SOUNDS)
    (clip,) = birdset.clips(tmp_path, splits=["test"])  # the other has no length
    assert clip.path == tmp_path / "test" / f"{SCAPE}.ogg"
    assert (clip.start, clip.duration, clip.group, clip.fold) == (95.5, 1.5, SCAPE, "test")
    assert clip.labels["ebird_code"] == "whcspa"


def test_xeno_canto_subsets_have_one_table(tmp_path):
    (tmp_path / "XC7.ogg").touch()
    write(tmp_path / "XCM_metadata.parquet", [row("ostric2", ["ostric2"], filepath="XC7.ogg")])
    assert [(c.name, c.fold) for c in birdset.clips(tmp_path, "XCM")] == [("train/XC7.ogg", "train")]


def test_missing_tables_missing_sounds_and_other_tables_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"HSN_metadata_train\.parquet: missing"):
        birdset.clips(tmp_path)
    lay_out(tmp_path, SOUNDS[0])
    with pytest.raises(FileNotFoundError, match=r"2 files of HSN_metadata_test_5s\.parquet missing"):
        birdset.clips(tmp_path)
    write(tmp_path / "HSN_metadata_train.parquet", [{"filepath": "XC1.ogg", "species": "x"}])
    with pytest.raises(ValueError, match="not BirdSet's table"):
        birdset.clips(tmp_path)
    (tmp_path / "HSN_metadata_train.parquet").write_text("no parquet")
    with pytest.raises(ValueError, match="not BirdSet's table"):
        birdset.clips(tmp_path)


def test_without_pyarrow_the_remedy_is_told(tmp_path, monkeypatch):
    (tmp_path / "HSN_metadata_train.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match="pip install pyarrow"):
        birdset.clips(tmp_path)
