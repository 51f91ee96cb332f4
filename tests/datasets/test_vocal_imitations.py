"""vocal_imitations: included rows of the official table."""

import pytest

from ssl_audio.datasets import vocal_imitations as vocal

COLUMNS = (
    *("", "imitation_id", "imitation_filename", "category_d1"),
    *("reference_filename", "included", "participant_id"),
)
CAT = (
    "0",
    "0",
    "000Animal_Cat-48.wav",
    "Animal",
    "000Animal_Cat_reference.wav",
    "True",
    "5734240000000000.0",
)
DRAFT = (
    "1",
    "1",
    "000Animal_Cat-49.wav",
    "Animal",
    "000Animal_Cat_reference.wav",
    "False",
    "6286100000000000.0",
)
BELL = (
    "2",
    "2",
    "077Music_Bell-50.wav",
    "Music",
    "077Music_Bell_reference.wav",
    "True",
    "6286100000000000.0",
)


def lay_out(folder, rows, *names, columns=COLUMNS):
    sounds = folder / vocal.FOLDER / "vocal_imitations" / "included"
    sounds.mkdir(parents=True)
    for name in names:
        (sounds / name).touch()
    text = "".join("\t".join(row) + "\n" for row in (columns, *rows))
    (folder / vocal.FOLDER / vocal.TABLE).write_text(text, encoding="utf-8")


def test_included_rows_give_labels_and_group(tmp_path):
    lay_out(tmp_path, (CAT, DRAFT, BELL), CAT[2], BELL[2])
    cat, bell = vocal.clips(tmp_path)
    assert cat.path == tmp_path / vocal.FOLDER / "vocal_imitations" / "included" / "000Animal_Cat-48.wav"
    assert dict(cat.labels) == {
        "reference": "000Animal_Cat_reference.wav", "category": "Animal", "hear_fold": ""
    }  # fmt: skip
    assert (cat.fold, cat.group, cat.licence) == ("", "5734240000000000.0", "CC BY 4.0")
    assert bell.labels["reference"] == "077Music_Bell_reference.wav"


def test_missing_table_missing_sound_and_another_table_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"vocal_imitations\.txt: missing"):
        vocal.clips(tmp_path)
    lay_out(tmp_path / "a", (CAT, DRAFT, BELL), CAT[2])
    with pytest.raises(FileNotFoundError, match=r"1 files .* such as 077Music_Bell-50"):
        vocal.clips(tmp_path / "a")
    lay_out(tmp_path / "b", (("x", "dog"),), columns=("file", "class"))
    with pytest.raises(ValueError, match="not the Vocal Imitation Set's table"):
        vocal.clips(tmp_path / "b")


def test_the_whole_set_has_three_folds_with_every_reference(tmp_path, monkeypatch):
    monkeypatch.setattr(vocal, "CLIPS", 18)
    rows = [(*row[:2], f"{row[2][:-4]}{i}.wav", *row[3:]) for row in (CAT, BELL) for i in range(9)]
    lay_out(tmp_path, rows, *(row[2] for row in rows))
    clips = vocal.clips(tmp_path)
    assert len({(c.labels["reference"], c.labels["hear_fold"]) for c in clips}) == 2 * 3
