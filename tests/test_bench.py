"""The comparison of many experiments: trains, judges, goes on where it was; tabulates its records."""

import dataclasses

import pytest
from toys import experiment, folded

from ssl_audio import bench, report
from ssl_audio.config import load_many, load_run
from ssl_audio.methods import SimCLR
from ssl_audio.train import Diverged


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    store, task = folded(folder, takes=8, folds=4)
    made = [
        dataclasses.replace(experiment(m), name=m.lower(), watch_label="label") for m in ("SimCLR", "MAE")
    ]
    out, runs = folder / "methods.json", folder / "runs"
    go = lambda seeds, made=made, minutes=0.02: bench.run(
        made, [(task, store)], minutes=minutes, seeds=seeds, runs=runs, out=out, title="Two"
    )
    go((0,))
    return folder, go, out


def test_everything_is_judged_beside_its_twin(judged):
    _, _, out = judged
    systems = {r["system"] for r in report.read(out) if r["metric"] == "accuracy"}
    assert systems == {"simclr", "simclr, random", "mae", "mae, random", "log-mel", "majority"}
    (own,) = [r for r in report.read(out) if r["system"] == "mae" and r["metric"] == "accuracy"]
    assert own["encoder"] == "ViT" and own["steps"] > 1 and own["parameters"] > 100 and own["minutes"] > 0


def test_the_table_says_what_the_records_say(judged):
    folder, _, out = judged
    text = (folder / "methods.md").read_text()
    assert "\n# Two\n" in text
    for r in report.read(out):
        if r["metric"] == "accuracy":
            assert f"{r['value']:.3f}" in text
    lines = [line for line in text.splitlines() if line.startswith(("| simclr", "| mae"))]
    values = [float(line.split("**")[1]) for line in lines]
    assert len(values) == 2 and values == sorted(values, reverse=True)
    assert (folder / "methods.png").stat().st_size > 10_000


def test_a_page_names_the_runs_whose_curves_it_lacks(judged, tmp_path):
    folder, _, out = judged
    (tmp_path / "some.json").write_text(out.read_text())
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mae-0").symlink_to(folder / "runs" / "mae-0")
    _, task = folded(tmp_path, takes=1, folds=2)
    bench.page(tmp_path / "some.json", tmp_path / "runs", [task], "Some")
    text = (tmp_path / "some.md").read_text()
    assert "No curves of simclr: their runs" in text and (tmp_path / "some.png").stat().st_size > 10_000
    assert "No curves" not in (folder / "methods.md").read_text()


def test_what_is_judged_is_left_alone_and_a_new_seed_is_added(judged, capsys):
    folder, go, out = judged
    before = out.read_text()
    files = {f: f.stat().st_mtime_ns for f in (folder / "runs").rglob("metrics.jsonl")}
    go((0,))
    assert out.read_text() == before
    assert "simclr, seed 0: judged before, after" in capsys.readouterr().out
    go((0, 1))
    assert {f: f.stat().st_mtime_ns for f in files} == files
    assert {r["seed"] for r in report.read(out) if r["system"] == "mae"} == {0, 1}
    gain = [r for r in report.read(out) if r["system"] == "mae - mae, random"]
    value, low, high = report.pooled(gain)
    assert f"{value:+.3f} [{low:+.3f}, {high:+.3f}]" in (folder / "methods.md").read_text()


def test_a_run_of_another_experiment_of_that_name_is_refused(judged, tmp_path):
    folder, _, _ = judged
    store, task = folded(tmp_path, takes=8, folds=4)
    other = dataclasses.replace(experiment("SimCLR"), name="simclr", watch_label="label")
    optim = dataclasses.replace(other.optim, rate=1.0)
    with pytest.raises(ValueError, match=r"holds another experiment \(optim\.rate"):
        bench.run(
            [dataclasses.replace(other, optim=optim)], [(task, store)], minutes=0.02, seeds=(0,),
            runs=folder / "runs", out=tmp_path / "other.json",
        )  # fmt: skip


def test_other_settings_under_the_old_name_are_told(judged):
    _, go, _ = judged
    changed = dataclasses.replace(experiment("SimCLR"), name="simclr", method=SimCLR(temperature=0.9))
    with pytest.raises(ValueError, match="simclr, seed 0, was judged with other settings"):
        go((0,), [changed])
    with pytest.raises(ValueError, match="give more than none"):
        go((0,), minutes=0.0)


def test_one_that_diverges_is_left_out_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    store, task = folded(tmp_path, takes=8, folds=4)
    real = bench.pretrain.run

    def run(chosen, folder, **more):
        if chosen.name == "simclr":
            raise Diverged("loss is nan at step 2")
        return real(chosen, folder, **more)

    monkeypatch.setattr(bench.pretrain, "run", run)
    made = [
        dataclasses.replace(experiment(m), name=m.lower(), watch_label="label") for m in ("SimCLR", "MAE")
    ]
    out = tmp_path / "some.json"
    bench.run(made, [(task, store)], minutes=1.0, seeds=(0,), runs=tmp_path / "runs", out=out, steps=2)
    assert "simclr, seed 0, is left out: loss is nan" in capsys.readouterr().out
    assert {"mae", "mae, random"} <= {r["system"] for r in report.read(out)}
    assert "simclr" not in {r["system"] for r in report.read(out)}


def test_experiments_of_a_file_need_names_of_their_own(tmp_path):
    file = tmp_path / "two.py"
    file.write_text(
        "from toys import experiment\nexperiments = (experiment('SimCLR'), experiment('SimCLR'))\n"
    )
    with pytest.raises(ValueError, match="name of its own"):
        load_many(file)
    file.write_text("experiments = ()\n")
    with pytest.raises(ValueError, match="needs `experiments"):
        load_many(file)
    file.write_text("from toys import experiment\nexperiment = experiment('SimCLR')\n")
    (one,) = load_many(file)
    assert one.name == "toy-simclr"


def test_so_many_steps_on_another_store(judged, tmp_path):
    """A run of another store is judged on the task's, beside what it was pretrained on."""
    for name in ("task", "heard"):
        (tmp_path / name).mkdir()
    store, task = folded(tmp_path / "task", takes=8, folds=4)
    heard, _ = folded(tmp_path / "heard", takes=4, folds=4)
    out, runs = tmp_path / "moved.json", tmp_path / "runs"
    made = [dataclasses.replace(experiment("SimCLR"), name="simclr", watch_label="of another set")]
    bench.run(
        made,
        [(task, store)],
        minutes=9.0,
        seeds=(0,),
        runs=runs,
        out=out,
        title="Moved",
        steps=3,
        heard=heard,
    )
    began = load_run(runs / "simclr-0")
    assert (began.optim.steps, began.data.store) == (3, str(heard.path))
    (own,) = [r for r in report.read(out) if (r["system"], r["metric"]) == ("simclr", "accuracy")]
    assert (own["steps"], own["data"], own["n"]) == (3, store.hash, len(store))
    assert own["pretrained on"] == f"store {heard.hash[:16]}" != f"store {store.hash[:16]}"
    assert began.watch_label == "label"  # the task's, where the experiment's own isn't there

    # other sound, or other steps, is another measurement; another task of the same run isn't
    go = lambda steps, name="task", sound=heard: bench.run(
        made, [(dataclasses.replace(task, name=name, label="again"), store)], minutes=9.0, seeds=(0,),
        runs=runs, out=out, steps=steps, heard=sound,
    )  # fmt: skip
    values = store.values
    store.values = lambda column: values("label" if column == "again" else column)
    go(3, "toy/other")
    before = out.read_text()
    go(3, "toy/other")
    assert out.read_text() == before
    with pytest.raises(ValueError, match=r"another experiment \(optim.steps: 3 there, 4 here"):
        go(4, "toy/other")
    with pytest.raises(ValueError, match="has changed since"):
        go(3, "toy/other", store)


def test_what_learns_from_labels_that_are_not_there_is_left_out(tmp_path, capsys):
    store, task = folded(tmp_path, takes=8, folds=4)
    labelled = experiment("Supervised")
    made = [
        dataclasses.replace(labelled, name="sees", data=dataclasses.replace(labelled.data, label="label")),
        dataclasses.replace(labelled, name="cannot", data=dataclasses.replace(labelled.data, label="digit")),
    ]
    out = tmp_path / "some.json"
    bench.run(made, [(task, store)], minutes=9.0, seeds=(0,), runs=tmp_path / "runs", out=out, steps=2)
    assert "hasn't the labels they learn from: cannot" in capsys.readouterr().out
    none = lambda: bench.run(
        made[1:], [(task, store)], minutes=9.0, seeds=(0,), runs=tmp_path, out=tmp_path / "n.json"
    )
    with pytest.raises(ValueError, match="no experiment is left"):
        none()
    records = [r for r in report.read(out) if r["metric"] == "accuracy" and "method" in r]
    assert {(r["system"], r.get("by labels")) for r in records} == {
        ("sees", "label"),
        ("sees, random", "label"),
    }


def test_several_tasks_of_one_run(tmp_path):
    """The second is judged without training again, and has a column; what is judged stays."""
    runs, out = tmp_path / "runs", tmp_path / "families.json"
    store, task = folded(tmp_path, takes=8, folds=4)
    other = dataclasses.replace(task, name="toy/other")
    made = [dataclasses.replace(experiment("SimCLR"), name="simclr", watch_label="label")]
    go = lambda *tasks: bench.run(
        made, [(t, store) for t in tasks], minutes=9.0, seeds=(0,), runs=runs, out=out, title="Some", steps=2
    )
    go(task)
    trained = (runs / "simclr-0" / "metrics.jsonl").read_text()
    first = report.read(out)
    assert "toy/other" not in (tmp_path / "families.md").read_text()
    go(task, other)
    assert (runs / "simclr-0" / "metrics.jsonl").read_text() == trained
    assert report.read(out)[: len(first)] == first
    values = {
        r["task"]: r["value"]
        for r in report.read(out)
        if (r["system"], r["metric"]) == ("simclr", "accuracy")
    }
    gain = {r["task"]: r["value"] for r in report.read(out) if r["system"] == "simclr - simclr, random"}
    (line,) = [
        n
        for n in (tmp_path / "families.md").read_text().splitlines()
        if n.startswith("| simclr |") and "**" not in n
    ]
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    assert len(cells) == 2 and set(values) == {task.name, "toy/other"}
    for cell, name in zip(cells, (task.name, "toy/other"), strict=True):
        assert cell.startswith(f"{values[name]:.3f} ({gain[name]:+.3f}")
