"""Experiments: to JSON and back, files, the tiny form."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import METHODS, experiment

from ssl_audio import pretrain
from ssl_audio.config import View, digest, from_json, load, load_run, save_run, tiny, to_json
from ssl_audio.signal.augment import Gain, RandomResizeCrop
from ssl_audio.signal.waves import StoreBackground

TEXT = '''"""A file."""
import dataclasses
from ssl_audio.config import Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import SimCLR

@dataclasses.dataclass(frozen=True)
class Louder:
    by: float = 2.0
    def __call__(self, key, x):
        return x * self.by

VIEW = View(wave=(Louder(3.0),))
experiment = Experiment(name="own", method=SimCLR(), encoder=AudioNTT(), views=(VIEW, VIEW))
'''


@pytest.mark.parametrize("method", METHODS)
def test_round_trip(method):
    chosen = experiment(method, views=(View(spec=(RandomResizeCrop(canvas=(1.0, 1.5)),)),))
    back = from_json(json.loads(json.dumps(to_json(chosen))))
    assert back == chosen and digest(back) == digest(chosen) and hash(back) == hash(chosen)
    assert digest(dataclasses.replace(chosen, seed=1)) != digest(chosen)


def test_unknown_class_and_unknown_value_are_refused():
    text = to_json(experiment())
    with pytest.raises(ValueError, match=r"class os\.Popen is neither"):
        from_json(text | {"method": {"class": "os.Popen"}})
    with pytest.raises(TypeError, match="set"):
        to_json(dataclasses.replace(experiment(), method={1}))


def test_fields_of_an_older_version_are_passed_over():
    assert from_json(to_json(experiment()) | {"gone": 3}) == experiment()


def test_own_classes_come_from_the_run_s_file(tmp_path):
    (tmp_path / "own.py").write_text(TEXT)
    chosen, module = load(tmp_path / "own.py")
    assert chosen.views[0].wave[0] == module.Louder(3.0)
    save_run(tmp_path / "run", chosen, tmp_path / "own.py")
    (tmp_path / "own.py").unlink()  # the run stands on its own
    back = load_run(tmp_path / "run")
    assert to_json(back)["views"][0]["wave"][0]["by"] == 3.0
    assert to_json(back) == to_json(chosen)  # by which a resumed run is compared
    assert dataclasses.replace(back, views=()) == dataclasses.replace(chosen, views=())


def test_what_load_says(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such experiment file"):
        load(tmp_path / "missing.py")
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match="sets `experiment"):
        load(tmp_path / "empty.py")
    with pytest.raises(FileNotFoundError, match="no run here"):
        load_run(tmp_path)


@pytest.mark.parametrize("method", METHODS)
def test_tiny_is_small_and_the_same_kind(method):
    chosen = experiment(method)
    small = tiny(chosen)
    assert type(small.method) is type(chosen.method) and type(small.encoder) is type(chosen.encoder)
    assert small.optim.steps <= 10 and small.data.batch <= 8 and small.save_every <= small.optim.steps
    assert small.views == chosen.views and small.frontend == chosen.frontend
    assert getattr(small.method, "hidden", 0) <= 64
    assert tiny(small) == small


def test_a_view_hands_the_background_to_who_takes_one():
    key, wave, sound = (
        jax.random.key(0),
        jnp.ones((2, 50)),
        jnp.linspace(-1.0, 1.0, 50)[None] * jnp.ones((2, 1)),
    )
    view = View(wave=(Gain(0.0), StoreBackground((20.0, 20.0)), Gain(0.0)))
    added = view(key, wave, lambda x: x, sound) - wave
    np.testing.assert_allclose(added / sound, 0.1 / np.sqrt(np.mean(np.square(sound))), rtol=1e-3)
    plain = View(wave=(Gain(0.0),))
    np.testing.assert_array_equal(plain(key, wave, lambda x: x, sound), wave)


def test_stores_that_were_moved_are_gone_on_with_where_they_are(tmp_path, store):
    data = dataclasses.replace(experiment().data, store="old/store", background="old/noise")
    frontend = dataclasses.replace(experiment().frontend)
    chosen = dataclasses.replace(experiment(), data=data, frontend=frontend)
    save_run(tmp_path, chosen, None)
    (tmp_path / "store.txt").write_text("hashes")
    moved = dataclasses.replace(data, store="new/store", background="new/noise")
    found = pretrain.continued(dataclasses.replace(chosen, data=moved), store, "hashes", tmp_path)
    assert (found.data.store, found.data.background) == ("new/store", "new/noise")
    with pytest.raises(ValueError, match=r"another experiment \(seed"):
        pretrain.continued(dataclasses.replace(chosen, data=moved, seed=9), store, "hashes", tmp_path)
