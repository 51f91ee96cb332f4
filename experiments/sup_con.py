"""Supervised contrast: the paper's settings (Khosla et al., "Supervised Contrastive Learning", 2020) on
sound.

Head 2,048 to 128, temperature 0.1; two views; the paper trained a ResNet-50 on ImageNet with a batch of
6,144: 78.7 top-1 (recalled, not checked); its program has 1,024 clips and SGD 0.5 with a cosine for CIFAR.
No sound.

A control beside the self-supervised methods: labels steer it, so judge it on clips that it hasn't seen. Not
reproduced here: pictures; the views are BYOL-A v2's of a sound; AdamW stands for SGD. The sub-folders of a
folder are its labels; for other columns `--data.label digit`.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/sup_con.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import SupCon
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, MixupLogExp, RandomLinearFader, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

view = View(
    wave=(Crop(15_200),), spec=(MixupLogExp(0.2), RandomResizeCrop(scale=(0.6, 1.5)), RandomLinearFader(1.0))
)

experiment = Experiment(
    name="sup_con",
    method=SupCon(temperature=0.1, hidden=2048, width=128),
    encoder=AudioNTT(width=512, channels=64),
    views=(view, view),
    frontend=LogMel(rate=16_000, mels=64),
    data=Data(seconds=3.0, batch=256, label="label"),
    optim=Optim(steps=2_000, rate=1e-3, warmup=100, decay=1e-4),
)
