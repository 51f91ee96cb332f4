"""EAT: the paper's recipe, Base (Chen et al., "EAT: Self-Supervised Pre-Training with Efficient Audio
Transformer", 2024; its published configuration).

Kaldi filter banks, 128 bands, 1,024 frames, normalised to half a deviation; ViT-B with a class token on 16x16
patches; 80 % hidden, what is seen in blocks of 5x5, 16 masks of each clip; decoder of 6 convolutions 3x3,
768 channels in 16 groups; target: mean of the teacher's 12 layers, instance then layer normalised; utterance
loss of weight 1; teacher 0.9998 to 0.99999 over 100,000 steps; Adam 5e-4, betas 0.9, 0.95, decay 0.05,
clipping 4, 53,333 steps of warm-up, 400,000 in all (10 epochs of AudioSet) at batch 48. Four RTX 3090 for 58
hours. Published after fine-tuning: AudioSet mAP 48.6, 20K 40.3, ESC-50 96.0, Speech Commands V2 98.3.

Not reproduced here: AudioSet is not to be had; give `--optim.steps` for yours. Differences: blocks normalise
first and targets are outputs of whole blocks (the paper's: last, and of feed-forward parts);
clips are padded as waves, the paper's as spectrograms.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/eat.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ViT
from ssl_audio.methods import EAT
from ssl_audio.optim import Optim
from ssl_audio.signal.frontends import KaldiFbank

experiment = Experiment(
    name="eat",
    method=EAT(hide=0.8, side=5, adjust=0.07, clones=16, width=768, depth=6, top=12),
    encoder=ViT(width=768, depth=12, heads=12, patch=(16, 16), cls=True),
    views=(View(),),
    frontend=KaldiFbank(rate=16_000, mels=128, window="hanning", mean=-4.268, std=2 * 4.569),
    data=Data(seconds=10.255, batch=48, short="pad"),
    optim=Optim(steps=400_000, rate=5e-4, warmup=53_333, decay=0.05, clip=4.0, betas=(0.9, 0.95)),
    save_every=2_000,
)
