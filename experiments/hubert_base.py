"""HuBERT Base: the paper's recipe, both stages (Hsu et al., "HuBERT", 2021; its published configuration).

16 kHz waves, crops of 250,000 samples at most; the encoder of wav2vec 2.0 Base; 8 % of the tokens start a
masked span of 10; 250,000 steps on 100 clusters of 39-d MFCCs, then 400,000 on 500 clusters of the features
of block 6; Adam 5e-4, betas 0.9 and 0.98, weight decay 0.01, clip 10, 32,000 steps of warm-up. The paper
trained on the 960 hours of LibriSpeech on 32 GPUs, 1.4 million samples on each, about 9.5 hours for 100,000
steps. Published: word error rate 3.4 / 8.1 (test-clean / other) after fine-tuning on 100 hours with a 4-gram;
SUPERB: phones 5.41, keywords 96.30, speakers 81.42, emotions 64.92. Numbers of clusters, the block, hours
and results are given from memory.

Not reproduced here: 32 GPUs are not to be had, nor is fine-tuning for recognition here. Differences: one
command does both stages, so weights, optimiser and schedule go on into the second one, where the paper starts
afresh; a batch is 176 crops of equal length; the rate falls along a cosine, not a line; biases and scales
don't decay; k-means looks at 100 batches' 352,000 tokens, where the paper takes a tenth of the data for
features. A shorter utterance is repeated, so what is masked may be heard elsewhere: store longer clips, or
give `--data.seconds` of your shortest. float32 keeps the MFCCs exact; the paper trained in float16.

    ssl-audio store LibriSpeech --out stores/librispeech
    ssl-audio train experiments/hubert_base.py --data.store stores/librispeech
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import Wav2Vec2
from ssl_audio.methods import HuBERT
from ssl_audio.optim import Optim
from ssl_audio.signal.frontends import RawFrames

experiment = Experiment(
    name="hubert_base",
    method=HuBERT(
        rate=16_000, start=0.08, span=10, first=100, codes=500, stage=250_000, depth=6, looks=100, tokens=20,
        width=256, temperature=0.1, penalty=10.0, slow=0.1, dropout=0.1,
    ),
    encoder=Wav2Vec2(width=768, depth=12, heads=12, channels=512, dropout=0.1, layerdrop=0.05),
    views=(View(),),
    frontend=RawFrames(rate=16_000, hop=160),
    data=Data(seconds=15.62, batch=176),
    optim=Optim(
        steps=650_000, rate=5e-4, warmup=32_000, decay=0.01, clip=10.0, betas=(0.9, 0.98), epsilon=1e-6
    ),
    save_every=2_000,
)  # fmt: skip
