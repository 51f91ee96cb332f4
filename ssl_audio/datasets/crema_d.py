"""crema_d: CREMA-D, 7,442 acted English sentences by 91 actors (48 male, 43 female), 16 kHz.

Columns: `emotion` (anger, disgust, fear, happy, neutral, sad; 1,271 each, neutral 1,087), `intensity` (low,
medium, high, unspecified), `sentence` (12, "DFA"), `speaker` (91, also the group), `evar` ("train", "valid",
"test": the split of EVAR and TensorFlow Datasets, 63, 9 and 19 speakers; empty for four clips that their list
lacks). The publisher ships no folds, so `fold` is empty; `evar` cuts no speaker. HEAR shuffles the clips into
five folds and X-ARES into 70, 15 and 15 %, both without a look at the speakers, so both measure too well.

People's voices: actors of 20 to 74 years, known by numbers; the repository says nothing of their consent.
Their age, sex, race and ethnicity are in VideoDemographics.csv, not read here.
Known faults: `emotion` is what the actor was asked for; by processedResults/summaryTable.csv, most of those
who only heard the clip chose another one, or were even, for 4,343 of the 7,442. Only the sentence IEO has
intensities (455 clips each of low, medium and high). 1076_MTI_SAD_XX is silent. A download of the
repository as a zip, or a clone without git-lfs, has small pointers in place of the sounds.
"""

import re
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "crema_d"
HOMEPAGE = "https://github.com/CheyneyComputerScience/CREMA-D"
URLS = (f"{HOMEPAGE}.git", "https://gitlab.com/cs-cooper-lab/crema-d-mirror.git")
LICENCE = "ODbL 1.0 (contents DbCL 1.0)"
CITATION = (
    "H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova, R. Verma: CREMA-D: Crowd-sourced Emotional "
    "Multimodal Actors Dataset. IEEE Transactions on Affective Computing 5(4), 2014, pp. 377-390. "
    "doi:10.1109/TAFFC.2014.2336244"
)
EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}
EVAR_VALID = {"1009", "1011", "1022", "1034", "1039", "1047", "1066", "1070", "1082"}
EVAR_TEST = {
    *("1001", "1004", "1017", "1019", "1020", "1025", "1026", "1029", "1033", "1035"),
    *("1042", "1044", "1050", "1053", "1056", "1058", "1060", "1069", "1083"),
}
EVAR_WITHOUT = {"1006_TIE_NEU_XX", "1013_WSI_DIS_XX", "1017_IWW_FEA_XX", "1040_ITH_SAD_X"}


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a sound file. root: the folder with AudioWAV/; None: found.

    Instead of the official wav files, flac or ogg copies of the same names will do.

    Raises:
        FileNotFoundError: if the set isn't here (says how to get it), or only git-lfs pointers are.
        ValueError: for a file that isn't named {speaker}_{sentence}_{emotion}_{intensity}.
    """
    if root is None:
        how = f"install git-lfs and clone {URLS[0]} (or {URLS[1]}, 8 GB) to that place"
        root = fetch.find(NAME, "AudioWAV", how)
    folder = Path(root) / "AudioWAV"
    files = fetch.sounds(folder)
    if not files:
        raise FileNotFoundError(f"{folder}: no sounds; it should hold 1001_DFA_ANG_XX.wav and so on")
    for file in files:
        with open(file, "rb") as opened:
            if opened.read(23) == b"version https://git-lfs":
                raise FileNotFoundError(f"{file}: a git-lfs pointer, not a sound; run git lfs pull in {root}")
    return [_clip(file) for file in files]


def _clip(file: Path) -> Clip:
    match = re.fullmatch(r"(1\d{3})_([A-Z]{3})_([A-Z]{3})_(LO|MD|HI|XX?)", file.stem)  # one has a single X
    if match is None or match[3] not in EMOTIONS:
        raise ValueError(
            f"{file}: not named {{speaker}}_{{sentence}}_{{emotion}}_{{intensity}}; move it elsewhere"
        )
    speaker, sentence, emotion, intensity = match.groups()
    evar = "valid" if speaker in EVAR_VALID else "test" if speaker in EVAR_TEST else "train"
    return Clip(
        path=file,
        labels={
            "emotion": EMOTIONS[emotion],
            "intensity": INTENSITIES[intensity],
            "sentence": sentence,
            "speaker": speaker,
            "evar": "" if file.stem in EVAR_WITHOUT else evar,
        },
        group=speaker,
        licence=LICENCE,
        name=f"{EMOTIONS[emotion]}/{file.name}",
    )
