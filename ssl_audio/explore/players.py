"""Sound inside a page: excerpts, encoded as text that a player takes."""

import base64
import io
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import soundfile

SOUND_BYTES = 3_900_000
"""Base64 characters of sound in a page, at most."""
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz


def excerpt(wave, rate: int, seconds: float):
    """The loudest stretch of a clip of that length, faded out where it was cut."""
    length = round(seconds * rate)
    if len(wave) <= length:
        return np.array(wave)
    power = np.concatenate([[0.0], np.cumsum(wave.astype(np.float64) ** 2)])
    begin = int(np.argmax(power[length:] - power[:-length]))
    cut = wave[begin : begin + length].astype(np.float32)
    fade = min(length, rate // 50)
    cut[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return cut.astype(np.int16)


def encoded(wave, rate: int) -> str:
    """Sound as base64: MP3, which every browser plays, some 3 KB a second; WAV where libsndfile can't."""
    file = io.BytesIO()
    if "MP3" in soundfile.available_formats() and rate in MP3_RATES:
        options = {
            "format": "MP3",
            "subtype": "MPEG_LAYER_III",
            "bitrate_mode": "CONSTANT",
            "compression_level": 0.9,
        }
    else:
        options = {"format": "WAV", "subtype": "PCM_16"}
    soundfile.write(file, wave, rate, **options)
    return base64.b64encode(file.getvalue()).decode()


def recordings(store, points, rows: list[int]) -> dict[int, str]:
    """Clip -> sound as base64: 5 s of the listed ones, 1 s of as many others as fit, in order."""
    listed, sounds, left = set(rows), {}, SOUND_BYTES

    def one(i):
        return encoded(excerpt(store[i], store.rate, 5.0 if i in listed else 1.0), store.rate)

    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as pool:
        for begin in range(0, len(points), 64):
            some = [int(i) for i in points[begin : begin + 64]]
            for i, text in zip(some, pool.map(one, some), strict=True):
                if len(text) <= left:
                    sounds[i] = text
                    left -= len(text)
            if left < 10_000:
                break
    return sounds


def address(text: str) -> str:
    """The data: address of an encoded sound."""
    kind = "wav" if text.startswith("UklGR") else "mpeg"  # "RIFF" in base64
    return f"data:audio/{kind};base64,{text}"
