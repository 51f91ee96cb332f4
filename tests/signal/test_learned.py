import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_audio.config import from_json, to_json
from ssl_audio.signal import learned
from ssl_audio.signal.learned import LEAF, MelPCEN, SincNet, gabor_filters, pcen, sinc_filters, smooth

RATE, HOP = 8000, 80
FRONTS = {
    "LEAF": LEAF(rate=RATE, mels=12, taps=129, window=161, fmax=3800.0),
    "SincNet": SincNet(rate=RATE, mels=12, taps=129, fmax=3800.0),
    "MelPCEN": MelPCEN(rate=RATE, mels=12, n_fft=256, fmax=3800.0),
}
every_front = pytest.mark.parametrize("name", FRONTS)


def energies(f=50, m=6, seed=0):
    return np.random.default_rng(seed).gamma(0.5, 2.0, (2, f, m)).astype(np.float32)


def tone(hz, samples=2400, amplitude=0.3):
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(samples) / RATE)).astype(np.float32)[None]


# --- PCEN ---


@pytest.mark.parametrize(
    "settings",
    [{}, dict(gain=0.8, bias=10.0, power=0.25, time_constant=0.06, eps=1e-6), dict(gain=0.5, eps=1e-3)],
)
@pytest.mark.parametrize("scale", [1.0, 2.0**31])
def test_pcen_equals_librosa(settings, scale):
    librosa = pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")
    x, settings = energies() * np.float32(scale), dict(settings)
    rate = learned.smoothing(22_050, 512, settings.get("time_constant", 0.4))
    expected = librosa.pcen(x.astype(np.float64), axis=1, **settings)
    settings.pop("time_constant", None)
    ours = pcen(jnp.asarray(x), rate=rate, start=jnp.ones((2, 1, 6)), **settings)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("f", [1, 2, 7, 64, 100])
def test_smooth_is_the_recursion(f):
    x, rate = energies(f), np.linspace(0.01, 0.9, 6, dtype=np.float32)
    y, state = [], x[:, 0]
    for frame in np.moveaxis(x, 1, 0):
        state = (1 - rate) * state + rate * frame
        y.append(state)
    np.testing.assert_allclose(smooth(jnp.asarray(x), jnp.asarray(rate)), np.stack(y, 1), rtol=1e-5)


def test_pcen_of_a_steady_band_hardly_depends_on_its_level():
    x = jnp.asarray([1e3, 1e6], jnp.float32)[:, None, None] * jnp.ones((2, 10, 1))
    quiet, loud = pcen(x, gain=1.0)
    np.testing.assert_allclose(quiet, loud, rtol=1e-4)
    np.testing.assert_allclose(loud, 3**0.5 - 2**0.5, rtol=1e-4)  # (x / x + 2)^½ − 2^½


def test_trained_pcen_begins_as_the_fixed_one():
    x = jnp.asarray(energies())
    params = learned.pcen_init(6, rate=0.1, gain=0.9, bias=3.0, power=0.3)
    fixed = pcen(x, rate=0.1, gain=0.9, bias=3.0, power=0.3, eps=1e-12)
    np.testing.assert_allclose(learned.trained_pcen(x, params), fixed, rtol=1e-5, atol=1e-6)


# --- filters ---


def test_gabor_response_is_a_gaussian_around_its_centre():
    centre, width = np.float32([0.3, 1.0, 2.5]), np.float32([20.0, 10.0, 5.0])
    real, imaginary = gabor_filters(jnp.asarray(centre), jnp.asarray(width), 301)
    response = np.abs(np.fft.fft(np.asarray(real) + 1j * np.asarray(imaginary), 4096, axis=0))
    turn = 2 * np.pi * np.arange(4096) / 4096
    for i in range(3):
        gaussian = np.exp(-0.5 * (width[i] * (turn - centre[i])) ** 2)
        np.testing.assert_allclose(response[:, i], gaussian, atol=1e-4)


def test_sinc_filters_pass_their_band_and_stop_the_rest():
    filters = np.asarray(sinc_filters(jnp.float32([0.05, 0.2]), jnp.float32([0.15, 0.3]), 251))
    response = np.abs(np.fft.rfft(filters, 4096, axis=0))
    hz = np.fft.rfftfreq(4096)
    for i, (low, high) in enumerate([(0.05, 0.15), (0.2, 0.3)]):
        inside = (hz > low + 0.01) & (hz < high - 0.01)
        outside = (hz < low - 0.01) | (hz > high + 0.01)
        np.testing.assert_allclose(response[inside, i], 1.0, atol=0.01)
        assert response[outside, i].max() < 0.01


def test_sincnet_passes_tones_by_its_bands():
    front = FRONTS["SincNet"]
    params = front.init()
    low, high = (np.asarray(e) * RATE for e in front.edges(params))
    for band in (5, 8, 10):
        y = np.asarray(front(jnp.asarray(tone((low[band] + high[band]) / 2)), params, HOP))[0, 10]
        assert y.argmax() == band
        np.testing.assert_allclose(y[band], 0.3, rtol=0.05)  # the tone's amplitude
    assert np.all(np.diff(low) > 0) and high[-1] <= front.fmax * 1.01


def test_leaf_hears_a_tone_where_its_gabor_filter_is_centred():
    front = FRONTS["LEAF"]
    params = front.init()
    x = jnp.asarray(1e-2 * np.random.default_rng(0).standard_normal((1, 2400)), jnp.float32)
    # a tone that begins half-way: PCEN is about what changes
    for band in (3, 6, 10):
        hz = params["centre"][band] * RATE / 2 / np.pi
        y = jax.jit(front, static_argnums=2)(
            x + jnp.asarray(tone(hz)) * (np.arange(2400) > 1200).astype(np.float32)[None], params, HOP
        )
        assert int(y[0, 16].argmax()) == band


def test_leaf_begins_at_mel_filters():
    front = LEAF(mels=40)
    params = front.init()
    assert np.all(np.diff(params["centre"]) > 0) and 0 < params["centre"][0] < params["centre"][-1] < np.pi
    np.testing.assert_allclose(front.lowpass(jnp.asarray(params["pool"])).sum(0), 1.0, rtol=1e-5)
    # half the height of the root of a triangle is a quarter of the triangle's
    edges = learned._edges(front) / front.rate * 2 * np.pi
    real, imaginary = gabor_filters(jnp.asarray(params["centre"]), jnp.asarray(params["width"]), 4001)
    turn = edges[21] + 0.375 * (edges[22] - edges[20])
    wave = np.exp(-1j * turn * (np.arange(4001) - 2000))
    response = np.sum((np.asarray(real) + 1j * np.asarray(imaginary))[:, 20] * wave)
    np.testing.assert_allclose(abs(response), 0.5, rtol=2e-3)


# --- all trained frontends ---


@pytest.mark.parametrize(
    ("name", "hop"), [("MelPCEN", 80)] + [(n, h) for n in ("LEAF", "SincNet") for h in (80, 333)]
)
def test_shape_and_place_of_frames(name, hop):
    """A click shows in the frame that it falls into, whatever the hop."""
    front = FRONTS[name]
    t = 2 * hop + 4 * hop + hop // 3
    x = jnp.zeros((1, t)).at[0, 3 * hop + hop // 2].set(0.9)
    y = np.asarray(jax.jit(lambda x: front(x, front.init(), hop))(x))
    assert y.shape == (1, 6, 12) and np.isfinite(y).all()
    assert y[0].sum(-1).argmax() == 3


@every_front
def test_zeros_behind_change_no_frame(name):
    front = FRONTS[name]
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 800)), jnp.float32)
    f = jax.jit(lambda x: front(x, front.init(), HOP))
    np.testing.assert_allclose(f(jnp.pad(x, ((0, 0), (0, 500))))[:, :10], f(x), rtol=1e-4, atol=1e-5)


@every_front
def test_gradient_reaches_all_parameters_and_is_finite_at_silence(name):
    front = FRONTS[name]
    # a band-pass's edges, a running average, a low-pass: all show in sound that comes and goes
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 2400)) * rng.uniform(0, 1, (2, 30)).repeat(80, 1)
    loss = jax.jit(jax.grad(lambda params, x: jnp.sum(jnp.sin(front(x, params, HOP))), (0, 1)))
    params = jax.tree.map(jnp.asarray, front.init())
    for leaf in jax.tree.leaves(loss(params, jnp.asarray(x, jnp.float32))[0]):
        assert np.isfinite(leaf).all() and np.all(leaf != 0)
    for leaf in jax.tree.leaves(loss(params, jnp.zeros((2, 2400)))):
        assert np.isfinite(leaf).all()


@every_front
def test_goes_to_json_and_refuses_nonsense(name):
    front = FRONTS[name]
    assert from_json(json.loads(json.dumps(to_json(front)))) == front
    with pytest.raises(ValueError, match="half the rate"):
        dataclasses.replace(front, fmax=5000.0)
    if name != "MelPCEN":
        with pytest.raises(ValueError, match="odd"):
            dataclasses.replace(front, taps=128)
