r"""Proximal policy optimisation, of policies with or without memory.

One step of the algorithm (Schulman et al. 2017, algorithm 1):

1. ``rollout_length`` transitions in each of ``num_envs`` environments, with one policy;
2. advantages, from values of where every transition led, cut off or not;
3. ``num_epochs`` passes over them in ``num_minibatches`` parts, a step of the optimiser for each.

:mod:`~rlsuite.algorithms.ppo.learning` has the loss, :mod:`~rlsuite.algorithms.ppo.experience` the
conventions of time, :mod:`~rlsuite.algorithms.ppo.networks` the networks.

References:
    Schulman, Wolski, Dhariwal, Radford, Klimov: Proximal policy optimization algorithms. 2017,
    arXiv:1707.06347.
    Schulman, Moritz, Levine, Jordan, Abbeel: High-dimensional continuous control using
    generalized advantage estimation. ICLR 2016, arXiv:1506.02438.
    Huang, Dossa, Raffin, Kanervisto, Wang: The 37 implementation details of proximal policy
    optimization. ICLR blog track 2022.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.ppo import experience, learning, networks
from rlsuite.algorithms.ppo.experience import Experience
from rlsuite.algorithms.ppo.networks import ActorCritic
from rlsuite.algorithms.ppo.normalization import (
    Rewards,
    merge,
    moments,
    normalize,
    scale_rewards,
)
from rlsuite.algorithms.ppo.state import Config, Evaluation, Metrics, State
from rlsuite.core import Algorithm
from rlsuite.envs.control import Control, Timestep
from rlsuite.nets import recurrent

Rule = Callable[[Any, Any], optax.GradientTransformation]
"""From a learning rate, or a schedule, and the greatest norm of a gradient, to an optimiser."""


def clipped_adam(rate: Any, max_norm: Any) -> optax.GradientTransformation:
    """Adam with ε = 10⁻⁵ along gradients whose norm is clipped.

    It treats all parameters as one vector: on CPUs, many small arrays take far longer.

    Args:
        rate: The learning rate, or a schedule of it.
        max_norm: The greatest norm.

    Returns:
        The optimiser.
    """
    clip = optax.clip_by_global_norm(max_norm)
    return optax.flatten(optax.chain(clip, optax.adam(rate, eps=1e-5)))


def default_network(problem: Control, config: Config) -> ActorCritic:
    """The network that ``make`` uses where none is given.

    Args:
        problem: The environment.
        config: The hyperparameters.

    Returns:
        ``networks.actor_critic`` for the problem's observations and actions.
    """
    _, first = jax.eval_shape(problem.reset, jax.random.key(0))
    cell = None
    if config.memory != "none":
        cell = {"gru": recurrent.gru, "lstm": recurrent.lstm}[config.memory](config.memory_size)
    return networks.actor_critic(problem.actions, first.observation, config.hidden_sizes, cell)


def make(
    problem: Control,
    config: Config = Config(),  # noqa: B008
    *,
    network: ActorCritic | None = None,
    optimizer: Rule = clipped_adam,
) -> Algorithm:
    """PPO in an environment.

    Args:
        problem: The environment.
        config: The hyperparameters.
        network: The actor-critic; by default ``default_network(problem, config)``.
        optimizer: From a learning rate, or a schedule, and the greatest norm of a gradient to an
            optax transformation.

    Returns:
        The algorithm: ``step`` returns ``Metrics``, ``evaluate`` an ``Evaluation``. ``act`` takes
        an observation, or a whole ``Timestep``, whose mask it then respects, and returns an action
        as a vector; with a key of None it takes the likeliest.

    Raises:
        ValueError: If the network's head does not fit the actions, or has a memory and the
            minibatches do not divide the environments.

    Example:
        >>> from rlsuite.core import run
        >>> from rlsuite.envs.control import control
        >>> problem, settings = control("CartPole-v1"), Config(num_envs=8, learning_rate=1e-3)
        >>> result = run(make, problem, settings, jax.random.key(0), 2, progress=False)
        >>> result.metrics.episode_return.shape, bool(result.evaluations.episode_return[-1] > 5)
        ((2,), True)
        >>> act = make(problem, settings).act
        >>> state, timestep = problem.reset(jax.random.key(1))
        >>> action, carry = act(None, result.state, timestep.observation, None)
        >>> state, timestep = problem.step(jax.random.key(2), state, action)
    """
    net = default_network(problem, config) if network is None else network
    _check(problem, config, net)
    loss = functools.partial(
        learning.loss,
        net,
        problem.actions,
        clip=config.clip,
        value_weight=config.value_weight,
        entropy_weight=config.entropy_weight,
        clip_values=config.clip_values,
    )
    transformation = optimizer(_rate(config), config.max_gradient_norm)

    def init(key: PRNGKeyArray) -> State:
        of_walkers, of_network = jax.random.split(key)
        walkers = experience.start(problem, net, of_walkers, config.num_envs)
        example = jax.tree.map(lambda leaf: leaf[0], walkers.observation)
        params = net.init(of_network, example)
        seen = jax.tree.map(lambda leaf: moments(leaf.shape), example)
        return State(
            params=params,
            optimizer=transformation.init(params),
            walkers=walkers,
            last=jnp.zeros(2),
            observations=seen if config.normalize_observations else None,
            rewards=Rewards.unseen(config.num_envs) if config.normalize_rewards else None,
        )

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        of_walk, of_passes = jax.random.split(key)
        walkers, happened = experience.collect(
            problem,
            net,
            state.params,
            state.observations,
            of_walk,
            state.walkers,
            config.rollout_length,
        )
        seen, rewards, scaled = _normalized(config, state, happened)
        values, advantages = experience.estimate(
            net,
            state.params,
            scaled,
            walkers.carry,
            discount=config.discount,
            lambda_=config.lambda_,
        )
        (params, optimizer_state), losses = learning.improve(
            loss,
            transformation,
            of_passes,
            (state.params, state.optimizer),
            _sequences(net, state.walkers.carry, scaled, values, advantages),
            num_epochs=config.num_epochs,
            num_minibatches=config.num_minibatches,
        )
        losses = jax.tree.map(jnp.mean, losses)
        last = _finished(state.last, happened)
        state = State(params, optimizer_state, walkers, last, seen, rewards)
        return state, Metrics(losses, _explained_variance(values, advantages), *last)

    def act(
        key: PRNGKeyArray | None, state: State, observation: Any, carry: Any
    ) -> tuple[Float[Array, " action"], Any]:
        is_timestep = isinstance(observation, Timestep)
        walker = experience.Walkers(
            inner=None,
            observation=observation.observation if is_timestep else observation,
            mask=observation.mask if is_timestep else None,
            is_first=jnp.zeros((), bool),
            carry=net.initial(()) if carry is None else carry,
            episode_return=jnp.zeros(()),
            episode_length=jnp.zeros(()),
        )
        carry, actions, _ = experience.act(
            problem.actions,
            net,
            state.params,
            state.observations,
            key,
            jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], walker),
        )
        return actions[0], jax.tree.map(lambda leaf: leaf[0], carry)

    def evaluate(key: PRNGKeyArray, state: State) -> Evaluation:
        def policy(key: PRNGKeyArray, walkers: experience.Walkers) -> Any:
            del key
            return experience.act(
                problem.actions, net, state.params, state.observations, None, walkers
            )

        returns, lengths = experience.episodes(
            problem, net, policy, key, config.evaluation_episodes
        )
        return Evaluation(jnp.mean(returns), jnp.mean(lengths))

    return Algorithm(init, step, act, evaluate)


def _check(problem: Control, config: Config, network: ActorCritic) -> None:
    """Refuse a network that does not fit; nothing is computed."""
    _, first = jax.eval_shape(problem.reset, jax.random.key(0))

    def say(observation: Any) -> networks.Outputs:
        params = network.init(jax.random.key(0), observation)
        now = jax.tree.map(lambda leaf: leaf[None, None], (observation, jnp.zeros((), bool)))
        return network.apply(params, network.initial((1,)), *now)[1]

    size, needed = (
        jax.eval_shape(say, first.observation).head.shape[-1],
        networks.head_size(problem.actions),
    )
    if size != needed:
        raise ValueError(
            f"network has a head of {size} numbers; allowed: {needed}, for the actions"
        )
    if network.is_recurrent and config.num_envs % config.num_minibatches:
        raise ValueError(
            f"config field 'num_minibatches' is {config.num_minibatches}; allowed with a memory: "
            f"a divisor of num_envs, {config.num_envs}"
        )


def _rate(config: Config) -> Any:
    """The learning rate, or a schedule of it over the optimiser's steps."""
    if config.annealing_steps is None:
        return config.learning_rate
    per_step, steps = config.num_epochs * config.num_minibatches, config.annealing_steps

    def rate(count: Array) -> Array:
        return config.learning_rate * jnp.maximum(1.0 - (count // per_step) / steps, 0.0)

    return rate


def _normalized(config: Config, state: State, happened: Experience) -> tuple[Any, Any, Experience]:
    """What has been seen by now of observations and of rewards, and the normalised experience.

    Observations are normalised as they were when the policy acted on them.
    """
    seen, rewards, scaled = state.observations, state.rewards, happened.rewards
    if rewards is not None:
        rewards, scaled = scale_rewards(rewards, scaled, happened.ends, config.discount)
    if seen is not None:
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), happened.observations)
        seen = jax.tree.map(lambda new, old: merge(old, new), flat, seen)
    return (
        seen,
        rewards,
        happened._replace(
            observations=normalize(state.observations, happened.observations),
            next_observations=normalize(state.observations, happened.next_observations),
            rewards=scaled,
        ),
    )


def _sequences(
    network: ActorCritic,
    carry: Any,
    happened: Experience,
    values: Float[Array, "time environment"],
    advantages: Float[Array, "time environment"],
) -> tuple[Any, learning.Batch]:
    """What is learned from: whole sequences with a memory, single transitions without."""
    batch = learning.Batch(
        observations=happened.observations,
        masks=happened.masks,
        is_first=happened.is_first,
        actions=happened.actions,
        log_probs=happened.log_probs,
        values=values,
        advantages=advantages,
    )
    if network.is_recurrent:
        return carry, batch
    return carry, jax.tree.map(lambda leaf: leaf.reshape(1, -1, *leaf.shape[2:]), batch)


def _finished(before: Float[Array, " 2"], happened: Experience) -> Float[Array, " 2"]:
    """The mean return and length of the episodes that ended; those before, if none did."""
    sums = jnp.stack([happened.episode_returns, happened.episode_lengths])
    count = jnp.sum(happened.ends)
    means = jnp.sum(sums * happened.ends, axis=(1, 2)) / jnp.maximum(count, 1)
    return jnp.where(count > 0, means, before)


def _explained_variance(values: Array, advantages: Array) -> Float[Array, ""]:
    variance = jnp.var(values + advantages)
    return jnp.where(variance > 1e-8, 1.0 - jnp.var(advantages) / jnp.maximum(variance, 1e-8), 0.0)
