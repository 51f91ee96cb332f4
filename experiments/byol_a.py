"""BYOL-A: the paper's recipe (Niizumi et al., "BYOL for Audio", 2021; its published configuration).

16 kHz; 0.95 s crops; 64 mel bands from 60 to 7,800 Hz, window and transform 1,024, hop 160; log-mixup-exp
0.4, random resize crop; AudioNTT 512-d; projector and predictor 4,096 to 256; teacher 0.99; Adam 3e-4
constant, batch 256. The paper trained 100 epochs of AudioSet on a GPU. Published linear evaluation, d = 512:
NSynth 69.1, UrbanSound8K 78.2, VoxCeleb1 33.4, VoxForge 83.5, Speech Commands V2 88.9.

Not reproduced here: AudioSet is not to be had. Steps are set for one epoch of 2 million clips; give
`--optim.steps` for yours. Three differences: mixing draws from the batch instead of a memory of the last
2,048 clips, the spectrogram is standardised by its fitted statistics instead of running ones, and the
convolutions have no bias (the normalisation behind them cancels it).

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/byol_a.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import BYOLA
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import MixupLogExp, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

view = View(spec=(MixupLogExp(0.4), RandomResizeCrop(canvas=(1.0, 1.5), scale=(0.6, 1.5))))

experiment = Experiment(
    name="byol_a",
    method=BYOLA(hidden=4096, width=256, decay=0.99),
    encoder=AudioNTT(width=512, channels=64, dropout=0.3),
    views=(view, view),
    frontend=LogMel(
        rate=16_000, n_fft=1024, win=1024, hop=160, mels=64, fmin=60.0, fmax=7800.0, floor=1.1920929e-07
    ),
    data=Data(seconds=0.95, batch=256, short="pad"),
    optim=Optim(steps=7_936, rate=3e-4, cosine=False),
    save_every=500,
)
