"""SwAV on sound (Caron et al., "Unsupervised Learning of Visual Features by Contrasting Cluster
Assignments", 2020; the published configuration for batches of 256).

The paper's numbers for the method: projection 2,048 to 128, 3,000 prototypes that stay frozen for 5,005
steps, temperature 0.1, epsilon 0.05, three rounds of Sinkhorn, a queue of 3,840 from epoch 15 on, two large
and six small views, batch 256. On ImageNet with a ResNet-50, 200 epochs: 72.7 % linear top-1; an epoch took
52 minutes (800 epochs at batch 4,096 on 64 V100: 75.3 %, 50 hours).

Not reproduced here: pictures, ResNet-50, and SGD with LARC at rate 0.6. The recipe is carried over to
sound: 0.95 s crops for the large views and 0.5 s for the small ones, BYOL-A's frontend, augmentations and
convnet, AdamW. Steps and `wait` count epochs of 2 million clips; give yours.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/swav.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import SwAV
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, MixupLogExp, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

large = View(wave=(Crop(15_200),), spec=(MixupLogExp(0.4), RandomResizeCrop()))
small = View(wave=(Crop(8_000),), spec=(MixupLogExp(0.4), RandomResizeCrop()))

experiment = Experiment(
    name="swav",
    method=SwAV(
        prototypes=3000,
        temperature=0.1,
        epsilon=0.05,
        rounds=3,
        freeze=5005,
        queue=3840,
        wait=117_180,
        hidden=2048,
        width=128,
    ),
    encoder=AudioNTT(width=2048, channels=64, dropout=0.0),
    views=(large,) * 2 + (small,) * 6,
    frontend=LogMel(
        rate=16_000, n_fft=1024, win=1024, hop=160, mels=64, fmin=60.0, fmax=7800.0, floor=1.1920929e-07
    ),
    data=Data(seconds=2.0, batch=256, short="loop"),
    optim=Optim(steps=1_562_400, rate=3e-4, decay=1e-6),
    save_every=2000,
)
