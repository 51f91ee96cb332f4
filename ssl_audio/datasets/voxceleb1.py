"""voxceleb1: VoxCeleb1, 153,516 utterances of 1,251 celebrities, from interviews on YouTube, 16 kHz, 352 h.

Columns: `speaker` (1,251, "id10001"), `sex` (female, male), `nationality`, `verification` ("dev" or "test":
the speakers of the verification task, 40 in its test). `fold` is the publisher's identification split of
iden_split.txt: "train" (138,361), "valid" (6,904), "test" (8,251); every speaker is in all three. `group` is
the video, "id10003/na8-QEFmj44". That the split cuts no video is what its paper says; not verified on the
list. SUPERB and EVAR use this split. `trials` reads the pairs of the verification task (37,720), whose
speakers are those with `verification` "test"; these are in the identification folds too, so whoever
verifies must not have trained on them.

People's voices: famous people, whose names are in vox1_meta.csv and aren't read here. The videos were
collected from YouTube; nothing about their consent was found. Licence: KAIST's page gives the set for
research under CC BY 4.0, with the copyright of the videos left to their owners; Oxford's page puts the
metadata under CC BY-SA 4.0.
Known faults: who speaks was found by face recognition, not by hand. In vox1_meta.csv French people, such as
id10019 and id10457, have the `nationality` "Norway".
"""

import csv
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "voxceleb1"
HOMEPAGE = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html"
URLS = (
    "https://mm.kaist.ac.kr/datasets/voxceleb/",
    "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/iden_split.txt",
    "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/vox1_meta.csv",
    "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/veri_test.txt",
)
# of the parts as they are handed out, from the list of the authors' voxceleb_trainer
CHECKSUMS = {
    "vox1_dev_wav_partaa": "md5:e395d020928bc15670b570a21695ed96",
    "vox1_dev_wav_partab": "md5:bbfaaccefab65d82b21903e81a8a8020",
    "vox1_dev_wav_partac": "md5:017d579a2a96a077f40042ec33e51512",
    "vox1_dev_wav_partad": "md5:7bb1e9f70fddc7a678fa998ea8b3ba19",
    "vox1_test_wav.zip": "md5:185fdc63c3c739954633d50379a3d102",
}
LICENCE = "CC BY 4.0 (for research; copyright of the videos with their owners)"
CITATION = (
    "A. Nagrani, J. S. Chung, A. Zisserman: VoxCeleb: a large-scale speaker identification dataset. "
    "Interspeech 2017. arXiv:1706.08612"
)
FOLDS = {"1": "train", "2": "valid", "3": "test"}
SEXES = {"f": "female", "m": "male"}


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a line of iden_split.txt. root: the folder with it, vox1_meta.csv and wav/; None: found.

    The sounds may also lie in dev/wav/ and test/wav/.

    Raises:
        FileNotFoundError: if the set isn't here (says how to get it), or sound files are missing.
        ValueError: if a table isn't VoxCeleb1's.
    """
    folder = _folder(root)
    meta = folder / "vox1_meta.csv"
    with open(_there(meta), encoding="utf-8", newline="") as file:
        people = {row.get("VoxCeleb1 ID"): row for row in csv.DictReader(file, delimiter="\t")}
    homes = [folder / "wav", *sorted(folder.glob("*/wav"))]
    rows = _rows(folder / "iden_split.txt", 2)
    files = {name: next((h / name for h in homes if (h / name).is_file()), None) for _, name in rows}
    if missing := [name for name, path in files.items() if path is None]:
        raise FileNotFoundError(
            f"{folder / 'wav'}: {len(missing)} files of iden_split.txt missing, such as {missing[0]}"
        )
    try:
        return [_clip(files[name], name, fold, people[name.split("/")[0]]) for fold, name in rows]
    except (KeyError, ValueError) as error:
        raise ValueError(f"{meta} or iden_split.txt: not VoxCeleb1's ({error!r}); get it again") from error


def trials(root: Path | str | None = None, table: str = "veri_test.txt") -> list[tuple[int, str, str]]:
    """The pairs of a verification list: (1 for one speaker or 0 for two, name, name), names being Clip.name.

    Raises:
        FileNotFoundError: if the list isn't there.
        ValueError: if it isn't such a list.
    """
    file = _folder(root) / table
    rows = _rows(file, 3)
    if not {same for same, _, _ in rows} <= {"0", "1"}:
        raise ValueError(f"{file}: not a list of trials, which begin with 0 or 1; download it again")
    return [(int(same), one, other) for same, one, other in rows]


def _folder(root: Path | str | None) -> Path:
    how = (
        f"ask for it at {URLS[0]}, join the parts (cat vox1_dev_wav_part* > vox1_dev_wav.zip), unpack that "
        f"and vox1_test_wav.zip there, which makes wav/, and put {', '.join(URLS[1:])} beside it"
    )
    return fetch.find(NAME, "iden_split.txt", how) if root is None else Path(root)


def _there(table: Path) -> Path:
    if not table.is_file():
        raise FileNotFoundError(f"{table}: missing; get it from {HOMEPAGE}")
    return table


def _rows(table: Path, columns: int) -> list[list[str]]:
    rows = [line.split() for line in _there(table).read_text(encoding="utf-8").splitlines() if line.strip()]
    if not rows or {len(row) for row in rows} != {columns}:
        raise ValueError(f"{table}: its lines should have {columns} columns; download it again")
    return rows


def _clip(path: Path, name: str, fold: str, person: dict[str, str]) -> Clip:
    speaker, video, _ = name.split("/")
    return Clip(
        path=path,
        labels={
            "speaker": speaker,
            "sex": SEXES[person["Gender"]],
            "nationality": person["Nationality"],
            "verification": person["Set"],
        },
        fold=FOLDS[fold],
        group=f"{speaker}/{video}",
        licence=LICENCE,
        name=name,
    )
