"""HuBERT: name the cluster that each masked moment belongs to; clusters of MFCCs, later of own features."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from ssl_audio.losses import unit
from ssl_audio.quantise import kmeans, nearest, perplexity
from ssl_audio.signal.cepstrum import delta
from ssl_audio.signal.kaldi import mfcc
from ssl_audio.signal.masking import spans


class Centres(nnx.Variable):
    """What k-means found; and the number of times it did."""


@dataclasses.dataclass(frozen=True)
class HuBERT:
    """Hidden-unit BERT: predict at masked tokens which k-means cluster they are in. One view of `RawFrames`,
    the encoder `Wav2Vec2`.

    First clusters of MFCCs; from step `stage` on clusters of the features that the encoder then had at block
    `depth`, computed by a frozen copy. Hsu et al., "HuBERT: Self-Supervised Speech Representation Learning by
    Masked Prediction of Hidden Units", 2021. The paper starts its second stage from fresh weights; here they
    go on, with fresh embeddings of the clusters, so that one command does both. Every clip has equally many
    spans, where the authors' program rounds their number up or down by chance. k-means looks at `looks`
    batches, not at all the data. MFCCs are as precise as the views: bfloat16 coarsens them.
    """

    rate: int = 16_000
    """Samples a second of the frontend, for the MFCCs."""
    start: float = 0.08
    """Share of the tokens at which a masked span starts."""
    span: int = 10
    """Tokens of a span."""
    first: int = 100
    """Clusters of MFCCs."""
    codes: int = 500
    """Clusters of features."""
    stage: int = 250_000
    """Step from which on features are predicted; 0: never."""
    depth: int = 6
    """Block, counted from 1, whose features are clustered."""
    looks: int = 100
    """Batches that k-means looks at."""
    tokens: int = 20
    """Tokens of a clip that it sees, drawn at random, all of a clip that has fewer."""
    width: int = 256
    """Of what is compared with the clusters' embeddings."""
    temperature: float = 0.1
    penalty: float = 10.0
    """Weight of the mean square of the convolutions' result."""
    slow: float = 0.1
    """Factor of the gradient that reaches the convolutions."""
    dropout: float = 0.1
    """Of the tokens before the mask."""

    def build(self, encoder, *, rngs):
        if not hasattr(encoder, "convolve"):
            raise ValueError(
                f"HuBERT masks the features of a wave; {type(encoder).__name__} has none: take "
                f"encoders.Wav2Vec2 and the frontend RawFrames"
            )
        if not 1 <= self.depth <= len(encoder.blocks):
            raise ValueError(f"HuBERT: depth {self.depth} is no block of an encoder of {len(encoder.blocks)}")
        d = encoder.token
        return nnx.Dict(
            encoder=encoder,
            teacher=nnx.clone(encoder),
            token=nnx.Param(jax.random.uniform(rngs.params(), (d,))),
            guess=nnx.Linear(d, self.width, rngs=rngs),
            names=nnx.Param(jax.random.uniform(rngs.params(), (self.first + self.codes, self.width))),
            drop=nnx.Dropout(self.dropout),
            centres=nnx.Dict(
                first=Centres(jnp.zeros((self.first, 39))), features=Centres(jnp.zeros((self.codes, d)))
            ),
            refits=Centres(jnp.int32(0)),
        )

    def loss(self, net, views, batch, key):
        (spec,) = views
        keys = jax.random.split(key, 3)
        x = net.encoder.convolve(spec)
        x = self.slow * x + jax.lax.stop_gradient((1 - self.slow) * x)
        size = jnp.mean(x.astype(jnp.float32) ** 2)
        x = net.encoder.project(net.encoder.front_norm(x))
        b, n, _ = x.shape
        mask = spans(keys[0], b, n, max(1, round(self.start * n)), self.span)
        x = net.drop(x, deterministic=False, rngs=keys[1])
        x = jnp.where(mask[..., None], net.token[...].astype(x.dtype)[None, None], x)
        guess = net.guess(net.encoder.norm(net.encoder.layers(x, key=keys[2])[-1]))
        later = net.refits[...] > 1
        label = jax.lax.cond(
            later,
            lambda: self.first + nearest(self.features(net.teacher, spec), net.centres.features[...]),
            lambda: nearest(self.cepstra(net.encoder, spec, n), net.centres.first[...]),
        ).reshape(b, n)
        label = jax.lax.stop_gradient(label)
        logits = self.logits(guess, net.names[...], later)
        each = jax.nn.logsumexp(logits, -1) - jnp.take_along_axis(logits, label[..., None], -1)[..., 0]
        total = jnp.sum(mask).astype(jnp.float32)
        mean = lambda x: jnp.sum(jnp.where(mask, x.astype(jnp.float32), 0)) / total
        loss, right = mean(each), mean(jnp.argmax(logits, -1) == label)
        counts = jnp.zeros(self.first + self.codes).at[label.reshape(-1)].add(1 / (b * n))
        used = perplexity(counts)
        known = jnp.where(later, np.log(self.codes), np.log(self.first)).astype(jnp.float32)
        logs = {
            "target_std": jnp.log(used) / known,  # 0 where all labels are one, 1 where all are used alike
            "target_perplexity": used,
            "accuracy": right,
            "feature_size": size,
        }
        return loss + self.penalty * size, logs

    def logits(
        self, guess: Float[Array, "b n d"], names: Float[Array, "k d"], later
    ) -> Float[Array, "b n k"]:
        """Cosines with the embeddings of the stage's clusters over the temperature; -inf at the others."""
        cosines = unit(guess.astype(jnp.float32)) @ unit(names.astype(jnp.float32)).T
        there = (jnp.arange(self.first + self.codes) >= self.first) == later
        return jnp.where(there[None, None], cosines / self.temperature, -jnp.inf)

    def cepstra(self, encoder, spec: Float[Array, "b f m"], n: int) -> Float[Array, "k 39"]:
        """MFCCs and their first and second deltas every 10 ms; of these the frame in the middle of each
        token."""
        b, f, hop = spec.shape
        c = mfcc(jax.lax.stop_gradient(spec).reshape(b, f * hop), self.rate, use_energy=False)
        d = delta(c, width=5)
        c = jnp.concatenate([c, d, delta(d, width=5)], -1)
        window, shift = int(self.rate * 0.025), int(self.rate * 0.01)
        place = np.arange(n) * encoder.stride + (encoder.field - window) // 2
        return c[:, np.clip(place // shift, 0, c.shape[1] - 1)].reshape(b * n, 39)

    def features(self, encoder, spec: Float[Array, "b f m"]) -> Float[Array, "k d"]:
        """What block `depth` makes of the tokens of unmasked clips, without dropout."""
        x = encoder.layers(encoder.cut(spec))[self.depth - 1]
        return jax.lax.stop_gradient(x.astype(jnp.float32)).reshape(-1, x.shape[-1])

    def refits(self, step):
        return self.looks if step == 0 or (self.stage and step == self.stage) else 0

    def gather(self, net, views, batch, key):
        (spec,) = views
        b, n = len(spec), net.encoder.steps(spec.shape[1])
        rows = jnp.concatenate([self.cepstra(net.encoder, spec, n), self.features(net.encoder, spec)], 1)
        order = jnp.argsort(jax.random.uniform(key, (b, n)), axis=1)[:, : min(self.tokens, n), None]
        return jnp.take_along_axis(rows.reshape(b, n, -1), order, 1).reshape(-1, rows.shape[1])

    def refit(self, net, rows, key):
        cepstra, features = rows[:, :39], rows[:, 39:]
        start, centres = net.refits[...] == 0, net.centres
        centres.first[...] = jax.lax.cond(
            start, lambda: kmeans(key, cepstra, self.first), lambda: centres.first[...]
        )
        centres.features[...] = jax.lax.cond(
            start, lambda: centres.features[...], lambda: kmeans(key, features, self.codes)
        )
        nnx.update(net.teacher, nnx.state(net.encoder, nnx.Param))
        net.refits[...] = net.refits[...] + 1

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
