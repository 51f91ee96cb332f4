"""Denoising autoencoder on spectrograms."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import patches
from ssl_audio.losses import restoration


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    """Denoising autoencoder: restore a spectrogram from a corrupted one through a narrow code. One view.

    Vincent et al., "Extracting and Composing Robust Features with Denoising Autoencoders", 2008: additive
    noise and masking noise. A code for each token of the encoder; the decoder sees that code alone.
    """

    code: int = 32
    """Numbers that a token may pass on: the bottleneck."""
    hidden: int = 512
    noise: float = 0.3
    """Standard deviation of the added noise, in units of the normalised spectrogram."""
    drop: float = 0.3
    """Share of the bins set to zero, which is the mean of a normalised spectrogram."""

    def build(self, encoder, *, rngs):
        return nnx.Dict(
            encoder=encoder,
            code=nnx.Linear(encoder.token, self.code, rngs=rngs),
            up=nnx.Linear(self.code, self.hidden, rngs=rngs),
            out=nnx.Linear(self.hidden, encoder.patch[0] * encoder.patch[1], rngs=rngs),
        )

    def loss(self, net, views, batch, key):
        (clean,) = views
        noise_key, drop_key, key = jax.random.split(key, 3)
        spec = clean + self.noise * jax.random.normal(noise_key, clean.shape, clean.dtype)
        spec = jnp.where(jax.random.bernoulli(drop_key, self.drop, clean.shape), jnp.zeros_like(spec), spec)
        guess = net.out(nnx.relu(net.up(net.code(net.encoder(spec, key=key)))))
        patch = net.encoder.patch
        return restoration(guess, patches(clean, patch), patch[0]), {}

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
