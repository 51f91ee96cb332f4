"""ATST-Frame: the paper's recipe for its base model (Li, Shao & Li, "Self-supervised Audio Teacher-Student
Transformer for Both Clip-level and Frame-level Tasks", 2024; its published configuration).

16 kHz; 10 s; 64 mel bands from 60 to 7,800 Hz, window and transform 1,024, hop 160, decibels within 80 of
the loudest, from -79.6482 to 50.6842 mapped to -1 to 1; one view left plain, the other changed by
log-mixup-exp 0.4 and by stretching the frequency axis; both see both networks; spans of 5 tokens masked,
mask 0.65; transformer of width 768, depth 12, 12 heads, patches of 4 frames and all 64 bands; projector and
predictor 4,096 to 256; teacher 0.9996 rising to 1; AdamW, 8e-5 for each 256 clips of a batch of 864 on
6 GPUs, warm-up 19,900 of 398,000 steps. Published: AudioSet 0.480 mAP after fine-tuning.

Not reproduced here: AudioSet is not to be had. Differences: `FrequencyShift` stands for the stretched
frequency axis, since `RandomResizeCrop` would move the view in time as well; positions are fixed and not
learned, no stochastic depth (0.1), weight decay 0.04 and not rising to 0.4, mixing draws from the batch
instead of a memory.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/atst_frame.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ViT
from ssl_audio.methods import ATSTFrame
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import FrequencyShift, MixupLogExp
from ssl_audio.signal.frontend import LogMel

experiment = Experiment(
    name="atst_frame",
    method=ATSTFrame(mask=0.65, span=5, hidden=4096, width=256, decay=0.9996, steps=398_000),
    encoder=ViT(width=768, depth=12, heads=12, patch=(4, 64)),
    views=(View(), View(spec=(MixupLogExp(0.4), FrequencyShift(8)))),
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
    data=Data(seconds=10.0, batch=864, short="pad"),
    optim=Optim(steps=398_000, rate=2.7e-4, warmup=19_900, decay=0.04),
    save_every=1000,
)
