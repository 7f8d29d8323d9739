"""Problems whose best agent is known exactly: sequences to predict, and bandits."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.algorithms import memory_meta
from rlsuite.envs.bandits import Bandits, bandits
from rlsuite.envs.prediction import Prediction
from rlsuite.ops.bandits import FiniteArms, UniformArms, evaluate, uniform
from rlsuite.ops.conjugate import (
    BetaBernoulli,
    DirichletCategorical,
    GammaExponential,
    HiddenMarkov,
    Normal,
    NormalGamma,
)
from rlsuite.registry import Entry, Problem

LENGTH = 20
"""Of an episode."""

PREDICTION = memory_meta.Config(annealing_steps=40_000)
BANDIT = memory_meta.Config(
    entropy_weight=0.004,
    value_weight=0.04,
    lambda_=0.9,
    annealing_steps=22_000,
    batch_size=256,
    memory_size=48,
)
"""A small weight of the value: the errors of returns would drown the policy's gradient."""

_COIN = memory_meta.Config(
    learning_rate=1e-2, batch_size=32, memory_size=8, annealing_steps=400, evaluation_episodes=64
)


def weather() -> HiddenMarkov:
    """Two laws of three symbols with two hidden states each, which stay for a while.

    Returns:
        The chain; no conjugate prior is behind it.
    """
    start = np.full((2, 2), 0.5, np.float32)
    stay = np.asarray([0.9, 0.7], np.float32)[:, None, None]
    transition = stay * np.eye(2, dtype=np.float32) + (1 - stay) * (1 - np.eye(2, dtype=np.float32))
    emission = np.asarray(
        [[[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]], [[0.1, 0.8, 0.1], [0.4, 0.2, 0.4]]], np.float32
    )
    return HiddenMarkov.of_laws(start, transition, emission)


def random_divergence(problem: Prediction) -> dict[str, float]:
    """The KL of what is predicted before anything was seen, and of the best predictions."""
    x = problem.samples(jax.random.key(0), 2000)
    heads = problem.best(x)
    fixed = jnp.broadcast_to(heads[0], heads.shape)
    lost = jnp.mean(problem.model.family.divergence(heads, fixed))
    return {"random": float(lost), "optimal": 0.0}


def random_loss(problem: Bandits) -> dict[str, float]:
    """What pulls at random lose, and the best ones."""
    arms = problem.control.params.arms
    earned = evaluate(arms, problem.states, uniform(arms, problem.states))[0, 0]
    return {"random": float(problem.best - earned), "optimal": 0.0}


def draw_predictions(problem: Prediction, config: Any, state: Any) -> Any:
    """Three sequences: what is predicted by the agent, and by Bayes' rule (dashed)."""
    from matplotlib.figure import Figure

    network = memory_meta.prediction.default_network(problem, config)
    x = problem.samples(jax.random.key(1), 3)
    means = problem.model.family.means
    ours = np.asarray(means(memory_meta.predict(problem, network, state.params, x)))
    best = np.asarray(means(problem.best(x)))
    figure = Figure(figsize=(9, 3), layout="constrained")
    for index, axes in enumerate(figure.subplots(1, 3, sharey=True)):
        axes.plot(x[:, index], ".", color="0.6")
        axes.plot(ours[:, index, -1], color="#2563eb", label="agent")
        axes.plot(best[:, index, -1], color="#dc6803", linestyle="--", label="Bayes")
        axes.set(xlabel="step")
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure


def draw_play(problem: Bandits, config: Any, state: Any) -> Any:
    """Over the pulls of an episode: what they lose, and how sure the agent is."""
    from matplotlib.figure import Figure

    network = memory_meta.impala.default_network(problem.control, config)
    played = memory_meta.play(problem, network, state.params, jax.random.key(1), 2000)
    figure = Figure(figsize=(7, 3), layout="constrained")
    panels = figure.subplots(1, 2)
    panels[0].plot(np.mean(played.losses, axis=1), color="#2563eb")
    panels[1].plot(np.mean(np.max(played.chances, axis=2), axis=1), color="#dc6803")
    for axes, title in zip(panels, ("value lost", "chance of the likeliest pull"), strict=True):
        axes.set(title=title, xlabel="pull")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _prediction(model: Any, summary: str, **how: Any) -> Problem:
    settings: dict[str, Any] = {"num_steps": 40_000, "config": PREDICTION, **how}
    return Problem(
        build=lambda: Prediction(model(), LENGTH),
        summary=summary,
        score="divergence",
        higher_is_better=False,
        baselines=random_divergence,
        draw=draw_predictions,
        **settings,
    )


def _bandit(arms: Any, horizon: int, summary: str) -> Problem:
    return Problem(
        build=lambda: bandits(arms(), horizon),
        num_steps=22_000,
        config=BANDIT,
        summary=summary,
        score="value_lost",
        higher_is_better=False,
        baselines=random_loss,
        draw=draw_play,
    )


ENTRY = Entry(
    name="memory_meta",
    make=memory_meta.make,
    config=memory_meta.Config,
    problems={
        "die": _prediction(
            lambda: DirichletCategorical(jnp.ones(3)),
            "three outcomes of unknown probabilities are predicted",
            quick=True,
            quick_steps=1500,
        ),
        "coin": _prediction(BetaBernoulli, "tosses of an unknown coin are predicted"),
        "normal": _prediction(Normal, "numbers around an unknown mean are predicted"),
        "student": _prediction(NormalGamma, "numbers of unknown mean and variance are predicted"),
        "waiting": _prediction(GammaExponential, "waiting times of unknown rate are predicted"),
        "weather": _prediction(weather, "symbols of a chain with hidden states are predicted"),
        "bandit": _bandit(lambda: UniformArms(2), 20, "two arms that pay 0 or 1, twenty pulls"),
        "bandit-3": _bandit(lambda: UniformArms(3), 12, "three arms that pay 0 or 1, twelve pulls"),
        "bandit-opposed": _bandit(
            FiniteArms.opposed, 20, "two arms of which one pays as often as the other does not"
        ),
        "short-coin": Problem(
            build=lambda: Prediction(BetaBernoulli(), 5),
            num_steps=400,
            config=_COIN,
            summary="five tosses of an unknown coin are predicted",
            score="divergence",
            higher_is_better=False,
            baselines=random_divergence,
            draw=draw_predictions,
        ),
    },
    probe="short-coin",
    summary="Meta-learning by memory: agents that learn within an episode, compared with Bayes' "
    "rule.",
    citation="Mikulik et al. 2020; Espeholt et al. 2018; Wang et al. 2016; Duan et al. 2016.",
)
