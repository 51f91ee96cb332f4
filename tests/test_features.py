"""Tables of features: frames of pieces are those of the whole, statistics are numpy's, nothing stops it."""

import csv
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from ssl_audio import cli, features
from ssl_audio.audio.files import Sound
from ssl_audio.features import HOP, Kind, compute, extract

RATE = 16_000
KINDS = get_args(Kind)
LONG = ("cqt", "chroma_cqt", "tonnetz")
CHEAP = ("mfcc", "flux", "zcr", "rms")


def sound(path, samples, rate=RATE, seed=0):
    """Noise that swells and a tone that rises, as 32-bit float wav."""
    t = np.arange(samples) / rate
    noise = np.random.default_rng(seed).standard_normal(samples) * (1 + np.sin(5 * t)) * 0.05
    x = (noise + 0.3 * np.sin(2 * np.pi * (200 + 90 * t) * t) - 0.01).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, x, rate, subtype="FLOAT")
    return x


def table(path):
    """Column -> values, of a CSV or parquet table."""
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
        return {name: np.array(column) for name, column in parquet.read_table(path).to_pydict().items()}
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))
    return {name: np.array(c) if name == "path" else np.array(c, np.float64) for name, c in columns.items()}


def values(columns, kind):
    """The columns of one kind, [n c]."""
    names = [name for name in columns if name == kind or (name.startswith(f"{kind}_") and name[-1].isdigit())]
    names = [name for name in names if kind != "chroma" or not name.startswith("chroma_cqt")]
    return np.stack([columns[name] for name in names], 1)


def close(found, there, what):
    scale = np.abs(there).max()
    np.testing.assert_allclose(found, there, rtol=1e-4, atol=1e-5 * scale + 1e-6, err_msg=what)


def at_once(x, kinds):
    """Kind -> frames [f c] of a wave."""
    return jax.jit(lambda x: {kind: compute(x, kind, RATE)[0] for kind in kinds})(jnp.asarray(x)[None])


@pytest.fixture
def short(monkeypatch):
    """Pieces of at most 12 frames, so that a short clip is many."""
    monkeypatch.setattr(features, "_FRAMES", (8, 12))


def test_frames_of_pieces_are_those_of_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "_FRAMES", (12,))
    x = sound(tmp_path / "a.wav", 40 * HOP + 77)
    report = extract(tmp_path / "a.wav", KINDS, tmp_path / "a.csv", per="frame")
    found = table(tmp_path / "a.csv")
    assert report.rows == 41 and report.columns == len(found) - 2
    np.testing.assert_allclose(found["time"], np.arange(41) * HOP / RATE, atol=1e-6)
    whole = at_once(x, [kind for kind in KINDS if kind not in LONG])
    embedded = at_once(np.pad(x, 64 * HOP), LONG)  # what filters ring beyond the ends counts
    whole |= {kind: frames[64 : 64 + 41] for kind, frames in embedded.items()}
    for kind, frames in whole.items():
        close(values(found, kind), frames, kind)


@pytest.mark.parametrize("samples", [1, 100, 8 * HOP - 1, 8 * HOP, 12 * HOP + 5, 13 * HOP])
def test_padding_changes_no_frame(tmp_path, short, samples):
    x = sound(tmp_path / "a.wav", samples)
    extract(tmp_path / "a.wav", CHEAP, tmp_path / "a.csv", per="frame")
    found = table(tmp_path / "a.csv")
    assert len(found["path"]) == 1 + samples // HOP
    for kind, frames in at_once(x, CHEAP).items():
        close(values(found, kind), frames, kind)


def test_zero_crossings_are_librosas(tmp_path, short):
    librosa = pytest.importorskip("librosa", reason="librosa is not installed")
    x = sound(tmp_path / "a.wav", 30 * HOP + 300) - np.float32(0.05)
    soundfile.write(tmp_path / "a.wav", x, RATE, subtype="FLOAT")
    extract(tmp_path / "a.wav", ["zcr"], tmp_path / "a.csv", per="frame")
    there = librosa.feature.zero_crossing_rate(x)[0]
    np.testing.assert_allclose(table(tmp_path / "a.csv")["zcr"], there, atol=1e-7)


def test_fbank_frames_are_kaldis_at_the_same_centres(tmp_path):
    from ssl_audio.signal import kaldi

    x = sound(tmp_path / "a.wav", 20 * HOP)
    found = at_once(x, ["fbank"])["fbank"]
    for frame in (1, 7, 19):
        alone = kaldi.fbank(jnp.asarray(x[frame * HOP - 200 : frame * HOP + 200]), RATE, mels=80)
        np.testing.assert_allclose(found[frame], alone[0], atol=1e-4)


def test_a_row_a_clip_is_mean_and_deviation_of_its_frames(tmp_path, short):
    for name, samples in (("b/long", 50 * HOP + 3), ("a", 5000), ("c", 900)):
        sound(tmp_path / f"in/{name}.wav", samples, seed=samples)
    report = extract(tmp_path / "in", CHEAP, tmp_path / "clips.csv")
    extract(tmp_path / "in", CHEAP, tmp_path / "frames.csv", per="frame")
    clips, frames = table(tmp_path / "clips.csv"), table(tmp_path / "frames.csv")
    assert clips["path"].tolist() == ["a.wav", "b/long.wav", "c.wav"] and report.files == report.rows == 3
    assert len(clips) == 1 + 2 * (20 + 3)
    for name in set(frames) - {"path", "time"}:
        for i, path in enumerate(clips["path"]):
            own = frames[name][frames["path"] == path]
            np.testing.assert_allclose(clips[f"{name}_mean"][i], own.mean(), rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(clips[f"{name}_std"][i], own.std(), rtol=1e-4, atol=1e-4)


def test_files_are_resampled(tmp_path):
    for rate in (8_000, 44_100):
        soundfile.write(tmp_path / f"{rate}.wav", 0.5 * np.sin(np.arange(rate) * 6000 / rate), rate)
    extract(tmp_path, ["centroid"], tmp_path / "a.csv", rate=8_000)
    found = table(tmp_path / "a.csv")["centroid_mean"]
    np.testing.assert_allclose(found, 6000 / (2 * np.pi), rtol=0.1)
    np.testing.assert_allclose(*found, rtol=0.02)


def test_bad_files_are_named_and_never_stop_it(tmp_path):
    sound(tmp_path / "in/good.wav", 3000)
    content = (tmp_path / "in/good.wav").read_bytes()
    (tmp_path / "in/cut.wav").write_bytes(content[:5000])
    (tmp_path / "in/text.wav").write_text("no sound")
    bad = sound(tmp_path / "in/nan.wav", 9000)
    bad[8000] = np.nan
    soundfile.write(tmp_path / "in/nan.wav", bad, RATE, subtype="FLOAT")
    report = extract(tmp_path / "in", ["rms"], tmp_path / "a.csv")
    assert table(tmp_path / "a.csv")["path"].tolist() == ["good.wav"] and report.rows == 1
    reasons = dict(report.refused)
    assert set(reasons) == {"cut.wav", "nan.wav", "text.wav"}
    assert "truncated" in reasons["cut.wav"] and "0.500 s" in reasons["nan.wav"]
    assert all(f"  {name}: {reason}" in str(report).splitlines() for name, reason in reasons.items())
    (tmp_path / "in/good.wav").unlink()
    (tmp_path / "a.csv").unlink()
    with pytest.raises(ValueError, match="none of 3 files could be decoded"):
        extract(tmp_path / "in", ["rms"], tmp_path / "a.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_killed_run_goes_on(tmp_path, monkeypatch, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    monkeypatch.setattr(features, "_PART", (3, 10**9))
    for i in range(8):
        sound(tmp_path / f"in/{i}.wav", 2000 + 300 * i, seed=i)
    opened, limit = [], 7

    def counted(path):
        if len(opened) == limit:
            raise KeyboardInterrupt
        opened.append(path.name)
        return Sound(path)

    monkeypatch.setattr(features, "Sound", counted)
    out = tmp_path / f"a{suffix}"
    with pytest.raises(KeyboardInterrupt):
        extract(tmp_path / "in", CHEAP, out, per="frame")
    assert not out.exists() and len(opened) == 7
    limit = 100
    sound(tmp_path / "in/4.wav", 4100, seed=70)  # what changed meanwhile is as it is now
    report = extract(tmp_path / "in", CHEAP, out, per="frame")
    assert report.known == 3 and opened[7:] == ["3.wav", "4.wav", "5.wav", "6.wav", "7.wav"]
    extract(tmp_path / "in", CHEAP, tmp_path / f"b{suffix}", per="frame")
    one, other = table(out), table(tmp_path / f"b{suffix}")
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert (one["path"] == "4.wav").sum() == 1 + 4100 // HOP
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}", "in"]


def test_parquet_and_csv_hold_the_same(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    sound(tmp_path / "a.wav", 5000)
    for name in ("a.csv", "a.parquet"):
        extract(tmp_path / "a.wav", CHEAP, tmp_path / name)
    one, other = table(tmp_path / "a.csv"), table(tmp_path / "a.parquet")
    assert list(one) == list(other) and other["rms_mean"].dtype == np.float64
    for name in set(one) - {"path"}:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-8)


def test_what_cannot_be_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    sound(tmp_path / "a.wav", 5000)
    for kinds, out, rate, reason in (
        ([], "a.csv", RATE, r"kind \(none\): give any of logmel"),
        (["loudness"], "a.csv", RATE, "kind loudness: give any of logmel"),
        (["rms"], "a.xls", RATE, "ends in .parquet or .csv"),
        (["cqt"], "a.csv", 4_000, "cqt"),
    ):
        with pytest.raises(ValueError, match=reason):
            extract(tmp_path / "a.wav", kinds, tmp_path / out, rate=rate)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'ssl-audio\[features\]'"):
        extract(tmp_path / "a.wav", ["rms"], tmp_path / "a.parquet")
    with pytest.raises(FileNotFoundError):
        extract(tmp_path / "nowhere", ["rms"], tmp_path / "a.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli, "compilation_cache", lambda: None)
    sound(tmp_path / "in/a.wav", 5000)
    (tmp_path / "in/b.wav").write_text("no sound")
    cli.main(["features", str(tmp_path / "in"), "--kind", "rms", "zcr", "--out", str(tmp_path / "a.csv")])
    said = capsys.readouterr().out
    assert "1 rows of 1 files, 4 features" in said and "b.wav: not a sound file" in said
    assert list(table(tmp_path / "a.csv")) == ["path", "rms_mean", "zcr_mean", "rms_std", "zcr_std"]
