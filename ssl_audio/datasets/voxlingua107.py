"""voxlingua107: VoxLingua107, 6,628 hours of speech in 107 languages, from YouTube, 16 kHz, short segments.

Columns: `language` (the publisher's code, of 107), `top10` ("True" for the languages of HEAR's
VoxLingua107-Top10, else "False"), `hear_fold` ("fold00".."fold04", of those ten; both are empty unless all of
dev/ is there). `fold` is the publisher's: "train" (labels by the video's title and description) or "valid"
(dev: 1,609 segments of 33 languages, each confirmed by two people or more). `group` is the video. Any
languages may be there, with or without dev/.

HEAR takes the ten languages with most segments in dev, 972 in all, and shuffles them into five folds
with no regard to the video; which ten is counted here from the files, as HEAR does, and not listed, for no
published list was found. X-ARES' "VoxLingua33" trains on a part of the same 33 languages and uses dev both to
choose and to test.

People's voices: whoever speaks in the videos, nameless, known by the video's id; nothing is said of consent.
Licence: CC BY 4.0 by other projects, CC BY-NC 4.0 by the makers' page at Hugging Face; the publisher's own
page is not verified.
Known faults: about 2 % of the training segments are in another language or no speech. Hebrew and Javanese
have obsolete or wrong codes (iw, jw instead of he, jv).
"""

from collections import Counter
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch, hear

NAME = "voxlingua107"
HOMEPAGE = "https://cs.taltech.ee/staff/tanel.alumae/data/voxlingua107/"
URLS = (f"{HOMEPAGE}zip_urls.txt", f"{HOMEPAGE}dev.zip")
# Not the publisher's own statement: HEAR's preprocessing records it.
CHECKSUMS = {"dev.zip": "md5:07fbd4732c97f28c10ec8dcfed4f600e"}
LICENCE = "CC BY 4.0 or CC BY-NC 4.0 (sources disagree; copyright of the videos with their owners)"
CITATION = (
    "J. Valk, T. Alumäe: VoxLingua107: a Dataset for Spoken Language Recognition. IEEE Spoken Language "
    "Technology Workshop (SLT), 2021. arXiv:2011.12998"
)
LANGUAGES = tuple(
    (
        "ab af am ar as az ba be bg bn bo br bs ca ceb cs cy da de el en eo es et eu fa fi fo fr gl gn gu "
        "gv ha haw hi hr ht hu hy ia id is it iw ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr "
        "ms mt my ne nl nn no oc pa pl ps pt ro ru sa sco sd si sk sl sn so sq sr su sv sw ta te tg th tk "
        "tl tr tt uk ur uz vi war yi yo zh"
    ).split()
)
DEV = 1609  # segments


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a segment. root: the folder with ab/ to zh/ (or train/ab/) and dev/ab/; None: found.

    Raises:
        FileNotFoundError: if the set isn't here (says how to get it), or has no segment.
        ValueError: for a folder of dev that is no language.
    """
    if root is None:
        how = f"unpack {URLS[1]} to dev/ there, and archives of languages ({URLS[0]}) beside it"
        root = fetch.find(NAME, ".", how)
    folder = Path(root)
    train = [
        file
        for language in LANGUAGES
        for home in (folder, folder / "train")
        for file in sorted((home / language).glob("*.wav"))
    ]
    dev = fetch.under(folder / "dev", [".wav"])
    for file in dev:
        if file.parent.name not in LANGUAGES:
            raise ValueError(
                f"{file}: {file.parent.name!r} is no language of VoxLingua107; unpack dev.zip again"
            )
    if not train and not dev:
        raise FileNotFoundError(f"{folder}: no segments; it should hold dev/en/*.wav or en/*.wav or the like")
    most = Counter(file.parent.name for file in dev).most_common(10) if len(dev) == DEV else []
    top10 = {language for language, _ in most}
    ten = {file.stem: file.parent.name for file in dev if file.parent.name in top10}
    folds = hear.folds(ten, 5) if ten else {}
    return [_clip(file, "train", top10) for file in train] + [
        _clip(file, "valid", top10, folds.get(file.stem, "")) for file in dev
    ]


def _clip(file: Path, fold: str, top10: set[str], hear_fold: str = "") -> Clip:
    language = file.parent.name
    return Clip(
        path=file,
        labels={
            "language": language,
            "top10": str(language in top10) if top10 else "",
            "hear_fold": hear_fold,
        },
        fold=fold,
        group=file.stem.partition("__U__")[0],  # 1WCI1U2iEGQ__U__S122---1453.730-1472.010.wav
        licence=LICENCE,
        name=f"{language}/{file.name}",
    )
