"""W-MSE 2: the paper's settings (Ermolov et al., "Whitening for Self-Supervised Representation Learning",
2021).

Head 1,024 to 64, whitened over sub-batches of 128 drawn once a step; Adam 3e-3, decay 1e-6, batch 512,
1,000 epochs: the published program's for CIFAR-10 (of larger pictures 128 dimensions, 256 clips, four
draws; W-MSE 4 has four views at batch 256). A ResNet-18 on one GPU: 91.55 top-1 with two views (recalled,
not checked). The paper has no sound.

Not reproduced here: pictures; the views are BYOL-A v2's of a sound; AdamW; the rate falls along a
cosine, not in steps near the end. `epsilon` is 1e-4 where the
authors have 0. Steps are for 100 epochs of 50,000 clips. Keep the batch a multiple of `size`.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/w_mse.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ResNet
from ssl_audio.methods import WMSE
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, MixupLogExp, RandomLinearFader, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

view = View(
    wave=(Crop(15_200),), spec=(MixupLogExp(0.2), RandomResizeCrop(scale=(0.6, 1.5)), RandomLinearFader(1.0))
)

experiment = Experiment(
    name="w_mse",
    method=WMSE(hidden=1024, width=64, size=128),
    encoder=ResNet(layers=18),
    views=(view, view),
    frontend=LogMel(rate=16_000, mels=64),
    data=Data(seconds=3.0, batch=512),
    optim=Optim(steps=10_000, rate=3e-3, warmup=500, decay=1e-6),
    save_every=500,
)
