r"""The Decision Diffuser: plans are drawn from a diffusion model of states, as they are asked for.

One step of the algorithm takes segments of states out of recorded episodes and learns to take noise
off them, told or not told what they are like (``training``); beside it, actions are learned from
pairs of states. Acting draws a plan that begins with what was seen and is as requested, and follows
it by the inverse dynamics (``planning``, ``acting``).

References:
    Ajay, Du, Gupta, Tenenbaum, Jaakkola, Agrawal: Is conditional generative modeling all you need
    for decision-making? ICLR 2023, arXiv:2211.15657.
    Janner, Du, Tenenbaum, Levine: Planning with diffusion for flexible behavior synthesis. ICML
    2022, arXiv:2205.09991.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.decision_diffuser import acting, checks, planning, training
from rlsuite.algorithms.decision_diffuser.acting import Planner
from rlsuite.algorithms.decision_diffuser.config import Config
from rlsuite.algorithms.decision_diffuser.networks import (
    Denoiser,
    default_network,
    inverse_dynamics,
    schedule_of,
)
from rlsuite.algorithms.decision_diffuser.planning import Plan, Request
from rlsuite.algorithms.decision_diffuser.symmetry import Symmetry, symmetric
from rlsuite.algorithms.decision_diffuser.training import Statistics
from rlsuite.core import Algorithm
from rlsuite.data.offline import Offline
from rlsuite.envs.control import Timestep
from rlsuite.ops import diffusion

Params = Any


class Parameters(NamedTuple):
    """Those of the networks.

    Attributes:
        denoiser: Of the network that takes noise off.
        inverse: Of the inverse dynamics.
        value: Of the one that tells returns; None without.
    """

    denoiser: Params
    inverse: Params
    value: Params = None


class State(NamedTuple):
    """What is carried from step to step.

    Attributes:
        params: What is trained.
        average: What plans.
        optimizer: The optimiser's state.
        updates: How many there were.
        statistics: What was computed of the data at the beginning.
    """

    params: Parameters
    average: Parameters
    optimizer: Any
    updates: Int[Array, ""]
    statistics: Statistics


class Metrics(NamedTuple):
    """Of an update.

    Attributes:
        denoising_loss: Mean squared error of what is predicted.
        inverse_loss: Mean squared error of the actions.
        value_loss: Mean squared error of returns; 0 where they are not learned.
    """

    denoising_loss: Float[Array, ""]
    inverse_loss: Float[Array, ""]
    value_loss: Float[Array, ""]


class Evaluation(NamedTuple):
    """Of plans followed in an environment.

    Attributes:
        episode_return: The mean return.
        score: The same, normalised.
    """

    episode_return: Float[Array, ""]
    score: Float[Array, ""]


def make(
    problem: Offline,
    config: Config = Config(),  # noqa: B008
    *,
    network: Denoiser | None = None,
    optimizer: Callable[[Any], optax.GradientTransformation] = optax.adam,
    request: Callable[[Any], Request] | None = None,
    goal: Callable[[Any], Float[Array, " n"]] | None = None,
    symmetry: Symmetry | None = None,
) -> Algorithm:
    """The Decision Diffuser on recorded episodes.

    Args:
        problem: The episodes, and where plans are to be followed.
        config: The hyperparameters.
        network: What takes noise off; by default ``default_network(config)``.
        optimizer: From a learning rate to an optax transformation.
        request: From an observation to what is asked of the plan; by default ``target_return`` with
            weight ``guidance``.
        goal: From an observation to the state that the plan ends with; needed with ``goal``.
        symmetry: Which changes of states and labels make no difference; only labels may be told.

    Returns:
        The algorithm: ``step`` returns ``Metrics``; ``evaluate`` an ``Evaluation``, where the
        problem has an environment. ``act`` takes an observation, or a whole ``Timestep``, and
        remembers a ``Plan``; a key of None draws the same noise each time.

    Raises:
        ValueError: If a request or a goal is needed and missing, no episode is long enough, labels
            are to be told and there are none, plans are guided by a value that is not learned, or
            with a symmetry not labels alone are told. In acting, if a request is not of the kind
            that the network is told.
    """
    checks.fitting(problem, config, request, goal, symmetry)
    net = _network(config, network, symmetry)
    transformation = optimizer(config.learning_rate)

    def init(key: PRNGKeyArray) -> State:
        computed = training.statistics(config, problem.episodes)
        params = _initial(problem, config, net, key, computed)
        average = jax.tree.map(jnp.copy, params)
        none = jnp.zeros((), jnp.int32)
        return State(params, average, transformation.init(params), none, computed)

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        loss = functools.partial(_loss, problem, config, net, symmetry)
        gradients, metrics = jax.grad(loss, has_aux=True)(state.params, key, state.statistics)
        updates, optimizer_state = transformation.update(gradients, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        rate = jnp.where(state.updates < config.average_after, 1.0, config.average_rate)
        average = optax.incremental_update(params, state.average, rate)
        return State(params, average, optimizer_state, state.updates + 1, state.statistics), metrics

    planner = functools.partial(
        planner_of, problem, config, network=net, request=request, goal=goal
    )

    def act(
        key: PRNGKeyArray | None, state: State, observation: Any, carry: Plan | None
    ) -> tuple[Float[Array, " m"], Plan]:
        key = jax.random.key(0) if key is None else key
        seen = observation.observation if isinstance(observation, Timestep) else observation
        if carry is None:
            return acting.first_action(config, planner(state), key, jnp.asarray(seen))
        return acting.next_action(config, planner(state), key, jnp.asarray(seen), carry)

    def evaluate(key: PRNGKeyArray, state: State) -> Evaluation:
        assert problem.control is not None
        walked = acting.walk(
            config, planner(state), problem.control, key, config.evaluation_episodes
        )
        earned = jnp.mean(jnp.sum(walked.rewards, axis=1))
        return Evaluation(earned, problem.score(earned))

    # XLA on CPU runs a step of convolutions several times slower within a loop.
    return Algorithm(
        init, step, act, evaluate if problem.control is not None else None, chunk_length=1
    )


def _network(config: Config, network: Denoiser | None, symmetry: Symmetry | None) -> Denoiser:
    """What takes noise off."""
    net = network or default_network(config)
    return symmetric(net, symmetry) if symmetry is not None else net


def _initial(
    problem: Offline, config: Config, net: Denoiser, key: PRNGKeyArray, computed: Statistics
) -> Parameters:
    """Parameters of all networks, from the shapes of a segment."""
    of_denoiser, of_inverse, of_value = jax.random.split(key, 3)
    x, y, _ = training.example(config, problem.episodes, computed, jnp.zeros((), int))
    step, present = jnp.zeros((), int), jnp.ones((), bool)
    return Parameters(
        net.init(of_denoiser, x, step, y if config.conditions else None, present),
        inverse_dynamics(problem, config).init(of_inverse, x[0], x[0], step),
        net.init(of_value, x, step, None, present) if config.model.value else None,
    )


def _loss(
    problem: Offline,
    config: Config,
    net: Denoiser,
    symmetry: Symmetry | None,
    params: Parameters,
    key: PRNGKeyArray,
    computed: Statistics,
) -> tuple[Float[Array, ""], Metrics]:
    """The sum of the losses of a batch, and each of them."""
    of_segments, of_noise, of_transitions = jax.random.split(key, 3)
    how = (config, schedule_of(config), net.apply)

    def one(of_segment: PRNGKeyArray, of_noise: PRNGKeyArray) -> tuple[Array, Array]:
        segment = training.draw(config, problem.episodes, computed, of_segment, symmetry)
        denoising = training.denoising_loss(*how, params.denoiser, of_noise, segment)
        if not config.model.value:
            return denoising, jnp.zeros(())
        return denoising, training.value_loss(*how, params.value, of_noise, segment)

    keys = (jax.random.split(key, config.batch_size) for key in (of_segments, of_noise))
    denoising, valuing = (jnp.mean(losses) for losses in jax.vmap(one)(*keys))
    apply = functools.partial(inverse_dynamics(problem, config).apply, params.inverse)
    pairs = training.draw_pairs(config, problem.episodes, computed, of_transitions)
    actions = training.inverse_loss(apply, computed.normalizer, problem.episodes, pairs)
    return denoising + actions + valuing, Metrics(denoising, actions, valuing)


def planner_of(
    problem: Offline,
    config: Config,
    state: State,
    *,
    network: Denoiser | None = None,
    request: Callable[[Any], Request] | None = None,
    goal: Callable[[Any], Float[Array, " n"]] | None = None,
    symmetry: Symmetry | None = None,
) -> Planner:
    """What acts by plans, for :func:`walk`: all that does not change within an episode.

    Args:
        problem: What it was trained on.
        config: The hyperparameters with which the state was trained; those of planning may differ.
        state: The algorithm's.
        network: As given to ``make``; so are the next three.
        request: What is asked of plans.
        goal: What they end with.
        symmetry: Which changes make no difference.

    Returns:
        The planner.
    """
    asked = request or functools.partial(_best, config)
    return Planner(
        draw=_drawing(config, _network(config, network, symmetry), state),
        act=functools.partial(inverse_dynamics(problem, config).apply, state.average.inverse),
        normalizer=state.statistics.normalizer,
        request=lambda observation: _on_scale(
            config, state.statistics, checks.understood(problem, config, asked(observation))
        ),
        goal=goal,
    )


def _drawing(config: Config, net: Denoiser, state: State) -> Callable[..., Any]:
    """``draw_plan`` with everything that was trained: ``(key, known, request, guess) -> plan``."""
    value = None
    if config.model.value:
        value = functools.partial(training.value, net.apply, state.average.value)
    return functools.partial(
        planning.draw_plan,
        config,
        schedule_of(config),
        net.apply,
        state.average.denoiser,
        value=value,
        bound=state.statistics.bound if config.planning.clip else None,
    )


def plans(
    config: Config,
    state: State,
    key: PRNGKeyArray,
    request: Request,
    count: int,
    *,
    known: diffusion.Known | None = None,
    network: Denoiser | None = None,
    symmetry: Symmetry | None = None,
) -> Float[Array, "plan horizon n"]:
    """Draw plans, to look at or to follow by other means.

    Args:
        config: The hyperparameters with which the state was trained; those of planning may differ.
        state: The algorithm's.
        key: Key.
        request: What is asked for.
        count: How many plans.
        known: States that are known, in the data's units; with a history that was never free at
            least the first.
        network: What takes noise off, as given to ``make``.
        symmetry: As given to ``make``.

    Returns:
        States in the data's units.

    Raises:
        ValueError: If the network has only seen segments whose first state, or last one, is known,
            and it is not.
    """
    checks.known_enough(config, known)
    draw = _drawing(config, _network(config, network, symmetry), state)
    scale = state.statistics.normalizer
    shape = (config.horizon, state.statistics.bound.shape[0])
    if known is None:
        known = diffusion.Known(jnp.zeros(shape, bool), jnp.zeros(shape))
    fixed = diffusion.Known(known.where, scale.normalize(known.values))
    asked = _on_scale(config, state.statistics, request)
    drawn = jax.vmap(lambda key: draw(key, fixed, asked))(jax.random.split(key, count))
    return scale.denormalize(drawn)


def _on_scale(config: Config, computed: Statistics, request: Request) -> Request:
    """A request whose states are normalised, as the network is told them."""
    if "state" not in config.conditions:
        return request
    size, width = computed.bound.shape[0], request.conditions.shape[-1]
    sizes = {"return": 1, "state": size}
    sizes["label"] = width - sum(sizes[name] for name in config.conditions if name != "label")
    before = config.conditions[: config.conditions.index("state")]
    begin = sum(sizes[name] for name in before)
    place = jnp.s_[:, begin : begin + size]
    states = computed.normalizer.normalize(request.conditions[place])
    return request._replace(conditions=request.conditions.at[place].set(states))


def _best(config: Config, observation: Any) -> Request:
    """The best return, where returns are told; nothing, where nothing is."""
    del observation
    if not config.conditions:
        return Request(jnp.zeros((0, 0)), jnp.zeros(0))
    return Request(
        jnp.reshape(jnp.asarray(config.planning.target_return, float), (1, 1)),
        jnp.reshape(jnp.asarray(config.planning.guidance, float), (1,)),
    )
