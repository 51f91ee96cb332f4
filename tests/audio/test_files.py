"""Decoding: rates, formats and levels come out right; what isn't sound is refused with the reason."""

import os
import shutil

import numpy as np
import pytest
import soundfile
import soxr

from ssl_audio.audio.files import Refused, Sound, remark, wave

FORMATS = ("wav", "flac", "ogg", "mp3", "aiff")


def noise(frames, channels=1, seed=0):
    x = np.random.default_rng(seed).standard_normal((frames, channels)) * 0.1
    return x.astype(np.float32)


def refusal(path, rate=16_000, start=0.0, duration=None):
    with pytest.raises(Refused) as caught:
        wave(path, rate, start, duration)
    return str(caught.value)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_every_format_gives_the_tone_at_the_wanted_rate(tmp_path, suffix, rate):
    t = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 1000 * t)
    soundfile.write(tmp_path / f"a.{suffix}", np.stack([tone, tone], 1), rate)
    x = wave(tmp_path / f"a.{suffix}", 16_000)
    assert x.dtype == np.float32 and abs(len(x) - 16_000) <= 1
    level = np.sqrt(np.mean(x[2000:-2000] ** 2))
    spectrum = np.abs(np.fft.rfft(x[:16_000]))
    assert spectrum.argmax() == 1000 and abs(level - 0.5 / np.sqrt(2)) < 0.01


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_eight_bits_to_float_within_one_step(tmp_path, subtype):
    x = noise(5000)
    soundfile.write(tmp_path / "a.wav", x, 16_000, subtype=subtype)
    bits = {"PCM_U8": 8, "PCM_16": 16}.get(subtype, 24)
    assert np.abs(wave(tmp_path / "a.wav", 16_000) - x[:, 0]).max() <= 2.0 ** (1 - bits)


def test_mono_is_the_mean_of_the_channels(tmp_path):
    x = noise(5000, channels=5)
    soundfile.write(tmp_path / "a.wav", x, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(wave(tmp_path / "a.wav", 16_000), x.mean(1), atol=1e-7)


@pytest.mark.parametrize("rate", [8_000, 11_025, 48_000])
def test_blocks_joined_equal_resampling_at_once(tmp_path, rate):
    x = noise(600_000, seed=1)  # several blocks
    soundfile.write(tmp_path / "a.wav", x, rate, subtype="FLOAT")
    with Sound(tmp_path / "a.wav") as sound:
        blocks = list(sound.blocks(16_000))
    assert len(blocks) > 2 and min(len(block) for block in blocks) > 0
    np.testing.assert_allclose(np.concatenate(blocks), soxr.resample(x[:, 0], rate, 16_000, "HQ"), atol=1e-6)


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff"])
def test_a_cut_is_a_slice(tmp_path, suffix):
    soundfile.write(tmp_path / f"a.{suffix}", noise(40_000), 16_000)
    path = tmp_path / f"a.{suffix}"
    whole = wave(path, 16_000)
    np.testing.assert_array_equal(wave(path, 16_000, 0.5, 1.0), whole[8000:24_000])
    np.testing.assert_array_equal(wave(path, 16_000, 2.0, 9.0), whole[32_000:])  # past the end: to the end
    with Sound(path) as sound:  # in any order, from one open file
        np.testing.assert_array_equal(
            np.concatenate(list(sound.blocks(16_000, 1.0, 0.1))), whole[16_000:17_600]
        )
        np.testing.assert_array_equal(np.concatenate(list(sound.blocks(16_000, 0.0, 0.1))), whole[:1600])
    assert "begins at 2.5 s, the file ends at 2.5 s" in refusal(path, start=2.5)


@pytest.mark.parametrize(
    ("subtype", "top"), [("PCM_16", 32767 / 32768), ("PCM_U8", 127 / 128), ("FLOAT", 1.0)]
)
def test_samples_at_full_scale_are_counted_before_the_mix(tmp_path, subtype, top):
    x = np.zeros((1000, 2), np.float32)
    x[10:13, 0] = top
    x[20:22, 1] = -1.0
    x[30, 0] = top - 2.0**-6
    soundfile.write(tmp_path / "a.wav", x, 16_000, subtype=subtype)
    with Sound(tmp_path / "a.wav") as sound:
        list(sound.blocks(8_000))
        assert sound.clipped == 5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused_with_the_place(tmp_path, bad):
    x = noise(40_000)
    x[20_000] = bad
    soundfile.write(tmp_path / "a.wav", x, 16_000, subtype="FLOAT")
    assert refusal(tmp_path / "a.wav") == "NaN or infinite samples, first at 1.250 s"
    assert len(wave(tmp_path / "a.wav", 16_000, 0.0, 1.0)) == 16_000  # not in this cut


@pytest.mark.parametrize("suffix", [*FORMATS, "opus"])
@pytest.mark.parametrize("part", [0.9, 0.5])
def test_truncated_files_are_refused(tmp_path, suffix, part):
    kind = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
    soundfile.write(tmp_path / f"a.{suffix}", noise(40_000), 16_000, **kind)
    content = (tmp_path / f"a.{suffix}").read_bytes()
    assert len(wave(tmp_path / f"a.{suffix}", 16_000)) == 40_000
    (tmp_path / f"t.{suffix}").write_bytes(content[: int(len(content) * part)])
    assert "truncated" in refusal(tmp_path / f"t.{suffix}")


def test_an_ogg_that_ends_with_a_whole_page_that_is_not_the_last_is_truncated(tmp_path):
    soundfile.write(tmp_path / "a.ogg", noise(160_000), 16_000)
    content = (tmp_path / "a.ogg").read_bytes()
    (tmp_path / "a.ogg").write_bytes(content[: content.rfind(b"OggS\0")])
    assert refusal(tmp_path / "a.ogg") == "truncated: the Ogg stream has no end"


def test_a_streamed_wav_of_unknown_length_is_not_truncated(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(4000), 16_000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(content)
    assert len(wave(tmp_path / "a.wav", 16_000)) == 4000


def test_what_is_no_sound_file_is_refused(tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("these are words\n" * 100)
    (tmp_path / "noise.wav").write_bytes(np.random.default_rng(0).bytes(10_000))
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "link.wav").symlink_to("nowhere.wav")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    soundfile.write(tmp_path / "one.wav", np.zeros(1), 192_000)
    reasons = {path.stem: refusal(path) for path in tmp_path.iterdir()}
    assert reasons.pop("text") == reasons.pop("noise")
    assert reasons == {
        "empty": "empty file",
        "folder": "a directory, not a file",
        "link": "broken link",
        "loop": "unreadable (Too many levels of symbolic links)",
        "pipe": "not a regular file",
        "none": "no samples",
        "one": "no samples: 1 at 192000 Hz are none at 16000 Hz",
    }
    assert refusal(tmp_path / "absent.wav") == "no such file"
    assert "libsndfile can decode" in refusal(tmp_path / "text.wav")


def test_unreadable_files_are_refused(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", noise(4000), 16_000)
    (tmp_path / "a.wav").chmod(0)
    if os.access(tmp_path / "a.wav", os.R_OK):  # root reads everything: let open say it instead

        def denied(*args, **kwargs):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("builtins.open", denied)
    assert refusal(tmp_path / "a.wav") == "unreadable (Permission denied)"


def test_content_decides_not_the_extension(tmp_path):
    soundfile.write(tmp_path / "a.flac", noise(4000), 16_000)
    shutil.copy(tmp_path / "a.flac", tmp_path / "a.wav")
    np.testing.assert_array_equal(wave(tmp_path / "a.wav", 16_000), wave(tmp_path / "a.flac", 16_000))
    with Sound(tmp_path / "a.wav") as sound:
        assert remark(sound.path, sound.format) == "named .wav, is flac"
    assert remark("a.FLAC", "FLAC") == "" and remark("a", "OGG") == "named without extension, is ogg"


def test_names_with_spaces_unicode_and_bytes_that_are_no_text(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(4000), 16_000)
    for name in ("two words.wav", "ünï 音.wav", os.fsdecode(b"\xff\xfe.wav")):
        shutil.copy(tmp_path / "a.wav", tmp_path / name)
        assert len(wave(tmp_path / name, 16_000)) == 4000


def test_formats_that_cannot_be_sought_in_are_read(tmp_path):
    """GSM of telephones: whole, and cut, forwards and again from the beginning."""
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 8000)
    soundfile.write(tmp_path / "a.wav", tone, 8000, subtype="GSM610")
    whole = wave(tmp_path / "a.wav", 8000)
    assert len(whole) >= 16_000
    np.testing.assert_array_equal(wave(tmp_path / "a.wav", 8000, 1.0, 0.5), whole[8000:12_000])
    with Sound(tmp_path / "a.wav") as sound:
        for start in (1.0, 0.25):
            (cut,) = sound.blocks(8000, start, 0.5)
            np.testing.assert_array_equal(cut, whole[round(8000 * start) :][:4000])
