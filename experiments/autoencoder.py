"""Denoising autoencoder (Vincent et al., "Extracting and Composing Robust Features with Denoising
Autoencoders", 2008) on log-mel spectrograms.

16 kHz; 0.96 s crops; 64 mel bands from 60 to 7,800 Hz, window and transform 1,024, hop 160; Gaussian noise of
0.3 standard deviations, 30 % of the bins set to zero; AudioNTT 512-d; 32 numbers a token pass to a decoder of
512 hidden units; AdamW 3e-4, cosine, batch 256.

The paper works on images of digits and has no recipe for sound: encoder, sizes and optimiser are choices of
this project, and there is no published number to compare with. `--method.noise 0 --method.drop 0` is the
plain autoencoder.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/autoencoder.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import Autoencoder
from ssl_audio.optim import Optim
from ssl_audio.signal.frontend import LogMel

experiment = Experiment(
    name="autoencoder",
    method=Autoencoder(code=32, hidden=512, noise=0.3, drop=0.3),
    encoder=AudioNTT(width=512, channels=64, dropout=0.0),
    views=(View(),),
    frontend=LogMel(rate=16_000, n_fft=1024, win=1024, hop=160, mels=64, fmin=60.0, fmax=7800.0),
    data=Data(seconds=0.96, batch=256),
    optim=Optim(steps=10_000, rate=3e-4, warmup=500, decay=0.01),
    save_every=500,
)
