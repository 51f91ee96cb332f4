"""SimSiam: predict the other view's projection, with nothing but a stopped gradient against collapse."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.losses import cosine, pairs, spread


@dataclasses.dataclass(frozen=True)
class SimSiam:
    """Simple Siamese network: a predictor on one side, a stopped gradient on the other. Two views.

    Chen & He, "Exploring Simple Siamese Representation Learning", 2021. The loss is the paper's plus 1: 0
    where prediction and target agree. The projector's last normalisation has no scale and bias, as in the
    authors' program. Both views pass the network at once, so batch normalisation takes its statistics over
    both. The authors keep the predictor's learning rate constant; here it follows the schedule.
    """

    hidden: int = 2048
    width: int = 2048
    """Size of the projection that is predicted."""
    bottleneck: int = 512
    """Hidden size of the predictor."""
    output_norm: bool = True
    """Normalise the projection. Without it a collapse goes to a point, which `target_std` tells; with it to
    few directions, where `target_std` stays near 1: then look at the loss, which falls to 0, and the kNN."""
    predictor: bool = True
    stop: bool = True
    """Stop the gradient at the target. Without the one or the other the network collapses: the collapse alarm
    is tested with them."""

    def build(self, encoder, *, rngs):
        linear = lambda i, o: nnx.Linear(i, o, use_bias=False, rngs=rngs)
        net = nnx.Dict(
            encoder=encoder,
            one=linear(encoder.width, self.hidden),
            norm1=nnx.BatchNorm(self.hidden, epsilon=1e-5, rngs=rngs),
            two=linear(self.hidden, self.hidden),
            norm2=nnx.BatchNorm(self.hidden, epsilon=1e-5, rngs=rngs),
            three=linear(self.hidden, self.width),
            norm3=nnx.BatchNorm(self.width, epsilon=1e-5, use_bias=False, use_scale=False, rngs=rngs),
        )
        if self.predictor:
            net.down = linear(self.width, self.bottleneck)
            net.norm4 = nnx.BatchNorm(self.bottleneck, epsilon=1e-5, rngs=rngs)
            net.up = nnx.Linear(self.bottleneck, self.width, rngs=rngs)
        return net

    def loss(self, net, views, batch, key):
        z = net.encoder.embed(pairs(views, "SimSiam"), key=key)
        z = nnx.relu(net.norm1(net.one(z)))
        z = nnx.relu(net.norm2(net.two(z)))
        z = net.three(z)
        z = (net.norm3(z) if self.output_norm else z).astype(jnp.float32)
        p = net.up(nnx.relu(net.norm4(net.down(z)))).astype(jnp.float32) if self.predictor else z
        target = jax.lax.stop_gradient(z) if self.stop else z
        # view 1 predicts 2, view 2 predicts 1
        similar = cosine(p, jnp.roll(target, len(target) // 2, 0)).mean()
        return 1 - similar, {"target_std": spread(z)}

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
