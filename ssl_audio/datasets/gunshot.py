"""gunshot: HEAR's gunshot triangulation, 22 shots of 7 firearms at 4 places, 88 clips of 1.5 s, 48 kHz.

Columns: `microphone` (mic1-mic4, HEAR's label: at which of four places in an open field an iPod Touch
recorded the shot), `shot` (0-21), `firearm` (1-7; four shots of the first, three of each other), all from
HEAR's file name. `fold` is HEAR's, "fold00".."fold06", one firearm each, if the clips lie in folders of
these names; else empty. `group` is the firearm, "fid1", so that no fold cuts a shot.

The publisher has four recordings (mic1raw, mic2raw16b, mic3raw, mic4raw), which HEAR aligned by fixed
offsets and cut 1/8 s before each time that the first one reaches 0.8 of full scale. That cut needs the
sound to be decoded, so this reader lists HEAR's cut.

People's voices: whatever is in the background; not verified.
Known faults: few clips, each is 1.1 %. Each device has a place of its own, so device and place can't be
told apart.
"""

import re
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "gunshot"
HOMEPAGE = "https://zenodo.org/record/3997406"
URL = "https://zenodo.org/record/5885750"  # HEAR's data sets at 48 kHz
TASK = "gunshot_triangulation-v1.0-full"
CHECKSUMS = {  # of the publisher's recordings, as HEAR's hear-preprocess has them
    "mic1raw.wav": "md5:e2f4acad742278c973e9c190fee03b5f",
    "mic2raw16b.wav": "md5:184d888f457f331f592eeb4ee5fa12e2",
    "mic3raw.wav": "md5:db2ffa4fdf8b42b98c208670f4578b4b",
    "mic4raw.wav": "md5:571da84eecf397bf0356a24400769ced",
}
LICENCE = "CC0 1.0"  # by projects that use the Dryad record; not read on the record itself
CITATION = (
    "S. Cooper, S. Shaw: Gunshots recorded in an open field using iPod Touch devices. Dryad, 2020. "
    "doi:10.5061/dryad.wm37pvmkc"
)


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a shot and microphone. root: a folder with HEAR's clips at any depth; None: found.

    Instead of HEAR's wav files, flac or ogg copies of the same names will do.

    Raises:
        FileNotFoundError: if there is no clip to be had.
        ValueError: for a sound file that isn't named mic{1-4}_shot{n}_fid{1-7}.
    """
    if root is None:
        how = f"unpack the archive of the task {TASK} from {URL} and name the folder of its clips 48000"
        root = fetch.find(NAME, "48000", how)
    folder = Path(root)
    files = fetch.under(folder)
    if not files:
        raise FileNotFoundError(f"{folder}: no clips; it should hold fold00/mic1_shot0_fid1.wav and so on")
    return [_clip(file) for file in files]


def _clip(file: Path) -> Clip:
    match = re.fullmatch(r"(mic[1-4])_shot(\d+)_fid([1-7])", file.stem)
    if match is None:
        raise ValueError(
            f"{file}: not named mic{{n}}_shot{{n}}_fid{{n}}; whole recordings aren't read, take HEAR's cut"
        )
    microphone, shot, firearm = match.groups()
    fold = file.parent.name
    return Clip(
        path=file,
        labels={"microphone": microphone, "shot": shot, "firearm": firearm},
        fold=fold if re.fullmatch(r"fold\d\d", fold) else "",
        group=f"fid{firearm}",
        licence=LICENCE,
        name=file.name,
    )
