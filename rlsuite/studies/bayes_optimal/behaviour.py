"""The same episodes, side by side: what an agent with a memory does, and what Bayes' rule does."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
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

    x = problem.samples(jax.random.key(3), count)
    heads = {
        "agent": jax.jit(lambda p: memory_meta.predict(problem, network, p, x))(params),
        "Bayes": jax.jit(problem.best)(x),
    }
    family = problem.model.family
    figure = Figure(figsize=(3 * count, 5), layout="constrained")
    panels = figure.subplots(2, count, sharex=True, sharey="row", squeeze=False)
    for episode in range(count):
        upper, lower = panels[:, episode]
        upper.plot(x[:, episode], ".", color="0.6")
        for (name, said), style in zip(heads.items(), ("-", "--"), strict=True):
            means = np.asarray(family.means(said))[:, episode]
            for column, colour in zip(means.T, (BLUE, ORANGE, "#059669"), strict=False):
                upper.plot(column, style, color=colour, linewidth=1)
            likelihood = family.log_density(said, x)[:, episode]
            lower.plot(likelihood, style, color="#475569", label=name)
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
    played = play(params)
    times = jnp.arange(problem.states.horizon)[:, None]
    losses = problem.losses[times, played.numbers]
    ties = losses < 1e-6
    best = ties[..., 1] / jnp.sum(ties, axis=-1)
    figure = Figure(figsize=(3 * (count + 1), 2.8), layout="constrained")
    panels = figure.subplots(1, count + 1)
    for episode in range(count):
        panels[episode].plot(played.chances[:, episode, 1], color=BLUE, label="agent")
        panels[episode].plot(best[:, episode], "--", color=ORANGE, label="best")
        panels[episode].set(xlabel="pull", title="chance of the second arm", ylim=(-0.05, 1.05))
    panels[0].legend(frameon=False, fontsize=8)
    panels[-1].plot(jnp.cumsum(jnp.mean(played.losses, axis=1)), color=BLUE)
    panels[-1].set(title="lost so far", xlabel="pull")
    for axes in panels:
        plain(axes)
    return figure
