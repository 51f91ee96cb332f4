"""speech_commands: Google's Speech Commands, English words, one a clip of up to 1 s, 16 kHz.

Version v0.02: 105,829 clips of 35 words by 2,618 people; v0.01: 64,721 clips of 30 words.

Columns: `word` (35 or 30; empty for silence), `command` (12: the ten words of COMMANDS, "_unknown_" for other
words, "_silence_"), `speaker` (8 hexadecimal digits, also the group), `hear_5h` ("train", "valid", "test":
HEAR's draw of the part v0.02-12; empty for other clips). `fold` is the publisher's: "valid" and "test" as
validation_list.txt and testing_list.txt say (9,981 and 11,005 clips; 6,798 and 6,835 in v0.01), "train" the
rest. The lists go by a hash of the speaker and cut nobody.

Silence is cut from the six long files of _background_noise_ as TensorFlow Datasets and HEAR do it: 1 s every
0.5 s, running_tap.wav "valid", the others "train". Silence for the test is in a second archive only, the
12-class test set (4,890 clips; 3,081 in v0.01). Its words are some of the fold "test", in place of which
HEAR (v0.02) and SUPERB (v0.01) use it: the parts v0.02-12 and v0.01-12. HEAR's "5h" takes of v0.02 at most
16,000 clips for training, 2,000 for validation and that whole test.

People's voices: members of the public, who gave their voices on a web page; the publisher says that neither
age, sex nor place was kept and that the speaker ids are random.
Known faults: clips may be shorter than 1 s, and the publisher confirms that in some the word is cut off
(issue 5 of petewarden/extract_loudest_section). In the 12-class labels "_unknown_" is far more frequent than
any command.
"""

import re
import wave
from dataclasses import replace
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch, hear

NAME = "speech_commands"
HOMEPAGE = "https://arxiv.org/abs/1804.03209"
URL = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
URLS = tuple(
    f"http://download.tensorflow.org/data/speech_commands_{part}v0.0{n}.tar.gz"
    for n in (1, 2)
    for part in ("", "test_set_")
)
# Not the publisher's own statement: torchaudio and HEAR record the first two, HEAR alone the third.
CHECKSUMS = {
    "speech_commands_v0.01.tar.gz": "md5:3cd23799cb2bbdec517f1cc028f8d43c",
    "speech_commands_v0.02.tar.gz": "md5:6b74f3901214cb2c2934e98196829835",
    "speech_commands_test_set_v0.02.tar.gz": "md5:854c580ee90bff80c516491c84544e32",
}
LICENCE = "CC BY 4.0"
CITATION = (
    "P. Warden: Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition. 2018. arXiv:1804.03209"
)
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
NOISE = "_background_noise_"
LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
WORDS = 105_829 - 11_005  # of v0.02, without the fold "test"
DRAWN = {"train": 16_000, "valid": 2_000}


def clips(root: Path | str | None = None, part: str = "v0.02") -> list[Clip]:
    """One clip a word, then those of silence. root: the folder of the archive; None: found.

    Instead of the official wav files, flac or ogg copies of the same names will do, except for the noise.

    Args:
        part: "v0.02", "v0.01"; or "v0.02-12", "v0.01-12": with the 12-class test set in place of the fold
            "test", where root is the folder that holds the folders of both archives.

    Raises:
        FileNotFoundError: if the set isn't here (says how to get it), or files of it are missing.
        ValueError: for another part, a file with a strange name, or noise that isn't a wav file.
    """
    version, _, twelve = part.partition("-")
    if version not in ("v0.01", "v0.02") or twelve not in ("", "12"):
        raise ValueError(f"{part!r}: no part of {NAME}; it has v0.02, v0.01, v0.02-12, v0.01-12")
    if not twelve:
        return _version(root, version)
    homes = (f"speech_commands_{version}", f"speech_commands_test_set_{version}")
    first, second = (None if root is None else Path(root) / home for home in homes)
    there = [clip for clip in _version(first, version) if clip.fold != "test"]
    return _drawn(there, version) + official_test(second, version)


def _drawn(found: list[Clip], version: str) -> list[Clip]:
    """The clips, HEAR's draw marked where all of train and valid are there."""
    if version != "v0.02" or sum(bool(clip.labels["word"]) for clip in found) != WORDS:
        return found
    key = {
        clip.name: f"{clip.labels['word']}_{Path(clip.path).stem}"
        if clip.labels["word"]
        else f"_silence__{clip.group}-{round(clip.start * 16_000)}"
        for clip in found
    }
    kept = {
        fold: hear.drawn([key[clip.name] for clip in found if clip.fold == fold], fold, most)
        for fold, most in DRAWN.items()
    }
    return [
        replace(
            clip, labels={**clip.labels, "hear_5h": clip.fold if key[clip.name] in kept[clip.fold] else ""}
        )
        for clip in found
    ]


def _version(root: Path | str | None, version: str) -> list[Clip]:
    folder = _folder(root, f"speech_commands_{version}", LISTS["test"])
    fold = {}
    for name, file in LISTS.items():
        if not (folder / file).is_file():
            raise FileNotFoundError(f"{folder / file}: missing; the folder should be that of the archive")
        lines = (folder / file).read_text(encoding="utf-8").split()
        fold |= {str(Path(line).with_suffix("")): name for line in lines}
    files = fetch.copies(folder, "[a-z]*/*")
    if missing := sorted(fold.keys() - files.keys()):
        raise FileNotFoundError(f"{folder}: {len(missing)} files of the lists missing, such as {missing[0]}")
    noise = sorted((folder / NOISE).glob("*.wav"))
    if not noise:
        raise FileNotFoundError(f"{folder / NOISE}: no wav files; unpack the archive again")
    words = [_clip(f, f.parent.name, fold.get(name, "train")) for name, f in sorted(files.items())]
    return words + [clip for file in noise for clip in _silence(file)]


def official_test(root: Path | str | None = None, version: str = "v0.02") -> list[Clip]:
    """The clips of the second archive, the 12-class test set, all of fold "test". root: its folder.

    Raises:
        FileNotFoundError, ValueError: as `clips`.
    """
    folder = _folder(root, f"speech_commands_test_set_{version}", "_silence_")
    files = sorted(folder.glob("*/*.wav"))
    if lacking := {"_silence_", "_unknown_", *COMMANDS} - {f.parent.name for f in files}:
        raise FileNotFoundError(f"{folder}: no files in {', '.join(sorted(lacking))}; unpack it again")
    return [
        Clip(path=f, labels=_labels("", "", "test"), fold="test", licence=LICENCE, name=f"_silence_/{f.name}")
        if f.parent.name == "_silence_"
        else _clip(f, f.name.split("_")[0] if f.parent.name == "_unknown_" else f.parent.name, "test", "test")
        for f in files
    ]


def _folder(root: Path | str | None, name: str, marker: str) -> Path:
    if root is not None:
        return Path(root)
    how = f"get {URL.rsplit('/', 1)[0]}/{name}.tar.gz and unpack it, without a folder of its own, in {name}"
    return fetch.find(NAME, str(Path(name, marker)), how) / name


def _labels(word: str, speaker: str, hear_5h: str = "") -> dict[str, str]:
    command = word if word in COMMANDS else "_unknown_" if word else "_silence_"
    return {"word": word, "command": command, "speaker": speaker, "hear_5h": hear_5h}


def _clip(file: Path, word: str, fold: str, hear_5h: str = "") -> Clip:
    match = re.search(r"(?:^|_)([0-9a-f]{8})_nohash_\d+\.", file.name)
    if match is None:
        raise ValueError(f"{file}: not named {{speaker}}_nohash_{{n}}; move it out of the data set")
    return Clip(
        path=file,
        labels=_labels(word, match[1], hear_5h),
        fold=fold,
        group=match[1],
        licence=LICENCE,
        name=f"{word}/{file.name}",
    )


def _silence(file: Path) -> list[Clip]:
    try:
        with wave.open(str(file)) as sound:
            length, rate = sound.getnframes(), sound.getframerate()
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{file}: not a wav file ({error}); unpack the archive again") from error
    return [
        Clip(
            path=file,
            start=start / rate,
            duration=1.0,
            labels=_labels("", ""),
            fold="valid" if file.stem == "running_tap" else "train",
            group=file.stem,
            licence=LICENCE,
            name=f"_silence_/{file.stem} {start / rate:g} s",
        )
        for start in range(0, length - rate, rate // 2)
    ]
