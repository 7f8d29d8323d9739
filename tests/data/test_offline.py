"""Offline problems: scores, evaluation, and what does not fit together."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.data.offline import evaluate, offline
from rlsuite.envs.control import control
from rlsuite.envs.episodes import Episode, join
from rlsuite.problems.episodes import corridor


@functools.cache
def _episodes(observation=4, action=2):
    return join([Episode(np.zeros((3, observation)), np.zeros((2, action)), np.ones(2))])


def test_scores_are_linear_between_chance_and_the_expert():
    problem = offline("hopper", _episodes(), random_return=-20.3, expert_return=3234.3)
    scores = jax.jit(lambda p: p.score(jnp.asarray([-20.3, 3234.3, 1607.0])))(problem)
    np.testing.assert_allclose(scores, [0.0, 100.0, 50.0], atol=1e-4)
    assert jax.tree.map(lambda x: x, problem).name == "hopper"


def _paced(problem, key, observation, carry):
    """To the right twice; then it stays where it is for two actions, and goes on."""
    time = jnp.zeros((), int) if carry is None else carry
    return problem.actions.encode(jnp.where((time < 2) | (time > 3), 1, 0)), time + 1


@pytest.mark.parametrize(
    ("length", "expected"),
    # Right, right, left, left, right, right, right: 7 steps of −0.1, and 1 at the end.
    [(2, -0.2), (6, -0.6), (7, 0.3), (8, 0.3), (100, 0.3)],
)
def test_evaluate_counts_up_to_the_end(length, expected):
    problem = corridor()
    act = functools.partial(_paced, problem)
    returns = evaluate(problem, act, jax.random.key(0), 3, length)
    np.testing.assert_allclose(returns, np.full(3, expected), atol=1e-6)


def test_evaluate_gives_each_episode_keys_of_its_own():
    """A policy without memory, under jit and vmap: CartPole pushed left ends in 8 to 11 steps."""
    problem = control("CartPole-v1")

    @jax.jit
    @jax.vmap
    def returns(key, wanted):
        def act(key, observation, carry):
            return problem.actions.encode(wanted), carry

        return evaluate(problem, act, key, 16, 50)

    found = np.asarray(returns(jax.random.split(jax.random.key(0), 2), jnp.asarray([0, 1])))
    assert found.shape == (2, 16)
    assert found.min() >= 8
    assert found.max() <= 11
    assert len(np.unique(found)) > 1


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"random_return": 5.0, "expert_return": 5.0}, "expert_return is 5.0; allowed: above"),
        ({"random_return": 6.0, "expert_return": 5.0}, "expert_return is 5.0; allowed: above"),
        ({"expert_return": float("nan")}, "expert_return is nan"),
        ({"episodes": (3, 2)}, r"observations of shape \(3,\); allowed: the environment's, \(4,\)"),
        ({"episodes": (4, 1)}, r"actions of shape \(1,\); allowed: the environment's, \(2,\)"),
    ],
)
def test_refuses_what_does_not_fit(how, message):
    sizes = how.pop("episodes", (4, 2))
    with pytest.raises(ValueError, match=message):
        offline("bad", _episodes(*sizes), control("CartPole-v1"), **how)


def test_evaluate_refuses_nothing_to_do():
    with pytest.raises(ValueError, match="num_episodes is 0; allowed"):
        evaluate(control("CartPole-v1"), _paced, jax.random.key(0), 0, 5)
    with pytest.raises(ValueError, match="length is 0; allowed"):
        evaluate(control("CartPole-v1"), _paced, jax.random.key(0), 5, 0)
