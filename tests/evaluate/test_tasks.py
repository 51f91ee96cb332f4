import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ssl_audio.evaluate import TASKS, Task, columns, find, judge
from ssl_audio.evaluate.tasks import alone, clips_of, drawn, own


class Columns:
    """What `columns` needs of a store."""

    def __init__(self, **values):
        self.given = {name: np.array(value) for name, value in values.items()}

    def values(self, column):
        return self.given[column]


def fsdd():
    rows = [(str(d), s, str(t)) for d in range(10) for s in "abcdef" for t in range(10)]
    digit, speaker, take = zip(*rows, strict=True)
    fold = ["test" if int(t) < 5 else "train" for t in take]
    return Columns(digit=digit, speaker=speaker, take=take, fold=fold, group=speaker)


def test_names():
    assert len({t.name for t in TASKS}) == len(TASKS)
    assert find("esc50").label == "category"
    with pytest.raises(ValueError, match=r"esc51.*gm/family"):
        find("esc51")


def test_columns_of_fsdd():
    labels, folds, groups, rows = columns(find("fsdd/digit"), fsdd())
    assert len(rows) == 600 and set(folds) == {"test", "train"} and len(set(groups)) == 600
    _, folds, groups, _ = columns(find("fsdd/digit-loso"), fsdd())
    assert set(folds) == set("abcdef") and (folds == groups).all()
    labels, folds, groups, _ = columns(find("fsdd/speaker"), fsdd())
    assert sorted(set(folds)) == ["0-1", "2-3", "4-5", "6-7", "8-9"] and set(labels) == set("abcdef")
    assert set(groups[folds == "2-3"]) == {"2", "3"}


def test_a_store_of_ones_own():
    """Folds are drawn, whole groups, classes spread alike; or those of a column."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 3)
    kind, part = np.array(list("abcd"))[group % 4], np.where(group < 8, "test", "train")
    store = Columns(kind=kind, group=group.astype(str), part=part)
    store.path, store.columns, store.digests = (
        Path("my sounds"),
        tuple(store.given),
        np.arange(240).reshape(120, 2),
    )
    store.names = lambda column: sorted(set(store.given[column]))
    task = own(store, "kind")
    labels, folds, groups, rows = columns(task, store)
    assert (task.name, len(rows), sorted(set(folds))) == ("my sounds/kind", 120, list("01234"))
    assert all(len(set(folds[groups == g])) == 1 for g in set(groups))
    assert all((labels[folds == f] == c).sum() == 6 for f in "01234" for c in "abcd")
    assert (columns(task, store)[1] == folds).all()
    assert own(store, "kind", "part").test == ("test",) and own(store, "kind", "group").test is None
    store.digests[2] = store.digests[119]  # a copy, in another group
    together = columns(task, store)[2]
    changed = {(a, b) for a, b in zip(groups, together, strict=True) if a != b}
    assert len(set(together)) == 39 and changed == {("39", "0")} and together[2] == together[119]
    store.path = Path("stores/fsdd")
    store.given["digit"] = kind
    store.columns = tuple(store.given)
    assert (
        own(store, "digit").name == "fsdd/digit (own folds)"
        and Path(own(store, "kind").dataset).is_absolute()
    )
    store.given["part"] = np.where(group < 8, "test", np.where(group < 20, "train", ""))
    assert columns(own(store, "kind", "part"), store)[3].tolist() == [*range(60)]
    store.given["digit"] = np.full(120, "7")
    with pytest.raises(ValueError, match="all clips have the digit '7'"):
        own(store, "digit")
    store.path, store.columns = Path("my sounds"), ("kind", "group", "part")
    with pytest.raises(ValueError, match="my sounds: no column 'sort'; there are kind, group, part"):
        own(store, "sort")
    store.given["part"] = np.full(120, "")
    store.names = lambda column: sorted(set(store.given[column]) - {""})
    with pytest.raises(ValueError, match="no clip has the column 'part' filled in; leave the folds out"):
        own(store, "kind", "part")
    store.given["group"] = np.full(120, "one")
    with pytest.raises(ValueError, match="two groups"):
        columns(task, store)
    store.given["kind"] = rng.permutation(120).astype(str)
    with pytest.raises(ValueError, match="two clips of some class"):
        columns(task, store)


def test_clips_without_label_or_group():
    store = Columns(
        family=["x", "", "y", "y"], fold=list("1212"), group=["g", "h", "", ""], kind=list("aaab")
    )
    labels, _, groups, rows = columns(Task("t", "d", "family"), store)
    assert rows.tolist() == [0, 2, 3] and labels.tolist() == ["x", "y", "y"] and len(set(groups)) == 3
    assert columns(Task("t", "d", "family", where=("kind", "b")), store)[3].tolist() == [3]
    with pytest.raises(ValueError, match=r"no clip .* of those with kind 'c'"):
        columns(Task("t", "d", "family", where=("kind", "c")), store)
    store.given["hear_fold"] = np.array([""] * 4)
    with pytest.raises(ValueError, match="fold column 'hear_fold' filled in; is the data set whole"):
        columns(Task("t", "d", "family", "hear_fold"), store)
    assert columns(Task("t", "d", "family", without=("1",)), store)[3].tolist() == [3]
    labels, *_, rows = columns(Task("t", "d", "family", kind="classes", unlabelled=True), store)
    assert rows.tolist() == [0, 1, 2, 3] and labels.tolist() == ["x", "", "y", "y"]


def test_clips_without_a_class_count_where_a_task_says_so():
    """A detector that is sure of a bird in silence is worse than one that isn't."""
    labels = np.array(["a", "b", "a|b", ""] * 20)
    folds, groups = np.array(["1", "2", "1", "1", "2", "1", "2", "2"] * 10), np.arange(80).astype(str)
    truth = np.array([["a" in label, "b" in label] for label in labels], np.float32)
    task = Task("t", "d", "x", kind="classes", unlabelled=True, note="toy")
    noise = 0.1 * np.random.default_rng(0).standard_normal((80, 2)).astype(np.float32)
    loud = np.where((labels == "")[:, None], np.float32([1, 0]), truth)  # silence looks as "a" does
    records, _ = judge(task, labels, folds, groups, {"right": truth + noise, "loud": loud + noise}, "right")
    value = {r["system"]: r["value"] for r in records if r["metric"] == "mAP"}
    assert value["right"] == pytest.approx(1) and value["loud"] < 0.97 and records[0]["n"] == 80


def test_the_part_of_a_task_is_asked_for():
    asked = []
    corpus = SimpleNamespace(clips=lambda **kwargs: asked.append(kwargs) or ["clip"])
    assert clips_of(find("esc50"), {"esc50": corpus}) == ["clip"]
    assert clips_of(find("beans/bats"), {"beans": corpus}) == ["clip"]
    assert asked == [{}, {"part": "bats"}]


@pytest.mark.parametrize("test", [None, ("3", "4")])
def test_judge(test):
    rng = np.random.default_rng(0)
    groups = np.arange(300) // 3
    y = np.where(groups % 10 < 4, "often", np.where(groups % 10 < 7, "some", "rare"))
    folds = (groups // 10 % 5).astype(str)
    truth = (y[:, None] == np.unique(y)).astype(np.float32)
    systems = {
        "ours": truth,
        "noise": rng.standard_normal((300, 4)).astype(np.float32),
        "half": np.where(rng.random((300, 1)) < 0.6, truth, 0).astype(np.float32),
    }
    task = Task("toy", "none", "y", test=test)
    records, details = judge(task, y, folds, groups.astype(str), systems, "ours", 0, {"data": "abc"})
    json.dumps(records, allow_nan=False)
    n = 300 if test is None else 120
    assert all(r["task"] == "toy" and r["n"] == n and r["data"] == "abc" and r["protocol"] for r in records)
    assert all(r["ci95"][0] - 1e-12 <= r["value"] <= r["ci95"][1] + 1e-12 for r in records)
    table = {(r["system"], r["metric"]): r for r in records}
    assert len(table) == len(records) == 3 * 5 + 1 + 3
    for metric in ("accuracy", "knn accuracy", "kmeans nmi", "kmeans ari", "kmeans accuracy"):
        assert table["ours", metric]["value"] == pytest.approx(1)
    assert table["majority", "accuracy"]["value"] == pytest.approx(0.4)
    for floor in ("noise", "half", "majority"):
        record = table[f"ours - {floor}", "accuracy difference"]
        assert (
            record["value"] == pytest.approx(1 - table[floor, "accuracy"]["value"]) and record["ci95"][0] > 0
        )
        assert record["best_floor"] == (floor == "half")
    assert set(details) == {*systems, "majority"}
    assert all(
        len(out.predictions) == n and (out.tested == details["ours"].tested).all() for out in details.values()
    )
    assert (details["half"].correct == (details["half"].predictions == y[details["half"].tested])).all()


def test_judge_refuses():
    y, folds = np.array(list("abab")), np.array(list("1122"))
    args = (find("esc50"), y, folds, np.arange(4).astype(str))
    with pytest.raises(ValueError, match="3 rows for 4"):
        judge(*args, {"ours": np.zeros((3, 2))})
    with pytest.raises(ValueError, match="isn't among"):
        judge(*args, {"a": np.zeros((4, 2))}, "ours")


def test_measures_that_are_asked_for():
    rng = np.random.default_rng(0)
    y, groups = np.minimum(np.arange(240) % 8, 5), (np.arange(240) // 2).astype(str)
    truth = (y[:, None] == np.arange(6)).astype(np.float32) + 0.01 * rng.standard_normal((240, 6))
    systems = {"ours": truth.astype(np.float32), "noise": rng.standard_normal((240, 8)).astype(np.float32)}
    y, folds = np.array(list("abcdef"))[y], (np.arange(240) // 2 % 5).astype(str)
    more = ("ridge", "svm", "few-shot", "retrieval")
    records, _ = judge(Task("toy", "none", "y"), y, folds, groups, systems, "ours", more=more)
    table = {(r["system"], r["metric"]): r for r in records}
    asked = ("ridge accuracy", "svm accuracy", "5-shot accuracy", "mAP", "R@1")
    for metric in ("balanced accuracy", "macro F1", *asked):  # the last class is three times the others
        good, bad = table["ours", metric], table["noise", metric]
        assert good["value"] == pytest.approx(1) and bad["value"] < 0.5 and good["protocol"]
        assert bad["ci95"][0] < bad["value"] < bad["ci95"][1]
    plain, _ = judge(Task("toy", "none", "y"), y, folds, groups, systems, "ours")
    assert len(records) == len(plain) + 10 and plain == [r for r in records if r in plain]


def test_intervals_of_published_probes_hold_their_values():
    """Folds of 30 and 270 clips: the mean over folds isn't that over clips, nor is its interval."""
    rng = np.random.default_rng(0)
    y = np.array(["a", "b"] * 150)
    x = ((y == "a")[:, None] + 0.01 * rng.standard_normal((300, 4))).astype(np.float32)
    folds, groups = np.where(np.arange(300) < 30, "1", "2"), (np.arange(300) // 2).astype(str)
    records, _ = judge(Task("t", "d", "y"), y, folds, groups, {"x": x}, more=("beans",))
    (own,) = [r for r in records if r["metric"] == "BEANS compat accuracy"]
    assert own["value"] == pytest.approx(1) and own["ci95"] == pytest.approx([1, 1])


@pytest.mark.parametrize("spelt", ["Train Val Test", "training validation testing", "train dev EVAL"])
def test_parts_are_known_however_they_are_spelt(spelt):
    store = Columns(kind=list("ab" * 30), part=spelt.split() * 20, group=np.arange(60).astype(str))
    store.path, store.columns = Path("mine"), tuple(store.given)
    store.names = lambda column: sorted(set(store.given[column]))
    task = own(store, "kind", "part")
    assert task.test == ("test",) and task.name == "mine/kind (part)"
    assert columns(task, store)[1].tolist() == ["train", "valid", "test"] * 20
    store.given["part"] = np.array(spelt.split()[:2] * 30)
    with pytest.raises(ValueError, match=r"of the folds .* none is called test"):
        own(store, "kind", "part")


def test_a_system_cannot_be_called_as_a_floor():
    y, folds = np.array(list("abab")), np.array(list("1122"))
    for name, task in (("majority", find("esc50")), ("mean", find("gm/height"))):
        with pytest.raises(ValueError, match="what a floor is called; rename"):
            judge(task, y, folds, np.arange(4).astype(str), {name: np.zeros((4, 2))})


def test_classes_of_one_group_are_known():
    labels, groups = np.array(list("aabbc")), np.array(list("12345"))
    assert alone(labels, groups) == ["c"]
    assert set(drawn(labels, groups)) == {"0", "1"}
    with pytest.raises(ValueError, match="'b' is in one group only, and so are all classes but one"):
        drawn(np.array(list("aaaab")), groups)
    with pytest.raises(ValueError, match="tell another label, or give finer groups"):
        drawn(groups[[0, 0, 1, 1, 2]], groups[[0, 0, 1, 1, 2]])  # who is speaking, each a group
