"""JEPA: from a context, predict a teacher's features at given places of the spectrogram."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import Block, positions, sincos
from ssl_audio.losses import cosine, spread
from ssl_audio.signal.masking import pick, rectangles, share_mask, sizes


@dataclasses.dataclass(frozen=True)
class JEPA:
    """Joint-embedding predictive architecture: a context encoder sees some patches, a predictor is told the
    places of the target patches, the teacher has seen the whole clip. One view, a transformer.

    Tuncay et al., "Audio-JEPA", 2025: the targets are all that a random mask hides. With `blocks` they are
    rectangles, each predicted by itself, and the context is what lies in none of them: Assran et al.,
    "I-JEPA", 2023, whose context is a rectangle of 0.85 to 1 of the grid instead of all of it, whose
    loss is the distance of the features themselves, not of unit vectors, and which judges the teacher.
    """

    hide: tuple[float, float] = (0.4, 0.6)
    """Share of the patches that a random mask hides: drawn between these at each step."""
    blocks: int = 0
    """Target rectangles of each clip (I-JEPA: 4); 0: a random mask."""
    scale: tuple[float, float] = (0.15, 0.2)
    """Share of the patches that a rectangle covers: drawn between these at each step."""
    width: int = 384
    """Of the predictor, a transformer that is thrown away."""
    depth: int = 6
    heads: int = 12
    decay: tuple[float, float] = (0.996, 1.0)
    """Of the teacher's moving average, a step: at the start and from step `ramp` on, linear between."""
    ramp: int = 100_000
    """The paper's whole run."""
    teacher: bool = True
    """Without one the context encoder makes the targets too, gradient and all, and collapses."""

    def build(self, encoder, *, rngs):
        net = nnx.Dict(
            encoder=encoder,
            enter=nnx.Linear(encoder.token, self.width, rngs=rngs),
            token=nnx.Param(nnx.initializers.truncated_normal(0.02)(rngs.params(), (self.width,))),
            blocks=nnx.List([Block(self.width, self.heads, rngs=rngs) for _ in range(self.depth)]),
            norm=nnx.LayerNorm(self.width, epsilon=1e-6, rngs=rngs),
            out=nnx.Linear(self.width, encoder.token, rngs=rngs),
        )
        if self.teacher:
            net.teacher = nnx.clone(encoder)
        return net

    def masks(self, key, b, grid):
        """(context, its truth values, targets, theirs): places [b k] and [b g t] of fixed counts, more than
        are needed; what is not True counts for nothing."""
        n = grid[0] * grid[1]
        if self.blocks:
            hidden = rectangles(key, b, grid, self.blocks, self.scale)
            least, most = sizes(grid, self.scale)
        else:
            hidden = share_mask(key, b, n, *self.hide)[:, None]
            least, most = max(round(self.hide[0] * n) - 1, 1), min(round(self.hide[1] * n) + 1, n)
        return *pick(~hidden.any(1), n - least), *pick(hidden, most)

    def loss(self, net, views, batch, key):
        (spec,) = views
        tokens = net.encoder.cut(spec)
        b, n, _ = tokens.shape
        columns = net.encoder.columns
        context, seen, targets, aimed = self.masks(key, b, (n // columns, columns))
        visible = jnp.zeros((b, n), bool).at[jnp.arange(b)[:, None], context].set(seen)
        x = net.encoder.norm(net.encoder.layers(tokens, visible, context)[-1])
        guess = self.predict(net, x[:, -context.shape[1] :], context, seen, targets, aimed, n)
        judge = net.teacher if self.teacher else net.encoder
        whole = judge.norm(judge.layers(judge.cut(spec))[-1])[:, -n:].astype(jnp.float32)
        whole = whole - whole.mean(-1, keepdims=True)
        whole = whole * jax.lax.rsqrt(whole.var(-1, keepdims=True) + 1e-6)
        if self.teacher:
            whole = jax.lax.stop_gradient(whole)
        target = jnp.take_along_axis(whole[:, None], targets[..., None], 2)
        error = 2 - 2 * cosine(guess.astype(jnp.float32), target)
        # over clips, place by place: features of the place alone are a collapse too
        logs = {"target_std": jax.vmap(spread, 1)(whole).mean(), "context": visible.mean(dtype=jnp.float32)}
        weight = aimed.astype(jnp.float32)
        return jnp.sum(error * weight) / jnp.maximum(jnp.sum(weight), 1), logs

    def predict(self, net, x, context, seen, targets, aimed, n):
        """Features [b g t d] of the targets, each group of them from the context [b k d] alone."""
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

    def after(self, net, step):
        if not self.teacher:
            return
        start, end = (1 - decay for decay in self.decay)
        rate = start + (end - start) * jnp.minimum(step / self.ramp, 1).astype(jnp.float32)
        new, old = nnx.state(net.encoder, nnx.Param), nnx.state(net.teacher, nnx.Param)
        nnx.update(net.teacher, jax.tree.map(lambda o, w: o + rate * (w - o), old, new))

    def encoder(self, net):
        return net.encoder
