"""Every data set says what it is and where it is from; every task is of one, and of columns that it has."""

import importlib
import inspect
import pkgutil
import re

import pytest

from ssl_audio import catalogue, datasets
from ssl_audio.evaluate.tasks import TASKS

KNOWN = datasets.corpora()
FILES = {m.name for m in pkgutil.iter_modules(datasets.__path__)} - {"fetch", "hear"}


def test_every_file_is_a_data_set_of_its_name():
    assert {name: module.__name__.rpartition(".")[2] for name, module in KNOWN.items()} == {
        f: f for f in FILES
    }


@pytest.mark.parametrize("name", KNOWN)
def test_it_says_what_it_is(name):
    module = KNOWN[name]
    assert module.__doc__.startswith(f"{name}: ")
    for part in ("Columns", "People's voices:", "Known faults", "fold", "group"):
        assert part in module.__doc__, part
    assert module.HOMEPAGE.startswith("http") and module.LICENCE
    assert re.search(r"doi:10\.\d+/|arXiv:\d{4}\.\d{4,5}|\d{4}", module.CITATION)
    for digest in catalogue.checksums(module).values():
        kind, _, value = digest.partition(":")
        assert len(bytes.fromhex(value)) == {"md5": 16, "sha1": 20, "sha256": 32}[kind]


@pytest.mark.parametrize("name", sorted(KNOWN.keys() - {"gm_instruments"}))
def test_it_says_how_to_get_it_where_it_is_not(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fetch = importlib.import_module("ssl_audio.datasets.fetch")

    def offline(url, out, sha256):
        raise OSError("no network")

    monkeypatch.setattr(fetch, "download", offline)
    with pytest.raises(FileNotFoundError, match=f"(?i){name}: not in .*{name}.* so that there is"):
        KNOWN[name].clips()


@pytest.mark.parametrize("name", KNOWN)
def test_an_empty_folder_is_told(name, tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path))):
        KNOWN[name].clips(tmp_path)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_is_of_columns_that_its_data_set_names(task):
    doc = KNOWN[task.dataset].__doc__
    for column in {task.label, task.fold, task.group or "group"}:
        assert f"`{column}`" in doc or column == "group", column  # "also the group"
    assert task.note and task.name in catalogue.datasheet(task.dataset)
    parts = "part" in inspect.signature(KNOWN[task.dataset].clips).parameters
    assert parts or not task.part
    assert task.kind != "events" or callable(KNOWN[task.dataset].events)


def test_a_licence_that_forbids_is_told():
    said = {name: catalogue.caution(module.LICENCE) for name, module in KNOWN.items()}
    assert (
        "commercial" in said["esc50"] and "commercial" in said["ravdess"] and "research" in said["voxceleb1"]
    )
    assert "not stated" in said["gtzan"] and "owner" in said["iemocap"]
    assert not any(said[name] for name in ("fsdd", "gm_instruments", "fsd50k", "librispeech", "crema_d"))


def test_the_table_has_every_task_and_a_datasheet_everything(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert catalogue.table().row_count == len(TASKS)
    sheet = catalogue.datasheet("fsdd/digit")
    module = KNOWN["fsdd"]
    for part in ("Known faults", module.LICENCE, module.URL, module.SHA256, module.CITATION, "fsdd/speaker"):
        assert part in sheet
    assert "with the package" in catalogue.datasheet("gm_instruments")
    with pytest.raises(ValueError, match=r"'none' is no data set; there are .*esc50"):
        catalogue.datasheet("none")
