"""fsdd: the Free Spoken Digit Dataset, 3,000 English digits by 6 people, 8 kHz, 22 minutes.

Columns: `digit` (0-9), `speaker` (6, also the group), `take` (0-49). `fold` is the publisher's split: takes
0-4 "test", the others "train". Every speaker is on both sides of that split, so it measures digits of known
voices; leaving one speaker out (`speaker` as the fold) measures digits of an unknown voice.

People's voices: six volunteers, known by their first or user names; by the corpus's metadata all male, with
accents of the USA (2), Germany (2), Belgium (French) and Greece.
Known faults: each speaker has a room, microphone and level of their own (the median peak of `theo` is 967, of
`lucas` 15,519, of 32,767), so a speaker is easily told by the recording; clips last 0.14 to 2.28 s; 5 clips
touch full scale.
"""

import re
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "fsdd"
HOMEPAGE = "https://github.com/Jakobovski/free-spoken-digit-dataset"
URL = f"{HOMEPAGE}/archive/v1.0.10.zip"
# Not the publisher's own statement: GitHub makes the archive from tag v1.0.10 (commit d6938f9b). `git
# archive` of that tag (TZ=America/Los_Angeles) gives these bytes, and so did a download that somebody else
# recorded.
SHA256 = "c680098f5d2355ba7cc4bd8b0ca9e0a24c00ebe3b4c552208889a4d28d4fbc2b"
LICENCE = "CC BY-SA 4.0"
CITATION = (
    "Z. Jackson, C. Souza, J. Flaks, Y. Pan, H. Nicolas, A. Thite: "
    "Jakobovski/free-spoken-digit-dataset v1.0.8. Zenodo, 2018. doi:10.5281/zenodo.1342401"
)


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a recording. root: the folder that holds recordings/; None: found or downloaded (16 MB).

    Raises:
        FileNotFoundError: if there is no recording to be had.
        ValueError: for a file that isn't named {digit}_{speaker}_{take}.
    """
    folder = (
        fetch.locate(NAME, "recordings", url=URL, sha256=SHA256, licence=LICENCE)
        if root is None
        else Path(root)
    )
    files = fetch.sounds(folder / "recordings")
    if not files:
        raise FileNotFoundError(
            f"{folder / 'recordings'}: no recordings; it should hold {{digit}}_{{speaker}}_{{take}}.wav"
        )
    return [_clip(file) for file in files]


def _clip(file: Path) -> Clip:
    match = re.fullmatch(r"(\d)_([^_]+)_(\d+)", file.stem)
    if match is None:
        raise ValueError(f"{file}: not named {{digit}}_{{speaker}}_{{take}}; move it out of the data set")
    digit, speaker, take = match.groups()
    return Clip(
        path=file,
        labels={"digit": digit, "speaker": speaker, "take": take},
        fold="test" if int(take) < 5 else "train",
        group=speaker,
        licence=LICENCE,
        name=file.name,
    )
