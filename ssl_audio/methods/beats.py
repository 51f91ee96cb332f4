"""BEATs: predict labels of hidden patches, which a tokenizer gives that learns from the last encoder."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import Transformer, patches, positions
from ssl_audio.losses import cosine, spread, unit
from ssl_audio.quantise import kmeans, nearest, perplexity
from ssl_audio.signal.masking import random_mask


class Fixed(nnx.Variable):
    """Random projection and codebook of the first iteration, which never move."""


class Codebook(nnx.Variable):
    """Codes [k d] of length 1 of the learned tokenizer, moved by average."""


class Phase(nnx.Variable):
    """int32: 0 first iteration, 1 the tokenizer learns, 2 second iteration."""


@dataclasses.dataclass(frozen=True)
class BEATs:
    """Bidirectional encoder representation from audio transformers, two iterations a run. One view, a ViT.

    Chen et al., "BEATs: Audio Pre-Training with Acoustic Tokenizers", 2023. Up to step `distil` the labels
    are the nearest of random codes to a random projection of the patches. From there to step `again` a
    tokenizer, of the encoder's own make, learns through a quantiser to tell what the trained encoder (now the
    teacher) makes of the whole clip. Then encoder and predictor start afresh and predict the tokenizer's
    labels. A run that ends before `distil` is the paper's first iteration alone.

    Deviations: no gated relative positions nor DeepNorm, but the encoder that is given, and sine-cosine
    positions behind it; hidden places hold a learned token (zeros in the paper's text); one optimiser and
    schedule for all phases. Initial weights are kept, to start from: with the teacher three more encoders in
    memory.
    """

    hide: float = 0.75
    """Share of the patches that the encoder doesn't see and whose labels it predicts, between 0 and 1."""
    codes: int = 1024
    """Labels."""
    code: int = 256
    """Width of a code."""
    width: int = 768
    """Of label predictor and tokenizer's estimator, both thrown away."""
    depth: int = 3
    heads: int = 8
    distil: int = 400_000
    """Step at which the first iteration ends and the tokenizer begins to learn."""
    again: int = 800_000
    """Step at which the second iteration begins."""
    decay: float = 0.99
    """Of the codebook's moving average, a step (a micro-batch, where batches are cut)."""
    commit: float = 1.0
    """Weight of the mean squared distance of output and code; too low: all labels alike. ESPnet takes 10."""
    looks: int = 1
    """Batches whose patches, at most 64 of a clip, k-means makes the first codebook of."""

    def build(self, encoder, *, rngs):
        if not 0 < self.hide < 1:
            raise ValueError(f"BEATs: hide {self.hide} is not between 0 and 1; the paper's is 0.75")
        if not 0 < self.distil < self.again:
            raise ValueError(f"BEATs: distil {self.distil}, again {self.again}: steps above 0, in this order")
        linear = lambda din, dout: nnx.Linear(din, dout, rngs=rngs)
        transformer = lambda din, dout: Transformer(din, self.width, self.depth, self.heads, dout, rngs=rngs)
        normal, d = nnx.initializers.normal, encoder.token
        student = nnx.Dict(
            encoder=encoder,
            token=nnx.Param(normal(0.02)(rngs.params(), (d,))),
            predict=transformer(d, self.codes),
        )
        tokenizer = nnx.Dict(
            encoder=nnx.clone(encoder),
            up=linear(d, d),
            down=linear(d, self.code),
            estimate=transformer(self.code, d),
        )
        kept = {"encoder": encoder, "student": student, "tokenizer": tokenizer}
        draw = lambda *shape: normal(1.0)(rngs.params(), shape)
        return nnx.Dict(
            student=student,
            tokenizer=tokenizer,
            teacher=nnx.Dict({k: nnx.clone(v) for k, v in kept.items()}),  # one by one: they share an encoder
            project=Fixed(draw(encoder.patch[0] * encoder.patch[1], self.code)),
            random=Fixed(unit(draw(self.codes, self.code))),
            codebook=Codebook(unit(draw(self.codes, self.code))),
            phase=Phase(jnp.zeros((), jnp.int32)),
        )

    def encode(self, tokenizer, spec):
        """The tokenizer's output [b n code], of length 1; float32."""
        x = tokenizer.down(jnp.tanh(tokenizer.up(tokenizer.encoder(spec))))
        return unit(x.astype(jnp.float32))

    def loss(self, net, views, batch, key):
        (spec,) = views
        student, patch = net.student, net.student.encoder.patch
        cells, grid = patches(spec, patch), positions(spec.shape[1], spec.shape[2], patch)
        b, n, _ = cells.shape
        hide = round(self.hide * n)
        if not 0 < hide < n:
            raise ValueError(f"BEATs: {self.hide} of {n} patches hides {hide}; give longer clips")
        if (seen := self.looks * b * min(n, 64)) < self.codes:  # else it would end at step `distil`
            raise ValueError(f"BEATs: {self.codes} codes of {seen} patches; raise looks ({self.looks})")
        keep, hidden, restore = random_mask(key, b, n, n - hide)
        phase, random, codebook = net.phase[...], net.random[...], net.codebook[...]

        def label(z, codes):
            chosen = nearest(jax.lax.stop_gradient(z).reshape(b * n, self.code), codes)
            return chosen, codes[chosen]

        usage = lambda chosen: jnp.zeros(self.codes).at[chosen].add(1.0)

        def predict():
            chosen, code = jax.lax.cond(
                phase == 0,
                lambda: label(unit(cells.astype(jnp.float32) @ net.project[...]), random),
                lambda: label(self.encode(net.teacher.tokenizer, spec), codebook),
            )
            x = student.encoder(spec, keep=keep)
            token = jnp.broadcast_to(student.token[...].astype(x.dtype), (b, hide, x.shape[-1]))
            x = jnp.take_along_axis(jnp.concatenate([x, token], 1), restore[..., None], 1)
            logits = jnp.take_along_axis(student.predict(x, grid), hidden[..., None], 1).astype(jnp.float32)
            right = jnp.take_along_axis(chosen.reshape(b, n), hidden, 1)
            picked = jnp.take_along_axis(logits, right[..., None], -1)[..., 0]
            loss = jnp.mean(jax.nn.logsumexp(logits, -1) - picked)
            accuracy = jnp.mean((jnp.argmax(logits, -1) == right).astype(jnp.float32))
            return loss, accuracy, jnp.zeros(()), usage(chosen), spread(code), codebook

        def distil():
            z = self.encode(net.tokenizer, spec)
            chosen, code = label(z, codebook)
            gap = jax.lax.stop_gradient(code.reshape(z.shape) - z)
            guess = net.tokenizer.estimate((z + gap).astype(spec.dtype), grid)
            wanted = jax.lax.stop_gradient(net.teacher.encoder(spec)).astype(jnp.float32)
            alike = cosine(guess.astype(jnp.float32), wanted).mean()
            away = jnp.mean((z - jax.lax.stop_gradient(z + gap)) ** 2)
            rows, count = jax.lax.stop_gradient(z).reshape(b * n, self.code), usage(chosen)
            centre = unit(jnp.zeros_like(codebook).at[chosen].add(rows))
            moved = unit(self.decay * codebook + (1 - self.decay) * centre)
            moved = jnp.where((count > 0)[:, None], moved, codebook)
            loss, wide = 1 - alike + self.commit * away, spread(wanted.reshape(b * n, -1))
            return loss, jnp.zeros(()), alike, count, wide, moved

        loss, accuracy, alike, count, wide, moved = jax.lax.cond(phase == 1, distil, predict)
        net.codebook[...] = jax.lax.stop_gradient(moved)
        logs = {"accuracy": accuracy, "teacher_cosine": alike, "perplexity": perplexity(count / count.sum())}
        return loss, logs | {"target_std": wide, "phase": phase.astype(jnp.float32)}

    def after(self, net, step):
        pass

    def refits(self, step):
        return self.looks if step == self.distil else int(step == self.again)

    def gather(self, net, views, batch, key):
        """Of each clip at most 64 outputs of the tokenizer as it will start."""
        z = self.encode(net.teacher.tokenizer, views[0])
        b, n, _ = z.shape
        keep = random_mask(key, b, n, min(n, 64))[0]
        return jnp.take_along_axis(z, keep[..., None], 1).reshape(-1, self.code)

    def refit(self, net, rows, key):
        """The next phase: the encoder is the teacher, k-means the codebook; or the student starts afresh."""
        first = net.phase[...] == 0

        def move(to, new, when):
            old = nnx.as_pure(nnx.state(to, nnx.Param))
            new = nnx.as_pure(nnx.state(new, nnx.Param))
            nnx.update(to, jax.tree.map(lambda a, b: jnp.where(when, b, a), old, new))

        net.codebook[...] = jnp.where(first, unit(kmeans(key, rows, self.codes, 10)), net.codebook[...])
        move(net.teacher.encoder, net.student.encoder, first)
        move(net.tokenizer, net.teacher.tokenizer, first)
        move(net.student, net.teacher.student, ~first)
        move(net.teacher.tokenizer, net.tokenizer, ~first)  # what gives labels rests, out of decay's reach
        net.phase[...] = net.phase[...] + 1

    def encoder(self, net):
        return net.student.encoder
