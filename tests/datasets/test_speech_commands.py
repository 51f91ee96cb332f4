"""speech_commands: words and commands, the published lists, silence cut from noise, the second archive."""

import wave

import pytest

from ssl_audio.datasets import speech_commands

A, B = "0a7c2a8d", "ffa76c4a"
WORDS = (
    f"yes/{A}_nohash_0.wav",
    f"yes/{B}_nohash_0.wav",
    f"cat/{A}_nohash_1.wav",
    f"bed/{'1' * 8}_nohash_0.wav",
)


def lay_out(folder, files=WORDS, noise=("running_tap", "pink_noise"), valid="", test=""):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "_background_noise_").mkdir(parents=True)
    (folder / "_background_noise_" / "README.md").touch()
    for name in noise:
        with wave.open(str(folder / "_background_noise_" / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(bytes(2 * 16000 * 2 + 2))  # one sample more than 2 s
    (folder / "validation_list.txt").write_text(valid)
    (folder / "testing_list.txt").write_text(test)


def lay_out_test(folder):
    names = [f"{word}/{A}_nohash_0.wav" for word in speech_commands.COMMANDS]
    for name in (*names, "_silence_/104.wav", f"_unknown_/five_{B}_nohash_1.wav.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_words_folds_and_silence(tmp_path):
    lay_out(tmp_path, valid=f"yes/{A}_nohash_0.wav\ncat/{A}_nohash_1.wav\n", test=f"yes/{B}_nohash_0.wav\n")
    clips = speech_commands.clips(tmp_path)
    words, silence = clips[:4], clips[4:]
    assert [(c.labels["word"], c.labels["command"], c.fold, c.group) for c in words] == [
        ("bed", "_unknown_", "train", "1" * 8),
        ("cat", "_unknown_", "valid", A),
        ("yes", "yes", "valid", A),
        ("yes", "yes", "test", B),
    ]
    assert words[0].licence == "CC BY 4.0"
    assert words[0].labels["speaker"] == words[0].group
    # 1 s every 0.5 s, as range(0, length - rate, rate // 2)
    assert [(c.group, c.fold, c.start, c.duration) for c in silence] == [
        (name, fold, start, 1.0)
        for name, fold in (("pink_noise", "train"), ("running_tap", "valid"))
        for start in (0.0, 0.5, 1.0)
    ]
    assert {(c.labels["word"], c.labels["command"]) for c in silence} == {("", "_silence_")}


def test_the_second_archive_is_the_twelve_class_test(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path))
    folder = tmp_path / "speech_commands" / "speech_commands_test_set_v0.01"
    lay_out_test(folder)
    clips = {c.labels["command"]: c for c in speech_commands.official_test(version="v0.01")}
    assert set(clips) == {*speech_commands.COMMANDS, "_silence_", "_unknown_"}
    assert {c.fold for c in clips.values()} == {"test"}
    assert (clips["_unknown_"].labels["word"], clips["_unknown_"].group) == ("five", B)
    assert (clips["_silence_"].labels["word"], clips["_silence_"].group) == ("", "")
    (folder / "_silence_" / "104.wav").unlink()
    with pytest.raises(FileNotFoundError, match="no files in _silence_"):
        speech_commands.official_test(folder)


def test_both_versions_are_found_and_what_to_get_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lay_out(tmp_path / "speech_commands" / "speech_commands_v0.01")
    assert len(speech_commands.clips(part="v0.01")) == 10
    with pytest.raises(FileNotFoundError, match=r"get http\S+/speech_commands_v0\.02\.tar\.gz"):
        speech_commands.clips()


def test_missing_files_strange_names_and_bad_noise_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"validation_list\.txt: missing"):
        speech_commands.clips(tmp_path)
    lay_out(tmp_path / "a", test=f"dog/{A}_nohash_0.wav\n")
    with pytest.raises(FileNotFoundError, match=rf"1 files of the lists missing, such as dog/{A}"):
        speech_commands.clips(tmp_path / "a")
    lay_out(tmp_path / "b", files=("yes/jim.wav",))
    with pytest.raises(ValueError, match=r"jim\.wav: not named"):
        speech_commands.clips(tmp_path / "b")
    lay_out(tmp_path / "c", noise=())
    with pytest.raises(FileNotFoundError, match="_background_noise_: no wav files"):
        speech_commands.clips(tmp_path / "c")
    (tmp_path / "c" / "_background_noise_" / "x.wav").write_bytes(b"not sound")
    with pytest.raises(ValueError, match=r"x\.wav: not a wav file"):
        speech_commands.clips(tmp_path / "c")


def test_the_part_of_twelve_classes_has_the_other_test_and_hears_draw(tmp_path, monkeypatch):
    words = [f"{word}/{A}_nohash_{n}.wav" for word in ("yes", "cat") for n in range(4)]
    lists = {"valid": f"{words[0]}\n{words[4]}\n", "test": f"{words[1]}\n"}
    for version in ("v0.01", "v0.02"):
        lay_out(tmp_path / f"speech_commands_{version}", files=words, **lists)
        lay_out_test(tmp_path / f"speech_commands_test_set_{version}")
    plain = speech_commands.clips(tmp_path / "speech_commands_v0.02", "v0.02")
    assert {clip.labels["hear_5h"] for clip in plain} == {""}
    monkeypatch.setattr(speech_commands, "DRAWN", {"train": 3, "valid": 4})
    for whole, drawn in ((7, True), (8, False)):
        monkeypatch.setattr(speech_commands, "WORDS", whole)
        clips = speech_commands.clips(tmp_path, "v0.02-12")
        assert len(clips) == len(plain) - 1 + 12  # 7 words, 6 of silence; of the test 12 in place of 1
        test = [clip for clip in clips if clip.fold == "test"]
        assert len(test) == 12 and {clip.labels["hear_5h"] for clip in test} == {"test"}
        for fold, most in (("train", 3), ("valid", 4)):
            marked = [clip.labels["hear_5h"] for clip in clips if clip.fold == fold]
            assert marked.count(fold) == (most if drawn else 0) and set(marked) <= {fold, ""}
    assert {clip.labels["hear_5h"] for clip in speech_commands.clips(tmp_path, "v0.01-12")} == {"", "test"}
    with pytest.raises(ValueError, match=r"'v3': no part of speech_commands; it has v0\.02, v0\.01"):
        speech_commands.clips(tmp_path, "v3")


def test_hears_draw_goes_by_its_names_of_the_files(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(speech_commands, "WORDS", 4)
    monkeypatch.setattr(
        speech_commands.hear, "drawn", lambda keys, fold, most: asked.setdefault(fold, (set(keys), most))[0]
    )
    lay_out(tmp_path / "speech_commands_v0.02", valid=f"yes/{A}_nohash_0.wav\n")
    lay_out_test(tmp_path / "speech_commands_test_set_v0.02")
    speech_commands.clips(tmp_path, "v0.02-12")
    silence = lambda name: {f"_silence__{name}-{start}" for start in (0, 8000, 16000)}
    train = {f"yes_{B}_nohash_0", f"cat_{A}_nohash_1", f"bed_{'1' * 8}_nohash_0"}
    assert asked["train"] == (train | silence("pink_noise"), 16_000)
    assert asked["valid"] == ({f"yes_{A}_nohash_0"} | silence("running_tap"), 2_000)
