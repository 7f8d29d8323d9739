"""The transformer over time: its size, what it is at first, what it sees, and what it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rlsuite.nets.diffusion_transformer import DiffusionTransformer, _Block

KEY = jax.random.key(0)
ORDER = np.asarray([3, 1, 4, 0, 2])
SMALL = DiffusionTransformer(width=16, layers=2, heads=2)


def inputs(length=6, size=3):
    return jax.random.normal(KEY, (length, size)), jnp.asarray(7), jnp.asarray([0.3])


def disturbed(params):
    """Parameters none of which is zero, for at first nothing is seen."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(KEY, len(leaves))
    noise = [0.3 * jax.random.normal(key, x.shape) for key, x in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, [x + z for x, z in zip(leaves, noise, strict=True)])


@functools.cache
def of_block():
    """Its input, its output at first and when disturbed, and that of the input in another order."""
    x, told, block = jax.random.normal(KEY, (5, 16)), jnp.ones(16), _Block(2)

    @jax.jit
    def outputs():
        first = block.init(KEY, x, told)
        later = disturbed(first)
        return [
            block.apply(params, y, told)
            for params, y in ((first, x), (later, x), (later, x[ORDER]))
        ]

    return x, *outputs()


@functools.cache
def small():
    return jax.jit(SMALL.init)(KEY, *inputs())


@jax.jit
def predict(params, trajectory, step, condition, present=True):
    return SMALL.apply(params, trajectory, step, condition, present)


@pytest.mark.parametrize(
    ("width", "layers", "size", "condition"), [(16, 2, 3, 1), (256, 6, 11, 4), (32, 1, 5, 2)]
)
def test_there_are_as_many_parameters_as_the_formula_says(width, layers, size, condition):
    module = DiffusionTransformer(width, layers, 4)
    shapes = jax.eval_shape(
        module.init, KEY, jnp.zeros((8, size)), jnp.asarray(1), jnp.zeros(condition)
    )
    found = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    of_blocks = layers * (18 * width**2 + 15 * width)
    assert found == of_blocks + 5 * width**2 + (2 * size + condition + 7) * width + size


def test_at_first_a_block_is_the_identity_and_nothing_is_predicted():
    x, first, _, _ = of_block()
    np.testing.assert_array_equal(first, x)
    np.testing.assert_array_equal(predict(small(), *inputs()), 0)


def test_a_block_knows_no_order_but_the_network_does():
    x, _, later, shuffled = of_block()
    assert np.all(later != x)
    np.testing.assert_allclose(shuffled, later[ORDER], rtol=1e-4, atol=1e-4)

    trajectory, step, condition = inputs()
    params = disturbed(small())
    found = predict(params, trajectory, step, condition)
    assert not np.allclose(predict(params, trajectory[::-1], step, condition)[::-1], found)


def test_an_absent_condition_is_not_seen():
    trajectory, step, condition = inputs()
    params = disturbed(small())
    absent = functools.partial(predict, params, trajectory, step, present=False)
    np.testing.assert_array_equal(absent(condition), absent(condition + 1))
    present = predict(params, trajectory, step, condition)
    assert not np.allclose(present, absent(condition))
    assert not np.allclose(present, predict(params, trajectory, step + 1, condition))
    # All of the condition's influence is its embedding, which is zero when absent.
    blind = {"params": {**params["params"]}}
    blind["params"]["condition"] = jax.tree.map(jnp.zeros_like, params["params"]["condition"])
    np.testing.assert_array_equal(predict(blind, trajectory, step, condition), absent(condition))


def test_it_learns_what_needs_attention_and_the_condition_and_goes_on_in_longer_trajectories():
    """The mean over time, times the condition."""
    module = DiffusionTransformer(width=16, layers=1, heads=2)
    optimizer = optax.adam(5e-3)

    def draw(key, length, batch=32):
        of_mean, of_rest, of_condition = jax.random.split(key, 3)
        x = jax.random.normal(of_mean, (batch, 1, 1))
        x = x + jax.random.normal(of_rest, (batch, length, 1))
        condition = jax.random.uniform(of_condition, (batch, 1), minval=-1.0)
        return x, condition, condition[:, None] * jnp.mean(x, axis=1, keepdims=True)

    def loss(params, x, condition, expected):
        step = jnp.zeros(())
        found = jax.vmap(module.apply, (None, 0, None, 0))(params, x, step, condition)
        return jnp.mean(jnp.square(found - expected))

    def update(carry, key):
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, *draw(key, 6))
        updates, state = optimizer.update(gradient, state)
        told = value, optax.tree.norm(gradient)
        return (optax.apply_updates(params, updates), state), told

    @jax.jit
    def train():
        params = module.init(KEY, jnp.zeros((6, 1)), jnp.zeros(()), jnp.zeros(1))
        keys = jax.random.split(KEY, 600)
        (params, _), told = jax.lax.scan(update, (params, optimizer.init(params)), keys)
        fresh = jax.random.key(1)
        return told, [loss(params, *draw(fresh, length, 256)) for length in (6, 9)]

    (losses, norms), (same, longer) = train()
    assert np.all(np.isfinite(norms))
    assert np.all(norms > 0)
    assert same < 0.1 * losses[0]
    assert longer < 0.2 * losses[0]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="width is 10; allowed: a multiple of heads, 4"):
        DiffusionTransformer(width=10).init(KEY, *inputs())
