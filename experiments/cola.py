"""COLA: the paper's recipe (Saeed, Grangier & Zeghidour, 2021; its published program).

16 kHz; two crops of 1 s of a clip of 10 s; magnitudes in 64 mel bands from 60 to 7,800 Hz, window 400, hop
160, transform 1,024, not centred (98 frames; here 94, as a frame has the transform's length);
EfficientNet-B0, projection of 512, layer normalisation, tanh, bilinear similarity; Adam 1e-3, constant. The
paper trained with a batch of 1,024 for 500 epochs of AudioSet (recalled; the program's default is 64 clips,
100 epochs of 1,000 steps). Published linear evaluation: Speech Commands V1 71.7, V2 62.4, NSynth 63.4,
VoxCeleb1 29.9, bird song 77.0.

Not reproduced here: AudioSet is not to be had; give `--optim.steps` for your store. The paper scales the
whole clip to length 1 before cropping and adds a faint noise (deviation 0.001 of that scale) to the
positive; neither is done here, so its level gives a clip away unless clips are levelled beforehand. Its
embedding is the maximum over the last layer, that of the EfficientNet here the mean.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/cola.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import EfficientNet
from ssl_audio.methods import COLA
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop
from ssl_audio.signal.frontend import LogMel

view = View(wave=(Crop(16_000),))

experiment = Experiment(
    name="cola",
    method=COLA(width=512),
    encoder=EfficientNet(),
    views=(view, view),
    frontend=LogMel(
        rate=16_000, n_fft=1024, win=400, hop=160, mels=64, fmin=60.0, fmax=7800.0,
        htk=True, slaney_norm=False, power=1.0, floor=1e-5, center=False,
    ),
    data=Data(seconds=10.0, batch=1024),
    optim=Optim(steps=100_000, rate=1e-3, cosine=False),
    save_every=1_000,
)  # fmt: skip
