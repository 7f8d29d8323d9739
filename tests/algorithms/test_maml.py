"""Meta-learning: tasks, what each method learns, adaptation, and tasks spread over devices."""

import dataclasses
import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compiled import compiled

from rlsuite.algorithms import maml
from rlsuite.core import run
from rlsuite.nets import linear
from rlsuite.problems.maml import ENTRY, linear_regressions

KEY = jax.random.key(0)
REGRESSIONS = linear_regressions()
WAVES = maml.Sinusoids(shots=10)


def draw(tasks, count):
    return compiled(jax.vmap(tasks.sample))(jax.random.split(KEY, count))


def test_waves_have_the_ranges_and_moments_of_the_paper():
    keys = jax.random.split(KEY, 20_000)
    amplitudes, phases = compiled(jax.vmap(WAVES.wave))(keys)
    x = draw(WAVES, 2000).support.inputs
    for values, low, high in ((amplitudes, 0.1, 5.0), (phases, 0.0, np.pi), (x, -5.0, 5.0)):
        assert low <= values.min() < low + 0.001 * (high - low)
        assert high - 0.001 * (high - low) < values.max() <= high
        np.testing.assert_allclose(values.mean(), (low + high) / 2, atol=0.02 * (high - low))
        np.testing.assert_allclose(values.std(), (high - low) / 12**0.5, rtol=0.02)


def test_support_and_query_are_different_points_of_one_wave():
    tasks = draw(dataclasses.replace(WAVES, informed=True), 50)
    for points in tasks:
        x, amplitude, phase = np.moveaxis(points.inputs, -1, 0)
        np.testing.assert_allclose(points.targets, amplitude * np.sin(x - phase), atol=1e-5)
    np.testing.assert_array_equal(tasks.support.inputs[..., 1:], tasks.query.inputs[..., 1:])
    assert not np.any(tasks.support.inputs[..., 0] == tasks.query.inputs[..., 0])


def test_the_baselines_of_waves_are_what_fixed_functions_reach():
    baselines = ENTRY.problems["sinusoid-10"].baselines(WAVES)
    points = draw(WAVES, 50_000).query
    x, targets = points.inputs[..., 0], points.targets
    best = -2.55 * 2 / np.pi * np.cos(x)
    np.testing.assert_allclose(baselines["random"], np.mean(targets**2), rtol=0.02)
    np.testing.assert_allclose(
        baselines["no adaptation"], np.mean((targets - best) ** 2), rtol=0.02
    )


def test_adaptation_has_its_closed_form():
    config = maml.Config(inner_rate=0.2, evaluation_steps=3)
    state = maml.State(jnp.asarray([1.0, 0.0, -2.0, 5.0]), None, ())
    curve = functools.partial(maml.adaptation_curve, REGRESSIONS, config, state, network=linear())
    losses = compiled(jax.vmap(curve))(jax.random.split(KEY, 40_000)).mean(axis=0)
    for step, loss in enumerate(losses):
        expected = REGRESSIONS.expected_loss(state.params, rate=0.2, num_steps=step)
        np.testing.assert_allclose(loss, expected, rtol=0.02)


METHODS = {
    "maml": {},
    "first-order": {"method": "first-order"},
    "reptile": {"method": "reptile"},
    "implicit": {"method": "implicit", "inner_steps": 20, "proximity": 0.5},
    "joint": {"method": "first-order", "inner_steps": 0},
}


def learn(**changes):
    config = maml.Config(
        **{"inner_rate": 0.1, "outer_rate": 0.1, "inner_steps": 2, "num_tasks": 50, **changes}
    )

    def make(problem, config):
        return maml.make(problem, config, network=linear())._replace(evaluate=None)

    return run(make, REGRESSIONS, config, KEY, 250, progress=False).state


@pytest.mark.parametrize("name", METHODS)
def test_every_method_finds_the_best_initialisation(name):
    # Adam wanders by its rate around the mean of fifty tasks.
    assert np.abs(learn(**METHODS[name]).params - REGRESSIONS.mean).max() < 0.3


def test_learned_rates_become_the_inverse_curvature():
    state = learn(learned_rates=True)
    best, rates = 1 / (2 * np.asarray(REGRESSIONS.curvature)), np.asarray(state.rates)
    np.testing.assert_allclose(rates[:2], best[:2], rtol=0.1)
    assert np.all(rates[2:] > 0.5)


@functools.cache
def trained(name):
    configs = {
        "maml": maml.Config(),
        "head": maml.Config(adapts="head"),
    }
    config = dataclasses.replace(configs[name], evaluation_tasks=200, evaluation_steps=2)
    return config, run(maml.make, WAVES, config, KEY, 1500, progress=False)


def test_waves_are_learned_in_one_step():
    _, learned = trained("maml")
    before, after = (x[0] for x in (learned.evaluations.before, learned.evaluations.after_one))
    assert 2.5 < before < 4.5
    assert after < 1.5
    assert learned.evaluations.losses.shape == (3, 1)
    np.testing.assert_array_equal(learned.evaluations.after, learned.evaluations.losses[-1])
    assert learned.metrics.loss[-100:].mean() < learned.metrics.before[-100:].mean() / 2


def test_only_the_head_adapts_where_it_is_asked_to():
    config, result = trained("head")

    @compiled
    def adapted(state):
        end = maml.adapt(WAVES, config, state, WAVES.sample(KEY).support, KEY)
        return state.params["params"], end.params["params"]

    before, after = adapted(result.state)
    for name, layer in after.items():
        moved = np.any(layer["kernel"] != before[name]["kernel"])
        assert moved == (name == "layers_4")
    assert result.evaluations.after_one[0] < 0.8 * result.evaluations.before[0]


@functools.partial(compiled, static_argnames=("config", "mask", "inner_optimizer", "num_steps"))
def adapted(config, **options):
    """(where it begins, from which points, where it leads) for one regression."""
    state = maml.make(REGRESSIONS, config, network=linear()).init(KEY)
    support = REGRESSIONS.sample(KEY).support
    end = maml.adapt(REGRESSIONS, config, state, support, KEY, network=linear(), **options)
    return state.params, support, end.params


def test_a_mask_of_ones_own_takes_the_place_of_the_config():
    def mask(params):
        return jnp.ndim(params) == 0  # nothing

    start, _, end = adapted(maml.Config(inner_rate=0.1), mask=mask)
    np.testing.assert_array_equal(end, start)


def test_an_inner_optimiser_of_ones_own_is_used():
    config = maml.Config(inner_rate=0.5, evaluation_steps=1)
    _, _, end = adapted(config, inner_optimizer=optax.sign_sgd)
    np.testing.assert_allclose(np.abs(end), 0.5)


def test_implicit_adaptation_stays_near_where_it_started():
    config = maml.Config(method="implicit", inner_rate=0.1, proximity=3.0)
    _, support, end = adapted(config, num_steps=200)
    weights = np.linalg.solve(support.inputs, support.targets)
    curvature = 2 * np.asarray(REGRESSIONS.curvature)
    np.testing.assert_allclose(end, curvature * weights / (curvature + 3.0), rtol=1e-4)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: maml.Config(learned_rates=True, method="reptile"),
            "'learned_rates' is True with the method 'reptile'; allowed: 'maml'",
        ),
        (lambda: maml.Config(inner_rate=0.0), "'inner_rate' is 0.0; allowed: a number above 0"),
        (lambda: maml.Config(evaluation_steps=0), "'evaluation_steps' is 0"),
        (
            lambda: run(
                functools.partial(maml.make, network=linear()),
                REGRESSIONS,
                maml.Config(adapts="head"),
                KEY,
                1,
                progress=False,
            ),
            "adapts is 'head', but the parameters have no numbered layers",
        ),
    ],
)
def test_what_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


DEVICES = """
import sys
import jax
import numpy as np
from jax.sharding import AxisType, Mesh
from rlsuite.algorithms import maml
from rlsuite.nets import linear
from rlsuite.problems.maml import linear_regressions

devices = jax.devices()
assert len(devices) == 8
mesh = Mesh(np.asarray(devices), ("tasks",), axis_types=(AxisType.Auto,))
config = maml.Config(num_tasks=16, evaluation_tasks=16, evaluation_steps=1)
for spread in (mesh, None):
    algorithm = maml.make(linear_regressions(), config, network=linear(), mesh=spread)
    state, step = jax.jit(algorithm.init)(jax.random.key(0)), jax.jit(algorithm.step)
    for i in range(3):
        state, metrics = step(jax.random.key(i), state)
    found = jax.tree.leaves((state, metrics, jax.jit(algorithm.evaluate)(jax.random.key(9), state)))
    if spread is not None:
        assert all(len(x.sharding.device_set) == 8 for x in found)
        first = found
for x, y in zip(first, found, strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
try:
    maml.make(linear_regressions(), maml.Config(num_tasks=12), network=linear(), mesh=mesh).step(
        jax.random.key(0), state
    )
except ValueError as error:
    assert "tasks are 12" in str(error)
else:
    raise AssertionError("12 tasks over 8 devices were accepted")
"""


def test_tasks_spread_over_eight_devices_give_the_same():
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "8"}
    done = subprocess.run(
        [sys.executable, "-c", DEVICES],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
