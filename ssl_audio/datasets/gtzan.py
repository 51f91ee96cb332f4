"""gtzan: the GTZAN genre collection, 1,000 music excerpts of 30 s in 10 genres of 100, 22.05 kHz mono.

Columns: `genre` (10), `random_fold` ("1".."10", ten clips of each genre in each). The publisher ships no
folds. `fold` is the fault-filtered split of Kereliuk, Sturm and Larsen (arXiv:1507.04761) as EVAR uses it:
"train" (443), "valid" (197), "test" (290), made so that no artist is in two of them; the 70 clips that it
leaves out have the fold "". Its three lists are MIT-licensed text files and not part of this package: see
SPLIT. `random_fold` goes by a hash of the file name and knows nothing of artists or replicas, so it measures
too well; HEAR's ten folds are random too, but go by numbers that TensorFlow Datasets gives and aren't redone
here. `group` is empty (the file): GTZAN doesn't say what an excerpt was cut from.

People's voices: singers and rappers of commercial recordings, many well known; nothing is said of consent,
and no licence is stated.
Known faults (Sturm, arXiv:1306.1461, has the catalogue): replicas, several excerpts of one recording or
artist, mislabelled and distorted clips. In some copies jazz.00054.wav, of the split's train, cannot be
decoded. The original address no longer answers (mirdata issue 659).
"""

import functools
import hashlib
import re
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "gtzan"
HOMEPAGE = "http://marsyas.info/downloads/datasets.html"
URL = "http://opihi.cs.uvic.ca/sound/genres.tar.gz"
# Not the publisher's own statement: torchaudio and TensorFlow Datasets record that of the archive; the others
# are of the lists at the commit in SPLIT.
CHECKSUMS = {
    "genres.tar.gz": "sha256:24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6",
    "train_filtered.txt": "sha256:2b04966cef1486f1a7767b74271533fa23e220388db804a1937835e1fc4fa3fa",
    "valid_filtered.txt": "sha256:f8fbee7c52397a0e0f3a91dc54fedecb2e27f5bdc9a9daeab8cb10d077e26956",
    "test_filtered.txt": "sha256:09cafa6a89ce0a27f30ed250d56ecb4d03c22fffb5a693f96c7ae655ee02ac72",
}
SPLIT = "https://github.com/jongpillee/music_dataset_split/tree/07e855758f180ac8bdc0e3abebbde19277094681/GTZAN_split"
LICENCE = "none stated"
CITATION = (
    "G. Tzanetakis, P. Cook: Musical genre classification of audio signals. IEEE Transactions on Speech and "
    "Audio Processing 10(5), 2002, pp. 293-302. doi:10.1109/TSA.2002.800560"
)
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


def clips(root: Path | str | None = None, split: bool = True) -> list[Clip]:
    """One clip an excerpt. root: the folder with genres/ and GTZAN_split/; None: found.

    split: False leaves every fold empty and needs no lists. Files may be wav, au, flac or ogg.

    Raises:
        FileNotFoundError: if the set isn't here (says how to get it), or excerpts or lists are missing.
        ValueError: for a file with a strange name, or a list that isn't one of excerpts.
    """
    if root is None:
        how = (
            f"get {URL} and unpack it there, and the three lists of {SPLIT} in a folder GTZAN_split beside it"
        )
        root = fetch.find(NAME, "genres", how)
    folder = Path(root)
    files = fetch.copies(folder / "genres", "*/*", (".ogg", ".flac", ".au", ".wav"))
    if not files:
        raise FileNotFoundError(f"{folder / 'genres'}: no excerpts; it should hold blues/blues.00000.wav")
    fold = _split(folder / "GTZAN_split") if split else {}
    if missing := sorted(fold.keys() - files.keys()):
        raise FileNotFoundError(
            f"{folder / 'genres'}: {len(missing)} excerpts of the split missing, such as {missing[0]}"
        )
    return [_clip(file, fold.get(name, "")) for name, file in sorted(files.items())]


def _split(folder: Path) -> dict[str, str]:
    fold = {}
    for name in ("train", "valid", "test"):
        table = folder / f"{name}_filtered.txt"
        if not table.is_file():
            raise FileNotFoundError(f"{table}: missing; get it from {SPLIT}, or ask for split=False")
        for line in table.read_text(encoding="utf-8").split():
            if not re.fullmatch(r"(\w+)/\1\.\d{5}\.wav", line):
                raise ValueError(f"{table}: {line!r} isn't like blues/blues.00000.wav; get it from {SPLIT}")
            fold[line.removesuffix(".wav")] = name
    return fold


def _clip(file: Path, fold: str) -> Clip:
    genre, _, number = file.stem.partition(".")
    if genre not in GENRES or genre != file.parent.name or not re.fullmatch(r"000\d\d", number):
        raise ValueError(f"{file}: not named {{genre}}.000{{nn}}; move it out of the data set")
    return Clip(
        path=file,
        labels={"genre": genre, "random_fold": _random_fold(genre)[file.stem]},
        fold=fold,
        licence=LICENCE,
        name=f"{genre}/{file.name}",
    )


@functools.cache
def _random_fold(genre: str) -> dict[str, str]:
    """Fold by excerpt of a genre. All 100 names take part, so no fold depends on what files are there."""
    names = (f"{genre}.{n:05d}" for n in range(100))
    order = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    return {name: str(n % 10 + 1) for n, name in enumerate(order)}
