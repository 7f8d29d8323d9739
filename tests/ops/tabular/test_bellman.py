import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from ops import processes

from rlsuite.ops import tabular

VALUES = arrays(np.float64, 6, elements=st.floats(-100, 100))
ACTION_VALUES = arrays(np.float64, (6, 3), elements=st.floats(-50, 50))
PROCESSES = st.builds(
    lambda *options: processes.process(*options)[0],
    st.sampled_from(["dense", "gather", "slip"]),
    st.integers(0, 3),
)


def sweep(mdp, values, temperature, entropy):
    entropy = "causal" if temperature is None else entropy
    q = tabular.action_values(mdp, jnp.asarray(values), temperature=temperature, entropy=entropy)
    return np.asarray(tabular.backup(mdp, q, temperature))


@settings(max_examples=50, deadline=None)
@given(
    PROCESSES,
    VALUES,
    VALUES,
    st.sampled_from([None, 0.1, 1.0, 10.0]),
    st.sampled_from(["causal", "trajectory"]),
)
def test_the_bellman_operator_is_a_monotone_contraction(mdp, one, two, temperature, entropy):
    low, high = np.minimum(one, two), np.maximum(one, two)
    rise = sweep(mdp, high, temperature, entropy) - sweep(mdp, low, temperature, entropy)
    assert np.all(rise >= -1e-10)
    assert np.max(rise) <= 0.9 * np.max(high - low) + 1e-10


@settings(max_examples=25, deadline=None)
@given(PROCESSES, ACTION_VALUES, ACTION_VALUES)
def test_the_soft_policy_attains_the_value_and_no_other_exceeds_it(mdp, q, other):
    """V = max_π Σ π (Q − τ log π)."""
    acting = ~np.asarray(mdp.terminal)
    values = tabular.backup(mdp, jnp.asarray(q), 2.0)[acting]

    def objective(scores):
        log_policy = np.asarray(tabular.log_policy(mdp, jnp.asarray(scores), 2.0))[acting]
        policy = np.exp(log_policy)
        np.testing.assert_allclose(policy.sum(axis=1), 1, atol=1e-12)
        return np.sum(policy * (q[acting] - 2.0 * np.where(policy > 0, log_policy, 0)), axis=1)

    np.testing.assert_allclose(values, objective(q), atol=1e-10)
    assert np.all(objective(other) <= values + 1e-10)


@pytest.mark.parametrize("temperature", [None, 0.5])
def test_masks_and_terminal_states(temperature):
    for axes in (1, 2, 3):
        mdp, probabilities = processes.process(reward_axes=axes)
        values = np.random.default_rng(0).normal(size=6)
        reward, ending, terminal, allowed = processes.parts(mdp, probabilities)
        q = np.where(terminal[:, None], ending[:, None], reward + 0.9 * probabilities @ values)
        np.testing.assert_allclose(
            tabular.action_values(mdp, jnp.asarray(values)), q, rtol=0, atol=1e-13
        )
        new = np.asarray(tabular.backup(mdp, jnp.asarray(q), temperature))
        assert np.array_equal(new[terminal], ending[terminal])
        log_policy = np.asarray(tabular.log_policy(mdp, jnp.asarray(q), temperature))
        assert np.all(log_policy[~allowed & ~terminal[:, None]] == -np.inf)
        np.testing.assert_allclose(log_policy[terminal], -np.log(3), atol=1e-14)
        best = np.max(np.where(allowed, q, -np.inf), axis=1)
        if temperature is None:
            np.testing.assert_allclose(new[~terminal], best[~terminal], atol=1e-13)
            chosen = np.argmax(log_policy, axis=1)
            assert np.array_equal(q[np.arange(6), chosen][~terminal], best[~terminal])
        else:
            assert np.all(new[~terminal] >= best[~terminal])


def test_ties_are_shared_up_to_rounding_only():
    mdp = processes.process(masked=False)[0]
    q = jnp.array([[1.0, 1.0 + 1e-15, 0.0]] * 3 + [[1.0, 1.0 + 1e-9, 0.0]] * 3)
    policy = jnp.exp(tabular.log_policy(mdp, q))
    np.testing.assert_allclose(policy[:3], [[0.5, 0.5, 0.0]] * 3, atol=1e-15)
    np.testing.assert_array_equal(policy[3:], [[0.0, 1.0, 0.0]] * 3)


def test_the_soft_backup_tends_to_the_hard_one():
    mdp = processes.process()[0]
    q = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)))
    hard = tabular.backup(mdp, q)
    for temperature in (1e-2, 1e-3, 1e-300):
        gap = tabular.backup(mdp, q, temperature) - hard
        assert np.all(gap >= -1e-15)
        assert np.all(gap <= temperature * np.log(3) + 1e-15)


def test_entropies_agree_for_deterministic_dynamics_only():
    values = jnp.asarray(np.random.default_rng(0).normal(size=6))
    for kind, equal in (("gather", True), ("slip", False), ("dense", False)):
        mdp = processes.process(kind)[0]
        causal = tabular.action_values(mdp, values, temperature=0.5)
        path = tabular.action_values(mdp, values, temperature=0.5, entropy="trajectory")
        if equal:
            np.testing.assert_allclose(path, causal, rtol=0, atol=1e-14)
        else:
            assert np.all(path[:5] >= causal[:5])  # Jensen's inequality
            assert np.max(path - causal) > 0.05
