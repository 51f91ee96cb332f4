"""surge: pitch and preset from the paths, EVAR's split from its table."""

import pytest

from ssl_audio.datasets import surge

LEAD = "surge-patches-factory-Leads-Mosquito-velocity64"
PAD = "surge-patches-3rdparty-Emu-Pads-Beautiful-Flutebad-velocity64"


def lay_out(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_paths_give_pitch_preset_and_group(tmp_path):
    lay_out(tmp_path, f"{LEAD}/note036.ogg", f"{LEAD}/._note036.ogg", f"{PAD}/note108.ogg")
    pad, lead = surge.clips(tmp_path)
    assert lead.path == tmp_path / LEAD / "note036.ogg"
    assert dict(lead.labels) == {"pitch": "36", "preset": LEAD, "bank": "factory"}
    assert (lead.fold, lead.group, lead.licence) == ("", LEAD, "CC BY 4.0")
    assert dict(pad.labels) == {"pitch": "108", "preset": PAD, "bank": "3rdparty"}


def test_evars_table_gives_folds(tmp_path):
    lay_out(tmp_path, f"{LEAD}/note036.ogg", f"{PAD}/note108.ogg")
    (tmp_path / surge.SPLITS).write_text(f"tone,split\n{LEAD},train\n{PAD},test\n")
    assert [c.fold for c in surge.clips(tmp_path)] == ["test", "train"]
    (tmp_path / surge.SPLITS).write_text(f"tone,split\n{LEAD},train\n")
    with pytest.raises(ValueError, match=f"no preset {PAD}"):
        surge.clips(tmp_path)
    (tmp_path / surge.SPLITS).write_text("file,fold\nx,1\n")
    with pytest.raises(ValueError, match="not EVAR's table"):
        surge.clips(tmp_path)


def test_an_empty_folder_a_strange_name_and_a_missing_set_are_told(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no notes"):
        surge.clips(tmp_path)
    lay_out(tmp_path / "a", f"{LEAD}/low.ogg")
    with pytest.raises(ValueError, match=r"low\.ogg: not named"):
        surge.clips(tmp_path / "a")
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"unpack https.*2K\.tar"):
        surge.clips()
