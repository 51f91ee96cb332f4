"""voxceleb1: the identification split, who speaks, and the verification trials."""

import pytest

from ssl_audio.datasets import voxceleb1

SPLIT = "1 id10001/a-_b/00001.wav\n2 id10001/c/00001.wav\n3 id10270/5r0dWxy17C8/00002.wav\n"
META = (
    "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    "id10001\tA_B\tm\tIreland\tdev\nid10270\tC_D\tf\tNew Zealand\ttest\n"
)


def lay_out(folder, split=SPLIT, meta=META, files=None):
    folder.mkdir(exist_ok=True)
    (folder / "iden_split.txt").write_text(split)
    (folder / "vox1_meta.csv").write_text(meta)
    for name in [line.split()[1] for line in SPLIT.splitlines()] if files is None else files:
        home = folder / ("test/wav" if name.startswith("id10270") else "wav") / name
        home.parent.mkdir(parents=True)
        home.touch()
    return folder


def test_lines_give_speakers_folds_and_videos(tmp_path):
    first, second, third = voxceleb1.clips(lay_out(tmp_path))
    assert first.path == tmp_path / "wav" / "id10001" / "a-_b" / "00001.wav"
    assert dict(first.labels) == {
        "speaker": "id10001",
        "sex": "male",
        "nationality": "Ireland",
        "verification": "dev",
    }
    assert (first.fold, first.group, first.name) == ("train", "id10001/a-_b", "id10001/a-_b/00001.wav")
    assert first.licence.startswith("CC BY 4.0")
    assert (second.fold, second.group) == ("valid", "id10001/c")
    assert third.path == tmp_path / "test" / "wav" / "id10270" / "5r0dWxy17C8" / "00002.wav"
    assert third.labels["sex"] == "female" and third.labels["nationality"] == "New Zealand"
    assert (third.fold, third.labels["verification"]) == ("test", "test")


def test_trials_are_pairs_of_names(tmp_path):
    names = [clip.name for clip in voxceleb1.clips(lay_out(tmp_path))]
    (tmp_path / "veri_test.txt").write_text(f"1 {names[0]} {names[1]}\n0 {names[0]} {names[2]}\n\n")
    assert voxceleb1.trials(tmp_path) == [(1, names[0], names[1]), (0, names[0], names[2])]
    with pytest.raises(FileNotFoundError, match=r"veri_test2\.txt: missing"):
        voxceleb1.trials(tmp_path, "veri_test2.txt")
    with pytest.raises(ValueError, match="3 columns"):
        voxceleb1.trials(tmp_path, "iden_split.txt")
    (tmp_path / "veri_test.txt").write_text(f"2 {names[0]} {names[1]}\n")
    with pytest.raises(ValueError, match="not a list of trials"):
        voxceleb1.trials(tmp_path)


def test_missing_files_and_other_tables_are_told(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"vox1_meta\.csv: missing"):
        voxceleb1.clips(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"2 files of iden_split\.txt missing, such as id10001/c"):
        voxceleb1.clips(lay_out(tmp_path / "a", files=["id10001/a-_b/00001.wav"]))
    for other in ({"meta": "id,sex\nid10001,m\n"}, {"split": SPLIT.replace("3 id", "4 id")}):
        folder = lay_out(tmp_path / next(iter(other)), **other)
        with pytest.raises(ValueError, match="not VoxCeleb1's"):
            voxceleb1.clips(folder)
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"mm\.kaist\.ac\.kr.*vox1_test_wav\.zip.*iden_split"):
        voxceleb1.clips()
