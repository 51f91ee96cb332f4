"""Variational autoencoder (Kingma & Welling, "Auto-Encoding Variational Bayes", 2014) on log-mel
spectrograms.

16 kHz; 0.96 s crops; 64 mel bands from 60 to 7,800 Hz, window and transform 1,024, hop 160; AudioNTT 512-d; a
Gaussian code of 32 numbers a token; a decoder of 500 hidden units, the paper's; the divergence's weight grows
to 1 over the first 2,000 steps (Bowman et al., "Generating Sentences from a Continuous Space", 2016); AdamW
3e-4, cosine, batch 256. Watch `active`: 0 means that the decoder ignores the code.

The paper works on images of digits and faces, with Adagrad and batches of 100, and has no recipe for sound:
encoder, code and optimiser are choices of this project, and there is no published number to compare with.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/vae.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import VAE
from ssl_audio.optim import Optim
from ssl_audio.signal.frontend import LogMel

experiment = Experiment(
    name="vae",
    method=VAE(code=32, hidden=500, beta=1.0, anneal=2000),
    encoder=AudioNTT(width=512, channels=64, dropout=0.0),
    views=(View(),),
    frontend=LogMel(rate=16_000, n_fft=1024, win=1024, hop=160, mels=64, fmin=60.0, fmax=7800.0),
    data=Data(seconds=0.96, batch=256),
    optim=Optim(steps=10_000, rate=3e-4, warmup=500, decay=0.01),
    save_every=500,
)
