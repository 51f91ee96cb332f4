"""M2D: from the patches that are seen, predict a teacher's features of those that aren't."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import Block, positions, sincos
from ssl_audio.losses import cosine, spread
from ssl_audio.signal.masking import random_mask


@dataclasses.dataclass(frozen=True)
class M2D:
    """Masked modelling duo: the online encoder sees the visible patches only, the teacher the hidden ones
    only. One view, a transformer.

    Niizumi et al., "Masked Modeling Duo", 2023 and 2024. A class token, where the encoder has one, goes
    through the predictor too, as in the paper. Encoders of the paper share patch embedding and class token;
    here the teacher's class token is averaged as all of it is.
    """

    hide: float = 0.7
    """Share of the patches that the online encoder doesn't see and that are predicted, between 0 and 1."""
    width: int = 512
    """Of the predictor, a transformer that is thrown away."""
    depth: int = 8
    heads: int = 16
    decay: tuple[float, float] = (0.99995, 0.99999)
    """Of the teacher's moving average, a step: at the start and from step `ramp` on, linear between."""
    ramp: int = 294_000
    """The paper's whole run: 300 epochs of AudioSet at batch 2,048."""
    teacher: bool = True
    """Without one the online encoder makes the targets too, gradient and all, and collapses."""

    def build(self, encoder, *, rngs):
        if not 0 < self.hide < 1:
            raise ValueError(f"M2D: hide {self.hide} must lie between 0 and 1")
        net = nnx.Dict(
            encoder=encoder,
            enter=nnx.Linear(encoder.token, self.width, rngs=rngs),
            token=nnx.Param(nnx.initializers.normal(0.02)(rngs.params(), (self.width,))),
            blocks=nnx.List([Block(self.width, self.heads, rngs=rngs) for _ in range(self.depth)]),
            norm=nnx.LayerNorm(self.width, epsilon=1e-6, rngs=rngs),
            out=nnx.Linear(self.width, encoder.token, rngs=rngs),
        )
        if self.teacher:
            net.teacher = nnx.clone(encoder)
        return net

    def loss(self, net, views, batch, key):
        (spec,) = views
        patches = net.encoder.cut(spec)
        b, n, _ = patches.shape
        kept, hidden, restore = random_mask(key, b, n, min(max(n - round(self.hide * n), 1), n - 1))
        seen = net.encoder.norm(net.encoder.layers(patches, keep=kept)[-1])
        guess = self.predict(net, seen, hidden, restore).astype(jnp.float32)
        judge = net.teacher if self.teacher else net.encoder
        target = judge.norm(judge.layers(patches, keep=hidden)[-1])[:, -hidden.shape[1] :]
        target = target.astype(jnp.float32)
        target = target - target.mean(-1, keepdims=True)
        target = target * jax.lax.rsqrt(target.var(-1, keepdims=True) + 1e-6)
        if self.teacher:
            target = jax.lax.stop_gradient(target)
        logs = {"target_std": spread(target.reshape(-1, target.shape[-1]))}
        return jnp.mean(2 - 2 * cosine(guess, target)), logs

    def predict(self, net, seen, hidden, restore):
        """The predictor's features [b h d] of the hidden patches."""
        n = restore.shape[1]
        x = net.enter(seen)
        extra, x = jnp.split(x, [x.shape[1] - (n - hidden.shape[1])], 1)  # a class token has no place
        token = jnp.broadcast_to(net.token[...].astype(x.dtype)[None, None], (*hidden.shape, self.width))
        x = jnp.take_along_axis(jnp.concatenate([x, token], 1), restore[..., None], 1)
        place = sincos(positions(n // net.encoder.columns, net.encoder.columns, (1, 1)), self.width)
        x = jnp.concatenate([extra, x + jnp.asarray(place, x.dtype)[None]], 1)
        for block in net.blocks:
            x = block(x)
        x = jnp.take_along_axis(x[:, extra.shape[1] :], hidden[..., None], 1)
        return net.out(net.norm(x))

    def after(self, net, step):
        if not self.teacher:
            return
        start, end = (1 - decay for decay in self.decay)
        rate = start + (end - start) * jnp.minimum(step / self.ramp, 1).astype(jnp.float32)
        new, old = nnx.state(net.encoder, nnx.Param), nnx.state(net.teacher, nnx.Param)
        nnx.update(net.teacher, jax.tree.map(lambda o, w: o + rate * (w - o), old, new))

    def encoder(self, net):
        return net.encoder
