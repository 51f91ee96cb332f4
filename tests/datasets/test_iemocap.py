"""iemocap: rated turns of the evaluation files."""

import pytest

from ssl_audio.datasets import iemocap

FIRST = (
    "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
    "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.0000]\n"
    "C-E2:\tNeutral;\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
    "[14.8872 - 18.0175]\tSes01F_impro01_M002\texc\t[4.0000, 3.5000, 3.0000]\nC-E2:\tExcited;\t()\n"
)
SECOND = "[7.0000 - 9.0000]\tSes05M_script01_1b_F003\tfru\t[2.5000, 3.5000, 3.5000]\n"


def lay_out(folder, first=FIRST, *, sounds=True):
    for session, dialogue, text in ((1, "Ses01F_impro01", first), (5, "Ses05M_script01_1b", SECOND)):
        home = folder / f"Session{session}"
        (home / "dialog" / "EmoEvaluation").mkdir(parents=True)
        (home / "dialog" / "EmoEvaluation" / f"{dialogue}.txt").write_text(text)
        (home / "dialog" / "EmoEvaluation" / f"._{dialogue}.txt").write_text("a leftover of another system")
        (home / "sentences" / "wav" / dialogue).mkdir(parents=True)
        for turn in ("F000", "M002", "F003") if sounds else ("F000", "F003"):
            (home / "sentences" / "wav" / dialogue / f"{dialogue}_{turn}.wav").touch()
    return folder


def test_turns_give_emotion_speaker_ratings_and_session(tmp_path):
    woman, man, other = iemocap.clips(lay_out(tmp_path))
    wav = tmp_path / "Session1" / "sentences" / "wav"
    assert woman.path == wav / "Ses01F_impro01" / "Ses01F_impro01_F000.wav"
    assert dict(woman.labels) == {
        "emotion": "neutral",
        "raw": "neu",
        "speaker": "Ses01F",
        "sex": "female",
        "scenario": "improvised",
        "valence": "2.5000",
        "activation": "2.5000",
        "dominance": "2.0000",
    }
    assert (woman.fold, woman.group) == ("1", "Ses01")
    assert woman.licence.startswith("USC")
    # excited counts as happy; the speaker isn't the actor of the file's beginning
    assert (man.labels["emotion"], man.labels["raw"]) == ("happy", "exc")
    assert (man.labels["speaker"], man.labels["sex"]) == ("Ses01M", "male")
    assert (other.labels["emotion"], other.labels["raw"]) == ("", "fru")
    assert (other.labels["speaker"], other.labels["scenario"]) == ("Ses05F", "scripted")
    assert (other.fold, other.group) == ("5", "Ses05")


def test_missing_sounds_and_other_evaluations_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no Session1/dialog/EmoEvaluation"):
        iemocap.clips(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"1 rated turns missing, such as .*M002"):
        iemocap.clips(lay_out(tmp_path / "a", sounds=False))
    for n, text in enumerate(("nothing\n", FIRST.replace("\tneu\t", "\tneutral\t"))):
        with pytest.raises(ValueError, match=r"Ses01F_impro01\.txt: no turns like"):
            iemocap.clips(lay_out(tmp_path / f"b{n}", text))


def test_it_is_got_on_request(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"iemocap_release\.htm.*so that there is .*Session1"):
        iemocap.clips()
    lay_out(tmp_path / "iemocap")
    assert len(iemocap.clips()) == 3
