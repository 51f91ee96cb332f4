"""Weights & Biases: config, curves and sounds of a run; kept in its folder unless the user is logged in."""

import contextlib
import netrc
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import wandb

from ssl_audio.audio.store import Store
from ssl_audio.config import Experiment, to_json


def mode() -> str:
    """`WANDB_MODE` if it is set; else "online" for a user with a key (environment or netrc), else "offline".

    Asked here, since wandb itself would ask at the terminal, or fail where there is none.
    """
    if os.environ.get("WANDB_MODE"):
        return os.environ["WANDB_MODE"]
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return "online"
    # wandb.ai is its first address, under which keys were kept and are still honoured
    hosts = {urlsplit(wandb.setup().settings.base_url).netloc, "api.wandb.ai"}
    places = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for place in places:
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            if hosts & set(netrc.netrc(str(Path(place).expanduser())).hosts):
                return "online"
    return "offline"


@contextlib.contextmanager
def wandb_log(
    run: Path | str, experiment: Experiment, project: str = "ssl_audio"
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Track a run while the context is open; gives the function that takes the lines of metrics.jsonl.

    wandb's files lie in run/wandb, and the run's id in run/wandb_id.txt, so that resuming goes on with the
    same run. The first time, four sounds of the store are logged too. Without a network everything is kept
    offline, for `wandb sync`.
    """
    # else wandb looks for its server even when offline, to report its own crashes; a user's own choice stands
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    run = Path(run)
    run.mkdir(parents=True, exist_ok=True)
    note = run / "wandb_id.txt"
    new = not note.is_file()
    if new:
        note.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
    with started(run, note.read_text(encoding="utf-8").strip(), experiment, project) as tracked:
        if new and experiment.data.store:
            log_audio(tracked, Store(experiment.data.store))
        # a resumed run writes the lines since its checkpoint again, bit for bit; wandb keeps the first ones
        yield lambda line: tracked.log({k: v for k, v in line.items() if k != "step"}, step=line["step"])


def started(run: Path, name: str, experiment: Experiment, project: str):
    """wandb's run; offline if the server can't be reached, since training waits for nobody's network."""
    options = {
        "project": project,
        "name": experiment.name,
        "id": name,
        "dir": run.absolute(),
        "config": to_json(experiment),
        "settings": wandb.Settings(console="off", init_timeout=20, login_timeout=20, silent=True),
    }
    if mode() == "online":
        try:
            return wandb.init(mode="online", resume="allow", **options)
        except wandb.errors.Error as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            print(f"wandb: not reached ({reason}); tracking offline in {run / 'wandb'}, later: wandb sync")
            wandb.teardown()  # else its service holds on to the run's id
        return wandb.init(mode="offline", **options)
    return wandb.init(mode=mode(), **options)


def log_audio(tracked: Any, store: Store, clips: int = 4, seed: int = 0, seconds: float = 10.0) -> None:
    """Log clips of a store, drawn by seed, to a wandb run: the first `seconds` of each, with its name."""
    chosen = np.random.default_rng(seed).permutation(len(store))[:clips]
    length = round(seconds * store.rate)
    sounds = [wandb.Audio(store[i, 0, length], sample_rate=store.rate, caption=store.name(i)) for i in chosen]
    tracked.log({"sounds": sounds}, step=0)
