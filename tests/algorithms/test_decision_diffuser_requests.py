"""What the Decision Diffuser is asked and told: refused where it is of another kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.algorithms.decision_diffuser import training
from rlsuite.data.offline import offline
from rlsuite.envs.episodes import Episode, join
from rlsuite.ops.diffusion import Known

KEY = jax.random.key(0)
SMALL = dd.Model(kind="mlp", channels=8, multiples=(1,), diffusion_steps=2, inverse_units=8)
PLANNING = dd.Planning(sampler="ddim", sampling_steps=1)


def problem(labels=(), *, terminal=False):
    states = np.stack([np.arange(4.0), np.zeros(4)], axis=1)
    episode = Episode(states, np.zeros((3, 1)), np.ones(3), terminal=terminal, labels=labels)
    return offline("some", join([episode]))


def config(**changes):
    return dd.Config(**{"horizon": 3, "model": SMALL, "planning": PLANNING, **changes})


def test_labels_that_no_episode_has_are_refused():
    asked = dd.always(jnp.ones((1, 0)), 1.0)
    with pytest.raises(ValueError, match="allowed with episodes that have no labels"):
        dd.make(problem(), config(conditions=("label",)), request=asked)


@pytest.mark.parametrize(
    ("conditions", "weights"), [((1, 3), (1,)), ((2,), (1,)), ((2, 2), (1,)), ((1, 2), ())]
)
def test_requests_of_another_shape_are_refused(conditions, weights):
    """Two labels are told, so that conditions have two numbers and each has a weight."""
    told = config(conditions=("label",))
    request = dd.Request(jnp.ones(conditions), jnp.ones(weights))
    algorithm = dd.make(problem((1.0, 0.0)), told, request=lambda _: request)
    state = jax.eval_shape(algorithm.init, KEY)

    def act(state):
        return algorithm.act(None, state, jnp.zeros(2), None)

    with pytest.raises(ValueError, match=r"request has conditions of shape .*\(any number, 2\)"):
        jax.eval_shape(act, state)


@pytest.mark.parametrize(("goal", "place", "name"), [(False, 1, "first"), (True, 0, "last")])
def test_plans_that_do_not_know_what_they_must_are_refused(goal, place, name):
    told = config(conditions=(), goal=goal)
    made = dd.make(problem(), told, goal=(lambda _: jnp.zeros(2)) if goal else None)
    state, nothing = jax.jit(made.init)(KEY), dd.Request(jnp.zeros((0, 0)), jnp.zeros(0))
    where = jnp.zeros((3, 2), bool).at[place].set(True)
    with pytest.raises(ValueError, match=f"known is without the {name} state; allowed with a"):
        dd.plans(told, state, KEY, nothing, 1, known=Known(where, jnp.zeros((3, 2))))


@pytest.mark.parametrize("normalizer", ["gaussian", "limits", "cdf"])
@pytest.mark.parametrize("terminal", [False, True])
def test_segments_lie_within_what_plans_are_kept_within(normalizer, terminal):
    """The last state of an episode is in segments, however it ended."""
    told = config(conditions=(), model=dd.Model(normalizer=normalizer))
    episodes = problem(terminal=terminal).episodes
    computed = training.statistics(told, episodes)
    states = training.example(told, episodes, computed, jnp.asarray(1)).states
    np.testing.assert_allclose(computed.normalizer.denormalize(states)[:, 0], [1, 2, 3], rtol=1e-5)
    assert float(states[-1, 0]) == pytest.approx(float(computed.bound[0]))
    assert float(states[-1, 0]) > float(states[-2, 0])
