"""ravdess: RAVDESS, two English statements spoken (1,440 files) and sung (1,012) by 24 actors, 48 kHz.

Columns: `emotion` (neutral, calm, happy, sad, angry, fearful; disgust and surprised are spoken only),
`intensity` (normal, strong; neutral is only normal), `channel` (speech, song), `statement` (kids, dogs),
`repetition` (1, 2), `speaker` ("01".."24", also the group), `sex` (female, male: even and odd actors). The
publisher ships no folds, so `fold` is empty. X-ARES has four folds, in tar files of its own; how they were
made is not verified. The audio of both archives is read, and either alone will do.

People's voices: 24 professional actors, 12 women and 12 men, known by numbers; their faces are in the
videos, which aren't read. A commercial licence is sold apart.
Known faults: emotions are acted; everyone has the same two statements, so a split by chance knows both
speaker and text. Neutral has half as many files as another emotion (96 of the speech, 92 of the song);
one of the actors does not sing.
"""

import itertools
import re
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "ravdess"
HOMEPAGE = "https://zenodo.org/records/1188976"
URLS = (
    f"{HOMEPAGE}/files/Audio_Speech_Actors_01-24.zip",
    f"{HOMEPAGE}/files/Audio_Song_Actors_01-24.zip",
)
CHECKSUMS = {
    "Audio_Speech_Actors_01-24.zip": "md5:bc696df654c87fed845eb13823edef8a",
    "Audio_Song_Actors_01-24.zip": "md5:5411230427d67a21e18aa4d466e6d1b9",
}
LICENCE = "CC BY-NC-SA 4.0"
CITATION = (
    "S. R. Livingstone, F. A. Russo: The Ryerson Audio-Visual Database of Emotional Speech and Song "
    "(RAVDESS): A dynamic, multimodal set of facial and vocal expressions in North American English. PLoS "
    "ONE 13(5), 2018, e0196391. doi:10.1371/journal.pone.0196391"
)
CHANNELS = ("speech", "song")
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
INTENSITIES = ("normal", "strong")
STATEMENTS = ("kids", "dogs")  # "Kids are talking by the door", "Dogs are sitting by the door"


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a sound file, in order of the names. root: the folder with Actor_01/ and so on; None: found.

    The two archives may be unpacked into one folder or into one each. Instead of the official wav files,
    flac or ogg copies of the same names will do.

    Raises:
        FileNotFoundError: if the set isn't here (says how to get it), or has no sound.
        ValueError: for a file with a strange name, or one that is there twice.
    """
    if root is None:
        root = fetch.find(NAME, ".", f"get {' and '.join(URLS)} and unpack both there")
    there = (f for f in fetch.under(Path(root)) if f.parent.name.startswith("Actor_"))
    files = sorted(there, key=lambda f: f.name)
    if not files:
        raise FileNotFoundError(
            f"{root}: no sounds; it should hold Actor_01/03-01-01-01-01-01-01.wav and so on"
        )
    for one, other in itertools.pairwise(files):
        if one.stem == other.stem:
            raise ValueError(f"{one}: also there as {other}; remove one of the two")
    return [_clip(file) for file in files]


def _clip(file: Path) -> Clip:
    match = re.fullmatch(r"03-0([12])-0([1-8])-0([12])-0([12])-0([12])-([01]\d|2[0-4])", file.stem)
    if match is None:
        raise ValueError(
            f"{file}: not named like 03-01-06-01-02-01-12, a sound without video; move it out of the data set"
        )
    channel, emotion, intensity, statement, repetition = (int(part) for part in match.groups()[:5])
    speaker = match[6]
    return Clip(
        path=file,
        labels={
            "emotion": EMOTIONS[emotion - 1],
            "intensity": INTENSITIES[intensity - 1],
            "channel": CHANNELS[channel - 1],
            "statement": STATEMENTS[statement - 1],
            "repetition": str(repetition),
            "speaker": speaker,
            "sex": "male" if int(speaker) % 2 else "female",
        },
        group=speaker,
        licence=LICENCE,
        name=f"{EMOTIONS[emotion - 1]}/{file.name}",
    )
