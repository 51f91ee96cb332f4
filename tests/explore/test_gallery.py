"""The gallery of augmentations: all of them are in it, and what it shows and plays is what they did."""

import base64
import io
import re

import matplotlib.image
import numpy as np
import pytest
import soundfile
from toys import classes

from ssl_audio import signal
from ssl_audio.explore import gallery
from ssl_audio.signal import augment, masking, spectra


def decoded(address):
    return io.BytesIO(base64.b64decode(address.partition("base64,")[2]))


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """The page in its shortest form, with all augmentations."""
    return gallery.gallery(tmp_path_factory.mktemp("gallery") / "page.html", seconds=1.0).read_text("utf-8")


def test_the_walk_finds_augmentations_and_nothing_else():
    found = gallery.augmentations()
    assert {"Crop", "Gain", "MixupLogExp", "SpecAugment", "TimeWarp", "PatchMix"} <= set(found)
    takes_key = lambda kind: "key" in getattr(kind.__call__, "__annotations__", {})
    assert set(found) == {name for name, kind in classes(signal).items() if takes_key(kind)}
    assert not {"LogMel", *vars(masking)} & set(found)
    assert gallery.axes(augment.Gain) == "b t" and gallery.axes(spectra.VTLP) == "b f m"


def test_every_augmentation_is_in_it(text):
    for name, kind in gallery.augmentations().items():
        part = text.partition(f'<h3 id="{name}">')[2].partition("<h3")[0].partition("</section>")[0]
        heard = 3 if gallery.axes(kind) == "b t" else 0
        assert text.count(f'href="#{name}"') == 1 and f".{name}(" in part
        assert part.count("<img ") == 6 and part.count('src="data:image/png') == 3
        assert part.count("<audio ") == 2 * heard and part.count('src="data:audio/') == heard
        before = re.findall(r'data-of="(\w+)"', part)
        assert len(before) == 3 + heard and all(f'id="{b}" ' in text for b in before)


def test_the_page_needs_nothing_but_itself(text):
    assert not re.findall(r"""(?:src|href)=["']?(?!["']|data:|#)|https?://|url\(""", text)
    assert len(text) < 10e6


def test_before_is_heard_at_its_level(text):
    sounds = [soundfile.read(decoded(a)) for a in re.findall(r'id="sound\d" preload=none src="([^"]+)', text)]
    assert len(sounds) == 3
    for sound, rate in sounds:
        assert rate == 16000 and len(sound) >= rate and 0.3 < np.abs(sound).max() < 0.6


def test_picture_and_strip():
    spec = np.full((40, 8), -1.0)
    spec[10:, 0] = 3.0  # the lowest band, from frame 10 on
    sound = np.concatenate([np.zeros(2000), np.ones(1000), -np.ones(1000)])
    image = matplotlib.image.imread(decoded(gallery.picture(spec, (-1.0, 3.0), sound)))[..., :3].sum(2)
    assert image.shape == (gallery.STRIP + 1 + 8, 40)
    low = image[-1]
    assert (low[10:] == image.max()).all() and (low[:10] == image.min()).all()
    strip = image[: gallery.STRIP] > image.min()
    assert strip[0, 20:30].all() and not strip[-1, 20:30].any()  # +1 is at the top
    assert strip[-1, 31:].all() and not strip[0, 31:].any()
    assert strip[gallery.STRIP // 2, :20].all() and not strip[4, :20].any()
    plain = matplotlib.image.imread(decoded(gallery.picture(spec, (-1.0, 3.0), None)))
    assert plain.shape[:2] == (8, 40)


def test_too_short_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a gallery of 0\.5 s"):
        gallery.gallery(tmp_path / "page.html", seconds=0.5)
