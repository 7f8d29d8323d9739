"""The same episodes, side by side: what an agent with a memory does, and what Bayes' rule does."""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from rlsuite.algorithms import memory_meta
from rlsuite.envs.bandits import Bandits
from rlsuite.envs.prediction import Prediction
from rlsuite.studies.summaries import BLUE, ORANGE, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def predictions(
    problem: Prediction, network: memory_meta.Agent, params: Any, count: int = 3
) -> "Figure":
    """Observations, predictions and their likelihoods; Bayes dashed, the agent solid.

    Args:
        problem: The sequences.
        network: The agent.
        params: Its parameters.
        count: How many episodes.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    family = problem.model.family

    @jax.jit
    def compared(params: Any) -> tuple[Any, list[tuple[Any, Any]]]:
        x = problem.samples(jax.random.key(3), count)
        heads = memory_meta.predict(problem, network, params, x), problem.best(x)
        return x, [(family.means(said), family.log_density(said, x)) for said in heads]

    x, curves = jax.tree.map(np.asarray, compared(params))
    figure = Figure(figsize=(3 * count, 5), layout="constrained")
    panels = figure.subplots(2, count, sharex=True, sharey="row", squeeze=False)
    for episode in range(count):
        upper, lower = panels[:, episode]
        upper.plot(x[:, episode], ".", color="0.6")
        for name, style, (means, likelihood) in zip(
            ("agent", "Bayes"), ("-", "--"), curves, strict=True
        ):
            colours = (BLUE, ORANGE, "#059669")
            for column, colour in zip(means[:, episode].T, colours, strict=False):
                upper.plot(column, style, color=colour, linewidth=1)
            lower.plot(likelihood[:, episode], style, color="#475569", label=name)
        lower.set(xlabel="step")
        plain(upper)
        plain(lower)
    panels[0, 0].set_ylabel("observed, predicted")
    panels[1, 0].set_ylabel("log likelihood")
    panels[1, -1].legend(frameon=False, fontsize=8)
    return figure


def pulls(problem: Bandits, network: memory_meta.Agent, params: Any, count: int = 3) -> "Figure":
    """The chance of the second arm, where the agent went, and the best policy's choice there.

    Args:
        problem: Bandits of two arms.
        network: The agent.
        params: Its parameters.
        count: How many episodes.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    play = jax.jit(lambda p: memory_meta.play(problem, network, p, jax.random.key(3), 1000))
    played = jax.tree.map(np.asarray, play(params))
    times = np.arange(problem.states.horizon)[:, None]
    ties = np.asarray(problem.losses)[times, played.numbers] < 1e-6
    best = ties[..., 1] / np.sum(ties, axis=-1)
    figure = Figure(figsize=(3 * (count + 1), 2.8), layout="constrained")
    panels = figure.subplots(1, count + 1)
    for episode in range(count):
        panels[episode].plot(played.chances[:, episode, 1], color=BLUE, label="agent")
        panels[episode].plot(best[:, episode], "--", color=ORANGE, label="best")
        panels[episode].set(xlabel="pull", title="chance of the second arm", ylim=(-0.05, 1.05))
    panels[0].legend(frameon=False, fontsize=8)
    panels[-1].plot(np.cumsum(np.mean(played.losses, axis=1)), color=BLUE)
    panels[-1].set(title="lost so far", xlabel="pull")
    for axes in panels:
        plain(axes)
    return figure
