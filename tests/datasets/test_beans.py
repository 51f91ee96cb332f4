"""beans: rows of the tables that BEANS's scripts write."""

import pytest

from ssl_audio.datasets import beans


def lay_out(folder, dataset, rows):
    """rows: fold -> (path, label)."""
    for fold in ("train", "valid", "test"):
        table = folder / beans.TABLES[dataset].format(fold)
        table.parent.mkdir(parents=True, exist_ok=True)
        text = ",path,label\n"
        for i, (path, label) in enumerate(rows.get(fold, ())):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
            text += f'{i},{path},"{label}"\n'
        table.write_text(text)


WATKINS = {
    "train": [("data/watkins/Beluga,_White_Whale/1.wav".replace(",", ""), "Beluga,_White_Whale")],
    "valid": [("data/watkins/b/2.wav", "Walrus")],
    "test": [("data/watkins/b/3.wav", "Walrus")],
}


def test_rows_give_labels_and_folds(tmp_path):
    lay_out(tmp_path, "watkins", WATKINS)
    beluga, *walruses = beans.clips(tmp_path)
    assert beluga.path == tmp_path / "data" / "watkins" / "Beluga_White_Whale" / "1.wav"
    assert dict(beluga.labels) == {"label": "Beluga,_White_Whale"}
    assert (beluga.fold, beluga.group) == ("train", "")
    assert beluga.licence == "free for personal and academic use"
    assert [(c.labels["label"], c.fold) for c in walruses] == [("Walrus", "valid"), ("Walrus", "test")]


def test_recordists_of_cbi_are_groups(tmp_path):
    rows = {
        fold: [(f"data/cbi/wav/XC{i}.wav", "aldfly")] for i, fold in enumerate(("train", "valid", "test"))
    }
    lay_out(tmp_path, "cbi", rows)
    assert [c.group for c in beans.clips(tmp_path, "cbi")] == ["", "", ""]
    table = tmp_path / "data" / "cbi" / "train.csv"
    table.write_text("recordist,filename\nA. B.,XC0.mp3\nC. D.,XC1.mp3\nA. B.,XC2.mp3\n")
    assert [c.group for c in beans.clips(tmp_path, "cbi")] == ["A. B.", "C. D.", "A. B."]
    table.write_text("author,filename\nA. B.,XC0.mp3\n")
    with pytest.raises(ValueError, match="not cbi's table"):
        beans.clips(tmp_path, "cbi")


def test_missing_tables_missing_sounds_other_tables_and_other_sets_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"annotations\.train\.csv: missing"):
        beans.clips(tmp_path)
    with pytest.raises(ValueError, match="'esc50': no set of beans"):
        beans.clips(tmp_path, "esc50")
    lay_out(tmp_path, "watkins", WATKINS)
    (tmp_path / "data" / "watkins" / "b" / "3.wav").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"1 files of annotations\.test\.csv missing, such as .*3\.wav"
    ):
        beans.clips(tmp_path)
    (tmp_path / "data" / "watkins" / "annotations.train.csv").write_text("file,species\na.wav,x\n")
    with pytest.raises(ValueError, match="not BEANS's table"):
        beans.clips(tmp_path)


@pytest.mark.parametrize("dataset", beans.TABLES)
def test_every_set_has_its_tables(tmp_path, dataset):
    lay_out(tmp_path, dataset, {fold: [(f"data/x/{fold}.wav", fold)] for fold in ("train", "valid", "test")})
    clips = beans.clips(tmp_path, dataset)
    assert [(c.labels["label"], c.licence) for c in clips] == [
        (fold, beans.LICENCES[dataset]) for fold in ("train", "valid", "test")
    ]
