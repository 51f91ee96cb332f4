"""Anybody's embeddings: whatever they are kept in, matched by name, judged; refused with the reason."""

import json
import types

import numpy as np
import pytest

from ssl_audio import outside
from ssl_audio.audio.store import Clip
from ssl_audio.evaluate.tasks import TASKS

CLIPS = [
    Clip(
        path=f"/data/audio/{fold}-{i}-{kind}.wav",
        labels={"category": kind},
        fold=str(fold),
        group=f"{fold}-{i}-{kind}",
        name=f"{kind}/{fold}-{i}-{kind}.wav",
    )
    for fold in (1, 2, 3)
    for i in range(6)
    for kind in ("dog", "rain")
]
KNOWN = {"esc50": types.SimpleNamespace(clips=lambda: CLIPS)}


def embeddings(clips=CLIPS):
    rng = np.random.default_rng(0)
    kinds = np.array([clip.labels["category"] == "dog" for clip in clips])
    return (rng.standard_normal((len(clips), 4)) + 4 * kinds[:, None]).astype(np.float32)


def write(path, names, x):
    if path.suffix == ".npz":
        np.savez(path, x=x, name=np.array(names))
    elif path.suffix == ".csv":
        rows = [
            ",".join([name, *(f"{v:.6f}" for v in row), "text"]) for name, row in zip(names, x, strict=True)
        ]
        path.write_text("\n".join(["path,a,b,c,d,note", *rows]) + "\n")
    else:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        columns = {"name": names, "note": ["text"] * len(names)} | {
            f"e{i}": x[:, i] for i in range(x.shape[1])
        }
        parquet.write_table(pyarrow.table(columns), path)
    return path


@pytest.mark.parametrize("suffix", ["npz", "csv", "parquet"])
def test_what_is_written_is_read(tmp_path, suffix):
    x = embeddings()
    names, found = outside.read(write(tmp_path / f"theirs.{suffix}", [c.name for c in CLIPS], x))
    assert names == [c.name for c in CLIPS] and found.dtype == np.float32
    np.testing.assert_allclose(found, x, atol=1e-6)


@pytest.mark.parametrize("name", [lambda c: c.name, lambda c: f"any/{c.path[12:]}", lambda c: c.path[12:-4]])
def test_clips_are_found_by_name_or_file_in_any_order(tmp_path, name):
    order = np.random.default_rng(1).permutation(len(CLIPS))
    path = write(tmp_path / "theirs.npz", [name(CLIPS[i]) for i in order], embeddings()[order])
    (records,) = outside.evaluate(path, ["esc50"], tmp_path / "results", KNOWN)
    value = {(r["system"], r["metric"]): r["value"] for r in records}
    assert value["theirs", "accuracy"] == 1 and value["majority", "accuracy"] == 0.5
    assert value["theirs - majority", "accuracy difference"] == 0.5
    assert len(json.loads((tmp_path / "results" / "theirs.json").read_text())) == len(records)
    # the same numbers as for the arrays themselves
    assert {r["n"] for r in records} == {36} and records[0]["width"] == 4


def test_refusals(tmp_path):
    x, names = embeddings(), [c.name for c in CLIPS]
    with pytest.raises(ValueError, match=r"3 of 36 clips .* have no embedding, such as rain/3-4-rain"):
        outside.evaluate(write(tmp_path / "few.npz", names[:-3], x[:-3]), ["esc50"], tmp_path, KNOWN)
    with pytest.raises(ValueError, match="superb: looks at layers or frames"):
        outside.evaluate(tmp_path / "few.npz", ["esc50"], tmp_path, KNOWN, more=("superb",))
    with pytest.raises(ValueError, match="1 names are there several times, such as dog/1-0"):
        outside.read(write(tmp_path / "twice.npz", [*names[:-1], names[0]], x))
    x[7, 1] = np.nan
    with pytest.raises(ValueError, match=f"NaN or infinite values, such as {names[7]}"):
        outside.read(write(tmp_path / "nan.npz", names, x))
    np.savez(tmp_path / "other.npz", y=x)
    with pytest.raises(ValueError, match="no 'name"):
        outside.read(tmp_path / "other.npz")
    with pytest.raises(ValueError, match=r"are read from an \.npz"):
        outside.read(tmp_path / "other.txt")
    write(tmp_path / "rows.csv", names[:2], np.zeros((2, 2))).write_text("name,a,7,\nx,1,2,0\ny,3,4,1\n")
    with pytest.raises(ValueError, match="'' is a row's number; leave that column out"):
        outside.read(tmp_path / "rows.csv")
    (tmp_path / "rows.csv").write_text("name,a,digit\nx,1,2\ny,3,4\n")
    assert outside.read(tmp_path / "rows.csv")[1].shape == (2, 2)
    with pytest.raises(ValueError, match="'digit' is the label; leave that column out"):
        outside.read(tmp_path / "rows.csv", {"digit"})
    (tmp_path / "text.npz").write_text("no zip")
    np.savez(tmp_path / "objects.npz", x=x, name=np.array([*names[:-1], None], dtype=object))
    for bad in ("text.npz", "objects.npz"):
        with pytest.raises(ValueError, match=f"{bad}: damaged, or no .npz with plain arrays x and name"):
            outside.read(tmp_path / bad)
    (tmp_path / "words.csv").write_text("name,word\nx,one\ny,two\n")
    with pytest.raises(ValueError, match=r"2 names for embeddings \(2, 0\)"):
        outside.read(tmp_path / "words.csv")
    np.savez(tmp_path / "flat.npz", x=x[:, 0], name=np.array(names))
    with pytest.raises(ValueError, match="36 names for embeddings"):
        outside.read(tmp_path / "flat.npz")


def test_groups_of_the_listed_clips_are_those_of_a_store():
    """Empty: the file, so that several cuts of it stay together."""
    clips = [Clip(path="/a/long.wav", start=float(i), duration=1.0, labels={"x": "y"}) for i in range(3)]
    assert set(outside.Listed(clips).values("group")) == {"/a/long.wav"}
    assert outside.Listed(clips).values("none").tolist() == [""] * 3
    assert {t.name for t in TASKS} >= {"esc50"}


@pytest.mark.parametrize(("cut", "said"), [(",,1.0,text", "''"), ("", "None")])
def test_a_damaged_table_is_told_and_loses_no_column(tmp_path, cut, said):
    path = write(tmp_path / "theirs.csv", [clip.name for clip in CLIPS], embeddings())
    lines = path.read_text().splitlines()
    name, a, b, *_ = lines[3].split(",")
    lines[3] = f"{name},{a},{b}{cut}"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=rf"35 numbers in 36 rows, but {said}.*mend the file"):
        outside.read(path)
