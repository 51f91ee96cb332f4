"""DINO on sound (Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", 2021; the
published configuration for a ViT-S and 100 epochs).

The paper's numbers for the method: ViT-S/16 with a class token; head 2,048 to 256 to 65,536 prototypes,
their weights frozen in the first epoch; student's temperature 0.1, teacher's 0.04; centre 0.9; teacher
0.996 to 1; two large and eight small views; batch 512 (8 x 64), AdamW at 0.0005 x batch / 256, ten epochs
of warm-up, clip 3. On ImageNet: about 73.8 % linear and 69.3 % nearest-neighbour top-1 after 1.75 days on 8
GPUs.

Not reproduced here: pictures; the weight decay that rises from 0.04 to 0.4 (here 0.04), clipping each
tensor by itself (here the whole gradient), stochastic depth, learned positions. The recipe is carried over
to sound: 64 mel bands of 10 ms, 6 s for the large views and 2 s for the small ones, log-mixup-exp and
random resize crop. Steps count 100 epochs of 2 million clips; give `--optim.steps` and `--method.steps` for
yours.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/dino.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ViT
from ssl_audio.methods import DINO
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, MixupLogExp, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

large = View(wave=(Crop(96_000),), spec=(MixupLogExp(0.4), RandomResizeCrop()))
small = View(wave=(Crop(32_000),), spec=(MixupLogExp(0.4), RandomResizeCrop()))

experiment = Experiment(
    name="dino",
    method=DINO(
        prototypes=65_536,
        hidden=2048,
        width=256,
        temperature=0.1,
        sharp=(0.04, 0.04),
        warmup=0,
        decay=0.996,
        steps=390_600,
        slow=0.9,
        freeze=3906,
    ),
    encoder=ViT(width=384, depth=12, heads=6, patch=(16, 16), cls=True),
    views=(large,) * 2 + (small,) * 8,
    frontend=LogMel(
        rate=16_000, n_fft=1024, win=1024, hop=160, mels=64, fmin=60.0, fmax=7800.0, floor=1.1920929e-07
    ),
    data=Data(seconds=10.0, batch=512, short="loop"),
    optim=Optim(steps=390_600, rate=1e-3, warmup=39_060, decay=0.04, clip=3.0),
    save_every=1000,
)
