r"""The best five of experiments/methods.py, pretrained on environmental sound (ESC-50), 1,500 steps each.

Views, encoder and frontend of experiments/esc50_simclr.py for all; what differs is the method.

That is nine to twenty minutes of a core. On ESC-50 and, with the same runs, on instruments:

    ssl-audio bench experiments/esc50_best.py --task esc50 --steps 1500 --seeds 0 1 2 --out results/best.json
    ssl-audio bench experiments/esc50_best.py --task gm/family --pretrain-on stores/esc50 --steps 1500 \
        --seeds 0 1 2 --out results/best_gm.json
"""

import dataclasses

from ssl_audio import methods
from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, MixupLogExp, RandomLinearFader, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

view = View(
    wave=(Crop(24_000),),
    spec=(MixupLogExp(0.4), RandomResizeCrop(canvas=(1.0, 1.5), scale=(0.6, 1.5)), RandomLinearFader(1.0)),
)

base = Experiment(
    name="simclr",
    method=methods.SimCLR(temperature=0.1),
    encoder=AudioNTT(width=512, channels=32, dropout=0.0, stages=5, statistics=True),
    views=(view, view),
    frontend=LogMel(rate=16_000, n_fft=1024, win=1024, hop=320, mels=64, fmin=60.0, fmax=7_800.0, floor=1e-5),
    data=Data(store="stores/esc50", seconds=3.0, batch=64),
    optim=Optim(steps=1400, rate=1e-3, warmup=100, decay=1e-4, clip=1.0),
    watch_label="category",
)


def pair(name, method):
    return dataclasses.replace(base, name=name, method=method)


experiments = (
    base,
    pair("vicreg", methods.VICReg(hidden=1024, width=512)),
    pair("moco", methods.MoCo(hidden=1024, width=128, queue=2048, temperature=0.1)),
    pair("w_mse", methods.WMSE(hidden=512, width=32, size=64)),
    pair("barlow_twins", methods.BarlowTwins(hidden=1024, width=256)),
)
