"""The quickstart: from the embedded recordings to a judged representation and a report, in one call."""

import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np

from ssl_audio import config, disk, pretrain, provenance, report
from ssl_audio.anomaly.detectors import KNN, one_class
from ssl_audio.audio.build import build
from ssl_audio.audio.store import Store
from ssl_audio.config import Data, Experiment, View
from ssl_audio.datasets import gm_instruments
from ssl_audio.encoders import AudioNTT
from ssl_audio.evaluate import stats
from ssl_audio.evaluate.judging import judge, sums
from ssl_audio.evaluate.tasks import columns, find
from ssl_audio.explore import page
from ssl_audio.finetune import Finetune, few, finetune
from ssl_audio.methods import SimCLR
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, MixupLogExp, RandomLinearFader, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel
from ssl_audio.train import start

VIEW = View(
    wave=(Crop(20_480),),
    spec=(MixupLogExp(0.2), RandomResizeCrop(canvas=(1.5, 1.5)), RandomLinearFader(1.0)),
)

experiment = Experiment(
    name="quickstart",
    method=SimCLR(),
    encoder=AudioNTT(channels=32, dropout=0.0),
    views=(VIEW, VIEW),
    frontend=LogMel(hop=320, floor=1e-5),
    data=Data(seconds=2.0, batch=128, short="loop"),
    optim=Optim(steps=200, rate=1e-3, warmup=30, decay=1e-4, clip=1.0),
    watch_every=25,
    save_every=50,
    watch_label="family",
)

NORMAL = "strings"
"""The family that anomaly detection takes as normal; all others are anomalies."""
FEW = Finetune(per_class=10)


def run(
    folder: Path = Path("runs/quickstart"), seed: int = 0, tiny: bool = False, results: Path | None = None
) -> dict:
    """Pretrain on recorded instruments without labels, judge the embeddings, write a report.

    Store, pretraining, embedding, linear probe, kNN, k-means, anomaly detection, fine-tuning, report.html.
    Interrupt it at any time: the same command goes on.

    Args:
        folder: where everything is left.
        seed: of the weights, the batches and the views.
        tiny: shrink everything, to see in seconds that it works; the numbers mean nothing.
        results: folder whose quickstart.json gets the records too; default: none.
    """
    resumed = (folder / "metrics.jsonl").exists()  # then this call's time isn't that of all
    begun, command = time.time(), " ".join(["ssl-audio", *sys.argv[1:]])
    print(
        f"1/6  store: decoding {gm_instruments.NAME}, recorded notes of 101 instruments shipped "
        f"with the package"
    )
    path = folder / "store"
    built = build(gm_instruments.clips(), path, rate=experiment.frontend.rate, title=gm_instruments.NAME)
    store = Store(path)
    print(built)

    chosen = dataclasses.replace(
        experiment, seed=seed, data=dataclasses.replace(experiment.data, store=str(path))
    )
    chosen = config.tiny(chosen) if tiny else chosen
    print(
        f"\n2/6  pretrain: {type(chosen.method).__name__} on {len(store)} clips without labels, "
        f"{chosen.optim.steps} steps of {chosen.data.batch}"
    )
    chosen, graph, state = pretrain.run(chosen, folder)

    print("\n3/6  embed: pretrained, random weights, log-mel statistics")
    embeddings, _, checkpoint = pretrain.systems(folder, store)

    print("\n4/6  judge: linear probe, kNN, k-means on folds grouped by instrument; one family as normal")
    extra = pretrain.origin(folder, chosen, store, checkpoint)
    records, outcomes = [], {}
    for name in ("gm/family", "gm/octave"):
        labels, folds, groups, rows = columns(find(name), store)
        new, outcomes[name] = judge(
            find(name),
            labels,
            folds,
            groups,
            {k: x[rows] for k, x in embeddings.items()},
            chosen.name,
            seed,
            extra,
        )
        records += new
    labels, folds, groups, rows = columns(find("gm/family"), store)
    for system, x in embeddings.items():
        record = one_class(x[rows], labels, folds, groups, NORMAL, KNN(), seed)
        records.append({"task": f"gm/anomaly ({NORMAL} normal)", "system": system} | record | extra)

    print(f"\n5/6  fine-tune with {FEW.per_class} labels a class, against the same network from scratch")
    recipe = dataclasses.replace(FEW, steps=4, batch=8) if tiny else FEW
    test = np.flatnonzero(folds == "1")
    train = few(labels, np.flatnonzero(folds != "1"), recipe.per_class, seed)
    right = {}
    for system, weights in (("fine-tuned", state), ("from scratch", start(chosen)[1])):
        guess = finetune(
            chosen, weights, graph, store, labels, train, test, recipe=recipe, seed=seed, title=system
        )
        right[system] = (guess == labels[test]).astype(float)
    protocol = (
        f"{recipe.per_class} labels a class from folds 2-5, {recipe.steps} steps, tested on "
        f"fold 1; ci95: bootstrap over instruments"
    )
    common = {
        "task": "gm/family, 10 labels a class",
        "n": len(test),
        "groups": len(np.unique(groups[test])),
        "seed": seed,
        "protocol": protocol,
    } | extra
    for system, correct in right.items():
        low, high = stats.bootstrap(correct, groups[test], seed=seed)
        records.append(
            {"system": system, "metric": "accuracy", "value": float(correct.mean()), "ci95": [low, high]}
            | common
        )
    value, low, high = stats.paired(right["fine-tuned"], right["from scratch"], groups[test], seed=seed)
    records.append(
        {
            "system": "fine-tuned - from scratch",
            "metric": "accuracy difference",
            "value": value,
            "ci95": [low, high],
            "by_group": sums(right["fine-tuned"], right["from scratch"], groups[test]),
        }
        | common
    )
    pretrain.show(records)

    print("\n6/6  report")
    result = {
        "experiment": config.to_json(chosen),
        "command": command,
        "seed": seed,
        "peak_memory_mib": round(provenance.peak_memory()),
        "versions": provenance.versions(),
        "hashes": extra,
        "records": records,
    }
    if not resumed:
        result["seconds"] = round(time.time() - begun, 1)
    disk.write(folder / "result.json", json.dumps(result, indent=1) + "\n")
    if results is not None:
        report.append(results / f"{chosen.name}.json", records)
    written = page.page(
        folder,
        result,
        store=store,
        labels=labels,
        embedding=embeddings[chosen.name],
        outcome=outcomes["gm/family"][chosen.name],
    )
    took = f"{time.time() - begun:.0f} s{' since it was resumed' if resumed else ''}"
    print(f"took {took} and {result['peak_memory_mib']} MiB at most; open {written}")
    return result
