"""Numbers that are none, which end a run: found wherever they are, and named."""

import functools

import jax
import jax.numpy as jnp
import pytest
import toy

from rlsuite import Algorithm, run
from rlsuite.loop import NonFiniteError

KEY = jax.random.key(7)
train = functools.partial(run, toy.make, toy.problem(), toy.Config(), KEY, progress=False)


def test_nan_names_step_seed_and_metric_and_keeps_the_checkpoints(tmp_path):
    failing = toy.Config(fails_at=25)
    arguments = (toy.make, toy.problem(), failing, KEY, 100)
    options = {"num_seeds": 2, "directory": tmp_path, "checkpoint_every": 10, "progress": False}
    with pytest.raises(NonFiniteError, match=r"metric 'loss' is nan at step 26 \(seed 0\)"):
        run(*arguments, **options)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["10", "20"]


def test_a_metric_that_breaks_with_the_state_is_named_with_its_step():
    def make(problem, config):
        algorithm = toy.make(problem, config)

        def step(key, state):
            broken = jnp.where(state.count > 12, jnp.nan, state.average)
            state, _ = algorithm.step(key, state._replace(average=broken))
            return state, {"loss": broken}

        return algorithm._replace(step=step)

    with pytest.raises(NonFiniteError, match="metric 'loss' is nan at step 14"):
        run(make, toy.problem(), toy.Config(), KEY, 100, chunk_length=20, progress=False)


def test_nan_is_found_beside_keys_and_in_short_floats():
    def init(key):
        return {"key": key, "low": jnp.zeros(3, jnp.bfloat16), "count": jnp.zeros((), int)}

    def step(key, state):
        low = state["low"].at[1].set(jnp.where(state["count"] >= 3, jnp.nan, 0.0))
        return {**state, "low": low, "count": state["count"] + 1}, {"one": jnp.ones(())}

    def make(problem, config):
        del problem, config
        return Algorithm(init, step)

    with pytest.raises(NonFiniteError, match="state 'low' is nan at step 5"):
        run(make, jnp.zeros(()), None, KEY, 10, chunk_length=5, progress=False)


def test_nan_in_the_state_is_found_though_no_metric_shows_it():
    def make(problem, config):
        algorithm = toy.make(problem, config)

        def step(key, state):
            state, metrics = algorithm.step(key, state)
            broken = jnp.where(state.count > 12, jnp.nan, state.average)
            return state._replace(average=broken), metrics

        return algorithm._replace(step=step)

    with pytest.raises(NonFiniteError, match="state 'average' is nan at step 20"):
        run(make, toy.problem(), toy.Config(), KEY, 100, progress=False)
