"""surge: notes of the Surge synthesiser, 2,084 presets at up to 88 pitches, velocity 64, ogg, 7.6 GB.

Columns: `pitch` (MIDI key, "21".."108", from the file name), `preset` (the folder's name), `bank`
("factory" or "3rdparty", from the preset's name). EVAR's task is the pitch, for presets that it hasn't
heard. `fold` is EVAR's split of the presets ("train" 1,692, "valid" 195, "test" 197), if EVAR's file
evar/predefined/dataset_surge_tone_splits.csv lies in the folder; else empty, as the publisher has none.
That split was drawn at random without a seed and stored, so it cannot be computed here. `group` is the
preset.

People's voices: none; a synthesiser.
Known faults: presets of drums, effects and sequences are there too, whose pitch can hardly be heard. The
archive holds files of macOS, ._*, which are passed over. Number of clips, length (EVAR takes 4 s) and rate:
not verified.
"""

import csv
import re
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "surge"
HOMEPAGE = "https://zenodo.org/record/4677097"
URL = f"{HOMEPAGE}/files/surge-velocity64-2K.tar"
CHECKSUMS: dict[str, str] = {}  # none was found
LICENCE = "CC BY 4.0"  # by a project that uses the record; not read on the record itself
CITATION = (
    "J. Turian, J. Shier, G. Tzanetakis, K. McNally, M. Henry: One Billion Audio Sounds from GPU-enabled "
    "Modular Synthesis. 2021. arXiv:2104.12922"
)
SPLITS = "dataset_surge_tone_splits.csv"


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a note. root: the folder that holds one folder a preset; None: found.

    Instead of the official ogg files, flac or wav copies of the same names will do.

    Raises:
        FileNotFoundError: if there is no note to be had.
        ValueError: for a sound file that isn't named note{pitch}, or a preset that EVAR's file lacks.
    """
    if root is None:
        how = f"unpack {URL} (7.6 GB), which has a folder {NAME} with one folder a preset"
        root = fetch.find(NAME, "surge-patches-factory-Leads-Classic-Lead-2-velocity64", how)
    folder = Path(root)
    files = sorted(f for f in fetch.sounds(folder, "*/*") if not f.name.startswith("._"))
    if not files:
        raise FileNotFoundError(f"{folder}: no notes; it should hold {{preset}}/note{{pitch}}.ogg")
    splits = _splits(folder / SPLITS) if (folder / SPLITS).is_file() else {}
    return [_clip(file, folder, splits) for file in files]


def _splits(table: Path) -> dict[str, str]:
    with open(table, encoding="utf-8", newline="") as file:
        try:
            return {row["tone"]: row["split"] for row in csv.DictReader(file)}
        except KeyError as error:
            raise ValueError(
                f"{table}: not EVAR's table of presets ({error!r}); take it from EVAR again"
            ) from error


def _clip(file: Path, folder: Path, splits: dict[str, str]) -> Clip:
    preset = file.parent.name
    match = re.fullmatch(r"(?:note)?(\d{1,3})", file.stem)
    if match is None:
        raise ValueError(f"{file}: not named note{{pitch}}; move it out of the data set")
    if splits and preset not in splits:
        raise ValueError(f"{folder / SPLITS}: has no preset {preset}; take it from EVAR again")
    bank = re.match(r"surge-patches-(factory|3rdparty)-", preset)
    return Clip(
        path=file,
        labels={
            "pitch": str(int(match.group(1))),
            "preset": preset,
            "bank": bank.group(1) if bank else "",
        },
        fold=splits.get(preset, ""),
        group=preset,
        licence=LICENCE,
        name=f"{preset}/{file.name}",
    )
