"""Variational autoencoder on spectrograms."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import patches
from ssl_audio.losses import restoration


class Count(nnx.Variable):
    """Steps done."""


@dataclasses.dataclass(frozen=True)
class VAE:
    """Variational autoencoder: a Gaussian code for each token of the encoder; the decoder sees a draw of it.
    One view.

    Kingma & Welling, "Auto-Encoding Variational Bayes", 2014; `beta` of Higgins et al., "beta-VAE", 2017;
    `anneal` of Bowman et al., "Generating Sentences from a Continuous Space", 2016. The loss is the negative
    bound of a decoder of unit variance, less its constant, in nats for each bin. The log has the squared
    error, `kl` in nats for each token, and `active`, the share of the code's numbers whose mean varies over
    the batch by more than 0.01 (Burda et al., "Importance Weighted Autoencoders", 2016): 0 is collapse.
    """

    code: int = 32
    """Numbers of the Gaussian code."""
    hidden: int = 500
    beta: float = 1.0
    """Weight of the divergence from the standard normal distribution."""
    anneal: int = 0
    """Steps in which that weight grows from 0, linearly; 0: none."""

    def build(self, encoder, *, rngs):
        net = nnx.Dict(
            encoder=encoder,
            mean=nnx.Linear(encoder.token, self.code, rngs=rngs),
            log_var=nnx.Linear(encoder.token, self.code, rngs=rngs),
            up=nnx.Linear(self.code, self.hidden, rngs=rngs),
            out=nnx.Linear(self.hidden, encoder.patch[0] * encoder.patch[1], rngs=rngs),
        )
        if self.anneal:
            net.count = Count(jnp.zeros((), jnp.int32))
        return net

    def loss(self, net, views, batch, key):
        (spec,) = views
        target = patches(spec, net.encoder.patch)
        key, draw = jax.random.split(key)
        tokens = net.encoder(spec, key=key)
        mean, log_var = (f(tokens).astype(jnp.float32) for f in (net.mean, net.log_var))
        code = mean + jnp.exp(0.5 * log_var) * jax.random.normal(draw, mean.shape)
        guess = net.out(nnx.relu(net.up(code.astype(tokens.dtype))))
        error = restoration(guess, target, net.encoder.patch[0])
        kl = 0.5 * jnp.sum(mean**2 + jnp.exp(log_var) - 1 - log_var, -1).mean()
        weight = self.beta
        if self.anneal:
            weight = weight * jnp.minimum(net.count[...].astype(jnp.float32) / self.anneal, 1)
        active = jnp.mean(mean.var((0, 1)) > 0.01, dtype=jnp.float32)
        return 0.5 * error + weight * kl / target.shape[2], {"error": error, "kl": kl, "active": active}

    def after(self, net, step):
        if self.anneal:
            net.count[...] = net.count[...] + 1

    def encoder(self, net):
        return net.encoder
