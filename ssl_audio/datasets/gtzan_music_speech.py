"""gtzan_music_speech: GTZAN's music/speech collection, tracks of 30 s, half of each, 22.05 kHz mono.

Columns: `kind` ("music" or "speech"). The publisher ships no folds: `fold` is ours, "1".."10", by a hash of
the file names, as many of each kind in each as can be. HEAR's ten folds are random too, but go by numbers
that TensorFlow Datasets gives and aren't redone here. `group` is empty (the file): what a track was cut from
isn't said.

People's voices: speakers and singers of broadcasts and recordings; nothing is said of consent, and no licence
is stated.
Known faults: TensorFlow Datasets and the publisher's page speak of 120 tracks, users of the archive of 128;
not verified here. The original address no longer answers, as that of the genres.
"""

import hashlib
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "gtzan_music_speech"
HOMEPAGE = "http://marsyas.info/downloads/datasets.html"
URL = "http://opihi.cs.uvic.ca/sound/music_speech.tar.gz"
# Not the publisher's own statement: kapre records it.
CHECKSUMS = {"music_speech.tar.gz": "md5:b063639094c169062940becacd3108a0"}
LICENCE = "none stated"
CITATION = "G. Tzanetakis: GTZAN Music/Speech Collection. 1999. http://marsyas.info/"
KINDS = ("music", "speech")


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a track. root: the folder with music_speech/; None: found. Files may be wav, flac or ogg.

    Raises:
        FileNotFoundError: if the set isn't here (says how to get it), or a kind has no tracks.
    """
    if root is None:
        root = fetch.find(NAME, "music_speech", f"get {URL} and unpack it there")
    found = []
    for kind in KINDS:
        folder = Path(root) / "music_speech" / f"{kind}_wav"
        files = fetch.sounds(folder)
        if not files:
            raise FileNotFoundError(f"{folder}: no tracks; unpack {URL} as it is")
        order = sorted(files, key=lambda file: hashlib.sha256(file.stem.encode()).digest())
        fold = {file: str(n % 10 + 1) for n, file in enumerate(order)}
        found += [
            Clip(path=f, labels={"kind": kind}, fold=fold[f], licence=LICENCE, name=f"{kind}/{f.name}")
            for f in files
        ]
    return found
