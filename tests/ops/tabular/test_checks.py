import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ops import processes
from ops.processes import KINDS

from rlsuite.ops import tabular

BAD_RING = np.array([[0, 1], [1, 2], [2, 3]])
UNIFORM = np.full((3, 2, 3), 1 / 3)


def ring(**changes):
    next_states = jnp.array([[0, 1], [1, 2], [2, 0]])
    mdp = tabular.MDP(tabular.Gather(next_states), jnp.zeros(3), jnp.ones(3) / 3, discount=0.5)
    return mdp.replace(**changes)


class Own:
    """A kernel of the user's own, with nothing but what dynamic programming needs."""

    num_states = 3
    num_actions = 2

    def __init__(self, expect):
        self.expect = expect


BAD_PROCESSES = {
    "next_states[2, 1] is 3; allowed: 0 to 2": lambda: ring(
        transition=tabular.Gather(jnp.asarray(BAD_RING))
    ),
    "next_states is float64 of shape (3, 2)": lambda: ring(
        transition=tabular.Gather(jnp.zeros((3, 2)))
    ),
    "slip is 1.5; allowed: 0 to 1": lambda: ring(
        transition=tabular.Gather(jnp.zeros((3, 2), int), 1.5)
    ),
    "probabilities has shape (3, 2); allowed: [state, action, state]": lambda: ring(
        transition=tabular.Dense(jnp.ones((3, 2)))
    ),
    "the sum of probabilities[0, 0] is 0.9": lambda: ring(
        transition=tabular.Dense(jnp.asarray(0.9 * UNIFORM))
    ),
    "probabilities[1, 0, 0] is -0.5; allowed: at least 0": lambda: ring(
        transition=tabular.Dense(jnp.asarray(UNIFORM).at[1, 0].set(jnp.array([-0.5, 0.5, 1.0])))
    ),
    "the transition's expect(values) has shape (3,); allowed: (3, 2)": lambda: ring(
        transition=Own(lambda v: v)
    ),
    "the transition's expect is not additive": lambda: ring(
        transition=Own(lambda v: jnp.stack([v, v**2], axis=1))
    ),
    "the transition's expect(ones)[0, 0] is 0.9; allowed: 1": lambda: ring(
        transition=Own(lambda v: jnp.stack([0.9 * jnp.mean(v) + 0 * v, v], axis=1))
    ),
    "the transition's expect(values)[": lambda: ring(
        transition=Own(lambda v: jnp.stack([2 * v[::-1] - v, v], axis=1))
    ),
    "reward has shape (4,); allowed: (3,) or (3, 2) or (3, 2, 3)": lambda: ring(
        reward=jnp.zeros(4)
    ),
    "reward[1] is nan; allowed: finite numbers": lambda: ring(reward=jnp.array([0.0, np.nan, 0.0])),
    "initial has shape (2,); allowed: (3,)": lambda: ring(initial=jnp.ones(2) / 2),
    "the sum of initial is 3; allowed: 1": lambda: ring(initial=jnp.ones(3)),
    "discount is 1.0; allowed: 0 to 1, 1 excluded": lambda: ring(discount=1.0),
    "discount is -0.1; allowed": lambda: ring(discount=-0.1),
    "discount has shape (2,); allowed: ()": lambda: ring(discount=jnp.ones(2)),
    "terminal has shape (2,); allowed: (3,)": lambda: ring(terminal=jnp.zeros(2, bool)),
    "terminal is float64; allowed: Booleans": lambda: ring(terminal=jnp.zeros(3)),
    "actions has shape (3, 3); allowed: (3, 2)": lambda: ring(actions=jnp.ones((3, 3), bool)),
    "actions allows none in state 1": lambda: ring(
        actions=jnp.array([[True, True], [False, False], [False, False]]),
        terminal=jnp.array([False, False, True]),
    ),
}


@pytest.mark.parametrize("message", BAD_PROCESSES)
def test_bad_processes_are_named(message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the message is compared below)
        tabular.check(BAD_PROCESSES[message]())
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("kind", KINDS)
def test_good_processes_pass(kind):
    for axes in (1, 2, 3):
        tabular.check(processes.process(kind, reward_axes=axes)[0])
    tabular.check(ring(discount=1.0), horizon="finite")


def test_tracers_pass():
    @jax.jit
    def traced(mdp):
        tabular.check(mdp)
        return mdp.discount

    for kind in ("dense", "gather", "operator"):
        traced(processes.process(kind)[0].replace(discount=2.0))


# The test run's type checker knows the words allowed, and would speak first.
value_iteration = inspect.unwrap(tabular.value_iteration)
POLICY = np.zeros((3, 2))
BAD_CALLS = {
    "method is 'policy'": lambda m: value_iteration(m, method="policy"),
    "entropy is 'none'": lambda m: value_iteration(m, entropy="none"),
    "temperature is None": lambda m: tabular.value_iteration(m, entropy="trajectory"),
    "temperature is 0.0": lambda m: tabular.value_iteration(m, temperature=0.0),
    "temperature is -1.0": lambda m: tabular.backward_induction(m, 2, temperature=-1.0),
    "tolerance is 0.0": lambda m: tabular.value_iteration(m, tolerance=0.0),
    "tolerance is nan": lambda m: tabular.visitation(m, jnp.asarray(POLICY), tolerance=np.nan),
    "max_iterations is 0": lambda m: tabular.value_iteration(m, max_iterations=0),
    "initial_values has shape (2,)": lambda m: tabular.value_iteration(
        m, initial_values=jnp.zeros(2)
    ),
    "discount is 1.0": lambda m: tabular.value_iteration(m.replace(discount=1.0)),
    "discount is 1.5": lambda m: tabular.backward_induction(m.replace(discount=1.5), 2),
    "reward has shape (2,)": lambda m: tabular.value_iteration(m.replace(reward=jnp.zeros(2))),
    "log_policy has shape (2, 3)": lambda m: tabular.visitation(m, jnp.zeros((2, 3))),
    "log_policy has shape (3, 1)": lambda m: tabular.policy_evaluation(m, jnp.zeros((3, 1))),
    "log_policy has shape (4, 3, 1)": lambda m: tabular.finite_visitation(m, jnp.zeros((4, 3, 1))),
    "horizon is 0": lambda m: tabular.backward_induction(m, 0),
    "final_values has shape (2,)": lambda m: tabular.backward_induction(
        m, 2, final_values=jnp.zeros(2)
    ),
}


@pytest.mark.parametrize("message", BAD_CALLS)
def test_bad_arguments_are_named(message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the message is compared below)
        BAD_CALLS[message](ring())
    assert str(error.value).startswith(message)
