"""CPC: tell what comes next from what could have come."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.losses import spread


@dataclasses.dataclass(frozen=True)
class CPC:
    """Contrastive predictive coding: for each of the next steps, a linear map of the context picks the token
    that follows out of others (InfoNCE on dot products). One view, a `Context` encoder.

    van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018. The paper doesn't
    say how many negatives it draws: 128 are those of Rivière et al., "Unsupervised Pretraining Transfers Well
    Across Languages", 2020. Here they are drawn anew each step, the same for all predictions of the step; a
    draw of the very token sought is left out.
    """

    ahead: int = 12
    """Tokens ahead that are foretold, each by a map of its own."""
    negatives: int = 128
    """Tokens drawn from the whole batch, the clip itself included."""
    within: bool = False
    """Take all other tokens of the clip itself instead: the paper's "current sequence only"."""

    def build(self, encoder, *, rngs):
        if not hasattr(encoder, "look"):
            raise ValueError(
                f"CPC needs an encoder with a context over its tokens; give Context({type(encoder).__name__})"
            )
        if self.ahead < 1 or self.negatives < 1:
            raise ValueError(f"CPC: ahead {self.ahead} and negatives {self.negatives} must be 1 at least")
        size = encoder.local.token * encoder.local.columns
        maps = [nnx.Linear(encoder.width, size, use_bias=False, rngs=rngs) for _ in range(self.ahead)]
        return nnx.Dict(encoder=encoder, predict=nnx.List(maps))

    def loss(self, net, views, batch, key):
        (spec,) = views
        key, draw = jax.random.split(key)
        z, c = net.encoder.look(spec, key=key)
        z = z.astype(jnp.float32)
        b, n, d = z.shape
        last = n - self.ahead
        if last < 1:
            raise ValueError(
                f"CPC foretells {self.ahead} tokens ahead, but a clip has only {n}; lengthen the clips or "
                f"lower `ahead`"
            )
        flat = z.reshape(b * n, d)
        drawn = jax.random.randint(draw, (self.negatives,), 0, b * n)
        other = z.swapaxes(1, 2) if self.within else flat[drawn].T
        drawn = (jnp.arange(n) if self.within else drawn)[None, None]
        place = jnp.arange(last)[None, :, None]
        if not self.within:
            place = place + n * jnp.arange(b)[:, None, None]
        loss = hits = jnp.zeros(())
        for k, predict in enumerate(net.predict, 1):
            guess = predict(c[:, :last]).astype(jnp.float32)
            right = jnp.sum(guess * z[:, k : k + last], -1)
            wrong = guess @ other
            wrong = jnp.where(drawn == place + k, -jnp.inf, wrong)
            loss += jnp.mean(jnp.logaddexp(right, jax.nn.logsumexp(wrong, -1)) - right)
            hits += jnp.mean(right > wrong.max(-1), dtype=jnp.float32)
        return loss / self.ahead, {"accuracy": hits / self.ahead, "target_std": spread(flat)}

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
