"""Room responses: closed forms of decaying noise and of the image-source method, and pyroomacoustics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_audio.signal import room

KEY, RATE = jax.random.key(0), 16_000
SIZE, SOURCE, MICROPHONE = (np.float32([v]) for v in ([5.1, 4.2, 3.0], [1.2, 3.1, 1.7], [3.9, 0.8, 1.1]))
image_source = jax.jit(room.image_source, static_argnums=(4, 5, 6))
WALLS = np.float32([[0.1, 0.3, 0.2, 0.5, 0.4, 0.6]])


def images(order, samples=1200, size=SIZE, source=SOURCE, microphone=MICROPHONE, walls=WALLS):
    given = (jnp.asarray(v) for v in (size, source, microphone, walls))
    return np.asarray(image_source(*given, order, samples, RATE), np.float64)


def rt60(response):
    """From −5 to −35 dB of Schroeder's backward integral, a line through it."""
    left = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1] / (response**2).sum())
    used = np.flatnonzero((left < -5) & (left > -35))
    return -60 / np.polyfit(used / RATE, left[used], 1)[0]


# --- decaying noise ---


def test_tail_decays_by_60_db_in_its_time():
    times = np.float32([0.1, 0.2, 0.5, 0.9])
    noise = jax.random.normal(KEY, (4, RATE))
    response = np.asarray(room.decaying_response(noise, jnp.asarray(times), jnp.full(4, -30.0), RATE))
    found = [rt60(np.float64(one[1:])) for one in response]
    np.testing.assert_allclose(found, times, rtol=0.1)


def test_direct_sound_leads_by_its_ratio_and_all_energy_is_one():
    direct = np.float32([-10.0, 0.0, 15.0])
    noise = jax.random.normal(KEY, (3, 4000))
    response = np.asarray(room.decaying_response(noise, jnp.full(3, 0.2), jnp.asarray(direct), RATE))
    ratio = 10 * np.log10(response[:, 0] ** 2 / (response[:, 1:] ** 2).sum(1))
    np.testing.assert_allclose(ratio, direct, atol=1e-3)
    np.testing.assert_allclose((response**2).sum(1), 1.0, rtol=1e-5)


def test_reverb_draws_its_times_and_keeps_the_level_of_noise():
    b = 60
    clicks = jnp.zeros((b, 8000)).at[:, 0].set(1.0)
    out = np.asarray(room.Reverb((0.1, 0.4), (-10.0, -10.0), RATE)(KEY, clicks), np.float64)
    times = np.array([rt60(one[1:]) for one in out])
    assert 0.08 < times.min() < 0.15 and 0.35 < times.max() < 0.45
    noise = jax.random.normal(KEY, (b, 8000))
    level = np.asarray(room.Reverb((0.1, 0.1))(KEY, noise)).std()
    np.testing.assert_allclose(level, 1.0, rtol=0.05)
    quiet = np.asarray(room.Reverb((0.1, 0.4), (200.0, 200.0))(KEY, noise))
    np.testing.assert_allclose(quiet, noise, atol=1e-4)  # without a tail, the wave as it was


# --- images ---


def test_direct_path_has_its_delay_and_amplitude():
    distance = np.linalg.norm(SOURCE - MICROPHONE)
    (response,) = images(0)
    time = np.arange(1200) - room.LEAD - distance / 343 * RATE
    window = np.where(np.abs(time) < 40.5, 0.5 + 0.5 * np.cos(2 * np.pi * time / 81), 0)
    np.testing.assert_allclose(response, np.sinc(time) * window / (4 * np.pi * distance), atol=1e-5)
    np.testing.assert_allclose(response.sum(), 1 / (4 * np.pi * distance), rtol=1e-3)


@pytest.mark.parametrize("wall", range(6))
def test_first_reflections_come_from_the_mirrored_source(wall):
    axis, far = divmod(wall, 2)
    mirrored = SOURCE.copy()
    mirrored[0, axis] = (2 * SIZE[0, axis] if far else 0) - SOURCE[0, axis]
    walls = np.ones((1, 6), np.float32)
    walls[0, wall] = 0.36
    echo = images(1, walls=walls) - images(0)
    free = images(0, source=mirrored)
    np.testing.assert_allclose(echo, 0.8 * free, atol=1e-5)


def test_as_many_images_as_there_are():
    for order in (0, 1, 2, 10):
        cells = room._cells(order)
        assert len(cells) == (2 * order + 1) * (2 * order**2 + 2 * order + 3) // 3
        assert len({tuple(c) for c in cells}) == len(cells)


def test_hard_and_soft_walls():
    np.testing.assert_allclose(images(4, walls=np.ones((1, 6), np.float32)), images(0), atol=1e-7)
    assert (images(4, walls=np.zeros((1, 6), np.float32)) ** 2).sum() > 5 * (images(0) ** 2).sum()


def test_source_and_microphone_change_places():
    np.testing.assert_allclose(images(3, source=MICROPHONE, microphone=SOURCE), images(3), atol=1e-5)


@pytest.mark.parametrize("order", [0, 3, 10])
def test_equals_pyroomacoustics(order):
    pra = pytest.importorskip(
        "pyroomacoustics", reason="parity needs pyroomacoustics: pip install -e '.[parity]'"
    )
    before = pra.constants.get("rir_hpf_enable")
    pra.constants.set("rir_hpf_enable", False)
    try:
        names = ("west", "east", "south", "north", "floor", "ceiling")
        materials = {n: pra.Material(float(a)) for n, a in zip(names, WALLS[0], strict=True)}
        box = pra.ShoeBox(np.float64(SIZE[0]), fs=RATE, materials=materials, max_order=order)
        box.add_source(np.float64(SOURCE[0]))
        box.add_microphone(np.float64(MICROPHONE[0]))
        box.compute_rir()
    finally:
        pra.constants.set("rir_hpf_enable", before)
    theirs = np.pad(box.rir[0][0], (0, 3000))[:3000] / (4 * np.pi)  # it leaves 4 π out
    # its sinc is read from a table, with straight lines between 20 values a sample
    np.testing.assert_allclose(images(order, 3000)[0], theirs, atol=3e-3 * np.abs(theirs).max())


def test_image_source_is_a_room_for_each_clip():
    b, t = 12, 3000
    x = jnp.zeros((b, t)).at[:, 0].set(1.0)
    out = np.asarray(room.ImageSource(order=3, seconds=0.1)(KEY, x))
    first = (np.abs(out) > 0.1 * np.abs(out).max(1, keepdims=True)).argmax(1) / RATE * 343  # metres
    assert len(set(first)) > 6 and first.min() >= 0 and first.max() < np.linalg.norm([9, 7, 3])
    np.testing.assert_allclose((out**2).sum(1), 1.0, rtol=0.05)
    assert not np.abs(out[:, 1600 + 1 :]).max() > 1e-5


def test_convolution_is_numpys():
    rng = np.random.default_rng(0)
    x, response = rng.standard_normal((3, 200)), rng.standard_normal((3, 70))
    out = room.convolve(jnp.float32(x), jnp.float32(response), 5)
    expected = [np.convolve(a, h)[5:205] for a, h in zip(x, response, strict=True)]
    np.testing.assert_allclose(out, expected, atol=1e-4)


@pytest.mark.parametrize(
    "make, word",
    [
        (lambda: room.Reverb((0.0, 1.0)), r"Reverb: rt60=\(0.0, 1.0\)"),
        (lambda: room.Reverb(direct=(5.0, 0.0)), "direct"),
        (lambda: room.ImageSource(margin=1.3), "margin of 1.3 m leaves no place"),
        (lambda: room.ImageSource(absorption=(0.1, 1.2)), "absorption"),
        (lambda: room.ImageSource(order=-1), "order=-1"),
        (lambda: room.ImageSource(size=((3.0, 2.0), (3.0, 4.0), (2.0, 3.0))), "three ranges"),
    ],
)
def test_wrong_settings_are_refused(make, word):
    with pytest.raises(ValueError, match=word):
        make()
