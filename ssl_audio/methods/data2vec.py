"""data2vec: from sound with spans masked, predict what a teacher makes of the whole."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.losses import spread
from ssl_audio.signal.masking import span_mask


@dataclasses.dataclass(frozen=True)
class Data2Vec:
    """Regress the mean of a teacher's top layers at masked time steps. One view, a transformer.

    Baevski et al., "data2vec: A General Framework for Self-supervised Learning in Speech, Vision and
    Language", 2022; its setting for speech. Masks cover time steps with all their columns, equally many in
    each clip. A target is the output of whole blocks, the paper's that of their feed-forward part; nothing is
    dropped out. Only the transformer is averaged, as in the paper: the teacher takes the student's tokens,
    without gradient.
    """

    hide: float = 0.65
    """Share of the time steps that the spans would cover if they didn't overlap: 0.65 hides about half."""
    span: int = 10
    """Time steps of a span."""
    top: int = 8
    """Layers of the teacher whose mean is the target, from the last; all of them if there are fewer."""
    beta: float = 0.0
    """Error from which the smooth L1 loss is linear; 0: squared error, as for speech."""
    decay: tuple[float, float] = (0.999, 0.9999)
    """Of the teacher's moving average, a step: at the start and from step `ramp` on, linear between."""
    ramp: int = 30_000
    teacher: bool = True
    """Without one the student makes the targets too, gradient and all, and collapses."""

    def build(self, encoder, *, rngs):
        if not 0 < self.hide < 1 or self.span < 1 or self.top < 1:
            raise ValueError(
                f"data2vec: hide {self.hide} must lie between 0 and 1, span {self.span} and top {self.top} "
                f"be 1 at least"
            )
        net = nnx.Dict(
            encoder=encoder,
            token=nnx.Param(nnx.initializers.uniform(1.0)(rngs.params(), (encoder.token,))),
            predict=nnx.Linear(encoder.token, encoder.token, rngs=rngs),
        )
        if self.teacher:
            net.teacher = nnx.clone(encoder)
        return net

    def loss(self, net, views, batch, key):
        (spec,) = views
        whole = net.encoder.cut(spec)
        b, n, d = whole.shape
        columns = net.encoder.columns
        _, steps, _ = span_mask(key, b, n // columns, self.hide, self.span)
        hidden = (steps[..., None] * columns + jnp.arange(columns, dtype=jnp.int32)[None, None]).reshape(
            b, -1
        )
        masked = jnp.zeros((b, n), bool).at[jnp.arange(b)[:, None], hidden].set(True)
        x = jnp.where(masked[..., None], net.token[...].astype(whole.dtype)[None, None], whole)
        x = net.encoder.norm(net.encoder.layers(x)[-1])[:, -n:]
        guess = net.predict(jnp.take_along_axis(x, hidden[..., None], 1)).astype(jnp.float32)
        if self.teacher:
            target = jax.lax.stop_gradient(self.target(net.teacher, whole))
        else:
            target = self.target(net.encoder, whole)
        error = jnp.abs(guess - jnp.take_along_axis(target, hidden[..., None], 1))
        square = error * error
        if self.beta:
            square = jnp.where(error < self.beta, 0.5 * square / self.beta, error - 0.5 * self.beta)
        # over clips, place by place: features of the place alone are a collapse too
        logs = {"target_std": jax.vmap(spread, 1)(target).mean(), "hidden": jnp.float32(hidden.shape[1] / n)}
        return jnp.mean(square) * d**0.5, logs

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
