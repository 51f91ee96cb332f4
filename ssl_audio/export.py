"""`ssl-audio embed`: a store's embeddings, by a run or by anybody's function, as one file for other tools."""

import hashlib
import importlib
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from ssl_audio.audio.store import Store
from ssl_audio.disk import aside, write_arrays
from ssl_audio.embed import What, embed
from ssl_audio.embeddings import Embeddings, compute


def run(folder: Path | None, store: Store, by: str, what: What, dtype: str, out: Path | None) -> str:
    """Embed and write the file; returns what to tell. ValueError: both a run and a function are given, or
    neither; a function can't give what is asked for; the file's ending is unknown."""
    if (folder is None) == (not by):
        raise ValueError("give a run's folder, or --by module:function in its place")
    if folder is None and out is None:
        raise ValueError("--by needs --out, the file to write")
    path = out or folder / f"{store.path.name}{'' if what == 'clip' else f'-{what}'}.npz"
    if path.suffix not in ("", ".npz", ".parquet"):
        raise ValueError(f"{path}: embeddings are written as .npz or .parquet; give such a name")
    if path.suffix == ".parquet" and what != "clip":
        raise ValueError(f"{path}: a table has a row a clip; write {what} to an .npz")
    begun = time.perf_counter()
    if folder is None:
        if what != "clip":
            raise ValueError(f"--by gives one vector a clip, not {what}")
        part = path.with_name(f".{path.name}.embeddings")
        made = outside(by, store, dtype, part)
        write(path, made, store)
        shutil.rmtree(part)
        part.with_name(f".{part.name}.lock").unlink()
        who = by
    else:
        made = embed(folder, store, what, dtype=dtype)
        write(path, made, store)
        who = f"checkpoint {made.about['checkpoint']}"
    hours, seconds = np.sum(store.lengths) / store.rate / 3600, time.perf_counter() - begun
    shape = " x ".join(str(n) for n in made.x.shape[1:])
    count = f"{len(store)} clips" if what != "frames" else f"{len(made.x)} frames of {len(store)} clips"
    sound = f"{hours:.2f} h" if hours > 1 else f"{60 * hours:.1f} min"
    return (
        f"{path}: {count} x {shape} numbers, by {who}; {sound} of sound in {seconds:.0f} s, "
        f"{hours / seconds * 3600:,.0f} hours an hour"
    )


def outside(by: str, store: Store, dtype: str, folder: Path) -> Embeddings:
    """Embeddings by module:function, a function (wave [b t] float32, rate Hz) -> [b d]."""
    module, _, name = by.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"--by {by}: {error}; it is module:function, as Python imports it from here"
        ) from None

    def f(wave, valid):
        x = np.asarray(function(wave.astype(np.float32) / 2**15, store.rate))
        if x.ndim != 2 or len(x) != len(wave):
            raise ValueError(f"{by} made {x.shape} of {len(wave)} clips; wanted is [{len(wave)} d]")
        if not np.isfinite(x).all():
            raise ValueError(f"{by} made a number that isn't finite; of which sound may be told by trying it")
        return x

    file = getattr(sys.modules[module], "__file__", None)
    code = hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file else ""
    return compute(
        f, store, {"by": by, "code": code, "store": store.hash}, folder, dtype=dtype, exact=True, title=by
    )


def write(path: Path, made: Embeddings, store: Store) -> None:
    """The file for other tools: .npz, or .parquet with a row a clip."""
    labels = {f"label_{column}": store.values(column) for column in store.columns}
    names = np.array([store.name(i) for i in range(len(store))])
    if path.suffix != ".parquet":
        of_frames = {} if made.starts is None else {"starts": made.starts, "times": made.times}
        return write_arrays(path, x=made.x, name=names, **of_frames, **labels)
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ValueError(
            "parquet needs pyarrow: pip install 'ssl-audio[features]', or write an .npz"
        ) from None
    columns = {"name": names} | labels | {f"x{i}": made.x[:, i] for i in range(made.x.shape[1])}
    path.parent.mkdir(parents=True, exist_ok=True)
    with aside(path) as beside:
        parquet.write_table(pyarrow.table(columns), beside)
    return None
