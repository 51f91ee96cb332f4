"""DeepCluster-v2: predict the cluster of a sound; the clusters are found anew once in an epoch."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import MLP
from ssl_audio.losses import spread, unit
from ssl_audio.quantise import kmeans, nearest, perplexity


class Codebook(nnx.Variable):
    """Centres of the clusters, one set for each head."""


@dataclasses.dataclass(frozen=True)
class DeepCluster:
    """Deep clustering with the centres as the classifier. One view or more, of any lengths; the first two
    are clustered and give the labels, every one predicts them.

    Caron et al., "Deep Clustering for Unsupervised Learning of Visual Features", 2018, in the second form of
    "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments", 2020: projections of length
    1, spherical k-means, several clusterings at once, the centres are the weights of the classifier, so
    nothing is drawn anew after a clustering. Two differences. The paper stores the label of each clip from
    one clustering to the next; here a frozen copy of the network from the moment of the clustering labels
    what the batch holds: the same label but for the draw of the view, one more forward pass, and no memory
    as large as the data. It clusters what the last epoch's steps saw, here the network as it stands looks at
    `batches` batches. An empty cluster moves to the row that fits its own worst (`quantise.kmeans`).
    """

    prototypes: int = 3000
    """Clusters of each head."""
    heads: int = 3
    """Clusterings, by turns of the first and of the second view."""
    every: int = 313
    """Steps from one clustering to the next: the paper's epoch."""
    batches: int = 313
    """How many are clustered; they hold more clips than there are prototypes."""
    rounds: int = 10
    """Of k-means."""
    temperature: float = 0.1
    hidden: int = 2048
    width: int = 128
    """Size of the projection that is clustered."""

    def build(self, encoder, *, rngs):
        online = nnx.Dict(encoder=encoder, project=MLP(encoder.width, self.hidden, self.width, rngs=rngs))
        centres = Codebook(jnp.zeros((self.heads, self.prototypes, self.width)))
        return nnx.Dict(online=online, teacher=nnx.clone(online), centres=centres)

    def project(self, part, views, key=None):
        """Projections of length 1, [v b d], float32."""
        x = [  # one pass over views of one length
            part.encoder.embed(
                jnp.concatenate(list(same)), key=None if key is None else jax.random.fold_in(key, i)
            )
            for i, (_, same) in enumerate(itertools.groupby(views, lambda v: v.shape))
        ]
        x = unit(part.project(jnp.concatenate(x)).astype(jnp.float32))
        return x.reshape(len(views), -1, self.width)

    def loss(self, net, views, batch, key):
        x = self.project(net.online, views, key)
        seen = jax.lax.stop_gradient(self.project(net.teacher, views[:2]))
        loss, right, used = 0.0, 0.0, 0.0
        for head, centres in enumerate(net.centres[...]):
            label = nearest(seen[head % len(seen)], centres)
            guess = jax.nn.log_softmax(jnp.einsum("vbd,kd->vbk", x, centres) / self.temperature, -1)
            loss -= jnp.take_along_axis(guess, label[None, :, None], -1).mean() / self.heads
            right += jnp.mean(guess.argmax(-1) == label[None], dtype=jnp.float32) / self.heads
            share = jnp.zeros(self.prototypes).at[label].add(1 / len(label))
            used += perplexity(share) / self.heads
        return loss, {
            "target_std": spread(seen.reshape(-1, self.width)),
            "perplexity": used,
            "accuracy": right,
        }

    def refits(self, step):
        return self.batches if step % self.every == 0 else 0

    def gather(self, net, views, batch, key):
        return jnp.concatenate(list(self.project(net.online, views[:2])), -1)

    def refit(self, net, rows, key):
        seen = jnp.split(rows, rows.shape[1] // self.width, 1)
        net.centres[...] = jnp.stack(
            [
                kmeans(jax.random.fold_in(key, i), seen[i % len(seen)], self.prototypes, self.rounds, True)
                for i in range(self.heads)
            ]
        )
        nnx.update(net.teacher, nnx.state(net.online, nnx.Param))

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.online.encoder
