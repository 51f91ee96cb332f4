"""Every notebook runs from top to bottom in its tiny form, and is the same as the .py file beside it."""

import os
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks need nbformat")
nbclient = pytest.importorskip("nbclient", reason="notebooks need nbclient")

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_same_as_its_script(path):
    jupytext = pytest.importorskip("jupytext", reason="compares with the .py file through jupytext")
    cells = [
        [(cell.cell_type, cell.source) for cell in book.cells]
        for book in (jupytext.read(path), jupytext.read(path.with_suffix(".py")))
    ]
    assert cells[0] == cells[1], f"run: jupytext --to ipynb {path.with_suffix('.py').name}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the Jupyter libraries themselves
def test_runs_in_tiny_form(path, tmp_path, monkeypatch):
    import jax

    monkeypatch.setenv("SSL_AUDIO_TINY", "1")
    monkeypatch.setenv("SSL_AUDIO_RUNS", str(tmp_path))
    # one device, as a reader has, but compiled as fast as the other tests
    flags = " ".join(f for f in os.environ["XLA_FLAGS"].split() if "device_count" not in f)
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    # the package from this tree, installed or not
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(":")
    )
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR") or jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(cache or tmp_path / "jax"))
    book = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    kinds = {
        kind for cell in book.cells for output in cell.get("outputs", []) for kind in output.get("data", {})
    }
    assert "image/png" in kinds and "text/html" in kinds  # figures and players
