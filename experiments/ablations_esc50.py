"""What makes pretraining work at a laptop's scale? One factor at a time, on environmental sound (ESC-50).

SimCLR with the views of experiments/esc50_simclr.py, three stages read out and a batch of 128, each time with
one thing changed; the same minutes each. (In results/ the first five lines are so, six by the steps that the
base made or, of half the batch and of 64 channels, could have made: see results/LOG.md.)

    ssl-audio bench experiments/ablations_esc50.py --task esc50 --minutes 5 --out results/ablations_esc50.json
"""

import dataclasses

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import SimCLR, VICReg
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, Gain, MixupLogExp, Noise, RandomLinearFader, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

mixup, fader = MixupLogExp(0.4), RandomLinearFader(1.0)
resize = RandomResizeCrop(canvas=(1.0, 1.5), scale=(0.6, 1.5))
view = View(wave=(Crop(24_000),), spec=(mixup, resize, fader))

base = Experiment(
    name="base",
    method=SimCLR(temperature=0.1),
    encoder=AudioNTT(width=512, channels=32, dropout=0.0, stages=3),
    views=(view, view),
    frontend=LogMel(rate=16_000, n_fft=1024, win=1024, hop=320, mels=64, fmin=60.0, fmax=7_800.0, floor=1e-5),
    data=Data(store="stores/esc50", seconds=3.0, batch=128),
    optim=Optim(steps=1000, rate=1e-3, warmup=50, decay=1e-4, clip=1.0),
    watch_label="category",
    log_every=10,
)


def seen(name, wave=view.wave, spec=view.spec, seconds=3.0):
    """Other views."""
    data = dataclasses.replace(base.data, seconds=seconds)
    return dataclasses.replace(base, name=name, views=(View(wave=wave, spec=spec),) * 2, data=data)


def changed(name, part, **changes):
    """The method, the encoder or the data otherwise."""
    return dataclasses.replace(base, name=name, **{part: dataclasses.replace(getattr(base, part), **changes)})


experiments = (
    base,
    seen("crop 0.75 s", wave=(Crop(12_000),)),
    seen("crop 3 s", wave=(Crop(48_000),), seconds=5.0),
    seen("crop 1.5 s of all 5", seconds=5.0),
    seen("level and noise", wave=(Crop(24_000), Gain(10.0), Noise((5.0, 40.0)))),
    seen("no mixup", spec=(resize, fader)),
    seen("no resize crop", spec=(mixup, fader)),
    changed("batch 64", "data", batch=64),
    changed("temperature 0.3", "method", temperature=0.3),
    changed("64 channels", "encoder", channels=64),
    dataclasses.replace(base, name="vicreg", method=VICReg(hidden=1024, width=512)),
)
