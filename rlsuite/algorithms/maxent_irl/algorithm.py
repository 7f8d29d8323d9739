r"""Maximum-entropy inverse reinforcement learning.

Demonstrations with discounted visits ρ_D are explained by the reward r_θ under which they are most
likely for an agent whose policy is soft-optimal at temperature τ,

    V(s) = τ log Σ_a exp(Q(s, a)/τ),   Q(s, a) = r_θ(s, a) + γ E[V(s')],   π = exp((Q − V)/τ).

The negative log-likelihood of a demonstration, and its gradient in the reward, are

    L(r) = −Σ ρ_D(s, a) log π_r(a|s) = ( Σ_s p_D(s) V_r(s) − ⟨ρ_D, r⟩ ) / τ,
    τ ∂L/∂r = ρ_π − ρ_D,

with p_D = ρ_D − γ Pᵀ ρ_D the start that the demonstrations imply and ρ_π the visits of π from
there: the gradient is the difference between the visits of the policy and of the expert. The
papers take the MDP's own initial distribution p₀ for p_D (``objective="visitation"``); L is then
convex in r, but for sampled demonstrations, whose visits no policy can match exactly, unbounded
below once the reward has a parameter for every state. The likelihood is bounded.

One algorithm covers three papers: with a linear reward and ``entropy="trajectory"`` it is MaxEnt
IRL (Ziebart 2008, eqs. 4 to 6 and algorithm 1); with ``entropy="causal"`` maximum causal entropy
IRL (Ziebart 2010, ch. 5); with a network for the reward, deep IRL (Wulfmeier 2015, algorithm 1),
whose ∂L/∂θ = (ρ_π − ρ_D) ∂r/∂θ is what back-propagation through L gives.

On an infinite horizon the fixed point is differentiated implicitly. A step warm-starts value
iteration from the last step's values, so that it solves the soft Bellman equation once.

References:
    Ziebart, Maas, Bagnell, Dey: Maximum entropy inverse reinforcement learning. AAAI 2008.
    Ziebart: Modeling purposeful adaptive behavior with the principle of maximum causal entropy.
    PhD thesis, CMU, 2010.
    Wulfmeier, Ondrúška, Posner: Maximum entropy deep inverse reinforcement learning. 2015,
    arXiv:1507.04888.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.maxent_irl.evaluation import Evaluation, evaluate_reward
from rlsuite.algorithms.maxent_irl.likelihood import (
    Config,
    Problem,
    check_shapes,
    loss_of_reward,
    solve,
)
from rlsuite.core import Algorithm
from rlsuite.nets import Network, linear, mlp
from rlsuite.ops import tabular


class State(NamedTuple):
    """The reward's parameters, the optimiser's state, and the values that solve the reward.

    Attributes:
        params: θ.
        optimizer: The optimiser's state.
        values: V for r_θ, ``[state]``; ``[horizon + 1, state]`` on a finite horizon.
    """

    params: Any
    optimizer: optax.OptState
    values: Float[Array, "*time state"]


class Metrics(NamedTuple):
    """Of one step, before its update.

    Attributes:
        loss: The negative log-likelihood of a demonstration, up to a constant, and penalties.
        mismatch: The largest |τ ∂L/∂r|, which is the largest difference in discounted visits,
            L∞(ρ_π − ρ_D).
        gradient_norm: ‖∂L/∂θ‖₂.
    """

    loss: Float[Array, ""]
    mismatch: Float[Array, ""]
    gradient_norm: Float[Array, ""]


def reward_network(config: Config) -> Network:
    """The reward that the config asks for: linear in the features, or a perceptron of them."""
    return mlp(config.hidden_sizes) if config.hidden_sizes else linear()


def penalty(params: Any, config: Config) -> Float[Array, ""]:
    """L1 ‖θ‖₁ + L2 ‖θ‖²/2."""
    leaves = jax.tree.leaves(params)
    absolute = jnp.sum(jnp.asarray([jnp.sum(jnp.abs(leaf)) for leaf in leaves]))
    squared = jnp.sum(jnp.asarray([jnp.sum(leaf**2) for leaf in leaves]))
    return config.l1 * absolute + config.l2 * squared / 2


def make(
    problem: Problem,
    config: Config = Config(),  # noqa: B008
    *,
    reward: Network | None = None,
    optimizer: Callable[[Any], optax.GradientTransformation] = optax.adam,
) -> Algorithm:
    """Maximum-entropy IRL on a problem.

    Args:
        problem: The MDP, features and demonstrations; see ``build_problem``.
        config: The hyperparameters.
        reward: The reward as a network ``(init, apply)`` from features to ``[state]`` or
            ``[state, action]``; by default what ``config.hidden_sizes`` asks for.
        optimizer: From the learning rate to an optax transformation.

    Returns:
        The algorithm: ``step`` returns ``Metrics``, ``evaluate`` an ``Evaluation``; ``act`` draws
        from the soft-optimal policy, its observation being the state's index and its carry the
        time (None is 0).

    Raises:
        ValueError: If the shapes of features, demonstrations and MDP do not fit.

    Example:
        >>> from rlsuite.algorithms.maxent_irl import build_problem, from_expert
        >>> from rlsuite.core import run
        >>> from rlsuite.envs.random_mdp import random_mdp
        >>> mdp = random_mdp(0, num_states=6, num_actions=2, discount=0.9)
        >>> problem = build_problem(mdp, jnp.eye(6), from_expert(mdp, temperature=1.0))
        >>> config = Config(learning_rate=0.3, tolerance=1e-5)
        >>> result = run(make, problem, config, jax.random.key(0), 300, progress=False)
        >>> bool(result.evaluations.visitation_error[0] < 0.01)
        True
    """
    check_shapes(problem, config.horizon)
    mdp, features, demonstrations, _ = problem
    network = reward_network(config) if reward is None else reward
    transformation = optimizer(config.learning_rate)

    def values_of(params: Any, start: Float[Array, "*time state"] | None) -> Array:
        rewarded = mdp.replace(reward=network.apply(params, features))
        return solve(rewarded, config, start).values

    def init(key: PRNGKeyArray) -> State:
        params = network.init(key, features)
        return State(params, transformation.init(params), values_of(params, None))

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        del key
        rewards, pull_back = jax.vjp(lambda params: network.apply(params, features), state.params)
        loss, to_reward = jax.value_and_grad(loss_of_reward)(
            rewards, mdp, demonstrations, config, state.values
        )
        penalised, to_params = jax.value_and_grad(penalty)(state.params, config)
        gradient = jax.tree.map(jnp.add, pull_back(to_reward)[0], to_params)
        updates, opt_state = transformation.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = Metrics(
            loss=loss + penalised,
            mismatch=config.temperature * jnp.max(jnp.abs(to_reward)),
            gradient_norm=optax.tree.norm(gradient),
        )
        return State(params, opt_state, values_of(params, state.values)), metrics

    def act(
        key: PRNGKeyArray, state: State, observation: Int[Array, ""], carry: Any
    ) -> tuple[Int[Array, ""], Any]:
        time = 0 if carry is None else carry
        rewarded = mdp.replace(reward=network.apply(state.params, features))
        ahead = state.values if config.horizon is None else state.values[time + 1]
        q = tabular.action_values(
            rewarded, ahead, temperature=config.temperature, entropy=config.entropy
        )
        logits = tabular.log_policy(rewarded, q, config.temperature)[observation]
        return jax.random.categorical(key, logits), time + 1

    def evaluate(key: PRNGKeyArray, state: State) -> Evaluation:
        del key
        return evaluate_reward(functools.partial(network.apply, state.params), problem, config)

    return Algorithm(init, step, act, evaluate)
