"""ATST-Clip: the paper's recipe for its base model (Li & Li, "ATST: Audio Representation Learning with
Teacher-Student Transformer", 2022; its published configuration).

16 kHz; two segments of 6 s from different places of a clip; 64 mel bands from 60 to 7,800 Hz, window and
transform 1,024, hop 160, decibels within 80 of the loudest, from -79.6482 to 50.6842 mapped to -1 to 1;
log-mixup-exp 0.4, random resize crop; transformer of width 768, depth 12, 12 heads, patches of 4 frames and
all 64 bands, with a class token; projector and predictor 4,096 to 256; teacher 0.9995 rising to 1; AdamW,
2e-4 for each 256 clips of a batch of 1,536 on 6 GPUs, warm-up 15,860 of 318,000 steps. Published: VoxCeleb1
speakers 72 % by linear evaluation, 94.3 % after fine-tuning. The small model: width 384, 6 heads, 5e-4 for
each 256 clips (`--optim.rate 3e-3`), teacher 0.99, 39,100 steps with warm-up 1,300, batch 1,536 on 4 GPUs,
200,000 clips.

Not reproduced here: AudioSet is not to be had. Differences: positions are fixed and not learned, no
stochastic depth (0.1), weight decay 0.04 and not rising to 0.4, mixing draws from the batch instead of a
memory. The paper judges the class tokens and means of all 12 blocks, this encoder's embedding has the last
block's.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/atst_clip.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ViT
from ssl_audio.methods import ATSTClip
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, MixupLogExp, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

view = View(
    wave=(Crop(96_000),),
    spec=(MixupLogExp(0.4), RandomResizeCrop(canvas=(1.0, 1.5), scale=(0.6, 1.5))),
)

experiment = Experiment(
    name="atst_clip",
    method=ATSTClip(hidden=4096, width=256, decay=0.9995, steps=318_000),
    encoder=ViT(width=768, depth=12, heads=12, patch=(4, 64), cls=True),
    views=(view, view),
    frontend=LogMel(
        rate=16_000,
        n_fft=1024,
        win=1024,
        hop=160,
        mels=64,
        fmin=60.0,
        fmax=7800.0,
        htk=True,
        slaney_norm=False,
        log="db",
        floor=1e-10,
        top_db=80.0,
        mean=-14.482,
        std=65.1662,
    ),
    data=Data(seconds=10.0, batch=1536, short="pad"),
    optim=Optim(steps=318_000, rate=1.2e-3, warmup=15_860, decay=0.04),
    save_every=1000,
)
