"""Chains of cleaning, and stores built with them: recorded, never mixed, faults kept to their file."""

import json

import numpy as np
import pytest
import soundfile

from ssl_audio import cli
from ssl_audio.audio import clean as chains
from ssl_audio.audio import decode as decoding
from ssl_audio.audio.build import build
from ssl_audio.audio.clean import clean, clean_blocks, identity, parse
from ssl_audio.audio.denoise import SpectralGate, Wiener
from ssl_audio.audio.files import Refused
from ssl_audio.audio.levels import RMS, BandPass, Log, Loudness, Peak, RemoveDC, Trim, loudness
from ssl_audio.audio.scan import scan
from ssl_audio.audio.store import Clip, Store

RATE = 8000
CHAIN = (RemoveDC(), BandPass(100.0, 3000.0), SpectralGate(), Trim(), Loudness(-30.0))


def white(frames, level=0.1, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(frames)).astype(np.float32)


def sound(seed=0, before=0.5, after=0.25, level=0.1):
    """Faint noise, a second of sound, faint noise."""
    x = white(round((before + 1 + after) * RATE), 1e-4, seed=seed + 100)
    x[round(before * RATE) :][:RATE] += white(RATE, level, seed)
    return x


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sounds").mkdir()
    for i in range(4):
        soundfile.write(tmp_path / "sounds" / f"{i}.wav", sound(i), RATE, subtype="FLOAT")
    return tmp_path / "sounds"


def make(clips, out, **arguments):
    return build(clips, out, rate=RATE, workers=1, **arguments)


def as_stored(wave):
    return decoding.quantise(wave)[0]


# --- chains


def test_words_name_the_steps():
    words = (
        "dc band:100:7000 band:100 band:0:7000 gate gate-moving:12 wiener:10 trim peak rms:-25 loudness:-23"
    )
    assert parse(words.split()) == (
        RemoveDC(),
        BandPass(100.0, 7000.0),
        BandPass(100.0),
        BandPass(0.0, 7000.0),
        SpectralGate(),
        SpectralGate(12.0, moving=True),
        Wiener(10.0),
        Trim(),
        Peak(),
        RMS(-25.0),
        Loudness(-23.0),
    )


@pytest.mark.parametrize(
    "word, text",
    [
        ("hiss", "no cleaning step 'hiss'; there are dc, band, gate, gate-moving"),
        ("band:low", "after the colons come numbers"),
        ("band::7000", "after the colons come numbers"),
        ("dc:1", "dc takes 0 numbers"),
        ("gate:1:2", "gate takes 1 number at most"),
        ("peak:nan", "peak takes 1 number"),
    ],
)
def test_words_that_name_none(word, text):
    with pytest.raises(ValueError, match=text):
        parse([word])


def test_a_chain_is_its_steps_one_after_another():
    x, log = sound(), Log()
    y, told = clean(x, RATE, CHAIN)
    for step in CHAIN:
        x = step(x, RATE, log)
    np.testing.assert_array_equal(y, x)
    assert told == log and abs(log.start / RATE - 0.45) <= 0.0301


@pytest.mark.parametrize("held", [1 << 23, 5000, 0])
def test_a_stream_through_files_equals_the_chain_in_memory(tmp_path, monkeypatch, held):
    monkeypatch.setattr(chains, "_HELD", held)
    x, log = np.concatenate([sound(i) for i in range(4)]), Log()
    blocks = (x[at : at + 3000] for at in range(0, len(x), 3000))
    y = np.concatenate(list(clean_blocks(blocks, RATE, CHAIN, log, tmp_path)))
    expected, told = clean(x, RATE, CHAIN)
    np.testing.assert_allclose(y, expected, atol=1e-6)
    assert log == told and not list(tmp_path.iterdir())


def test_the_identity_holds_every_setting_and_version():
    steps, versions = identity((SpectralGate(reduction=12.0), Peak()))
    assert "reduction=12.0" in steps[0] and "deviations=1.5" in steps[0] and steps[1] == "Peak(level=-1.0)"
    assert versions["clean"] == str(chains.REVISION) and {"numpy", "scipy"} <= set(versions)
    assert identity(()) == ([], {})


def test_a_step_that_cannot_is_a_refusal(tmp_path):
    for level, steps, text in (
        (0.1, (Loudness(),), "Loudness: loudness is not defined at 2000 Hz"),
        (0.0, (Trim(), Peak()), "Trim: nothing but silence"),
        (0.0, (Peak(), Trim()), "Trim: nothing but silence"),
    ):
        with pytest.raises(Refused, match=text):
            list(clean_blocks([white(500, level)], 2000, steps, Log(), tmp_path))
    # float32 overflows within the step
    huge = np.append(np.full(500, 3e38, np.float32), np.float32(-3e38))
    with pytest.raises(Refused, match="RemoveDC: NaN or infinite"), np.errstate(over="ignore"):
        list(clean_blocks([huge], 2000, (RemoveDC(),), Log(), tmp_path))


# --- stores


def test_a_store_holds_the_cleaned_sound_and_says_how(folder, tmp_path):
    report = make(scan(folder), tmp_path / "store", clean=CHAIN)
    store = Store(tmp_path / "store")
    assert store.manifest["clean"] == [repr(step) for step in CHAIN]
    assert {"scipy", "numpy", "clean"} <= set(store.manifest["versions"])
    for i in range(4):
        expected, _ = clean(sound(i), RATE, CHAIN)
        np.testing.assert_array_equal(store[i], as_stored(expected))
        assert loudness(store[i].astype(np.float32) / 32768, RATE) == pytest.approx(-30, abs=0.01)
    assert report.limited == 0 and report.clips == 4


def test_two_processes_make_the_same_store(folder, tmp_path):
    one = make(scan(folder), tmp_path / "one", clean=CHAIN)
    two = build(scan(folder), tmp_path / "two", rate=RATE, workers=2, clean=CHAIN)
    assert one.hash == two.hash


def test_cleanings_are_never_mixed(folder, tmp_path):
    """Other settings decode everything anew, the same ones nothing; so does an interrupted build's part."""
    plain = make(scan(folder), tmp_path / "store")
    assert (plain.decoded, plain.copied) == (4, 0) and Store(plain.path).manifest["clean"] == []
    first = make(scan(folder), tmp_path / "store", clean=(Peak(-6.0),))
    assert (first.decoded, first.copied, first.changed) == (4, 0, True) and first.hash != plain.hash
    soundfile.write(folder / "new.wav", sound(9), RATE, subtype="FLOAT")
    more = make(scan(folder), tmp_path / "store", clean=(Peak(-6.0),))
    assert (more.decoded, more.copied) == (1, 4)
    other = make(scan(folder), tmp_path / "store", clean=(Peak(-7.0),))
    assert (other.decoded, other.copied) == (5, 0)
    assert {np.abs(x.astype(np.int32)).max() for x in Store(other.path)} == {round(32767 * 10 ** (-7 / 20))}
    again = make(scan(folder), tmp_path / "store", clean=(Peak(-7.0),))
    assert (again.decoded, again.copied, again.changed) == (0, 5, False)
    bare = make(scan(folder), tmp_path / "store")
    assert bare.decoded == 5
    (folder / "new.wav").unlink()
    assert make(scan(folder), tmp_path / "store").hash == plain.hash


def test_parts_of_an_interrupted_build_are_of_its_cleaning(folder, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("ssl_audio.audio.build._write", stop)
        make(scan(folder), tmp_path / "store", clean=(Peak(-6.0),))
    assert list((tmp_path / "store" / ".build").glob("part-*.json"))
    assert make(scan(folder), tmp_path / "store", clean=(RMS(-30.0),)).decoded == 4


def test_a_store_from_before_there_was_cleaning_is_a_plain_one(folder, tmp_path):
    first = make(scan(folder), tmp_path / "store")
    manifest = json.loads((first.path / "manifest.json").read_text())
    del manifest["clean"], manifest["limited"]
    (first.path / "manifest.json").write_text(json.dumps(manifest))
    again = make(scan(folder), tmp_path / "store")
    assert (again.decoded, again.copied, again.hash) == (0, 4, first.hash)


def test_cuts_are_of_the_files_times_also_where_silence_is_trimmed(folder, tmp_path):
    """The cut comes first; where its sound begins is start + trimmed_start / rate, in the sources."""
    file = folder / "0.wav"
    clips = [Clip(file, 0.0, 1.0), Clip(file, 1.0, 0.75), Clip(file, 1.0, 0.9)]
    report = make(clips, tmp_path / "store", clean=(Trim(margin=0.0),))
    store = Store(tmp_path / "store")
    lines = (store.path / store.manifest["sources"]).read_text().splitlines()
    whole = sound(0)
    for i, (clip, line) in enumerate(zip(clips, map(json.loads, lines), strict=True)):
        (_, _, start, duration, *_), (before, after, short) = line, line[7:]
        assert (start, duration, short) == (clip.start, clip.duration, 0.0)
        place = round(start * RATE) + before
        np.testing.assert_array_equal(store[i], as_stored(whole[place : place + len(store[i])]))
        assert before + len(store[i]) + after == min(round(duration * RATE), len(whole) - round(start * RATE))
    assert abs(json.loads(lines[0])[7] / RATE - 0.5) <= 0.011 and json.loads(lines[1])[8] > 0
    # trimmed is not truncated; the third cut is
    assert [text for _, text in report.notes] == ["the file ends after 0.75 s of 0.9 s"]
    assert make(clips, tmp_path / "store", clean=(Trim(margin=0.0),)).decoded == 0


def test_files_that_cannot_be_cleaned_are_quarantined(folder, tmp_path):
    soundfile.write(folder / "mute.wav", np.zeros(RATE, np.float32), RATE)
    soundfile.write(folder / "nan.wav", np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    soundfile.write(folder / "short.wav", white(40), RATE)  # 5 ms
    report = make(scan(folder), tmp_path / "store", clean=CHAIN)
    reasons = dict(report.refused)
    assert set(reasons) == {"mute.wav", "nan.wav"} and report.clips == 5
    assert "nothing but silence" in reasons["mute.wav"] and "NaN" in reasons["nan.wav"]
    assert np.isfinite(Store(tmp_path / "store")[4]).all()


def test_gains_that_would_clip_are_limited_counted_and_named(folder, tmp_path):
    click = sound(7, level=0.01)
    click[RATE] = 0.5
    soundfile.write(folder / "click.wav", click, RATE, subtype="FLOAT")
    report = make(scan(folder), tmp_path / "store", clean=(RMS(-30.0),))
    assert (report.limited, report.clamped) == (1, 0) and Store(report.path).manifest["limited"] == 1
    ((name, text),) = report.notes
    assert name == "click.wav" and text.endswith("dB below the wanted level, its peak at full scale")
    assert "limited: 1 clips stayed below" in str(report)
    again = make(scan(folder), tmp_path / "store", clean=(RMS(-30.0),))
    assert (again.limited, again.notes, again.changed) == (1, report.notes, False)


def test_impossible_settings_stop_before_anything_is_written(folder, tmp_path):
    with pytest.raises(ValueError, match="half the rate"):
        make(scan(folder), tmp_path / "store", clean=(BandPass(100.0, 4000.0),))
    assert not (tmp_path / "store").exists()


def test_the_command_line(folder, tmp_path, capsys):
    out = tmp_path / "store"
    command = ["store", str(folder), "--out", str(out), "--rate", str(RATE), "--workers", "1", "--clean"]
    cli.main([*command, "dc", "band:100:3000", "gate", "trim", "loudness:-30"])
    assert "4 clips" in capsys.readouterr().out
    assert Store(out).manifest["clean"] == [repr(step) for step in CHAIN]
    with pytest.raises(SystemExit, match="no cleaning step 'hiss'"):
        cli.main([*command, "hiss"])
    with pytest.raises(SystemExit):
        cli.main(["store", "--help"])
    assert "band:LOW:HIGH" in " ".join(capsys.readouterr().out.split())


def test_on_real_speech(recordings, tmp_path):
    clips = [Clip(file) for file in sorted(recordings.glob("fsdd/recordings/*_0.wav"))[::6]]
    report = make(clips, tmp_path / "store", clean=parse(["dc", "band:60", "gate", "trim", "loudness:-26"]))
    assert report.clips == len(clips) and not report.refused and report.clamped == 0
