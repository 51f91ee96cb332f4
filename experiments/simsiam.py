"""SimSiam: the paper's network (Chen & He, "Exploring Simple Siamese Representation Learning", 2021) on
sound.

Projector of three layers of 2,048, predictor with a bottleneck of 512; SGD, 0.05 times batch / 256,
momentum 0.9, decay 1e-4, cosine, batch 512, 100 epochs. The paper trained a ResNet-50 on ImageNet with 8
GPUs: 68.1 top-1 after 100 epochs, 71.3 after 800 (recalled, not checked). It has no sound.

Not reproduced here: pictures; the views are BYOL-A v2's of a sound, the encoder is a ResNet-18 of
spectrograms, and AdamW stands for SGD. The predictor's rate follows the schedule, which the authors hold
constant. Steps are for 100 epochs of 50,000 clips. Watch the loss: a collapse behind the
projector's last normalisation leaves `target_std` near 1, but the loss falls to 0.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/simsiam.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ResNet
from ssl_audio.methods import SimSiam
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, MixupLogExp, RandomLinearFader, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

view = View(
    wave=(Crop(15_200),), spec=(MixupLogExp(0.2), RandomResizeCrop(scale=(0.6, 1.5)), RandomLinearFader(1.0))
)

experiment = Experiment(
    name="simsiam",
    method=SimSiam(hidden=2048, width=2048, bottleneck=512),
    encoder=ResNet(layers=18),
    views=(view, view),
    frontend=LogMel(rate=16_000, mels=64),
    data=Data(seconds=3.0, batch=512),
    optim=Optim(steps=10_000, rate=3e-4, warmup=500, decay=1e-4),
    save_every=500,
)
