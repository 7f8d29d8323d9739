"""The residual perceptron: what it sees, what it says at first, and that it copies."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compiled import compiled

from rlsuite.nets.temporal_mlp import TemporalMLP
from rlsuite.nets.temporal_residual import TemporalResidual

SMALL = TemporalResidual(units=16, layers=2)
KEY = jax.random.key(0)
apply = compiled(SMALL.apply)


@pytest.fixture(scope="module")
@compiled
def params():
    """Drawn anew: at first the last layers are 0."""
    start = SMALL.init(KEY, jnp.zeros((4, 3)), jnp.asarray(1), jnp.zeros(2), jnp.asarray(True))
    leaves, structure = jax.tree.flatten(start)
    keys = jax.random.split(KEY, len(leaves))
    drawn = [0.3 * jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, drawn)


def test_it_says_nothing_at_first():
    x, step = jax.random.normal(KEY, (4, 3)), jnp.asarray(1)
    start = jax.jit(SMALL.init)(KEY, x, step, np.zeros(2))
    assert not np.any(apply(start, x, step, np.ones(2)))


def test_every_output_sees_every_input_the_step_and_the_condition(params):
    def said(flat):
        return SMALL.apply(params, flat[:12].reshape(4, 3), flat[12], flat[13:]).reshape(-1)

    slopes = compiled(jax.jacobian(said))(np.linspace(-1.0, 1.0, 15))
    assert slopes.shape == (12, 15)
    assert np.all(np.abs(slopes) > 1e-6)


def test_an_absent_condition_is_not_seen(params):
    x, step = np.ones((4, 3)), np.asarray(2)
    said = [
        apply(params, x, step, np.full(2, value), present)
        for present in (False, True)
        for value in (0.0, 5.0)
    ]
    np.testing.assert_array_equal(said[0], said[1])
    assert np.abs(said[2] - said[3]).max() > 1e-3


def test_the_mixing_treats_all_numbers_alike(params):
    """Without the perceptron, y = W x: each column by the same matrix, another one at each step."""
    without = jax.tree.map(lambda leaf: leaf, params)
    without["params"]["rest"] = jax.tree.map(np.zeros_like, params["params"]["rest"])
    x = np.asarray(jax.random.normal(KEY, (4, 3)))

    def said(x, step):
        return apply(without, x, np.asarray(step), np.zeros(2))

    columns = [said(np.stack([column] * 3, 1), 3)[:, 0] for column in np.eye(4)]
    matrix = np.stack(columns, axis=1)
    np.testing.assert_allclose(said(x, 3), matrix @ x, atol=1e-5)
    assert np.abs(said(x, 3) - said(x, 50)).max() > 1e-3


def test_a_first_state_is_copied_long_before_a_plain_perceptron_does():
    """All eight states are the first one, and only that one is told."""

    @functools.partial(compiled, static_argnums=0)
    def error(net):
        params = net.init(KEY, jnp.zeros((8, 5)), jnp.asarray(1))
        optimizer = optax.adam(1e-3)

        def loss(params, key, count):
            of_first, of_noise = jax.random.split(key)
            first = jax.random.normal(of_first, (count, 1, 5))
            noised = jnp.concatenate([first, jax.random.normal(of_noise, (count, 7, 5))], axis=1)
            said = jax.vmap(lambda x: net.apply(params, x, jnp.asarray(9)))(noised)
            return jnp.mean((said[:, 1:] - first) ** 2)

        def step(carry, key):
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params, key, 32), state)
            return (optax.apply_updates(params, updates), state), None

        start = (params, optimizer.init(params))
        trained, _ = jax.lax.scan(step, start, jax.random.split(KEY, 400))
        return loss(trained[0], jax.random.key(1), 500)

    copied, learned = error(TemporalResidual(64, 2)), error(TemporalMLP(64, 2))
    assert copied < 0.02
    assert copied < learned / 10


@pytest.mark.parametrize("places", [(0, 1, 2), ()])
def test_a_thing_may_be_where_another_one_is(places):
    """Three things on a line; a label says where the last is taken: where one of the others is."""
    net = TemporalResidual(units=32, layers=1, places=places, place_size=1)
    key = jax.random.key(3)
    x = jax.random.normal(key, (256, 3, 3))
    told = jnp.asarray(np.eye(2, dtype=np.float32)[np.arange(256) % 2])
    optimizer = optax.adam(1e-2)

    def taken(x):
        there = jnp.where(told[:, :1] > 0, x[:, 0, :1], x[:, 0, 1:2])
        return x.at[:, 1:, 2].set(there).at[:, :, :2].set(x[:, :1, :2])

    def loss(params, x):
        said = jax.vmap(lambda one, y: net.apply(params, one, jnp.asarray(1), y))(x, told)
        return jnp.mean(jnp.square(said - taken(x))[:, 1:, 2])

    @jax.jit
    def train():
        def step(carry, _):
            params, state = carry
            change, state = optimizer.update(jax.grad(loss)(params, x), state)
            return (optax.apply_updates(params, change), state), None

        params = net.init(key, x[0], jnp.asarray(1), told[0])
        return jax.lax.scan(step, (params, optimizer.init(params)), length=600)[0][0]

    others = compiled(loss)(train(), jax.random.normal(jax.random.key(4), x.shape))
    assert (others < 0.01) == bool(places), others
