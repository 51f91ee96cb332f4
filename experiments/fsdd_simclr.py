"""SimCLR on the sound of the Free Spoken Digit Dataset alone, no labels: 3,000 clips of about 0.4 s at 8 kHz.

A digit must be known again in the mouth of another speaker, through another microphone: so the views change
level, noise, equalisation and, by the random resize crop over a canvas 1.5 times as high, the place and
spread of the formants. The short window (20 ms) blurs the pitch. Every speaker's sound is used without
labels, the left-out one's too.

Measured (results/fsdd_simclr.json, seeds 0, 1, 2): digits of a left-out speaker 0.888 (0.886, 0.895, 0.883),
random weights 0.758, log-mel statistics 0.560; trained in 20 minutes on one of two CPU cores that other work
shared, judged in 10 more (the embedding has 4,512 dimensions).

    ssl-audio store fsdd --rate 8000 --out stores/fsdd-8000
    ssl-audio train experiments/fsdd_simclr.py
    ssl-audio evaluate runs/fsdd_simclr --tasks fsdd/digit-loso fsdd/digit fsdd/speaker
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import SimCLR
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

view = View(
    wave=(Crop(4_000), Gain(10.0), Noise((5.0, 40.0))),
    spec=(
        MixupLogExp(0.2),
        RandomResizeCrop(canvas=(1.5, 1.0), scale=(0.6, 1.5)),
        RandomLinearFader(1.0),
        RandomEqualiser(1.0),
    ),
)

experiment = Experiment(
    name="fsdd_simclr",
    method=SimCLR(temperature=0.1),
    encoder=AudioNTT(width=512, channels=32, dropout=0.0, stages=5, statistics=True),
    views=(view, view),
    frontend=LogMel(rate=8_000, n_fft=512, win=160, hop=80, mels=40, fmin=60.0, fmax=3_900.0, floor=1e-5),
    data=Data(store="stores/fsdd-8000", seconds=0.6, batch=64, short="pad"),
    optim=Optim(steps=3000, rate=1e-3, warmup=100, decay=1e-4, clip=1.0),
    save_every=250,
)
