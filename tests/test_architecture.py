"""The import law of the house, read off the source: later rooms may import earlier ones, not the reverse."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ssl_audio

ROOT = Path(ssl_audio.__file__).parent
FILES = sorted(f for f in ROOT.rglob("*.py") if "data" not in f.relative_to(ROOT).parts)

# rooms in the order of the flow; those of one floor may know one another
FLOORS = (
    {"__init__"}, {"typing", "disk", "provenance"}, {"audio", "signal", "losses", "quantise", "optim"},
    {"encoders", "datasets"},
    {"methods"}, {"config", "checkpoint"}, {"train", "embed", "embeddings", "finetune"},
    {"evaluate", "anomaly", "explore", "report", "track", "hear"},
    {"pretrain", "plan", "quickstart", "features", "bench", "label_efficiency", "outside", "catalogue",
     "export", "compare", "card", "audit"},
    {"cli"},
)  # fmt: skip
NEVER = {
    "audio": {"jax", "flax", "optax", "ssl_audio.signal", "ssl_audio.losses", "ssl_audio.optim"},
    "datasets": {"jax", "flax", "optax"},
    "signal": {"flax", "ssl_audio.audio", "ssl_audio.losses", "ssl_audio.optim"},
    "losses": {"flax", "ssl_audio.audio", "ssl_audio.signal", "ssl_audio.optim"},
    "optim": {"flax", "ssl_audio.audio", "ssl_audio.signal", "ssl_audio.losses"},
    "encoders": {"ssl_audio.audio", "ssl_audio.datasets"},
    "methods": {"ssl_audio.audio", "ssl_audio.datasets"},
    "train": {"ssl_audio.evaluate"},
    "evaluate": {"jax", "flax", "ssl_audio.encoders", "ssl_audio.methods", "ssl_audio.train"},
    "anomaly": {"jax", "flax", "ssl_audio.encoders", "ssl_audio.methods", "ssl_audio.train"},
    "explore": {"ssl_audio.encoders", "ssl_audio.methods", "ssl_audio.train"},
}
NNX = {"jit", "grad", "value_and_grad", "Optimizer", "sow"}


def room(file: Path) -> str:
    """The folder or file of the package that a file belongs to."""
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(tree: ast.AST, everywhere: bool = True) -> set[str]:
    """Full names of what is imported: anywhere, or only where importing the module runs it."""
    found, todo = set(), [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
        if everywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)
    return found


def faults(file: Path, tree: ast.AST) -> list[str]:
    here, names = room(file), imports(tree)
    floor = next((i for i, rooms in enumerate(FLOORS) if here in rooms), None)
    if floor is None:
        return [f"{here} is a new room: give it a floor in this test"]
    above = {f"ssl_audio.{r}" for rooms in FLOORS[floor + 1 :] for r in rooms}
    never = NEVER.get(here, set())
    if "protocols" in file.parts:  # which train perceptrons
        never = never - {"jax"}
    forbidden = above | never | ({"torch"} if here not in ("hear",) else set())
    if here in ("audio", "datasets"):  # grain, for one, is imported where it is used
        names = {n for n in names if not n.startswith("jax")} | imports(tree, everywhere=False)
    if here == "methods" and file.name != "__init__.py":
        forbidden |= {"ssl_audio.methods"}
    return [f"imports {n}" for n in sorted(names) if any(n == f or n.startswith(f + ".") for f in forbidden)]


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_go_one_way(file):
    tree = ast.parse(file.read_text("utf-8"))
    wrong = faults(file, tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "nnx":
            if node.attr in NNX:
                wrong.append(f"uses nnx.{node.attr}; transforms are jax's own")
    assert not wrong


@pytest.mark.parametrize(
    "file, text",
    [
        ("audio/x.py", "import jax"),
        ("audio/x.py", "from jax import numpy"),
        ("signal/x.py", "from flax import nnx"),
        ("evaluate/x.py", "def f():\n    from ssl_audio.train import train"),
        ("methods/x.py", "from ssl_audio.methods.byol_a import BYOLA"),
        ("methods/x.py", "from ssl_audio import methods"),
        ("train.py", "from ssl_audio.evaluate import knn"),
        ("losses.py", "from ssl_audio.optim import Optim"),
        ("embed.py", "import torch"),
        ("encoders/x.py", "import ssl_audio.config"),
        ("cellar/x.py", ""),
    ],
)
def test_the_law_is_seen_when_broken(file, text):
    assert faults(ROOT / file, ast.parse(text))


def test_light_to_import():
    """`import ssl_audio` starts no jax, and preparing data doesn't either."""
    preparing = [
        f"ssl_audio.{'.'.join(f.relative_to(ROOT).with_suffix('').parts)}"
        for f in FILES
        if room(f) in ("audio", "datasets")
    ]
    text = "import sys, ssl_audio\nassert 'numpy' not in sys.modules\n"
    text += "".join(f"import {name.removesuffix('.__init__')}\n" for name in preparing)
    text += "assert not {'jax', 'flax', 'torch'} & set(sys.modules), 'jax was imported'"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr
