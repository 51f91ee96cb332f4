"""Masked autoencoder on spectrogram patches."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from flax import nnx

from ssl_audio.encoders.layers import Block, MultiWindowBlock, WindowBlock, patches, positions, sincos
from ssl_audio.losses import spread
from ssl_audio.signal.masking import random_mask


@dataclasses.dataclass(frozen=True)
class MAE:
    """Masked autoencoder: encode the visible patches only, reconstruct the hidden ones. One view, a ViT.

    He et al., "Masked Autoencoders Are Scalable Vision Learners", 2022. On spectrograms:

    MSM-MAE   hide 0.75, width 384, depth 4, heads 6, normalise off, line on; global attention. Niizumi et
              al., "Masked Spectrogram Modeling using Masked Autoencoders", 2022.
    AudioMAE  hide 0.8, width 512, depth 16, heads 16, window (4, 4): attention within windows of patches.
              Huang et al., "Masked Autoencoders that Listen", 2022.
    MW-MAE    hide 0.8, width 384, depth 4, heads 8, normalise off, line on, windows (2, 5, 10, 25, 50, 125,
              0, 0): each head attends within windows of its own length. Yadav et al., "Masked Autoencoders
              with Multi-Window Local-Global Attention Are Better Audio Learners", 2024.

    The defaults are a small decoder for short sounds. The decoder doesn't see an encoder's class token.
    """

    hide: float = 0.75
    """Share of the patches that the encoder doesn't see, between 0 and 1."""
    width: int = 96
    """Of the decoder, which is thrown away."""
    depth: int = 2
    heads: int = 3
    normalise: bool = True
    """Standardise each target patch by its own mean and standard deviation."""
    window: tuple[int, int] | None = None
    """The decoder attends within windows of so many patches in time and frequency; None: to all."""
    shift: tuple[int, int] = (2, 0)
    """Patches by which the windows of every second block are moved."""
    windows: tuple[int, ...] = ()
    """Window of each decoder head along the sequence of patches (time-major), 0: all of it. Those beyond the
    number of heads stand idle. Empty: every head attends to all."""
    line: bool = False
    """The decoder's positions count along the sequence, instead of in time and in frequency."""

    def build(self, encoder, *, rngs):
        if not 0 < self.hide < 1:
            raise ValueError(f"MAE: hide {self.hide} is not between 0 and 1; AudioMAE's is 0.8")
        if self.window and self.windows:
            raise ValueError(
                f"MAE: window {self.window} (AudioMAE) or windows {self.windows} (MW-MAE), not both"
            )
        if self.windows and len(self.windows) < self.heads:
            raise ValueError(f"MAE: windows {self.windows} for {self.heads} heads; give one for each head")
        return nnx.Dict(
            encoder=encoder,
            enter=nnx.Linear(encoder.token, self.width, rngs=rngs),
            token=nnx.Param(nnx.initializers.normal(0.02)(rngs.params(), (self.width,))),
            blocks=nnx.List([self.block(i, encoder.columns, rngs) for i in range(self.depth)]),
            norm=nnx.LayerNorm(self.width, epsilon=1e-6, rngs=rngs),
            out=nnx.Linear(self.width, encoder.patch[0] * encoder.patch[1], rngs=rngs),
        )

    def block(self, i, columns, rngs):
        """The decoder's block number i."""
        if self.window:
            shift = self.shift if i % 2 else (0, 0)
            return WindowBlock(self.width, self.heads, self.window, shift, columns, rngs=rngs)
        if self.windows:
            return MultiWindowBlock(self.width, self.heads, self.windows[: self.heads], rngs=rngs)
        return Block(self.width, self.heads, rngs=rngs)

    def loss(self, net, views, batch, key):
        (spec,) = views
        patch = net.encoder.patch
        target = patches(spec, patch).astype(jnp.float32)  # a quiet patch's deviation is lost in bfloat16
        b, n, _ = target.shape
        hide = round(self.hide * n)
        if not 0 < hide < n:
            raise ValueError(f"MAE: {self.hide} of {n} patches hides {hide}; give longer clips")
        keep, hidden, restore = random_mask(key, b, n, n - hide)
        x = net.enter(net.encoder(spec, keep=keep))
        token = jnp.broadcast_to(net.token[...].astype(x.dtype), (b, hidden.shape[1], self.width))
        x = jnp.take_along_axis(jnp.concatenate([x, token], 1), restore[..., None], 1)
        grid = np.arange(n)[:, None] if self.line else positions(spec.shape[1], spec.shape[2], patch)
        x = x + jnp.asarray(sincos(grid, self.width), x.dtype)[None]
        for block in net.blocks:
            x = block(x)
        guess = jnp.take_along_axis(net.out(net.norm(x)), hidden[..., None], 1)
        target = jnp.take_along_axis(target, hidden[..., None], 1)
        if self.normalise:
            target = (target - target.mean(-1, keepdims=True)) / jnp.sqrt(
                target.var(-1, keepdims=True) + 1e-6
            )
        loss = jnp.mean((guess.astype(jnp.float32) - target) ** 2)
        return loss, {"target_std": spread(target.reshape(-1, target.shape[-1]))}

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
