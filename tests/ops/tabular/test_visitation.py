import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from ops import processes

from rlsuite.ops import tabular

SCORES = arrays(np.float64, (6, 3), elements=st.floats(-20, 20))


def policy_of(mdp, scores):
    return tabular.log_policy(mdp, jnp.asarray(scores), 1.0)


@pytest.mark.parametrize(("kind", "masked"), [("dense", True), ("slip", False), ("operator", True)])
def test_visits_solve_their_linear_system(kind, masked):
    mdp, probabilities = processes.process(kind, masked=masked)
    log_policy = policy_of(mdp, np.random.default_rng(0).normal(size=(6, 3)))
    visits = tabular.visitation(mdp, log_policy)
    expected = processes.visits(mdp, probabilities, np.exp(log_policy))
    np.testing.assert_allclose(visits.states, expected, rtol=0, atol=1e-10)
    flow = expected[:, None] * np.exp(log_policy)
    if masked:
        flow[-1] = 0
    np.testing.assert_allclose(visits.state_actions, flow, rtol=0, atol=1e-10)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([("dense", True), ("slip", False), ("slip", True)]),
    st.integers(0, 5),
    st.floats(0, 0.995),
    SCORES,
)
def test_flow_is_conserved(kind, seed, discount, scores):
    """What arrives is what started or was sent on, and without an end the total is 1/(1−γ)."""
    kind, masked = kind
    mdp, _ = processes.process(kind, seed, masked=masked)
    mdp = mdp.replace(discount=discount)
    visits = tabular.visitation(mdp, policy_of(mdp, scores))
    arriving = mdp.initial + discount * tabular.push(mdp.transition, visits.state_actions)
    np.testing.assert_allclose(visits.states, arriving, rtol=0, atol=1e-10)
    assert np.all(np.asarray(visits.states) >= -1e-12)
    leaving = visits.state_actions.sum(axis=1)
    if masked:
        leaving = leaving + jnp.where(mdp.terminal, visits.states, 0)
        assert np.all(visits.state_actions[-1] == 0)
        assert np.all(np.asarray(visits.state_actions)[~np.asarray(mdp.actions)] == 0)
    else:
        np.testing.assert_allclose(visits.states.sum(), 1 / (1 - discount), rtol=1e-10)
    np.testing.assert_allclose(leaving, visits.states, rtol=0, atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 5), SCORES)
def test_visits_and_values_are_dual(seed, scores):
    """⟨ρ, r⟩ = ⟨p₀, V⟩: the return, by states or by time."""
    mdp, probabilities = processes.process("dense", seed)
    log_policy = policy_of(mdp, scores)
    visits = tabular.visitation(mdp, log_policy)
    reward, ending, terminal, _ = processes.parts(mdp, probabilities)
    earned = np.sum(visits.state_actions * reward) + np.sum((visits.states * ending)[terminal])
    values = tabular.policy_evaluation(mdp, log_policy)
    np.testing.assert_allclose(earned, mdp.initial @ values, rtol=0, atol=1e-10)


def test_visits_are_the_gradient_of_the_return():
    mdp, _ = processes.process("slip", reward_axes=2)
    soft = tabular.value_iteration(mdp, temperature=0.5, tolerance=1e-13)

    def start_value(reward):
        mdp_ = mdp.replace(reward=reward)
        return mdp.initial @ tabular.value_iteration(mdp_, temperature=0.5, tolerance=1e-13).values

    np.testing.assert_allclose(
        jax.jit(jax.grad(start_value))(mdp.reward),
        tabular.visitation(mdp, soft.log_policy).state_actions,
        rtol=0,
        atol=1e-10,
    )


def test_a_terminal_state_counts_its_arrivals():
    """A corridor of four: arrived at once, after three steps, and not left."""
    mdp = tabular.MDP(
        tabular.Gather(jnp.array([[1], [2], [3], [3]])),
        jnp.zeros(4),
        jnp.array([1.0, 0.0, 0.0, 0.0]),
        0.5,
        terminal=jnp.arange(4) == 3,
    )
    visits = tabular.visitation(mdp, jnp.zeros((4, 1)))
    np.testing.assert_allclose(visits.states, [1, 0.5, 0.25, 0.125], atol=1e-14)
    np.testing.assert_allclose(visits.state_actions[:, 0], [1, 0.5, 0.25, 0], atol=1e-14)
    endless = tabular.visitation(mdp.replace(terminal=jnp.zeros(4, bool)), jnp.zeros((4, 1)))
    np.testing.assert_allclose(endless.states, [1, 0.5, 0.25, 0.25], atol=1e-13)


def test_visits_over_time_sum_to_visits():
    mdp, _ = processes.process("slip")
    log_policy = policy_of(mdp, np.random.default_rng(0).normal(size=(6, 3)))
    over_time = tabular.finite_visitation(mdp, jnp.broadcast_to(log_policy, (300, 6, 3)))
    visits = tabular.visitation(mdp, log_policy)
    np.testing.assert_allclose(over_time.states.sum(axis=0), visits.states, atol=1e-10)
    np.testing.assert_allclose(
        over_time.state_actions.sum(axis=0), visits.state_actions, atol=1e-10
    )
