"""The optimiser: schedule, decay mask, clipping, accumulation."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from toys import VIT, experiment, started

from ssl_audio.config import View
from ssl_audio.optim import Optim, matrices, renewed
from ssl_audio.plan import lower
from ssl_audio.train import make_step


@pytest.mark.parametrize("warmup", [0, 1, 10])
@pytest.mark.parametrize("cosine", [True, False])
def test_schedule_closed_form(warmup, cosine):
    o = Optim(steps=50, rate=2e-3, warmup=warmup, cosine=cosine)

    def expected(step):
        if step < warmup:
            return o.rate * step / warmup
        return o.rate * (0.5 * (1 + math.cos(math.pi * (step - warmup) / (50 - warmup))) if cosine else 1.0)

    schedule = jax.jit(o.schedule())
    for step in (0, 1, 5, 9, 10, 11, 30, 49, 50):
        np.testing.assert_allclose(schedule(jnp.int32(step)), expected(step), rtol=1e-5, atol=1e-9)


def test_decay_moves_matrices_only():
    params = {
        "kernel": jnp.ones((3, 4)),
        "conv": jnp.ones((3, 3, 1, 2)),
        "bias": jnp.ones(4),
        "scale": jnp.ones(4),
    }
    assert matrices(params) == {"kernel": True, "conv": True, "bias": False, "scale": False}
    tx = Optim(steps=10, rate=0.1, cosine=False, decay=0.5).build()
    zero = jax.tree.map(jnp.zeros_like, params)
    updates, _ = tx.update(zero, tx.init(params), params)
    for name, update in updates.items():  # decoupled: -rate * decay * weight, whatever the gradient
        np.testing.assert_allclose(update, -0.05 if matrices(params)[name] else 0.0, rtol=1e-6)


def test_it_is_optax_adamw_and_what_rested_begins_afresh():
    rng = np.random.default_rng(0)
    params = {"a": jnp.asarray(rng.standard_normal((4, 3)), jnp.float32), "late": jnp.ones((2, 2))}
    draw = lambda late: {
        "a": jnp.asarray(rng.standard_normal((4, 3)), jnp.float32),
        "late": jnp.asarray(rng.standard_normal((2, 2)) * late, jnp.float32),
    }
    o = Optim(steps=60, rate=0.1, decay=0.01, warmup=3)
    theirs = optax.adamw(o.schedule(), *o.betas, o.epsilon, weight_decay=o.decay)
    ours = o.build()
    with jax.numpy_dtype_promotion("standard"):
        mine, other = ours.init(params), theirs.init(params)
        for _ in range(20):
            grads = draw(1)
            a, mine = ours.update(grads, mine, params)
            b, other = theirs.update(grads, other, params)
            jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), a, b)
        # 30 steps at rest: then as at the start of a run, where optax makes the first step 3 times too long
        constant = dataclasses.replace(o, rate=0.1, cosine=False, warmup=0, decay=0.0)
        ours, theirs = constant.build(), optax.adamw(0.1, *o.betas, o.epsilon, weight_decay=0.0)
        mine, other = ours.init(params), theirs.init(params)
        for _ in range(30):
            grads = draw(0)
            mine, other = ours.update(grads, mine, params)[1], theirs.update(grads, other, params)[1]
        grads, fresh = draw(1), ours.init(params)
        a, b, new = (f.update(grads, s, params)[0] for f, s in ((ours, mine), (theirs, other), (ours, fresh)))
    np.testing.assert_allclose(a["late"], new["late"], rtol=1e-6)
    np.testing.assert_allclose(a["late"], -0.1 * np.sign(grads["late"]), rtol=1e-4)
    np.testing.assert_allclose(a["a"], b["a"], rtol=1e-4)
    assert not np.allclose(b["late"], a["late"], rtol=0.1)


def test_first_step_is_adam():
    """|update| = rate wherever there is a gradient, after clipping as before."""
    params = {"a": jnp.ones((2, 3)), "b": jnp.zeros(3)}
    grads = {"a": jnp.full((2, 3), -40.0), "b": jnp.array([1.0, -1, 1])}
    for clip in (None, 1e-2):
        tx = Optim(rate=0.1, cosine=False, clip=clip).build()
        updates, state = tx.update(grads, tx.init(params), params)
        jax.tree.map(lambda u, g: np.testing.assert_allclose(u, -0.1 * np.sign(g), rtol=1e-3), updates, grads)
        norm = math.sqrt(6 * 40**2 + 3)
        scale = 1 if clip is None else clip / norm
        (mu,) = [s.mu for s in jax.tree.leaves(state, is_leaf=lambda s: hasattr(s, "mu")) if hasattr(s, "mu")]
        jax.tree.map(lambda m, g, s=scale: np.testing.assert_allclose(m, 0.1 * s * g, rtol=1e-5), mu, grads)


def test_lars_closed_form():
    """A matrix moves by its own norm, decayed before; a vector by its gradient; momentum over both."""
    w, b = np.array([[3.0, 0.0], [0.0, 4.0]], np.float32), np.array([1.0, 2.0], np.float32)
    params = {"w": jnp.asarray(w), "b": jnp.asarray(b)}
    o = Optim(rate=0.4, cosine=False, decay=0.5, betas=(0.9, 0.0), lars=True, vectors=0.25)
    tx = o.build()
    state, before = tx.init(params), {"w": 0.0, "b": 0.0}
    for grad in (np.array([[1.0, 2.0], [-2.0, 1.0]], np.float32), np.full((2, 2), -7.0, np.float32)):
        updates, state = tx.update({"w": jnp.asarray(grad), "b": jnp.asarray(grad[0])}, state, params)
        pull = grad + 0.5 * w
        before["w"] = 0.9 * before["w"] - 0.4 * 1e-3 * 5 * pull / np.linalg.norm(pull)
        before["b"] = 0.9 * before["b"] - 0.4 * 0.25 * grad[0]
        for name, expected in before.items():
            np.testing.assert_allclose(updates[name], expected, rtol=1e-5)


@dataclasses.dataclass(frozen=True)
class Mean:
    """A method whose loss is a mean over clips, without batch statistics: micro-batches must add up."""

    def build(self, encoder, *, rngs):
        return nnx.Dict(encoder=encoder, head=nnx.Linear(encoder.width, 3, rngs=rngs))

    def loss(self, net, views, batch, key):
        (x,) = views
        return jnp.mean((net.head(net.encoder.embed(x)) - 1) ** 2), {}

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder


def test_accumulation_equals_the_full_batch():
    def run(parts):
        chosen = experiment(method=Mean(), encoder=VIT, views=(View(),))
        chosen = dataclasses.replace(
            chosen, optim=dataclasses.replace(chosen.optim, accumulate=parts, warmup=0)
        )
        graph, state = started(chosen)
        wave = np.random.default_rng(0).integers(-9000, 9000, (16, 2400)).astype(np.int16)
        batch = jax.device_put({"wave": wave, "index": np.arange(16, dtype=np.int32)})
        state, logs = make_step(chosen, graph)(jax.device_put(state), batch)
        (mu,) = [
            s.mu for s in jax.tree.leaves(state.opt, is_leaf=lambda s: hasattr(s, "mu")) if hasattr(s, "mu")
        ]
        return logs, mu

    (whole, mu), (parts, mu4) = run(1), run(4)
    np.testing.assert_allclose(whole["loss"], parts["loss"], rtol=1e-5)
    np.testing.assert_allclose(whole["grad_norm"], parts["grad_norm"], rtol=1e-4)
    scale = max(float(jnp.abs(m).max()) for m in jax.tree.leaves(mu))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4 * scale), mu, mu4)
    assert scale > 0


def test_a_batch_that_cannot_be_cut():
    chosen = experiment()
    chosen = dataclasses.replace(chosen, optim=dataclasses.replace(chosen.optim, accumulate=3))
    with pytest.raises(ValueError, match="micro-batches"):
        make_step(chosen, None)


def test_what_is_drawn_afresh_begins_afresh():
    """BEATs' student rests, then is drawn anew: its averages have faded, its count hasn't."""
    old = {"a": jnp.ones((2, 2)), "redrawn": jnp.ones((2, 2))}
    tx = Optim(rate=0.1, cosine=False).build()
    move = lambda opt, size: tx.update(jax.tree.map(lambda p: jnp.full_like(p, size), old), opt, old)
    opt = tx.init(old)
    for size in [1.0] * 5 + [0.0] * 3000:
        opt = move(opt, size)[1]
    new = old | {"redrawn": 2 * old["redrawn"]}
    late, afresh = move(opt, 1.0)[0], move(renewed(opt, old, new), 1.0)[0]
    np.testing.assert_allclose(afresh["redrawn"], -0.1, rtol=1e-4)
    np.testing.assert_array_equal(afresh["a"], late["a"])
    assert (late["redrawn"] < -0.25).all()  # nearly three times too far
    assert jax.tree.structure(renewed(opt, old, new)) == jax.tree.structure(opt)


def test_more_parts_need_no_more_memory():
    def temporary(parts):
        chosen = experiment(encoder=dataclasses.replace(VIT, width=256, heads=4))
        optim = dataclasses.replace(chosen.optim, accumulate=parts)
        chosen = dataclasses.replace(chosen, optim=optim, data=dataclasses.replace(chosen.data, batch=32))
        return lower(chosen, 1)[0].compile().memory_analysis().temp_size_in_bytes

    assert temporary(16) < 1.1 * temporary(2)
