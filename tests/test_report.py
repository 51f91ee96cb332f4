"""The page of a run, and the tables of results/."""

import base64
import dataclasses
import html
import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ssl_audio import report
from ssl_audio.audio.build import build
from ssl_audio.audio.store import Clip, Store
from ssl_audio.config import load_many
from ssl_audio.evaluate.folds import Outcome
from ssl_audio.explore import page, players

RATE = 16000


def record(value=0.5, **changes):
    base = {"task": "gm/family", "system": "ours", "metric": "accuracy", "value": value}
    base |= {"ci95": [value - 0.1, value + 0.1], "n": 90, "groups": 9, "seed": 0, "protocol": "linear: p"}
    return base | {"data": "d", "model": "m", "code": "c"} | changes


def paired(value, half=0.05, **changes):
    base = {"system": "ours - logmel", "metric": "accuracy difference", "ci95": [value - half, value + half]}
    return record(value, **(base | changes))


# ---- results/ ----------------------------------------------------------------------------------------------


def test_append_keeps_replaces_and_repeats_without_change(tmp_path):
    path = tmp_path / "results" / "e.json"
    report.append(path, [record(0.1), record(0.2, seed=1)])
    report.append(path, [record(0.3, seed=2)])
    report.append(path, [record(0.4)])
    assert [(r["seed"], r["value"]) for r in json.loads(path.read_text())] == [(1, 0.2), (2, 0.3), (0, 0.4)]
    before = path.read_bytes()
    report.append(path, [record(0.4)])
    assert path.read_bytes() == before
    for name in report.IDENTITY:  # each of them makes another record
        count = len(report.read(path))
        report.append(path, [record(0.4, **{name: 99 if name == "seed" else "another"})])
        assert len(report.read(path)) == count + 1


def test_append_leaves_a_damaged_file_and_refuses_nan(tmp_path):
    path = tmp_path / "e.json"
    path.write_text('[{"task"')
    with pytest.raises(ValueError, match="damaged"):
        report.append(path, [record()])
    assert path.read_text() == '[{"task"'
    path.unlink()
    report.append(path, [record()])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="isn't finite"):
        report.append(path, [record(float("nan"), seed=5)])
    with pytest.raises(ValueError, match="without 'ci95'"):
        report.append(path, [{k: v for k, v in record(seed=5).items() if k != "ci95"}])
    assert path.read_bytes() == before


def test_several_append_at_once_and_none_is_lost(tmp_path):
    with ThreadPoolExecutor(4) as pool:  # each opens the lock's file anew, as processes do
        list(pool.map(lambda seed: report.append(tmp_path / "e.json", [record(seed=seed)]), range(40)))
    assert sorted(r["seed"] for r in report.read(tmp_path / "e.json")) == list(range(40))


def test_summary_is_the_mean_over_seeds_newest_of_each(tmp_path):
    records = [record(0.9, model="old")] + [record(v, seed=s) for s, v in enumerate((0.4, 0.5, 0.6))]
    report.append(
        tmp_path / "e.json", [*records, record(0.2, system="logmel"), paired(0.3), paired(0.02, seed=1)]
    )
    text = report.summary(tmp_path)
    assert "| ours | 0.500 ± 0.100 (0.400 to 0.600) |" in text
    assert "| logmel | 0.200 [0.100, 0.300] |" in text
    row = "| ours - logmel | +0.160 ± 0.198 (0.020 to 0.300) | [0.250, 0.350], [-0.030, 0.070] | 1 of 2 |"
    assert row in text
    assert "90 clips, 9 groups" in text and "linear: p" in text
    assert "0.9" not in text


def test_hears_leaderboard_stands_beside_numbers_of_its_probe(tmp_path):
    report.append(
        tmp_path / "e.json",
        [record(0.7, task="esc50"), record(0.5, task="esc50", metric="HEAR compat accuracy", protocol="h")],
    )
    said = [line for line in report.summary(tmp_path).splitlines() if "HEAR's leaderboard" in line]
    assert len(said) == 1 and said[0].startswith("- HEAR's leaderboard on esc50: ")
    assert "ours with 0.500 would be number " in said[0]


def test_a_study_with_its_own_page_is_linked(tmp_path):
    report.append(tmp_path / "study.json", [record(0.4), record(0.3, system="logmel"), paired(0.1)])
    assert "| study |" in report.headline(tmp_path)
    (tmp_path / "study.md").write_text("# A study\n")
    text = report.summary(tmp_path)
    assert "[study.md](study.md)" in text and "| ours |" not in text
    assert "study" not in report.headline(tmp_path)


def test_seeds_are_pooled_clip_by_clip(tmp_path):
    """Two seeds that are unsure alone: the sums by group are averaged, and the interval is over groups."""
    sums = [[[3, 4], [0, 4], [1, 4], [2, 4]], [[1, 4], [2, 4], [1, 4], [0, 4]]]
    for seed, by_group in enumerate(sums):
        report.append(tmp_path / "e.json", [paired(0.3, seed=seed) | {"by_group": by_group, "n": 16}])
    group = next(iter(report.seeds(report.read(tmp_path / "e.json")).values()))
    value, low, high = report.pooled(group)
    assert value == 10 / 32 and 0.25 <= low < value < high <= 0.5
    assert f"[{low:.3f}, {high:.3f}]" in report.summary(tmp_path)
    assert report.pooled(group[:1]) is None


def test_headline_takes_the_floor_that_is_best_over_seeds(tmp_path):
    values = {"ours": (0.6, 0.6), "logmel": (0.5, 0.1), "random": (0.4, 0.4)}
    records = [record(v, system=k, seed=s) for k, both in values.items() for s, v in enumerate(both)]
    for floor in ("logmel", "random"):
        for seed in (0, 1):
            best = max(("logmel", "random"), key=lambda name: values[name][seed]) == floor
            gap = values["ours"][seed] - values[floor][seed]
            records.append(paired(gap, seed=seed, system=f"ours - {floor}", best_floor=best))
    report.append(tmp_path / "e.json", records)
    rows = [line for line in report.headline(tmp_path).splitlines() if line.startswith("| e |")]
    assert len(rows) == 1 and "random 0.400" in rows[0] and "2 of 2" in rows[0]


def test_headline_of_an_error_rate_takes_the_lowest_floor(tmp_path):
    values = {"ours": 0.1, "logmel": 0.3, "random": 0.2}
    records = [record(v, system=k, metric="EER") for k, v in values.items()]
    for floor in ("logmel", "random"):
        gap = values["ours"] - values[floor]
        records.append(paired(gap, system=f"ours - {floor}", metric="EER difference"))
    report.append(tmp_path / "e.json", records)
    rows = [line for line in report.headline(tmp_path).splitlines() if line.startswith("| e |")]
    assert len(rows) == 1 and "(EER)" in rows[0] and "random 0.200" in rows[0] and "1 of 1" in rows[0]


def test_headline_keeps_protocols_apart(tmp_path):
    """Judged twice, the second time with balanced classes: each difference is of its own numbers."""
    records = []
    for protocol, ours, floor in (("plain", 0.6, 0.7), ("balanced", 0.67, 0.5)):
        records += [record(ours, protocol=protocol), record(floor, system="random", protocol=protocol)]
        of = f"paired by clip; {protocol}"
        records.append(paired(ours - floor, system="ours - random", protocol=of))
        records.append(paired(ours - 0.2, system="ours - majority", protocol=of))
    records.append(record(0.2, system="majority", protocol="most frequent"))
    report.append(tmp_path / "e.json", records)
    rows = [line for line in report.headline(tmp_path).splitlines() if line.startswith("| e |")]
    assert len(rows) == 1 and "+0.170" in rows[0] and "ours 0.670" in rows[0] and "random 0.500" in rows[0]


def test_a_record_is_what_the_schema_asks(tmp_path):
    good = record(by_group=[[3, 40], [30, 50]])
    report.append(tmp_path / "e.json", [good])
    assert report.read(tmp_path / "e.json") == [good | {"schema": report.SCHEMA}]
    before = (tmp_path / "e.json").read_text()
    bad = {
        "without 'task'": {k: v for k, v in good.items() if k != "task"},
        "whose seed": good | {"seed": 1.5},
        "whose metric": good | {"metric": None},
        "ends before": good | {"ci95": [0.6, 0.4]},
        "isn't finite": good | {"value": float("nan")},
        "whose n ": good | {"n": 0},
        "don't have its 90 clips": good | {"by_group": [[3, 40]]},
    }
    for words, one in bad.items():
        with pytest.raises(ValueError, match=words):
            report.append(tmp_path / "e.json", [record(), one])
    assert (tmp_path / "e.json").read_text() == before
    for path in (Path(__file__).parents[1] / "results").glob("*.json"):
        for one in report.read(path):
            report.check(one)


def test_a_leaderboard_compares_with_the_best_group_by_group(tmp_path):
    rng, size = np.random.default_rng(0), 10
    share = {"best": 0.8, "close": 0.79, "far": 0.3}
    right = {name: rng.binomial(size, p, (2, 40)) for name, p in share.items()}
    right["close"] = right["best"] + rng.integers(-1, 2, (2, 40))
    for name, both in right.items():
        records = [
            record(float(row.mean() / size), system=name, seed=s, n=400, groups=40,
                   by_group=[[int(v), size] for v in row])
            for s, row in enumerate(both)
        ]  # fmt: skip
        report.append(tmp_path / f"{name}.json", [*records, record(0.1, system="majority", n=400)])
    old = {k: v for k, v in record(0.2, system="old").items() if k != "by_group"}
    report.append(tmp_path / "old.json", [old, record(0.99, system="old, random")])
    report.append(tmp_path / "ablations_x.json", [record(0.95, system="narrow")])
    text = report.leaderboards(tmp_path)
    lines = [line.split("|")[1:6] for line in text.splitlines()[4:]]
    found = {name.strip(): (mark.strip(), said.strip()) for mark, name, _, _, said in lines}
    order = sorted(right, key=lambda name: -right[name].mean())
    assert [*found] == [*order, "old", "majority"]
    first, second = [*found][:2]
    assert {first, second} == {"best", "close"} and found[first] == ("best", "")
    assert found[second][0] == "≈" and found["far"][0] == "" and "p 0.000" in found["far"][1]
    gap = (right["far"].mean(0) - right[first].mean(0)).sum() / 400
    assert found["far"][1].startswith(f"{gap:+.3f} [") and found["old"] == ("", "")
    assert text in report.summary(tmp_path)


def test_a_leaderboard_tells_what_a_system_was_pretrained_on(tmp_path):
    hashes = {"data": "ab" * 32, "method": "MAE"}
    for file, value, said in (("a", 0.7, "x 12"), ("b", 0.8, "mine-8000 abab"), ("c", 0.6, None)):
        more = hashes | {"model": file} | ({"pretrained on": said} if said else {})
        report.append(tmp_path / f"{file}.json", [record(value, system="mae") | more])
    floor = record(0.5, system="logmel") | {"data": "ab" * 32, "pretrained on": "x 12"}
    # in one file with what heard x, and of more seeds; with balanced classes it would be another question
    both = [record(0.3, system="mae", seed=s) | hashes | {"pretrained on": "y 34"} for s in (0, 1)]
    balanced = record(0.9, system="mae", protocol="linear: classes balanced in training (weights)") | hashes
    report.append(tmp_path / "a.json", [*both, balanced])
    ceiling = record(0.95, system="sup") | hashes | {"pretrained on": "x 12", "by labels": "kind"}
    report.append(tmp_path / "b.json", [floor, record(0.4, system="theirs"), ceiling])
    lines = [line.split("|")[2:5] for line in report.leaderboards(tmp_path).splitlines()[4:]]
    found = [(name.strip(), on.strip(), number.split()[0]) for name, on, number in lines]
    # c says nothing, is of its own clips, and being newer takes the place of b
    wanted = [("sup", "x and labels", "0.950"), ("mae", "x", "0.700"), ("mae", "its clips", "0.600")]
    assert found == [*wanted, ("logmel", "", "0.500"), ("theirs", "", "0.400"), ("mae", "y", "0.300")]


def test_refresh_fills_the_block_and_is_idempotent(tmp_path):
    (tmp_path / "results").mkdir()
    report.append(tmp_path / "results" / "e.json", [record(0.7), record(0.6, system="logmel"), paired(0.1)])
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- results -->\nold \\1\n<!-- /results -->\nafter\n")
    report.refresh(tmp_path)
    text, table = readme.read_text(), (tmp_path / "results" / "README.md").read_text()
    assert text.startswith("before\n<!-- results -->\n") and text.endswith("<!-- /results -->\nafter\n")
    assert "old" not in text and "ours 0.700" in text and "### gm/family" in table
    report.refresh(tmp_path)
    assert (readme.read_text(), (tmp_path / "results" / "README.md").read_text()) == (text, table)


def test_refresh_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="results"):
        report.refresh(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "README.md").write_text("half a block: <!-- results -->")
    with pytest.raises(ValueError, match="<!-- results -->"):
        report.refresh(tmp_path)
    assert not (tmp_path / "results" / "README.md").exists()
    for readme in ("no block", None):  # somebody's own results, in a folder of their own
        (tmp_path / "README.md").write_text(readme) if readme else (tmp_path / "README.md").unlink()
        report.refresh(tmp_path)
        assert (tmp_path / "results" / "README.md").exists()
        (tmp_path / "results" / "README.md").unlink()


def test_probes_with_balanced_classes_say_so_and_are_no_headline(tmp_path):
    under = {"protocol": "linear: standardised, classes balanced in training (under), C"}
    both = [record(0.7), record(0.6, system="logmel"), paired(0.1)]
    both += [record(0.4, **under), record(0.3, system="logmel", **under), paired(0.11, **under)]
    report.append(tmp_path / "e.json", both)
    table = report.summary(tmp_path)
    assert "0.400 [0.300, 0.500] (balanced: under)" in table and "ours - logmel (balanced: under)" in table
    assert "ours 0.700" in report.headline(tmp_path) and "0.400" not in report.headline(tmp_path)
    assert report.plain(both[-1]).startswith("ours (balanced: under) is better than")


def test_what_was_judged_again_leaves_the_leaderboard(tmp_path):
    """Older records don't say what was heard; they aren't another system for that."""
    of = lambda value, **more: record(value, by_group=[[value * 10, 10]] * 9, task="esc50", **more)
    old = [of(0.45, model="a"), of(0.3, system="theirs")]
    new = of(0.6, model="b") | {"pretrained on": "x 1"}
    report.append(tmp_path / "e.json", [*old, new])
    table = report.leaderboards(tmp_path)
    assert "0.600" in table and "0.450" not in table and "0.300" in table


def test_a_row_is_of_one_checkpoint():
    """What an older one alone was judged by doesn't stand beside the newer one's numbers."""
    old = [record(0.8, model="a"), record(0.3, metric="X-ARES accuracy", model="a")]
    found = report.seeds([*old, record(0.7, model="b")])
    assert [(key[2], group[0]["value"]) for key, group in found.items()] == [("accuracy", 0.7)]
    assert len(report.seeds([*old, record(0.7, model="b", seed=1)])) == 2  # another seed's is another's


def test_differences_in_plain_words():
    assert report.plain(paired(0.1, 0.06)) == "ours is better than log-mel mean + std by 0.100 [0.040, 0.160]"
    assert report.plain(paired(-0.1, 0.06)) == "ours is worse than log-mel mean + std by 0.100 [0.040, 0.160]"
    assert "not shown to differ" in report.plain(paired(0.05, 0.06))
    assert "contains zero" in report.plain(paired(0.05, 0.05))
    for value, word in ((-0.1, "better"), (0.1, "worse")):  # of error rates less is better
        said = report.plain(paired(value, 0.06, metric="EER difference"))
        assert said == f"ours is {word} than log-mel mean + std by 0.100 [0.040, 0.160]"


# ---- the page ----------------------------------------------------------------------------------------------

NASTY = "x</script><img src=q onerror=alert(1)>"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(text of a page, its store, labels, outcome) of 24 clips in 3 classes, one with a hostile name."""
    folder = tmp_path_factory.mktemp("page")
    rng, clips = np.random.default_rng(0), []
    for i in range(24):
        wave = 0.3 * np.sin(2 * np.pi * (200 + 100 * i) * np.arange(RATE // 4) / RATE)
        soundfile.write(folder / f"{i}.wav", wave, RATE)
        labels = {"family": ("bell", "drum", "horn")[i % 3]}
        clips.append(Clip(folder / f"{i}.wav", labels=labels, name=NASTY if i == 5 else f"clip {i}"))
    build(clips, folder / "store", workers=1)
    store = Store(folder / "store")
    labels = store.values("family")
    guess = np.where(np.arange(24) < 6, "bell", labels)
    right = guess == labels
    outcome = Outcome(
        guess, right, np.arange(24), {}, ["bell", "drum", "horn"], np.where(right, 0.9, np.arange(24) / 100)
    )
    run = folder / "run"
    run.mkdir()
    lines = [{"step": s, "loss": 3.0 - s / 10} for s in (5, 10)]
    lines += [{"step": 10, "rankme": 1.1, "embedding_std": 0.01, "collapse": True, "online_knn": 0.4}]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 1')
    auc = record(0.8, task="gm/anomaly", metric="auc", protocol="KNN")
    result = {"experiment": {"name": "ours"}, "seed": 0, "command": "ssl-audio quickstart", "seconds": 150.0}
    result |= {"peak_memory_mib": 1234, "versions": {"jax": "9.9"}, "hashes": {"data": store.hash}}
    result["records"] = [record(), record(0.4, system="logmel"), paired(0.1), auc]
    x = rng.normal(size=(24, 3)).astype(np.float32) / 9 + np.eye(3, dtype=np.float32)[store.codes("family")]
    written = page.page(run, result, store=store, labels=labels, embedding=x, outcome=outcome, clips=7)
    assert written == run / "report.html" and not list(run.glob(".report*"))
    return written.read_text(encoding="utf-8"), store, labels, outcome


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_page_asks_nobody_for_anything(made):
    text = made[0]
    for tag, attrs in Reader(text).tags:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
            assert attrs.get(name, "#").startswith(("#", "data:")), (tag, attrs)
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
    assert not re.search(
        r"@import|url\((?!#)|fetch\(|XMLHttpRequest|import\(", re.sub('base64,[^"]+', "", text)
    )
    assert "default-src 'none'" in text
    assert len(text.encode()) < 6 * 2**20


def test_page_shows_every_number_and_where_it_came_from(made):
    words = " ".join(" ".join(Reader(made[0]).words).split())
    for wanted in ("0.500", "[0.400, 0.600]", "0.800", "AUC", "by 0.100 [0.050, 0.150]", "linear: p", "9.9"):
        assert wanted in words, wanted
    for wanted in ("ssl-audio quickstart", "1,234 MiB", "2.5 min", made[1].hash, "Collapse alarm"):
        assert wanted in words, wanted


def test_players_hold_the_clips_and_pictures_have_alt_texts(made):
    text, store, _, _ = made
    tags = Reader(text).tags
    players = [attrs for tag, attrs in tags if tag == "audio"]
    assert len(players) == 7 + 4  # four were got wrong
    index = {store.name(i): i for i in range(len(store))}
    for attrs in players:
        wave = store[index[attrs["aria-label"]]] / 2**15
        heard, rate = soundfile.read(io.BytesIO(base64.b64decode(attrs["src"].partition(",")[2])))
        assert rate == store.rate and len(heard) >= len(wave)
        spectrum = [np.abs(np.fft.rfft(s, 2**14)).argmax() * RATE / 2**14 for s in (wave, heard)]
        assert abs(spectrum[0] - spectrum[1]) < 5  # Hz
    assert all(attrs.get("alt") for tag, attrs in tags if tag == "img")
    assert all(a.get("aria-label") or a.get("aria-hidden") for tag, a in tags if tag == "svg")
    assert "true <b>horn</b><br>predicted <b>horn</b> ✓" in text


def test_page_tells_the_hardest_clips_and_each_class(made):
    text, store, _, outcome = made
    wrong = np.flatnonzero(~outcome.correct)
    assert page.hardest(outcome, 12) == wrong.tolist() == [1, 2, 4, 5] and page.hardest(outcome, 2) == [1, 2]
    assert page.hardest(dataclasses.replace(outcome, certainty=None), 12) == []
    part = text.partition('id="hardest"')[2].partition("</section>")[0]
    assert [part.find(f">{html.escape(store.name(i))}<") > 0 for i in wrong] == [True] * 4
    words = " ".join(Reader(text.partition('id="classes"')[2].partition("</section>")[0]).words)
    assert "0.75" in words and f"{8 / 12:.2f}" in words  # of a drum's 8, 6 are found; of 12 bells, 8 are
    assert words.find("bell") < words.find("drum")  # F1 of 16 / 20 and 12 / 14


def test_map_has_every_clip_with_label_sound_and_neighbours(made):
    text, store, labels, outcome = made
    data = json.loads(
        re.search(r'<script type="application/json" id=data>(.*?)</script>', text, re.DOTALL)[1]
    )
    assert sorted(data["name"]) == sorted(store.name(i) for i in range(24))
    index = {store.name(i): i for i in range(24)}
    for name, label, guess, sound in zip(
        data["name"], data["label"], data["guess"], data["sound"], strict=True
    ):
        assert data["labels"][label] == labels[index[name]]
        assert data["classes"][guess] == outcome.predictions[index[name]]
        assert sound
    for i, near in enumerate(data["near"]):
        assert all(data["label"][j] == data["label"][i] for j in near)
    assert (
        sum(
            tag == "use" and "id" in attrs and attrs["id"].startswith("p") for tag, attrs in Reader(text).tags
        )
        >= 24
    )


def test_hostile_names_stay_text(made):
    assert not any("onerror" in attrs for _, attrs in Reader(made[0]).tags)
    assert NASTY not in made[0]


def test_sound_stops_at_its_budget(monkeypatch, made):
    store = made[1]
    monkeypatch.setattr(players, "SOUND_BYTES", 20_000)
    sounds = players.recordings(store, np.arange(24), [0])
    assert 0 in sounds and 1 < len(sounds) < 24
    assert sum(map(len, sounds.values())) <= 20_000


def test_shown_takes_classes_in_turn(made):
    labels = made[2]
    rows = page.shown(labels, np.arange(24), 6, seed=1)
    assert sorted(labels[rows]) == ["bell"] * 2 + ["drum"] * 2 + ["horn"] * 2
    assert (
        rows == page.shown(labels, np.arange(24), 6, seed=1) != page.shown(labels, np.arange(24), 6, seed=2)
    )
    assert len(page.shown(labels, np.arange(24), 99, seed=1)) == 24


def test_excerpt_is_the_loudest_stretch():
    wave = np.zeros(RATE * 3, np.int16)
    wave[RATE + 100 : 2 * RATE] = 1000
    cut = players.excerpt(wave, RATE, 1.0)
    assert len(cut) == RATE and (cut == 1000).sum() >= RATE - 100 - RATE // 50 and cut[-1] == 0
    np.testing.assert_array_equal(players.excerpt(wave[:50], RATE, 1.0), wave[:50])


def test_lengths_must_agree(tmp_path, made):
    with pytest.raises(ValueError, match="24 clips, 23 labels"):
        page.page(
            tmp_path, {}, store=made[1], labels=made[2][:23], embedding=np.zeros((23, 2)), outcome=made[3]
        )


def test_a_methods_number_stands_behind_its_name():
    text = "| A | `file` | `a` not run |\n| B | `b` 0.111 |\n`a` not run\n"
    common = {"metric": "accuracy", "task": "fsdd/digit-loso"}
    record = lambda system, value, seed=0, **other: (
        common | {"system": system, "value": value, "seed": seed} | other
    )
    others = record("a", 0.9, metric="knn accuracy"), record("a", 0.9, task="esc50")
    older = (
        record("a", 0.1, data="of before"),
        record("a", 0.2, data="d"),
    )
    made = report.filled(text, [*older, record("a", 0.5, data="d"), record("a", 0.6, 1, data="d"), *others])
    assert made == "| A | `file` | `a` 0.550 |\n| B | `b` not run |\n`a` not run\n"
    assert report.filled(made, [record("a", 0.5), record("a", 0.6, 1)]) == made


def test_the_readme_names_every_method_and_the_numbers_are_the_records():
    root = Path(__file__).parents[1]
    text = (root / "README.md").read_text(encoding="utf-8")
    table = text[text.index("<!-- methods -->") : text.index("<!-- /methods -->")]
    files = {f.stem for f in (root / "ssl_audio" / "methods").glob("*.py")} - {"__init__"}
    assert files == set(re.findall(r"\[`(\w+)`\]\(ssl_audio/methods/\1\.py\)", table))
    names = re.findall(r"`(\w+)` (?:\d\.\d{3}|not run) \|\n", table)
    assert set(names) == {e.name for e in load_many(root / "experiments" / "methods.py")}
    rows = [row.split("|") for row in table.splitlines() if row.startswith("| ")][1:]
    recipes = {name for row in rows for name in re.findall(r"`(\w+)`", row[4])}
    assert recipes <= {f.stem for f in (root / "experiments").glob("*.py")}
    records = root / "results" / "methods.json"
    assert report.filled(text, report.read(records) if records.exists() else []) == text


def test_no_kept_record_names_a_place_on_a_machine():
    for path in (Path(__file__).parents[1] / "results").glob("*.json"):
        assert not re.search(r'"(/|[A-Z]:\\\\|~)', path.read_text(encoding="utf-8")), path
