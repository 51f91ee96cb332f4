"""Audio Barlow Twins: the paper's recipe (Anton et al., "Audio Barlow Twins", 2022; its published
settings).

Sound as BYOL-A v2 prepares it: 16 kHz, 0.95 s crops, 64 mel bands from 60 to 7,800 Hz, window and transform
1,024, hop 160; log-mixup-exp 0.2, random resize crop, linear fader; AudioNTT of
BYOL-A v2; projector 8,192 to 256,
lambda 0.005; batch 128, 100 epochs of AudioSet; LARS, 0.4 for weights, 0.0048 for biases, decay 1e-5. The
paper judges by 18 tasks of the HEAR benchmark, on par with or above BYOL-A and COLA.

Not reproduced here: AudioSet is not to be had; steps are those of one epoch of 2 million clips, give
`--optim.steps` for yours. Mixing draws from the batch instead of a memory of clips.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/audio_barlow_twins.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT2
from ssl_audio.methods import BarlowTwins
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import MixupLogExp, RandomLinearFader, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

view = View(
    spec=(MixupLogExp(0.2), RandomResizeCrop(canvas=(1.0, 1.5), scale=(0.6, 1.5)), RandomLinearFader(1.0))
)

experiment = Experiment(
    name="audio_barlow_twins",
    method=BarlowTwins(hidden=8192, width=256, weight=0.005),
    encoder=AudioNTT2(width=2048, channels=64, dropout=0.3),
    views=(view, view),
    frontend=LogMel(
        rate=16_000, n_fft=1024, win=1024, hop=160, mels=64, fmin=60.0, fmax=7800.0, floor=1.1920929e-07
    ),
    data=Data(seconds=0.95, batch=128, short="pad"),
    optim=Optim(steps=15_625, rate=0.4, warmup=1_000, decay=1e-5, lars=True, vectors=0.012),
    save_every=500,
)
