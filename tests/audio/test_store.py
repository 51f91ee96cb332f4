"""The store: what goes in comes out, nothing is decoded twice, no fault of a build harms the old store."""

import dataclasses
import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ssl_audio.audio import build as building
from ssl_audio.audio import decode as decoding
from ssl_audio.audio.build import build
from ssl_audio.audio.decode import Job, decode, quantise, run
from ssl_audio.audio.scan import scan
from ssl_audio.audio.store import Clip, Store
from ssl_audio.disk import alone

RATE = 16_000


def write(path, frames=800, seed=0, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    x = np.random.default_rng(seed).integers(-9000, 9000, frames).astype(np.int16)
    soundfile.write(path, x, rate)
    return x


def build1(clips, out, **arguments):
    return build(clips, out, workers=1, **arguments)


def files(folder):
    return {p.relative_to(folder): (p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.rglob("*")}


@pytest.fixture
def sounds(tmp_path):
    folder = tmp_path / "sounds"
    for i in range(6):
        write(folder / f"class{i % 2}" / f"{i}.wav", frames=500 + i, seed=i)
    return folder


@pytest.fixture
def forbid_decoding(monkeypatch):
    def forbidden(*_):
        raise AssertionError("decoded again")

    return lambda: monkeypatch.setattr(decoding, "_decode_source", forbidden)


# ---- round trip and reading


@settings(max_examples=15, deadline=None)
@given(
    x=hnp.arrays(np.int16, st.integers(1, 400), elements=st.integers(-32768, 32767)),
    suffix=st.sampled_from(["wav", "flac", "aiff"]),
)
def test_int16_at_the_rate_of_the_store_comes_back_identical(tmp_path_factory, x, suffix):
    folder = tmp_path_factory.mktemp("round")
    soundfile.write(folder / f"a.{suffix}", x, RATE)
    report = build1([Clip(folder / f"a.{suffix}")], folder / "store")
    np.testing.assert_array_equal(Store(folder / "store")[0], x)
    assert report.clamped == 0 and report.clipped == np.count_nonzero(np.abs(x.astype(np.int32)) >= 32767)


def test_reading(sounds, tmp_path):
    report = build1(scan(sounds), tmp_path / "store", title="six")
    store = Store(tmp_path / "store")
    assert (len(store), store.rate, store.hash, store.manifest["title"]) == (6, RATE, report.hash, "six")
    for i in range(6):
        x, _ = soundfile.read(sounds / store.name(i), dtype="int16")
        np.testing.assert_array_equal(store[i], x)
        np.testing.assert_array_equal(store[i, 100, 50], x[100:150])
        np.testing.assert_array_equal(store[np.int64(i), 400, 10**9], x[400:])
        assert len(store[i, 10**9, 5]) == 0 and store.lengths[i] == len(x)
    np.testing.assert_array_equal(store[-1], store[5])
    assert not store[0].flags.writeable and store[0].base is not None
    for bad in (6, -7):
        with pytest.raises(IndexError):
            store[bad]
    with pytest.raises(ValueError, match="negative"):
        store[0, -1, 5]
    assert sum(1 for _ in store) == 6
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store))[3], store[3])


def test_columns(tmp_path):
    for name in "abc":
        write(tmp_path / f"{name}.wav", seed=ord(name))
    clips = [
        Clip(tmp_path / "a.wav", labels={"digit": "7", "who": "zoë"}, fold="2", licence="CC0"),
        Clip(tmp_path / "b.wav", labels={"digit": "3"}, fold="1", group="g"),
        Clip(tmp_path / "c.wav", labels={"digit": "7", "who": ""}, name="sea"),
    ]
    build1(clips, tmp_path / "store")
    store = Store(tmp_path / "store")
    assert store.columns == ("digit", "who", "fold", "group", "licence")
    assert store.names("digit") == ["3", "7"] and store.codes("digit").tolist() == [1, 0, 1]
    assert store.codes("digit").dtype == np.int32
    assert store.codes("who").tolist() == [0, -1, -1] and store.values("who").tolist() == ["zoë", "", ""]
    assert store.values("group").tolist() == ["a.wav", "g", "c.wav"]  # by default the file, relative
    assert store.values("fold").tolist() == ["2", "1", ""]
    assert [store.name(i) for i in range(3)] == ["a.wav", "b.wav", "sea"]
    assert store.manifest["licences"] == {"": 2, "CC0": 1}
    with pytest.raises(ValueError, match="no column 'speaker'; there are digit, who"):
        store.codes("speaker")


def test_quantise_rounds_to_nearest_and_counts_what_it_clamps():
    x = np.array([0.0, 0.4, 0.6, -0.6, 32767.4, 32768.0, 1e6, -32768.4, -1e6], np.float32) / np.float32(32768)
    y, clamped = quantise(x)
    assert y.tolist() == [0, 0, 1, -1, 32767, 32767, 32767, -32768, -32768] and clamped == 3


def test_clips_fill_shards_up_to_the_limit_and_a_longer_one_has_its_own(sounds, tmp_path, monkeypatch):
    whole = build1(scan(sounds), tmp_path / "one")
    monkeypatch.setattr(building, "SHARD", 1004)
    monkeypatch.setattr(building, "_COPY", 100)
    write(sounds / "class0" / "2.wav", frames=5000, seed=9)
    build1(scan(sounds), tmp_path / "many")
    store = Store(tmp_path / "many")
    sizes = [len(np.load(store.path / name)) for name in store.manifest["shards"]]
    assert sizes == [500, 5000, 504, 501 + 503, 505]
    for i in range(6):
        np.testing.assert_array_equal(store[i], soundfile.read(sounds / store.name(i), dtype="int16")[0])
    write(sounds / "class0" / "2.wav", frames=502, seed=2)
    again = build1(scan(sounds), tmp_path / "many")
    assert again.hash == whole.hash  # how it lies on the disk isn't what it holds


def test_opening_what_is_not_a_store(tmp_path):
    with pytest.raises(FileNotFoundError, match="no store here"):
        Store(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        Store(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="format 99"):
        Store(tmp_path)


@pytest.mark.parametrize(
    "arguments", [{"start": -1.0}, {"start": float("nan")}, {"duration": 0.0}, {"labels": {"fold": "1"}}]
)
def test_impossible_clips(arguments):
    with pytest.raises(ValueError, match=r"a\.wav"):
        Clip("a.wav", **arguments)


# ---- scanning


def test_scan_a_folder(tmp_path):
    for name in ("b/2.wav", "a/deep/1.FLAC", "top.wav", "a/same.wav", "b/same.wav"):
        write(tmp_path / name)
    (tmp_path / "a" / "readme.txt").write_text("no sound")
    (tmp_path / "a" / "film.m4a").write_text("not for libsndfile")
    (tmp_path / "b" / "up").symlink_to(tmp_path)  # a loop
    (tmp_path / "c").symlink_to(tmp_path / "a")
    clips = scan(tmp_path)
    names = (
        "a/deep/1.FLAC a/film.m4a a/same.wav b/2.wav b/same.wav c/deep/1.FLAC c/film.m4a c/same.wav top.wav"
    )
    assert [clip.name for clip in clips] == names.split()
    assert [clip.labels.get("label") for clip in clips] == [*"aaabbccc", None]
    assert all(clip.group == clip.name for clip in clips)


def test_scan_nothing(tmp_path):
    with pytest.raises(ValueError, match="no sound files"):
        scan(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        scan(tmp_path / "absent")


def test_scan_does_not_read_a_store_as_sounds(sounds):
    build1(scan(sounds), sounds / "store")
    write(sounds / "store" / "x.wav")
    assert len(scan(sounds)) == 6


def test_scan_a_csv(tmp_path):
    x = write(tmp_path / "sub" / "a b.wav", frames=RATE)
    rows = (
        "path,start,duration,fold,species",
        "sub/a b.wav,0.25,0.5,1,wren",
        "sub/a b.wav,,,2,",
        "absent.wav,,,,",
    )
    (tmp_path / "clips.csv").write_text("\n".join(rows), encoding="utf-8-sig")
    clips = scan(tmp_path / "clips.csv")
    assert [(c.start, c.duration, c.fold, c.labels["species"]) for c in clips] == [
        (0.25, 0.5, "1", "wren"),
        (0.0, None, "2", ""),
        (0.0, None, "", ""),
    ]
    report = build1(clips, tmp_path / "store")
    store = Store(tmp_path / "store")
    np.testing.assert_array_equal(store[0], x[4000:12_000])
    np.testing.assert_array_equal(store[1], x)
    assert [store.name(0), store.name(1)] == ["sub/a b.wav@0.25", "sub/a b.wav"]
    assert set(store.values("group")) == {"sub/a b.wav"}  # cuts of a file stay together
    assert report.refused == (("absent.wav", "no such file"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.wav,x\n", "line 1: no column 'path'"),
        ("", "line 1: no column 'path'"),
        ("path,label,label\na.wav,x,y\n", "line 1: a column is named twice"),
        ("path,start\na.wav,0\nb.wav,soon\n", "line 3: start is 'soon'"),
        ("path,start\na.wav,-1\n", "line 2: .*start is -1"),
        ("path,duration\na.wav,0\n", "line 2: .*duration is 0"),
        ("path,label\na.wav\n", "line 2: 1 values for 2 columns"),
        ("path,label\na.wav,x,y\n", "line 2: 3 values for 2 columns"),
        ("path,label\n\n,x\n", "line 3: path is empty"),
        ("path,label\n", "no clips"),
    ],
)
def test_bad_csv_rows_are_told_by_line(tmp_path, text, message):
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        scan(tmp_path / "c.csv")


def test_a_csv_that_is_no_text(tmp_path):
    (tmp_path / "c.csv").write_bytes(b"path\n\xff\xfe.wav\n")
    with pytest.raises(ValueError, match="not utf-8"):
        scan(tmp_path / "c.csv")


def test_absolute_paths_in_a_csv_do_not_reach_the_store(sounds, tmp_path):
    rows = "\n".join(str(path) for path in sorted(sounds.rglob("*.wav")))
    (tmp_path / "c.csv").write_text(f"path\n{rows}\n")
    build1(scan(tmp_path / "c.csv"), tmp_path / "store")
    assert Store(tmp_path / "store").name(0) == "class0/0.wav"
    for file in (tmp_path / "store").rglob("*.json*"):
        assert str(tmp_path) not in file.read_text()


# ---- refusals and the report


def test_refused_files_are_named_with_the_reason_and_the_rest_is_stored(sounds, tmp_path):
    (sounds / "empty.wav").write_bytes(b"")
    (sounds / "text.wav").write_text("words")
    (sounds / "folder.wav").mkdir()
    (sounds / "link.wav").symlink_to("nowhere")
    bad = np.zeros(1000, np.float32)
    soundfile.write(sounds / "nan.wav", bad + np.nan, RATE, subtype="FLOAT")
    soundfile.write(sounds / "loud.wav", bad + 1.5, RATE, subtype="FLOAT")
    (sounds / "twin.wav").write_bytes((sounds / "class0" / "0.wav").read_bytes())
    x, _ = soundfile.read(sounds / "class0" / "0.wav", dtype="int16")
    soundfile.write(sounds / "other format.flac", x, RATE)
    (sounds / "other format.flac").rename(sounds / "really flac.wav")
    report = build1(scan(sounds), tmp_path / "store")
    assert {name for name, _ in report.refused} == {
        "empty.wav",
        "text.wav",
        "folder.wav",
        "link.wav",
        "nan.wav",
    }
    assert dict(report.refused)["empty.wav"] == "empty file"
    assert report.duplicates == (("really flac.wav", "class0/0.wav"), ("twin.wav", "class0/0.wav"))
    assert report.notes == (("really flac.wav", "named .wav, is flac"),)
    assert (report.clips, report.clipped, report.clipped_clips, report.clamped) == (9, 1000, 1, 1000)
    store = Store(tmp_path / "store")
    assert dict(store.manifest["refused"]) == dict(report.refused) and len(store) == 9
    assert len(store.manifest["shards"]) == 1
    assert (
        len(np.load(store.path / store.manifest["shards"][0])) == store.lengths.sum() - 2 * 500
    )  # sound once
    text = str(report)
    for part in ("9 clips", "empty.wav: empty file", "twin.wav = class0/0.wav", "clamped: 1,000"):
        assert part in text


def test_a_folder_in_which_nothing_decodes_is_an_error_that_says_so(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").write_text("words")
    (tmp_path / "in" / "b.wav").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"none of 2 clips could be decoded \(a\.wav: not a sound file.*b\.wav: empty"
    ):
        build1(scan(tmp_path / "in"), tmp_path / "store")
    assert not (tmp_path / "store").exists()
    with pytest.raises(ValueError, match="no clips"):
        build1([], tmp_path / "store")


def test_a_folder_of_something_else_is_left_alone(sounds, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.json").write_text("{}")
    with pytest.raises(ValueError, match="not a store"):
        build1(scan(sounds), tmp_path / "mine")
    assert (tmp_path / "mine" / "manifest.json").read_text() == "{}"


# ---- rebuilding


def test_rebuilding_changes_nothing_and_decodes_nothing(sounds, tmp_path, forbid_decoding):
    first = build1(scan(sounds), tmp_path / "store")
    before = files(tmp_path / "store")
    forbid_decoding()
    second = build1(scan(sounds), tmp_path / "store")
    assert files(tmp_path / "store") == before
    assert (second.hash, second.changed, second.decoded, second.copied) == (first.hash, False, 0, 6)
    assert first.changed and "unchanged" in str(second)


def test_a_rebuild_decodes_only_new_content(sounds, tmp_path):
    build1(scan(sounds), tmp_path / "store")
    old = Store(tmp_path / "store")
    write(sounds / "class0" / "2.wav", seed=77)
    write(sounds / "class2" / "new.wav", seed=78)
    (sounds / "class0" / "0.wav").rename(sounds / "moved.wav")
    (sounds / "class1" / "1.wav").unlink()
    report = build1(scan(sounds), tmp_path / "store")
    assert (report.decoded, report.copied, report.clips) == (2, 4, 6)
    assert report.removed == 2 and "removed: 2 clips that were in it before" in str(report)
    fresh = build1(scan(sounds), tmp_path / "fresh")
    assert report.hash == fresh.hash != old.hash
    assert {p.name for p in (tmp_path / "store").iterdir()} == {
        p.name for p in (tmp_path / "fresh").iterdir()
    }
    assert len(old[0]) == 500  # open before the rebuild: still readable


def test_changing_a_label_changes_the_hash_and_copies_no_sound(sounds, tmp_path, forbid_decoding):
    first = build1(scan(sounds), tmp_path / "store")
    shard = next((tmp_path / "store").glob("shard-*")).stat().st_ino
    forbid_decoding()
    (sounds / "class1").rename(sounds / "bells")
    clips = sorted(scan(sounds), key=lambda clip: Path(clip.path).name)
    clips = sorted(clips, key=lambda clip: clip.labels["label"] == "bells")
    second = build1(clips, tmp_path / "store")
    assert second.hash != first.hash
    assert next((tmp_path / "store").glob("shard-*")).stat().st_ino == shard
    assert Store(tmp_path / "store").names("label") == ["bells", "class0"]


def test_the_hash_is_of_the_content_not_of_place_time_or_processes(sounds, tmp_path):
    first = build1(scan(sounds), tmp_path / "store")
    sounds.rename(tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere").rglob("*.wav"):
        os.utime(path, (1, 1))
    assert build(scan(tmp_path / "elsewhere"), tmp_path / "other", workers=2).hash == first.hash
    assert build1(scan(tmp_path / "elsewhere"), tmp_path / "third", rate=8000).hash != first.hash


def test_the_hash_depends_on_all_that_a_reader_sees(tmp_path):
    write(tmp_path / "a.wav", frames=800)
    write(tmp_path / "b.wav", frames=800, seed=1)
    clip = Clip(tmp_path / "a.wav", labels={"x": "1"}, fold="1", group="g", licence="CC0", name="n")
    changes = (
        {},
        {"path": tmp_path / "b.wav"},
        {"duration": 0.04},
        {"labels": {"x": "2"}},
        {"labels": {"y": "1"}},
        {"labels": {"x": ""}},
        {"fold": "2"},
        {"group": "h"},
        {"licence": "BY"},
        {"name": "m"},
    )
    hashes = {
        build1([dataclasses.replace(clip, **change)], tmp_path / str(i)).hash
        for i, change in enumerate(changes)
    }
    assert len(hashes) == len(changes)
    assert build1([clip], tmp_path / "again", title="another title").hash in hashes


def test_a_refused_cut_takes_no_room_in_its_part(tmp_path):
    x = np.zeros(100_000, np.float32)
    x[90_000] = np.nan  # in the second block
    soundfile.write(tmp_path / "a.wav", x, RATE, subtype="FLOAT")
    source = ("sha", str(tmp_path / "a.wav"), [(0.0, None), (0.5, 0.25)])
    (_, _, _, refused), (_, _, _, cut) = decode(Job(str(tmp_path), {"rate": RATE}, [source]))
    assert "NaN" in refused and (cut.offset, cut.length) == (0, 4000)
    assert Path(cut.file).stat().st_size == 8000


def test_another_rate_or_decoder_decodes_again(sounds, tmp_path, monkeypatch):
    build1(scan(sounds), tmp_path / "store")
    assert build1(scan(sounds), tmp_path / "store", rate=8000).decoded == 6
    monkeypatch.setattr(building.soxr, "__version__", "0")
    assert build1(scan(sounds), tmp_path / "store", rate=8000).decoded == 6


def test_a_damaged_store_is_built_again(sounds, tmp_path):
    first = build1(scan(sounds), tmp_path / "store")
    shard = next((tmp_path / "store").glob("shard-*"))
    shard.write_bytes(shard.read_bytes()[:500])
    with pytest.raises(ValueError, match="damaged"):
        Store(tmp_path / "store")
    second = build1(scan(sounds), tmp_path / "store")
    assert second.hash == first.hash and second.decoded == 6
    assert len(Store(tmp_path / "store")[5]) == 505


# ---- faults

SLOW = """
import sys, time
from ssl_audio.audio import decode
from ssl_audio.audio.build import build
from ssl_audio.audio.scan import scan
plain = decode.write
decode.write = lambda *a: (time.sleep(0.05), plain(*a))
build(scan(sys.argv[1]), sys.argv[2], workers=1)
"""


def test_a_killed_build_leaves_the_old_store_and_continues(sounds, tmp_path):
    out = tmp_path / "store"
    old = build1(scan(sounds), out)
    for i in range(40):
        write(sounds / "more" / f"{i}.wav", seed=100 + i)
    environment = {**os.environ, "PYTHONPATH": str(Path(building.__file__).parents[2])}
    child = subprocess.Popen([sys.executable, "-c", SLOW, str(sounds), str(out)], env=environment)
    deadline = time.monotonic() + 60
    while len(list((out / ".build").glob("part-*.json"))) < 2:
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert Store(out).hash == old.hash and len(Store(out)[5]) == 505
    report = build1(scan(sounds), out)
    assert 0 < report.decoded < 40 and report.decoded + report.copied == 46
    assert report.hash == build1(scan(sounds), tmp_path / "fresh").hash
    assert not (out / ".build").exists()


@pytest.mark.parametrize("where", ["part", "shard", "index"])
def test_a_full_disk_leaves_the_old_store_whole(sounds, tmp_path, monkeypatch, where):
    out = tmp_path / "store"
    old = build1(scan(sounds), out)
    before = files(out)
    for i in range(4):
        write(sounds / "more" / f"{i}.wav", seed=100 + i)
    room = 2

    def full(*arguments, **keywords):
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return plain(*arguments, **keywords)

    module, name = {
        "part": (decoding, "write"),
        "shard": (building, "write"),
        "index": (building.np, "save"),
    }[where]
    plain = getattr(module, name)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, full)
        with pytest.raises(OSError, match="no space left; the old store is untouched") as caught:
            build1(scan(sounds), out)
    assert caught.value.errno == errno.ENOSPC
    now = {path: at for path, at in files(out).items() if ".build" not in path.parts}
    assert now == before and Store(out).hash == old.hash
    assert not list((out / ".build").glob("*.writing")) and not list((out / ".build").glob("new-*.npy"))
    report = build1(scan(sounds), out)
    assert report.clips == 10 and report.decoded == (2 if where == "part" else 0)


def test_damaged_parts_are_noticed(sounds, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(building, "_write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            build1(scan(sounds), tmp_path / "store")
    part = next((tmp_path / "store" / ".build").glob("*.pcm"))
    part.write_bytes(bytes(part.stat().st_size))
    with pytest.raises(OSError, match="damaged sound of class"):
        build1(scan(sounds), tmp_path / "store")


def test_a_second_build_of_one_store_is_refused(sounds, tmp_path):
    build1(scan(sounds), tmp_path / "store")
    lock = alone(tmp_path / "store" / ".lock", "the test has it")
    with lock, pytest.raises(BlockingIOError, match="another build"):
        build1(scan(sounds), tmp_path / "store")
    assert not build1(scan(sounds), tmp_path / "store").changed


def test_a_process_that_dies_costs_only_its_piece():
    jobs = [f"{i} + 1" for i in range(12)]
    jobs[5] = "__import__('os')._exit(1)"
    results = dict(run(eval, jobs, 2, lambda job: [job]))
    assert results == {job: (None if i == 5 else i + 1) for i, job in enumerate(jobs)}


def test_workers_do_not_import_jax(tmp_path, monkeypatch):
    (tmp_path / "script.py").write_text("import jax\n")
    script = types.ModuleType("__main__")  # a spawned process would run it again
    script.__file__ = str(tmp_path / "script.py")
    monkeypatch.setitem(sys.modules, "__main__", script)
    job = "(__import__('ssl_audio.audio.build'), 'jax' in __import__('sys').modules)[1]"
    assert dict(run(eval, [job, job + " "], 2, lambda job: [job])) == {job: False, job + " ": False}


def test_an_error_in_a_worker_is_raised_here():
    with pytest.raises(ZeroDivisionError):
        list(run(eval, ["1", "1/0"], 2, lambda job: [job]))


def test_many_cuts_of_one_file_in_several_processes(tmp_path):
    x = write(tmp_path / "long.wav", frames=RATE)
    clips = [Clip(tmp_path / "long.wav", start=i / 1000, duration=0.01) for i in range(600)]
    build(clips, tmp_path / "store", workers=2)
    store = Store(tmp_path / "store")
    assert len(store) == 600 and len(set(store.values("group"))) == 1
    for i in (0, 255, 256, 599):
        np.testing.assert_array_equal(store[i], x[16 * i : 16 * i + 160])
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert manifest["clips"] == 600


def test_a_part_that_a_power_cut_emptied_is_decoded_again(sounds, tmp_path):
    build1(scan(sounds), tmp_path / "whole")
    parts = tmp_path / "store" / ".build"
    parts.mkdir(parents=True)
    (tmp_path / "store" / ".lock").touch()
    (parts / "part-00.json").write_text("")
    (parts / "part-00.pcm").write_bytes(b"")
    assert building._known_from_parts(parts, {}) == {}
    assert not (parts / "part-00.json").exists()


def test_cuts_have_names_of_their_own(tmp_path):
    """Starts that are alike to six digits, and cuts of one start and two lengths."""
    write(tmp_path / "a.wav", frames=4000)
    at = [(0.1234561, 0.05), (0.1234562, 0.05), (0.05, 0.05), (0.05, 0.1)]
    clips = [Clip(tmp_path / "a.wav", start=start, duration=length) for start, length in at]
    build1(clips, tmp_path / "store", rate=RATE)
    store = Store(tmp_path / "store")
    names = [store.name(i) for i in range(4)]
    assert names == ["a.wav@0.1234561", "a.wav@0.1234562", "a.wav@0.05+0.05", "a.wav@0.05+0.1"]


def test_a_title_that_is_no_text_costs_nothing(sounds, tmp_path):
    build1(scan(sounds), tmp_path / "store", title="aufn\udcfc")
    assert len(Store(tmp_path / "store")) == 6


def test_sounds_of_all_endings_that_are_decoded_are_found(tmp_path):
    for name in ("a.au", "b.caf", "c.w64", "d.rf64", "e.snd"):
        kind = {"snd": "AU", "rf64": "RF64"}.get(name[2:], name[2:].upper())
        soundfile.write(tmp_path / name, np.zeros(800) + 0.1, RATE, format=kind)
    (tmp_path / "f.m4b").write_bytes(b"x")
    report = build1(scan(tmp_path), tmp_path / "out" / "store")
    assert len(Store(tmp_path / "out" / "store")) == 5 and [name for name, _ in report.refused] == ["f.m4b"]
