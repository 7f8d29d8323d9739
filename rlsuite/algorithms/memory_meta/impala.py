r"""IMPALA with a memory: an actor-critic on whole sequences, corrected for how old its actor is.

The policy μ that acts may be ``lag`` updates behind the one that learns, π. Along rollouts of N
transitions, with values V(o_t) of the agent's own memory and w_t = π(a_t)/μ(a_t), V-trace
(:func:`rlsuite.ops.returns.vtrace`) gives targets v_t and advantages A_t; minimised is the mean
over transitions of

    − A_t log π(a_t) + ½ c_v (v_t − V(o_t))² − c_h H(π(· | o_1 … o_t)),

by Adam, through all N + 1 steps of the memory. A rollout begins with what was remembered when it
began, under the parameters that acted.

References:
    Espeholt et al.: IMPALA: scalable distributed deep-RL with importance weighted actor-learner
    architectures. ICML 2018, arXiv:1802.01561.
    Wang et al.: Learning to reinforcement learn. 2016, arXiv:1611.05763.
    Duan et al.: RL²: fast reinforcement learning via slow reinforcement learning. 2016,
    arXiv:1611.02779.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.memory_meta import experience
from rlsuite.algorithms.memory_meta.config import Config, Rule, cell, clipped_adam, schedule
from rlsuite.algorithms.memory_meta.experience import Rollout, Walkers
from rlsuite.algorithms.memory_meta.networks import Agent, agent
from rlsuite.core import Algorithm
from rlsuite.envs.control import Control, Timestep
from rlsuite.envs.rollouts import episode_returns
from rlsuite.nets.network import Params
from rlsuite.ops.returns import vtrace


class State(NamedTuple):
    """What training leaves.

    Attributes:
        params: Of the agent.
        optimizer: The optimiser's state.
        walkers: Where the environments stand.
        actors: The parameters of the last ``lag`` updates, the oldest first, along a first axis;
            None without a lag.
        updates: How many updates there were.
        last: The mean return of the episodes that ended in the last rollout in which one did.
    """

    params: Params
    optimizer: Any
    walkers: Walkers
    actors: Params | None
    updates: Int[Array, ""]
    last: Float[Array, ""]


class Losses(NamedTuple):
    """Of one rollout, means over transitions.

    Attributes:
        policy_loss: −A log π.
        value_loss: Half the squared error.
        entropy: Of the policy.
        kl: w − 1 − log w, an estimate of KL(μ ‖ π) that is never negative.
    """

    policy_loss: Float[Array, ""]
    value_loss: Float[Array, ""]
    entropy: Float[Array, ""]
    kl: Float[Array, ""]


class Metrics(NamedTuple):
    """Of one update, before it.

    Attributes:
        losses: See ``Losses``.
        gradient_norm: Before it is clipped.
        episode_return: Mean over the episodes that ended in the rollout, or in the last in which
            one did; actions are drawn, nothing is discounted.
    """

    losses: Losses
    gradient_norm: Float[Array, ""]
    episode_return: Float[Array, ""]


class Evaluation(NamedTuple):
    """Means over new episodes.

    Attributes:
        episode_return: Undiscounted, with actions drawn.
        greedy_return: With the likeliest actions.
    """

    episode_return: Float[Array, ""]
    greedy_return: Float[Array, ""]


def default_network(problem: Control, config: Config) -> Agent:
    """The network that ``make`` uses where none is given.

    Args:
        problem: The environment.
        config: The hyperparameters.

    Returns:
        The agent; its head has the actions' logits, and a value.
    """
    return agent(cell(config), config.memory_size, problem.actions.size + 1)


def loss(
    network: Agent,
    params: Params,
    rollout: Rollout,
    *,
    discount: Any,
    lambda_: Any,
    clip_rho: Any,
    clip_c: Any,
    value_weight: Any,
    entropy_weight: Any,
) -> tuple[Float[Array, ""], Losses]:
    """The loss of a rollout; see the module.

    Args:
        network: The agent.
        params: Its parameters.
        rollout: What happened.
        discount: γ.
        lambda_: λ.
        clip_rho: ρ̄.
        clip_c: c̄.
        value_weight: c_v.
        entropy_weight: c_h.

    Returns:
        (loss, its parts).
    """
    seen = rollout.timesteps
    _, heads = network.apply(params, rollout.carry, seen.observation, seen.is_first)
    values, logs = heads[..., -1], jax.nn.log_softmax(heads[:-1, :, :-1])
    log_probs = jnp.sum(logs * rollout.actions, axis=-1)
    log_ratios = jnp.where(rollout.is_valid, log_probs - rollout.log_probs, 0.0)

    corrected = functools.partial(
        vtrace, lambda_=lambda_, clip_rho=clip_rho, clip_c=clip_c, clip_policy_rho=clip_rho
    )
    discounts = discount * (1.0 - seen.is_terminal[1:])
    constant = jax.lax.stop_gradient(values)
    targets, advantages = jax.lax.stop_gradient(
        jax.vmap(lambda ends, *now: corrected(*now, ends=ends), in_axes=1, out_axes=1)(
            rollout.ends, seen.reward[1:], discounts, constant[:-1], constant[1:], log_ratios
        )
    )
    weights = rollout.is_valid / jnp.maximum(jnp.sum(rollout.is_valid), 1)
    losses = Losses(
        policy_loss=-jnp.sum(weights * advantages * log_probs),
        value_loss=0.5 * jnp.sum(weights * jnp.square(targets - values[:-1])),
        entropy=-jnp.sum(weights * jnp.sum(jnp.exp(logs) * logs, axis=-1)),
        kl=jnp.sum(weights * (jnp.exp(log_ratios) - 1.0 - log_ratios)),
    )
    total = losses.policy_loss + value_weight * losses.value_loss
    return total - entropy_weight * losses.entropy, losses


def make(
    problem: Control,
    config: Config = Config(),  # noqa: B008
    *,
    network: Agent | None = None,
    optimizer: Rule = clipped_adam,
) -> Algorithm:
    """IMPALA in an environment of categories as actions and vectors as observations.

    Args:
        problem: The environment; its episodes must end.
        config: The hyperparameters.
        network: The agent; by default ``default_network(problem, config)``.
        optimizer: From a learning rate and the greatest norm of a gradient to an optax
            transformation.

    Returns:
        The algorithm: ``step`` returns ``Metrics``, ``evaluate`` an ``Evaluation``; ``act`` takes
        an observation, or a whole ``Timestep``, and a key of None takes the likeliest action.

    Raises:
        ValueError: If actions are not one category.
    """
    _check(problem)
    net = default_network(problem, config) if network is None else network
    transformation = optimizer(schedule(config), config.max_gradient_norm)

    def init(key: PRNGKeyArray) -> State:
        of_walkers, of_network = jax.random.split(key)
        walkers = experience.start(problem, net, of_walkers, config.batch_size)
        params = net.init(of_network, walkers.timestep.observation)
        actors = None
        if config.lag:
            actors = jax.tree.map(lambda x: jnp.broadcast_to(x, (config.lag, *x.shape)), params)
        inner = transformation.init(params)
        return State(params, inner, walkers, actors, jnp.zeros((), jnp.int32), jnp.zeros(()))

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        actor, actors = _actor(state)
        walkers, rollout = experience.collect(
            problem, net, actor, key, state.walkers, config.rollout_length
        )
        gradient, losses = _gradient(net, config, state, rollout)
        updates, inner = transformation.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        last = _finished(state.last, rollout)
        metrics = Metrics(losses, optax.tree.norm(gradient), last)
        return State(params, inner, walkers, actors, state.updates + 1, last), metrics

    act = functools.partial(_act, problem, net)

    def evaluate(key: PRNGKeyArray, state: State) -> Evaluation:
        def returns(greedy: bool) -> Float[Array, ""]:
            def choose(key: PRNGKeyArray, seen: Timestep, carry: Any) -> tuple[Array, Any]:
                return act(None if greedy else key, state, seen, carry)

            found = episode_returns(problem, choose, key, config.evaluation_episodes, 1 << 20)
            return jnp.mean(found)

        return Evaluation(returns(False), returns(True))

    return Algorithm(init, step, act, evaluate)


def _check(problem: Control) -> None:
    actions = problem.actions
    if not (actions.is_discrete and actions.single):
        raise ValueError(
            f"problem {problem.name!r} has actions {actions}; allowed: one category (Discrete)"
        )


def _act(
    problem: Control,
    network: Agent,
    key: PRNGKeyArray | None,
    state: State,
    observation: Any,
    carry: Any,
) -> tuple[Float[Array, " action"], Any]:
    if not isinstance(observation, Timestep):
        observation = problem.timestep(observation)
    carry = network.initial(()) if carry is None else carry
    one = jax.tree.map(lambda leaf: leaf[None], (carry, observation))
    carry, actions, _ = experience.choose(network, state.params, key, *one)
    return actions[0], jax.tree.map(lambda leaf: leaf[0], carry)


def _actor(state: State) -> tuple[Params, Params | None]:
    """The parameters that act, and those kept for the next updates."""
    if state.actors is None:
        return state.params, None
    actor = jax.tree.map(lambda x: x[0], state.actors)
    kept = jax.tree.map(
        lambda x, new: jnp.concatenate([x[1:], new[None]]), state.actors, state.params
    )
    return actor, kept


def _gradient(
    network: Agent, config: Config, state: State, rollout: Rollout
) -> tuple[Params, Losses]:
    """(the loss's gradient, its parts), at the parameters that learn."""
    return jax.grad(loss, argnums=1, has_aux=True)(
        network,
        state.params,
        rollout,
        discount=config.discount,
        lambda_=config.lambda_,
        clip_rho=config.clip_rho,
        clip_c=config.clip_c,
        value_weight=config.value_weight,
        entropy_weight=_entropy_weight(config, state.updates),
    )


def _entropy_weight(config: Config, updates: Int[Array, ""]) -> Any:
    if config.annealing_steps is None:
        return config.entropy_weight
    return config.entropy_weight * jnp.maximum(1.0 - updates / config.annealing_steps, 0.0)


def _finished(before: Float[Array, ""], rollout: Rollout) -> Float[Array, ""]:
    """The mean return of the episodes that ended; that of before, if none did."""
    ended = rollout.timesteps.is_last[1:]
    count = jnp.sum(ended)
    mean = jnp.sum(rollout.episode_returns * ended) / jnp.maximum(count, 1)
    return jnp.where(count > 0, mean, before)
