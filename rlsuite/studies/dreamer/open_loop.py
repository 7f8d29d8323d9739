"""Fifty steps without looking: what a recurrent model predicts from five observations and actions.

Recurrent models are fitted to random actions. In new episodes they see five observations, then only
actions, for forty-five steps; every latent is drawn from the prior, and the decoder shows it.
"""

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from rlsuite.algorithms.dreamer import Config, Model
from rlsuite.algorithms.dreamer.agent import Row
from rlsuite.algorithms.dreamer.algorithm import world_of
from rlsuite.algorithms.dreamer.world import WorldModel
from rlsuite.configuration import to_json
from rlsuite.core import run
from rlsuite.envs import pendulum_pixels
from rlsuite.envs.control import Control, control
from rlsuite.io.reports import Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import Table, table
from rlsuite.studies.dreamer import models, strips
from rlsuite.studies.summaries import BLUE, GREY, ORANGE, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONTEXT, LENGTH = 5, 50
_NUM_TESTS, _NUM_SHOWN = 64, 4
_SHOWN = (1, 5, 15, 30, 45)

_VECTOR = Config(
    learning_rate=1e-3,
    warmup=100,
    batch_size=16,
    sequence_length=32,
    num_environments=10,
    prefill=500,
    model=Model(deter=128, stoch=16, classes=8, blocks=4, hidden=64, units=64, layers=2),
)
_PIXELS = dataclasses.replace(
    _VECTOR, batch_size=8, model=dataclasses.replace(_VECTOR.model, depth=4)
)


class Sizes(NamedTuple):
    """How much is done.

    Attributes:
        vector_steps: Updates of the model of observations.
        pixel_steps: Updates of the model of pictures.
        side: Pixels of a side of these.
    """

    vector_steps: int
    pixel_steps: int
    side: int


class Errors(NamedTuple):
    """Root mean squared errors after each step without observation, ``[step]``.

    Attributes:
        model: Of the model's draws.
        persistence: Of the last observation seen.
        mean: Of the mean observation of the tests at that time.
        spread: The deviation of the model's draws between episodes, over that of the truth; 0 is a
            prediction that has collapsed.
    """

    model: Float[np.ndarray, " step"]
    persistence: Float[np.ndarray, " step"]
    mean: Float[np.ndarray, " step"]
    spread: Float[np.ndarray, " step"]


def predict(
    world: WorldModel, params: Any, key: PRNGKeyArray, rows: Row, context: int = CONTEXT
) -> Any:
    """Look at some time steps, then imagine the rest from the actions alone.

    Args:
        world: The model.
        params: Its parameters.
        key: Key.
        rows: Sequences ``[sequence, time, …]``.
        context: How many time steps are seen, at least 2.

    Returns:
        Observations decoded at every time step.
    """
    of_first, of_seen, of_rest = jax.random.split(key, 3)
    first = models.first_states(world, params, of_first, rows)
    timesteps = jax.tree.map(lambda leaf: leaf[:, 1:context], rows.timestep)
    acted = rows.action[:, : context - 1]
    seen = world.infer(params, of_seen, first, acted, timesteps, None).states

    def step(state: Any, inputs: Any) -> tuple[Any, Any]:
        key, action = inputs
        of_model, of_state = jax.random.split(key)
        state = world.dynamics.transition(params, of_model, state, action).sample(of_state)
        return state, state

    actions = jnp.swapaxes(rows.action[:, context - 1 : -1], 0, 1)
    last = jax.tree.map(lambda leaf: leaf[:, -1], seen)
    keys = jax.random.split(of_rest, len(actions))
    rest = jax.lax.scan(step, last, (keys, actions))[1]
    states = jax.tree.map(
        lambda a, b, c: jnp.concatenate([a[:, None], b, jnp.swapaxes(c, 0, 1)], axis=1),
        first,
        seen,
        rest,
    )
    assert world.decode is not None
    return world.decode(params, states)


def errors_of(
    truth: Float[np.ndarray, "sequence time *shape"],
    predicted: Float[np.ndarray, "sequence time *shape"],
    context: int = CONTEXT,
) -> Errors:
    """How far predictions are from the truth, in units of the truth's standard deviation.

    Args:
        truth: Observations.
        predicted: Predictions.
        context: How many time steps were seen.

    Returns:
        The errors.
    """
    truth, predicted = (x.reshape(*x.shape[:2], -1).astype(float) for x in (truth, predicted))
    deviation = np.sqrt(np.mean(np.var(truth, axis=(0, 1))))
    if truth.shape[-1] <= _FEW:  # Entries of a vector have units of their own; pixels have not.
        deviation = np.std(truth, axis=(0, 1))
    truth, predicted = truth / deviation, predicted / deviation
    after, guess, last = truth[:, context:], predicted[:, context:], truth[:, context - 1, None]

    def size(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(np.mean(np.square(x), axis=(0, 2))))

    centred = after - after.mean(axis=0)
    spread = size(guess - guess.mean(axis=0)) / np.maximum(size(centred), 1e-12)
    return Errors(size(guess - after), size(last - after), size(centred), spread)


_FEW = 16


class Found(NamedTuple):
    """What a model predicted.

    Attributes:
        truth: Observations of some episodes, ``[episode, time, …]``.
        predicted: The same, predicted.
        errors: Over all test episodes.
    """

    truth: np.ndarray
    predicted: np.ndarray
    errors: Errors


def found(problem: Control, config: Config, num_steps: int, stages: Stages) -> Found:
    """Fit a model and let it predict.

    Args:
        problem: The environment.
        config: Of the model.
        num_steps: Updates.
        stages: Keeps what is done.

    Returns:
        The predictions.
    """

    def compute() -> dict[str, Any]:
        count = config.num_environments * config.prefill
        result = run(
            models.fit,
            models.Source(problem, jnp.asarray(count)),
            config,
            jax.random.key(0),
            num_steps,
            progress=f"open loop, {problem.name}",
        )
        rows = models.collect(problem, jax.random.key(99), LENGTH, _NUM_TESTS).rows
        rows = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), rows)
        world = world_of(problem, config.model)
        guess = jax.jit(lambda params, key, rows: predict(world, params, key, rows))
        predicted = np.asarray(guess(result.state.params, jax.random.key(5), rows))
        truth = np.asarray(rows.timestep.observation)
        truth = truth / 255 if truth.dtype == np.uint8 else truth
        some = slice(_NUM_SHOWN)
        errors = errors_of(truth, predicted)._asdict()
        return {"truth": truth[some], "predicted": predicted[some], **errors}

    identity = str((problem.name, to_json(config), num_steps, LENGTH, CONTEXT))
    arrays = stages(f"open loop {problem.name}", identity, compute)
    return Found(
        arrays["truth"],
        arrays["predicted"],
        Errors(*(arrays[name] for name in Errors._fields)),
    )


def section(sizes: Sizes, stages: Stages) -> Section:
    """Predict observations and pictures of the pendulum.

    Args:
        sizes: How much is done.
        stages: Keeps what is done.

    Returns:
        The section.
    """
    pixels = Control("pendulum-pixels", *pendulum_pixels.make(sizes.side))
    both = {
        "observations": found(control("Pendulum-v1"), _VECTOR, sizes.vector_steps, stages),
        "pictures": found(pixels, _PIXELS, sizes.pixel_steps, stages),
    }
    seen = both["pictures"]
    return Section(
        "Open loop",
        [_table(sizes, both)],
        [
            picture(
                "open-loop-errors",
                draw_errors({name: each.errors for name, each in both.items()}),
                f"Errors after {CONTEXT} observations, in standard deviations of the truth.",
            ),
            picture(
                "open-loop-observations",
                draw_lines(both["observations"]),
                f"Three new episodes: truth, and what the model draws after {CONTEXT} steps.",
            ),
            picture(
                "open-loop-strip",
                strips.draw(seen.truth, seen.predicted, CONTEXT),
                f"Two new episodes, the truth above what is decoded: {CONTEXT} pictures are seen, "
                f"the others follow from actions alone.",
            ),
            strips.animation(
                "open-loop",
                seen.truth,
                seen.predicted,
                CONTEXT,
                "The truth above the prediction; the frame is green while the model looks.",
            ),
        ],
    )


def _table(sizes: Sizes, both: dict[str, Found]) -> Table:
    rows = []
    for name, each in both.items():
        for label, values in zip(
            ("model", "persistence", "mean", "spread of the model"), each.errors, strict=True
        ):
            rows.append([name, label, *(float(values[step - 1]) for step in _SHOWN)])
    return table(
        "Errors without looking",
        f"Root mean squared errors in standard deviations of the truth, so many steps after the "
        f"{CONTEXT}th observation, over {_NUM_TESTS} new episodes of random actions: of the "
        f"model's draws, of the last observation seen, and of the mean over the episodes. A draw "
        f"that is independent of the truth has √2. The spread of the model's predictions between "
        f"episodes is divided by that of the truth: 0 would be a collapse. Models were fitted to "
        f"{_VECTOR.num_environments * _VECTOR.prefill:,} random time steps, with "
        f"{sizes.vector_steps:,} updates for observations and {sizes.pixel_steps:,} for pictures "
        f"of {sizes.side} × {sizes.side} pixels.",
        ["of", "", *(f"step {step}" for step in _SHOWN)],
        rows,
        words=2,
    )


def draw_errors(found: dict[str, Errors]) -> "Figure":
    """Errors over the steps without observation.

    Args:
        found: By what is predicted.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, (name, errors) in zip(
        figure.subplots(1, len(found), sharey=True), found.items(), strict=True
    ):
        steps = np.arange(1, len(errors.model) + 1)
        axes.plot(steps, errors.model, color=BLUE, label="model")
        axes.plot(steps, errors.persistence, color=ORANGE, label="persistence")
        axes.plot(steps, errors.mean, color=GREY, linestyle=":", label="mean")
        axes.set(title=name, xlabel="steps without looking", ylim=(0, None))
        plain(axes)
    figure.axes[0].set_ylabel("error")
    figure.axes[0].legend(frameon=False)
    return figure


def draw_lines(found: Found) -> "Figure":
    """Cosine and speed of the pendulum over time, true and predicted.

    Args:
        found: Predictions of observations.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True, sharey="row")
    for column, (truth, predicted) in enumerate(
        zip(found.truth[:3], found.predicted[:3], strict=True)
    ):
        for axes, entry in zip(panels[:, column], (0, 2), strict=True):
            axes.axvspan(0, CONTEXT - 1, color="0.92")
            axes.plot(truth[:, entry], color="0.6", linewidth=4, label="truth")
            axes.plot(predicted[:, entry], color=BLUE, label="model")
            plain(axes)
        panels[1, column].set_xlabel("step")
    for axes, name in zip(panels[:, 0], ("cos θ", "speed"), strict=True):
        axes.set_ylabel(name)
    panels[0, 0].legend(frameon=False)
    return figure
