"""Every method at a laptop's scale, on spoken digits (FSDD): what `ssl-audio bench` compares.

Each gets the same sound and minutes; what differs is the method, with the encoder, views and batch that its
family needs. Methods that compare views: the convnet and two views of 0.5 s that change level, noise,
equalisation and formants. Methods that mask: a transformer of 3 blocks on patches of 40 ms and the whole band
(EAT, whose masks are blocks: 8 bands) of one plain view. Methods on waves: small forms of their convolutions
at 8 kHz. Batches are small, 64 clips for the convnet and 32 for the others: in equal minutes more steps win
(`ablations_fsdd.py`, as the patch). Settings follow the papers where they don't depend on scale; averages,
schedules and codebooks are shortened to some hundred steps.
`supervised` and `sup_con` see the labels of all speakers, the left-out one's too: ceilings, not competitors.

    ssl-audio bench experiments/methods.py --task fsdd/digit-loso --minutes 3 --seeds 0 1
"""

import dataclasses

from ssl_audio import methods
from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import GRU, AudioNTT, Context, CPCConv, ViT, Wav2Vec2
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import (
    Crop,
    Gain,
    MixupLogExp,
    Noise,
    RandomEqualiser,
    RandomLinearFader,
    RandomResizeCrop,
)
from ssl_audio.signal.frontend import LogMel
from ssl_audio.signal.frontends import RawFrames

mel = LogMel(rate=8_000, n_fft=512, win=160, hop=80, mels=40, fmin=60.0, fmax=3_900.0, floor=1e-5)
raw = RawFrames(rate=8_000, hop=80)
strong = View(
    wave=(Crop(4_000), Gain(10.0), Noise((5.0, 40.0))),
    spec=(
        MixupLogExp(0.2),
        RandomResizeCrop(canvas=(1.5, 1.0), scale=(0.6, 1.5)),
        RandomLinearFader(1.0),
        RandomEqualiser(1.0),
    ),
)
plain = View(wave=(Crop(3_840), Gain(6.0)))  # 48 frames
whole = View(wave=(Gain(10.0), Noise((5.0, 40.0))), spec=(MixupLogExp(0.2), RandomEqualiser(1.0)))  # unmoved
conv = AudioNTT(width=512, channels=32, dropout=0.0, stages=3)
vit = ViT(width=128, depth=3, heads=4, patch=(4, 40))
with_class = dataclasses.replace(vit, cls=True)
squares = dataclasses.replace(with_class, patch=(4, 8))
wave = Wav2Vec2(
    width=128, depth=3, heads=4, channels=128, convs=((10, 5), (4, 4), (4, 2), (4, 2)), dropout=0.0,
    layerdrop=0.0,
)  # fmt: skip
ema = {"decay": (0.99, 0.999), "ramp": 400}

base = Experiment(
    name="simclr",
    method=methods.SimCLR(temperature=0.1),
    encoder=conv,
    views=(strong, strong),
    frontend=mel,
    data=Data(store="stores/fsdd-8000", seconds=0.6, batch=64, short="pad"),
    optim=Optim(steps=400, rate=1e-3, warmup=40, decay=1e-4, clip=1.0),
    watch_label="digit",
    log_every=10,
)
labelled = dataclasses.replace(base.data, label="digit")
few = dataclasses.replace(base.data, batch=32)


def pair(name, method, **changes):
    """The convnet, and two changed views."""
    return dataclasses.replace(base, name=name, method=method, **changes)


def single(name, method, encoder=vit, **changes):
    """The transformer, and one plain view."""
    return pair(name, method, **{"encoder": encoder, "data": few, "views": (plain,)} | changes)


def heard(name, method, encoder=wave, **changes):
    """A network on waves, and one plain view."""
    return single(name, method, encoder, frontend=raw, **changes)


experiments = (
    base,
    pair("cola", methods.COLA(width=512)),
    pair("moco", methods.MoCo(hidden=1024, width=128, queue=2048, temperature=0.1)),
    pair("byol_a", methods.BYOLA(hidden=1024, width=256, decay=0.99)),
    pair("simsiam", methods.SimSiam(hidden=1024, width=512, bottleneck=256)),
    pair("barlow_twins", methods.BarlowTwins(hidden=1024, width=256)),
    pair("vicreg", methods.VICReg(hidden=1024, width=512)),
    pair("w_mse", methods.WMSE(hidden=512, width=32, size=64)),
    pair("swav", methods.SwAV(prototypes=64, freeze=20, hidden=512, width=128)),
    pair(
        "deep_cluster",
        methods.DeepCluster(prototypes=64, every=48, batches=24, hidden=512, width=128),
    ),
    pair(
        "dino",
        methods.DINO(
            prototypes=256,
            hidden=512,
            width=128,
            sharp=(0.04, 0.04),
            warmup=0,
            decay=0.99,
            steps=4000,
            freeze=20,
        ),
    ),
    pair("autoencoder", methods.Autoencoder(), views=(plain,)),
    pair("vae", methods.VAE(beta=0.1, anneal=200), views=(plain,)),
    pair("vq_autoencoder", methods.VQAutoencoder(codes=128, decay=0.95), views=(plain,)),
    single(
        "atst_clip",
        methods.ATSTClip(hidden=1024, decay=0.99, steps=4000),
        with_class,
        views=(strong, strong),
    ),
    single(
        "atst_frame",
        methods.ATSTFrame(hidden=1024, decay=0.99, steps=4000, span=3),
        views=(whole, whole),
    ),
    single("mae", methods.MAE(hide=0.75)),
    single(
        "mw_mae", methods.MAE(hide=0.8, width=96, heads=4, normalise=False, line=True, windows=(2, 4, 6, 0))
    ),
    single("m2d", methods.M2D(hide=0.6, width=96, depth=2, heads=3, **ema)),
    single(
        "beats",
        methods.BEATs(
            codes=64, code=32, width=128, depth=2, heads=4, distil=200, again=400, commit=10.0, decay=0.9
        ),
    ),
    single("data2vec", methods.Data2Vec(hide=0.65, span=3, top=3, **ema)),
    single("eat", methods.EAT(side=3, clones=4, width=128, depth=3, top=3, **ema), squares),
    single("jepa", methods.JEPA(width=96, depth=2, heads=3, **ema)),
    single("apc", methods.APC(ahead=5), GRU(width=256, depth=3, dropout=0.0)),
    heard("cpc", methods.CPC(), Context(CPCConv(width=128, strides=(5, 2, 2, 2, 2)), width=256)),
    heard(
        "wav2vec2",
        methods.Wav2Vec2Pretraining(
            span=5, start=0.1, codes=64, width=128, negatives=20, gumbel=(2.0, 0.5, 0.995)
        ),
    ),
    heard(
        "hubert",
        methods.HuBERT(
            rate=8_000, span=5, start=0.1, first=50, codes=100, stage=200, depth=2, looks=80, width=128
        ),
    ),
    heard(
        "wav_jepa",
        methods.WavJEPA(context_span=5, target_span=5, width=96, depth=2, heads=3, top=3, **ema),
        dataclasses.replace(wave, positions="sincos"),
    ),
    pair("supervised", methods.Supervised(classes=10), data=labelled, views=(strong,)),
    pair("sup_con", methods.SupCon(hidden=512), data=labelled),
)
