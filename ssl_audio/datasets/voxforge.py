"""voxforge: VoxForge as it is used to tell languages: sentences read by volunteers in six languages, 16 kHz.

Columns: `language` (de, en, es, fr, it, ru), `speaker` (user name), `submission` (the archive, such as
"1028-20100710-hne"). The publisher ships no folds: `fold` is ours, "0" to "4" by a hash of the user,
whichever others are there. `group` is the user, the name of the archive up to its first hyphen.

TensorFlow Datasets lists the archives sent before 2020 (LIST) and shuffles their users into 70, 10 and 20 %.
EVAR uses the same list (13,837 archives by its notes) and a shuffle of 70, 15 and 15 % in a table of its own.
Neither is redone here: the first needs the whole list, the second the table.

People's voices: volunteers, known by the user names they chose, who put their recordings under the GPL;
age group, sex and dialect, where told, are in etc/README of a submission, not read here.
Known faults: "anonymous" is many people, kept together as one group, as TensorFlow Datasets does. Recorded
with any microphone in any place, on purpose. Lengths and the counts by language are not verified.
"""

import hashlib
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "voxforge"
HOMEPAGE = "http://www.voxforge.org/"
URL = "http://www.repository.voxforge1.org/downloads/"
LIST = "https://storage.googleapis.com/tfds-data/downloads/voxforge/voxforge_urls.txt"
LICENCE = "GPL"
CITATION = "K. MacLean: VoxForge. 2018. http://www.voxforge.org/"
LANGUAGES = ("de", "en", "es", "fr", "it", "ru")


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a sound. root: a folder with one a language, archives unpacked in it; None: found.

    So both {language}/{submission}/wav/*.wav and {language}/Trunk/Audio/Main/16kHz_16bit/{submission}/... are
    read. The languages that are there are read. Submissions that are only flac are left out, as in
    TensorFlow Datasets.

    Raises:
        FileNotFoundError: if the set isn't here (says how to get it), or has no sound.
        ValueError: for a sound that isn't in the folder of a submission.
    """
    if root is None:
        how = (
            f"get the archives of {LIST} (wget -x -i, 100 GB), move the folders of downloads/ there, "
            "and unpack each archive beside itself"
        )
        root = fetch.find(NAME, ".", how)
    found = [
        _clip(file, language)
        for language in LANGUAGES
        for file in fetch.under(Path(root) / language, [".wav"])
    ]
    if not found:
        raise FileNotFoundError(
            f"{root}: no sounds; it should hold {{language}}/{{submission}}/wav/*.wav, {', '.join(LANGUAGES)}"
        )
    return found


def _clip(file: Path, language: str) -> Clip:
    submission = (file.parent.parent if file.parent.name == "wav" else file.parent).name
    if submission in (language, "16kHz_16bit"):
        raise ValueError(f"{file}: not in {{submission}}/wav/; unpack the archives as they are")
    speaker = submission.partition("-")[0]
    return Clip(
        path=file,
        labels={"language": language, "speaker": speaker, "submission": submission},
        fold=str(int(hashlib.sha256(speaker.encode()).hexdigest(), 16) % 5),
        group=speaker,
        licence=LICENCE,
        name=f"{language}/{submission}/{file.name}",
    )
