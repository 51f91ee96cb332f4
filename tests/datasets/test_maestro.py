"""maestro: rows of the official table, its split and groups."""

import pytest

from ssl_audio.datasets import maestro

HEAD = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration\n"
ROWS = (
    "Alban Berg,Sonata Op. 1,train,2018,2018/a.midi,2018/a.wav,698.66\n"
    'Frédéric Chopin,"Ballade No. 1, Op. 23",validation,2004,2004/b.midi,2004/b.wav,500.1\n'
    "Alban Berg,Sonata Op. 2,test,2018,2018/c.midi,2018/c.wav,1.5\n"
)


def lay_out(folder, text, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    folder.mkdir(exist_ok=True)
    (folder / maestro.TABLE).write_text(text, encoding="utf-8")


def test_rows_give_labels_fold_and_group(tmp_path):
    lay_out(tmp_path, HEAD + ROWS, "2018/a.wav", "2004/b.flac", "2018/c.wav")
    berg, chopin, last = maestro.clips(tmp_path)
    assert berg.path == tmp_path / "2018" / "a.wav"
    assert dict(berg.labels) == {
        "composer": "Alban Berg", "title": "Sonata Op. 1", "year": "2018", "hear_fold": ""
    }  # fmt: skip
    assert (berg.fold, berg.group, berg.licence) == ("train", "Alban Berg: Sonata Op. 1", "CC BY-NC-SA 4.0")
    assert chopin.path == tmp_path / "2004" / "b.flac"
    assert (chopin.fold, chopin.group) == ("valid", "Frédéric Chopin: Ballade No. 1, Op. 23")
    assert last.fold == "test"


def test_missing_table_missing_sound_and_another_table_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"maestro-v3\.0\.0\.csv: missing"):
        maestro.clips(tmp_path)
    lay_out(tmp_path / "a", HEAD + ROWS, "2018/a.wav")
    with pytest.raises(FileNotFoundError, match=r"2 files .* such as 2004/b\.wav"):
        maestro.clips(tmp_path / "a")
    lay_out(tmp_path / "b", "audio_filename,composer\n2018/a.wav,Berg\n", "2018/a.wav")
    with pytest.raises(ValueError, match="not MAESTRO's table"):
        maestro.clips(tmp_path / "b")
    lay_out(
        tmp_path / "c", HEAD + ROWS.replace("validation", "dev"), "2018/a.wav", "2004/b.wav", "2018/c.wav"
    )
    with pytest.raises(ValueError, match="'dev'"):
        maestro.clips(tmp_path / "c")


def test_the_whole_set_has_hears_folds(tmp_path, monkeypatch):
    monkeypatch.setattr(maestro, "CLIPS", 10)
    rows = "".join(f"A,B{i},train,2018,2018/{i}.midi,2018/{i}.wav,1\n" for i in range(10))
    lay_out(tmp_path, HEAD + rows, *(f"2018/{i}.wav" for i in range(10)))
    assert sorted(c.labels["hear_fold"] for c in maestro.clips(tmp_path)) == [
        f"fold0{i // 2}" for i in range(10)
    ]
