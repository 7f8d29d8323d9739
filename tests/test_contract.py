"""The contract, over every registered algorithm: what ``run`` promises holds for each of them."""

import collections
import functools
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from rlsuite import programs, registry
from rlsuite.configuration import from_json, grid, to_json
from rlsuite.core import Algorithm, restore, run

KEY = jax.random.key(3)
ENTRIES = registry.algorithms()
SEEDS, STEPS, CHUNK = 8, 12, 4  # of most runs here, so that they share their programs
LONG = ("cql", "decision_diffuser")  # Their steps take longer than compiling them.
PARTS = collections.defaultdict(dict)

pytestmark = pytest.mark.parametrize("name", ENTRIES)


@functools.cache
def probe(name):
    """(make, problem, config) of an algorithm's probe."""
    entry = ENTRIES[name]
    problem = entry.problems[entry.probe]
    return entry.make_for(problem), problem.build(), problem.config


@functools.cache
def stacked(name):
    """The probe's config, and beside it the same with half the value of its first float."""
    _, _, config = probe(name)
    (first, *_), _ = jax.tree_util.tree_flatten_with_path(config)
    field = first[0][0].name
    value = float(getattr(config, field))
    return grid(config, **{field: [value, 0.5 * value]})


def train(name, *, make=None, config=None, num_steps=STEPS, **options):
    made, problem, _ = probe(name)
    options = {"num_seeds": SEEDS, "chunk_length": CHUNK, "progress": False, **options}
    return run(make or made, problem, config or stacked(name), KEY, num_steps, **options)


@functools.cache
def trained(name):
    return train(name)


@pytest.fixture(autouse=True)
def parts(name, request, monkeypatch):
    """What was traced of an algorithm so far: init, steps, evaluate."""
    trace = programs._trace

    def kept(part, *rest):
        traced = trace(part, *rest)
        PARTS[name].setdefault(part.__name__, traced)
        return traced

    monkeypatch.setattr(programs, "_trace", kept)
    if name in LONG:
        request.getfixturevalue("long_running")
    return PARTS[name]


def test_make_gives_functions_of_a_state_that_keeps_its_shape_without_lapack(name, parts):
    """Of LAPACK, two batches at once stop a machine of two cores (``rlsuite.ops.orthogonal``)."""
    make, problem, config = probe(name)
    assert isinstance(make(problem, config), Algorithm)
    trained(name)
    assert set(parts) == {"init", "steps", "evaluate"}
    shapes = functools.partial(jax.tree.map, lambda x: (x.shape, x.dtype))
    assert shapes(parts["steps"].out_info[0]) == shapes(parts["init"].out_info)
    for part in parts.values():
        assert not primitives(part.jaxpr.jaxpr) & LAPACK


LAPACK = {"cholesky", "eig", "eigh", "geqrf", "lu", "qr", "schur", "svd", "triangular_solve"}


def primitives(jaxpr):
    """The names of all that is computed, loops and branches included."""
    found = set()
    for equation in jaxpr.eqns:
        found.add(equation.primitive.name)
        for inner in jaxprs_in_params(equation.params):
            found |= primitives(inner)
    return found


def test_configs_seeds_and_metrics_are_finite(name):
    result = trained(name)
    for leaf in jax.tree.leaves((result.metrics, result.evaluations)):
        assert leaf.shape[:2] == (2, SEEDS)
        assert np.all(np.isfinite(leaf))
    assert all(leaf.shape[-1] == STEPS for leaf in jax.tree.leaves(result.metrics))
    assert ENTRIES[name].problems[ENTRIES[name].probe].score in result.evaluations._fields


def test_floats_are_traced(name):
    assert any(
        not np.allclose(leaf[0], leaf[1], rtol=1e-6)
        for leaf in jax.tree.leaves(trained(name).metrics)
    )


def test_resumed_equals_uninterrupted_bitwise(name, tmp_path, assert_trees_equal):
    train(name, num_steps=8, directory=tmp_path)
    resumed = train(name, resume=True, directory=tmp_path)
    assert resumed.start == 8
    assert_trees_equal(resumed.state, trained(name).state)
    assert_trees_equal(resumed.evaluations, trained(name).evaluations)
    make, problem, _ = probe(name)
    restored = restore(make, problem, stacked(name), KEY, tmp_path, num_seeds=SEEDS)
    assert_trees_equal(restored.state, resumed.state)
    assert_trees_equal(restored.evaluations, resumed.evaluations)


def test_the_same_run_again_compiles_nothing_and_is_the_same(name, assert_trees_equal):
    first = trained(name)
    before = programs._compile.cache_info().misses
    again = train(name)
    assert programs._compile.cache_info().misses == before
    assert_trees_equal((again.state, again.metrics), (first.state, first.metrics))


def test_the_config_survives_json(name):
    _, _, config = probe(name)
    assert from_json(type(config), to_json(config)) == config


EVALUATED = ("bc", "maml", "maxent_irl")  # on eight devices: where this compiles soon

DEVICES = """
import functools
import sys
import jax
import numpy as np
import test_contract

def silent(make, problem, config):
    return make(problem, config)._replace(evaluate=None)

assert len(jax.devices()) == 8
for name in test_contract.ENTRIES:
    make, problem, config = test_contract.probe(name)
    level = int(name in test_contract.LONG)
    test_contract.programs.compiler_options["xla_backend_optimization_level"] = level
    if name not in test_contract.EVALUATED:
        make = functools.partial(silent, make)
    result = test_contract.train(name, make=make, config=config)
    leaves = jax.tree.leaves((result.state, result.metrics, result.evaluations))
    assert all(len(x.sharding.device_set) == 8 for x in jax.tree.leaves(result.state)), name
    np.savez(f"{sys.argv[1]}/{name}.npz", *map(np.asarray, leaves))
"""


@pytest.fixture(scope="module")
def on_eight_devices(tmp_path_factory):
    """What all algorithms come to on eight devices, in a process of their own."""
    folder = tmp_path_factory.mktemp("eight")
    done = subprocess.run(
        [sys.executable, "-c", DEVICES, str(folder)],
        cwd=pathlib.Path(__file__).parent,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "8"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_a_config_alone_on_eight_devices_is_the_same_beside_another_on_one(name, on_eight_devices):
    """What is spread over devices, and what is stacked in one program, changes nothing."""
    result = jax.device_get(trained(name))
    evaluations = result.evaluations if name in EVALUATED else None
    one = jax.tree.map(lambda leaf: leaf[0], (result.state, result.metrics, evaluations))
    with np.load(on_eight_devices / f"{name}.npz") as eight:
        for x, y in zip(jax.tree.leaves(one), eight.values(), strict=True):
            np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5)


def test_learns_its_probe(name):
    """After the probe's own number of steps, at least nine tenths of the way is gone on average."""
    known = ENTRIES[name].problems[ENTRIES[name].probe]
    baselines = known.baselines(probe(name)[1])
    result = train(name, num_steps=known.num_steps)
    score = float(np.mean(getattr(result.evaluations, known.score)[0, :, -1]))
    way = (score - baselines["random"]) / (baselines["optimal"] - baselines["random"])
    assert way > 0.9
