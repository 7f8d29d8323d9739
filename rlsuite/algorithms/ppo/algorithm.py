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

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.ppo import experience, networks
from rlsuite.algorithms.ppo.networks import ActorCritic
from rlsuite.algorithms.ppo.state import Config, Evaluation, Metrics, State
from rlsuite.algorithms.ppo.update import begin, learner
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
    transformation = optimizer(rate(config), config.max_gradient_norm)
    learn = learner(problem.actions, config, net, transformation)

    def init(key: PRNGKeyArray) -> State:
        of_walkers, of_network = jax.random.split(key)
        walkers = experience.start(problem, net, of_walkers, config.num_envs)
        return begin(config, net, transformation, of_network, walkers)

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
        return learn(of_passes, state, walkers, happened)

    def act(
        key: PRNGKeyArray | None, state: State, observation: Any, carry: Any
    ) -> tuple[Float[Array, " action"], Any]:
        is_timestep = isinstance(observation, Timestep)
        walker = experience.Walkers(
            inner=None,
            observation=observation.observation if is_timestep else observation,
            mask=observation.mask if is_timestep else None,
            is_first=observation.is_first if is_timestep else jnp.zeros((), bool),
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


def rate(config: Config) -> Any:
    """The learning rate, or a schedule of it over the optimiser's steps.

    Args:
        config: The hyperparameters.

    Returns:
        What optax takes for a learning rate.
    """
    if config.annealing_steps is None:
        return config.learning_rate
    per_step, steps = config.num_epochs * config.num_minibatches, config.annealing_steps

    def annealed(count: Array) -> Array:
        return config.learning_rate * jnp.maximum(1.0 - (count // per_step) / steps, 0.0)

    return annealed
