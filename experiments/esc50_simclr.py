"""SimCLR on the sound of ESC-50 alone, no labels: 2,000 clips of 5 s.

Two crops of 1.5 s within 3 s of a clip; a hop of 20 ms, so that a crop is 76 frames; log-mixup-exp, random
resize crop and linear fader as in BYOL-A. After Fonseca et al., "Unsupervised Contrastive Learning of Sound
Event Representations", 2021. All five folds' sound is used without labels, the test folds' too (as for any
corpus that one has in hand).

Measured (results/esc50_simclr.json, seeds 0, 1, 2): 0.806 (0.802, 0.809, 0.805), random weights 0.696,
log-mel statistics 0.442; each trained in 45 minutes on one of two CPU cores that other work shared, judged in
11.

    ssl-audio store esc50 --out stores/esc50
    ssl-audio train experiments/esc50_simclr.py
    ssl-audio evaluate runs/esc50_simclr --tasks esc50
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import SimCLR
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, MixupLogExp, RandomLinearFader, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

view = View(
    wave=(Crop(24_000),),
    spec=(MixupLogExp(0.4), RandomResizeCrop(canvas=(1.0, 1.5), scale=(0.6, 1.5)), RandomLinearFader(1.0)),
)

experiment = Experiment(
    name="esc50_simclr",
    method=SimCLR(temperature=0.1),
    encoder=AudioNTT(width=512, channels=32, dropout=0.0, stages=5, statistics=True),
    views=(view, view),
    frontend=LogMel(rate=16_000, n_fft=1024, win=1024, hop=320, mels=64, fmin=60.0, fmax=7_800.0, floor=1e-5),
    data=Data(store="stores/esc50", seconds=3.0, batch=64),
    optim=Optim(steps=3000, rate=1e-3, warmup=100, decay=1e-4, clip=1.0),
    save_every=250,
)
