"""Hostile files: whatever is done to a sound file, it is decoded to what it says it holds, or refused.

Decoding runs in a process of its own, so that a crash or a hang of a decoder fails the test and not the
session. `pytest -m nightly tests/audio/test_fuzz.py` tries 2,000 files of each format.
"""

import functools
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssl_audio.audio.files import Refused, Sound

RATE, FRAMES = 16_000, 16_000
FORMATS = {
    "wav": dict(format="WAV", subtype="PCM_16"),
    "wav-float": dict(format="WAV", subtype="FLOAT"),
    "wavex": dict(format="WAVEX", subtype="PCM_24"),
    "rf64": dict(format="RF64", subtype="PCM_16"),
    "aiff": dict(format="AIFF", subtype="PCM_16"),
    "aifc": dict(format="AIFF", subtype="FLOAT"),
    "flac": dict(format="FLAC", subtype="PCM_16"),
    "vorbis": dict(format="OGG", subtype="VORBIS"),
    "opus": dict(format="OGG", subtype="OPUS"),
    "mp3-cbr": dict(format="MP3", bitrate_mode="CONSTANT"),
    "mp3-vbr": dict(format="MP3", bitrate_mode="VARIABLE"),
}
FFMPEG = {  # by way of ffmpeg
    "m4a": (".m4a", "-c:a aac -movflags +faststart"),
    "alac": (".m4a", "-c:a alac"),
    "adts": (".aac", "-c:a aac"),
    "webm": (".webm", "-c:a libopus"),
}
CHECKED = ("flac", "vorbis", "opus")  # by checksums: what is decoded is what was written
SECONDS = 5  # of computing that no file may take
PATIENCE = 120  # seconds to wait for it, on a machine that does other things too


@functools.cache
def whole(name):
    """A file of the format, as bytes."""
    folder = os.environ["SSL_AUDIO_FUZZ"]
    rng = np.random.default_rng(0)
    tone = 0.3 * np.sin(2 * np.pi * 440 / RATE * np.arange(FRAMES))[:, None] * [[1.0, 0.5]]
    x = tone + 0.03 * rng.standard_normal((FRAMES, 2))
    path = os.path.join(folder, "whole")
    if name in FORMATS:
        soundfile.write(path, x, RATE, **FORMATS[name])
    else:
        if shutil.which("ffmpeg") is None:
            pytest.skip("no ffmpeg on the PATH")
        suffix, arguments = FFMPEG[name]
        soundfile.write(path + ".wav", x, RATE)
        command = ["ffmpeg", "-v", "error", "-y", "-i", path + ".wav", *arguments.split(), path + suffix]
        if subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode:
            pytest.skip(f"this ffmpeg doesn't encode {name}")
        path += suffix
    with open(path, "rb") as file:
        return file.read()


# ---- the process that decodes


def used():
    """Seconds of computing by this process and those that it started and waited for."""
    each = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in each)


def serve(connection):
    """Answers paths with (reason, None, seconds), or ("", (frames, samples at the file's rate), seconds)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders comment on damaged files
    while True:
        path, begun = connection.recv(), used()
        if path is None:
            os.abort()  # as a decoder that crashes
        try:
            with Sound(path) as sound:
                found = sound.frames, np.concatenate(list(sound.blocks(sound.rate)))
            connection.send(("", found, used() - begun))
        except Refused as reason:
            connection.send((str(reason), None, used() - begun))
        except Exception as error:
            connection.send((f"!{type(error).__name__}: {error}", None, used() - begun))


class Decoder:
    """The process; started anew when it died."""

    def __init__(self, path):
        self.path, self.process = path, None

    def ask(self, content):
        """(reason, found) for a file of this content; AssertionError where it crashes or hangs."""
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.connection, theirs = context.Pipe()
            self.process = context.Process(target=serve, args=(theirs,), daemon=True)
            self.process.start()
            theirs.close()
        if content is not None:
            with open(self.path, "wb") as file:
                file.write(content)
        self.connection.send(None if content is None else self.path)
        try:
            assert self.connection.poll(PATIENCE), "hangs"
            reason, found, seconds = self.connection.recv()
        except (AssertionError, EOFError) as error:
            self.end()
            raise AssertionError(str(error) or "the process that decodes died") from None
        assert seconds < SECONDS, f"took {seconds} s"
        return reason, found

    def end(self):
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    os.environ["SSL_AUDIO_FUZZ"] = str(folder)
    # a process that this spawns imports this module, and not what pytest runs as its main one
    main, sys.modules["__main__"] = sys.modules["__main__"], sys.modules[__name__]
    decoder = Decoder(str(folder / "file"))
    try:
        yield decoder
    finally:
        decoder.end()
        sys.modules["__main__"] = main


# ---- what is done to files

PLACES = st.one_of(st.integers(0, 160), st.integers(0, 2**20))  # headers, anywhere
NUMBERS = st.one_of(
    st.sampled_from(
        [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0"]
    ),
    st.binary(min_size=1, max_size=8),
)
CHANGES = st.one_of(
    st.tuples(st.just("flip"), PLACES, st.integers(0, 7)),
    st.tuples(st.just("cut"), st.integers(0, 2**20), st.none()),
    st.tuples(st.just("write"), st.integers(0, 160), NUMBERS),
    st.tuples(st.just("splice"), PLACES, st.binary(max_size=600)),
    st.tuples(st.just("insert"), PLACES, st.binary(max_size=600)),
    st.tuples(st.just("repeat"), PLACES, st.integers(1, 4000)),
    st.tuples(st.just("drop"), PLACES, st.integers(1, 4000)),
    st.tuples(st.just("zero"), PLACES, st.integers(1, 4000)),
)
DAMAGE = st.lists(CHANGES, min_size=1, max_size=4)


def damaged(content, changes):
    """The file after the changes (kind, place, value)."""
    data = bytearray(content)
    for kind, place, value in changes:
        at = place % max(len(data), 1)
        if kind == "flip" and data:
            data[at] ^= 1 << value
        elif kind == "cut":
            del data[at:]
        elif kind in ("write", "splice"):
            data[at : at + len(value)] = value
        elif kind == "insert":
            data[at:at] = value
        elif kind == "repeat":
            data[at:at] = data[at : at + value]
        elif kind == "drop":
            del data[at : at + value]
        elif kind == "zero":
            data[at : at + value] = bytes(len(data[at : at + value]))
    return bytes(data)


def check(decoder, name, changes):
    """The property."""
    content = damaged(whole(name), changes)
    reason, found = decoder.ask(content)
    assert not reason.startswith("!"), reason
    if found is None:
        assert reason and reason.isprintable(), reason
        return
    frames, x = found
    assert len(x) == frames and np.isfinite(x).all()
    if name in CHECKED or all(kind == "cut" for kind, *_ in changes):
        undamaged = original(decoder, name)
        assert np.array_equal(x, undamaged[: len(x)]), "other samples"
        assert len(x) == len(undamaged) or any(kind != "cut" for kind, *_ in changes), "truncated in silence"


@functools.cache
def original(decoder, name):
    reason, found = decoder.ask(whole(name))
    assert reason == "" and abs(len(found[1]) - FRAMES * (3 if name == "webm" else 1)) < 2048 * 3
    return found[1]


quiet = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", [*FORMATS, *FFMPEG])
@given(changes=DAMAGE)
@settings(quiet, max_examples=14, derandomize=True, database=None)
def test_damaged_files_are_decoded_as_they_say_or_refused(decoder, name, changes):
    check(decoder, name, changes)


@pytest.mark.nightly
@pytest.mark.parametrize("name", [*FORMATS, *FFMPEG])
@given(changes=DAMAGE)
@settings(quiet, max_examples=2000)
def test_many_damaged_files_are_decoded_as_they_say_or_refused(decoder, name, changes):
    check(decoder, name, changes)


@pytest.mark.parametrize("name", FORMATS)
def test_no_part_of_a_file_is_taken_for_the_whole(decoder, name):
    content = whole(name)
    undamaged = original(decoder, name)
    for length in np.linspace(1, len(content) - 1, 40, dtype=int):
        reason, found = decoder.ask(content[:length])
        refused = reason and not reason.startswith("!")
        assert refused or np.array_equal(found[1], undamaged), length


def test_a_crash_is_seen(decoder):
    decoder.ask(whole("wav"))
    with pytest.raises(AssertionError, match="died"):
        decoder.ask(None)
    assert decoder.ask(whole("wav"))[0] == ""
