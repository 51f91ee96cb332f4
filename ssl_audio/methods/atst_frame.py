"""ATST-Frame: predict a slow teacher's tokens where the student's own are masked."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from ssl_audio.encoders.layers import MLP
from ssl_audio.losses import cosine, spread


@dataclasses.dataclass(frozen=True)
class ATSTFrame:
    """Audio teacher-student transformer for frames: the student sees a view with spans of tokens masked, the
    teacher the other view unmasked, and they are compared at the masked places. Two views of one and the same
    stretch of sound, changed without moving it in time (one of them may be left plain); a transformer.

    Li, Shao & Li, "Self-supervised Audio Teacher-Student Transformer for Both Clip-level and Frame-level
    Tasks", 2024. Both views of a clip are masked alike. Spans may overlap, as in the authors' code, so that
    0.65 masks about half of the tokens. The teacher is what is judged, as in the paper. A patch lower than
    the spectrogram is masked together with those above and below it. The encoder's positions are fixed and
    it has no stochastic depth (the paper: learned, 0.1); linear layers of the heads have a bias.
    """

    mask: float = 0.65
    """Share of the time steps that the spans would cover if none overlapped, between 0 and 1."""
    span: int = 5
    """Time steps of a span."""
    hidden: int = 4096
    width: int = 256
    """Size of the projection that is predicted."""
    decay: float = 0.9996
    """Of the teacher's moving average, a step, at first; it rises to 1 along a cosine."""
    steps: int = 398_000
    """Steps of that cosine: the length of the run."""
    predictor: bool = True
    """Without one the network collapses: the collapse alarm is tested with it."""

    def build(self, encoder, *, rngs):
        if not hasattr(encoder, "cut"):
            raise ValueError("ATSTFrame masks tokens inside a transformer; give one, as ViT")
        student = nnx.Dict(encoder=encoder, project=MLP(encoder.token, self.hidden, self.width, rngs=rngs))
        token = nnx.Param(nnx.initializers.truncated_normal(0.02)(rngs.params(), (encoder.token,)))
        net = nnx.Dict(student=student, teacher=nnx.clone(student), token=token)
        if self.predictor:
            net.predict = MLP(self.width, self.hidden, self.width, rngs=rngs)
        return net

    def loss(self, net, views, batch, key):
        if len(views) != 2 or views[0].shape != views[1].shape:
            raise ValueError(
                f"ATSTFrame compares two views of equal length; got {[v.shape[1] for v in views]} frames"
            )
        (b, f, _), both = views[0].shape, jnp.concatenate(views)
        masked = spans(key, b, net.student.encoder.steps(f), self.mask, self.span)
        masked = jnp.tile(jnp.repeat(masked, net.student.encoder.columns, 1), (2, 1))[..., None]

        def see(part, x):
            x = part.encoder.norm(part.encoder.layers(x)[-1])
            return head(part.project, x[:, -masked.shape[1] :], masked)

        x = net.student.encoder.cut(both)
        student = see(net.student, jnp.where(masked, net.token[...].astype(x.dtype), x))
        if self.predictor:
            student = head(net.predict, student, masked)
        target = jax.lax.stop_gradient(see(net.teacher, net.teacher.encoder.cut(both)))
        student, target = student.astype(jnp.float32), target.astype(jnp.float32)
        there = masked[..., 0].astype(jnp.float32)
        similar = cosine(student, jnp.roll(target, b, 0))  # each view predicts the other
        return 2 - 2 * jnp.sum(similar * there) / jnp.sum(there), {
            "target_std": spread(target.reshape(-1, self.width)),
            "student_std": spread(student.reshape(-1, self.width)),
            "masked": there.mean(),
        }

    def after(self, net, step):
        done = jnp.minimum(step.astype(jnp.float32) / self.steps, 1)
        share = (1 - self.decay) * (1 + jnp.cos(jnp.pi * done)) / 2
        new, old = nnx.state(net.student, nnx.Param), nnx.state(net.teacher, nnx.Param)
        nnx.update(net.teacher, optax.incremental_update(new, old, share))

    def encoder(self, net):
        return net.teacher.encoder


def head(mlp, x, masked):
    """The MLP on tokens [b n d], normalised by the statistics of the masked ones."""
    return mlp.down(nnx.relu(mlp.norm(mlp.up(x), mask=masked)))


def spans(key, b, n, share, length):
    """Mask bool [b n]: `share * n / length` spans in each row (rounded up or down at random, one at least),
    their starts all different."""
    if not 1 <= length < n:
        raise ValueError(f"ATSTFrame: no span of {length} time steps fits into {n}; longer clips or shorter")
    for_place, for_count = jax.random.split(key)
    rank = jnp.argsort(jnp.argsort(jax.random.uniform(for_place, (b, n - length + 1))))
    count = jnp.maximum(jnp.floor(share * n / length + jax.random.uniform(for_count, (b, 1))), 1)
    start = jnp.pad(rank.astype(jnp.float32) < count, ((0, 0), (length - 1, length - 1)))
    return functools.reduce(jnp.logical_or, [start[:, i : i + n] for i in range(length)])
