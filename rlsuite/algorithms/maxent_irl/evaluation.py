"""How well a learned reward explains the demonstrations and replaces the true reward."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Array, Float

from rlsuite.algorithms.maxent_irl.demonstrations import Demonstrations
from rlsuite.algorithms.maxent_irl.likelihood import Config, Problem, Reward, solve, visits
from rlsuite.ops import tabular


class Evaluation(NamedTuple):
    """How well a reward explains the demonstrations and replaces the true reward.

    Attributes:
        expected_value_difference: What is lost under the true reward by acting optimally for the
            learned one, E_{p₀}[V* − V^π] (Levine, Popović, Koltun 2011, sec. 5).
        transfer_value_difference: The same in the transfer MDP; 0 without one.
        policy_kl: The mean of KL(μ(·|s) ‖ π(·|s)) over the states in which the demonstrations
            act; μ is their distribution of actions, π the soft-optimal policy.
        visitation_error: The largest difference in discounted visits of a state, L∞(ρ_π − ρ_D).
    """

    expected_value_difference: Float[Array, ""]
    transfer_value_difference: Float[Array, ""]
    policy_kl: Float[Array, ""]
    visitation_error: Float[Array, ""]


def evaluate_reward(
    reward: Callable[[Float[Array, "..."]], Reward], problem: Problem, config: Config
) -> Evaluation:
    """Measure a reward against a problem.

    Args:
        reward: From features to rewards.
        problem: The problem; the reward of its MDP is taken for the true one.
        config: Gives the soft-optimal policy and the horizon.

    Returns:
        The measures.
    """
    mdp, features, demonstrations, transfer = problem
    learned = reward(features)
    policy = solve(mdp.replace(reward=learned), config).log_policy
    visited = visits(mdp, policy)
    elsewhere = jnp.zeros(())
    if transfer is not None:
        elsewhere = value_difference(transfer[0], reward(transfer[1]), config)
    return Evaluation(
        expected_value_difference=value_difference(mdp, learned, config),
        transfer_value_difference=elsewhere,
        policy_kl=policy_kl(demonstrations, policy if policy.ndim == 2 else _average(visited)),
        visitation_error=jnp.max(jnp.abs(visited.total().states - demonstrations.total().states)),
    )


def value_difference(
    mdp: tabular.MDP,
    learned: Reward,
    config: Config = Config(),  # noqa: B008
) -> Float[Array, ""]:
    """E_{p₀}[V* − V^π] under the MDP's reward, π being optimal for the learned one.

    Args:
        mdp: The MDP with the true reward.
        learned: The learned reward.
        config: Gives the horizon and the solver.

    Returns:
        The difference, at least 0 up to rounding.
    """
    if config.horizon is None:
        optimal = functools.partial(
            tabular.value_iteration, method=config.solver, tolerance=config.tolerance
        )
        best = optimal(mdp).values
        reached = tabular.policy_evaluation(mdp, optimal(mdp.replace(reward=learned)).log_policy)
    else:
        best = tabular.backward_induction(mdp, config.horizon).values[0]
        policy = tabular.backward_induction(mdp.replace(reward=learned), config.horizon).log_policy
        reached = tabular.finite_policy_evaluation(mdp, policy)[0]
    return jnp.vdot(mdp.initial, best - reached)


def policy_kl(
    demonstrations: Demonstrations, log_policy: Float[Array, "state action"]
) -> Float[Array, ""]:
    """The mean of KL(μ(·|s) ‖ π(·|s)) over the states in which the demonstrations act.

    Args:
        demonstrations: Their visits give μ(a|s) = ρ_D(s,a) / Σ_a ρ_D(s,a).
        log_policy: log π(a|s).

    Returns:
        The mean, in nats.
    """
    actions = demonstrations.total().state_actions
    total = jnp.sum(actions, axis=-1, keepdims=True)
    expert = actions / jnp.where(total > 0, total, 1)
    taken = jnp.where(expert > 0, log_policy, 0)
    per_state = jnp.sum(xlogy(expert, expert) - expert * taken, axis=-1)
    return jnp.sum(per_state) / jnp.maximum(jnp.sum(total > 0), 1)


def _average(visited: Demonstrations) -> Float[Array, "state action"]:
    """The log of a time-varying policy's average over time, as visited."""
    actions = visited.total().state_actions
    total = jnp.sum(actions, axis=-1, keepdims=True)
    return jnp.log(actions / jnp.where(total > 0, total, 1))
