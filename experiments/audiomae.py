"""AudioMAE: the paper's recipe (Huang et al., "Masked Autoencoders that Listen", 2022; its published code).

Kaldi filter banks, 128 bands, 1,024 frames, normalised to half a deviation; wave rolled, level varied; ViT-B
on 16x16 patches; 80 % hidden at random; decoder of 16 blocks, 512-d, 16 heads, windows of 4x4 patches, every
second block moved by (2, 0); target patches standardised; AdamW, 2e-4 for each 256 clips of a batch of 512,
decay 1e-4, 33 epochs of AudioSet, 3 of them warm-up. 64 V100 for about 36 hours. Published after
fine-tuning: AudioSet mAP 47.3, 20K 37.0, ESC-50 94.1, Speech Commands V2 98.3.

Not reproduced here: AudioSet is not to be had. Steps are set for 2 million clips; give `--optim.steps` for
yours. Differences: no class token; clips are padded as waves, the paper's as spectrograms; level within
1.6 dB, uniform (the paper's factor is Beta(10, 10) + 0.5, of the same spread); no dropout in the decoder's
position function.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/audiomae.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ViT
from ssl_audio.methods import MAE
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Gain
from ssl_audio.signal.frontends import KaldiFbank
from ssl_audio.signal.waves import Shift

experiment = Experiment(
    name="audiomae",
    method=MAE(hide=0.8, width=512, depth=16, heads=16, window=(4, 4), shift=(2, 0)),
    encoder=ViT(width=768, depth=12, heads=12, patch=(16, 16)),
    views=(View(wave=(Shift(160_000, "roll"), Gain(1.6))),),
    frontend=KaldiFbank(rate=16_000, mels=128, window="hanning", mean=-4.2677393, std=2 * 4.5689974),
    data=Data(seconds=10.255, batch=512, short="pad"),
    optim=Optim(steps=128_898, rate=4e-4, warmup=11_718, decay=1e-4, betas=(0.9, 0.95)),
    save_every=2_000,
)
