"""Fine-tuning with few labels, next to its twin: the same network, data and steps from random weights."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from ssl_audio.audio.batches import Batches
from ssl_audio.config import Experiment
from ssl_audio.embeddings import WINDOW, bar, pieces
from ssl_audio.optim import lenient, matrices
from ssl_audio.signal.augment import Crop
from ssl_audio.train import State, split


@dataclasses.dataclass(frozen=True)
class Finetune:
    """All weights are trained, the head at `rate`, the encoder at a fraction of it; a short schedule."""

    per_class: int = 10
    """Labelled clips drawn from each class of the training folds (all it has, if fewer)."""
    steps: int = 100
    batch: int = 32
    rate: float = 1e-3
    encoder_rate: float = 0.3
    """Of the encoder, as a share of `rate`."""
    decay: float = 0.05


def few(labels: np.ndarray, rows: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """At most `per_class` of `rows` from each class, drawn by seed; sorted."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(rows)
    return np.sort(np.concatenate([order[labels[order] == c][:per_class] for c in np.unique(labels[rows])]))


def finetune(
    experiment: Experiment,
    state: State,
    graph,
    store,
    labels: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    *,
    recipe: Finetune = Finetune(),
    seed: int = 0,
    title: str = "fine-tuning",
) -> np.ndarray:
    """Predicted labels of the clips `test` after fine-tuning the state's encoder on the clips `train`.

    labels: of every clip of the store, strings [n]; train, test: indices. The same seed gives the same
    batches and the same head to every state, so a random state is a fair twin.
    """
    classes, codes = np.unique(labels[train], return_inverse=True)
    code = np.zeros(len(store), np.int32)
    code[train] = codes
    net = nnx.merge(graph, state.params, state.frozen, state.rest)
    body = nnx.clone(experiment.method.encoder(net))
    head = nnx.Linear(body.width, len(classes), rngs=nnx.Rngs(seed))
    graph, params, frozen, rest = split(
        nnx.Dict(body=body, norm=nnx.BatchNorm(body.width, momentum=0.9, rngs=nnx.Rngs(seed)), head=head)
    )
    samples = round(experiment.data.seconds * store.rate)
    tx, step, predict = programs(experiment, recipe, graph)
    params, rest = jax.tree.map(jnp.copy, (params, rest))  # the caller's state is not donated
    opt = tx.init(params)
    batches = Batches(
        store, samples=samples, batch=recipe.batch, seed=seed, short=experiment.data.short, subset=train
    )
    with bar() as progress:
        for i in progress.track(range(recipe.steps), description=title):
            batch = batches[i]
            key = jax.random.fold_in(jax.random.key(seed), i)
            sound = jax.device_put((batch["wave"], batch["valid"], code[batch["index"]]))
            params, rest, opt = step(params, rest, opt, frozen, *sound, key)
    score = np.zeros((len(store), len(classes)))
    chosen = np.zeros(len(store), bool)
    chosen[test] = True
    for clips, _, wave, valid in pieces(store, int(WINDOW * store.rate), 64, chosen):
        real = clips >= 0
        found = np.asarray(predict(params, rest, frozen, wave, valid))
        np.add.at(score, clips[real], found[real] * valid[real, None])
    return classes[score[test].argmax(1)]


@functools.lru_cache(maxsize=8)
def programs(experiment: Experiment, recipe: Finetune, graph) -> tuple:
    """(optimiser, jitted step, jitted log-probabilities) of a network: one set for all folds, draws and
    states."""
    schedule = optax.cosine_decay_schedule(1.0, recipe.steps)
    tx = optax.adamw(lambda step: recipe.rate * schedule(step), weight_decay=recipe.decay, mask=matrices)
    crops = [change for change in experiment.views[0].wave if isinstance(change, Crop)]

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(params, rest, opt, frozen, wave, valid, target, key):
        wave, keys = wave.astype(jnp.float32) / 2**15, jax.random.split(key)
        for crop in crops:
            wave = crop(keys[0], wave)
        # where a crop of it begins isn't known: then what fills up counts as sound
        frames = None if crops else experiment.frontend.valid_frames(valid)

        def loss(params):
            net = nnx.merge(graph, params, frozen, rest)
            logits = net.head(net.norm(net.body.embed(experiment.frontend(wave), frames, key=keys[1])))
            return optax.softmax_cross_entropy_with_integer_labels(logits, target).mean(), split(net)[3]

        grads, moved = jax.grad(loss, has_aux=True)(params)
        updates, opt = lenient(tx.update)(grads, opt, params)
        updates["body"] = jax.tree.map(lambda u: u * recipe.encoder_rate, updates["body"])
        return optax.apply_updates(params, updates), moved, opt

    @jax.jit
    def predict(params, rest, frozen, wave, valid):
        net = nnx.view(
            nnx.merge(graph, params, frozen, rest), use_running_average=True, raise_if_not_found=False
        )
        spec = experiment.frontend(wave.astype(jnp.float32) / 2**15)
        return jax.nn.log_softmax(
            net.head(net.norm(net.body.embed(spec, experiment.frontend.valid_frames(valid))))
        )

    return tx, step, predict
