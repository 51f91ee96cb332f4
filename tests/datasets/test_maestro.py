"""maestro: rows of the official table, its split and groups."""

import pytest

from ssl_audio.audio.store import Clip
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
        "composer": "Alban Berg", "title": "Sonata Op. 1", "year": "2018", "hear_fold": "", "notes": ""
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


def test_hears_part_is_two_minutes_of_recordings_drawn_from_each_fold(tmp_path, monkeypatch):
    monkeypatch.setattr(maestro, "CLIPS", 10)
    monkeypatch.setattr(maestro, "DRAWN", 1)
    rows = "".join(f"A,B{i},train,2018,2018/{i}.midi,2018/{i}.wav,1\n" for i in range(10))
    lay_out(tmp_path, HEAD + rows, *(f"2018/{i}.wav" for i in range(10)))
    drawn = maestro.clips(tmp_path, "5h")
    assert sorted(c.labels["hear_fold"] for c in drawn) == [f"fold0{i}" for i in range(5)]
    assert {(c.start, c.duration, c.labels["notes"]) for c in drawn} == {(0.0, 120.0, "yes")}
    folds = {c.path.stem: c.labels["hear_fold"] for c in maestro.clips(tmp_path)}
    for clip in drawn:
        fold = clip.labels["hear_fold"]
        its = [stem for stem, other in folds.items() if other == fold]
        assert maestro.hear.drawn(its, fold, 1) == {clip.path.stem}
    monkeypatch.setattr(maestro, "CLIPS", 11)
    with pytest.raises(FileNotFoundError, match="10 recordings in the table; HEAR's draw is of 11"):
        maestro.clips(tmp_path, "5h")
    with pytest.raises(ValueError, match="'6h': no part of maestro"):
        maestro.clips(tmp_path, "6h")


def midi(path, *messages, tempo=500_000):
    """A file of (seconds, type, note or control, velocity or value)."""
    mido = pytest.importorskip("mido")
    file = mido.MidiFile(ticks_per_beat=500)
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=tempo)])
    file.tracks.append(track)
    now = 0
    for at, kind, number, value in messages:
        names = ("control", "value") if kind == "control_change" else ("note", "velocity")
        tick = round(at * 1e6 / tempo * 500)
        track.append(mido.Message(kind, time=tick - now, **dict(zip(names, (number, value), strict=True))))
        now = tick
    file.save(path)


ON, OFF, PEDAL = "note_on", "note_off", "control_change"


@pytest.mark.parametrize("tempo", [500_000, 250_000])
def test_notes_sound_on_while_the_pedal_is_down(tmp_path, tempo):
    midi(
        tmp_path / "a.midi",
        *((0.0, ON, 60, 80), (0.5, PEDAL, 64, 64), (1.0, ON, 60, 0), (1.5, ON, 62, 9), (2.0, OFF, 62, 0)),
        *((2.5, ON, 62, 9), (3.0, PEDAL, 64, 63), (3.5, OFF, 62, 0), (4.0, ON, 20, 9), (4.5, OFF, 20, 0)),
        *((5.0, ON, 108, 9), (9.0, OFF, 108, 0), (9.5, ON, 21, 9), (9.75, OFF, 21, 0)),
        tempo=tempo,
    )
    clip = Clip(path=tmp_path / "a.wav", duration=6.0)
    assert maestro.events(clip) == [
        (0.0, pytest.approx(3.0), "60"),  # released at 1.0, the pedal goes up at 3.0
        (1.5, pytest.approx(2.5), "62"),  # struck again
        (2.5, pytest.approx(3.5), "62"),  # still held when the pedal goes up
        (5.0, pytest.approx(6.0), "108"),  # cut at the clip's end; the last is behind it, 20 too low
    ]


def test_a_key_struck_twice_ends_both_notes_and_what_is_no_midi_is_told(tmp_path):
    midi(tmp_path / "a.midi", (0.0, ON, 60, 80), (1.0, ON, 60, 80), (2.0, OFF, 60, 0), (3.0, OFF, 60, 0))
    assert maestro.events(Clip(path=tmp_path / "a.wav")) == [(0.0, 2.0, "60"), (1.0, 2.0, "60")]
    with pytest.raises(FileNotFoundError, match=r"b\.midi: missing"):
        maestro.events(Clip(path=tmp_path / "b.wav"))
    (tmp_path / "b.midi").write_bytes(b"RIFF no midi")
    with pytest.raises(ValueError, match=r"b\.midi: not a MIDI file"):
        maestro.events(Clip(path=tmp_path / "b.wav"))


def test_the_pedal_does_what_it_does_in_note_seq():
    """Worked by note_seq's rules: of two strokes of a key at once, the pedal down, one is left."""
    note = lambda a, b, pitch: maestro.Note(float(a), float(b), pitch)
    assert maestro.sustained([note(0, 1, 5), note(2, 3, 6)], []) == [(0, 1, 5), (2, 3, 6)]
    down = [(0.5, True)]
    assert maestro.sustained([note(0, 1, 5), note(2, 3, 6)], down) == [(0, 3, 5), (2, 3, 6)]
    assert maestro.sustained([note(1, 2, 5), note(1, 3, 5)], down) == [(1, 3, 5)]
    assert maestro.sustained([note(0, 1, 5)], [(0.5, True), (1.0, False)]) == [(0, 1, 5)]
