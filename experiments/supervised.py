"""Supervised control: the encoder of the other experiments, trained on labels by cross-entropy.

What self-supervision on the same store is compared with: judge it on clips that it hasn't seen. No paper
and no published number. The sub-folders of a folder are its labels; `classes` is how many there are.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/supervised.py --data.store stores/mine --method.classes 10
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import Supervised
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, Gain, RandomLinearFader, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

view = View(wave=(Crop(15_200), Gain(6.0)), spec=(RandomResizeCrop(scale=(0.6, 1.5)), RandomLinearFader(1.0)))

experiment = Experiment(
    name="supervised",
    method=Supervised(classes=10),
    encoder=AudioNTT(width=512, channels=64),
    views=(view,),
    frontend=LogMel(rate=16_000, mels=64),
    data=Data(seconds=3.0, batch=128, label="label"),
    optim=Optim(steps=2_000, rate=1e-3, warmup=100, decay=1e-4),
)
