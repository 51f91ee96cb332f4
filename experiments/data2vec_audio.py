"""data2vec: the recipe for speech, Base (Baevski et al., "data2vec", 2022; its published configuration).

16 kHz waves of up to 20 s; seven convolutions, 50 tokens a second; transformer of 12 blocks, 768-d; 0.65 of
the time steps in spans of 10, which overlap; target: mean of the teacher's last 8 layers, each instance
normalised; teacher 0.999 to 0.9999 over 30,000 steps; Adam 5e-4, betas 0.9, 0.98, epsilon 1e-6, decay 0.01,
400,000 steps, 3 % of them warm-up; 3.8 million samples on each of 16 GPUs. Published, on LibriSpeech
test-other with a language model: word error rate 12.3 with 10 minutes of labels, 6.8 with 100 hours (these
two are recalled, not read).

Not reproduced here: LibriSpeech's 960 hours are 60 GB; give a store of yours. Differences: clips of 15.6 s;
waves are scaled by the store's statistics, not each by its own, and the first convolution alone is normalised
(the paper: layer normalisation behind all); one convolution tells the places apart (the paper: five smaller
ones); biases and scales don't decay; no dropout and no dropped layers; targets are outputs of whole blocks;
the rate stays at its peak (the paper's falls over the last 7 %); a batch is 240 clips of one length, about as
many seconds, and a shorter clip is repeated, so what is masked may be heard elsewhere.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/data2vec_audio.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import Wav2Vec2
from ssl_audio.methods import Data2Vec
from ssl_audio.optim import Optim
from ssl_audio.signal.frontends import RawFrames

experiment = Experiment(
    name="data2vec_audio",
    method=Data2Vec(hide=0.65, span=10, top=8, decay=(0.999, 0.9999), ramp=30_000),
    encoder=Wav2Vec2(width=768, depth=12, heads=12),
    views=(View(),),
    frontend=RawFrames(rate=16_000, hop=320),
    data=Data(seconds=15.6, batch=240, short="loop"),
    optim=Optim(
        steps=400_000, rate=5e-4, warmup=12_000, cosine=False, decay=0.01, betas=(0.9, 0.98), epsilon=1e-6
    ),
    save_every=2_000,
)
