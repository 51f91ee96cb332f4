"""CPC: the paper's recipe on speech (van den Oord et al., "Representation Learning with Contrastive
Predictive Coding", 2018), as far as it is told.

16 kHz waves in windows of 20,480 samples; five convolutions with strides 5, 4, 2, 2, 2, kernels 10, 8, 4, 4,
4 and 512 channels: a token each 10 ms; a GRU of 256; 12 steps foretold, each by a linear map; Adam 2e-4,
batch 8 on each of 8 GPUs, about 300,000 steps (recalled) on LibriSpeech's 100 clean hours. Published, linear
probes of the context (recalled): phones 64.6 %, speakers 97.4 %. Time isn't published.

Not reproduced here: no run of that length was made. Differences: each step is normalised over its channels
and 128 negatives are drawn, as in Rivière et al., "Unsupervised Pretraining Transfers Well Across Languages",
2020, where the paper says neither; negatives come from the whole batch of 64, in the paper from each GPU's 8.
On spectrograms take Context(AudioNTT()) for the encoder and `ahead` below the number of its tokens.

    ssl-audio store LibriSpeech --out stores/librispeech
    ssl-audio train experiments/cpc.py --data.store stores/librispeech
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import Context, CPCConv
from ssl_audio.methods import CPC
from ssl_audio.optim import Optim
from ssl_audio.signal.frontends import RawFrames

experiment = Experiment(
    name="cpc",
    method=CPC(ahead=12, negatives=128),
    encoder=Context(CPCConv(width=512, strides=(5, 4, 2, 2, 2)), width=256),
    views=(View(),),
    frontend=RawFrames(rate=16_000, hop=160),
    data=Data(seconds=1.28, batch=64),
    optim=Optim(steps=300_000, rate=2e-4, cosine=False),
    save_every=1000,
)
