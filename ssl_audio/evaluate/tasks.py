"""Tasks, one line each: what is predicted, of which clips, on which folds."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64, Shaped

from ssl_audio.evaluate.events import Timing

Kind = Literal["class", "classes", "number", "pairs", "events"]
"""What a task asks for: a class, several classes ("bird|wind"), a number, whether two clips have one label,
or which events there are when (from frames)."""


@dataclass(frozen=True)
class Task:
    """What is predicted, on which folds.

    part: of a data set that has several, `clips(part=...)`. label, fold, group: columns of the store; fold
    "": five are drawn (`drawn`); group None: every clip is its own. test: None for k folds, else the values
    of the fold column that are the test set. values_per_fold: so many neighbouring values of the fold column,
    in order, make one fold. where: (column, value), keep only those clips. without: values of the fold column
    that take no part. kind: what is asked for. unlabelled: clips without a label have none of the classes,
    instead of being left out. timing: of events. together: where folds are drawn, exact copies of a sound are
    of one group. parts: the fold column has `PARTS`, spelt anyhow. note: what a reader of the number must
    know.
    """

    name: str
    dataset: str
    label: str
    fold: str = "fold"
    group: str | None = "group"
    test: tuple[str, ...] | None = None
    values_per_fold: int = 1
    where: tuple[str, str] | None = None
    without: tuple[str, ...] = ()
    kind: Kind = "class"
    part: str = ""
    unlabelled: bool = False
    timing: Timing = Timing()
    together: bool = False
    parts: bool = False
    note: str = ""


TASKS = (
    Task("gm/family", "gm_instruments", "family", note="5 folds grouped by instrument"),
    Task("gm/octave", "gm_instruments", "octave", note="5 folds grouped by instrument"),
    Task(
        "fsdd/digit",
        "fsdd",
        "digit",
        group=None,
        test=("test",),
        note="takes 0-4 test, speakers on both sides",
    ),
    Task("fsdd/digit-loso", "fsdd", "digit", "speaker", "speaker", note="leave one speaker out"),
    Task(
        "fsdd/speaker",
        "fsdd",
        "speaker",
        "digit",
        "digit",
        values_per_fold=2,
        note="5 folds of 2 unseen digits",
    ),
    Task(
        "gm/height",
        "gm_instruments",
        "octave",
        kind="number",
        note="the octave as a number, 5 folds grouped by instrument",
    ),
    Task(
        "fsdd/verification",
        "fsdd",
        "speaker",
        "digit",
        "digit",
        kind="pairs",
        note="the digits of a pair differ",
    ),
    Task("esc50", "esc50", "category", note="5 official folds"),
    Task("esc10", "esc50", "category", where=("esc10", "True"), note="ESC-10, 5 official folds"),
    Task("fsd50k", "fsd50k", "labels", test=("test",), kind="classes", note="official evaluation set"),
    Task(
        "audioset/20k",
        "audioset",
        "mids",
        "subset",
        test=("eval",),
        without=("unbalanced_train",),
        kind="classes",
        note="balanced_train and eval; clips found are in n",
    ),
    Task("urbansound8k", "urbansound8k", "class", note="10 official folds"),
    Task("speech_commands", "speech_commands", "word", test=("test",), note="35 words, official test list"),
    Task(
        "speech_commands/v1",
        "speech_commands",
        "word",
        test=("test",),
        part="v0.01",
        note="30 words, official test list",
    ),
    Task(
        "speech_commands/superb",
        "speech_commands",
        "command",
        test=("test",),
        part="v0.01-12",
        note="12 commands, official 12-class test, as SUPERB",
    ),
    Task(
        "speech_commands/hear-full",
        "speech_commands",
        "command",
        test=("test",),
        part="v0.02-12",
        note="12 commands, official 12-class test, as HEAR",
    ),
    Task(
        "speech_commands/hear-5h",
        "speech_commands",
        "command",
        "hear_5h",
        test=("test",),
        without=("",),
        part="v0.02-12",
        note="HEAR's draw of 5 h, official 12-class test",
    ),
    Task(
        "nsynth/family",
        "nsynth",
        "family",
        test=("test",),
        without=("valid",),
        note="official test; valid, which has the same instruments, left out",
    ),
    Task(
        "nsynth/pitch",
        "nsynth",
        "pitch",
        test=("test",),
        without=("valid",),
        note="official test; valid, which has the same instruments, left out",
    ),
    *(
        Task(
            f"nsynth/pitch-hear-{hours}",
            "nsynth",
            "pitch",
            f"hear_{hours}",
            test=("test",),
            without=("", "valid"),
            note="HEAR's draw; valid, which has the instruments of test, left out",
        )
        for hours in ("5h", "50h")
    ),
    Task("gtzan", "gtzan", "genre", test=("test",), without=("",), note="fault-filtered split"),
    Task("gtzan_music_speech", "gtzan_music_speech", "kind", note="our 10 random folds"),
    Task("gtzan/random", "gtzan", "genre", "random_fold", note="10 random folds, artists on both sides"),
    Task(
        "crema_d",
        "crema_d",
        "emotion",
        "evar",
        test=("test",),
        without=("",),
        note="EVAR's split by speaker",
    ),
    Task("ravdess", "ravdess", "emotion", "speaker", values_per_fold=6, note="4 folds of 6 speakers"),
    Task("iemocap", "iemocap", "emotion", note="4 emotions, leave one session out"),
    *(
        Task(f"iemocap/{rating}", "iemocap", rating, kind="number", note="1 to 5, leave one session out")
        for rating in ("valence", "activation", "dominance")
    ),
    Task("vocalsound", "vocalsound", "category", test=("test",), note="official split by speaker"),
    Task("voxceleb1/speaker", "voxceleb1", "speaker", test=("test",), note="official identification split"),
    Task(
        "voxceleb1/verification",
        "voxceleb1",
        "speaker",
        where=("verification", "test"),
        kind="pairs",
        note="the published trials of veri_test.txt",
    ),
    Task("librispeech/sex", "librispeech", "sex", test=("test",), note="dev and train for training"),
    Task("libricount", "libricount", "count", "hear_fold", None, note="HEAR's 5 folds, speakers in several"),
    Task(
        "libricount/number",
        "libricount",
        "count",
        "hear_fold",
        None,
        kind="number",
        note="HEAR's 5 folds, speakers in several",
    ),
    Task("voxforge", "voxforge", "language", note="our 5 folds by speaker, no published ones"),
    Task(
        "voxlingua107/top10",
        "voxlingua107",
        "language",
        "hear_fold",
        None,
        where=("top10", "True"),
        note="HEAR's 5 folds, videos in several",
    ),
    Task("surge", "surge", "pitch", test=("test",), note="EVAR's split by preset"),
    Task("beijing_opera", "beijing_opera", "instrument", "hear_fold", note="HEAR's 5 folds"),
    Task("mridangam/stroke", "mridangam", "stroke", "hear_fold_stroke", note="HEAR's 5 folds, one player"),
    Task("mridangam/tonic", "mridangam", "tonic", "hear_fold_tonic", note="HEAR's 5 folds, one player"),
    Task(
        "dcase2016_task2",
        "dcase2016_task2",
        "event",
        "hear_split",
        test=("test",),
        without=("",),
        kind="events",
        timing=Timing(every=10),
        note="trained on the 18 mixtures of dev, tested on the published 54",
    ),
    Task(
        "maestro/notes",
        "maestro",
        "notes",
        "hear_fold",
        None,
        kind="events",
        part="5h",
        timing=Timing(0.15, (0.05,), 0.05),
        note="HEAR's draw of 5 h and 5 folds, compositions in several",
    ),
    *(
        Task(f"beans/{part}", "beans", "label", test=("test",), part=part, note=f"BEANS's split{how}")
        for part, how in (
            ("watkins", " at random"),
            ("bats", " at random"),
            ("dogs", " at random"),
            ("cbi", " by recordist"),
            ("humbugdb", " at random"),
        )
    ),
    *(
        Task(
            f"birdset/{part}",
            "birdset",
            "ebird_code_multilabel",
            test=("test_5s",),
            kind="classes",
            part=part,
            unlabelled=True,
            note="trained on Xeno-Canto, tested on 5 s of soundscapes",
        )
        for part in ("PER", "NES", "UHH", "HSN", "NBP", "SSW", "SNE", "POW")
    ),
    Task("gunshot", "gunshot", "microphone", note="HEAR's 7 folds by firearm"),
    Task("beehive", "beehive", "queen", "hive", None, note="leave one hive out; intervals over files"),
    Task(
        "vocal_imitations",
        "vocal_imitations",
        "reference",
        "hear_fold",
        None,
        note="HEAR's 3 folds, which cut participants",
    ),
)


def find(name: str) -> Task:
    """The task of that name. ValueError lists the names there are."""
    for task in TASKS:
        if task.name == name:
            return task
    raise ValueError(f"{name!r} isn't a task; there are {', '.join(task.name for task in TASKS)}")


def own(store: Any, label: str, fold: str = "") -> Task:
    """The task of telling a label of anybody's store. fold: column of the folds, where "test" is tested alone
    if it is a value of it; "": five are drawn.

    `PARTS` are other spellings of train, valid and test. Clips without a fold take no part. Where folds are
    drawn, exact copies of a sound stay together. ValueError: the store has no such column, no clip has it
    filled in, all have one label, or there are clips to train on and to validate on, but none to test.
    """
    for column in filter(None, (label, fold)):
        if column not in store.columns:
            raise ValueError(f"{store.path}: no column {column!r}; there are {', '.join(store.columns)}")
    if fold and not store.names(fold):
        raise ValueError(f"{store.path}: no clip has the column {fold!r} filled in; leave the folds out")
    if len(values := store.names(label)) == 1:
        raise ValueError(
            f"{store.path}: all clips have the {label} {str(values[0])!r}, so there is nothing to tell"
        )
    parts = {PARTS.get(str(name).lower(), "") for name in store.names(fold)} if fold else set()
    if parts & {"train", "valid"} and "test" not in parts:
        raise ValueError(
            f"{store.path}: of the folds {', '.join(map(str, store.names(fold)))} (column {fold!r}) none is "
            "called test; call so what is to be tested, or leave the folds out"
        )
    test = ("test",) if "test" in parts else None
    note = f"folds of the column {fold!r}" if fold else "folds drawn, 5 at most, whole groups, classes alike"
    name = f"{store.path.name}/{label}"
    if fold:  # other folds are another task
        name += f" ({fold})"
    elif any(task.name == name for task in TASKS):  # or its records would pass for that task's
        name += " (own folds)"
    without = ("",) if fold else ()
    where = str(store.path.absolute())  # never the name of a data set
    return Task(
        name, where, label, fold, test=test, without=without, together=not fold, parts=test is not None,
        note=note,
    )  # fmt: skip


PARTS = {
    name: part
    for part, names in (
        ("train", ("train", "training")),
        ("valid", ("valid", "validation", "val", "dev", "development")),
        ("test", ("test", "testing", "eval", "evaluation")),
    )
    for name in names
}
"""What people call the parts of a data set, in small letters, and what they are called here."""


def drawn(labels: Shaped[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Folds "0" to "4", whole groups, classes spread alike; the same each time.

    ValueError: fewer than two classes are in two groups, so that what is tested never was in training.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # slow to import

    often = np.unique(labels, return_counts=True)[1].max()
    count = min(5, len(np.unique(groups)), int(often))
    if count < 2:
        raise ValueError("folds can't be drawn: there must be two groups, and two clips of some class")
    if len(names := alone(labels, groups)) > len(np.unique(labels)) - 2:
        raise ValueError(
            f"folds can't be drawn: {names[0]!r} is in one group only, and so are all classes but one or "
            "none; tell another label, or give finer groups"
        )
    out = np.empty(len(labels), "<U1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a class with fewer clips than folds
        for i, (_, rows) in enumerate(
            StratifiedGroupKFold(count, shuffle=True, random_state=0).split(labels, labels, groups)
        ):
            out[rows] = str(i)
    return out


def alone(labels: Shaped[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"]) -> list[str]:
    """Classes in one group only: tested, they weren't in training, so that all their clips count as wrong."""
    pairs = np.unique(np.stack([labels.astype(str), groups.astype(str)]), axis=1)
    names, count = np.unique(pairs[0], return_counts=True)
    return [str(name) for name in names[count == 1]]


def joined(groups: Shaped[np.ndarray, " n"], sounds: Int64[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Groups that have a sound in common made one, which is called as the first of them."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, code = np.unique(groups, return_inverse=True)
    size = len(names) + sounds.max() + 1
    edges = coo_array((np.ones(len(code)), (code, len(names) + sounds)), shape=(size, size))
    part = connected_components(edges, directed=False)[1][: len(names)]
    _, first, back = np.unique(part, return_index=True, return_inverse=True)
    return names[first[back]][code]


def classified(task: Task) -> None:
    """ValueError where clips don't have one class each, for those who compare by accuracy."""
    if task.kind != "class":
        raise ValueError(f"{task.name}: this compares accuracies, of tasks whose clips have one class each")


def columns(
    task: Task, store: Any
) -> tuple[
    Shaped[np.ndarray, " n"], Shaped[np.ndarray, " n"], Shaped[np.ndarray, " n"], Int64[np.ndarray, " n"]
]:
    """(labels, folds, groups, rows) of a task from a store, or from anything with values(column) -> strings.

    rows: which clips of the store take part, those that have the label (and match `where`). ValueError: none
    has.
    """
    labels = np.asarray(store.values(task.label))
    kept = np.full(len(labels), True) if task.unlabelled else labels != ""
    if task.where is not None:
        kept &= np.asarray(store.values(task.where[0])) == task.where[1]
    rows = np.flatnonzero(kept)
    if not len(rows):
        of = f", of those with {task.where[0]} {task.where[1]!r}" if task.where else ""
        raise ValueError(f"{task.name}: no clip has the label column {task.label!r} filled in{of}")
    if task.group is None:
        groups = rows.astype(str)
    else:
        groups = np.asarray(store.values(task.group))[rows]
        # a clip without a group is a group of its own, not one of a big nameless group
        groups = np.where(groups == "", np.char.add("clip ", rows.astype(str)), groups)
    if task.together:
        groups = joined(groups, np.unique(store.digests[rows], axis=0, return_inverse=True)[1])
    folds = np.asarray(store.values(task.fold))[rows] if task.fold else drawn(labels[rows], groups)
    if not (folds != "").any():
        raise ValueError(
            f"{task.name}: no clip has the fold column {task.fold!r} filled in; is the data set whole? "
            f"`ssl-audio tasks {task.dataset}` says what it needs"
        )
    if task.without:
        kept = ~np.isin(folds, task.without)
        rows, folds, groups = rows[kept], folds[kept], groups[kept]
    if task.parts:
        folds = np.array([PARTS.get(name.lower(), name) for name in folds])
    if task.values_per_fold > 1:
        names, code = np.unique(folds, return_inverse=True)
        first = code // task.values_per_fold * task.values_per_fold
        last = np.minimum(first + task.values_per_fold, len(names)) - 1
        folds = np.array([f"{a}-{b}" for a, b in zip(names[first], names[last], strict=True)])
    return labels[rows], folds, groups, rows


def clips_of(task: Task, corpora: Mapping[str, Any]) -> list[Any]:
    """The clips of a task's data set, of the part that it is of. corpora: as `datasets.corpora()`."""
    return corpora[task.dataset].clips(**({"part": task.part} if task.part else {}))


def pairs_of(task: Task, corpus: Any, names: Iterable[str]) -> Int64[np.ndarray, "p 2"] | None:
    """The published trials of a task of pairs as rows of `names`; None: it has none, or is of another kind.

    ValueError: a clip of the trials isn't among the names.
    """
    if task.kind != "pairs" or not hasattr(corpus, "trials"):
        return None
    at = {name: i for i, name in enumerate(names)}
    pairs = [(one, other) for _, one, other in corpus.trials()]
    if missing := {name for pair in pairs for name in pair} - at.keys():
        raise ValueError(f"{len(missing)} clips of the trials aren't here, such as {min(missing)}")
    return np.array([[at[one], at[other]] for one, other in pairs])
