"""WavJEPA: from a context in time, predict a teacher's features of several target spans."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import Block, positions, sincos
from ssl_audio.losses import spread
from ssl_audio.signal.masking import pick, time_inverse_mask


@dataclasses.dataclass(frozen=True)
class WavJEPA:
    """Joint-embedding predictive architecture in time: context and targets are spans of time steps, with all
    their columns; the predictor sees the context and one target's places at a time. One view, a transformer
    on a wave encoder.

    Yuksel et al., "WavJEPA: Semantic learning unlocks robust audio foundation models for raw waveforms",
    2025. The convolutions are trained through the context alone and shared with the teacher, which is the
    average of the transformer. The authors normalise behind the blocks and behind each part of the
    predictor's, here it is in front. A context of more than half the steps, which is very rare, loses its
    end.
    """

    targets: int = 4
    """Targets of each clip."""
    context_hide: float = 0.65
    """Share of the time steps that the spans outside the context would cover if they didn't overlap."""
    context_span: int = 10
    """Time steps of such a span."""
    target_hide: float = 0.25
    """Share of the time steps that the spans of a target would cover if they didn't overlap."""
    target_span: int = 10
    cutoff: float = 0.1
    """Share of the time steps that a context has at least."""
    width: int = 384
    """Of the predictor, a transformer that is thrown away."""
    depth: int = 12
    heads: int = 12
    top: int = 8
    """Layers of the teacher whose mean is the target, from the last; all of them if there are fewer."""
    decay: tuple[float, float] = (0.999, 0.99999)
    """Of the teacher's moving average, a step: at the start and from step `ramp` on, linear between."""
    ramp: int = 100_000
    teacher: bool = True
    """Without one the context encoder makes the targets too, gradient and all, and collapses."""

    def build(self, encoder, *, rngs):
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

    def masks(self, key, b, steps, columns):
        """(context, its truth values, targets, theirs): places [b k] and [b g t] of fixed counts; what is not
        True counts for nothing."""
        context, target = (self.context_hide, self.context_span), (self.target_hide, self.target_span)
        seen, aimed = time_inverse_mask(key, b, steps, self.targets, context, target, self.cutoff)
        spans = max(1, round(self.target_hide * steps / self.target_span))
        most = min(steps, spans * self.target_span)
        seen, aimed = jnp.repeat(seen, columns, -1), jnp.repeat(aimed, columns, -1)
        return *pick(seen, max(1, steps // 2) * columns), *pick(aimed, most * columns)

    def loss(self, net, views, batch, key):
        (spec,) = views
        tokens = net.encoder.cut(spec)
        b, n, _ = tokens.shape
        columns = net.encoder.columns
        context, seen, targets, aimed = self.masks(key, b, n // columns, columns)
        visible = jnp.zeros((b, n), bool).at[jnp.arange(b)[:, None], context].set(seen)
        x = net.encoder.norm(net.encoder.layers(tokens, visible, context)[-1])
        guess = self.predict(net, x[:, -context.shape[1] :], context, seen, targets, aimed, n)
        if self.teacher:
            whole = jax.lax.stop_gradient(self.target(net.teacher, tokens))
        else:
            whole = self.target(net.encoder, tokens)
        target = jnp.take_along_axis(whole[:, None], targets[..., None], 2)
        error = jnp.mean((guess.astype(jnp.float32) - target) ** 2, -1)
        # over clips, place by place: features of the place alone are a collapse too
        logs = {"target_std": jax.vmap(spread, 1)(whole).mean(), "context": visible.mean(dtype=jnp.float32)}
        weight = aimed.astype(jnp.float32)
        return jnp.sum(error * weight) / jnp.maximum(jnp.sum(weight), 1), logs

    def predict(self, net, x, context, seen, targets, aimed, n):
        """Features [b g t d] of the targets, each of them from the context [b k d] alone."""
        b, g, t = targets.shape
        columns = net.encoder.columns
        place = jnp.asarray(sincos(positions(n // columns, columns, (1, 1)), self.width), x.dtype)
        x = net.enter(x) + place[context]
        token = net.token[...].astype(x.dtype)[None, None, None] + place[targets]
        x = jnp.concatenate([jnp.repeat(x, g, 0), token.reshape(b * g, t, -1)], 1)
        mask = jnp.concatenate([jnp.repeat(seen, g, 0), aimed.reshape(b * g, t)], 1)
        for block in net.blocks:
            x = block(x, mask)
        return net.out(net.norm(x[:, -t:])).reshape(b, g, t, -1)

    def target(self, teacher, x):
        """Mean [b n d] of the top layers, each normalised over the tokens of a clip, channel by channel."""
        n = x.shape[1]
        top = [y[:, -n:].astype(jnp.float32) for y in teacher.layers(x)[-self.top :]]
        top = [(y - y.mean(1, keepdims=True)) * jax.lax.rsqrt(y.var(1, keepdims=True) + 1e-5) for y in top]
        return sum(top[1:], top[0]) / len(top)

    def after(self, net, step):
        if not self.teacher:
            return
        start, end = (1 - decay for decay in self.decay)
        rate = start + (end - start) * jnp.minimum(step / self.ramp, 1).astype(jnp.float32)
        new, old = nnx.state(net.encoder, nnx.Param), nnx.state(net.teacher, nnx.Param)
        nnx.update(net.teacher, jax.tree.map(lambda o, w: o + rate * (w - o), old, new))

    def encoder(self, net):
        return net.encoder
