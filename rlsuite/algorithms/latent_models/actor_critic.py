r"""A soft actor-critic in the states of a latent model, as SLAC has it.

    episodes of random actions → [the model → critics, policy and temperature → episodes] again …

The policy sees what is known of the state, the mean m_t of the filtered law, which is a function of
all observations and actions so far; critics see a state s_t drawn from that law, as the policy does
not have to be told. With a' ~ π(· | m_{t+1}) and slow critics Q̄,

    critics      ½ (Q_i(s_t, a_t) + c_t / κ − γ [min_j Q̄_j(s_{t+1}, a') − η log π(a' | m_{t+1})])²,
    policy       E_{a ~ π} [η log π(a | m_t) − min_i Q_i(s_t, a)],
    temperature  log η · (entropy + m),

κ being the deviation of the first episodes' costs. Episodes are cut off: the value of their last
state is asked for like that of any other.

Reference:
    Lee, Nagabandi, Abbeel, Levine: Stochastic latent actor-critic: deep reinforcement learning with
    a latent variable model. NeurIPS 2020, arXiv:1907.00953, equations 8 to 10, whose model is a
    deep one with two layers of states, and whose policy sees the last observations themselves.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.latent_models import learning
from rlsuite.algorithms.latent_models.acting import PlanningEvaluation
from rlsuite.algorithms.latent_models.algorithm import Recorded, default_model
from rlsuite.algorithms.latent_models.config import Config
from rlsuite.algorithms.latent_models.model import LatentModel, potentials
from rlsuite.algorithms.latent_models.prediction import (
    Belief,
    advance,
    filter_states,
    first_belief,
    see,
)
from rlsuite.algorithms.latent_models.rounds import RoundsConfig, begun, rounds_of, trained
from rlsuite.algorithms.latent_models.transition import settled
from rlsuite.configuration import config, setting
from rlsuite.core import Algorithm
from rlsuite.data.pictures import Act, PictureEpisodes, judge, kept, to_light, with_room
from rlsuite.envs.control import Control
from rlsuite.nets import Network, policies
from rlsuite.nets.network import Params as Weights
from rlsuite.ops.gaussian import information


@config
class ActorCriticConfig(RoundsConfig):
    """What a run that learns a policy in latent states is told.

    Attributes:
        policy_updates: Updates of critics and policy in each step of the algorithm.
        batch_size: Transitions in one of them.
        learning_rate: Of all that they move (Adam).
        discount: γ.
        target_rate: By what share of the way the slow critics follow.
        hidden_sizes: The widths of the perceptrons' hidden layers.
    """

    policy_updates: int = setting(default=500, at_least=1)
    batch_size: int = setting(default=128, at_least=1)
    learning_rate: float = setting(default=1e-3, above=0)
    discount: float = setting(default=0.95, at_least=0, below=1)
    target_rate: float = setting(default=0.01, above=0, at_most=1)
    hidden_sizes: tuple[int, ...] = setting(default=(64, 64), at_least=1)


class ActorCriticParams(NamedTuple):
    """What is learned beside the model.

    Attributes:
        policy: π.
        critic: Q_1 and Q_2.
        log_temperature: log η.
    """

    policy: Weights
    critic: Weights
    log_temperature: Float[Array, ""]


class ActorCriticState(NamedTuple):
    """What a run keeps.

    Attributes:
        learner: The model.
        params: Policy, critics and temperature.
        target: The slow critics.
        optimizer: The optimiser's state.
        episodes: What was seen; the oldest make room.
        collected: How many episodes there have been.
        unit: κ.
    """

    learner: learning.State
    params: ActorCriticParams
    target: Weights
    optimizer: Any
    episodes: PictureEpisodes
    collected: Int[Array, ""]
    unit: Float[Array, ""]


class ActorCriticMetrics(NamedTuple):
    """Of one step.

    Attributes:
        cost: The mean cost of its episodes.
        pictures: Σ log p(o | s) of the model's last update.
        divergence: Its KL(q(s) ‖ p(s | a)).
        critic_loss: Of the last update's batch, both critics' sum.
        entropy: The policy's, there.
    """

    cost: Float[Array, ""]
    pictures: Float[Array, ""]
    divergence: Float[Array, ""]
    critic_loss: Float[Array, ""]
    entropy: Float[Array, ""]


class Steps(NamedTuple):
    """Time steps of episodes, as they are inferred.

    Attributes:
        known: m_t.
        state: s_t, a draw.
        action: a_t.
        cost: c_t / κ.
        next_known: m_{t+1}.
        next_state: s_{t+1}.
    """

    known: Float[Array, "batch n"]
    state: Float[Array, "batch n"]
    action: Float[Array, "batch m"]
    cost: Float[Array, " batch"]
    next_known: Float[Array, "batch n"]
    next_state: Float[Array, "batch n"]


def actor_critic_loss(
    networks: tuple[Network, Network],
    discount: float | Float[Array, ""],
    params: ActorCriticParams,
    target: Weights,
    key: PRNGKeyArray,
    batch: Steps,
) -> tuple[Float[Array, ""], tuple[Float[Array, ""], Float[Array, ""]]]:
    """The three losses' sum; each moves its own part of the parameters only.

    Args:
        networks: Policy and critics.
        discount: γ.
        params: Their parameters.
        target: The slow critics.
        key: Key.
        batch: Time steps.

    Returns:
        (sum, (the critics' loss, the policy's entropy)).
    """
    policy, critic = networks
    of_now, of_later = jax.random.split(key)
    fixed = jax.lax.stop_gradient(params)
    temperature = jnp.exp(fixed.log_temperature)
    later, log_later = policy.apply(fixed.policy, batch.next_known).sample_with_log_prob(of_later)
    after = jnp.min(critic.apply(target, (batch.next_state, later)), axis=0)
    goal = discount * (after - temperature * log_later) - batch.cost
    values = critic.apply(params.critic, (batch.state, batch.action))
    critic_loss = jnp.sum(jnp.mean(jnp.square(values - goal), axis=-1)) / 2
    now, log_now = policy.apply(params.policy, batch.known).sample_with_log_prob(of_now)
    guess = jnp.min(critic.apply(fixed.critic, (batch.state, now)), axis=0)
    policy_loss = jnp.mean(temperature * log_now - guess)
    entropy = -jax.lax.stop_gradient(jnp.mean(log_now))
    surplus = params.log_temperature * (entropy + batch.action.shape[-1])
    return critic_loss + policy_loss + surplus, (critic_loss, entropy)


def make_actor_critic(
    problem: Control,
    config: ActorCriticConfig = ActorCriticConfig(),  # noqa: B008
    *,
    model: Callable[[Recorded, Config], LatentModel] = default_model,
    optimizer: optax.GradientTransformation | None = None,
    first: Callable[[Control], Control] | None = None,
) -> Algorithm:
    """Control of one environment by a policy of latent states.

    Args:
        problem: As ``make_planner`` has it.
        config: The hyperparameters.
        model: ``(episodes, config) -> LatentModel``, of which the episodes' shapes count.
        optimizer: The model's; by default Adam, with gradients clipped.
        first: From the problem to where the first episodes, of random actions, are collected: the
            same world with starts spread all over (``rlsuite.envs.pixels.scattered``), say, as
            PC3 collects them. By default the problem itself.

    Returns:
        The algorithm; a step is one round: learn the model, then the policy, and collect. ``act``
        takes an observation or a whole ``Timestep``, and what was known before; None starts an
        episode.

    Raises:
        ValueError: If actions are categories, or what ``first`` gives is seen or acted in
            otherwise than ``problem``.

    Example:
        >>> from rlsuite.envs.pixels import pixel_navigation
        >>> config = ActorCriticConfig(first_rollouts=5, rollouts=1, capacity=8)
        >>> algorithm = make_actor_critic(pixel_navigation(order=1, side=16), config)
        >>> state = jax.eval_shape(algorithm.init, jax.random.key(0))
        >>> state.episodes.images.shape
        (8, 51, 16, 16, 1)
    """
    rounds = rounds_of(problem, config, model, optimizer, first)
    latent, size = rounds.learner.model, rounds.actions
    policy = policies.tanh_gaussian(size, config.hidden_sizes)
    critic = policies.twin_critic(config.hidden_sizes)
    rule = optax.adam(config.learning_rate)

    def agent(state: ActorCriticState, *, draws: bool) -> tuple[Act, Belief]:
        params = state.learner.params
        known = settled(latent.transition, params.transition)

        def act(key: PRNGKeyArray, seen: Any, belief: Belief) -> tuple[Array, Belief]:
            of_action, of_step = jax.random.split(key)
            belief = see(belief, potentials(latent, params, to_light(seen)))
            chosen = policy.apply(state.params.policy, belief.law.mean[None])
            action = (chosen.sample(of_action) if draws else chosen.mode())[0]
            action = jnp.clip(action, -1, 1)
            return action, advance(of_step, latent.transition, known, belief, action)

        return act, first_belief(latent, params, known)

    def inferred(key: PRNGKeyArray, state: ActorCriticState) -> Steps:
        """Every time step of every episode, those of room too."""
        params = state.learner.params
        known = settled(latent.transition, params.transition)

        def states(given: tuple[PRNGKeyArray, PictureEpisodes]) -> tuple[Array, Array]:
            (of_filter, of_draw), episode = jax.random.split(given[0]), given[1]
            images = to_light(episode.images)
            law = filter_states(of_filter, latent, params, known, images, episode.actions).law
            return law.mean, information.sample(of_draw, law)

        keys = jax.random.split(key, config.capacity)
        mean, drawn = jax.lax.map(states, (keys, state.episodes))
        actions, costs = state.episodes.actions, state.episodes.costs / state.unit
        return Steps(mean[:, :-1], drawn[:, :-1], actions, costs, mean[:, 1:], drawn[:, 1:])

    def improved(
        key: PRNGKeyArray, state: ActorCriticState, have: Int[Array, ""]
    ) -> tuple[ActorCriticState, tuple[Array, Array]]:
        of_states, of_updates = jax.random.split(key)
        steps = inferred(of_states, state)

        def one(number: Array, carry: Any) -> Any:
            (params, target, kept_one), _ = carry
            of_batch, of_loss = jax.random.split(jax.random.fold_in(of_updates, number))
            of_episode, of_time = jax.random.split(of_batch)
            episode = jax.random.randint(of_episode, (config.batch_size,), 0, have)
            time = jax.random.randint(of_time, (config.batch_size,), 0, config.length)
            batch = jax.tree.map(lambda x: x[episode, time], steps)

            def loss(params: ActorCriticParams) -> Any:
                both = policy, critic
                return actor_critic_loss(both, config.discount, params, target, of_loss, batch)

            slope, told = jax.grad(loss, has_aux=True)(params)
            change, kept_one = rule.update(slope, kept_one, params)
            params = optax.apply_updates(params, change)
            target = optax.incremental_update(params.critic, target, config.target_rate)
            return (params, target, kept_one), told

        begin = (state.params, state.target, state.optimizer), (jnp.zeros(()), jnp.zeros(()))
        moved, told = jax.lax.fori_loop(0, config.policy_updates, one, begin)
        return state._replace(params=moved[0], target=moved[1], optimizer=moved[2]), told

    def init(key: PRNGKeyArray) -> ActorCriticState:
        of_model, of_policy, of_critic = jax.random.split(key, 3)
        started, shown = begun(of_model, rounds)
        state = jnp.zeros((1, latent.size))
        params = ActorCriticParams(
            policy.init(of_policy, state),
            critic.init(of_critic, (state, jnp.zeros((1, size)))),
            jnp.zeros(()),
        )
        return ActorCriticState(
            started,
            params,
            jax.tree.map(jnp.copy, params.critic),
            rule.init(params),
            with_room(shown, config.capacity),
            jnp.int32(config.first_rollouts),
            jnp.maximum(jnp.std(shown.costs), 1e-6),
        )

    def step(
        key: PRNGKeyArray, state: ActorCriticState
    ) -> tuple[ActorCriticState, ActorCriticMetrics]:
        of_model, of_policy, of_episodes = jax.random.split(key, 3)
        have = jnp.minimum(state.collected, config.capacity)
        learned, parts = trained(of_model, rounds, state.learner, state.episodes, have)
        after, told = improved(of_policy, state._replace(learner=learned), have)
        fresh = rounds.walk(of_episodes, *agent(after, draws=True), config.rollouts)
        after = after._replace(
            episodes=kept(state.episodes, fresh, state.collected),
            collected=state.collected + config.rollouts,
        )
        paid = jnp.mean(jnp.sum(fresh.costs, axis=1))
        return after, ActorCriticMetrics(paid, parts.pictures, parts.divergence, *told)

    def act(
        key: PRNGKeyArray | None, state: ActorCriticState, observation: Any, carry: Belief | None
    ) -> tuple[Array, Belief]:
        respond, first = agent(state, draws=key is not None)
        key = jax.random.key(0) if key is None else key
        seen = getattr(observation, "observation", observation)
        return respond(key, seen, first if carry is None else carry)

    def evaluate(key: PRNGKeyArray, state: ActorCriticState) -> PlanningEvaluation:
        count = config.model.evaluation_episodes
        acting = agent(state, draws=False)
        return PlanningEvaluation(*judge(problem, *acting, key, count, config.length))

    return Algorithm(init, step, act, evaluate, chunk_length=1)
