"""From records to what people read: the tables of results/ and the README.

A record is one measured number with all that it needs to be believed: task, system, metric, value, ci95, n,
groups, seed, protocol, and hashes of data, model and code. results/<experiment>.json is a list of them.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssl_audio.disk import locked, write
from ssl_audio.evaluate import stats
from ssl_audio.evaluate.leaderboard import beside
from ssl_audio.evaluate.record import BALANCED, LOWER
from ssl_audio.evaluate.tasks import TASKS

NAMES = {
    "random": "the same encoder with random weights",
    "logmel": "log-mel mean + std",
    "majority": "majority class",
    "mean": "mean of the training clips",
    "from scratch": "the same network from scratch",
}
"""Systems in words."""
METHODS_TASK = "fsdd/digit-loso"
"""What the README's table of methods tells."""
METRICS = {
    "accuracy": "accuracy",
    "knn accuracy": "kNN accuracy",
    "kmeans accuracy": "k-means accuracy",
    "kmeans nmi": "k-means NMI",
    "kmeans ari": "k-means ARI",
    "auc": "AUC (chance 0.5)",
    "R2": "R²",
    "EER": "EER (chance 0.5)",
}
"""Metrics in words, in the order of the tables; others follow as they are called."""
LABELS = " and labels"
"""Of a system that was pretrained with them."""
SCHEMA = 1
"""Version of what `check` asks of a record; those without one are older."""
IDENTITY = ("task", "system", "metric", "seed", "protocol", "model", "data")
"""What makes two records the same measurement."""


# ---- records in results/
# ----------------------------------------------------------------------------------------


def read(path: Path | str) -> list[dict[str, Any]]:
    """The records of a file. ValueError: it isn't a JSON list of objects."""
    try:
        records = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error}); mend it or take it from the last commit") from None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError(f"{path}: must be a JSON list of records")
    return records


def append(path: Path | str, records: Iterable[Mapping[str, Any]]) -> None:
    """Add records to results/<experiment>.json, atomically; two processes may do so at once.

    A record that is the same measurement as an earlier one (IDENTITY) takes its place at the end of the file.
    ValueError: the file is damaged, or a record isn't as `check` wants it; the file is then as it was.
    """
    path, records = Path(path), [dict(record) for record in records]
    for record in records:
        try:
            check(record)
        except ValueError as error:
            raise ValueError(f"{path}: {error}; nothing was written") from None
        record["schema"] = SCHEMA
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock")):
        kept = {identity(record): record for record in (read(path) if path.exists() else [])}
        for record in records:
            kept.pop(identity(record), None)
            kept[identity(record)] = record
        text = ",\n".join(json.dumps(record, allow_nan=False) for record in kept.values())
        write(path, f"[\n{text}\n]\n")


def known(path: Path, *names: str) -> set[tuple]:
    """What is judged already: those fields of each record of a file, which needn't be there."""
    return {tuple(r.get(name) for name in names) for r in (read(path) if path.exists() else [])}


def check(record: Mapping[str, Any]) -> None:
    """ValueError: a record lacks something that schema 1 asks for, or has it of another kind.

    Texts: task, system, metric. Finite numbers: value, and ci95, low and high around it or beside it. Whole
    numbers: seed; n, clips, and groups where there are any. by_group: [sum, clips] of each group.
    """
    kinds = {
        "task": str,
        "system": str,
        "metric": str,
        "value": int | float,
        "ci95": list | tuple,
        "seed": int,
    }
    for name, kind in kinds.items():
        if name not in record:
            raise ValueError(f"a record without {name!r}: {record}")
        if not isinstance(record[name], kind):
            raise ValueError(f"a record whose {name} is {record[name]!r}: {record}")
    edges = record["ci95"]
    if len(edges) != 2 or not np.isfinite([record["value"], *edges]).all():
        raise ValueError(f"a record's number isn't finite: {record}")
    if edges[0] > edges[1]:
        raise ValueError(f"a record's interval {edges} ends before it begins: {record}")
    for name in ("n", "groups"):
        if not isinstance(record.get(name, 1), int) or record.get(name, 1) < 1:
            raise ValueError(f"a record whose {name} is {record[name]!r}: {record}")
    if "by_group" in record and "n" in record and sum(n for _, n in record["by_group"]) != record["n"]:
        raise ValueError(f"a record whose groups don't have its {record['n']} clips: {record['task']}")


def identity(record: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(json.dumps(record.get(name), sort_keys=True) for name in IDENTITY)


# ---- Markdown ----------------------------------------------------------------------------------------------


def summary(results_dir: Path | str) -> str:
    """Markdown tables of every results/*.json: a section a file, a table a task, means over seeds.

    A file with a page of its own (<name>.md beside it) is only linked. Of several records of one seed (same
    task, system, metric, protocol and data) the newest counts.
    ValueError: a file is damaged.
    """
    parts = [LEGEND, headline(results_dir), leaderboards(results_dir)]
    for path in sorted(Path(results_dir).glob("*.json")):
        parts.append(f"## {path.stem}")
        if path.with_suffix(".md").exists():
            parts.append(f"See [{path.stem}.md]({path.stem}.md).")
            continue
        records = read(path)
        for task in unique(record["task"] for record in records):
            chosen = seeds([record for record in records if record["task"] == task])
            parts.append(f"### {task}\n\n" + sizes(chosen))
            parts += [systems_table(chosen), differences_table(chosen), protocols_list(chosen)]
            others = (beside(record) for group in chosen.values() for record in group)
            parts.append("\n".join(f"- {said}." for said in others if said))
    return "\n\n".join(part for part in parts if part) + "\n"


def headline(results_dir: Path | str) -> str:
    """One Markdown table for the README: by experiment and task ours, the best floor, their difference.

    The best floor is the one with the highest mean accuracy over seeds. Files with a page of their own
    (<name>.md beside them) are left out.
    """
    rows = []
    for path in sorted(Path(results_dir).glob("*.json")):
        if path.with_suffix(".md").exists():
            continue
        chosen = seeds(read(path))
        values = defaultdict(dict)
        for (task, name, metric, protocol, data), group in chosen.items():
            values[task, name, metric, data][protocol] = group
        best: dict[tuple, tuple] = {}
        place = lambda key: (key[0], key[1].split(" - ", 1)[0], key[2].removesuffix(" difference"), key[4])
        found = [key for key in chosen if difference(key[2])]
        found.sort(key=lambda key: not balance(key[3]))  # plain probes last, which win
        newest = {place(key): key[3] for key in found}
        for key, group in chosen.items():
            spot = place(key) if difference(key[2]) else None
            if spot and key[3] == newest[spot]:
                metric = key[2].removesuffix(" difference")
                ours, floor = (
                    of_protocol(values[key[0], name, metric, key[4]], key[3])
                    for name in key[1].split(" - ", 1)
                )
                sign = -1 if metric in LOWER else 1
                level = np.mean([sign * record["value"] for record in floor or []] or [-np.inf])
                if spot not in best or level > best[spot][0]:
                    best[spot] = level, key[1].split(" - ", 1)[1], ours, floor, group
        for (task, name, metric, _), (_, other, ours, floor, group) in best.items():
            sure = f"{sum(map(shown, group))} of {len(group)}"
            left, right = (over_seeds(g) if g else "" for g in (ours, floor))
            cells = [
                path.stem,
                task if metric == "accuracy" else f"{task} ({metric})",
                f"{name} {left}",
                f"{other} {right}",
                over_seeds(group, sign=True),
                sure,
                pooled_interval(group, "+"),
            ]
            rows.append(f"| {' | '.join(cells)} |")
    if not rows:
        return "No results yet."
    names = (
        "experiment",
        "task",
        "accuracy",
        "best floor",
        "paired difference",
        "better by it",
        "seeds pooled",
    )
    return "\n".join([f"| {' | '.join(names)} |", "|---" * 7 + "|", *rows])


def of_protocol(groups: Mapping[str, Sequence[Mapping]], difference: str) -> Sequence[Mapping] | None:
    """Those that a difference is of, whose protocol ends its own; else, of a floor, the newest."""
    return next(
        (g for p, g in groups.items() if p and difference.endswith(p)), next(reversed(groups.values()), None)
    )


def leaderboards(results_dir: Path | str) -> str:
    """A table for each task that several systems have been judged on: all by mean accuracy, but those of
    results/ablations*.json, which have pages of their own.

    Systems of one name are told apart by what they were pretrained on. Each is compared with the best, over
    the same clips: the difference, its 95 % interval over groups (seeds averaged), p by permutation of whole
    groups, Holm over the table.
    """
    found: dict[str, dict[tuple[str, str], list]] = defaultdict(dict)
    known = {task.name for task in TASKS}
    for path in sorted(Path(results_dir).glob("*.json")):
        if path.stem.startswith("ablations"):
            continue
        apart: dict[str, list] = defaultdict(list)
        records = read(path)
        says = {subject(record) for record in records if "pretrained on" in record}
        for record in records:
            if subject(record) in says and "pretrained on" not in record:
                continue  # older, and judged again since
            # balanced classes are another question
            if record.get("metric") == "accuracy" and BALANCED not in record.get("protocol", ""):
                apart[heard(record)].append(record)
        for said, records in apart.items():
            for (task, system, *_), group in seeds(records).items():
                # a twin has its place beside its system in their own table
                if task not in known or system.endswith(", random"):
                    continue
                name = f"{system} ({path.stem})" if system == "random" else system, said
                if len(group) >= len(found[task].get(name, ())):  # of a floor in several files the most
                    found[task][name] = group
    parts = []
    for task, systems in found.items():
        if sum(name not in NAMES and not name.endswith(")") for name, _ in systems) > 1:
            parts.append(f"## Leaderboard of {task}\n\n{standing(systems)}")
    return "\n\n".join(parts)


def heard(record: Mapping[str, Any]) -> str:
    """What a record's system was pretrained on, for people: a store's name, "its clips" where that is the
    store that it is judged on, "" of floors and where the record doesn't say; LABELS behind it, if it saw
    any."""
    if record["system"] in NAMES:
        return ""
    labels = LABELS if "by labels" in record or record.get("method") in ("Supervised", "SupCon") else ""
    if not (said := record.get("pretrained on")):  # older ones of `bench` knew no other store
        return "its clips" + labels if "method" in record else ""
    name, digest = said.split(", background ")[0].rsplit(" ", 1)
    return ("its clips" if record.get("data", "").startswith(digest) else name) + labels


def standing(systems: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]) -> str:
    """The table of one task. systems: by name and what they were pretrained on; those that saw labels are
    ceilings, and not compared."""
    mean = {name: float(np.mean([r["value"] for r in group])) for name, group in systems.items()}
    order = sorted(systems, key=lambda name: -mean[name])
    sums = {
        name: np.mean([r["by_group"] for r in group], 0)
        for name, group in systems.items()
        if all("by_group" in r for r in group)
    }
    fair = [name for name in order if name in sums and not name[1].endswith(LABELS)]
    best = next(iter(fair), None)
    rivals = [name for name in fair[1:] if same_groups(sums[name], sums[best])]
    gaps = {name: sums[name][:, 0] - sums[best][:, 0] for name in rivals}
    p = stats.holm(np.array([stats.permuted(gap) for gap in gaps.values()]))
    said, marks = dict.fromkeys(order, ""), dict.fromkeys(order, "") | {best: "best"}
    for name, value in zip(rivals, p, strict=True):
        size = sums[best][:, 1]
        low, high = stats.interval(gaps[name], size)
        said[name] = f"{gaps[name].sum() / size.sum():+.3f} [{low:+.3f}, {high:+.3f}], p {value:.3f}"
        marks[name] = "≈" if value > 0.05 else ""
    lines = ["| | system | pretrained on | accuracy | less the best |", "|---|---|---|---|---|"]
    for name in order:
        lines.append(f"| {marks[name]} | {' | '.join(name)} | {over_seeds(systems[name])} | {said[name]} |")
    return "\n".join(lines)


def same_groups(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether sums by group are of the same groups, as far as their sizes tell."""
    return a.shape == b.shape and bool((a[:, 1] == b[:, 1]).all())


def refresh(root: Path | str) -> None:
    """Write results/README.md and the README's block between `<!-- results -->` and `<!-- /results -->` anew.

    Twice is the same as once. Where there is no README, or it has no such line, results/README.md alone.
    ValueError: half a block, or two; nothing is written then.
    """
    root = Path(root)
    readme, results = root / "README.md", root / "results"
    if not results.is_dir():
        raise FileNotFoundError(f"{results}: no such folder; run this at the root of the repository")
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    block = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)
    if len(block.findall(text)) != 1 and "<!-- results -->" in text:
        raise ValueError(f"{readme}: needs one block from a line <!-- results --> to <!-- /results -->")
    # a function, since a backslash in a table would be taken for a reference to a group
    new = block.sub(lambda found: f"{found[1]}\n{headline(results)}\n\n{found[2]}", text)
    if (results / "methods.json").exists():
        new = filled(new, read(results / "methods.json"))
    made = "<!-- made by `ssl-audio report` from *.json; don't edit -->\n\n# Results\n\n" + summary(results)
    write(results / "README.md", made)
    if new != text:
        write(readme, new)


def filled(text: str, records: Iterable[Mapping[str, Any]]) -> str:
    """The README with each method's accuracy, the mean over seeds, behind its name at the end of a row."""
    asked = [r for r in records if r["metric"] == "accuracy" and r["task"] == METHODS_TASK]
    values = {key[1]: [r["value"] for r in group] for key, group in seeds(asked).items()}  # the newest last

    def number(found):
        own = values.get(found[1])
        return f"`{found[1]}` " + (f"{np.mean(own):.3f}" if own else "not run") + " |"

    return re.sub(r"`(\w+)` (?:\d\.\d{3}|not run) \|(?=\n)", number, text)


LEGEND = """\
Each number is the mean over seeds; ± is the standard deviation over them (n - 1), in parentheses the lowest
and the highest. With one seed the brackets are its 95 % interval, as its protocol says. Differences are
paired, clip by clip; pooled, they are averaged over seeds clip by clip, with an interval over recordings.
`random` is the same encoder with random weights, `logmel` the mean and standard deviation of the log-mel
spectrogram, `majority` the most frequent class.

Leaderboards compare with "best", the best of those whose records hold sums by group (older ones don't, and
stand without a comparison): the difference, its interval over groups, and p by permutation of whole groups,
after Holm. "≈": not shown to differ, p above 0.05; six groups, as FSDD's speakers, can't give less than 0.03
before Holm, so that large differences may stay unsure. "its clips": pretrained on the sound that it is
judged on, without its labels where it doesn't say "and labels"; those that saw labels, the tested clips' too,
are ceilings, not competitors."""


def unique(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def subject(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What a record is about, whichever checkpoint and measure: task, system, data and seed."""
    return tuple(str(record.get(name, "")) for name in ("task", "system", "data", "seed"))


def seeds(records: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], list[Mapping[str, Any]]]:
    """(task, system, metric, protocol, data) -> its newest record of each seed, by seed.

    Of a system that was trained anew only what the newest checkpoint was judged by.
    """
    found: dict[tuple[str, ...], dict[Any, Mapping[str, Any]]] = defaultdict(dict)
    newest = {subject(record): record.get("model") for record in records}
    for record in records:
        if record.get("model") != newest[subject(record)]:
            continue
        key = tuple(str(record.get(name, "")) for name in ("task", "system", "metric", "protocol", "data"))
        found[key][record["seed"]] = record
    return {key: [group[seed] for seed in sorted(group, key=str)] for key, group in found.items()}


def over_seeds(group: Sequence[Mapping[str, Any]], sign: bool = False) -> str:
    """'0.512 ± 0.010 (0.501 to 0.524)' over seeds, or '0.512 [0.450, 0.574]' of one."""
    values = np.array([record["value"] for record in group])
    plus = "+" if sign else ""
    if len(values) == 1:
        return f"{values[0]:{plus}.3f} [{group[0]['ci95'][0]:.3f}, {group[0]['ci95'][1]:.3f}]"
    return f"{values.mean():{plus}.3f} ± {values.std(ddof=1):.3f} ({values.min():.3f} to {values.max():.3f})"


def pooled(group: Sequence[Mapping[str, Any]]) -> tuple[float, float, float] | None:
    """A difference with its seeds averaged clip by clip, and its interval over recordings; None: no sums.

    The fine-tuning's test clips are the same in each seed, so that theirs pools likewise.
    """
    if len(group) < 2 or not all("by_group" in record for record in group):
        return None
    parts = np.array([record["by_group"] for record in group], float)
    return stats.pooled(parts[:, :, 0], parts[0, :, 1])


def pooled_interval(group: Sequence[Mapping[str, Any]], plus: str = "") -> str:
    """'[0.011, 0.067]' of the seeds pooled, or nothing where they can't be."""
    found = pooled(group)
    return f"[{found[1]:{plus}.3f}, {found[2]:{plus}.3f}]" if found else ""


def sizes(chosen: Mapping[tuple, Sequence[Mapping]]) -> str:
    """Clips, groups and seeds of a task's records, in words."""
    every = [record for group in chosen.values() for record in group]
    clips, groups = ({r.get(name) for r in every} - {None} for name in ("n", "groups"))
    words = [f"{'/'.join(map(str, sorted(clips)))} clips"] if clips else []
    words += [f"{'/'.join(map(str, sorted(groups)))} groups"] if groups else []
    counts = sorted({len(group) for group in chosen.values()})
    plural = "" if counts == [1] else "s"
    return (
        ", ".join([*words, f"{'-'.join(str(c) for c in unique((counts[0], counts[-1])))} seed{plural}"]) + "."
    )


def difference(metric: str) -> bool:
    """Whether a metric is one system's less another's."""
    return metric.endswith(" difference")


def shown(record: Mapping[str, Any]) -> bool:
    """Whether a difference's whole interval is on the better side of zero."""
    low, high = record["ci95"]
    return high < 0 if record["metric"].removesuffix(" difference") in LOWER else low > 0


def ordered(metrics: Iterable[str]) -> list[str]:
    found = unique(metrics)
    return [m for m in METRICS if m in found] + [m for m in found if m not in METRICS and not difference(m)]


def systems_table(chosen: Mapping[tuple, Sequence[Mapping]]) -> str:
    """A row a system, a column a metric; a line for each protocol and data, if there are several."""
    metrics = ordered(key[2] for key in chosen)
    cells = defaultdict(list)
    for key, group in chosen.items():
        if not difference(key[2]):
            cells[key[1], key[2]].append(over_seeds(group) + balance(key[3]))
    lines = [
        "| system | " + " | ".join(METRICS.get(m, m) for m in metrics) + " |",
        "|---" * (len(metrics) + 1) + "|",
    ]
    for system in unique(system for system, _ in cells):
        lines.append(f"| {system} | " + " | ".join("<br>".join(cells[system, m]) for m in metrics) + " |")
    return "\n".join(lines) if cells else ""


def balance(protocol: str) -> str:
    """' (balanced: under)' of a probe whose classes were balanced so, to tell it from others; else ''."""
    found = re.search(rf"{BALANCED} \((\w+)\)", protocol)
    return f" (balanced: {found[1]})" if found else ""


def differences_table(chosen: Mapping[tuple, Sequence[Mapping]]) -> str:
    lines = [
        "| difference | over seeds | 95 % interval of each seed | better by it | of the seeds pooled |",
        "|---|---|---|---|---|",
    ]
    for key, group in chosen.items():
        if difference(key[2]):
            each = ", ".join("[{:.3f}, {:.3f}]".format(*record["ci95"]) for record in group)
            sure = sum(map(shown, group))
            best = " (best floor)" if any(record.get("best_floor") for record in group) else ""
            mean = over_seeds(group, sign=True) if len(group) > 1 else f"{group[0]['value']:+.3f}"
            name = key[1] + balance(key[3]) + best
            lines.append(f"| {name} | {mean} | {each} | {sure} of {len(group)} | {pooled_interval(group)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def protocols_list(chosen: Mapping[tuple, Sequence[Mapping]]) -> str:
    """What was done, a bullet a protocol, with the metrics that it gave."""
    found = defaultdict(list)
    for key in chosen:
        if key[3]:
            found[key[3]].append(METRICS.get(key[2], key[2]))
    return "\n".join(f"- {', '.join(unique(metrics))}: {protocol}" for protocol, metrics in found.items())


def plain(record: Mapping[str, Any]) -> str:
    """A difference in words: 'a is better than b by 0.10 [0.04, 0.16]', or that none is shown."""
    ours, other = (NAMES.get(name, name) for name in record["system"].split(" - ", 1))
    ours += balance(record.get("protocol", ""))
    value, (low, high) = record["value"], record["ci95"]
    if not low <= 0 <= high:
        word = "better" if shown(record) else "worse"
        edges = (low, high) if low > 0 else (-high, -low)
        return f"{ours} is {word} than {other} by {abs(value):.3f} [{edges[0]:.3f}, {edges[1]:.3f}]"
    return (
        f"{ours} is not shown to differ from {other}: difference {value:+.3f} [{low:+.3f}, {high:+.3f}], "
        "the interval contains zero"
    )
