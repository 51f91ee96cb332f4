"""MW-MAE: the paper's recipe (Yadav et al., "Masked Autoencoders with Multi-Window Local-Global Attention Are
Better Audio Learners", 2024; its published configuration in JAX).

16 kHz; 200 frames (2 s); 80 mel bands from 50 to 8,000 Hz, window and transform 400, hop 160; ViT-B on 4x16
patches (frames x bands), 250 tokens; 80 % hidden; decoder of 4 blocks, 384-d, whose 8 heads attend within
windows of 2, 5, 10, 25, 50, 125 tokens and, two of them, to all; targets as they are; AdamW, 1.5e-5 for each
256 clips of a batch of 1,024, decay 0.05, 100 epochs of AudioSet, 10 of them warm-up; bfloat16 on a TPU v3.
Published (HEAR, ten seeds): Beijing Opera 96.0, CREMA-D 73.1, ESC-50 81.2, LibriCount 68.8, Mridangam stroke
97.4 and tonic 97.9, NSynth 5h 69.3, Speech Commands 5h 90.9, FSD50K 51.2, VoxLingua 44.2.

Not reproduced here: AudioSet is not to be had. Steps are set for 2,032,320 clips; give `--optim.steps` for
yours. Differences: each clip is standardised by itself in the paper, here all by the corpus; positions are
learned from their sines there, and biases, scales and tokens decay too.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/mw_mae.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ViT
from ssl_audio.methods import MAE
from ssl_audio.optim import Optim
from ssl_audio.signal.frontend import LogMel

experiment = Experiment(
    name="mw_mae",
    method=MAE(
        hide=0.8,
        width=384,
        depth=4,
        heads=8,
        normalise=False,
        windows=(2, 5, 10, 25, 50, 125, 0, 0),
        line=True,
    ),
    encoder=ViT(width=768, depth=12, heads=12, patch=(4, 16)),
    views=(View(),),
    frontend=LogMel(rate=16_000, n_fft=400, win=400, hop=160, mels=80, fmin=50.0, fmax=8000.0),
    data=Data(seconds=1.99, batch=1024, short="pad"),
    optim=Optim(steps=198_400, rate=6e-5, warmup=19_840, decay=0.05),
    precision="bfloat16",
    save_every=2_000,
)
