"""APC: the paper's recipe (Chung et al., "An Unsupervised Autoregressive Model for Speech Representation
Learning", 2019; its published code and s3prl's).

16 kHz; 80 log-mel bands, window 25 ms, hop 10 ms; 3 GRU layers of 512 with residual connections, dropout
0.1; a linear map foretells the frame 5 steps ahead by its L1 error; Adam 1e-4 constant, batch 32, gradients
clipped to 5, 100 epochs of LibriSpeech's 360 clean hours (104,014 sentences). Published, SUPERB, recalled:
phone error rate 41.98, keywords 91.01, speakers 60.42, emotions 59.33; filter banks alone: keywords 41.38,
speakers 20.06, emotions 48.24. Its hardware and time aren't published.

Not reproduced here: no run of that length was made. Differences: sentences are cut to, or looped up to, 15 s
(the 1,500 frames that s3prl allows at most); bands are normalised by the mean and deviation of the whole
store instead of each sentence's; the embedding is the mean over time.

    ssl-audio store LibriSpeech --out stores/librispeech
    ssl-audio train experiments/apc.py --data.store stores/librispeech
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import GRU
from ssl_audio.methods import APC
from ssl_audio.optim import Optim
from ssl_audio.signal.frontend import LogMel

experiment = Experiment(
    name="apc",
    method=APC(ahead=5),
    encoder=GRU(width=512, depth=3, dropout=0.1),
    views=(View(),),
    frontend=LogMel(rate=16_000, n_fft=512, win=400, hop=160, mels=80, fmin=20.0, fmax=8000.0),
    data=Data(seconds=15.0, batch=32),
    optim=Optim(steps=325_000, rate=1e-4, cosine=False, clip=5.0),
    save_every=1000,
)
