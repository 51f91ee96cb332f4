"""fsd50k: rows of dev.csv and eval.csv, several labels, licences of the clips."""

import json

import pytest

from ssl_audio.datasets import fsd50k

DEV = (
    "fname,labels,mids,split\n"
    '64760,"Electric_guitar,Guitar,Music","/m/02sgy,/m/0342h,/m/04rlf",train\n'
    "21914,Bark,/m/05tny_,val\n"
)
EVAL = 'fname,labels,mids\n37199,"Bird,Animal","/m/015p6,/m/0jbk"\n'
BY = "http://creativecommons.org/licenses/by/3.0/"


def lay_out(folder, dev=DEV, evaluation=EVAL, licences=None, absent=()):
    for part in ("ground_truth", "metadata", "dev_audio", "eval_audio"):
        (folder / f"FSD50K.{part}").mkdir(parents=True)
    (folder / "FSD50K.ground_truth" / "dev.csv").write_text(dev)
    (folder / "FSD50K.ground_truth" / "eval.csv").write_text(evaluation)
    info = {
        name: {"title": "t", "description": "", "tags": [], "license": BY, "uploader": f"u{name}"}
        for name in ("64760", "21914", "37199")
    }
    for name, url in (licences or {}).items():
        info[name]["license"] = url
    for part, names in (("dev", ("64760", "21914")), ("eval", ("37199",))):
        table = folder / "FSD50K.metadata" / f"{part}_clips_info_FSD50K.json"
        table.write_text(json.dumps({name: info[name] for name in names}))
        for name in names:
            if name not in absent:
                (folder / f"FSD50K.{part}_audio" / f"{name}.wav").touch()


def test_rows_give_labels_folds_and_the_clips_licence(tmp_path):
    zero, plus = (f"http://creativecommons.org/{p}/1.0/" for p in ("publicdomain/zero", "licenses/sampling+"))
    lay_out(tmp_path, licences={"64760": zero, "37199": plus})
    guitar, bark, bird = fsd50k.clips(tmp_path)
    assert guitar.path == tmp_path / "FSD50K.dev_audio" / "64760.wav"
    assert dict(guitar.labels) == {
        "labels": "Electric_guitar|Guitar|Music",
        "mids": "/m/02sgy|/m/0342h|/m/04rlf",
        "uploader": "u64760",
    }
    assert [(c.fold, c.group, c.licence) for c in (guitar, bark, bird)] == [
        ("train", "64760", "CC0 1.0"),
        ("valid", "21914", "CC BY 3.0"),
        ("test", "37199", "CC Sampling+ 1.0"),
    ]
    assert bird.path.parent.name == "FSD50K.eval_audio"


def test_an_unknown_licence_is_handed_on(tmp_path):
    lay_out(tmp_path, licences={"21914": "https://example.org/by/9.0/"})
    assert fsd50k.clips(tmp_path)[1].licence == "https://example.org/by/9.0/"


def test_missing_files_and_other_tables_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"zenodo\.org/records/4060432"):
        fsd50k.clips()
    with pytest.raises(FileNotFoundError, match=r"dev\.csv: missing"):
        fsd50k.clips(tmp_path)
    lay_out(tmp_path / "a", absent=("37199",))
    with pytest.raises(FileNotFoundError, match=r"eval_audio: 1 files of eval\.csv missing, such as 37199"):
        fsd50k.clips(tmp_path / "a")
    (tmp_path / "a" / "FSD50K.metadata" / "dev_clips_info_FSD50K.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"dev_clips_info_FSD50K\.json: missing"):
        fsd50k.clips(tmp_path / "a")
    lay_out(tmp_path / "b", dev=DEV.replace(",val", ",dev"))
    with pytest.raises(ValueError, match="not FSD50K's table"):
        fsd50k.clips(tmp_path / "b")
    lay_out(tmp_path / "c", evaluation="file,class\nx.wav,dog\n")
    with pytest.raises(ValueError, match=r"eval\.csv.*not FSD50K's table"):
        fsd50k.clips(tmp_path / "c")
