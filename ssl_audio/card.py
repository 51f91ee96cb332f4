"""A run's model card: README.md with Hugging Face's `model-index`, for whoever gets the checkpoint.

https://huggingface.co/docs/hub/model-cards; the numbers are those of the records of this very checkpoint.
"""

import inspect
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_audio import config, provenance, report
from ssl_audio.audio.store import Store
from ssl_audio.disk import write
from ssl_audio.embed import restore
from ssl_audio.evaluate.record import BALANCED
from ssl_audio.evaluate.tasks import TASKS
from ssl_audio.pretrain import stores_of
from ssl_audio.train import parameters


def card(run: Path, results: Path = Path("results"), licence: str = "") -> Path:
    """Write run/README.md and return its path.

    results: folder whose <experiment>.json has the records; those of other checkpoints are left out.
    licence: of the weights, as the hub names it ("cc-by-4.0"); "": none is stated. FileNotFoundError: the run
    has no checkpoint.
    """
    experiment, _, _, name = restore(run)
    path = results / f"{experiment.name}.json"
    records = [r for r in (report.read(path) if path.exists() else []) if r.get("model") == name]
    seen = experiment.data.label
    how = [] if seen else ["self-supervised-learning"]
    head = {
        "library_name": "ssl_audio",
        "tags": ["audio", *how, "feature-extraction", "jax"],
        "pipeline_tag": "feature-extraction",
        "model-index": [{"name": experiment.name, "results": indexed(records, experiment.name)}],
    }
    if licence:
        head["license"] = licence
    # JSON is YAML, and can't be broken by a name with a colon in it
    front = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items())
    text = PAGE.format(
        front=front,
        name=experiment.name,
        encoder=type(experiment.encoder).__name__,
        size=f"{parameters(experiment) / 1e6:.2f}",
        paper=(inspect.getdoc(inspect.getmodule(type(experiment.method))) or "").partition("\n")[0],
        checkpoint=name,
        rate=experiment.frontend.rate,
        kind=type(experiment.frontend).__name__,
        frontend=", ".join(
            f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in described(experiment)
        ),
        sound=sound(run, experiment),
        labels=f"with the labels `{seen}`" if seen else "without labels",
        training=f"{int(name.split('-')[0]):,} of {experiment.optim.steps:,} steps of "
        f"{experiment.data.batch} crops of {experiment.data.seconds:g} s, seed {experiment.seed}, "
        f"{experiment.precision}",
        results=table(records) or "This checkpoint hasn't been judged; `ssl-audio evaluate` does it.",
        versions=", ".join(f"{k} {v}" for k, v in provenance.versions().items()),
    )
    write(run / "README.md", text)
    return run / "README.md"


def described(experiment: config.Experiment) -> list[tuple[str, Any]]:
    """The numbers of the frontend, its statistics among them."""
    return [(k, v) for k, v in config.to_json(experiment.frontend).items() if isinstance(v, int | float)]


def sound(run: Path, experiment: config.Experiment) -> str:
    """What was heard in pretraining, the background too: each store's name and hash, and if it is still there
    its clips, hours and licences."""
    return "; background: ".join(told(path, digest) for path, digest in stores_of(run, experiment))


def told(path: Path, digest: str) -> str:
    """One store in words."""
    words = f"{path.name} (hash {digest})"
    if not (path / "manifest.json").is_file() or not Store(path).hash.startswith(digest):
        return words
    store = Store(path)
    hours = int(store.lengths.sum()) / store.rate / 3600
    licences = ", ".join(sorted(v for v in store.names("licence") if v))
    return f"{words}, {len(store):,} clips, {hours:.2f} h" + (f"; licences: {licences}" if licences else "")


def indexed(records: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """The results of `model-index`: a task's metrics together, of this system alone."""
    plain = [r for r in records if BALANCED not in r.get("protocol", "")]
    newest = {(r["task"], r["metric"]): r for r in plain if r["system"] == name}
    found, known = defaultdict(list), {task.name: (task.dataset, task.label) for task in TASKS}
    for r in newest.values():
        if ", " not in r["task"]:  # few labels of a task aren't a task by themselves
            found[r["task"]].append(r)
            known.setdefault(r["task"], r["task"].split("/", 1))  # a store of one's own, its column
    return [
        {
            "task": {"type": "audio-classification", "name": task},
            "dataset": {key: known[task][0] for key in ("type", "name")} | {"config": known[task][-1]},
            "metrics": [
                {
                    "type": r["metric"].replace(" ", "_"),
                    "name": f"{r['metric']}, 95 % interval {r['ci95'][0]:.3f} to {r['ci95'][1]:.3f}",
                    "value": round(r["value"], 4),
                }
                for r in own
            ],
        }
        for task, own in found.items()
    ]


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """The results in Markdown, the floors beside them."""
    parts = []
    for task in dict.fromkeys(r["task"] for r in records):
        chosen = report.seeds([r for r in records if r["task"] == task])
        parts += [f"### {task}", report.sizes(chosen), report.systems_table(chosen)]
        parts += ["\n".join(f"- {report.plain(g[0])}." for k, g in chosen.items() if report.difference(k[2]))]
        parts += [report.protocols_list(chosen)]
    return "\n\n".join(part for part in parts if part)


PAGE = """---
{front}
---

<!-- made by `ssl-audio card`; don't edit -->

# {name}

An encoder of sound ({encoder}, {size} M parameters), pretrained {labels}. {paper}

- **Heard in pretraining**: {sound}.
- **Training**: {training}.
- **Takes**: sound at {rate} Hz, one channel. The frontend is part of the run: {kind} ({frontend}).
- **Checkpoint**: {checkpoint}, in `checkpoints/`; `experiment.json` rebuilds the network.

## Use

```python
from ssl_audio.audio.store import Store
from ssl_audio.embed import embed

embeddings = embed("this folder", Store("a store of your sound")).x  # a row a clip
```

A store is made by `ssl-audio store FOLDER --out STORE --rate {rate}`; `ssl-audio embed` does the same from
the command line, and `ssl_audio.hear` speaks the HEAR API.

## Results

Linear probe and others on frozen embeddings, in brackets the 95 % interval. `random` is the same encoder with
random weights, `logmel` the mean and standard deviation of the log-mel spectrogram.

{results}

## What it isn't

Embeddings are a summary for other programs to learn from, not a classifier. What they are good for on sound
unlike that of pretraining isn't known; judge them there (`ssl-audio evaluate`), beside the floors above.

Made with {versions}.
"""
