"""Vector-quantised autoencoder (van den Oord et al., "Neural Discrete Representation Learning", 2017) on
log-mel spectrograms.

16 kHz; 0.96 s crops; 64 mel bands from 60 to 7,800 Hz, window and transform 1,024, hop 160; AudioNTT 512-d, a
token each 80 ms; 512 codes of 64 numbers, moving averages 0.99, commitment 0.25; Adam 2e-4 constant, batch
128, 250,000 steps: the paper's numbers for images (recalled). Watch `perplexity`: the codes in use.

Not reproduced here: the paper's model of sound takes and makes waves, with a WaveNet decoder; this decoder is
two layers on each token's code alone, and there is no published number to compare with. Codes that die start
again at a token of the batch, of which the paper says nothing.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/vq_autoencoder.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import VQAutoencoder
from ssl_audio.optim import Optim
from ssl_audio.signal.frontend import LogMel

experiment = Experiment(
    name="vq_autoencoder",
    method=VQAutoencoder(codes=512, code=64, hidden=512, decay=0.99, commit=0.25),
    encoder=AudioNTT(width=512, channels=64, dropout=0.0),
    views=(View(),),
    frontend=LogMel(rate=16_000, n_fft=1024, win=1024, hop=160, mels=64, fmin=60.0, fmax=7800.0),
    data=Data(seconds=0.96, batch=128),
    optim=Optim(steps=250_000, rate=2e-4, cosine=False),
    save_every=1000,
)
