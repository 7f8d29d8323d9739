import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.data.experts import demonstrate, rollout
from rlsuite.data.trajectories import NO_ACTION, check, empirical_visitation, mask
from rlsuite.envs.mazes import maze, mazes
from rlsuite.envs.random_mdp import random_mdp
from rlsuite.ops import tabular

# One size for all, so that the tests share their compiled programs.
COUNT, LENGTH = 4000, 60
DISCOUNT = 0.8


def dense():
    return random_mdp(0, 8, 3, discount=DISCOUNT)


def test_experts_walk_shortest_ways_to_the_goal():
    mdp = maze("UR", discount=0.9)
    expert = jax.tree.map(np.asarray, demonstrate(jax.random.key(0), mdp, COUNT, LENGTH))
    check(expert, 100, 4)
    values = np.asarray(tabular.value_iteration(mdp).values)
    distance = np.round(np.log(values[expert.states[:, 0]]) / np.log(0.9))
    np.testing.assert_array_equal(expert.lengths, distance + 1)
    last = expert.lengths - 1
    rows = np.arange(COUNT)
    assert np.asarray(mdp.terminal)[expert.states[rows, last]].all()
    assert (expert.actions[rows, last] == NO_ACTION).all()


def test_trajectories_follow_the_table_until_they_end():
    mdp = maze("L", slip=0.3, discount=DISCOUNT)
    expert = demonstrate(jax.random.key(1), mdp, COUNT, LENGTH, temperature=0.1)
    check(expert, 100, 4)
    next_states = np.asarray(mdp.transition.next_states)
    states, real = np.asarray(expert.states), np.asarray(mask(expert))
    moves = real[:, :-1] & real[:, 1:]
    reachable = (next_states[states[:, :-1]] == states[:, 1:, None]).any(-1)
    assert reachable[moves].all()
    actions = np.asarray(expert.actions)
    intended = next_states[states[:, :-1], actions[:, :-1]] == states[:, 1:]
    # A slip chooses the intended action after all in a quarter of the cases, and others may lead
    # to the same cell.
    assert 0.7 + 0.3 / 4 - 0.01 < intended[moves].mean() < 0.95
    assert np.asarray(mdp.initial)[states[:, 0]].all()
    ended = (actions == NO_ACTION) & real
    np.testing.assert_array_equal(ended, np.asarray(mdp.terminal)[states] & real)
    cut_off = ~ended.any(1)
    assert cut_off.any()
    np.testing.assert_array_equal(np.asarray(expert.lengths)[cut_off], LENGTH)


@pytest.mark.parametrize(
    ("make", "temperature"),
    [(lambda: maze("s2", slip=0.2, discount=DISCOUNT), 0.05), (dense, None)],
    ids=["maze", "dense"],
)
def test_empirical_visitation_converges_to_the_exact_one(make, temperature):
    mdp = make()
    expert = demonstrate(jax.random.key(2), mdp, COUNT, LENGTH, temperature=temperature)
    exact = tabular.visitation(
        mdp, tabular.value_iteration(mdp, temperature=temperature).log_policy
    )
    empirical = empirical_visitation(expert, mdp.num_states, mdp.num_actions, DISCOUNT)
    exact, empirical = jax.tree.map(np.asarray, (exact, empirical))

    weight = np.where(mask(expert), DISCOUNT ** np.arange(LENGTH), 0.0)
    states, actions = np.asarray(expert.states), np.asarray(expert.actions)
    pairs = np.where(actions == NO_ACTION, -1, states * mdp.num_actions + actions)
    for estimate, true, cells in (
        (empirical.states, exact.states, states),
        (empirical.state_actions.ravel(), exact.state_actions.ravel(), pairs),
    ):
        each = np.zeros((COUNT, true.size + 1))
        np.add.at(each, (np.arange(COUNT)[:, None], cells), weight)
        each = each[:, : true.size]
        np.testing.assert_allclose(estimate, each.mean(0), rtol=1e-5, atol=1e-7)
        # Five standard errors, what the cut leaves out, and a few visits for rare pairs.
        bound = 5 * each.std(0) / np.sqrt(COUNT) + DISCOUNT**LENGTH / (1 - DISCOUNT) + 5 / COUNT
        assert (np.abs(estimate - true) <= bound).all()
        assert bound.max() < 0.1


def test_stacked_mazes_are_walked_in_one_program(assert_trees_equal):
    keys = jax.random.split(jax.random.key(3), 7)
    walk = jax.vmap(lambda key, mdp: demonstrate(key, mdp, COUNT, LENGTH))
    both = walk(keys, mazes(discount=0.9))
    one = demonstrate(keys[5], maze("UR", discount=0.9), COUNT, LENGTH)
    assert_trees_equal(jax.tree.map(lambda x: np.asarray(x)[5], both), one)


def test_the_key_decides(assert_trees_equal):
    uniform = jnp.full((8, 3), -np.log(3.0))
    first = rollout(jax.random.key(0), dense(), uniform, COUNT, LENGTH)
    assert_trees_equal(first, rollout(jax.random.key(0), dense(), uniform, COUNT, LENGTH))
    other = rollout(jax.random.key(1), dense(), uniform, COUNT, LENGTH)
    assert (np.asarray(first.states) != np.asarray(other.states)).any()


def test_actions_of_probability_zero_are_never_taken():
    log_policy = jnp.asarray([[np.log(0.5), -np.inf, np.log(0.5)]] * 8)
    actions = rollout(jax.random.key(0), dense(), log_policy, COUNT, LENGTH).actions
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
        demonstrate(jax.random.key(0), dense(), *arguments, **options)
