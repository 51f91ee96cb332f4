"""SimCLR on your own recordings; a start that works for most sound of a second and more.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/own_folder.py --data.store stores/mine
    ssl-audio embed runs/own_folder --store stores/mine

Two crops of about a second from each clip must find each other among the other clips of the batch. What to
change first: `--optim.steps` (1,000 for a few hundred clips; 10,000 and more for hours of sound),
`--data.batch`, and `--data.seconds` (1 or more) for the length of sound within which two crops should count
as the same.
Set `--watch-label label` to see a kNN accuracy along the way if your folder's sub-folders are labels; it
never steers the training.
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import SimCLR
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, Gain, MixupLogExp, RandomLinearFader, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel

view = View(
    wave=(Crop(15_200), Gain(6.0)), spec=(MixupLogExp(0.2), RandomResizeCrop(), RandomLinearFader(1.0))
)

experiment = Experiment(
    name="own_folder",
    method=SimCLR(),
    encoder=AudioNTT(channels=32, dropout=0.0),
    views=(view, view),
    frontend=LogMel(rate=16_000, mels=64),
    data=Data(seconds=2.0, batch=128, short="loop"),
    optim=Optim(steps=2_000, rate=1e-3, warmup=100, decay=1e-4, clip=1.0),
)
