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
from rlsuite.core import Algorithm, NonFiniteError, run
from rlsuite.io.stages import Stages


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
        losses: On new tasks after each step, by the kind of task: ``[seed, step + 1]``.
        rates: The inner rate that was used, by the kind of task.
        milliseconds: Of a training step, for one seed.
        state: Of the first seed; None where training diverged.
    """

    name: str
    losses: dict[str, np.ndarray]
    rates: dict[str, float]
    milliseconds: float
    state: maml.State | None


def outcome_of(
    trial: Trial, kinds: Mapping[str, Any], num_seeds: int, stages: Stages, *, num_steps: int
) -> Outcome:
    """Train, unless it is done already, and adapt to new tasks of each kind.

    The rate is chosen by the loss after the last step on other new tasks than those reported.

    Args:
        trial: The training.
        kinds: Names to the tasks that are adapted to.
        num_seeds: How many seeds.
        stages: Keeps what is done.
        num_steps: How many steps an adaptation has.

    Returns:
        The outcome; where training diverged, with losses of NaN.
    """
    rates = _rates(trial)
    config = dataclasses.replace(trial.config, evaluation_steps=num_steps)
    identity = repr((trial.tasks, to_json(config), trial.num_steps, rates, kinds, num_seeds))

    def compute() -> dict[str, Any]:
        try:
            state, seconds = _train(trial, config, num_seeds)
        except NonFiniteError:
            lost = np.full((2, len(rates), num_seeds, num_steps + 1), np.nan)
            return {**{f"losses of {kind}": lost for kind in kinds}, "seconds": np.nan}
        arrays = {
            f"losses of {kind}": _curves(tasks, config, state, trial)
            for kind, tasks in kinds.items()
        }
        first = jax.tree.leaves(jax.tree.map(lambda leaf: leaf[0], state))
        return {**arrays, "seconds": seconds, **{f"leaf {i}": x for i, x in enumerate(first)}}

    arrays = stages(trial.name, identity, compute)
    losses, chosen = {}, {}
    for kind in kinds:
        tuning, reported = arrays[f"losses of {kind}"]
        last = np.nan_to_num(tuning.mean(axis=1)[:, -1], nan=np.inf)
        best = int(np.argmin(last))
        losses[kind], chosen[kind] = reported[best], rates[best]
    milliseconds = 1e3 * float(arrays["seconds"]) / max(trial.num_steps, 1) / num_seeds
    return Outcome(trial.name, losses, chosen, milliseconds, _state(trial, arrays))


def _state(trial: Trial, arrays: Mapping[str, np.ndarray]) -> maml.State | None:
    """The state whose leaves were kept."""
    algorithm = _unevaluated(trial.tasks, trial.config, **trial.callables)
    leaves, structure = jax.tree.flatten(jax.eval_shape(algorithm.init, jax.random.key(0)))
    names = [f"leaf {i}" for i in range(len(leaves))]
    if names[0] not in arrays:
        return None
    return jax.tree.unflatten(structure, [jnp.asarray(arrays[name]) for name in names])


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


def _curves(tasks: Any, config: maml.Config, states: maml.State, trial: Trial) -> np.ndarray:
    """Mean losses over new tasks, ``[tuning or reported, rate, seed, step + 1]``."""
    if config.method != "implicit":
        # How training was differentiated does not matter any more; one program serves them all.
        config = dataclasses.replace(config, method="maml", inner_steps=1)
    callables = tuple(trial.callables.items())
    return np.asarray(
        [
            [
                _mean_curve(
                    tasks, dataclasses.replace(config, inner_rate=rate), states, key, callables
                )
                for rate in _rates(trial)
            ]
            for key in jax.random.split(jax.random.key(1))
        ]
    )


@functools.partial(jax.jit, static_argnames="callables")
def _mean_curve(
    tasks: Any,
    config: maml.Config,
    states: maml.State,
    key: PRNGKeyArray,
    callables: tuple[tuple[str, Any], ...],
) -> Float[Array, "seed step"]:
    def curve(state: maml.State, key: PRNGKeyArray) -> Float[Array, " step"]:
        return maml.adaptation_curve(tasks, config, state, key, **dict(callables))

    def of_seed(state: maml.State, key: PRNGKeyArray) -> Float[Array, " step"]:
        keys = jax.random.split(key, config.evaluation_tasks)
        return jnp.mean(jax.vmap(curve, (None, 0))(state, keys), axis=0)

    seeds = jax.tree.leaves(states)[0].shape[0]
    return jax.vmap(of_seed)(states, jax.random.split(key, seeds))


def interval(values: np.ndarray) -> tuple[float, float]:
    """The mean over seeds, and the half-width of its 95 % interval (Student's t).

    Args:
        values: ``[seed]``, at least two.

    Returns:
        (mean, half-width).

    Example:
        >>> mean, half = interval(np.asarray([1.0, 2.0, 3.0]))
        >>> mean, round(half, 2)
        (2.0, 2.48)
    """
    from scipy import stats

    count = len(values)
    error = np.std(values, ddof=1) / count**0.5
    return float(np.mean(values)), float(stats.t.ppf(0.975, count - 1) * error)
