"""VICReg: views agree, each dimension varies, no two vary together."""

import dataclasses

import jax.numpy as jnp
from flax import nnx

from ssl_audio.losses import pairs, vicreg


@dataclasses.dataclass(frozen=True)
class VICReg:
    """Variance-invariance-covariance regularisation: no negatives, no teacher. Two views.

    Bardes, Ponce & LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised
    Learning", 2022. Terms are averaged as in the authors' program, which the weights are tuned to. Both views
    pass the network at once, so batch normalisation takes its statistics over both.
    """

    hidden: int = 8192
    width: int = 8192
    """Size of the expansion that the three terms see; it is thrown away after training."""
    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0

    def build(self, encoder, *, rngs):
        return nnx.Dict(
            encoder=encoder,
            one=nnx.Linear(encoder.width, self.hidden, rngs=rngs),
            norm1=nnx.BatchNorm(self.hidden, epsilon=1e-5, rngs=rngs),
            two=nnx.Linear(self.hidden, self.hidden, rngs=rngs),
            norm2=nnx.BatchNorm(self.hidden, epsilon=1e-5, rngs=rngs),
            three=nnx.Linear(self.hidden, self.width, use_bias=False, rngs=rngs),
        )

    def loss(self, net, views, batch, key):
        x = net.encoder.embed(pairs(views, "VICReg"), key=key)
        x = nnx.relu(net.norm1(net.one(x)))
        x = nnx.relu(net.norm2(net.two(x)))
        invariance, variance, covariance = vicreg(*jnp.split(net.three(x), 2))
        loss = self.invariance * invariance + self.variance * variance + self.covariance * covariance
        return loss, {"invariance": invariance, "variance": variance, "covariance": covariance}

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
