r"""Implicit Q-learning: improve on the data without asking what other actions are worth.

With two critics Q₁, Q₂ and slow copies Q̂₁, Q̂₂ of them, Q̂ = min(Q̂₁, Q̂₂), a step on transitions
(s, a, r, s') drawn uniformly follows the gradients of

    value     E |τ − 1[A < 0]| A²,                A = Q̂(s, a) − V(s),
    critics   E ½ Σ_i (r + γ (1 − d) V(s') − Q_i(s, a))²,
    policy    E min(exp(B A), 100) (−log π(a|s)),

where d tells that the episode ended for good; then the slow critics move by a share of the way. V
is a τ-expectile over the *recorded* actions, so that with τ → 1 it tends to the value of the best
policy that does nothing which was never done.

References:
    Kostrikov, Nair, Levine: Offline reinforcement learning with implicit Q-learning. ICLR 2022,
    arXiv:2110.06169.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.offline import (
    Evaluation,
    Rule,
    acting,
    descend,
    evaluation,
    require_vectors,
    sample,
    scaling,
)
from rlsuite.configuration import config, setting
from rlsuite.core import Algorithm
from rlsuite.data.normalizers import Gaussian
from rlsuite.data.offline import Offline
from rlsuite.data.transitions import Transitions
from rlsuite.nets import Network, policies
from rlsuite.nets.network import Params as Weights
from rlsuite.ops.offline import advantage_weights, expectile_loss

__all__ = [
    "Config",
    "Evaluation",
    "Losses",
    "Networks",
    "Params",
    "State",
    "default_networks",
    "loss",
    "make",
    "update",
]


@config
class Config:
    """Hyperparameters; the defaults are those of the paper's locomotion.

    Attributes:
        learning_rate: Of all three optimisers.
        discount: γ.
        expectile: τ of the value.
        temperature: B, the inverse temperature of the policy's weights; 0 is behaviour cloning.
        target_rate: By what share of the way the slow critics follow.
        reward_scale: By what rewards are multiplied.
        reward_shift: What is added to them then.
        batch_size: Transitions of one step.
        annealing_steps: After how many steps the policy's learning rate has fallen to 0, along a
            cosine; None keeps it.
        policy: "gaussian" with a deviation that does not depend on the state, or "deterministic".
        hidden_sizes: The widths of all networks' hidden layers.
        normalize_observations: Whether observations get mean 0 and deviation 1.
        evaluation_episodes: How many episodes an evaluation has.
        evaluation_length: After so many actions an episode is left.
    """

    learning_rate: float = setting(default=3e-4, above=0)
    discount: float = setting(default=0.99, at_least=0, at_most=1)
    expectile: float = setting(default=0.7, above=0, below=1)
    temperature: float = setting(default=3.0, at_least=0)
    target_rate: float = setting(default=0.005, above=0, at_most=1)
    reward_scale: float = setting(default=1.0, above=0)
    reward_shift: float = setting(default=0.0)
    batch_size: int = setting(default=256, at_least=1)
    annealing_steps: int | None = setting(default=1_000_000, at_least=1)
    policy: Literal["gaussian", "deterministic"] = "gaussian"
    hidden_sizes: tuple[int, ...] = setting(default=(256, 256), at_least=1)
    normalize_observations: bool = True
    evaluation_episodes: int = setting(default=10, at_least=1)
    evaluation_length: int = setting(default=1000, at_least=1)


class Networks(NamedTuple):
    """What is learned, as functions.

    Attributes:
        policy: From observations to a distribution over actions.
        critic: From (observations, actions) to the values ``[critic, batch]``.
        value: From observations to values ``[batch]``.
    """

    policy: Network
    critic: Network
    value: Network


class Params(NamedTuple):
    """What is learned, as parameters.

    Attributes:
        policy: Of the policy.
        critic: Of Q₁ and Q₂.
        value: Of V.
    """

    policy: Weights
    critic: Weights
    value: Weights


class State(NamedTuple):
    """What training leaves.

    Attributes:
        params: What is learned.
        target: The slow critics.
        optimizers: The optimisers' states, one for each part.
        scale: Of observations.
    """

    params: Params
    target: Weights
    optimizers: tuple[Any, ...]
    scale: Gaussian


class Losses(NamedTuple):
    """Of one step, before it.

    Attributes:
        value_loss: V's.
        critic_loss: The critics' mean.
        policy_loss: The policy's.
        value: Mean of V.
        advantage: Mean of A.
        weight: Mean weight of an action.
    """

    value_loss: Float[Array, ""]
    critic_loss: Float[Array, ""]
    policy_loss: Float[Array, ""]
    value: Float[Array, ""]
    advantage: Float[Array, ""]
    weight: Float[Array, ""]


def default_networks(problem: Offline, config: Config) -> Networks:
    """The networks that ``make`` uses where none are given.

    Args:
        problem: Recorded episodes.
        config: The hyperparameters.

    Returns:
        Perceptrons with rectified linear units.
    """
    kinds = {"deterministic": policies.deterministic, "gaussian": policies.gaussian}
    sizes = config.hidden_sizes
    return Networks(
        policy=kinds[config.policy](problem.episodes.actions.shape[1], sizes),
        critic=policies.twin_critic(sizes),
        value=policies.value(sizes),
    )


def loss(
    networks: Networks, config: Config, params: Params, target: Weights, batch: Transitions
) -> tuple[Float[Array, ""], Losses]:
    """The three losses' sum; each moves its own part of the parameters only.

    Args:
        networks: The networks.
        config: The hyperparameters.
        params: Their parameters.
        target: The slow critics.
        batch: Transitions, as networks see them.

    Returns:
        (sum, its parts).
    """
    pairs = batch.observations, batch.actions
    value = networks.value.apply(params.value, batch.observations)
    advantage = jnp.min(networks.critic.apply(target, pairs), axis=0) - value
    value_loss = jnp.mean(expectile_loss(advantage, config.expectile))

    later = jax.lax.stop_gradient(networks.value.apply(params.value, batch.next_observations))
    goal = batch.rewards + config.discount * jnp.where(batch.terminals, 0.0, later)
    critic_loss = jnp.mean(jnp.square(networks.critic.apply(params.critic, pairs) - goal))

    weights = advantage_weights(jax.lax.stop_gradient(advantage), config.temperature)
    policy = networks.policy.apply(params.policy, batch.observations)
    policy_loss = -jnp.mean(weights * policy.log_prob(batch.actions))
    told = Losses(
        value_loss,
        critic_loss,
        policy_loss,
        jnp.mean(value),
        jnp.mean(advantage),
        jnp.mean(weights),
    )
    return value_loss + critic_loss + policy_loss, told


def update(
    networks: Networks,
    optimizers: tuple[optax.GradientTransformation, ...],
    config: Config,
    state: State,
    batch: Transitions,
) -> tuple[State, Losses]:
    """One step on a batch.

    Args:
        networks: The networks.
        optimizers: One for each part of ``Params``.
        config: The hyperparameters.
        state: Where training stands.
        batch: Transitions, as networks see them.

    Returns:
        (state, the losses before the step).
    """

    def total(params: Params) -> tuple[Float[Array, ""], Losses]:
        return loss(networks, config, params, state.target, batch)

    gradient, told = jax.grad(total, has_aux=True)(state.params)
    params, kept = descend(optimizers, gradient, state.optimizers, state.params)
    target = optax.incremental_update(params.critic, state.target, config.target_rate)
    return State(params, target, kept, state.scale), told


def make(
    problem: Offline,
    config: Config = Config(),  # noqa: B008
    *,
    networks: Networks | None = None,
    optimizer: Rule = optax.adam,
) -> Algorithm:
    """Implicit Q-learning.

    Args:
        problem: Recorded episodes.
        config: The hyperparameters.
        networks: Policy, critics and value; by default ``default_networks(problem, config)``.
        optimizer: From a learning rate, or a schedule of it, to an optax transformation.

    Returns:
        The algorithm: ``step`` returns ``Losses``, ``evaluate`` an ``Evaluation``; there is none
        where the problem has no environment. ``act`` takes an observation, or a whole ``Timestep``,
        and returns an action as a vector; with a key of None the likeliest.

    Raises:
        ValueError: If actions are categories.

    Example:
        >>> import numpy as np
        >>> from rlsuite.core import run
        >>> from rlsuite.envs.episodes import Episode, join
        >>> from rlsuite.data.offline import offline
        >>> tried = np.tile([-0.5, 0.5], 50)[:, None]  # In one state; the second earns 1 more.
        >>> episode = Episode(np.zeros((101, 1)), tried, tried[:, 0], terminal=True)
        >>> problem = offline("bandit", join([episode]))
        >>> settings = Config(learning_rate=3e-3, discount=0.0, hidden_sizes=(32,))
        >>> result = run(make, problem, settings, jax.random.key(0), 300, progress=False)
        >>> action, _ = make(problem, settings).act(None, result.state, jnp.zeros(1), None)
        >>> float(action[0]) > 0.2
        True
    """
    require_vectors(problem)
    nets = default_networks(problem, config) if networks is None else networks
    fixed, annealed = optimizer(config.learning_rate), optimizer(_policy_rate(config))
    optimizers = Params(policy=annealed, critic=fixed, value=fixed)

    def init(key: PRNGKeyArray) -> State:
        of_policy, of_critic, of_value = jax.random.split(key, 3)
        one, done = problem.episodes.observations[:1], problem.episodes.actions[:1]
        params = Params(
            policy=nets.policy.init(of_policy, one),
            critic=nets.critic.init(of_critic, (one, done)),
            value=nets.value.init(of_value, one),
        )
        states = tuple(rule.init(part) for rule, part in zip(optimizers, params, strict=True))
        # A copy: run donates the state, and no buffer may be given away twice.
        target = jax.tree.map(jnp.copy, params.critic)
        scale = scaling(problem, normalize=config.normalize_observations)
        return State(params, target, states, scale)

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Losses]:
        batch = sample(
            key,
            problem,
            state.scale,
            config.batch_size,
            reward_scale=config.reward_scale,
            reward_shift=config.reward_shift,
        )
        return update(nets, optimizers, config, state, batch)

    act = acting(nets.policy)
    evaluate = evaluation(problem, act, config.evaluation_episodes, config.evaluation_length)
    return Algorithm(init, step, act, evaluate)


def _policy_rate(config: Config) -> Any:
    """The policy's learning rate, or a schedule of it."""
    if config.annealing_steps is None:
        return config.learning_rate
    return optax.cosine_decay_schedule(config.learning_rate, config.annealing_steps)
