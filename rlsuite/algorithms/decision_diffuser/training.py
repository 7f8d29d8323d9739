r"""What the networks learn: to take noise off segments of states, and to tell actions.

A segment x_0 = (s_t, s_{t+m}, … s_{t+(H−1)m}) is noised to x_k, but for its known states: a random
number from 1 to K of its first ones (now and then none, where those may be free), and the last one
where it is a goal. With y what is told of it and β ~ Bernoulli(p), the loss is

    E ‖ε − ε_θ(x_k, k, (1 − β) y + β ∅)‖² + E ‖a_t − f_φ(s_t, s_{t+j}, j)‖²,

means over the unknown entries and over the actions' entries (or with x_0 or v in the place of ε);
j is uniform from 1 to m. With m = 1 this is the paper's.

Reference:
    Ajay et al. 2023, arXiv:2211.15657, eq. 9.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rlsuite.algorithms.decision_diffuser.config import Config
from rlsuite.algorithms.decision_diffuser.symmetry import Symmetry, changed
from rlsuite.data.normalizers import Cdf, Gaussian, Limits, Normalizer
from rlsuite.envs import episodes as recorded
from rlsuite.envs.episodes import Episodes
from rlsuite.ops import diffusion

Params = Any
_NORMALIZERS: dict[str, Any] = {"gaussian": Gaussian, "cdf": Cdf, "limits": Limits}


class Statistics(NamedTuple):
    """What is computed once of the data.

    Attributes:
        normalizer: The scale of states.
        bound: The greatest size of each number in a normalised state.
        returns: The return from each step on.
        low: The least of those that segments begin with, or 0.
        high: The greatest, or the scale.
        counts: How many segments begin with this step or an earlier one.
        steps: How many of the steps up to this one belong to an episode.
    """

    normalizer: Normalizer
    bound: Float[Array, " n"]
    returns: Float[Array, " step"]
    low: Float[Array, ""]
    high: Float[Array, ""]
    counts: Int[Array, " step"]
    steps: Int[Array, " step"]


def statistics(
    config: Config, episodes: Episodes, *, normalizer: Normalizer | None = None
) -> Statistics:
    """Compute them.

    Args:
        config: The hyperparameters.
        episodes: The data.
        normalizer: The scale of states, where networks know it already; else that of the data.

    Returns:
        The statistics.
    """
    returns = recorded.returns_to_go(episodes, config.discount)
    needed = config.duration - config.overhang * config.stride
    left = episodes.ends - jnp.arange(episodes.num_steps)
    begins = left >= needed
    if config.return_scale is None:
        low = jnp.min(jnp.where(begins, returns, jnp.inf))
        high = jnp.max(jnp.where(begins, returns, -jnp.inf))
    else:
        low, high = jnp.zeros(()), jnp.asarray(config.return_scale, returns.dtype)
    states = jnp.concatenate([episodes.observations, _last_states(episodes)])
    real = jnp.concatenate([left > 0, episodes.lengths > 0])
    scale = normalizer or _NORMALIZERS[config.model.normalizer].fit(states)
    bound = jnp.max(jnp.where(real[:, None], jnp.abs(scale.normalize(states)), 0.0), axis=0)
    begun, steps = jnp.cumsum(begins), jnp.cumsum(left > 0)
    return Statistics(scale, bound, returns, low, high, begun, steps)


def _last_states(episodes: Episodes) -> Float[Array, "episode n"]:
    """s_L of each episode, with which segments end (of an empty one, anything)."""
    last = jnp.maximum(episodes.starts + episodes.lengths - 1, 0)
    return episodes.next_observations[last]


class Example(NamedTuple):
    """A segment, and what is told of it.

    Attributes:
        states: Normalised.
        condition: y.
        value: Its return, on the scale on which it may be told.
    """

    states: Float[Array, "horizon n"]
    condition: Float[Array, " condition"]
    value: Float[Array, ""]


def draw(
    config: Config,
    episodes: Episodes,
    computed: Statistics,
    key: PRNGKeyArray,
    symmetry: Symmetry | None = None,
) -> Example:
    """One segment, all being equally likely.

    Args:
        config: The hyperparameters.
        episodes: The data.
        computed: Their statistics.
        key: Key.
        symmetry: Changes that make no difference, one of which it is under.

    Returns:
        The segment.
    """
    number = jax.random.randint(key, (), 0, computed.counts[-1])
    start = jnp.searchsorted(computed.counts, number, "right")
    segment = example(config, episodes, computed, start)
    if symmetry is None:
        return segment
    states = computed.normalizer.denormalize(segment.states)
    states, told = changed(symmetry, jax.random.fold_in(key, 1), states, segment.condition)
    return segment._replace(states=computed.normalizer.normalize(states), condition=told)


def example(
    config: Config, episodes: Episodes, computed: Statistics, start: Int[Array, ""]
) -> Example:
    """The segment that begins with a step.

    Args:
        config: The hyperparameters.
        episodes: The data.
        computed: Their statistics.
        start: The index of the step.

    Returns:
        The segment.
    """
    times = config.stride * jnp.arange(config.horizon)
    states = jax.vmap(lambda ahead: recorded.state(episodes, start, ahead))(times)
    span = jnp.maximum(computed.high - computed.low, 1e-8)
    value = (computed.returns[start] - computed.low) / span
    told = {
        "return": lambda: value[None],
        "label": lambda: recorded.label(episodes, start),
        "state": lambda: computed.normalizer.normalize(
            recorded.state(episodes, start, config.reach or config.duration)
        ),
    }
    condition = jnp.concatenate([jnp.zeros(0), *(told[name]() for name in config.conditions)])
    return Example(computed.normalizer.normalize(states), condition, value)


def known(
    config: Config, count: Int[Array, ""] | int, values: Float[Array, "horizon n"]
) -> diffusion.Known:
    """The states that are known: so many first ones, and the last if it is a goal.

    Args:
        config: The hyperparameters.
        count: How many first ones.
        values: A segment that has them.

    Returns:
        What is known.
    """
    index = jnp.arange(config.horizon)
    where = index < count
    if config.goal:
        where = where | (index == config.horizon - 1)
    return diffusion.Known(jnp.broadcast_to(where[:, None], values.shape), values)


def denoising_loss(
    config: Config,
    schedule: diffusion.Schedule,
    apply: Callable[..., Any],
    params: Params,
    key: PRNGKeyArray,
    segment: Example,
) -> Float[Array, ""]:
    """The first part of the loss, of one segment.

    Args:
        config: The hyperparameters.
        schedule: How noise grows.
        apply: ``(params, x, k, y, whether y is seen)`` to a prediction.
        params: Parameters.
        key: Key.
        segment: The segment.

    Returns:
        The mean squared error over what is not known.
    """
    of_noise, of_count, of_presence = jax.random.split(key, 3)
    count = jnp.zeros((), int)
    if config.history:
        of_count, of_freedom = jax.random.split(of_count)
        count = jax.random.randint(of_count, (), 1, config.history + 1)
        count = jnp.where(jax.random.bernoulli(of_freedom, config.free), 0, count)
    clean = known(config, count, segment.states)
    drawn = diffusion.noised(schedule, of_noise, segment.states)
    present = ~jax.random.bernoulli(of_presence, config.dropout)
    condition = segment.condition if config.conditions else None
    predicted = apply(params, clean.put(drawn.inputs), drawn.step, condition, present)
    wanted = diffusion.target(schedule, config.model.prediction, segment.states, drawn)
    return _mean_where(~clean.where, jnp.square(predicted - wanted))


def value(
    apply: Callable[..., Any],
    params: Params,
    inputs: Float[Array, "horizon n"],
    step: Int[Array, ""],
) -> Float[Array, ""]:
    """The return of what is behind a noised segment: the mean of what a second network says.

    Args:
        apply: ``(params, x, k, y, whether y is seen)`` to a prediction.
        params: The second network's parameters.
        inputs: x_k.
        step: k.

    Returns:
        J(x_k, k).
    """
    return jnp.mean(apply(params, inputs, step, None, True))


def value_loss(
    config: Config,
    schedule: diffusion.Schedule,
    apply: Callable[..., Any],
    params: Params,
    key: PRNGKeyArray,
    segment: Example,
) -> Float[Array, ""]:
    """The squared error of the value of one segment.

    Args:
        config: The hyperparameters.
        schedule: How noise grows.
        apply: ``(params, x, k, y, whether y is seen)`` to a prediction.
        params: The second network's parameters.
        key: Key.
        segment: The segment.

    Returns:
        (J(x_k, k) − R)², the first state being known.

    Reference:
        Janner et al. 2022, arXiv:2205.09991, algorithm 1.
    """
    clean = known(config, min(config.history, 1), segment.states)
    drawn = diffusion.noised(schedule, key, segment.states)
    said = value(apply, params, clean.put(drawn.inputs), drawn.step)
    return jnp.square(said - segment.value)


class Pairs(NamedTuple):
    """Pairs of states, of which the action at the first is to be told.

    Attributes:
        steps: The indices of the first ones.
        ahead: How many steps later the second ones are.
        off: What is added to the second ones, normalised.
    """

    steps: Int[Array, " pair"]
    ahead: Int[Array, " pair"]
    off: Float[Array, "pair n"]


def draw_pairs(
    config: Config, episodes: Episodes, computed: Statistics, key: PRNGKeyArray
) -> Pairs:
    """Some pairs, from one time step to ``stride`` apart, the later state a little off.

    Args:
        config: The hyperparameters.
        episodes: The data.
        computed: Their statistics.
        key: Key.

    Returns:
        The pairs.
    """
    of_steps, of_distance, of_size, of_noise = jax.random.split(key, 4)
    shape, size = (config.transitions,), episodes.observations.shape[1]
    number = jax.random.randint(of_steps, shape, 0, computed.steps[-1])
    steps = jnp.searchsorted(computed.steps, number, "right")
    ahead = jax.random.randint(of_distance, shape, 1, config.stride + 1)
    spread = config.blur * jax.random.uniform(of_size, (*shape, 1))
    return Pairs(steps, ahead, spread * jax.random.normal(of_noise, (*shape, size)))


def inverse_loss(
    apply: Callable[..., Any], normalizer: Normalizer, episodes: Episodes, pairs: Pairs
) -> Float[Array, ""]:
    """The second part of the loss, of some pairs.

    Past an episode's end its last state is repeated. Pairs that reach the end of an episode that
    ended for good are left out: its last state may not have been recorded.

    Args:
        apply: ``(s, s', steps between them)`` to an action.
        normalizer: The scale of states.
        episodes: The data.
        pairs: The pairs.

    Returns:
        The mean squared error.
    """
    steps, ahead, off = pairs
    before = normalizer.normalize(episodes.observations[steps])
    later = jax.vmap(functools.partial(recorded.state, episodes))(steps, ahead)
    later = normalizer.normalize(later) + off
    errors = jnp.square(apply(before, later, ahead) - episodes.actions[steps])
    last = jnp.maximum(episodes.ends[steps] - 1, steps)
    unrecorded = episodes.terminals[last] & (steps + ahead > last)
    return _mean_where(jnp.broadcast_to(~unrecorded[:, None], errors.shape), errors)


def _mean_where(where: Bool[Array, "*shape"], values: Float[Array, "*shape"]) -> Float[Array, ""]:
    return jnp.sum(jnp.where(where, values, 0.0)) / jnp.maximum(jnp.sum(where), 1)
