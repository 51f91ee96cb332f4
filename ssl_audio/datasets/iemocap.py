"""iemocap: IEMOCAP, 10,039 turns of acted dialogues by ten actors in five sessions, 16 kHz, about 12 h.

Columns: `emotion` (the usual four: angry, happy (happy or excited), neutral, sad; 5,531 turns, empty for the
others), `raw` (the raters' majority: ang, hap, exc, neu, sad, fru, sur, fea, dis, oth, or xxx without one),
`speaker` (10, "Ses01F"), `sex` (female, male), `scenario` (improvised, scripted), `valence`, `activation`,
`dominance` (mean ratings). `fold` is the session, "1".."5": a woman and a man each, in no other. SUPERB tests
on one session and trains on the other four. `group` is the session too ("Ses01"), for both speak in a
dialogue.

People's voices: ten actors, known by session and sex; faces and names are not in what is read here. USC
gives the set to those who sign its release form: for internal research, not for commerce, not to be
passed on.
Known faults: the name of a file begins with the actor who wore the markers, not with the one who speaks
(Ses01F_impro01_M000 is the man); torchaudio and s3prl give the former as the speaker. Where both speak at
once isn't marked. Classes are uneven: of the four, neutral has 1,708 turns, sad 1,084, angry 1,103.
"""

import re
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "iemocap"
HOMEPAGE = "https://sail.usc.edu/iemocap/"
URL = "https://sail.usc.edu/iemocap/iemocap_release.htm"
LICENCE = "USC's own, on request (https://sail.usc.edu/iemocap/Data_Release_Form_IEMOCAP.pdf)"
CITATION = (
    "C. Busso, M. Bulut, C.-C. Lee, A. Kazemzadeh, E. Mower, S. Kim, J. N. Chang, S. Lee, S. S. Narayanan: "
    "IEMOCAP: interactive emotional dyadic motion capture database. Language Resources and Evaluation 42(4), "
    "2008, pp. 335-359. doi:10.1007/s10579-008-9076-6"
)
EMOTIONS = {"ang": "angry", "hap": "happy", "exc": "happy", "neu": "neutral", "sad": "sad"}
SEXES = {"F": "female", "M": "male"}
# [6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]
TURN = re.compile(
    r"\[[\d.]+ - [\d.]+\]\t((Ses0([1-5]))[FM]_(impro|script)\w+)_([FM])(\d+)\t([a-z]{3})"
    r"\t\[([\d.]+), ([\d.]+), ([\d.]+)\]"
)


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a rated turn of the sessions that are there. root: the folder with Session1/...; None: found.

    Raises:
        FileNotFoundError: if the set isn't here (says how to get it), or sound files are missing.
        ValueError: if an evaluation isn't IEMOCAP's.
    """
    if root is None:
        how = f"ask for it at {URL} and unpack it, without its top folder IEMOCAP_full_release, there"
        root = fetch.find(NAME, "Session1", how)
    tables = sorted(Path(root).glob("Session[1-5]/dialog/EmoEvaluation/Ses*.txt"))
    if not tables:
        raise FileNotFoundError(
            f"{root}: no Session1/dialog/EmoEvaluation/Ses*.txt; it isn't IEMOCAP's folder"
        )
    found = [clip for table in tables for clip in _dialogue(table)]
    if missing := [str(clip.path) for clip in found if not Path(clip.path).is_file()]:
        raise FileNotFoundError(f"{root}: {len(missing)} rated turns missing, such as {missing[0]}")
    return found


def _dialogue(table: Path) -> list[Clip]:
    lines = [line for line in table.read_text(encoding="utf-8").splitlines() if line.startswith("[")]
    turns = [TURN.match(line) for line in lines]
    if not turns or None in turns:
        raise ValueError(
            f"{table}: no turns like [start - end] name emotion [v, a, d]; unpack the data set again"
        )
    return [_clip(table.parents[2], turn) for turn in turns if turn]


def _clip(session: Path, turn: re.Match[str]) -> Clip:
    dialogue, group, fold, scenario, sex, number, raw, valence, activation, dominance = turn.groups()
    name = f"{dialogue}_{sex}{number}.wav"
    return Clip(
        path=session / "sentences" / "wav" / dialogue / name,
        labels={
            "emotion": EMOTIONS.get(raw, ""),
            "raw": raw,
            "speaker": f"{group}{sex}",
            "sex": SEXES[sex],
            "scenario": {"impro": "improvised", "script": "scripted"}[scenario],
            "valence": valence,
            "activation": activation,
            "dominance": dominance,
        },
        fold=fold,
        group=group,
        licence=LICENCE,
        name=f"{raw}/{name}",
    )
