"""EAT: from a few blocks of patches, predict a teacher's features of all others and of the whole clip."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import grouped
from ssl_audio.losses import spread
from ssl_audio.signal.masking import inverse_block_mask


@dataclasses.dataclass(frozen=True)
class EAT:
    """Efficient audio transformer: many masks of a clip share one pass of the teacher; a convolutional
    decoder predicts the hidden patches, the class token the whole clip. One view, a transformer.

    Chen et al., "EAT: Self-Supervised Pre-Training with Efficient Audio Transformer", 2024, after Baevski et
    al., "data2vec 2.0", 2022. A target is the output of whole blocks, the authors' that of their feed-forward
    part; a block normalises first, theirs last. The utterance loss is the mean over clips, as in the paper;
    the authors' code adds it up over the clips of a device.
    """

    hide: float = 0.8
    """Share of the patches that the student doesn't see, between 0 and 1."""
    side: int = 5
    """Patches along the side of a visible block."""
    adjust: float = 0.07
    """Share of the patches that is drawn in blocks beyond what is seen, since blocks overlap."""
    clones: int = 16
    """Masks of each clip."""
    width: int = 768
    """Channels of the decoder, which is thrown away."""
    depth: int = 6
    kernel: int = 3
    groups: int = 16
    """Of the decoder's convolutions; a divisor of its channels and of the encoder's width."""
    noise: float = 0.01
    """Standard deviation of the noise that stands for hidden patches in the decoder."""
    utterance: float = 1.0
    """Weight of the loss on the class token; 0: none, and no class token is needed."""
    top: int = 12
    """Layers of the teacher whose mean is the target, from the last; all of them if there are fewer."""
    decay: tuple[float, float] = (0.9998, 0.99999)
    """Of the teacher's moving average, a step: at the start and from step `ramp` on, linear between."""
    ramp: int = 100_000
    teacher: bool = True
    """Without one the encoder makes the targets too, gradient and all. On the tests' toy that did not
    collapse in 400 steps: the targets' two normalisations hold them apart."""

    def build(self, encoder, *, rngs):
        if not 0 < self.hide < 1:
            raise ValueError(f"EAT: hide {self.hide} must lie between 0 and 1")
        if self.width % self.groups or encoder.token % self.groups:
            raise ValueError(
                f"EAT: {self.groups} groups divide neither the decoder's {self.width} channels nor the "
                f"encoder's {encoder.token}; both must be multiples"
            )
        sizes = [encoder.token] + self.depth * [self.width]
        square = (self.kernel, self.kernel)
        net = nnx.Dict(
            encoder=encoder,
            blocks=nnx.List(
                [
                    nnx.Conv(i, o, square, feature_group_count=self.groups, rngs=rngs)
                    for i, o in itertools.pairwise(sizes)
                ]
            ),
            norm=nnx.LayerNorm(self.width, epsilon=1e-5, use_bias=False, use_scale=False, rngs=rngs),
            out=nnx.Linear(self.width, encoder.token, rngs=rngs),
        )
        if self.teacher:
            net.teacher = nnx.clone(encoder)
        return net

    def loss(self, net, views, batch, key):
        (spec,) = views
        whole = net.encoder.cut(spec)
        b, n, d = whole.shape
        mask_key, noise_key = jax.random.split(key)
        columns = net.encoder.columns
        grid, keep = (n // columns, columns), n - round(self.hide * n)
        kept, hidden, restore = inverse_block_mask(
            mask_key, b * self.clones, grid, keep, self.side, self.adjust
        )
        x = net.encoder.layers(jnp.repeat(whole, self.clones, 0), keep=kept)[-1]
        x = net.encoder.norm(x)
        if self.utterance and x.shape[1] == keep:
            raise ValueError(
                "EAT: the encoder has no class token for the utterance loss; ViT(cls=True) has one"
            )
        guess = self.decode(net, x[:, -keep:], restore, grid, noise_key)
        guess = jnp.take_along_axis(guess, hidden[..., None], 1).astype(jnp.float32)
        if self.teacher:
            target = jax.lax.stop_gradient(self.target(net.teacher, net.teacher.cut(spec)))
        else:
            target = self.target(net.encoder, whole)
        clones = jnp.repeat(target, self.clones, 0)
        local = jnp.mean((guess - jnp.take_along_axis(clones, hidden[..., None], 1)) ** 2) * d**0.5
        # over clips, place by place: features of the place alone are a collapse too
        logs = {"target_std": jax.vmap(spread, 1)(target).mean(), "local": local}
        if not self.utterance:
            return local, logs
        utterance = jnp.mean((x[:, 0].astype(jnp.float32) - clones.mean(1)) ** 2) * d**0.5
        return local + self.utterance * utterance, logs | {"utterance": utterance}

    def decode(self, net, x, restore, grid, key):
        """The decoder's features [b n d] of all patches from the visible ones."""
        b, n = restore.shape
        noise = self.noise * jax.random.normal(key, (b, n - x.shape[1], x.shape[2]), x.dtype)
        x = jnp.take_along_axis(jnp.concatenate([x, noise], 1), restore[..., None], 1)
        x = x.reshape(b, *grid, -1)
        for conv in net.blocks:
            y = nnx.gelu(net.norm(grouped(conv, x)), approximate=False)
            x = x + y if x.shape == y.shape else y
        return net.out(x.reshape(b, n, -1))

    def target(self, teacher, x):
        """Mean [b n d] of the top layers, each normalised over the tokens of a clip, channel by channel; then
        each token is normalised."""
        n = x.shape[1]
        top = [y[:, -n:].astype(jnp.float32) for y in teacher.layers(x)[-self.top :]]
        top = [(y - y.mean(1, keepdims=True)) * jax.lax.rsqrt(y.var(1, keepdims=True) + 1e-5) for y in top]
        y = sum(top[1:], top[0]) / len(top)
        return (y - y.mean(-1, keepdims=True)) * jax.lax.rsqrt(y.var(-1, keepdims=True) + 1e-5)

    def after(self, net, step):
        if not self.teacher:
            return
        start, end = (1 - decay for decay in self.decay)
        rate = start + (end - start) * jnp.minimum(step / self.ramp, 1).astype(jnp.float32)
        new, old = nnx.state(net.encoder, nnx.Param), nnx.state(net.teacher, nnx.Param)
        nnx.update(net.teacher, jax.tree.map(lambda o, w: o + rate * (w - o), old, new))

    def encoder(self, net):
        return net.encoder
