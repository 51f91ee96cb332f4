"""What can be evaluated: tasks, the data sets that they are of, and each set's datasheet."""

import inspect
from pathlib import Path
from types import ModuleType

from rich.table import Column, Table

from ssl_audio.datasets import corpora, fetch
from ssl_audio.evaluate.tasks import TASKS

ASKED = {
    "class": "accuracy",
    "classes": "mAP",
    "number": "R²",
    "pairs": "EER",
    "events": "onset F1",
}
"""Main measure of a kind of task."""


def table() -> Table:
    """A line a task: label, main measure, folds, licence, and whether the data set is here."""
    first = Column("task", no_wrap=True, min_width=max(len(task.name) for task in TASKS))
    out, known = Table(first, "label", "measure", "folds", "licence", "here"), corpora()
    for task in TASKS:
        found = "yes" if place(known[task.dataset]) else ""
        licence = known[task.dataset].LICENCE
        out.add_row(task.name, task.label, ASKED[task.kind], task.note, licence, found)
    return out


def place(corpus: ModuleType) -> str:
    """Where the data set is on this machine; empty: it isn't."""
    if (Path(inspect.getfile(corpus)).parent / "data" / corpus.NAME).is_dir():
        return "with the package"
    return str(fetch.here(getattr(corpus, "FOLDER", corpus.NAME)) or "")


def datasheet(name: str) -> str:
    """What a data set is: content, people's voices, faults, licence, source, citation, tasks.

    name: of the data set or of one of its tasks. ValueError lists the names there are.
    """
    known = corpora()
    of_task = {task.name: task.dataset for task in TASKS}
    corpus = known.get(of_task.get(name, name))
    if corpus is None:
        raise ValueError(f"{name!r} is no data set; there are {', '.join(known)}")
    lines = [
        inspect.getdoc(corpus) or "",
        "",
        f"licence: {corpus.LICENCE}",
        f"homepage: {corpus.HOMEPAGE}",
        *(f"download: {url}" for url in urls(corpus)),
        *(f"checksum: {file} {digest}" for file, digest in checksums(corpus).items()),
        f"citation: {corpus.CITATION}",
        f"here: {place(corpus) or 'no'}",
        *(
            f"task {task.name}: {task.label}, {ASKED[task.kind]}; {task.note}"
            for task in TASKS
            if task.dataset == corpus.NAME
        ),
    ]
    return "\n".join(lines)


def caution(licence: str) -> str:
    """What a data set's licence doesn't let one do with it, or with what it chose; "": nothing known."""
    words = {
        "NC": "no commercial use",
        "research": "research only",
        "stated": "its licence is not stated; ask before other than private use",
        "'s own": "on its owner's terms",
    }
    found = [said for word, said in words.items() if word in licence]
    return f"{', '.join(found)} ({licence})" if found else ""


def urls(corpus: ModuleType) -> tuple[str, ...]:
    """Where its archives are."""
    one = getattr(corpus, "URL", None)
    return tuple(getattr(corpus, "URLS", (one,) if one else ()))


def checksums(corpus: ModuleType) -> dict[str, str]:
    """Archive -> digest, where one is known."""
    one = getattr(corpus, "SHA256", None)
    return getattr(corpus, "CHECKSUMS", {"archive": f"sha256:{one}"} if one else {})
