"""WavJEPA: the paper's recipe, Base (Yuksel et al., "WavJEPA: Semantic learning unlocks robust audio
foundation models for raw waveforms", 2025; its published code).

16 kHz waves of 2.01 s, eight random ones of a clip of 10 s; six convolutions, 100 tokens a second;
transformer of 12 blocks, 768-d, fixed positions; a context outside spans of 10 tokens for 0.65 of the time
and outside four targets, each spans of 10 for 0.25, and 0.1 of the time at least; predictor of 384-d and 12
blocks (depth recalled, not read); target: mean of the teacher's last 8 layers, each instance normalised;
teacher 0.999 to 0.99999 over 100,000 steps; AdamW 4e-4, betas 0.9, 0.98, decay 0.04, 100,000 steps of
warm-up, 375,000 in all, batch 2 x 32 x 8 crops on two H100, bfloat16. Published (HEAR): DCASE 93.9, FSD50K
54.4, LibriCount 76.7, ESC-50 86.5, CREMA-D 71.0, VoxLingua 49.8, Speech Commands 5h 90.0, NSynth 34.4,
Beijing Opera 89.4, Mridangam stroke 97.3 and tonic 88.5.

Not reproduced here: AudioSet is not to be had. Differences: the 512 crops of a batch come from as many clips;
the wave isn't normalised by its own mean and deviation, which the first convolution's normalisation over time
makes nearly the same; biases and scales don't decay; layers are normalised in front of the blocks and within
the predictor's before each part, where theirs are behind.

    ssl-audio store FOLDER --out stores/mine
    ssl-audio train experiments/wav_jepa.py --data.store stores/mine
"""

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import Wav2Vec2
from ssl_audio.methods import WavJEPA
from ssl_audio.optim import Optim
from ssl_audio.signal.frontends import RawFrames

experiment = Experiment(
    name="wav_jepa",
    method=WavJEPA(targets=4, context_hide=0.65, target_hide=0.25, cutoff=0.1, width=384, depth=12, heads=12),
    encoder=Wav2Vec2(
        width=768,
        depth=12,
        heads=12,
        convs=((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2)),
        positions="sincos",
    ),
    views=(View(),),
    frontend=RawFrames(rate=16_000, hop=160),
    data=Data(seconds=2.01, batch=512),
    optim=Optim(steps=375_000, rate=4e-4, warmup=100_000, decay=0.04, betas=(0.9, 0.98), epsilon=1e-6),
    precision="bfloat16",
    save_every=2_000,
)
