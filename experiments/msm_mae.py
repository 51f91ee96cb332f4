"""MSM-MAE: the paper's recipe (Niizumi et al., "Masked Spectrogram Modeling using Masked Autoencoders for
Learning General-purpose Audio Representation", 2022; its published code).

16 kHz; 208 frames (2 s); 80 mel bands from 50 to 8,000 Hz, window and transform 400, hop 160; ViT-B on 16x16
patches; 75 % hidden; decoder of 4 blocks, 384-d, 6 heads; targets as they are; AdamW, 1.5e-4 for each 128
clips, 100 epochs of AudioSet, 10 of them warm-up. A batch of 512, decay 0.05 and betas 0.9, 0.95 are recalled
(the latter two MAE's), not read there. Published for 208 frames, linear: ESC-50 87.1, UrbanSound8K 82.2,
Speech Commands V2 91.1, VoxCeleb1 49.7, VoxForge 95.6, CREMA-D 66.9.

Not reproduced here: AudioSet is not to be had. Steps are set for 2 million clips; give `--optim.steps` for
yours. Differences: no class token, keys have a bias, and the decoder's positions count along time first (the
paper's along frequency first). The normalisation's numbers are M2D's; fit the frontend to your sounds.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/msm_mae.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ViT
from ssl_audio.methods import MAE
from ssl_audio.optim import Optim
from ssl_audio.signal.frontend import LogMel

experiment = Experiment(
    name="msm_mae",
    method=MAE(hide=0.75, width=384, depth=4, heads=6, normalise=False, line=True),
    encoder=ViT(width=768, depth=12, heads=12, patch=(16, 16)),
    views=(View(),),
    frontend=LogMel(
        rate=16_000, n_fft=400, win=400, hop=160, mels=80, fmin=50.0, fmax=8000.0, mean=-7.1, std=4.2
    ),
    data=Data(seconds=2.08, batch=512, short="pad"),
    optim=Optim(steps=390_600, rate=6e-4, warmup=39_060, decay=0.05, betas=(0.9, 0.95)),
    save_every=2_000,
)
