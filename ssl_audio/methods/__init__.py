"""Self-supervised methods, one file each; a method is a frozen dataclass that satisfies `Method`."""

from typing import Protocol

import jax
from flax import nnx
from jaxtyping import Array, Float

from ssl_audio.methods.apc import APC
from ssl_audio.methods.atst_clip import ATSTClip
from ssl_audio.methods.atst_frame import ATSTFrame
from ssl_audio.methods.autoencoder import Autoencoder
from ssl_audio.methods.barlow_twins import BarlowTwins
from ssl_audio.methods.beats import BEATs
from ssl_audio.methods.byol_a import BYOLA
from ssl_audio.methods.cola import COLA
from ssl_audio.methods.cpc import CPC
from ssl_audio.methods.data2vec import Data2Vec
from ssl_audio.methods.deep_cluster import DeepCluster
from ssl_audio.methods.dino import DINO
from ssl_audio.methods.eat import EAT
from ssl_audio.methods.hubert import HuBERT
from ssl_audio.methods.jepa import JEPA
from ssl_audio.methods.m2d import M2D
from ssl_audio.methods.mae import MAE
from ssl_audio.methods.moco import MoCo
from ssl_audio.methods.simclr import SimCLR
from ssl_audio.methods.simsiam import SimSiam
from ssl_audio.methods.sup_con import SupCon
from ssl_audio.methods.supervised import Supervised
from ssl_audio.methods.swav import SwAV
from ssl_audio.methods.variational import VAE
from ssl_audio.methods.vicreg import VICReg
from ssl_audio.methods.vq import VQAutoencoder
from ssl_audio.methods.w_mse import WMSE
from ssl_audio.methods.wav2vec2 import Wav2Vec2Pretraining
from ssl_audio.methods.wav_jepa import WavJEPA

__all__ = [
    "APC",
    "BYOLA",
    "COLA",
    "CPC",
    "DINO",
    "EAT",
    "JEPA",
    "M2D",
    "MAE",
    "VAE",
    "WMSE",
    "ATSTClip",
    "ATSTFrame",
    "Autoencoder",
    "BEATs",
    "BarlowTwins",
    "Data2Vec",
    "DeepCluster",
    "HuBERT",
    "Method",
    "MoCo",
    "SimCLR",
    "SimSiam",
    "SupCon",
    "Supervised",
    "SwAV",
    "VICReg",
    "VQAutoencoder",
    "Wav2Vec2Pretraining",
    "WavJEPA",
]


class Method(Protocol):
    """What a method is to the training loop. Its fields are hyper-parameters, never arrays.

    Parameters under a name that contains "teacher" get no gradient: `after` moves them. Arrays of another
    nnx.Variable type (queues, centres, codebooks) get none either: `loss`, `after` and `refit` move them.
    """

    def build(self, encoder: nnx.Module, *, rngs: nnx.Rngs) -> nnx.Module:
        """The encoder with whatever heads, decoder or teacher the method trains beside it."""
        ...

    def loss(
        self, net: nnx.Module, views: tuple[Float[Array, "b f m"], ...], batch: dict, key: jax.Array
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The scalar to minimise, and named scalars for the log.

        `target_std`, where a method predicts a target, is its spread (`losses.spread`): the alarm watches it.
        """
        ...

    def after(self, net: nnx.Module, step: jax.Array) -> None:
        """Move what the optimiser doesn't (teacher, queue, centre), in place, after its update."""
        ...

    def encoder(self, net: nnx.Module) -> nnx.Module:
        """The part whose embeddings are judged."""
        ...


class Refitting(Method, Protocol):
    """A method that now and then looks at many clips at once: to cluster them, to start a codebook."""

    def refits(self, step: int) -> int:
        """How many batches to look at before this step; 0: none."""
        ...

    def gather(
        self, net: nnx.Module, views: tuple[Float[Array, "b f m"], ...], batch: dict, key: jax.Array
    ) -> Float[Array, "n d"]:
        """What to remember of one batch: rows, equally many of each."""
        ...

    def refit(self, net: nnx.Module, rows: Float[Array, "n d"], key: jax.Array) -> None:
        """Move what follows from the rows of all those batches, in place."""
        ...
