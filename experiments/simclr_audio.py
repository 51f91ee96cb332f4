"""SimCLR on sound events: the recipe of Fonseca et al., "Unsupervised Contrastive Learning of Sound Event
Representations", 2021, as in its published configuration.

22.05 kHz; 96 mel bands from 50 to 10,500 Hz, window 660 (30 ms), hop 220, transform 2,048; two patches of
101 frames from within a clip; another clip mixed into the background, at most 0.05; random resize crop with
0.8 to 1 of the area; noise; ResNet-18, head 512 to 512, temperature 0.2; SGD 0.03, momentum 0.9, decay
1e-4, batch 128, 500 epochs of FSDnoisy18k's training set, a tenth of the rate at 325 and 425. The paper
used one GPU.

Not reproduced here: FSDnoisy18k must be fetched by hand (zenodo.org/records/2529934). Clips are mixed by
log-mixup-exp, not scaled to the other's energy first; nor is each clip freed of its mean and divided by its
peak, without which its level can give a pair away (`store --clean dc` does the former). No spectrogram
compression, and the noise is added to the wave. Hann window for Hamming. The ResNet's embedding is the mean
over the last layer (there: mean and maximum). AdamW with a cosine for SGD with steps. Steps are 500 epochs of
15,813 clips.

    ssl-audio store FSDnoisy18k/audio_train --rate 22050 --out stores/fsdnoisy18k
    ssl-audio train experiments/simclr_audio.py --data.store stores/fsdnoisy18k
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ResNet
from ssl_audio.methods import SimCLR
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, MixupLogExp, Noise, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

view = View(
    wave=(Crop(22_000), Noise((20.0, 40.0))),
    spec=(MixupLogExp(0.05), RandomResizeCrop(canvas=(1.0, 1.0), scale=(0.9, 1.0))),
)

experiment = Experiment(
    name="simclr_audio",
    method=SimCLR(temperature=0.2, hidden=512, width=512),
    encoder=ResNet(layers=18),
    views=(view, view),
    frontend=LogMel(
        rate=22_050,
        n_fft=2048,
        win=660,
        hop=220,
        mels=96,
        fmin=50.0,
        fmax=10_500.0,
        floor=1.1e-8,
        slaney_norm=False,
    ),
    data=Data(seconds=4.0, batch=128),
    optim=Optim(steps=61_500, rate=1e-3, warmup=500, decay=1e-4),
    save_every=500,
)
