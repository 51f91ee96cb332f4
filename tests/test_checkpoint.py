"""Checkpoints: whole or named as damaged; another frontend is refused."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import experiment, same_bits, sharded

from ssl_audio.checkpoint import Checkpoints, checksum, name

CHOSEN = experiment()


def tree(seed):
    rng = np.random.default_rng(seed)
    return {
        "step": jnp.int32(seed),
        "params": {"w": jnp.asarray(rng.standard_normal((60, 40)), jnp.float32), "b": jnp.zeros(7)},
        "opt": (jnp.asarray(rng.standard_normal(999), jnp.float32), jnp.int32(3)),
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    run = tmp_path_factory.mktemp("checkpoints") / "run"
    with Checkpoints(run, CHOSEN) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, tree(step))
    return run


@pytest.fixture
def run(written, tmp_path):
    return shutil.copytree(written, tmp_path / "run")


def restore(run, chosen=CHOSEN):
    said = []
    with Checkpoints(run, chosen) as checkpoints:
        return checkpoints.restore(tree(0), warn=said.append), said


def largest(run, step):
    return max(
        (f for f in (run / "checkpoints" / str(step)).rglob("*") if f.is_file()),
        key=lambda f: f.stat().st_size,
    )


def flip(file):
    data = bytearray(file.read_bytes())
    for i in range(len(data) // 3, len(data) // 3 + 8):
        data[i] ^= 0xFF
    file.write_bytes(data)


def truncate(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_newest_comes_back_bit_for_bit_and_old_ones_go(run):
    (step, found), said = restore(run)
    assert step == 3 and not said
    assert same_bits(found, tree(3))
    with Checkpoints(run, CHOSEN) as checkpoints:
        assert checkpoints.steps() == [2, 3]  # keep=2


def test_nothing_there_is_none(tmp_path):
    assert restore(tmp_path / "none") == (None, [])


@pytest.mark.parametrize(
    "damage", [flip, truncate, lambda file: file.unlink()], ids=["flip", "truncate", "remove"]
)
def test_damaged_is_named_and_the_one_before_used(run, damage):
    damage(largest(run, 3))
    (step, found), said = restore(run)
    assert step == 2 and same_bits(found, tree(2))
    assert len(said) == 1 and str(run / "checkpoints" / "3") in said[0] and "damaged" in said[0]


def test_all_damaged_is_an_error_that_touches_nothing(run):
    for step in (2, 3):
        truncate(largest(run, step))
    with pytest.raises(ValueError, match="all checkpoints are damaged"):
        restore(run)
    assert (run / "checkpoints" / "2").is_dir()


@pytest.mark.parametrize(
    "error", [MemoryError(), PermissionError("no"), jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED")]
)
def test_what_says_nothing_of_the_file_is_not_called_damage(run, monkeypatch, error):
    def fail(*_, **__):
        raise error

    with Checkpoints(run, CHOSEN) as checkpoints:
        monkeypatch.setattr(checkpoints.manager, "restore", fail)
        with pytest.raises(type(error)):
            checkpoints.restore(tree(0), warn=lambda text: pytest.fail(text))


def test_another_network_is_not_called_damage(run):
    """The arrays are whole, but of another experiment: nobody is told to remove them."""
    other = dataclasses.replace(CHOSEN, seed=7)
    like = tree(0) | {"more": jnp.zeros(3)}
    with (
        Checkpoints(run, other) as checkpoints,
        pytest.raises(ValueError, match="another experiment or version"),
    ):
        checkpoints.restore(like, warn=lambda text: None)
    assert sorted(p.name for p in (run / "checkpoints").iterdir() if p.name.isdigit())


def test_unfinished_write_is_passed_over(run):
    """What a kill leaves of a save that was under way."""
    shutil.copytree(run / "checkpoints" / "3", run / "checkpoints" / "4.orbax-checkpoint-tmp")
    truncate(largest(run, "4.orbax-checkpoint-tmp"))
    (step, _), said = restore(run)
    assert step == 3 and not said


def test_another_frontend_is_an_error(run):
    other = dataclasses.replace(CHOSEN, frontend=dataclasses.replace(CHOSEN.frontend, mean=-10.0))
    with pytest.raises(ValueError, match="another frontend"):
        restore(run, other)


def test_saved_state_may_be_donated_at_once(tmp_path):
    overwrite = jax.jit(lambda t: jax.tree.map(lambda x: x * 0, t), donate_argnums=0)
    with Checkpoints(tmp_path, CHOSEN) as checkpoints:
        state = tree(5)
        checkpoints.save(5, state)
        jax.block_until_ready(overwrite(state))
    (_, found), said = restore(tmp_path)
    assert not said and same_bits(found, tree(5))


def test_checksum_sees_every_change():
    x = tree(0)
    kept = int(checksum(x))
    assert int(checksum(tree(0))) == kept
    w = np.array(x["params"]["w"])
    swapped = w.copy()
    swapped[3, 4], swapped[50, 6] = w[50, 6], w[3, 4]
    bit = w.copy()
    bit.view(np.uint32)[10, 10] ^= 1
    for other in (swapped, bit, w[::-1], -w):
        assert int(checksum(x | {"params": {"w": jnp.asarray(other), "b": jnp.zeros(7)}})) != kept
    assert int(checksum(x | {"params": {"w": x["params"]["w"], "b": jnp.zeros(7).at[0].set(-0.0)}})) != kept
    assert int(checksum({"a": jnp.ones(3), "b": jnp.zeros(3)})) != int(
        checksum({"a": jnp.zeros(3), "b": jnp.ones(3)})
    )
    assert name(17, x).startswith("17-") and len(name(17, x)) == 11


@pytest.mark.parametrize("kind", ["bool", "uint8", "bfloat16", "float16", "int32"])
def test_checksum_takes_numbers_of_any_width(kind):
    x = jnp.array([0, 1, 1, 0]).astype(kind)
    assert int(checksum({"x": x})) != int(checksum({"x": x.at[3].set(jnp.ones((), kind))}))


def test_checksum_is_the_same_however_it_is_sharded():
    x = {"w": tree(0)["params"]["w"][:16]}
    everywhere, rows = sharded(8)
    assert (
        len(
            {
                int(checksum(x)),
                int(checksum(jax.device_put(x, everywhere))),
                int(checksum(jax.device_put(x, rows))),
            }
        )
        == 1
    )
