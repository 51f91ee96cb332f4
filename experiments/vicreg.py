"""VICReg: the paper's loss and expander (Bardes, Ponce & LeCun, "VICReg", 2022) on two views of a sound.

Expander 8,192-8,192-8,192; weights 25, 25, 1; batch 2,048; LARS, 0.2 times batch / 256, decay 1e-6, ten
epochs of warm-up, cosine. The paper trained a ResNet-50 on ImageNet: 73.2 top-1 after 1,000 epochs on 32
V100s (recalled, not checked). Its sound experiment joins the waves of ESC-50 with their spectrograms.

Not reproduced here: two networks, one of waves and one of spectrograms, which the method could train but
one encoder isn't; so both views are spectrograms, prepared as BYOL-A does, with a ResNet-18, and a batch of
256. Steps are for ESC-50's 2,000 clips, 250 epochs.

    ssl-audio store esc50 --out stores/esc50
    ssl-audio train experiments/vicreg.py --data.store stores/esc50
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ResNet
from ssl_audio.methods import VICReg
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, MixupLogExp, RandomLinearFader, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

view = View(
    wave=(Crop(15_200),), spec=(MixupLogExp(0.2), RandomResizeCrop(scale=(0.6, 1.5)), RandomLinearFader(1.0))
)

experiment = Experiment(
    name="vicreg",
    method=VICReg(hidden=8192, width=8192, invariance=25.0, variance=25.0, covariance=1.0),
    encoder=ResNet(layers=18),
    views=(view, view),
    frontend=LogMel(rate=16_000, mels=64),
    data=Data(seconds=3.0, batch=256),
    optim=Optim(steps=2_000, rate=0.2, warmup=100, decay=1e-6, lars=True),
)
