"""BYOL-A: predict a slow teacher's embedding of another view of the same sound."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from ssl_audio.encoders.layers import MLP
from ssl_audio.losses import cosine, pairs, spread


@dataclasses.dataclass(frozen=True)
class BYOLA:
    """Bootstrap your own latent for audio: online network with predictor, teacher by moving average. Two
    views.

    Niizumi et al., "BYOL for Audio", 2021, after Grill et al., "Bootstrap Your Own Latent", 2020. The views
    are normalised by the statistics of both together, the paper's "post-normalisation". The paper mixes a
    clip with the last 2,048 ones; here `MixupLogExp` mixes with others of the batch, which keeps the step a
    pure function. Both views pass the networks at once, so that they share statistics of batch normalisation.
    """

    hidden: int = 4096
    width: int = 256
    """Size of the projection that is predicted."""
    decay: float = 0.99
    """Of the teacher's moving average, a step."""
    predictor: bool = True
    """Without one the network collapses: the collapse alarm is tested with it."""

    def build(self, encoder, *, rngs):
        online = nnx.Dict(encoder=encoder, project=MLP(encoder.width, self.hidden, self.width, rngs=rngs))
        net = nnx.Dict(online=online, teacher=nnx.clone(online))
        if self.predictor:
            net.predict = MLP(self.width, self.hidden, self.width, rngs=rngs)
        return net

    def loss(self, net, views, batch, key):
        both = pairs(views, "BYOL-A")
        both = (both - both.mean()) * jax.lax.rsqrt(both.var() + 1e-6)
        keys = jax.random.split(key)
        online = net.online.project(net.online.encoder.embed(both, key=keys[0]))
        if self.predictor:
            online = net.predict(online)
        target = jax.lax.stop_gradient(net.teacher.project(net.teacher.encoder.embed(both, key=keys[1])))
        online, target = online.astype(jnp.float32), target.astype(jnp.float32)
        other = jnp.roll(target, len(target) // 2, 0)  # view 1 predicts 2, view 2 predicts 1
        similar = cosine(online, other).mean()
        return 4 - 4 * similar, {"target_std": spread(target)}

    def after(self, net, step):
        new, old = nnx.state(net.online, nnx.Param), nnx.state(net.teacher, nnx.Param)
        nnx.update(net.teacher, optax.incremental_update(new, old, 1 - self.decay))

    def encoder(self, net):
        return net.online.encoder
