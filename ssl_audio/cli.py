"""The command line: `ssl-audio <verb>`. Each verb is a function here; what it does is in the package."""

import dataclasses
import os
import sys
from collections.abc import Collection
from pathlib import Path


def main(args: list[str] | None = None) -> None:
    """Run `ssl-audio ARGS`; without arguments print the verbs."""
    if args is None:
        huge_pages()
        args = sys.argv[1:]
    if not args or args[0] in ("-h", "--help"):
        print(usage())
        return
    if args[0] == "--version":
        from ssl_audio import __version__

        print(f"ssl-audio {__version__}")
        return
    verb = VERBS.get(args[0])
    if verb is None:
        sys.exit(f"ssl-audio: no verb {args[0]!r}\n\n{usage()}")
    from ssl_audio.train import Diverged

    compilation_cache()
    try:
        verb(args[1:])
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from what is saved")
    except (ValueError, OSError, Diverged) as error:
        if os.environ.get("SSL_AUDIO_DEBUG"):
            raise
        sys.exit(f"ssl-audio {args[0]}: {error}")


def huge_pages() -> None:
    """Start anew with glibc asking for 2 MiB pages, unless the user set its tunables.

    XLA's buffers on a CPU come fresh from the kernel at each step; in 4 KiB pages the page faults cost more
    than the arithmetic (a 100 MB elementwise product took 3.5 times as long).
    """
    if (
        sys.platform == "linux"
        and "GLIBC_TUNABLES" not in os.environ
        and not os.environ.get("SSL_AUDIO_DEBUG")
    ):
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def compilation_cache() -> None:
    """Keep compiled programs in the user's cache, so that the second run starts at once."""
    import jax

    from ssl_audio.datasets.fetch import cache

    jax.config.update(
        "jax_compilation_cache_dir", os.environ.get("JAX_COMPILATION_CACHE_DIR", str(cache() / "jax"))
    )
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def parse(function, args: list[str], verb: str):
    """Call a function with command-line arguments; its docstring and annotations are the help."""
    import tyro

    return tyro.cli(function, args=args, prog=f"ssl-audio {verb}")


@dataclasses.dataclass(frozen=True)
class Own:
    """A store of your own, whose labels are to be told; beside tasks or in their place."""

    store: Path | None = None
    """Its folder, at the rate that the runs were trained at."""
    label: str = "label"
    """Column to tell; "label" are the sub-folders."""
    fold: str = ""
    """Column of the folds ("test" is tested alone, if there); default five folds that keep each group (of a
    folder: each file) on one side."""

    def opened(self, tasks: Collection[str]):
        """Its task and the store; None: none is given. ValueError: no task is given either."""
        from ssl_audio.audio.store import Store
        from ssl_audio.evaluate.tasks import alone, columns, own

        if self.store is None:
            if self != OWN:
                raise ValueError("--label and --fold are of a --store of your own, which isn't given")
            if not tasks:
                raise ValueError(
                    "nothing to judge on: name tasks (`ssl-audio tasks` lists them), or a --store of your "
                    "own and its --label"
                )
            return None
        store = Store(self.store)
        task = own(store, self.label, self.fold)
        labels, _, groups, _ = columns(task, store)
        if few := alone(labels, groups):
            print(
                f"{task.name}: {', '.join(few[:5])}{' ...' if len(few) > 5 else ''}: in one group only, in "
                "training or tested and never both; their clips count as wrong"
            )
        return task, store


OWN = Own()


def named(kind: str, mine) -> Path:
    """Where records of a comparison go: those of a store of one's own to a file of its own."""
    return Path("results") / f"{mine[1].path.name + '-' if mine else ''}{kind}.json"


# ---- verbs
# ------------------------------------------------------------------------------------------------------


def quickstart(args: list[str]) -> None:
    """Pretrain, judge and plot on the embedded recordings, in minutes."""
    from ssl_audio import quickstart

    parse(quickstart.run, args, "quickstart")


def store(args: list[str]) -> None:
    """Decode a folder, a CSV or a known data set once, into a store."""
    import inspect
    from typing import Annotated

    import tyro

    from ssl_audio.audio.build import build
    from ssl_audio.audio.clean import parse as steps
    from ssl_audio.audio.scan import scan
    from ssl_audio.datasets import corpora

    def run(
        source: Annotated[str, tyro.conf.Positional],
        /,
        out: Path,
        rate: int = 16_000,
        part: str = "",
        clean: tuple[str, ...] = (),
        workers: int | None = None,
    ) -> None:
        """Decode sound files once into a store of int16 shards; run again, it decodes only what is new.

        What is gone from the source leaves the store; of another source, give another --out.

        Args:
            source: a folder (labels from sub-folders), a CSV (columns path, start, duration in seconds,
            label, fold, group,
                licence; further columns are labels too), or a data set such as gm_instruments, fsdd, esc50
                (`ssl-audio tasks` lists them).
            out: the store's folder.
            rate: samples a second of the store, Hz.
            part: of a data set that has several, such as bats of beans, v0.01 of speech_commands.
            clean: steps in their order, e.g. dc band:100:7000 loudness:-23. They are: dc (remove the offset),
                band:LOW:HIGH (pass band, Hz; LOW 0 or no HIGH: open), gate:DB, gate-moving:DB, wiener:DB
                (turn steady, or moving, noise down by DB, 20), wavelet (white noise), trim (silence at both
                ends), peak:DBFS (-1), rms:DB (-20), loudness:LUFS (-23). Changing them decodes all anew.
            workers: processes that decode; default: one a core.
        """
        known = corpora()
        if source not in known or Path(source).exists():
            if part:
                raise ValueError(f"{source}: --part {part} is of data sets; a folder or a CSV has none")
            clips = scan(source)
        elif part and "part" not in inspect.signature(known[source].clips).parameters:
            raise ValueError(f"{source}: this data set has no parts; leave --part out")
        else:
            clips = known[source].clips(**({"part": part} if part else {}))
        print(build(clips, out, rate=rate, clean=steps(clean), workers=workers, title=Path(source).name))

    parse(run, args, "store")


def train(args: list[str]) -> None:
    """Pretrain the experiment of a Python file; the same command resumes it."""
    from typing import Annotated, Literal

    import tyro

    from ssl_audio import pretrain
    from ssl_audio.config import Experiment, load, tiny

    if not args or args[0].startswith("-"):
        sys.exit(
            "usage: ssl-audio train EXPERIMENT.py [--data.store STORE] [options]; EXPERIMENT.py "
            "--help lists all options"
        )
    if "--distributed" in args:  # before anything asks for devices
        import jax

        told = [os.environ.get(f"JAX_{name}") for name in ("NUM_PROCESSES", "PROCESS_ID")]
        jax.distributed.initialize(None, *(int(number) if number else None for number in told))
    experiment, _ = load(args[0])

    @dataclasses.dataclass
    class Options:
        experiment: Annotated[Experiment, tyro.conf.arg(name="")]
        run: Path | None = None
        """The run's folder; default runs/<name>."""
        track: Literal["none", "wandb"] = "none"
        """Also log to Weights & Biases (offline unless logged in)."""
        tiny: bool = False
        """Shrink model, batch and steps to see in seconds that all works; in runs/<name>-tiny."""
        distributed: bool = False
        """One of several hosts, each with this command and the same folders. TPU pods, SLURM, Open MPI and
        Kubernetes say who is there; elsewhere set $JAX_COORDINATOR_ADDRESS (host:port of the first),
        $JAX_NUM_PROCESSES and $JAX_PROCESS_ID (0, 1, ...)."""

    options = tyro.cli(Options, args=args[1:], default=Options(experiment), prog=f"ssl-audio train {args[0]}")
    experiment = tiny(options.experiment) if options.tiny else options.experiment
    run = options.run or Path("runs") / (experiment.name + "-tiny" * options.tiny)
    pretrain.run(experiment, run, source=Path(args[0]), wandb=options.track == "wandb")
    print(
        f"done: {run}; next: ssl-audio evaluate {run} --store {experiment.data.store}  or  --tasks ...; "
        f"ssl-audio embed {run} --store STORE"
    )


def plan(args: list[str]) -> None:
    """What a run would take: parameters, memory a device, operations, days."""
    import re
    from typing import Annotated

    import jax
    import tyro

    from ssl_audio.config import Experiment, load

    if not args or args[0].startswith("-"):
        sys.exit("usage: ssl-audio plan EXPERIMENT.py [--devices 8] [--memory 80GB] [options]")
    experiment, _ = load(args[0])

    @dataclasses.dataclass
    class Options:
        experiment: Annotated[Experiment, tyro.conf.arg(name="")]
        devices: int = 1
        """Devices that share the batch; simulated here, none is needed."""
        memory: str = "80GB"
        """Of one device."""
        peak: float | None = None
        """Of one device, TFLOP/s at the run's precision; default an A100's, 312 in bfloat16, 156 else (an
        H100 has 989 and 494, a TPU v4 275)."""
        utilisation: float = 0.3
        """Share of the peak that the step reaches, 0 to 1; 0.2 to 0.5 is usual."""
        hours: float = 0.0
        """Of sound in the store, to say how many times it is heard; 0: don't say."""

    options = tyro.cli(Options, args=args[1:], default=Options(experiment), prog=f"ssl-audio plan {args[0]}")
    given = re.fullmatch(r"([\d.]+)\s*([MGT])i?B", options.memory.strip(), re.IGNORECASE)
    peak = options.peak or (312.0 if options.experiment.precision == "bfloat16" else 156.0)
    if not given or options.devices < 1 or not 0 < options.utilisation <= 1 or peak <= 0:
        raise ValueError("memory is like 80GB, devices 1 or more, peak above 0, utilisation between 0 and 1")
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", options.devices)
    from ssl_audio.plan import plan, show

    found = plan(options.experiment, options.devices)
    size = float(given[1]) * 1024 ** ("MGT".index(given[2].upper()) + 2)
    peak *= 1e12
    show(
        options.experiment,
        found,
        memory=size,
        peak=peak,
        utilisation=options.utilisation,
        hours=options.hours,
    )


def embed(args: list[str]) -> None:
    """Embeddings of a store by a run, or by any function of yours, as .npz or .parquet."""
    from typing import Annotated, Literal

    import tyro

    def go(
        run: Annotated[Path | None, tyro.conf.Positional] = None,
        /,
        *,
        store: Path,
        by: str = "",
        what: Literal["clip", "layers", "frames"] = "clip",
        dtype: Literal["float32", "float16"] = "float32",
        out: Path | None = None,
    ) -> None:
        """Embed every clip of a store; killed, the same command goes on.

        Args:
            run: folder of the run; its newest checkpoint embeds.
            store: folder of the store, at the rate that the run was trained at.
            by: in place of a run, module:function of yours; function(wave [b t] float32 in -1 to 1, rate in
                Hz) gives [b d]. It gets clips of one length at a time, in windows of 10 s at most.
            what: clip: one vector; layers: one of each layer of a transformer; frames: one a time step.
            dtype: of the numbers kept.
            out: .npz (x, name, each label column as label_<column>; of frames also starts and times) or
                .parquet (name, labels, x0, x1 ..; of clips only) to write; default <store's name>.npz in the
                run.
        """
        from ssl_audio import export
        from ssl_audio.audio.store import Store

        print(export.run(run, Store(store), by, what, dtype, out))

    parse(go, args, "embed")


def evaluate(args: list[str]) -> None:
    """Judge a run, or anybody's embeddings, on tasks; records go to results/."""
    from typing import Annotated

    import tyro

    from ssl_audio.evaluate.judging import More
    from ssl_audio.evaluate.linear import Balance

    def go(
        run: Annotated[Path, tyro.conf.Positional],
        /,
        tasks: tuple[str, ...] = (),
        own: Annotated[Own, tyro.conf.OmitArgPrefixes] = OWN,
        more: tuple[More, ...] = (),
        page: bool = False,
        balance: Balance = "none",
        results: Path = Path("results"),
    ) -> None:
        """Linear probe, kNN and k-means of a run, of its random twin, log-mel statistics and the majority
        class; or of anybody's embeddings.

        Args:
            run: folder of the run; or a file of embeddings, a row a clip: .npz (x [n d], name [n]), .parquet
                or .csv (a column name or path; all other columns of numbers are the embedding). Names are
                those of the sound files.
            tasks: such as gm/family fsdd/digit-loso esc50; `ssl-audio tasks` lists them.
            more: measures beside these: ridge and svm (probes), few-shot (5 clips of each of 5 classes),
                retrieval (mAP and R@1 of every clip asking for the others); hear, x-ares, evar, marble and
                beans (the benchmarks' probes as published, their faults kept), the same with -strict (without
                those); superb (a learned sum of a transformer's layers), attentive (a learned choice of
                moments).
            page: also write RUN/<task>.html: the map of the sounds, class by class, the hardest clips to
                hear.
            balance: make classes count alike in the linear probe's training, by weights, by drawing clips of
                small classes again (over) or leaving out those of large ones (under).
            results: folder whose <experiment>.json gets the records.
        """
        from ssl_audio import outside, pretrain
        from ssl_audio.catalogue import caution
        from ssl_audio.datasets import corpora
        from ssl_audio.evaluate.tasks import find

        mine = own.opened(tasks)
        if page and run.is_file():
            raise ValueError(f"{run}: a page is of a run, whose sounds and checkpoint are here")
        for name in dict.fromkeys(find(name).dataset for name in tasks):
            if said := caution(corpora()[name].LICENCE):
                print(f"note: {name}: {said}")
        if run.is_file():
            for records in outside.evaluate(run, tasks, results, corpora(), more, balance, mine):
                pretrain.show(records)
        else:
            pretrain.evaluate(run, tasks, results, corpora(), more, page, balance, mine)

    parse(go, args, "evaluate")


def compare(args: list[str]) -> None:
    """Two runs, or files of embeddings, on the same clips: paired differences and tests."""
    from typing import Annotated

    import tyro

    def go(
        first: Annotated[Path, tyro.conf.Positional],
        second: Annotated[Path, tyro.conf.Positional],
        /,
        tasks: tuple[str, ...] = (),
        own: Annotated[Own, tyro.conf.OmitArgPrefixes] = OWN,
        out: Path | None = None,
    ) -> None:
        """Is the first better than the second? By the linear probe, clip by clip.

        Args:
            first: folder of a run, or a file of embeddings as `ssl-audio evaluate` takes it.
            second: the other one.
            tasks: such as gm/family fsdd/digit-loso esc50; `ssl-audio tasks` lists them.
            out: a .json that gets the records.
        """
        from ssl_audio import compare
        from ssl_audio.datasets import corpora

        compare.run(first, second, tasks, corpora(), out, own.opened(tasks))

    parse(go, args, "compare")


def clusters(args: list[str]) -> None:
    """Clusters of a run's embeddings: several ways, how many, and what is in them, to listen to."""
    from typing import Annotated

    import tyro

    def go(
        run: Annotated[Path, tyro.conf.Positional],
        /,
        store: Path,
        label: str = "",
        k: int | None = None,
        out: Path = Path("clusters.html"),
        seed: int = 0,
    ) -> None:
        """Cluster the clips of a store without labels; write a page, and a .csv of clusters beside it.

        Args:
            run: folder of the run whose newest checkpoint embeds.
            store: folder of the store, at the rate that the run was trained at.
            label: a column of the store to compare the clusters with, such as label.
            k: clusters; default as many as labels, without a label the number of the highest silhouette.
            out: the page, .html.
            seed: of k-means.
        """
        from rich.console import Console
        from rich.table import Table

        from ssl_audio.audio.store import Store
        from ssl_audio.embed import embed
        from ssl_audio.explore import clusters

        if out.suffix != ".html" or not out.absolute().parent.is_dir():
            raise ValueError(f"{out}: must end in .html, in a folder that is there")
        sounds = Store(store)
        labels = sounds.values(label) if label else None  # a wrong column fails before anything is embedded
        title = f"Clusters of {store.name} by {run.name}"
        ways, count = clusters.clusters(
            embed(run, sounds).x, sounds, out, label=label, k=k, seed=seed, title=title
        )
        table = Table(*clusters.head(labels), title=f"{title}, {count} clusters", title_justify="left")
        for cells in clusters.rows(ways, labels, lambda values: f"{values.mean():.2f}"):
            table.add_row(*cells)
        Console().print(table)
        print(f"{out}, {out.with_suffix('.csv')}")

    parse(go, args, "clusters")


def audit(args: list[str]) -> None:
    """Is test sound in the training sound? Exact and near duplicates of clips."""
    from typing import Annotated

    import tyro

    def go(
        first: Annotated[Path, tyro.conf.Positional],
        second: Annotated[Path | None, tyro.conf.Positional] = None,
        /,
        *,
        fold: str = "fold",
        out: Path | None = None,
    ) -> None:
        """Find clips that hold the same sound, though louder, resampled, cut or in some noise.

        Args:
            first: folder of a store.
            second: folder of another, such as the one that a run is judged on; default: within the first.
            fold: column of the store; within one store pairs across its values are what is shown, and all
                pairs where it has one value only.
            out: a .csv that gets all pairs.
        """
        from ssl_audio import audit
        from ssl_audio.audio.store import Store

        audit.run(Store(first), None if second is None else Store(second), fold=fold, out=out)

    parse(go, args, "audit")


def bench(args: list[str]) -> None:
    """Which method works on my sound: many experiments, the same minutes each, one table."""
    from typing import Annotated

    import tyro

    def go(
        experiments: Annotated[Path, tyro.conf.Positional],
        /,
        task: tuple[str, ...] = (),
        own: Annotated[Own, tyro.conf.OmitArgPrefixes] = OWN,
        minutes: float = 3.0,
        steps: int | None = None,
        seeds: tuple[int, ...] = (0,),
        only: tuple[str, ...] = (),
        pretrain_on: Path | None = None,
        runs: Path | None = None,
        out: Path | None = None,
    ) -> None:
        """Train every experiment of a file for the same minutes and judge all by one protocol.

        Killed, the same command goes on; what is judged already is left as it is.

        Args:
            experiments: a Python file with `experiments`, a tuple; experiments/methods.py is one.
            task: one or several, such as gm/family fsdd/digit-loso esc50 (`ssl-audio tasks` lists them); the
                first has the long table.
            minutes: of training, each, by the speed measured before its start; compilation comes on top.
            steps: of training, each, in place of minutes: the same on any machine.
            seeds: each experiment is run from each of them.
            only: names of experiments to run; default all.
            pretrain_on: folder of a store to pretrain on; default the first task's clips, without their
                labels.
            runs: folder for the runs. Default runs/bench, with a store of your own alone a folder of its name
                in there.
            out: the records, .json; the table (.md) and the curves (.png) are written beside it. Default
                results/<the file's name>.json, with a store of your own <its name>-<the file's name>.json.
        """
        from ssl_audio import bench, pretrain
        from ssl_audio.audio.store import Store
        from ssl_audio.config import execute, load_many
        from ssl_audio.datasets import corpora
        from ssl_audio.evaluate.tasks import find

        mine = own.opened(task)
        chosen, found = load_many(experiments), [find(name) for name in task]
        title = (execute(experiments).__doc__ or experiments.stem).strip().partition("\n")[0]
        if mine and not task:  # the file speaks of its author's data
            title = f"{experiments.stem} on {mine[1].path.name}"
        if unknown := set(only) - {e.name for e in chosen}:
            names = " ".join(e.name for e in chosen)
            raise ValueError(f"{', '.join(sorted(unknown))}: not in {experiments}, which has {names}")
        chosen = [e for e in chosen if not only or e.name in only]
        rate, known = chosen[0].frontend.rate, corpora()
        stores = [(one, pretrain.prepared(one, rate, known)) for one in found] + ([mine] if mine else [])
        heard = Store(pretrain_on) if pretrain_on else None
        out = out or named(experiments.stem, mine)
        runs = runs or Path("runs/bench") / (mine[1].path.name if mine and not task else "")
        bench.run(
            chosen, stores, minutes=minutes, seeds=seeds, runs=runs, out=out, title=title, steps=steps,
            heard=heard, source=experiments,
        )  # fmt: skip
        print(f"{out.with_suffix('.md')}")

    parse(go, args, "bench")


def labels(args: list[str]) -> None:
    """How many labels does it take: runs, frozen and fine-tuned, against training from scratch."""
    from typing import Annotated

    import tyro

    def go(
        runs: Annotated[tuple[Path, ...], tyro.conf.Positional],
        /,
        task: str = "",
        own: Annotated[Own, tyro.conf.OmitArgPrefixes] = OWN,
        counts: tuple[int, ...] = (1, 5, 10, 50),
        draws: int = 1,
        out: Path | None = None,
    ) -> None:
        """Judge runs with few labels a class; killed, the same command goes on.

        Args:
            runs: folders of `ssl-audio train` or `ssl-audio bench`.
            task: such as gm/family fsdd/digit-loso esc50; `ssl-audio tasks` lists them.
            counts: labels a class.
            draws: how often the labels are drawn anew.
            out: the records, .json; the table (.md) and the figure (.png) are written beside it. Default
                results/labels.json, with a store of your own <its name>-labels.json.
        """
        from ssl_audio import label_efficiency, pretrain
        from ssl_audio.config import load_run
        from ssl_audio.datasets import corpora
        from ssl_audio.evaluate.tasks import find

        mine = own.opened(task)
        if task and mine:
            raise ValueError("give --task or --store, one of them: the figure is of one")
        if not runs:
            raise ValueError("give the folders of one or several runs")
        if not counts or min(*counts, draws) < 1:
            raise ValueError(f"counts {counts}, draws {draws}: must be 1 or more")
        out = out or named("labels", mine)
        rate = load_run(runs[0]).frontend.rate
        found, store = mine or (find(task), pretrain.prepared(find(task), rate, corpora()))
        label_efficiency.run(runs, store, found, counts=counts, draws=draws, out=out)
        print(f"{out.with_suffix('.md')}")

    parse(go, args, "labels")


def card(args: list[str]) -> None:
    """A run's model card, with its numbers in the form of Hugging Face's model-index."""
    from typing import Annotated

    import tyro

    def go(
        run: Annotated[Path, tyro.conf.Positional],
        /,
        results: Path = Path("results"),
        licence: str = "",
    ) -> None:
        """Write RUN/README.md, a model card.

        Args:
            run: folder of the run.
            results: folder whose <experiment>.json has the records of `ssl-audio evaluate`.
            licence: of the weights, as the hub names it, such as cc-by-4.0; default none is stated.
        """
        from ssl_audio.card import card

        print(card(run, results, licence))

    parse(go, args, "card")


def report(args: list[str]) -> None:
    """Tables of results/ anew: results/README.md and the README's block."""

    from ssl_audio.report import refresh

    def go(root: Path = Path(".")) -> None:
        """Write results/README.md and the results block of README.md from results/*.json.

        Args:
            root: folder that holds README.md and results/.
        """
        refresh(root)

    parse(go, args, "report")


def gallery(args: list[str]) -> None:
    """See and hear every augmentation on three recordings, in one page."""

    from ssl_audio.explore.gallery import gallery

    def go(out: Path = Path("gallery.html"), seed: int = 0) -> None:
        """Write a page of all augmentations, before and after; it needs nothing but itself.

        Args:
            out: the page, .html.
            seed: of the draws.
        """
        print(gallery(out, seed=seed))

    parse(go, args, "gallery")


def features(args: list[str]) -> None:
    """Features of sound files (MFCC, chroma, spectral descriptors ...) as a table."""
    from typing import Annotated, Literal

    import tyro

    from ssl_audio.features import Kind, extract

    def go(
        source: Annotated[Path, tyro.conf.Positional],
        /,
        kind: tuple[Kind, ...],
        out: Path,
        per: Literal["clip", "frame"] = "clip",
        rate: int = 16_000,
    ) -> None:
        """Write features of sound files as a table; killed, the same command goes on where it was.

        Args:
            source: a sound file, a folder, or a CSV of clips as of `ssl-audio store`.
            kind: one or several; a column for each coefficient. Frames of 2048 samples, every 512.
            out: the table, .parquet (needs pyarrow) or .csv.
            per: a row a clip (mean and standard deviation over its frames), or a row a frame.
            rate: files are resampled to so many samples a second, Hz.
        """
        print(extract(source, kind, out, per=per, rate=rate))

    parse(go, args, "features")


def tasks(args: list[str]) -> None:
    """The tasks and data sets there are, which are here; a set's datasheet."""
    from typing import Annotated

    import tyro

    def go(name: Annotated[str, tyro.conf.Positional] = "", /) -> None:
        """List the tasks with their data sets, folds and licences; or say what a data set is.

        Args:
            name: of a data set or task: its content, people's voices, known faults, licence, citation.
        """
        from rich.console import Console

        from ssl_audio.catalogue import datasheet, table

        print(datasheet(name)) if name else Console().print(table())

    parse(go, args, "tasks")


VERBS = {
    f.__name__: f
    for f in (
        quickstart,
        store,
        plan,
        train,
        embed,
        evaluate,
        compare,
        clusters,
        audit,
        bench,
        labels,
        card,
        report,
        features,
        gallery,
        tasks,
    )
}


def usage() -> str:
    """The verbs, a line each."""
    lines = [f"  {name:<11} {f.__doc__}" for name, f in VERBS.items()]
    return "usage: ssl-audio VERB ...  (ssl-audio VERB --help for its options)\n\n" + "\n".join(lines)
