"""Memories against their equations, and episodes within sequences."""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled

from rlsuite.nets.causal_transformer import causal_transformer
from rlsuite.nets.linear_recurrence import linear_recurrence
from rlsuite.nets.recurrent import gru, lstm, reset, rnn, unroll

MAKERS = {
    "gru": gru,
    "lstm": lstm,
    "rnn": rnn,
    "linear": linear_recurrence,
    "transformer": functools.partial(causal_transformer, heads=1, context=16),
    # Attention that does not reach as far back as the sequence is long.
    "short transformer": functools.partial(causal_transformer, heads=1, context=3),
}
CELLS = {name: make(6 if "transformer" in name else 5) for name, make in MAKERS.items()}
unrolled, remade = (compiled(function, static_argnums=0) for function in (unroll, reset))
cells = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)


@functools.cache
def started(cell):
    """Parameters, of which only the inputs' last axis matters, and a key for inputs."""
    of_params, of_inputs = jax.random.split(jax.random.key(0))
    return jax.device_get(jax.jit(cell.init)(of_params, np.zeros((3, 2), np.float32))), of_inputs


def sequence(cell, length=7, batch=(3,)):
    params, of_inputs = started(cell)
    return params, np.asarray(jax.random.normal(of_inputs, (length, *batch, 2)))


def walked(cell, params):
    """What three sequences have left in memory after four steps."""
    before = jax.random.normal(jax.random.key(1), (4, 3, 2))
    return unrolled(cell, params, cell.initial((3,)), before, np.zeros((4, 3), bool))[0]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_gru_is_its_equation():
    cell = CELLS["gru"]
    params, inputs = sequence(cell, length=1)
    p, x = params["params"], inputs[0]
    c = np.random.default_rng(0).normal(size=(3, 5))
    r = sigmoid(x @ p["ir"]["kernel"] + p["ir"]["bias"] + c @ p["hr"]["kernel"])
    z = sigmoid(x @ p["iz"]["kernel"] + p["iz"]["bias"] + c @ p["hz"]["kernel"])
    inner = c @ p["hn"]["kernel"] + p["hn"]["bias"]
    n = np.tanh(x @ p["in"]["kernel"] + p["in"]["bias"] + r * inner)
    carry, outputs = compiled(cell.apply)(params, c.astype(np.float32), x)
    np.testing.assert_allclose(outputs, (1 - z) * n + z * c, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(carry, outputs)


def test_lstm_is_its_equation():
    cell = CELLS["lstm"]
    params, inputs = sequence(cell, length=1)
    p, x = params["params"], inputs[0]
    c, y = np.random.default_rng(0).normal(size=(2, 3, 5))
    i, f, g, o = (
        x @ p[f"i{gate}"]["kernel"] + y @ p[f"h{gate}"]["kernel"] + p[f"h{gate}"]["bias"]
        for gate in "ifgo"
    )
    memory = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    carry = tuple(part.astype(np.float32) for part in (c, y))
    (got, _), outputs = compiled(cell.apply)(params, carry, x)
    np.testing.assert_allclose(got, memory, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs, sigmoid(o) * np.tanh(memory), rtol=1e-5, atol=1e-6)


def test_rnn_is_its_equation():
    cell = CELLS["rnn"]
    params, inputs = sequence(cell, length=1)
    p, x = params["params"], inputs[0]
    y = np.random.default_rng(0).normal(size=(3, 5))
    carry, outputs = compiled(cell.apply)(params, y.astype(np.float32), x)
    expected = np.tanh(x @ p["i"]["kernel"] + p["i"]["bias"] + y @ p["h"]["kernel"])
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(carry, outputs)


def test_a_linear_recurrence_is_its_equation():
    cell = linear_recurrence(5, layers=1)
    params, inputs = sequence(cell, batch=())
    block = jax.tree.map(lambda x: np.asarray(x, float), params["blocks"][0])
    rate = np.exp(-np.exp(block["log_decay"]) + 1j * np.exp(block["log_phase"]))
    into = block["to_real"] + 1j * block["to_imaginary"]
    out = block["from_real"] + 1j * block["from_imaginary"]
    hidden = np.zeros(5, complex)
    _, found = unrolled(cell, params, cell.initial(()), inputs, np.zeros(7, bool))
    gelu = compiled(jax.nn.gelu)
    for t in range(7):
        u = inputs[t] @ params["input"]["kernel"] + params["input"]["bias"]
        hidden = rate * hidden + np.sqrt(1 - np.abs(rate) ** 2) * (u @ into)
        g = gelu((hidden @ out).real + block["direct"] * u)
        expected = u + (g @ block["value"]) * sigmoid(g @ block["gate"])
        np.testing.assert_allclose(found[t], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 6])
def test_a_linear_recurrence_is_the_same_in_parallel(steps):
    """Accelerators go through time by an associative scan, CPUs step by step."""
    module = sys.modules[linear_recurrence.__module__]
    parts = np.random.default_rng(0).normal(size=(2, 2, steps, 3, 4))
    rates, driven = parts[0] + 1j * parts[1]
    rates[3:4, 1] = 0.0
    found = [compiled(way)(rates, driven) for way in (module._sequential, module._parallel)]
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_a_transformer_knows_distances_alone():
    """The same inputs later in an episode, as far as attention reaches, give the same outputs."""
    cell = causal_transformer(8, layers=1, heads=2, context=3)
    params, inputs = sequence(cell, length=4, batch=())
    again = np.concatenate([inputs, inputs])
    _, outputs = unrolled(cell, params, cell.initial(()), again, np.arange(8) == 0)
    np.testing.assert_allclose(outputs[6:], outputs[2:4], rtol=1e-4, atol=1e-5)
    assert np.abs(outputs[4] - outputs[0]).max() > 1e-3


@cells
def test_an_unrolled_sequence_is_its_episodes_one_by_one(cell):
    """Sequence 0 goes on with what was remembered; 1 begins anew at 0 and 4; 2 at 3."""
    params, inputs = sequence(cell)
    is_first = np.zeros((7, 3), bool)
    is_first[[0, 4, 3], [1, 1, 2]] = True
    memory, step = walked(cell, params), compiled(cell.apply)
    last, outputs = unrolled(cell, params, memory, inputs, is_first)

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

    def late(inputs, params):
        is_first = jnp.arange(7) == 4
        return jnp.sum(unroll(cell, params, cell.initial(()), inputs, is_first)[1][4:])

    slopes = np.abs(compiled(jax.grad(late))(inputs, params)).sum(axis=1)
    assert np.all(slopes[:4] == 0)
    assert np.all(slopes[4:] > 0)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_a_walk_has_the_gradients_of_its_steps(name, batch):
    """Also the gradient's own; and a memory that is no number is forgotten where it ends."""
    cell = CELLS[name]
    steps = cell._replace(walk=None)
    params, inputs = sequence(cell, 5, batch)
    is_first = jnp.zeros((5, *batch), bool).at[3].set(True)
    start = jax.tree.map(lambda leaf: leaf + 0.3, cell.initial(batch))
    last, _ = unrolled(cell, params, start, inputs, is_first)
    weights = jax.tree.map(lambda leaf: np.linspace(-1.0, 2.0, leaf.size).reshape(leaf.shape), last)

    def total(cell, params, start, inputs):
        last, outputs = unroll(cell, params, start, inputs, is_first)
        ends = jax.tree.map(lambda w, leaf: jnp.sum(w * leaf), weights, last)
        return jnp.sum(jnp.cos(outputs)) + sum(jax.tree.leaves(ends))

    def bent(cell, params, start, inputs):
        slope = jax.grad(total, argnums=1)(cell, params, start, inputs)
        return sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(slope))

    for function in (total, bent):
        slopes = compiled(jax.grad(function, argnums=(1, 2, 3)), static_argnums=0)
        found, expected = (slopes(one, params, start, inputs) for one in (cell, steps))
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5), found, expected
        )

    lost = jax.tree.map(lambda leaf: leaf * np.nan, start)
    outputs = unrolled(cell, params, lost, inputs, is_first)[1]
    assert np.isnan(outputs[:3]).all()
    assert np.isfinite(outputs[3:]).all()


@cells
def test_reset_forgets_only_where_told(cell):
    params, _ = sequence(cell)
    carry, fresh = walked(cell, params), cell.initial(())
    found = remade(cell, carry, np.array([True, False, True]))
    for leaf, old, new in zip(*map(jax.tree.leaves, (found, carry, fresh)), strict=True):
        np.testing.assert_array_equal(leaf[0], new)
        np.testing.assert_array_equal(leaf[1], old[1])


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_no_units_are_refused(make):
    with pytest.raises(ValueError, match="size is 0; allowed: a whole number at least 1"):
        make(0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: causal_transformer(6, heads=2), r"size is 6; allowed: a multiple of 2 \* heads"),
        (lambda: causal_transformer(8, context=0), "context is 0; allowed"),
        (lambda: linear_recurrence(4, layers=0), "layers is 0; allowed"),
        (lambda: linear_recurrence(4, slowest=1.0), "slowest 1.0; allowed: 0 <= fastest"),
    ],
)
def test_what_is_no_memory_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
