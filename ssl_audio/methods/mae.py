"""Masked autoencoder on spectrogram patches."""

import dataclasses

import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import Block, patches, positions, sincos
from ssl_audio.signal.masking import random_mask


@dataclasses.dataclass(frozen=True)
class MAE:
    """Masked autoencoder: encode the visible patches only, reconstruct the hidden ones. One view, a ViT.

    He et al., "Masked Autoencoders Are Scalable Vision Learners", 2022; on spectrograms Huang et al., "Masked
    Autoencoders that Listen", 2022 (mask 0.8) and Niizumi et al., "Masked Spectrogram Modeling", 2022 (0.75).
    """

    hide: float = 0.75
    """Share of the patches that the encoder doesn't see, between 0 and 1."""
    width: int = 96
    """Of the decoder, which is thrown away."""
    depth: int = 2
    heads: int = 3
    normalise: bool = True
    """Standardise each target patch by its own mean and standard deviation."""

    def build(self, encoder, *, rngs):
        return nnx.Dict(
            encoder=encoder,
            enter=nnx.Linear(encoder.token, self.width, rngs=rngs),
            token=nnx.Param(nnx.initializers.normal(0.02)(rngs.params(), (self.width,))),
            blocks=nnx.List([Block(self.width, self.heads, rngs=rngs) for _ in range(self.depth)]),
            norm=nnx.LayerNorm(self.width, epsilon=1e-6, rngs=rngs),
            out=nnx.Linear(self.width, encoder.patch[0] * encoder.patch[1], rngs=rngs),
        )

    def loss(self, net, views, batch, key):
        (spec,) = views
        patch = net.encoder.patch
        target = patches(spec, patch)
        b, n, _ = target.shape
        keep, hidden, restore = random_mask(key, b, n, n - round(self.hide * n))
        x = net.enter(net.encoder(spec, keep=keep))
        token = jnp.broadcast_to(net.token[...].astype(x.dtype), (b, hidden.shape[1], self.width))
        x = jnp.take_along_axis(jnp.concatenate([x, token], 1), restore[..., None], 1)
        x = x + jnp.asarray(sincos(positions(spec.shape[1], spec.shape[2], patch), self.width), x.dtype)[None]
        for block in net.blocks:
            x = block(x)
        guess = jnp.take_along_axis(net.out(net.norm(x)), hidden[..., None], 1)
        target = jnp.take_along_axis(target, hidden[..., None], 1)
        if self.normalise:
            target = (target - target.mean(-1, keepdims=True)) / jnp.sqrt(
                target.var(-1, keepdims=True) + 1e-6
            )
        return jnp.mean((guess - target) ** 2, dtype=jnp.float32), {}

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
