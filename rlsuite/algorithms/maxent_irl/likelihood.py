"""The problem, its config, and the likelihood of demonstrations as a function of the reward."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rlsuite.algorithms.maxent_irl.demonstrations import Demonstrations, from_visitation
from rlsuite.configuration import config, setting
from rlsuite.ops import tabular

Reward = Float[Array, " state"] | Float[Array, "state action"]


@config
class Config:
    """Hyperparameters.

    Attributes:
        learning_rate: Of the optimiser, Adam where none is passed to ``make``.
        temperature: τ.
        l1: Weight of ‖θ‖₁ in the loss.
        l2: Weight of ‖θ‖²/2 in the loss.
        hidden_sizes: Widths of the reward network's hidden layers; none makes it linear.
        objective: "likelihood" of the demonstrated actions, or match of the "visitation" from the
            MDP's initial distribution; the same where demonstrations obey the MDP's flow exactly.
        entropy: "causal", or Ziebart's first model of whole "trajectory"s, the same where
            transitions are deterministic.
        horizon: The number of decisions; None for an infinite horizon.
        solver: How the infinite horizon is solved; "newton" as γ nears 1.
        tolerance: At which residual of the Bellman equation.
    """

    learning_rate: float = setting(default=0.01, above=0)
    temperature: float = setting(default=1.0, above=0)
    l1: float = setting(default=0.0, at_least=0)
    l2: float = setting(default=0.0, at_least=0)
    hidden_sizes: tuple[int, ...] = setting(default=(), at_least=1)
    objective: Literal["likelihood", "visitation"] = "likelihood"
    entropy: Literal["causal", "trajectory"] = "causal"
    horizon: int | None = setting(default=None, at_least=1)
    solver: Literal["iterate", "newton"] = "iterate"
    tolerance: float = setting(default=1e-6, above=0)


class Problem(NamedTuple):
    """Demonstrations in an MDP whose reward is to be found.

    Attributes:
        mdp: The MDP. Its own reward is the true one; only ``evaluate`` looks at it. Where the
            truth is unknown, give zeros.
        features: What the reward is a function of: ``[state, feature]`` for a state reward,
            ``[state, action, feature]`` for a state-action reward.
        demonstrations: The expert's visits.
        transfer: A second MDP with its features, where the reward found is tried out; or None.
    """

    mdp: tabular.MDP
    features: Float[Array, "..."]
    demonstrations: Demonstrations
    transfer: tuple[tabular.MDP, Float[Array, "..."]] | None = None


def build_problem(
    mdp: tabular.MDP,
    features: Float[Array, "..."],
    demonstrations: Demonstrations,
    *,
    transfer: tuple[tabular.MDP, Float[Array, "..."]] | None = None,
) -> Problem:
    """Check the parts of a problem, values and all, and put them together.

    Args:
        mdp: The MDP, with the true reward, or zeros where it is unknown.
        features: ``[state, feature]`` or ``[state, action, feature]``.
        demonstrations: The expert's visits.
        transfer: A second MDP and its features, or None.

    Returns:
        The problem.

    Raises:
        ValueError: Naming the part that is not as it must be.
    """
    problem = Problem(mdp, features, demonstrations, transfer)
    finite = demonstrations.states.ndim > 1
    check_shapes(problem, demonstrations.states.shape[0] if finite else None)
    for name, one, inputs in _worlds(problem):
        tabular.check(one, horizon="finite" if finite else "infinite")
        if not np.all(np.isfinite(inputs)):
            raise ValueError(f"features of {name} have values that are not finite")
    for name, visited in demonstrations._asdict().items():
        if not np.all(np.asarray(visited) >= 0):
            raise ValueError(f"demonstrations.{name} has values that are negative or NaN")
    return problem


def check_shapes(problem: Problem, horizon: int | None = None) -> None:
    """Raise ValueError where features, demonstrations and MDP do not fit together."""
    mdp, _, demonstrations, _ = problem
    time = () if horizon is None else (horizon,)
    size = (*time, mdp.num_states, mdp.num_actions)
    if demonstrations.state_actions.shape != size or demonstrations.states.shape != size[:-1]:
        raise ValueError(
            f"demonstrations have the shapes {demonstrations.states.shape} and "
            f"{demonstrations.state_actions.shape}; allowed: {size[:-1]} and {size}"
        )
    for name, one, inputs in _worlds(problem):
        size = (one.num_states, one.num_actions)
        if inputs.shape[:-1] not in (size[:1], size):
            raise ValueError(
                f"features of {name} have shape {inputs.shape}; allowed: {size[0]} states, or "
                f"{size[0]} states by {size[1]} actions, then features"
            )


def _worlds(problem: Problem) -> list[tuple[str, tabular.MDP, Array]]:
    """The MDPs of a problem with their features, by name."""
    worlds = [("mdp", problem.mdp, problem.features)]
    return worlds if problem.transfer is None else [*worlds, ("transfer", *problem.transfer)]


def solve(
    mdp: tabular.MDP, config: Config, values: Float[Array, "*time state"] | None = None
) -> tabular.Solution | tabular.FiniteSolution:
    """The soft-optimal values and policy for ``mdp.reward`` under a config.

    Args:
        mdp: The MDP with the reward to solve.
        config: Gives temperature, entropy, horizon, solver and tolerance.
        values: Where to start on an infinite horizon.

    Returns:
        The solution, differentiable in everything.
    """
    if config.horizon is not None:
        return tabular.backward_induction(
            mdp, config.horizon, temperature=config.temperature, entropy=config.entropy
        )
    return tabular.value_iteration(
        mdp,
        temperature=config.temperature,
        entropy=config.entropy,
        method=config.solver,
        tolerance=config.tolerance,
        initial_values=values,
    )


def loss_of_reward(
    reward: Reward,
    mdp: tabular.MDP,
    demonstrations: Demonstrations,
    config: Config,
    values: Float[Array, "*time state"] | None = None,
) -> Float[Array, ""]:
    """The negative log-likelihood of a demonstration, as a function of the reward.

    Args:
        reward: ``[state]`` or ``[state, action]``.
        mdp: The MDP; its own reward is not used.
        demonstrations: ρ_D.
        config: Gives the objective and the soft-optimal policy.
        values: Where to start value iteration.

    Returns:
        L(r). For the objective "visitation" it lacks a constant; with the entropy "trajectory"
        it is then only a function with the gradient of Ziebart's algorithm 1, which visits states
        under the true dynamics.
    """
    mdp = mdp.replace(reward=reward)
    solution = solve(mdp, config, values)
    if config.objective == "likelihood":
        log_policy = jnp.where(demonstrations.state_actions > 0, solution.log_policy, 0.0)
        return -jnp.vdot(demonstrations.state_actions, log_policy)
    if config.entropy == "trajectory":
        visited = jax.lax.stop_gradient(visits(mdp, solution.log_policy))
        partition = earned(reward, visited)
    else:
        first = solution.values if config.horizon is None else solution.values[0]
        partition = jnp.vdot(mdp.initial, first)
    return (partition - earned(reward, demonstrations)) / config.temperature


def visits(mdp: tabular.MDP, log_policy: Float[Array, "*time state action"]) -> Demonstrations:
    """The visits of a policy, in the form of demonstrations, on the horizon it was made for."""
    finite = log_policy.ndim == 3
    visitation = tabular.finite_visitation if finite else tabular.visitation
    return from_visitation(visitation(mdp, log_policy))


def earned(reward: Reward, demonstrations: Demonstrations) -> Float[Array, ""]:
    """The discounted reward ⟨ρ, r⟩ that visits earn."""
    total = demonstrations.total()
    return jnp.vdot(total.states if reward.ndim == 1 else total.state_actions, reward)
