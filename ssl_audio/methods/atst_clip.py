"""ATST-Clip: predict a slow teacher's class token of another segment of the same clip."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from ssl_audio.encoders.layers import MLP
from ssl_audio.losses import cosine, spread


@dataclasses.dataclass(frozen=True)
class ATSTClip:
    """Audio teacher-student transformer for clips: BYOL on a transformer's class token. Two views of equal
    length from different places of a clip; a transformer with a class token (`ViT(cls=True)`).

    Li & Li, "ATST: Audio Representation Learning with Teacher-Student Transformer", 2022; Li, Shao & Li,
    "Self-supervised Audio Teacher-Student Transformer for Both Clip-level and Frame-level Tasks", 2024. The
    teacher is what is judged, as in the paper. The encoder's positions are fixed and it has no stochastic
    depth (the paper: learned, 0.1); linear layers of the heads have a bias. The paper mixes a clip with the
    last 2,048; here `MixupLogExp` mixes with others of the batch.
    """

    hidden: int = 4096
    width: int = 256
    """Size of the projection that is predicted."""
    decay: float = 0.9995
    """Of the teacher's moving average, a step, at first; it rises to 1 along a cosine."""
    steps: int = 318_000
    """Steps of that cosine: the length of the run."""
    predictor: bool = True
    """Without one the network collapses: the collapse alarm is tested with it."""

    def build(self, encoder, *, rngs):
        if getattr(encoder, "cls", None) is None:
            raise ValueError("ATSTClip compares class tokens; give an encoder that has one, as ViT(cls=True)")
        student = nnx.Dict(encoder=encoder, project=MLP(encoder.token, self.hidden, self.width, rngs=rngs))
        net = nnx.Dict(student=student, teacher=nnx.clone(student))
        if self.predictor:
            net.predict = MLP(self.width, self.hidden, self.width, rngs=rngs)
        return net

    def loss(self, net, views, batch, key):
        if len(views) != 2:
            raise ValueError(f"ATSTClip compares two views; the experiment has {len(views)}")
        both = jnp.concatenate(views)

        def see(part):
            x = part.encoder.layers(part.encoder.cut(both))[-1][:, 0]
            return part.project(part.encoder.norm(x))

        student, target = see(net.student), jax.lax.stop_gradient(see(net.teacher))
        if self.predictor:
            student = net.predict(student)
        student, target = student.astype(jnp.float32), target.astype(jnp.float32)
        similar = cosine(student, jnp.roll(target, len(target) // 2, 0))  # each view predicts the other
        return 2 - 2 * similar.mean(), {"target_std": spread(target), "student_std": spread(student)}

    def after(self, net, step):
        done = jnp.minimum(step.astype(jnp.float32) / self.steps, 1)
        share = (1 - self.decay) * (1 + jnp.cos(jnp.pi * done)) / 2
        new, old = nnx.state(net.student, nnx.Param), nnx.state(net.teacher, nnx.Param)
        nnx.update(net.teacher, optax.incremental_update(new, old, share))

    def encoder(self, net):
        return net.teacher.encoder
