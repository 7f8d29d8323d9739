r"""Conservative Q-learning: critics that never promise more than the data can show.

A soft actor-critic learns from recorded transitions, and pays for every action whose value exceeds
the recorded one's. With critics Q₁, Q₂, slow copies Q̂₁, Q̂₂, and â ~ π(·|s), â' ~ π(·|s'), a step
on transitions (s, a, r, s') drawn uniformly follows the gradients of

    critics      Σ_i ½ E (r + γ (1 − d) min_j Q̂_j(s', â') − Q_i(s, a))² + α P_i,
                 P_i = E [log ∫ exp Q_i(s, u) du − Q_i(s, a)],
    policy       E [η log π(â|s) − min_i Q_i(s, â)],
    temperature  −log η E [log π(â|s) + h],       h = −(dimension of an action),

where d tells that the episode ended for good; then the slow critics move by a share of the way. The
integral is estimated from actions drawn uniformly, from π(·|s) and from π(·|s'), each weighted by
its own density. For α large enough, a policy that prefers what the critics prefer has an expected Q
that is a lower bound of its value (theorem 3.2). With ``lagrange``, α is multiplied by λ ≥ 0, which
grows where the mean P exceeds ``gap`` and falls where it does not.

References:
    Kumar, Zhou, Tucker, Levine: Conservative Q-learning for offline reinforcement learning.
    NeurIPS 2020, arXiv:2006.04779, eq. 4, appendix F.
    Haarnoja, Zhou, Hartikainen, Tucker, Ha, Tan, Kumar, Zhu, Gupta, Abbeel, Levine: Soft
    actor-critic algorithms and applications. 2018, arXiv:1812.05905.
"""

import math
from typing import Any, NamedTuple

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
from rlsuite.ops.distributions import TanhNormal
from rlsuite.ops.offline import log_integral

__all__ = [
    "Config",
    "Draws",
    "Evaluation",
    "Losses",
    "Networks",
    "Params",
    "State",
    "default_networks",
    "loss",
    "make",
    "propose",
    "soft_maximum",
    "update",
]

_MOST = 1e6
"""Of the multiplier."""


@config
class Config:
    """Hyperparameters; the defaults are those of the paper's locomotion, as CORL has them.

    Attributes:
        learning_rate: Of the critics and the multiplier.
        policy_learning_rate: Of the policy and its temperature.
        discount: γ.
        penalty_weight: α; 0 is a soft actor-critic.
        gap: What ``lagrange`` holds the mean penalty at.
        target_rate: By what share of the way the slow critics follow.
        reward_scale: By what rewards are multiplied.
        reward_shift: What is added to them then.
        lagrange: Whether the penalty's weight is adapted.
        num_actions: How many actions of each of three kinds estimate the integral.
        batch_size: Transitions of one step.
        hidden_sizes: The widths of all networks' hidden layers.
        normalize_observations: Whether observations get mean 0 and deviation 1.
        evaluation_episodes: How many episodes an evaluation has.
        evaluation_length: After so many actions an episode is left.
    """

    learning_rate: float = setting(default=3e-4, above=0)
    policy_learning_rate: float = setting(default=3e-5, above=0)
    discount: float = setting(default=0.99, at_least=0, at_most=1)
    penalty_weight: float = setting(default=5.0, at_least=0)
    gap: float = setting(default=5.0)
    target_rate: float = setting(default=0.005, above=0, at_most=1)
    reward_scale: float = setting(default=1.0, above=0)
    reward_shift: float = setting(default=0.0)
    lagrange: bool = False
    num_actions: int = setting(default=10, at_least=1)
    batch_size: int = setting(default=256, at_least=1)
    hidden_sizes: tuple[int, ...] = setting(default=(256, 256, 256), at_least=1)
    normalize_observations: bool = True
    evaluation_episodes: int = setting(default=10, at_least=1)
    evaluation_length: int = setting(default=1000, at_least=1)


class Networks(NamedTuple):
    """What is learned, as functions.

    Attributes:
        policy: From observations to ``TanhNormal`` distributions over actions.
        critic: From (observations, actions), each with any leading axes, to the values
            ``[critic, *axes]``.
    """

    policy: Network
    critic: Network


class Params(NamedTuple):
    """What is learned, as parameters.

    Attributes:
        policy: Of the policy.
        critic: Of Q₁ and Q₂.
        log_temperature: log η.
        log_multiplier: log λ; stays 0 without ``lagrange``.
    """

    policy: Weights
    critic: Weights
    log_temperature: Float[Array, ""]
    log_multiplier: Float[Array, ""]


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
        critic_loss: The critics' sum, without the penalty.
        penalty: Their mean P, before it is weighted.
        policy_loss: The policy's.
        value: Mean Q of what was done.
        entropy: Mean of −log π.
        temperature: η.
        multiplier: λ.
    """

    critic_loss: Float[Array, ""]
    penalty: Float[Array, ""]
    policy_loss: Float[Array, ""]
    value: Float[Array, ""]
    entropy: Float[Array, ""]
    temperature: Float[Array, ""]
    multiplier: Float[Array, ""]


def default_networks(problem: Offline, config: Config) -> Networks:
    """The networks that ``make`` uses where none are given.

    Args:
        problem: Recorded episodes.
        config: The hyperparameters.

    Returns:
        Perceptrons with rectified linear units.
    """
    size, sizes = problem.episodes.actions.shape[1], config.hidden_sizes
    return Networks(policies.tanh_gaussian(size, sizes), policies.twin_critic(sizes))


def soft_maximum(
    networks: Networks,
    critic: Weights,
    observations: Float[Array, "batch n"],
    actions: Float[Array, "number batch m"],
    log_densities: Float[Array, "number batch"],
) -> Float[Array, "critic batch"]:
    """Estimates of log ∫ exp Q_i(s, u) du.

    Args:
        networks: The networks.
        critic: The critics' parameters.
        observations: s, as networks see them.
        actions: Drawn for each of them, of any densities.
        log_densities: Their logarithms.

    Returns:
        Of each critic at each observation.
    """
    seen = jnp.broadcast_to(observations, (len(actions), *observations.shape))
    values = networks.critic.apply(critic, (seen, actions))
    return jax.vmap(lambda values: log_integral(values, log_densities))(values)


class Draws(NamedTuple):
    """Actions drawn for a batch.

    Attributes:
        now: â ~ π(·|s).
        log_prob: log π(â|s).
        later: â' ~ π(·|s').
        actions: For the integral: uniform ones, further ones of π(·|s), and of π(·|s').
        log_densities: Theirs.
    """

    now: Float[Array, "batch m"]
    log_prob: Float[Array, " batch"]
    later: Float[Array, "batch m"]
    actions: Float[Array, "number batch m"]
    log_densities: Float[Array, "number batch"]


def propose(now: TanhNormal, later: TanhNormal, key: PRNGKeyArray, number: int) -> Draws:
    """Draw actions; through ``now`` and ``log_prob`` flow gradients.

    Args:
        now: π(·|s).
        later: π(·|s').
        key: Key.
        number: How many of each of three kinds, for the integral.

    Returns:
        The actions.
    """
    of_uniform, of_policies = jax.random.split(key)
    # Both policies at once: every call of a random generator takes long to compile.
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), now, later)
    many = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (1 + number, *leaf.shape)), both)
    actions, log_probs = many.sample_with_log_prob(of_policies)
    batch, size = now.loc.shape
    shape = (number, batch, size)
    uniform = jax.random.uniform(of_uniform, shape, actions.dtype, -1.0, 1.0)
    density = jnp.full((number, batch), -size * math.log(2.0), actions.dtype)
    drawn, densities = jax.lax.stop_gradient((actions[1:], log_probs[1:]))
    return Draws(
        now=actions[0, 0],
        log_prob=log_probs[0, 0],
        later=actions[0, 1],
        actions=jnp.concatenate([uniform, drawn[:, 0], drawn[:, 1]]),
        log_densities=jnp.concatenate([density, densities[:, 0], densities[:, 1]]),
    )


def loss(
    networks: Networks,
    config: Config,
    params: Params,
    target: Weights,
    key: PRNGKeyArray,
    batch: Transitions,
) -> tuple[Float[Array, ""], Losses]:
    """The losses' sum; each moves its own part of the parameters only.

    Args:
        networks: The networks.
        config: The hyperparameters.
        params: Their parameters.
        target: The slow critics.
        key: Key.
        batch: Transitions, as networks see them.

    Returns:
        (sum, its parts).
    """
    fixed = jax.lax.stop_gradient(params)
    now = networks.policy.apply(params.policy, batch.observations)
    later = networks.policy.apply(fixed.policy, batch.next_observations)
    draws = propose(now, later, key, config.num_actions)

    temperature, entropy = jnp.exp(fixed.log_temperature), -jnp.mean(draws.log_prob)
    guesses = networks.critic.apply(fixed.critic, (batch.observations, draws.now))
    policy_loss = -temperature * entropy - jnp.mean(jnp.min(guesses, axis=0))
    surplus = jax.lax.stop_gradient(entropy) + batch.actions.shape[-1]
    temperature_loss = params.log_temperature * surplus

    after = networks.critic.apply(target, (batch.next_observations, draws.later))
    after = jnp.where(batch.terminals, 0.0, jnp.min(after, axis=0))
    goal = batch.rewards + config.discount * after
    values = networks.critic.apply(params.critic, (batch.observations, batch.actions))
    critic_loss = 0.5 * jnp.sum(jnp.mean(jnp.square(values - goal), axis=-1))

    soft = soft_maximum(
        networks, params.critic, batch.observations, draws.actions, draws.log_densities
    )
    excess = jnp.mean(soft - values, axis=-1)
    multiplier = jnp.exp(params.log_multiplier)
    total = critic_loss + policy_loss + temperature_loss
    total += config.penalty_weight * jax.lax.stop_gradient(multiplier) * jnp.sum(excess)
    if config.lagrange:
        total -= multiplier * jax.lax.stop_gradient(jnp.mean(excess) - config.gap)
    told = Losses(
        critic_loss,
        jnp.mean(excess),
        policy_loss,
        jnp.mean(values),
        entropy,
        temperature,
        multiplier,
    )
    return total, told


def update(
    networks: Networks,
    optimizers: tuple[optax.GradientTransformation, ...],
    config: Config,
    key: PRNGKeyArray,
    state: State,
    batch: Transitions,
) -> tuple[State, Losses]:
    """One step on a batch.

    Args:
        networks: The networks.
        optimizers: One for each part of ``Params``.
        config: The hyperparameters.
        key: Key.
        state: Where training stands.
        batch: Transitions, as networks see them.

    Returns:
        (state, the losses before the step).
    """

    def total(params: Params) -> tuple[Float[Array, ""], Losses]:
        return loss(networks, config, params, state.target, key, batch)

    gradient, told = jax.grad(total, has_aux=True)(state.params)
    params, kept = descend(optimizers, gradient, state.optimizers, state.params)
    # Held there, rather than in the loss, it has a slope by which to come down again.
    most = jnp.minimum(params.log_multiplier, math.log(_MOST))
    params = params._replace(log_multiplier=most)
    target = optax.incremental_update(params.critic, state.target, config.target_rate)
    return State(params, target, kept, state.scale), told


def make(
    problem: Offline,
    config: Config = Config(),  # noqa: B008
    *,
    networks: Networks | None = None,
    optimizer: Rule = optax.adam,
) -> Algorithm:
    """Conservative Q-learning.

    Args:
        problem: Recorded episodes.
        config: The hyperparameters.
        networks: Policy and critics; by default ``default_networks(problem, config)``.
        optimizer: From a learning rate to an optax transformation.

    Returns:
        The algorithm: ``step`` returns ``Losses``, ``evaluate`` an ``Evaluation``; there is none
        where the problem has no environment. ``act`` takes an observation, or a whole ``Timestep``,
        and returns an action as a vector; with a key of None the median one.

    Raises:
        ValueError: If actions are categories.

    Example:
        >>> import numpy as np
        >>> from rlsuite.core import run
        >>> from rlsuite.envs.episodes import Episode, join
        >>> from rlsuite.data.offline import offline
        >>> tried = np.tile([-0.5, 0.5], 50)[:, None]  # In one state; the second earns 10 more.
        >>> episode = Episode(np.zeros((101, 1)), tried, 10 * tried[:, 0], terminal=True)
        >>> problem = offline("bandit", join([episode]))
        >>> settings = Config(
        ...     policy_learning_rate=3e-3, learning_rate=3e-3, discount=0.0, hidden_sizes=(32,)
        ... )
        >>> result = run(make, problem, settings, jax.random.key(0), 300, progress=False)
        >>> action, _ = make(problem, settings).act(None, result.state, jnp.zeros(1), None)
        >>> float(action[0]) > 0.2
        True
    """
    require_vectors(problem)
    nets = default_networks(problem, config) if networks is None else networks
    slow, fast = optimizer(config.policy_learning_rate), optimizer(config.learning_rate)
    optimizers = Params(policy=slow, critic=fast, log_temperature=slow, log_multiplier=fast)

    def init(key: PRNGKeyArray) -> State:
        of_policy, of_critic = jax.random.split(key)
        one, done = problem.episodes.observations[:1], problem.episodes.actions[:1]
        params = Params(
            policy=nets.policy.init(of_policy, one),
            critic=nets.critic.init(of_critic, (one, done)),
            log_temperature=jnp.zeros(()),
            log_multiplier=jnp.zeros(()),
        )
        states = tuple(rule.init(part) for rule, part in zip(optimizers, params, strict=True))
        target = jax.tree.map(jnp.copy, params.critic)
        scale = scaling(problem, normalize=config.normalize_observations)
        return State(params, target, states, scale)

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Losses]:
        of_batch, of_update = jax.random.split(key)
        batch = sample(
            of_batch,
            problem,
            state.scale,
            config.batch_size,
            reward_scale=config.reward_scale,
            reward_shift=config.reward_shift,
        )
        return update(nets, optimizers, config, of_update, state, batch)

    act = acting(nets.policy)
    evaluate = evaluation(problem, act, config.evaluation_episodes, config.evaluation_length)
    return Algorithm(init, step, act, evaluate)
