"""The U-Net over time: its size, what it sees, and what it does not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from rlsuite.nets.temporal_unet import InverseDynamics, TemporalUNet, _Doubling, mish, sinusoids

KEY = jax.random.key(0)
SMALL = TemporalUNet(channels=8, multiples=(1, 2, 2))


def count(module, *inputs):
    return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(module.init, KEY, *inputs)))


def inputs(size=3, length=8):
    return jax.random.normal(KEY, (length, size)), jnp.asarray(7), jnp.asarray([0.3])


@functools.cache
def small():
    return jax.jit(SMALL.init)(KEY, *inputs())


@jax.jit
def predict(params, trajectory, step, condition, present=True):
    return SMALL.apply(params, trajectory, step, condition, present)


@pytest.mark.parametrize(
    ("channels", "multiples", "number"),
    [(128, (1, 4, 8), 59_732_491), (32, (1, 2, 4), 1_035_787)],
)
def test_there_are_as_many_parameters_as_in_the_authors_code(channels, multiples, number):
    assert count(TemporalUNet(channels, multiples), *inputs(11, 100)) == number


def test_the_inverse_dynamics_too():
    observations = jnp.zeros((2, 11))
    assert count(InverseDynamics(3), *observations) == 72_451


def test_sinusoids_are_those_of_their_formula():
    found = sinusoids(jnp.asarray(5), 6)
    angles = 5 * np.asarray([1.0, 1e-2, 1e-4])
    np.testing.assert_allclose(found, np.concatenate([np.sin(angles), np.cos(angles)]), rtol=1e-6)


@functools.cache
def changed():
    """The prediction, and with each number of the trajectory, the step or the condition changed."""
    trajectory, step, condition = inputs()
    flat = np.concatenate([np.ravel(trajectory), [step], condition]).astype(np.float32)
    rows = jnp.asarray(np.concatenate([flat[None], flat + np.eye(flat.size, dtype=np.float32)]))
    return jax.jit(jax.vmap(of_row, in_axes=(None, 0)))(small(), rows)


def of_row(params, row):
    return SMALL.apply(params, row[:-2].reshape(8, 3), row[-2], row[-1:])


def test_the_first_and_the_last_output_see_every_input_the_step_and_the_condition():
    found = np.asarray(changed())
    assert found.shape == (1 + 8 * 3 + 2, 8, 3)
    for place in ((0, 0), (-1, -1)):
        assert np.all(found[1:, *place] != found[0, *place])


def test_an_absent_condition_is_not_seen():
    trajectory, step, condition = inputs()
    absent = functools.partial(predict, small(), trajectory, step, present=False)
    np.testing.assert_array_equal(absent(condition), absent(condition + 1))
    present = predict(small(), trajectory, step, condition)
    assert not np.allclose(present, absent(condition))
    # All of the condition's influence is its embedding, which is zero when absent.
    blind = jax.tree.map(lambda x: x, small())
    blind["params"]["condition"] = jax.tree.map(jnp.zeros_like, blind["params"]["condition"])
    np.testing.assert_array_equal(predict(blind, trajectory, step, condition), absent(condition))


def test_a_batch_is_each_of_it():
    """Normalisation is over time and channels, never over a batch."""
    alone = predict(small(), *inputs())
    np.testing.assert_allclose(changed()[0], alone, rtol=1e-4, atol=1e-5)


def test_mish_and_its_slope_are_those_of_its_formula():
    x = jnp.asarray([-100.0, -20.0, -3.0, -1e-3, 0.0, 0.5, 4.0, 19.99, 20.01, 100.0])
    for ours, theirs in ((mish, jax.nn.mish), (jax.grad(mish), jax.grad(jax.nn.mish))):
        found, expected = (jax.jit(jax.vmap(function))(x) for function in (ours, theirs))
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-9)


def test_doubling_is_a_transposed_convolution():
    x = jax.random.normal(KEY, (5, 3))
    ours = _Doubling()
    theirs = nn.ConvTranspose(3, (4,), strides=(2,), padding="SAME")
    params = jax.jit(ours.init)(KEY, x)
    params["params"]["bias"] = jnp.asarray([1.0, 2.0, 3.0])

    def value_and_slopes(module):
        weights = np.cos(np.arange(30.0, dtype=np.float32)).reshape(10, 3)
        value = jax.value_and_grad(lambda p, x: jnp.sum(weights * module.apply(p, x)), (0, 1))
        return jax.jit(value)(params, x)

    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
        value_and_slopes(ours),
        value_and_slopes(theirs),
    )


def test_a_convolution_is_torchs():
    """Halving and doubling keep every time step in its place: against sums written out."""
    x = np.random.default_rng(0).normal(size=(8, 1)).astype(np.float32)
    down = nn.Conv(1, (3,), strides=2, padding=1, use_bias=False)
    kernel = jnp.asarray([1.0, 10.0, 100.0])[:, None, None]
    padded = np.pad(x[:, 0], 1)
    expected = [padded[i] + 10 * padded[i + 1] + 100 * padded[i + 2] for i in range(0, 8, 2)]
    np.testing.assert_allclose(
        down.apply({"params": {"kernel": kernel}}, x)[:, 0], expected, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("module", "length", "message"),
    [
        (SMALL, 10, "trajectory has 10 time steps; allowed: a multiple of 4"),
        (TemporalUNet(12, (1, 2)), 8, "channels is 12; allowed: a multiple of 8"),
    ],
)
def test_what_does_not_fit_is_refused(module, length, message):
    with pytest.raises(ValueError, match=message):
        module.init(KEY, *inputs(length=length))
