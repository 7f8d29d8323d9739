"""What the parts of the study share: trainings that are kept, and intervals over seeds."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms import maml
from rlsuite.configuration import to_json
from rlsuite.core import Algorithm, run
from rlsuite.io.stages import Stages
from rlsuite.io.tables import number
from rlsuite.loop import NonFiniteError


@dataclasses.dataclass(frozen=True)
class Trial:
    """A training of the study.

    Attributes:
        name: What its row is called.
        tasks: The distribution of tasks.
        config: The config.
        num_steps: Of training.
        rates: Inner rates to choose from when it adapts; empty for the config's own.
        callables: Bound to ``make`` and to ``adapt``.
    """

    name: str
    tasks: Any
    config: maml.Config
    num_steps: int
    rates: tuple[float, ...] = ()
    callables: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Outcome(NamedTuple):
    """What a training reached.

    Attributes:
        name: The trial's name.
        losses: On new tasks after each step, by the kind of task: means over them,
            ``[seed, step + 1]``; NaN where training diverged.
        diverged: The share of new tasks whose loss after the last step is above ``BOUND`` times
            the mean before the first, by the kind of task: ``[seed]``.
        rates: The inner rate that was used, by the kind of task.
        milliseconds: Of a training step, for one seed.
        state: Of the first seed; None where training diverged.
    """

    name: str
    losses: dict[str, np.ndarray]
    diverged: dict[str, np.ndarray]
    rates: dict[str, float]
    milliseconds: float
    state: maml.State | None


BOUND = 10.0
"""A loss that has grown to so many times what it was before adaptation has diverged."""

_TOGETHER = 50  # tasks evaluated at once: the trajectories of all would fill the memory


def outcome_of(
    trial: Trial,
    kinds: Mapping[str, Any],
    num_seeds: int,
    stages: Stages,
    *,
    num_steps: int,
    kept: float = 1.0,
) -> Outcome:
    """Train, unless it is done already, and adapt to new tasks of each kind.

    The rate is chosen by the loss after the last step on other new tasks than those reported.

    Args:
        trial: The training.
        kinds: Names to the tasks that are adapted to.
        num_seeds: How many seeds.
        stages: Keeps what is done.
        num_steps: How many steps an adaptation has.
        kept: The share of tasks, those with the lowest losses, that means are taken over.

    Returns:
        The outcome.
    """
    config = dataclasses.replace(trial.config, evaluation_steps=num_steps)
    states, seconds = _trained(trial, config, num_seeds, stages)
    losses, diverged, chosen = {}, {}, {}
    for kind, tasks in kinds.items():
        if states is None:
            losses[kind] = np.full((num_seeds, num_steps + 1), np.nan)
            diverged[kind], chosen[kind] = np.ones(num_seeds), np.nan
            continue
        tuning, reported = _curves(tasks, config, states, trial, kept)
        last = [np.nan_to_num(means[:, -1].mean(), nan=np.inf) for means, _ in tuning]
        best = int(np.argmin(last))
        losses[kind], diverged[kind] = reported[best]
        chosen[kind] = _rates(trial)[best]
    return Outcome(
        trial.name,
        losses,
        diverged,
        chosen,
        1e3 * seconds / max(trial.num_steps, 1) / num_seeds,
        None if states is None else jax.tree.map(lambda leaf: leaf[0], states),
    )


def _trained(
    trial: Trial, config: maml.Config, num_seeds: int, stages: Stages
) -> tuple[maml.State | None, float]:
    """The states of all seeds, None if one diverged; and how long the training took."""

    def compute() -> dict[str, Any]:
        try:
            states, seconds = _train(trial, config, num_seeds)
        except NonFiniteError:
            return {"seconds": np.nan}
        leaves = {f"leaf {i}": leaf for i, leaf in enumerate(jax.tree.leaves(states))}
        return {"seconds": seconds, **leaves}

    identity = repr((trial.tasks, to_json(config), trial.num_steps, num_seeds))
    arrays = stages(trial.name, identity, compute)
    seconds = float(arrays["seconds"])
    if np.isnan(seconds):
        return None, seconds
    algorithm = _unevaluated(trial.tasks, config, **trial.callables)
    shapes, structure = jax.tree.flatten(jax.eval_shape(algorithm.init, jax.random.key(0)))
    leaves = [jnp.asarray(arrays[f"leaf {i}"]) for i in range(len(shapes))]
    return jax.tree.unflatten(structure, leaves), seconds


def _rates(trial: Trial) -> tuple[float, ...]:
    return trial.rates or (float(trial.config.inner_rate),)


def _train(trial: Trial, config: maml.Config, num_seeds: int) -> tuple[maml.State, float]:
    result = run(
        functools.partial(_unevaluated, **trial.callables),
        trial.tasks,
        config,
        jax.random.key(0),
        trial.num_steps,
        num_seeds=num_seeds,
        progress=trial.name,
    )
    return result.state, result.seconds


def _unevaluated(tasks: Any, config: maml.Config, **callables: Any) -> Algorithm:
    """The algorithm; its evaluation would only be compiled for nothing."""
    return maml.make(tasks, config, **callables)._replace(evaluate=None)


def _curves(
    tasks: Any, config: maml.Config, states: maml.State, trial: Trial, kept: float
) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """(mean losses, share diverged) on new tasks: for tuning and reported, for each rate."""
    if config.method != "implicit":
        # How training was differentiated does not matter any more; one program serves them all.
        config = dataclasses.replace(config, method="maml", inner_steps=1)
    callables = tuple(trial.callables.items())

    def measured(rate: float, key: PRNGKeyArray) -> tuple[np.ndarray, np.ndarray]:
        adapting = dataclasses.replace(config, inner_rate=rate)
        return jax.device_get(_measure(tasks, adapting, states, key, kept, callables))

    keys = jax.random.split(jax.random.key(1))
    return [[measured(rate, key) for rate in _rates(trial)] for key in keys]


@functools.partial(jax.jit, static_argnames=("kept", "callables"))
def _measure(
    tasks: Any,
    config: maml.Config,
    states: maml.State,
    key: PRNGKeyArray,
    kept: float,
    callables: tuple[tuple[str, Any], ...],
) -> tuple[Float[Array, "seed step"], Float[Array, " seed"]]:
    def curve(state: maml.State, key: PRNGKeyArray) -> Float[Array, " step"]:
        return maml.adaptation_curve(tasks, config, state, key, **dict(callables))

    def of_seed(
        state_and_key: tuple[maml.State, PRNGKeyArray],
    ) -> tuple[Float[Array, " step"], Float[Array, ""]]:
        state, key = state_and_key
        keys = jax.random.split(key, config.evaluation_tasks)
        curves = jax.lax.map(functools.partial(curve, state), keys, batch_size=_TOGETHER)
        curves = jnp.nan_to_num(curves, nan=jnp.inf)
        diverged = jnp.mean(curves[:, -1] > BOUND * jnp.mean(curves[:, 0]))
        count = round(kept * config.evaluation_tasks)
        return jnp.mean(jnp.sort(curves, axis=0)[:count], axis=0), diverged

    seeds = jax.tree.leaves(states)[0].shape[0]
    return jax.lax.map(of_seed, (states, jax.random.split(key, seeds)))


def interval(values: np.ndarray) -> tuple[float, float]:
    """The mean over seeds, and the half-width of its 95 % interval (Student's t).

    Args:
        values: ``[seed]``, at least two.

    Returns:
        (mean, half-width); NaN where a value is not finite.

    Example:
        >>> mean, half = interval(np.asarray([1.0, 2.0, 3.0]))
        >>> mean, round(half, 2)
        (2.0, 2.48)
    """
    if not np.all(np.isfinite(values)):
        return np.nan, np.nan
    count = len(values)
    error = np.std(values, ddof=1, dtype=np.float64) / count**0.5
    return float(np.mean(values, dtype=np.float64)), float(_quantile(count - 1) * error)


@functools.cache
def _quantile(freedom: int) -> float:
    """Of Student's t, at 97.5 %."""
    from scipy import stats

    return float(stats.t.ppf(0.975, freedom))


def text_of(values: np.ndarray) -> str:
    """The mean over seeds and its 95 % interval, the latter with one digit that counts.

    Args:
        values: ``[seed]``, at least two.

    Returns:
        Its text.

    Example:
        >>> text_of(np.asarray([1.0, 2.0, 3.0])), text_of(np.asarray([1.0, np.inf]))
        ('2 ± 2', 'diverged')
    """
    mean, half = interval(values)
    return f"{number(mean)} ± {number(float(f'{half:.1g}'))}" if np.isfinite(mean) else "diverged"
