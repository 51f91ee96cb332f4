"""What a run would take: counts equal to those of arrays, shares of devices, verdicts that say what to do."""

import dataclasses

import jax
import pytest
from toys import experiment, started

from ssl_audio import cli
from ssl_audio.encoders import ViT
from ssl_audio.optim import Optim
from ssl_audio.plan import Plan, lower, plan, show


@pytest.fixture(scope="module")
def plans():
    return {n: plan(experiment("BYOLA"), n) for n in (1, 2)}


def test_counts_are_those_of_the_arrays(plans):
    chosen = experiment("BYOLA")
    _, state = started(chosen)
    size = lambda tree: sum(x.size for x in jax.tree.leaves(tree))
    found = plans[1]
    assert (found.trained, found.frozen) == (size(state.params), size(state.frozen))
    assert found.encoder == size(state.params["online"]["encoder"])
    assert found.state == sum(x.nbytes for x in jax.tree.leaves(state))
    assert found.memory == found.state + found.batch + found.temporary


def test_devices_share_the_batch_and_each_holds_the_state(plans):
    one, two = plans[1], plans[2]
    assert one.state == two.state and one.flops == pytest.approx(two.flops)
    assert two.batch < 0.6 * one.batch and two.temporary < 0.8 * one.temporary


def test_devices_share_a_large_state(plans, monkeypatch):
    monkeypatch.setattr("ssl_audio.train.SHARE", 0)
    found = plan(experiment("BYOLA"), 2)
    assert 0.5 * plans[2].state <= found.state < 0.6 * plans[2].state and found.trained == plans[2].trained


def test_operations_of_a_known_product():
    """The projector's matrix products: twice rows x in x out forward, and twice that backward."""
    small, large = (
        plan(experiment("SimCLR", method=dataclasses.replace(experiment("SimCLR").method, hidden=h)), 1).flops
        for h in (32, 4096)
    )
    method, rows = experiment("SimCLR").method, 2 * experiment("SimCLR").data.batch
    width = experiment("SimCLR").encoder.width
    products = 3 * 2 * rows * (4096 - 32) * (width + method.width)
    assert products < large - small < 1.6 * products  # normalisation, ReLU and the optimiser take the rest


def test_refuses_what_cannot_be_shared():
    with pytest.raises(ValueError, match="multiple"):
        lower(experiment("SimCLR"), 3)
    with pytest.raises(ValueError, match="devices asked for"):
        lower(experiment("SimCLR"), 1024)


def test_says_what_to_do_where_it_does_not_fit(capsys):
    made = Plan(1, 1, 0, 1, 2**20, 2**10, 2**30, 1e12)
    show(experiment("SimCLR"), made, memory=2.0**29, peak=1e14, utilisation=0.5, hours=2.0)
    out = capsys.readouterr().out
    assert "does NOT fit" in out and "--optim.accumulate 4" in out and "20.0 ms" in out


def test_what_is_in_parts_already_is_cut_further(capsys):
    """1 GiB of two parts is 0.5 GiB of four."""
    made = Plan(1, 1, 0, 1, 2**20, 2**10, 2**30, 1e12)
    chosen = experiment("SimCLR", optim=Optim(steps=4, accumulate=2))
    show(chosen, made, memory=0.55 * 2**30, peak=1e14, utilisation=0.5, hours=0.0)
    assert "--optim.accumulate 4 " in capsys.readouterr().out
    show(chosen, made, memory=0.05 * 2**30, peak=1e14, utilisation=0.5, hours=0.0)
    assert "more devices" in capsys.readouterr().out


def test_command_line(tmp_path, capsys, monkeypatch):
    file = tmp_path / "toy.py"
    file.write_text("import sys\nfrom toys import experiment\nexperiment = experiment('SimCLR')\n")
    monkeypatch.setattr(jax.config, "update", lambda *a: None)  # the backend has begun
    cli.main(["plan", str(file), "--devices", "2", "--memory", "16GB", "--hours", "1"])
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())  # however wide the terminal
    assert "toy-simclr on 2 devices" in out and "fits into 16.00 GiB" in out and "times a store of 1 h" in out
    with pytest.raises(SystemExit, match="memory is like 80GB"):
        cli.main(["plan", str(file), "--memory", "much"])


def test_micro_batches_and_layers_in_a_loop_count_as_often_as_they_run(plans):
    chosen = experiment("BYOLA")
    parts = dataclasses.replace(chosen, optim=dataclasses.replace(chosen.optim, accumulate=4))
    assert plan(parts, 1).flops == pytest.approx(plans[1].flops, rel=0.01)
    deep = [
        experiment("MAE", encoder=ViT(width=16, depth=4, heads=2, patch=(8, 8), scan=s))
        for s in (False, True)
    ]
    one, other = (plan(each, 1).flops for each in deep)
    assert one == other
