"""DeepCluster-v2 on sound (Caron et al., "Deep Clustering for Unsupervised Learning of Visual Features",
2018; the second form in their "Unsupervised Learning of Visual Features by Contrasting Cluster
Assignments", 2020).

The paper's numbers for the method: projection 2,048 to 128, three clusterings of 3,000 clusters each,
spherical k-means of ten rounds once in an epoch, temperature 0.1, two large and six small views, batch
4,096, ten epochs of warm-up. On ImageNet with a ResNet-50, 800 epochs on 64 V100 (a job of 40 hours): 75.2
% linear top-1; an epoch of the run with 2 x 160 + 4 x 96 views took 3 min 13 s.

Not reproduced here: pictures, ResNet-50, and SGD with LARC at rate 4.8. The recipe is carried over to
sound: 0.95 s crops for the large views and 0.5 s for the small ones, BYOL-A's frontend, augmentations and
convnet, AdamW. The paper clusters all of the data; here 64 batches of it, 262,144 clips, are clustered,
which one accelerator's memory holds. Steps count 100 epochs of 2 million clips; give yours.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/deep_cluster.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import DeepCluster
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, MixupLogExp, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

large = View(wave=(Crop(15_200),), spec=(MixupLogExp(0.4), RandomResizeCrop()))
small = View(wave=(Crop(8_000),), spec=(MixupLogExp(0.4), RandomResizeCrop()))

experiment = Experiment(
    name="deep_cluster",
    method=DeepCluster(
        prototypes=3000, heads=3, every=488, batches=64, rounds=10, temperature=0.1, hidden=2048, width=128
    ),
    encoder=AudioNTT(width=2048, channels=64, dropout=0.0),
    views=(large,) * 2 + (small,) * 6,
    frontend=LogMel(
        rate=16_000, n_fft=1024, win=1024, hop=160, mels=64, fmin=60.0, fmax=7800.0, floor=1.1920929e-07
    ),
    data=Data(seconds=2.0, batch=4096, short="loop"),
    optim=Optim(steps=48_800, rate=1e-3, warmup=4_880, decay=1e-6),
    save_every=500,
)
