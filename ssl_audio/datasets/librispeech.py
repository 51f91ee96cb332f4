"""librispeech: LibriSpeech, about 1,000 hours of English audiobooks read by volunteers, 16 kHz.

Columns: `speaker` (LibriVox reader, also the group), `sex` (female, male; empty where SPEAKERS.TXT isn't
there), `chapter`, `subset` (seven: dev-clean, dev-other, test-clean, test-other, train-clean-100,
train-clean-360, train-other-500; those that are there are read). `fold` is the publisher's, by the subset's
name: "train", "valid" (dev) or "test"; each speaker is in one subset only. X-ARES tells the sexes with
train-clean-100, dev-clean and test-clean. The transcripts (*.trans.txt) are left out.

People's voices: LibriVox readers, who put their recordings into the public domain; the names they go by
are in SPEAKERS.TXT and aren't read here. The corpus is CC BY 4.0.
Known faults: the sounds come from MP3 files. The publisher calls the choice of "clean" and "other" crude and
not fully reliable. Readers recorded themselves, each in a place of their own.
"""

import re
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "librispeech"
FOLDER = "LibriSpeech"  # the archives unpack into it
HOMEPAGE = "https://www.openslr.org/12/"
URL = "https://www.openslr.org/resources/12/"
CHECKSUMS = {
    "dev-clean.tar.gz": "md5:42e2234ba48799c1f50f24a7926300a1",
    "dev-other.tar.gz": "md5:c8d0bcc9cca99d4f8b62fcc847357931",
    "test-clean.tar.gz": "md5:32fa31d27d2e1cad72775fee3f4849a9",
    "test-other.tar.gz": "md5:fb5a50374b501bb3bac4815ee91d3135",
    "train-clean-100.tar.gz": "md5:2a93770f6d5c6c964bc36631d331a522",
    "train-clean-360.tar.gz": "md5:c0e676e450a7ff2f54aeade5171606fa",
    "train-other-500.tar.gz": "md5:d1a0fd59409feb2c614ce4d30c387708",
}
LICENCE = "CC BY 4.0"
CITATION = (
    "V. Panayotov, G. Chen, D. Povey, S. Khudanpur: Librispeech: An ASR corpus based on public domain audio "
    "books. ICASSP 2015, pp. 5206-5210. doi:10.1109/ICASSP.2015.7178964"
)
SUBSETS = tuple(archive.removesuffix(".tar.gz") for archive in CHECKSUMS)
FOLDS = {"train": "train", "dev": "valid", "test": "test"}
SEXES = {"F": "female", "M": "male"}


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip an utterance of every subset that is there. root: LibriSpeech/ or what holds it; None: found.

    Instead of the official flac files, wav or ogg copies of the same names will do.

    Raises:
        FileNotFoundError: if the set isn't here (says how to get it), or has no utterance.
        ValueError: for a file with a strange name, or if SPEAKERS.TXT isn't LibriSpeech's.
    """
    if root is None:
        root = fetch.find(FOLDER, ".", f"unpack archives of {URL} (such as dev-clean.tar.gz) beside it")
    folder = Path(root) / FOLDER if (Path(root) / FOLDER).is_dir() else Path(root)
    sexes = _sexes(folder / "SPEAKERS.TXT")
    found = [
        _clip(file, subset, sexes) for subset in SUBSETS for file in fetch.sounds(folder / subset, "*/*/*")
    ]
    if not found:
        raise FileNotFoundError(
            f"{folder}: no utterances; it should hold dev-clean/84/121123/*.flac or the like"
        )
    return found


def _sexes(table: Path) -> dict[str, str]:
    if not table.is_file():
        return {}
    lines = table.read_text(encoding="utf-8").splitlines()
    try:
        rows = [line.split("|") for line in lines if line.strip() and not line.startswith(";")]
        return {row[0].strip(): SEXES[row[1].strip()] for row in rows}
    except (KeyError, IndexError) as error:
        raise ValueError(f"{table}: not LibriSpeech's ({error!r}); download the data set again") from error


def _clip(file: Path, subset: str, sexes: dict[str, str]) -> Clip:
    match = re.fullmatch(r"(\d+)-(\d+)-\d+", file.stem)
    if match is None:
        raise ValueError(f"{file}: not named {{speaker}}-{{chapter}}-{{number}}; move it out of the data set")
    speaker, chapter = match.groups()
    return Clip(
        path=file,
        labels={
            "speaker": speaker,
            "sex": sexes.get(speaker, ""),
            "chapter": chapter,
            "subset": subset,
        },
        fold=FOLDS[subset.split("-")[0]],
        group=speaker,
        licence=LICENCE,
        name=f"{subset}/{file.name}",
    )
