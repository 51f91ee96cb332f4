r"""What makes pretraining work at a laptop's scale? One factor at a time, on spoken digits (FSDD).

SimCLR of experiments/methods.py, each time with one thing changed: the crop's length, a change of the views
left out, the batch, the temperature, the network; and for a method that masks (MAE) its patch. The same
minutes each, so that a larger batch or network pays for itself in steps.

    ssl-audio bench experiments/ablations_fsdd.py --task fsdd/digit-loso --minutes 3 \
        --out results/ablations_fsdd.json
"""

import dataclasses

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT, ViT
from ssl_audio.methods import MAE, SimCLR
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import (
    Crop,
    Gain,
    MixupLogExp,
    Noise,
    RandomEqualiser,
    RandomLinearFader,
    RandomResizeCrop,
)
from ssl_audio.signal.frontend import LogMel

crop, gain, noise, mixup = Crop(4_000), Gain(10.0), Noise((5.0, 40.0)), MixupLogExp(0.2)
resize = RandomResizeCrop(canvas=(1.5, 1.0), scale=(0.6, 1.5))
fader, equaliser = RandomLinearFader(1.0), RandomEqualiser(1.0)
view = View(wave=(crop, gain, noise), spec=(mixup, resize, fader, equaliser))

base = Experiment(
    name="base",
    method=SimCLR(temperature=0.1),
    encoder=AudioNTT(width=512, channels=32, dropout=0.0, stages=3),
    views=(view, view),
    frontend=LogMel(rate=8_000, n_fft=512, win=160, hop=80, mels=40, fmin=60.0, fmax=3_900.0, floor=1e-5),
    data=Data(store="stores/fsdd-8000", seconds=0.6, batch=128, short="pad"),
    optim=Optim(steps=400, rate=1e-3, warmup=40, decay=1e-4, clip=1.0),
    watch_label="digit",
    log_every=10,
)


def seen(name, wave=view.wave, spec=view.spec):
    """Other views."""
    return dataclasses.replace(base, name=name, views=(View(wave=wave, spec=spec),) * 2)


def changed(name, part, **changes):
    """The method, the encoder or the data otherwise."""
    return dataclasses.replace(base, name=name, **{part: dataclasses.replace(getattr(base, part), **changes)})


def masked(name, patch):
    """MAE with patches of so many frames x bands."""
    return dataclasses.replace(
        base,
        name=name,
        method=MAE(hide=0.75),
        encoder=ViT(width=128, depth=3, heads=4, patch=patch),
        views=(View(wave=(Crop(3_840), Gain(6.0))),),
    )


experiments = (
    base,
    seen("crop 0.25 s", wave=(Crop(2_000), gain, noise)),
    seen("crop 0.6 s", wave=(gain, noise)),
    seen("crop alone", wave=(crop,), spec=()),
    seen("no level, no noise", wave=(crop,)),
    seen("no mixup", spec=(resize, fader, equaliser)),
    seen("no resize crop", spec=(mixup, fader, equaliser)),
    seen("no fader", spec=(mixup, resize, equaliser)),
    seen("no equaliser", spec=(mixup, resize, fader)),
    changed("batch 32", "data", batch=32),
    changed("batch 512", "data", batch=512),
    changed("temperature 0.03", "method", temperature=0.03),
    changed("temperature 0.3", "method", temperature=0.3),
    changed("64 channels", "encoder", channels=64),
    changed("last layer alone", "encoder", stages=1),
    masked("mae 4x8", (4, 8)),
    masked("mae 8x8", (8, 8)),
    masked("mae 2x8", (2, 8)),
    masked("mae 4x40", (4, 40)),
)
