"""Cut the embedded data set out of the recordings of MuseScore General (run once; the result is committed).

    python ssl_audio/datasets/data/cut_gm_instruments.py SOURCE [OUT]

SOURCE holds `audio/*.ogg`, `labels.csv` (path,label,instrument,gm_program,midi_key,orig_sr,seconds) and
`LICENSE.txt`; OUT (default: `gm_instruments/` beside this file) gets `audio/NNNN.ogg` (NNNN is the source's
own number), `labels.csv` and `LICENSE.txt`. One rule for every clip: the first 2 s, a 20 ms fade-out where
something was cut off, 16 kHz mono Ogg Vorbis. The same source and the same libsndfile give the same bytes.
Prints what DATASHEET.md records.
"""

import csv
import hashlib
import io
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import soundfile
from sklearn.model_selection import StratifiedGroupKFold

RATE, SECONDS, FADE = 16_000, 2.0, 0.020
COMPRESSION = 0.5  # libsndfile's 0 (best) .. 1 (smallest): 0.5 gives 7.6 MB, 0.4 would be over 8 MB
COLUMNS = ("path", "family", "octave", "instrument", "midi_key", "fold")
PITCHED_PERCUSSION = {"Steel Drums"}


def main(source: Path, out: Path) -> None:
    with open(source / "labels.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    folds = folds_of([r["label"] for r in rows], [r["instrument"] for r in rows])
    aside = out.with_name(out.name + ".partial")
    shutil.rmtree(aside, ignore_errors=True)
    (aside / "audio").mkdir(parents=True)
    table, cut = [], 0
    for row, fold in zip(rows, folds, strict=True):
        number = Path(row["path"]).name.split("_")[0]
        path = f"audio/{number}.ogg"
        if (aside / path).exists():
            raise ValueError(
                f"{row['path']}: number {number} occurs twice; give the clips of the source their own"
            )
        wave, was_cut = first_seconds(source / row["path"])
        (aside / path).write_bytes(encode(wave, serial=int(number)))
        cut += was_cut
        key = row["midi_key"]
        table.append(
            (path, row["label"], octave(key, row["label"], row["instrument"]), row["instrument"], key, fold)
        )
    with open(aside / "labels.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])
    shutil.copyfile(source / "LICENSE.txt", aside / "LICENSE.txt")

    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "audio", ignore_errors=True)
    for name in ("audio", "labels.csv", "LICENSE.txt"):  # DATASHEET.md, written by hand, stays
        os.replace(aside / name, out / name)
    aside.rmdir()
    files = sorted((out / "audio").iterdir())
    seconds = sum(soundfile.info(f).duration for f in files)
    total = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"{len(files)} clips, {cut} of them cut, {seconds:.1f} s; {total:,} bytes in {out.name}/")
    print("sha256 of the files:         ", files_digest(out))
    print("sha256 of the decoded sound: ", sound_digest(out))


def first_seconds(path: Path) -> tuple[np.ndarray, bool]:
    """The first 2 s, faded out (raised cosine) only where the recording goes on."""
    wave, rate = soundfile.read(path, dtype="float32")
    if rate != RATE or wave.ndim != 1:
        raise ValueError(f"{path}: {rate} Hz, {wave.ndim} axes; expected {RATE} Hz mono")
    length, fade = int(SECONDS * RATE), int(FADE * RATE)
    if len(wave) <= length:
        return wave, False
    wave = wave[:length].copy()
    wave[-fade:] *= 0.5 + 0.5 * np.cos(np.pi * (np.arange(fade) + 1) / fade).astype(np.float32)
    return wave, True


def octave(midi_key: str, family: str, instrument: str) -> str:
    """Scientific octave of the sounding key (C4 = 60 -> "4"), "" where the clip has no pitch.

    Drum kits have no key. The `percussive` family has one, but of it only the steel drums are tuned: the
    others carry the soundfont's default root key (all 20 temple blocks, of five sizes, say 60) or a place on
    the drum map.
    """
    if not midi_key or (family == "percussive" and instrument not in PITCHED_PERCUSSION):
        return ""
    return str(int(midi_key) // 12 - 1)


def folds_of(families: list[str], instruments: list[str]) -> list[str]:
    """Folds 1-5, no instrument in two, families as even as that allows: one rule, one seed, no search."""
    splitter = StratifiedGroupKFold(n_splits=5, shuffle=True, random_state=0)
    folds = np.zeros(len(families), int)
    for number, (_, test) in enumerate(
        splitter.split(np.zeros(len(families)), families, instruments), start=1
    ):
        folds[test] = number
    return [str(f) for f in folds]


def encode(wave: np.ndarray, serial: int) -> bytes:
    """Ogg Vorbis with `serial` as the stream's number; libsndfile draws one, so no two runs would agree."""
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, RATE, format="OGG", subtype="VORBIS", compression_level=COMPRESSION)
    data, at = bytearray(buffer.getvalue()), 0
    while at < len(data):  # each page: 27 bytes of header, a table of segment sizes, the segments (RFC 3533)
        segments = data[at + 26]
        end = at + 27 + segments + sum(data[at + 27 : at + 27 + segments])
        data[at + 14 : at + 18] = serial.to_bytes(4, "little")
        data[at + 22 : at + 26] = bytes(4)
        data[at + 22 : at + 26] = ogg_crc(data[at:end]).to_bytes(4, "little")
        at = end
    return bytes(data)


def ogg_crc(page: bytes) -> int:
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFFFFFF) ^ CRC_TABLE[crc >> 24 ^ byte]
    return crc


def crc_entry(value: int) -> int:
    value <<= 24
    for _ in range(8):
        value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value


CRC_TABLE = [crc_entry(i) for i in range(256)]


def files_digest(folder: Path) -> str:
    """sha256 over labels.csv, then the audio files by name, each as name, NUL, size, NUL, bytes."""
    digest = hashlib.sha256()
    for path in [folder / "labels.csv", *sorted((folder / "audio").glob("*.ogg"))]:
        data = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def sound_digest(folder: Path) -> str:
    """sha256 over the int16 samples that libsndfile decodes; another decoder may round some differently."""
    digest = hashlib.sha256()
    for path in sorted((folder / "audio").glob("*.ogg")):
        digest.update(soundfile.read(path, dtype="int16")[0].astype("<i2").tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(
        Path(sys.argv[1]),
        Path(sys.argv[2]) if len(sys.argv) == 3 else Path(__file__).parent / "gm_instruments",
    )
