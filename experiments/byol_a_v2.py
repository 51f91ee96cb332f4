"""BYOL-A v2: the paper's recipe (Niizumi et al., "BYOL for Audio: Exploring Pre-Trained General-Purpose Audio
Representations", 2023; its published configuration).

As BYOL-A, but: log-mixup-exp 0.2 and a random linear fader on top; two blocks of convolution and a skip,
embedding 3,072-d; Adam 1e-4 constant. 16 kHz; 0.95 s crops; 64 mel bands from 60 to 7,800 Hz, window and
transform 1,024, hop 160; projector and predictor 4,096 to 256; teacher 0.99; batch 256; 100 epochs of
AudioSet on one GPU. Linear evaluation, as the M2D papers print it (recalled, not looked up): ESC-50 83.2,
UrbanSound8K 79.7, Speech Commands V2 93.1, VoxCeleb1 57.6, VoxForge 93.3, CREMA-D 63.8, GTZAN 70.1, NSynth
73.1, Surge 37.6.

Not reproduced here: AudioSet is not to be had. Steps are set for one epoch of 2 million clips; give
`--optim.steps` for yours. Differences: mixing draws from the batch instead of a memory of past clips, and the
convolutions have no bias (the normalisation behind them cancels it).

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/byol_a_v2.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT2
from ssl_audio.methods import BYOLA
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import MixupLogExp, RandomLinearFader, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

view = View(
    spec=(
        MixupLogExp(0.2),
        RandomResizeCrop(canvas=(1.0, 1.5), scale=(0.6, 1.5)),
        RandomLinearFader(1.0),
    )
)

experiment = Experiment(
    name="byol_a_v2",
    method=BYOLA(hidden=4096, width=256, decay=0.99),
    encoder=AudioNTT2(width=2048, channels=64, dropout=0.3),
    views=(view, view),
    frontend=LogMel(
        rate=16_000, n_fft=1024, win=1024, hop=160, mels=64, fmin=60.0, fmax=7800.0, floor=1.1920929e-07
    ),
    data=Data(seconds=0.95, batch=256, short="pad"),
    optim=Optim(steps=7_936, rate=1e-4, cosine=False),
    save_every=500,
)
