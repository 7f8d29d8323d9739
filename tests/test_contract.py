"""The contract, over every registered algorithm: what ``run`` promises holds for each of them."""

import functools
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite import programs, registry
from rlsuite.configuration import from_json, grid, to_json
from rlsuite.core import Algorithm, restore, run

KEY = jax.random.key(3)
ENTRIES = registry.algorithms()
STEPS = 12

pytestmark = pytest.mark.parametrize("name", ENTRIES)


@functools.cache
def probe(name):
    """(make, problem, config) of an algorithm's probe."""
    entry = ENTRIES[name]
    problem = entry.problems[entry.probe]
    return entry.make_for(problem), problem.build(), problem.config


def train(name, **changes):
    make, problem, config = probe(name)
    options = {"num_seeds": 2, "chunk_length": 4, "progress": False, **changes}
    return run(make, problem, options.pop("config", config), KEY, STEPS, **options)


@functools.cache
def trained(name):
    return train(name)


def test_make_gives_pure_functions(name, assert_trees_equal):
    make, problem, config = probe(name)
    algorithm = make(problem, config)
    assert isinstance(algorithm, Algorithm)
    state = jax.jit(algorithm.init)(KEY)
    step = jax.jit(algorithm.step)
    assert_trees_equal(step(KEY, state), step(KEY, state))
    after, _ = step(KEY, state)
    shapes = functools.partial(jax.tree.map, lambda x: (jnp.shape(x), jnp.result_type(x)))
    assert shapes(after) == shapes(state)


def test_seeds_and_metrics_are_finite(name):
    result = trained(name)
    for leaf in jax.tree.leaves((result.metrics, result.evaluations)):
        assert leaf.shape[0] == 2
        assert np.all(np.isfinite(leaf))
    assert all(leaf.shape[-1] == STEPS for leaf in jax.tree.leaves(result.metrics))
    assert ENTRIES[name].problems[ENTRIES[name].probe].score in result.evaluations._fields


def test_floats_are_traced_and_stack(name):
    """A grid over a float is one program, and its cell is the run with that value."""
    _, _, config = probe(name)
    (first, *_), _ = jax.tree_util.tree_flatten_with_path(config)
    field = first[0][0].name
    value = float(getattr(config, field))
    result = train(name, config=grid(config, **{field: [value, 0.5 * value]}))
    for stacked, single in zip(
        jax.tree.leaves(result.metrics), jax.tree.leaves(trained(name).metrics), strict=True
    ):
        assert stacked.shape[:2] == (2, 2)
        np.testing.assert_allclose(stacked[0], single, rtol=1e-3, atol=1e-4)
    assert any(
        not np.allclose(leaf[0], leaf[1], rtol=1e-6) for leaf in jax.tree.leaves(result.metrics)
    )


def test_resumed_equals_uninterrupted_bitwise(name, tmp_path, assert_trees_equal):
    make, problem, config = probe(name)
    options = {"num_seeds": 2, "chunk_length": 4, "progress": False, "directory": tmp_path}
    run(make, problem, config, KEY, 8, **options)
    resumed = run(make, problem, config, KEY, STEPS, resume=True, **options)
    assert resumed.start == 8
    assert_trees_equal(resumed.state, trained(name).state)
    assert_trees_equal(resumed.evaluations, trained(name).evaluations)
    restored = restore(make, problem, config, KEY, tmp_path, num_seeds=2)
    assert_trees_equal(restored.state, resumed.state)
    assert_trees_equal(restored.evaluations, resumed.evaluations)


def test_nothing_recompiles(name):
    trained(name)
    before = programs._compile.cache_info().misses
    train(name)
    assert programs._compile.cache_info().misses == before


def test_the_config_survives_json(name):
    _, _, config = probe(name)
    assert from_json(type(config), to_json(config)) == config


DEVICES = """
import sys
import jax
import numpy as np
import test_contract

assert len(jax.devices()) == 8
result = test_contract.train(sys.argv[1], num_seeds=8)
leaves = jax.tree.leaves((result.state, result.metrics))
assert all(len(x.sharding.device_set) == 8 for x in jax.tree.leaves(result.state))
np.savez(sys.argv[2], *map(np.asarray, leaves))
"""


def test_eight_devices_equal_one(name, tmp_path):
    path = tmp_path / "eight.npz"
    done = subprocess.run(
        [sys.executable, "-c", DEVICES, name, str(path)],
        cwd=pathlib.Path(__file__).parent,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "8"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one = train(name, num_seeds=8)
    with np.load(path) as eight:
        for x, y in zip(jax.tree.leaves((one.state, one.metrics)), eight.values(), strict=True):
            np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5)


def test_learns_its_probe(name):
    """After the probe's own number of steps, at least nine tenths of the way is gone."""
    make, problem, config = probe(name)
    known = ENTRIES[name].problems[ENTRIES[name].probe]
    baselines = known.baselines(problem)
    result = run(make, problem, config, KEY, known.num_steps, progress=False)
    score = float(getattr(result.evaluations, known.score)[-1])
    way = (score - baselines["random"]) / (baselines["optimal"] - baselines["random"])
    assert way > 0.9
