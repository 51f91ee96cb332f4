"""wav2vec 2.0: tell a masked moment's quantised features from those of other masked moments of the clip."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from ssl_audio.losses import spread, unit
from ssl_audio.quantise import perplexity
from ssl_audio.signal.masking import spans


class Temperature(nnx.Variable):
    """Of the Gumbel softmax: falls with the steps, is no parameter."""


class Quantiser(nnx.Module):
    """Product quantiser: one code of each group, chosen by a linear layer, side by side."""

    def __init__(self, channels: int, groups: int, codes: int, width: int, *, rngs: nnx.Rngs):
        # wide logits: with a small initial scale, as of other layers, the codes hardly differ and all but a
        # few are never found
        self.choose = nnx.Linear(
            channels, groups * codes, kernel_init=nnx.initializers.normal(1.0), rngs=rngs
        )
        self.codes = nnx.Param(jax.random.uniform(rngs.params(), (groups, codes, width // groups)))

    def __call__(
        self, x: Float[Array, "b n c"], temperature: Float[Array, ""], key: Array
    ) -> tuple[Float[Array, "b n d"], Float[Array, "b n g k"], Float[Array, "b n g k"]]:
        """Codes drawn by Gumbel's noise, with the gradient of the soft choice; the logits; which it was."""
        groups, codes, _ = self.codes.shape
        logits = self.choose(x).astype(jnp.float32).reshape(*x.shape[:2], groups, codes)
        soft = jax.nn.softmax((logits + jax.random.gumbel(key, logits.shape)) / temperature, -1)
        hard = jax.nn.one_hot(jnp.argmax(soft, -1), codes)
        choice = (soft + jax.lax.stop_gradient(hard - soft)).astype(x.dtype)
        return jnp.einsum("bngk,gkd->bngd", choice, self.codes[...]).reshape(*x.shape[:2], -1), logits, hard


@dataclasses.dataclass(frozen=True)
class Wav2Vec2Pretraining:
    """Mask spans of the features of a wave; at each masked token pick its own quantised features out of
    `negatives` from other masked tokens of the clip. One view of `RawFrames`, the encoder `Wav2Vec2`.

    Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations", 2020.
    As in the authors' program the diversity term is of perplexities, where the paper prints entropies, and
    there are the penalty on the features' size and a slower gradient of the convolutions. Every clip has
    equally many spans: the program rounds their number up or down by chance, and cuts the masked tokens of a
    batch to equal number; here spans that overlap leave fewer to predict.
    """

    start: float = 0.065
    """Share of the tokens at which a masked span starts."""
    span: int = 10
    """Tokens of a span."""
    groups: int = 2
    codes: int = 320
    """Of each group."""
    width: int = 256
    """Of the codes side by side, and of what is compared; a multiple of the groups."""
    negatives: int = 100
    temperature: float = 0.1
    gumbel: tuple[float, float, float] = (2.0, 0.5, 0.999995)
    """Temperature of the choice of codes: at first, at last, and its factor each step."""
    diversity: float = 0.1
    """Weight of how far the codes' perplexity stays below their number."""
    penalty: float = 10.0
    """Weight of the mean square of the convolutions' result."""
    slow: float = 0.1
    """Factor of the gradient that reaches the convolutions."""
    dropout: float = 0.1
    """Of the tokens before the mask, and of the features before the quantiser."""

    def build(self, encoder, *, rngs):
        if not hasattr(encoder, "convolve"):
            raise ValueError(
                f"Wav2Vec2Pretraining masks the features of a wave; {type(encoder).__name__} has none: take "
                f"encoders.Wav2Vec2 and the frontend RawFrames"
            )
        if self.width % self.groups:
            raise ValueError(f"width {self.width} is not a multiple of {self.groups} groups of codes")
        channels, d = encoder.project.in_features, encoder.token
        return nnx.Dict(
            encoder=encoder,
            token=nnx.Param(jax.random.uniform(rngs.params(), (d,))),
            quantise=Quantiser(channels, self.groups, self.codes, self.width, rngs=rngs),
            target=nnx.Linear(self.width, self.width, rngs=rngs),
            guess=nnx.Linear(d, self.width, rngs=rngs),
            drop=nnx.Dropout(self.dropout),
            gumbel=Temperature(jnp.float32(self.gumbel[0])),
        )

    def loss(self, net, views, batch, key):
        (spec,) = views
        keys = jax.random.split(key, 6)
        x = net.encoder.convolve(spec)
        x = self.slow * x + jax.lax.stop_gradient((1 - self.slow) * x)
        size = jnp.mean(x.astype(jnp.float32) ** 2)
        features = net.encoder.front_norm(x)
        b, n, _ = features.shape
        mask = spans(keys[0], b, n, max(1, round(self.start * n)), self.span)
        x = net.drop(net.encoder.project(features), deterministic=False, rngs=keys[1])
        x = jnp.where(mask[..., None], net.token[...].astype(x.dtype)[None, None], x)
        guess = net.guess(net.encoder.norm(net.encoder.layers(x, key=keys[2])[-1]))
        features = net.drop(features, deterministic=False, rngs=keys[3])
        code, logits, chosen = net.quantise(features, net.gumbel[...], keys[4])
        target = net.target(code)
        loss, right = self.contrast(keys[5], guess, target, chosen, mask)
        share = mask[..., None, None].astype(jnp.float32)
        share = share / jnp.sum(share)
        used = perplexity(jnp.sum(jax.nn.softmax(logits, -1) * share, (0, 1)))
        loss += self.diversity * (1 - jnp.mean(used) / self.codes) + self.penalty * size
        logs = {"target_std": spread(target.reshape(b * n, -1)), "accuracy": right, "feature_size": size}
        best = jax.nn.one_hot(jnp.argmax(logits, -1), self.codes)
        found = perplexity(jnp.sum(best * share, (0, 1)))
        return loss, logs | {f"perplexity_{i}": found[i] for i in range(self.groups)}

    def contrast(
        self,
        key: Array,
        guess: Float[Array, "b n d"],
        target: Float[Array, "b n d"],
        chosen: Float[Array, "b n g k"],
        mask: Bool[Array, "b n"],
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Cross-entropy at masked tokens of the own target among its negatives; how often it is nearest."""
        # all pairs of a clip in one product, as attention has them: gathered negatives would be `negatives`
        # vectors for each token
        pairs = jnp.einsum("bnd,bmd->bnm", *(unit(x.astype(jnp.float32)) for x in (guess, target)))
        other = negatives(key, mask, self.negatives)
        code = jnp.argmax(chosen, -1)
        same = jnp.all(code[:, :, None] == code[:, None], -1)  # a negative equal to the target is none
        own = jnp.diagonal(pairs, axis1=1, axis2=2)[..., None] / self.temperature
        wrong = jnp.take_along_axis(jnp.where(same, -jnp.inf, pairs / self.temperature), other, 2)
        each = jax.nn.logsumexp(jnp.concatenate([own, wrong], 2), 2) - own[..., 0]
        right = own[..., 0] > wrong.max(2)
        total = jnp.sum(mask).astype(jnp.float32)
        mean = lambda x: jnp.sum(jnp.where(mask, x, 0)) / total
        return mean(each), mean(right.astype(jnp.float32))

    def after(self, net, step):
        _, last, factor = self.gumbel
        net.gumbel[...] = jnp.maximum(self.gumbel[0] * factor ** (step + 1).astype(jnp.float32), last)

    def encoder(self, net):
        return net.encoder


def negatives(key: Array, mask: Bool[Array, "b n"], count: int):
    """Places [b n count] of other masked tokens of the same clip, each equally likely, with repetition."""
    b, n = mask.shape
    places = jnp.argsort(~mask, axis=1, stable=True)  # the masked ones first
    rank = jnp.cumsum(mask, 1)[..., None] - 1
    others = jnp.sum(mask, 1)[:, None, None] - 1
    draw = jax.random.uniform(key, (b, n, count)) * others.astype(jnp.float32)
    draw = jnp.minimum(draw.astype(rank.dtype), others - 1)
    draw = draw + (draw >= rank).astype(rank.dtype)
    return jnp.take_along_axis(places, draw.reshape(b, -1), 1).reshape(b, n, count)
