"""MoCo: a queue (He et al., "Momentum Contrast", 2020) behind the network of MoCo v3 (Chen, Xie & He,
2021).

MoCo v3: heads of 4,096 to 256, teacher 0.99 rising to 1, temperature 1 (ResNet-50) or 0.2 (ViT), the batch of
4,096 its negatives; LARS 0.6 times batch / 256, decay 1e-6, 100 epochs of ImageNet on 16 V100s, 10 of them
warm-up: 68.9 top-1, 74.6 after 1,000 epochs. MoCo v1 and v2: batch 256, a queue of 65,536 keys, teacher
0.999. The papers have no sound.

Here the queue stands for v3's large batch, so that one accelerator will do. Not reproduced: pictures; the
views are BYOL-A v2's of a sound, a ResNet-18 for the ResNet-50. For MoCo v3 itself: `--method.queue 0
--data.batch 4096 --method.temperature 1.0 --optim.rate 9.6`. Steps are for 100 epochs of 50,000 clips;
give `--method.steps` with `--optim.steps`.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/moco.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ResNet
from ssl_audio.methods import MoCo
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, MixupLogExp, RandomLinearFader, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

view = View(
    wave=(Crop(15_200),), spec=(MixupLogExp(0.2), RandomResizeCrop(scale=(0.6, 1.5)), RandomLinearFader(1.0))
)

experiment = Experiment(
    name="moco",
    method=MoCo(hidden=4096, width=256, queue=65_536, temperature=0.2, decay=0.99, steps=20_000),
    encoder=ResNet(layers=18),
    views=(view, view),
    frontend=LogMel(rate=16_000, mels=64),
    data=Data(seconds=3.0, batch=256),
    optim=Optim(steps=20_000, rate=0.6, warmup=2_000, decay=1e-6, lars=True),
    save_every=500,
)
