"""M2D: the paper's recipe (Niizumi et al., "Masked Modeling Duo: Towards a Universal Audio Pre-training
Framework", 2024; its published code).

16 kHz; 608 frames (6.1 s); 80 mel bands from 50 to 8,000 Hz, window and transform 400, hop 160; ViT-B with a
class token on 16x16 patches, 190 of them; 70 % hidden; predictor of 8 blocks, 512-d, 16 heads; targets
standardised, distance of unit vectors; teacher 0.99995 to 0.99999; AdamW, 3e-4 for each 256 clips of a batch
of 2,048, decay 0.05, clipping 3, 300 epochs of AudioSet, 20 of them warm-up. (M2D-AS, which has labels, took
four 48 GB GPUs about two days.) Published linear evaluation: ESC-50 91.3, UrbanSound8K 87.6, Speech Commands
V2 96.0, VoxCeleb1 73.4, VoxForge 98.3, CREMA-D 73.0, GTZAN 84.1, NSynth 75.7, Surge 42.1.

Not reproduced here: AudioSet is not to be had. Steps are set for 2 million clips; give `--optim.steps` and
`--method.ramp` for yours. Difference: patches are ordered along time first, the paper's along frequency.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/m2d.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ViT
from ssl_audio.methods import M2D
from ssl_audio.optim import Optim
from ssl_audio.signal.frontend import LogMel

experiment = Experiment(
    name="m2d",
    method=M2D(hide=0.7, width=512, depth=8, heads=16, decay=(0.99995, 0.99999), ramp=293_700),
    encoder=ViT(width=768, depth=12, heads=12, patch=(16, 16), cls=True),
    views=(View(),),
    frontend=LogMel(
        rate=16_000, n_fft=400, win=400, hop=160, mels=80, fmin=50.0, fmax=8000.0, mean=-7.1, std=4.2
    ),
    data=Data(seconds=6.08, batch=2048, short="pad"),
    optim=Optim(steps=293_700, rate=2.4e-3, warmup=19_580, decay=0.05, clip=3.0, betas=(0.9, 0.95)),
    save_every=2_000,
)
