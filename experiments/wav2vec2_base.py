"""wav2vec 2.0 Base: the paper's recipe (Baevski et al., "wav2vec 2.0", 2020; its published configuration).

16 kHz waves, crops of 250,000 samples at most; seven convolutions of 512 channels, 12 blocks of 768; 6.5 % of
the tokens start a masked span of 10; two groups of 320 codes, 100 negatives, temperature 0.1, Gumbel
2 to 0.5; Adam 5e-4, betas 0.9 and 0.98, weight decay 0.01, 32,000 steps of warm-up, 400,000 steps. The paper
trained on the 960 hours of LibriSpeech on 64 V100 in 1.6 days, 1.4 million samples on each. Published: word
error rate 3.4 / 8.0 (test-clean / other) after fine-tuning on 100 hours with a 4-gram, figures from memory.
(The HEAR leaderboard's wav2vec 2.0, ESC-50 0.561, is the Large one on VoxPopuli, not this.)

Not reproduced here: 64 GPUs are not to be had, nor is fine-tuning for recognition here. Differences: a batch
is 360 crops of equal length, where the paper fills it with whole utterances up to that length; the rate falls
along a cosine, not a line; biases and scales don't decay; bfloat16, not float16; a batch goes through in
three parts, which eight devices of 80 GB hold (`--optim.accumulate 1` for 64; the diversity of the codes is
then that of a part, as it was that of one GPU's clips in the paper). A shorter utterance is repeated, so what
is masked may be heard elsewhere: store longer clips, or give `--data.seconds` of your shortest.

    ssl-audio store LibriSpeech --out stores/librispeech
    ssl-audio train experiments/wav2vec2_base.py --data.store stores/librispeech
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import Wav2Vec2
from ssl_audio.methods import Wav2Vec2Pretraining
from ssl_audio.optim import Optim
from ssl_audio.signal.frontends import RawFrames

experiment = Experiment(
    name="wav2vec2_base",
    method=Wav2Vec2Pretraining(
        start=0.065, span=10, groups=2, codes=320, width=256, negatives=100, temperature=0.1,
        gumbel=(2.0, 0.5, 0.999995), diversity=0.1, penalty=10.0, slow=0.1, dropout=0.1,
    ),
    encoder=Wav2Vec2(width=768, depth=12, heads=12, channels=512, dropout=0.1, layerdrop=0.05),
    views=(View(),),
    frontend=RawFrames(rate=16_000, hop=160),
    data=Data(seconds=15.62, batch=360),
    optim=Optim(
        steps=400_000, rate=5e-4, warmup=32_000, decay=0.01, betas=(0.9, 0.98), epsilon=1e-6, accumulate=3
    ),
    precision="bfloat16",
    save_every=2_000,
)  # fmt: skip
