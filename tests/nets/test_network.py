"""Networks as pairs of functions, whoever made them."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from rlsuite import nets

KEY = jax.random.key(0)
INPUTS = jax.random.normal(KEY, (5, 3))


def test_linear_is_a_product_that_starts_at_zero():
    network = nets.linear(2)
    params = network.init(KEY, INPUTS)
    np.testing.assert_array_equal(params, np.zeros((3, 2)))
    weights = jnp.arange(6.0).reshape(3, 2)
    np.testing.assert_allclose(network.apply(weights, INPUTS), INPUTS @ weights, rtol=1e-6)


def test_mlp_is_its_formula():
    network = nets.mlp((4,), 2, activation=jnp.tanh)
    params = network.init(KEY, INPUTS)
    (first, second) = params["params"].values()
    expected = jnp.tanh(INPUTS @ first["kernel"] + first["bias"]) @ second["kernel"]
    np.testing.assert_allclose(network.apply(params, INPUTS), expected + second["bias"], rtol=1e-5)


def test_one_output_has_no_axis():
    network = nets.mlp((4,))
    assert network.apply(network.init(KEY, INPUTS), INPUTS).shape == (5,)


def test_the_thesis_network_has_its_216065_parameters():
    params = nets.mlp((512, 256, 128)).init(KEY, jnp.zeros((1, 100)))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 216_065


def test_linen_and_nnx_modules_serve_alike():
    ours = nets.from_linen(linen.Dense(2))
    theirs = nets.from_nnx(lambda rngs: nnx.Linear(3, 2, rngs=rngs))
    params = ours.init(KEY, INPUTS)
    state = theirs.init(KEY, INPUTS)
    kernel, bias = state["kernel"][...], state["bias"][...]
    params = {"params": {"kernel": kernel, "bias": bias}}
    np.testing.assert_allclose(ours.apply(params, INPUTS), theirs.apply(state, INPUTS), rtol=1e-6)
    gradient = jax.jit(jax.grad(lambda s: theirs.apply(s, INPUTS).sum()))(state)
    np.testing.assert_allclose(gradient["bias"][...], [5.0, 5.0], rtol=1e-6)


def test_a_bad_width_is_named():
    with pytest.raises(ValueError, match=r"hidden_sizes is \(4, 0\); allowed: widths"):
        nets.mlp((4, 0))


def test_uniform_fan_in_fills_its_range():
    """Kernels and biases uniform within 1/√inputs; the talk's network starts at 17.35."""
    network = nets.mlp((512, 256, 128), initializer="uniform_fan_in")
    params = network.init(KEY, jnp.zeros((1, 100)))["params"]
    squares = 0.0
    for layer, inputs in zip(params.values(), (100, 512, 256, 128), strict=True):
        bound = inputs**-0.5
        for leaf in layer.values():
            assert np.abs(leaf).max() <= bound
            squares += float((leaf**2).sum())
        assert np.abs(layer["kernel"]).max() > 0.95 * bound
        np.testing.assert_allclose(np.std(layer["kernel"]), bound / 3**0.5, rtol=0.06)
    np.testing.assert_allclose(squares**0.5, 17.35, rtol=5e-3)


def test_an_unknown_initializer_is_named():
    with pytest.raises(ValueError, match="initializer is 'zeros'; allowed"):
        inspect.unwrap(nets.mlp)((4,), initializer="zeros")
