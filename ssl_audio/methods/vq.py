"""Vector-quantised autoencoder on spectrograms."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import patches
from ssl_audio.losses import restoration
from ssl_audio.quantise import nearest, perplexity


class Codebook(nnx.Variable):
    """Codes, or the moving averages they come from."""


@dataclasses.dataclass(frozen=True)
class VQAutoencoder:
    """Vector-quantised autoencoder: the decoder sees, of each token, only the nearest of a few codes. One
    view.

    van den Oord et al., "Neural Discrete Representation Learning", 2017, with the codebook by moving averages
    of its appendix. It says nothing of codes that die; here a code that is seldom used starts again at a
    token of the batch, as in Dhariwal et al., "Jukebox", 2020, also at the first step, so that the first
    codes are tokens. The log has the perplexity of the batch's codes: `codes` when all are used alike.
    """

    codes: int = 512
    code: int = 64
    """Numbers of a code."""
    hidden: int = 512
    decay: float = 0.99
    """Of the moving averages, a step (a micro-batch, where batches are cut)."""
    commit: float = 0.25
    """Weight of the tokens' distance to their codes."""
    revive: float = 0.1
    """A code starts again when its average use falls below this share of an equal one; 0: never."""

    def build(self, encoder, *, rngs):
        return nnx.Dict(
            encoder=encoder,
            enter=nnx.Linear(encoder.token, self.code, rngs=rngs),
            codes=Codebook(jax.random.normal(rngs.params(), (self.codes, self.code))),
            use=Codebook(jnp.zeros(self.codes)),
            total=Codebook(jnp.zeros((self.codes, self.code))),
            up=nnx.Linear(self.code, self.hidden, rngs=rngs),
            out=nnx.Linear(self.hidden, encoder.patch[0] * encoder.patch[1], rngs=rngs),
        )

    def loss(self, net, views, batch, key):
        (spec,) = views
        key, draw = jax.random.split(key)
        x = net.enter(net.encoder(spec, key=key))
        flat = x.reshape(-1, self.code).astype(jnp.float32)
        codes = net.codes[...]
        chosen = nearest(jax.lax.stop_gradient(flat), codes)
        best = jax.lax.stop_gradient(codes[chosen].reshape(x.shape))
        commit = jnp.mean((x.astype(jnp.float32) - best) ** 2)
        code = x + jax.lax.stop_gradient(best.astype(x.dtype) - x)  # the gradient passes straight through
        guess = net.out(nnx.relu(net.up(code)))
        patch = net.encoder.patch
        error = restoration(guess, patches(spec, patch), patch[0])
        shares = self.move(net, jax.lax.stop_gradient(flat), chosen, draw)
        logs = {"error": error, "commit": commit, "perplexity": perplexity(shares)}
        return error + self.commit * commit, logs

    def move(self, net, rows, chosen, key):
        """Average the rows into the codes that they chose, revive dead codes; returns each code's share."""
        n = len(rows)
        hot = jax.nn.one_hot(chosen, self.codes, dtype=jnp.float32)
        count = hot.sum(0)
        use = self.decay * net.use[...] + (1 - self.decay) * count
        total = self.decay * net.total[...] + (1 - self.decay) * hot.T @ rows
        smooth = (use + 1e-5) / (use.sum() + self.codes * 1e-5) * use.sum()  # Laplace's, as published
        codes = jnp.where(use[:, None] > 0, total / smooth[:, None], net.codes[...])
        if self.revive:
            dead = use < self.revive * n / self.codes
            fresh = rows[jax.random.permutation(key, n)[jnp.arange(self.codes) % n]]
            codes = jnp.where(dead[:, None], fresh, codes)
            use = jnp.where(dead, n / self.codes, use)
            total = jnp.where(dead[:, None], fresh * (n / self.codes), total)
        net.codes[...], net.use[...], net.total[...] = codes, use, total
        return count / n

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
