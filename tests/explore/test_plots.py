"""Figures: what they show is read back from the artists; pyplot is never touched."""

import base64
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from ssl_audio.explore import plots

RATE = 16000


def test_every_class_has_its_own_look():
    assert len({plots.styled(i) for i in range(70)}) == 70


@pytest.mark.parametrize("hertz", [100.0, 440.0, 3000.0])
def test_a_tone_is_brightest_at_its_frequency(hertz):
    wave = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)
    level, centres, step = plots.spectrum(wave, RATE)
    assert step == 0.01 and level.max() == 0 and level.min() >= -75
    found = centres[level[:, level.shape[1] // 2].argmax()]
    assert abs(np.log2(found / hertz)) < 1 / 6


def test_level_is_relative_so_int16_and_float_look_alike():
    wave = np.random.default_rng(0).normal(size=RATE) * 0.1
    a = plots.spectrum(wave, RATE)[0]
    b = plots.spectrum(np.round(wave * 2**15).astype(np.int16), RATE)[0]
    np.testing.assert_allclose(a, b, atol=0.1)


@pytest.mark.parametrize("samples", [1, 50, 1600])
def test_short_and_silent_clips_have_a_picture(samples):
    level, _, _ = plots.spectrum(np.zeros(samples, np.int16), RATE)
    assert (level == -75).all()
    assert plots.png(plots.spectrogram(np.zeros(samples, np.int16), RATE)).startswith(
        "data:image/png;base64,"
    )


def test_confusion_counts():
    truth, guess = np.array(list("aabbc")), np.array(list("abbbc"))
    found = plots.counts(truth, guess, ["a", "b", "c"])
    np.testing.assert_array_equal(found, [[1, 1, 0], [0, 2, 0], [0, 0, 1]])
    with pytest.raises(ValueError, match="'z'"):
        plots.counts(truth, np.array(list("azbbc")), ["a", "b", "c"])


def test_confusion_figure_writes_per_cent_of_each_row():
    made = plots.confusion(np.array([[1, 3], [0, 2]]), ["a", " b"])
    assert [t.get_text() for t in made.axes[0].texts] == ["25", "75", "100"]


def test_curves_draw_the_lines_and_the_alarm():
    lines = [
        {"step": 0, "rankme": 3.0, "embedding_std": 0.3, "collapse": False},
        {"step": 5, "loss": 2.0},
        {"step": 10, "loss": 1.0},
        {"step": 10, "rankme": 1.0, "embedding_std": 0.01, "collapse": True},
    ]
    made = plots.curves(lines)
    np.testing.assert_array_equal(made.axes[0].lines[0].get_xydata(), [[5, 2], [10, 1]])
    assert all(np.allclose(ax.lines[1].get_xdata(), 10) for ax in made.axes[:2])
    plots.svg(plots.curves([]), "nothing yet")


def test_scatter_draws_every_point_once():
    xy = np.random.default_rng(0).normal(size=(30, 2))
    made = plots.scatter(xy, np.array(list("abc") * 10))
    drawn = np.concatenate([c.get_offsets() for c in made.axes[0].collections])
    np.testing.assert_allclose(np.sort(drawn, 0), np.sort(xy, 0))


def test_svg_is_one_element_with_its_alt_text_and_always_the_same():
    make = lambda: plots.svg(plots.confusion(np.eye(2, dtype=int), ["<a>", " b"]), 'of "a" & b')
    text = make()
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg") and root.attrib["aria-label"] == 'of "a" & b'
    assert "DOCTYPE" not in text and text == make()


def test_png_is_a_png_and_so_is_what_jupyter_shows():
    made = plots.spectrogram(np.ones(1600), RATE)
    kept = base64.b64decode(plots.png(made).partition(",")[2])
    assert kept[:8] == b"\x89PNG\r\n\x1a\n" and made._repr_png_() == kept


def test_pyplot_and_the_users_settings_are_left_alone():
    code = (
        "import sys, numpy, matplotlib\n"
        "settings = lambda: {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'}\n"
        "before = settings()\n"
        "from ssl_audio.explore import plots\n"
        "plots.svg(plots.confusion(numpy.eye(2, dtype=int), ['a', 'b']), 'x')\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'jax' not in sys.modules\n"
        "assert settings() == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_click_is_drawn_at_its_time():
    for at in (0.02, 0.5, 0.97):
        wave = np.zeros(RATE)
        wave[round(at * RATE)] = 1
        level, _, step = plots.spectrum(wave, RATE)
        assert abs(level[-10].argmax() * step - at) <= step
    ax = plots.spectrogram(wave, RATE).axes[0]
    left, right, *_ = ax.images[0].get_extent()
    assert left == pytest.approx(-step / 2) and right >= 1 - step


def test_names_with_dollars_are_names():
    made = plots.confusion(np.eye(2, dtype=int), ["$x_$", "a$b$c"], "$l_$")
    assert plots.png(made).startswith("data:image/png")
