from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.data.experts import demonstrate, rollout
from rlsuite.data.trajectories import NO_ACTION, check, empirical_visitation, mask
from rlsuite.envs.mazes import maze, mazes
from rlsuite.envs.random_mdp import random_mdp
from rlsuite.ops import tabular


def test_experts_walk_shortest_ways_to_the_goal():
    mdp = maze("UR", discount=0.9)
    expert = demonstrate(jax.random.key(0), mdp, 200, 60)
    check(expert, 100, 4)
    values = np.asarray(tabular.value_iteration(mdp).values)
    distance = np.round(np.log(values[expert.states[:, 0]]) / np.log(0.9))
    np.testing.assert_array_equal(expert.lengths, distance + 1)
    last = np.asarray(expert.lengths) - 1
    rows = np.arange(200)
    assert np.asarray(mdp.terminal)[expert.states[rows, last]].all()
    assert (expert.actions[rows, last] == NO_ACTION).all()


def test_trajectories_follow_the_table_until_they_end():
    mdp = maze("L", slip=0.3, stay=True)
    expert = demonstrate(jax.random.key(1), mdp, 100, 40, temperature=0.1)
    check(expert, 100, 5)
    next_states = np.asarray(mdp.transition.next_states)
    states, real = np.asarray(expert.states), np.asarray(mask(expert))
    moves = real[:, :-1] & real[:, 1:]
    reachable = (next_states[states[:, :-1]] == states[:, 1:, None]).any(-1)
    assert reachable[moves].all()
    intended = next_states[states[:, :-1], expert.actions[:, :-1]] == states[:, 1:]
    # The executed action is the intended one in 70 % of the steps, and some others lead there too.
    assert 0.7 < intended[moves].mean() < 0.95
    assert np.asarray(mdp.initial)[states[:, 0]].all()
    ended = (np.asarray(expert.actions) == NO_ACTION) & real
    np.testing.assert_array_equal(ended, np.asarray(mdp.terminal)[states] & real)
    cut_off = ~ended.any(1)
    np.testing.assert_array_equal(np.asarray(expert.lengths)[cut_off], 40)


@pytest.mark.parametrize(
    ("mdp", "temperature"),
    [
        (maze("s2", slip=0.2, discount=0.8), 0.05),
        (random_mdp(0, 8, 3, discount=0.8), None),
    ],
    ids=["maze", "dense"],
)
def test_empirical_visitation_converges_to_the_exact_one(mdp, temperature):
    count, length = 4000, 60
    expert = demonstrate(jax.random.key(2), mdp, count, length, temperature=temperature)
    policy = tabular.value_iteration(mdp, temperature=temperature).log_policy
    exact = tabular.visitation(mdp, policy)
    visits = partial(
        empirical_visitation,
        num_states=mdp.num_states,
        num_actions=mdp.num_actions,
        discount=mdp.discount,
    )
    each = jax.vmap(lambda one: visits(jax.tree.map(lambda x: x[None], one)))(expert)
    for empirical, of_each, true in zip(visits(expert), each, exact, strict=True):
        np.testing.assert_allclose(empirical, of_each.mean(0), rtol=1e-4, atol=1e-6)
        standard_error = of_each.std(0) / np.sqrt(count)
        # Five standard errors, what the cut leaves out, and the few visits of rare pairs.
        bound = 5 * standard_error + 0.8**length / 0.2 + 5 / count
        assert (np.abs(empirical - true) <= bound).all()
        assert bound.max() < 0.1


def test_stacked_mazes_are_walked_in_one_program(assert_trees_equal):
    stacked, keys = mazes(), jax.random.split(jax.random.key(3), 7)
    both = jax.vmap(lambda key, mdp: demonstrate(key, mdp, 10, 30))(keys, stacked)
    one = demonstrate(keys[5], maze("UR"), 10, 30)
    assert_trees_equal(jax.tree.map(lambda x: x[5], both), one)


def test_the_key_decides(assert_trees_equal):
    mdp = random_mdp(0, 5, 2)
    uniform = jnp.full((5, 2), -jnp.log(2.0))
    first = rollout(jax.random.key(0), mdp, uniform, 3, 20)
    assert_trees_equal(first, rollout(jax.random.key(0), mdp, uniform, 3, 20))
    assert (first.states != rollout(jax.random.key(1), mdp, uniform, 3, 20).states).any()


def test_actions_of_probability_zero_are_never_taken():
    mdp = random_mdp(0, 5, 3)
    log_policy = jnp.log(jnp.array([[0.5, 0.0, 0.5]] * 5))
    actions = rollout(jax.random.key(0), mdp, log_policy, 50, 20).actions
    assert set(np.unique(actions).tolist()) == {0, 2}


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0, 5), {}, "num_trajectories is 0: it must be at least 1"),
        ((5, 0), {}, "length is 0: it must be at least 1"),
        ((5, 5), {"temperature": 0.0}, "temperature is 0.0: it must be positive"),
    ],
)
def test_bad_numbers_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        demonstrate(jax.random.key(0), random_mdp(0, 3, 2), *arguments, **options)
