"""Recurrent cells against their equations, and episodes within sequences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.nets.recurrent import gru, lstm, reset, unroll

CELLS = {"gru": gru, "lstm": lstm}
cells = pytest.mark.parametrize("cell", [make(5) for make in CELLS.values()], ids=CELLS)


def sequence(cell, length=7, batch=(3,)):
    of_params, of_inputs = jax.random.split(jax.random.key(0))
    inputs = jax.random.normal(of_inputs, (length, *batch, 2))
    return jax.jit(cell.init)(of_params, inputs[0]), inputs


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_gru_is_its_equation():
    cell = gru(5)
    params, inputs = sequence(cell, length=1)
    p = jax.tree.map(np.asarray, params["params"])
    x, c = np.asarray(inputs[0]), np.random.default_rng(0).normal(size=(3, 5))
    r = sigmoid(x @ p["ir"]["kernel"] + p["ir"]["bias"] + c @ p["hr"]["kernel"])
    z = sigmoid(x @ p["iz"]["kernel"] + p["iz"]["bias"] + c @ p["hz"]["kernel"])
    inner = c @ p["hn"]["kernel"] + p["hn"]["bias"]
    n = np.tanh(x @ p["in"]["kernel"] + p["in"]["bias"] + r * inner)
    carry, outputs = cell.apply(params, jnp.asarray(c, jnp.float32), inputs[0])
    np.testing.assert_allclose(outputs, (1 - z) * n + z * c, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(carry, outputs)


def test_lstm_is_its_equation():
    cell = lstm(5)
    params, inputs = sequence(cell, length=1)
    p = jax.tree.map(np.asarray, params["params"])
    x = np.asarray(inputs[0])
    c, y = np.random.default_rng(0).normal(size=(2, 3, 5))
    i, f, g, o = (
        x @ p[f"i{gate}"]["kernel"] + y @ p[f"h{gate}"]["kernel"] + p[f"h{gate}"]["bias"]
        for gate in "ifgo"
    )
    memory = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    carry = tuple(jnp.asarray(part, jnp.float32) for part in (c, y))
    (got, _), outputs = cell.apply(params, carry, inputs[0])
    np.testing.assert_allclose(got, memory, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs, sigmoid(o) * np.tanh(memory), rtol=1e-5, atol=1e-6)


@cells
def test_an_unrolled_sequence_is_its_episodes_one_by_one(cell):
    """Sequence 0 goes on with what was remembered; 1 begins anew at 0 and 4; 2 at 3."""
    params, inputs = sequence(cell)
    is_first = jnp.zeros((7, 3), bool).at[[0, 4, 3], [1, 1, 2]].set(True)
    memory = jax.tree.map(lambda leaf: leaf + 0.5, cell.initial((3,)))
    last, outputs = jax.tree.map(
        np.asarray, jax.jit(functools.partial(unroll, cell))(params, memory, inputs, is_first)
    )
    inputs, memory, step = np.asarray(inputs), jax.tree.map(np.asarray, memory), jax.jit(cell.apply)

    def alone(index, start, stop, carry):
        found = []
        for t in range(start, stop):
            carry, output = step(params, carry, inputs[t, index])
            found.append(output)
        return carry, np.stack(found)

    def remembered(index):
        return jax.tree.map(lambda leaf: leaf[index], memory)

    fresh = cell.initial(())
    pieces = {0: [(0, 7, remembered(0))], 1: [(0, 4, fresh), (4, 7, fresh)]}
    pieces[2] = [(0, 3, remembered(2)), (3, 7, fresh)]
    for index, episodes in pieces.items():
        found = [alone(index, *episode) for episode in episodes]
        expected = np.concatenate([outputs for _, outputs in found])
        np.testing.assert_allclose(outputs[:, index], expected, rtol=1e-5, atol=1e-6)
        jax.tree.map(
            lambda got, want, i=index: np.testing.assert_allclose(
                got[i], want, rtol=1e-5, atol=1e-6
            ),
            last,
            found[-1][0],
        )


@cells
def test_no_gradient_crosses_a_beginning(cell):
    params, inputs = sequence(cell, batch=())
    is_first = jnp.arange(7) == 4

    def late(inputs):
        return jnp.sum(unroll(cell, params, cell.initial(()), inputs, is_first)[1][4:])

    slopes = np.abs(jax.jit(jax.grad(late))(inputs)).sum(axis=1)
    assert np.all(slopes[:4] == 0)
    assert np.all(slopes[4:] > 0)


@cells
def test_reset_forgets_only_where_told(cell):
    carry = jax.tree.map(lambda leaf: leaf + 2.0, cell.initial((2,)))
    for leaf in jax.tree.leaves(reset(cell, carry, jnp.array([True, False]))):
        np.testing.assert_array_equal(leaf, [[0.0] * 5, [2.0] * 5])


@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS)
def test_no_units_are_refused(make):
    with pytest.raises(ValueError, match="size is 0; allowed: a whole number at least 1"):
        make(0)
