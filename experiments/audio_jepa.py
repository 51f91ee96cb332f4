"""Audio-JEPA: the paper's recipe (Tuncay et al., "Audio-JEPA: Joint-Embedding Predictive Architecture for
Audio Representation Learning", 2025; its published code).

32 kHz, 10 s; Kaldi filter banks of 128 bands, 256 frames of 98 ms; ViT-B on 16x16 patches; 40 to 60 % hidden
at random, predicted by 6 blocks, 384-d, 12 heads; targets standardised, distance of unit vectors; teacher
0.996 to 1; AdamW 1e-3, betas 0.9, 0.95, decay 0.05, 1,000 steps of warm-up, 100,000 in all, batch 64,
bfloat16; one GPU for 19.5 hours at most. Published: X-ARES, near wav2vec 2.0 and data2vec; better by nearest
neighbours than by a linear layer.

Not reproduced here: AudioSet is not to be had. Differences: the gradient is clipped at norm 1 (the code: at
the 0.9 quantile of its last 1,000 norms); the teacher's average rises along a line (the code: a cosine over
50 epochs); the decay is 0.05, where the code's schedule sets 1e-6 from the first step; clips are padded as
waves, to 256 frames. The code's later configuration has other shapes (96 bands, 512 frames) and AdEMAMix.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/audio_jepa.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ViT
from ssl_audio.methods import JEPA
from ssl_audio.optim import Optim
from ssl_audio.signal.frontends import KaldiFbank

experiment = Experiment(
    name="audio_jepa",
    method=JEPA(hide=(0.4, 0.6), width=384, depth=6, heads=12, decay=(0.996, 1.0), ramp=100_000),
    encoder=ViT(width=768, depth=12, heads=12, patch=(16, 16)),
    views=(View(),),
    frontend=KaldiFbank(rate=32_000, mels=128, frame_length_ms=97.65625, frame_shift_ms=39.0625),
    data=Data(seconds=10.06, batch=64, short="pad"),
    optim=Optim(steps=100_000, rate=1e-3, warmup=1_000, decay=0.05, clip=1.0, betas=(0.9, 0.95)),
    precision="bfloat16",
    save_every=2_000,
)
