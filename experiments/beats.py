"""BEATs, iterations 1 and 2: the paper's recipe (Chen et al., "BEATs: Audio Pre-Training with Acoustic
Tokenizers", 2023).

Kaldi filter banks of the wave as 16-bit integers, 128 bands, Povey window, normalised to half a deviation;
12 blocks, 768-d, 8 heads, on 16x16 patches; 75 % hidden; 1,024 codes of 256 numbers; 400,000 steps an
iteration of 5,600 s at 5e-4; between them 400,000 steps of the tokenizer (1,400 s at 5e-5). 16 V100, about
75 hours an iteration. Published after fine-tuning (AudioSet mAP, 20K, ESC-50): iteration 1 47.9, 36.0, 94.0;
iteration 2 48.1, 38.3, 95.1.

Not reproduced here: AudioSet is not to be had. One run holds all three phases under one schedule, so the
tokenizer has the encoder's batch and, by then, rate. Warm-up, decay and betas are recalled, not read. For
the first iteration alone end at `--optim.steps 400000`; give smaller `--method.distil` and `--method.again`
for a smaller run. The tokenizer's commitment has the authors' weight of 1; watch `perplexity` from `distil`
on, and give `--method.commit 10` (ESPnet's) where it falls to 1. Further differences stand with the method.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/beats.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ViT
from ssl_audio.methods import BEATs
from ssl_audio.optim import Optim
from ssl_audio.signal.frontends import KaldiFbank

experiment = Experiment(
    name="beats",
    method=BEATs(hide=0.75, codes=1024, code=256, width=768, depth=3, heads=8, distil=400_000, again=800_000),
    encoder=ViT(width=768, depth=12, heads=8, patch=(16, 16)),
    views=(View(),),
    frontend=KaldiFbank(
        rate=16_000, mels=128, window="povey", scale=32_768.0, mean=15.41663, std=2 * 6.55582
    ),
    data=Data(seconds=10.0, batch=560, short="pad"),
    optim=Optim(steps=1_200_000, rate=5e-4, warmup=32_000, decay=0.01, betas=(0.9, 0.98)),
    save_every=5_000,
)
