"""vocal_imitations: people imitating sounds with the voice, 5,601 clips of 302 sounds, 0.09 to 21.7 s.

The recordings that the publisher rated an imitation of the sound asked for (`included` in the table);
drafts, rehearsals, failures and the imitated sounds themselves are left out.

Columns: `reference` (302, file name of the imitated sound, HEAR's label), `category` (the topmost class of
the AudioSet ontology), `hear_fold` ("fold00".."fold02", HEAR's three folds by `hear.folds`;
empty unless all 5,601 clips are there). `fold` is empty: the publisher has none. `group` is the
participant.

People's voices: workers of Amazon Mechanical Turk, known by number; the corpus's survey of them (age,
gender, hearing and speech problems, musical practice), participant_survey.csv, is not read here.
Known faults: HEAR's folds cut participants, as participants imitated unequally many sounds. In the table on
GitHub the participants' numbers are rounded to six digits, so two people may be one group. Each imitation
was rated by one person.
"""

import csv
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch, hear

NAME = "vocal_imitations"
HOMEPAGE = "https://github.com/interactiveaudiolab/VocalImitationSet"
URL = "https://zenodo.org/record/1340763/files/VocalImitationSet_v1.1.3.zip"
SHA256 = None
CHECKSUMS = {  # as hear-preprocess has it
    "VocalImitationSet_v1.1.3.zip": "md5:386e7b1487fe0800ade4916c344086bc"
}
LICENCE = "CC BY 4.0"  # by projects that use the record; not read on the record itself
CITATION = (
    "B. Kim, M. Ghei, B. Pardo, Z. Duan: Vocal Imitation Set: a dataset of vocally imitated sound events "
    "using the AudioSet ontology. DCASE Workshop, 2018. Data: doi:10.5281/zenodo.1340763"
)
FOLDER = "VocalImitationSet"
TABLE = "vocal_imitations.txt"
CLIPS = 5601


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip an included row of vocal_imitations.txt. root: the folder that holds VocalImitationSet/; None:
    found or downloaded.

    Raises:
        FileNotFoundError: if it cannot be had, or sound files are missing.
        ValueError: if the table isn't the Vocal Imitation Set's.
    """
    base = fetch.locate(NAME, FOLDER, url=URL, sha256=SHA256, licence=LICENCE) if root is None else Path(root)
    table, sounds = base / FOLDER / TABLE, base / FOLDER / "vocal_imitations" / "included"
    if not table.is_file():
        raise FileNotFoundError(f"{table}: missing; the folder should hold {FOLDER}/, as it was published")
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    try:
        rows = [row for row in rows if row["included"] == "True"]
        missing = [row for row in rows if not (sounds / row["imitation_filename"]).is_file()]
        if missing:
            example = missing[0]["imitation_filename"]
            raise FileNotFoundError(f"{sounds}: {len(missing)} files of {TABLE} missing, such as {example}")
        labels = {Path(row["imitation_filename"]).stem: row["reference_filename"] for row in rows}
        folds = hear.folds(labels, 3) if len(labels) == CLIPS else {}
        return [
            Clip(
                path=sounds / row["imitation_filename"],
                labels={
                    "reference": row["reference_filename"],
                    "category": row["category_d1"],
                    "hear_fold": folds.get(Path(row["imitation_filename"]).stem, ""),
                },
                group=row["participant_id"],
                licence=LICENCE,
                name=row["imitation_filename"],
            )
            for row in rows
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{table}: not the Vocal Imitation Set's table ({error!r}); download the data set again"
        ) from error
