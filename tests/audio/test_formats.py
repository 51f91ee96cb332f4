"""Every format: real files, written by other programs' encoders, come back as what went in."""

import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from ssl_audio.audio.files import Refused, Sound, remark, wave

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on the PATH")
LOSSLESS = {  # name: (arguments of soundfile.write, bits that it keeps; 0: float)
    "wav-8": (dict(format="WAV", subtype="PCM_U8"), 8),
    "wav-16": (dict(format="WAV", subtype="PCM_16"), 16),
    "wav-24": (dict(format="WAV", subtype="PCM_24"), 24),
    "wav-32": (dict(format="WAV", subtype="PCM_32"), 24),
    "wav-float32": (dict(format="WAV", subtype="FLOAT"), 0),
    "wav-float64": (dict(format="WAV", subtype="DOUBLE"), 0),
    "rf64-16": (dict(format="RF64", subtype="PCM_16"), 16),
    "rf64-float32": (dict(format="RF64", subtype="FLOAT"), 0),
    "wavex-24": (dict(format="WAVEX", subtype="PCM_24"), 24),
    "wavex-float32": (dict(format="WAVEX", subtype="FLOAT"), 0),
    "flac-8": (dict(format="FLAC", subtype="PCM_S8"), 8),
    "flac-16": (dict(format="FLAC", subtype="PCM_16"), 16),
    "flac-24": (dict(format="FLAC", subtype="PCM_24"), 24),
    "aiff-8": (dict(format="AIFF", subtype="PCM_S8"), 8),
    "aiff-16": (dict(format="AIFF", subtype="PCM_16"), 16),
    "aiff-24": (dict(format="AIFF", subtype="PCM_24"), 24),
    "aifc-16": (dict(format="AIFF", subtype="PCM_16", endian="LITTLE"), 16),
    "aifc-float32": (dict(format="AIFF", subtype="FLOAT"), 0),
    "aifc-float64": (dict(format="AIFF", subtype="DOUBLE"), 0),
}
LOSSY = {  # name: (arguments, most channels, signal over error in dB of the tones, at least)
    "vorbis": (dict(format="OGG", subtype="VORBIS"), 8, 14),
    "opus": (dict(format="OGG", subtype="OPUS"), 2, 14),
    "mp3-cbr": (dict(format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT"), 2, 14),
    "mp3-vbr": (dict(format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="VARIABLE"), 2, 14),
}
FFMPEG = {  # name: (suffix, ffmpeg's arguments, our name of it, frames it may add, signal over error in dB)
    "aac": ("m4a", "-c:a aac -b:a 192k", "MP4", 1024, 25),
    "aac-at-the-end": ("m4a", "-c:a aac -b:a 192k -movflags +faststart", "MP4", 1024, 25),
    "alac": ("m4a", "-c:a alac", "MP4", 0, 80),
    "adts": ("aac", "-c:a aac -b:a 192k", "AAC", 2048, 25),
    "webm": ("webm", "-c:a libopus -b:a 128k", "MATROSKA", 960, 14),
    "wma": ("wma", "-b:a 192k", "ASF", 4096, 14),
    "wavpack": ("wv", "", "WAVPACK", 0, 80),
    "ac3": ("ac3", "-b:a 256k", "AC3", 1536, 14),
}


def tones(rate, frames, channels):
    """Three steady tones below 0.4 of the rate, of another level in each channel; float32 [t c]."""
    t = np.arange(frames)[:, None] / rate
    level = 0.25 / (1 + np.arange(channels)[None])
    return sum(level * np.sin(2 * np.pi * share * rate * t + share) for share in (0.02, 0.09, 0.19)).astype(
        "f4"
    )


def over_error(x, y):
    """Level of x over that of y - x, in dB, without the ends."""
    n = min(len(x), len(y))
    x, y = x[n // 10 : n * 9 // 10], y[n // 10 : n * 9 // 10]
    return 10 * np.log10(np.sum(x.astype(float) ** 2) / np.sum((x.astype(float) - y) ** 2))


def refusal(path):
    with pytest.raises(Refused) as caught, Sound(path) as sound:
        list(sound.blocks(16_000))
    return str(caught.value)


@pytest.fixture
def no_ffmpeg(monkeypatch):
    """A machine without ffmpeg."""
    monkeypatch.setenv("PATH", "")


def same_level(x, y, within=0.5):
    assert abs(20 * np.log10(np.std(y) / np.std(x))) < within


# ---- what libsndfile decodes


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_come_back_exactly(tmp_path, name, channels):
    kind, bits = LOSSLESS[name]
    x = tones(44_100, 3000, channels)
    if bits:
        x = (np.round(x * 2.0 ** (bits - 1)) / 2.0 ** (bits - 1)).astype("f4")
    soundfile.write(tmp_path / "a", x, 44_100, **kind)
    with Sound(tmp_path / "a") as sound:
        assert (sound.rate, sound.channels, sound.frames) == (44_100, channels, 3000)
        assert sound.format == kind["format"]
        np.testing.assert_array_equal(np.concatenate(list(sound.blocks(44_100))), x.mean(1, dtype=np.float32))


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("name", LOSSY)
def test_lossy_formats_come_back_as_well_as_they_can(tmp_path, name, channels):
    kind, most, least = LOSSY[name]
    if channels > most:
        pytest.skip(f"{name} holds {most} channels")
    x = tones(48_000, 48_000, channels)
    soundfile.write(tmp_path / "a", x, 48_000, **kind)
    with Sound(tmp_path / "a") as sound:
        assert (sound.rate, sound.channels, sound.frames) == (48_000, channels, 48_000)
        y = np.concatenate(list(sound.blocks(48_000)))
    assert len(y) == 48_000
    mono = x.mean(1)
    assert over_error(mono, y) > least
    same_level(mono, y)


def test_eight_channels_of_opus(tmp_path):
    """Its eighth is for low frequencies only, and tones that channels share are coded coarsely."""
    t = np.arange(48_000)[:, None] / 48_000
    hz = np.array([[1000, 1100, 1200, 1300, 1400, 1500, 1600, 50]])
    soundfile.write(tmp_path / "a", np.sin(2 * np.pi * hz * t) / 8, 48_000, **LOSSY["opus"][0])
    with Sound(tmp_path / "a") as sound:
        assert (sound.channels, sound.frames) == (8, 48_000)
        spectrum = np.abs(np.fft.rfft(np.concatenate(list(sound.blocks(48_000))))) / 24_000
    np.testing.assert_allclose(spectrum[hz[0]], 1 / 64, rtol=0.05)


@pytest.mark.parametrize("name", ["wav-16", "wavex-24", "flac-16", "aiff-24", "aifc-float32"])
@pytest.mark.parametrize("rate", [4_000, 96_000, 192_000])
def test_from_4_to_192_khz(tmp_path, name, rate):
    x = 0.5 * np.sin(2 * np.pi * 1000 / rate * np.arange(rate // 2 + 7))
    soundfile.write(tmp_path / "a", np.stack([x] * 8, 1), rate, **LOSSLESS[name][0])
    y = wave(tmp_path / "a", 16_000)
    assert abs(len(y) - (rate // 2 + 7) * 16_000 / rate) <= 1
    there = 0.5 * np.sin(2 * np.pi * 1000 / 16_000 * np.arange(len(y)))
    assert np.abs(y - there)[1000:-1000].max() < 1e-4


@pytest.mark.parametrize(
    ("rate", "to"), [(44_100, 16_000), (48_000, 16_000), (16_000, 8_000), (8_000, 16_000)]
)
def test_resampling_keeps_what_fits_and_nothing_else(tmp_path, rate, to):
    """A sine below 0.9 of the lower Nyquist frequency stays that sine; one above it is gone."""
    band = min(rate, to) / 2
    n = np.arange(rate)
    for hz in (0.1 * band, 0.5 * band, 0.9 * band):
        soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * hz / rate * n), rate, subtype="DOUBLE")
        y = wave(tmp_path / "a.wav", to)
        there = 0.5 * np.sin(2 * np.pi * hz / to * np.arange(len(y)))
        droop = 6e-4 if hz > 0.5 * band else 5e-6  # 0.01 dB, 0.0001 dB
        assert np.abs(y - there)[500:-500].max() < droop, hz
    for hz in (1.1 * band, 1.5 * band) if to < rate else ():
        soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * hz / rate * n), rate, subtype="DOUBLE")
        assert np.abs(wave(tmp_path / "a.wav", to)[500:-500]).max() < 0.5 * 1e-5, hz  # 100 dB below


# ---- what libsndfile would pass over


def frames_of(content):
    """Where the frames of an MP3 of one kind begin: by their first two bytes, which are all the same."""
    return [i for i in range(len(content) - 1) if content[i : i + 2] == content[:2]]


def mp3(path, mode="VARIABLE"):
    """Three seconds; the second half costs few bits, so that an estimate by the first frame is far off."""
    x = 0.1 * np.random.default_rng(0).standard_normal((132_300, 1), np.float32)
    x[len(x) // 2 :] = 0
    soundfile.write(path, x, 44_100, format="MP3", bitrate_mode=mode, compression_level=0)
    return path.read_bytes(), x[:, 0]


def headless(path):
    """A variable-bitrate MP3 whose length no header says."""
    content, x = mp3(path)
    assert b"Xing" in content[:200]
    path.write_bytes(content[frames_of(content)[4] :])  # the first are short: the encoder fills its filters
    return x


def test_an_mp3_that_would_end_early_is_refused_without_ffmpeg(tmp_path, no_ffmpeg):
    headless(tmp_path / "a.mp3")
    assert soundfile.info(tmp_path / "a.mp3").frames < 0.9 * 3 * 44_100
    assert "install ffmpeg" in refusal(tmp_path / "a.mp3")
    content, _ = mp3(tmp_path / "b.mp3")
    (tmp_path / "b.mp3").write_bytes(content + content)
    assert "of which libsndfile decodes 132300: install ffmpeg" in refusal(tmp_path / "b.mp3")


@needs_ffmpeg
def test_an_mp3_that_would_end_early_is_decoded_by_ffmpeg(tmp_path):
    x = headless(tmp_path / "a.mp3")
    with Sound(tmp_path / "a.mp3") as sound:
        y = np.concatenate(list(sound.blocks(44_100)))
        assert sound.frames == len(y) and abs(len(y) - len(x)) < 4 * 1152
    same_level(x, y, within=1.5)  # the highest frequencies are cut


def test_an_mp3_without_a_header_is_as_long_as_its_frames(tmp_path):
    content, _ = mp3(tmp_path / "a.mp3", mode="CONSTANT")
    starts = frames_of(content)
    picture = b"ID3\x04\0\0" + bytes([0, 2, 0, 0]) + bytes(2 << 14)  # libsndfile takes its bytes for sound
    (tmp_path / "a.mp3").write_bytes(picture + content[starts[1] :] + b"TAG".ljust(128, b" "))
    with Sound(tmp_path / "a.mp3") as sound:
        y = np.concatenate(list(sound.blocks(44_100)))
        assert sound.frames == len(y) and len(y) % 1152 == 0 and 0 <= len(y) - 132_300 < 4 * 1152


def test_damage_between_the_frames_of_an_mp3_is_refused(tmp_path):
    content, _ = mp3(tmp_path / "a.mp3", mode="CONSTANT")
    middle = frames_of(content)[50]
    for damaged in (
        content[:middle] + bytes(300) + content[middle + 300 :],
        content[:middle] + b"noise" + content[middle:],
        content[: middle - 40] + content[middle:],
    ):
        (tmp_path / "a.mp3").write_bytes(damaged)
        assert "no whole MPEG frame" in refusal(tmp_path / "a.mp3")
    tag = b"TAG".ljust(128, b" ")  # no damage: two files end to end, each with its tag
    (tmp_path / "a.mp3").write_bytes(content[:middle] + tag + content[middle:])
    assert len(wave(tmp_path / "a.mp3", 44_100)) == 132_300


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_damaged_missing_and_repeated_pages_of_ogg_are_refused(tmp_path, subtype):
    soundfile.write(tmp_path / "a.ogg", tones(48_000, 300_000, 2), 48_000, format="OGG", subtype=subtype)
    content = (tmp_path / "a.ogg").read_bytes()
    pages = [i for i in range(len(content)) if content[i : i + 4] == b"OggS"]
    assert len(pages) > 5 and len(wave(tmp_path / "a.ogg", 48_000)) == 300_000
    one, two = pages[3:5]
    for damaged, reason in (
        (content[: one + 200] + b"\x55" + content[one + 201 :], "fails its checksum"),
        (content[:one] + content[two:], "page is missing"),
        (content[:two] + content[one:], "page is missing"),
        (content[:one] + b"junk" + content[one:], "no Ogg page"),
    ):
        (tmp_path / "a.ogg").write_bytes(damaged)
        assert reason in refusal(tmp_path / "a.ogg"), reason
    (tmp_path / "a.ogg").write_bytes(content + b"TAG".ljust(128, b" "))
    assert len(wave(tmp_path / "a.ogg", 48_000)) == 300_000


def chained(path):
    soundfile.write(path, tones(16_000, 20_000, 1), 16_000, format="OGG")
    path.write_bytes(2 * path.read_bytes())
    assert soundfile.info(path).frames == 20_000


def streamed(path):
    soundfile.write(path, tones(16_000, 20_000, 1), 16_000, format="FLAC")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # STREAMINFO: 36 bits of the number of samples
    content[22:26] = bytes(4)
    path.write_bytes(content)


@pytest.mark.parametrize("make", [chained, streamed])
def test_several_streams_and_unknown_length_are_refused_without_ffmpeg(tmp_path, no_ffmpeg, make):
    make(tmp_path / "a")
    assert "install ffmpeg" in refusal(tmp_path / "a")


@needs_ffmpeg
@pytest.mark.parametrize(("make", "frames"), [(chained, 40_000 - 256), (streamed, 20_000)])
def test_several_streams_and_unknown_length_are_decoded_by_ffmpeg(tmp_path, make, frames):
    make(tmp_path / "a")
    assert len(wave(tmp_path / "a", 16_000)) == frames


def test_a_truncated_rf64_is_refused(tmp_path):
    soundfile.write(tmp_path / "a", tones(16_000, 5000, 2), 16_000, format="RF64", subtype="PCM_16")
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:10_000])
    assert refusal(tmp_path / "a").startswith("truncated: 2474 samples where the header says 5000")


def test_samples_that_no_sound_has_are_refused(tmp_path):
    for level, wrong in ((1e5, False), (3e38, True)):
        soundfile.write(
            tmp_path / "a", np.full((5000, 4), level, "f4"), 16_000, format="WAV", subtype="FLOAT"
        )
        if wrong:
            assert refusal(tmp_path / "a") == "damaged: samples of up to 3e+38, where full scale is 1"
        else:
            np.testing.assert_allclose(wave(tmp_path / "a", 16_000), level)


# ---- what ffmpeg decodes


def encoded(path, arguments, x, rate):
    soundfile.write(path.with_suffix(".wav"), x, rate, subtype="PCM_16")
    command = ["ffmpeg", "-v", "error", "-y", "-i", path.with_suffix(".wav"), *arguments.split(), path]
    if subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode:
        pytest.skip(f"this ffmpeg doesn't encode {arguments or path.suffix}")
    return path


@needs_ffmpeg
@pytest.mark.parametrize("name", FFMPEG)
def test_other_formats_are_decoded_by_ffmpeg(tmp_path, name):
    suffix, arguments, format, more, least = FFMPEG[name]
    rate = 48_000 if name == "webm" else 44_100
    x = tones(rate, rate, 2)
    path = encoded(tmp_path / f"a.{suffix}", arguments, x, rate)
    with Sound(path) as sound:
        assert (sound.rate, sound.channels, sound.format) == (rate, 2, format)
        y = np.concatenate(list(sound.blocks(rate)))
        assert sound.frames == len(y) and abs(len(y) - rate) <= more
        cut = np.concatenate(list(sound.blocks(rate, 0.5, 0.25)))  # forwards, then back to the beginning
        np.testing.assert_array_equal(cut, y[rate // 2 : rate // 2 + rate // 4])
        np.testing.assert_array_equal(np.concatenate(list(sound.blocks(rate, 0.0, 0.1))), y[: rate // 10])
    mono = x.mean(1)
    best = max(range(-more, more + 1), key=lambda lag: np.dot(mono[8000:9000], y[8000 + lag : 9000 + lag]))
    assert over_error(mono[4096:-4096], y[4096 + best : len(mono) - 4096 + best]) > least
    assert remark(path, sound.format) == ""


@needs_ffmpeg
@pytest.mark.parametrize("rate", [8_000, 192_000])
def test_eight_channels_through_ffmpeg(tmp_path, rate):
    x = tones(rate, rate // 2, 8)
    with Sound(encoded(tmp_path / "a.wv", "", x, rate)) as sound:
        assert (sound.rate, sound.channels, sound.frames) == (rate, 8, rate // 2)
        assert over_error(x.mean(1), np.concatenate(list(sound.blocks(rate)))) > 70


@needs_ffmpeg
def test_a_truncated_m4a_is_refused_wherever_it_ends(tmp_path):
    path = encoded(tmp_path / "a.m4a", "-c:a aac -movflags +faststart", tones(16_000, 16_000, 1), 16_000)
    content = path.read_bytes()
    for length in (*range(1, len(content), len(content) // 20), len(content) - 1):
        path.write_bytes(content[:length])
        assert refusal(path)


M4A = b"\0\0\0\x1cftypM4A \0\0\2\0M4A isomiso2" + b"\0\0\0\x10mdatxxxxxxxx"


def test_without_ffmpeg_it_is_said_what_to_do(tmp_path, no_ffmpeg):
    (tmp_path / "a.m4a").write_bytes(M4A)
    said = "install ffmpeg (it is used when on the PATH), or convert it to flac"
    assert refusal(tmp_path / "a.m4a") == f"m4a, which libsndfile can't decode: {said}"
    (tmp_path / "a.m4a").write_bytes(M4A[:-1])
    assert refusal(tmp_path / "a.m4a") == "truncated: 43 bytes, but its box 'mdat' lasts to byte 44"


@needs_ffmpeg
def test_what_ffmpeg_complains_of_is_the_reason(tmp_path):
    (tmp_path / "a.m4a").write_bytes(M4A)
    assert refusal(tmp_path / "a.m4a") == "damaged or truncated (ffmpeg: moov atom not found)"


@needs_ffmpeg
def test_a_list_of_other_files_is_no_sound(tmp_path):
    """ffmpeg would follow it to wherever it points."""
    soundfile.write(tmp_path / "secret.wav", tones(16_000, 1000, 1), 16_000)
    (tmp_path / "a.m4a").write_text(f"ffconcat version 1.0\nfile {tmp_path}/secret.wav\n")
    assert "not a sound file" in refusal(tmp_path / "a.m4a")
    (tmp_path / "b.m4a").write_text(f"#EXTM3U\n#EXTINF:1,\n{tmp_path}/secret.wav\n")
    assert "not a sound file" in refusal(tmp_path / "b.m4a")
