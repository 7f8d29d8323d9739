"""Problems for planning by diffusion: constraints, skills, mazes, and a probe."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from rlsuite.algorithms import decision_diffuser
from rlsuite.algorithms.decision_diffuser import Config, Model, Planning, always
from rlsuite.data.offline import Offline, offline
from rlsuite.problems import blocks, mazes
from rlsuite.problems.offline import POINT_LENGTH, problem_of
from rlsuite.problems.slippery_point import GOAL, LENGTH, slippery_point
from rlsuite.registry import Entry, Problem

_PERCEPTRON = Model(kind="mlp", channels=512, multiples=(1, 1, 1, 1), prediction="data")
"""Where states are few numbers, it learns sooner than the U-Net, and its plans are drawn faster."""

_RING_STEPS = 20_000
_RING = Config(
    learning_rate=1e-3,
    batch_size=256,
    horizon=48,
    free=0.5,
    conditions=("label",),
    evaluation_episodes=32,
    evaluation_length=49,
    model=_PERCEPTRON,
    planning=Planning(temperature=1.0, guidance=1.5, replan_every=8),
)

_POINT = Config(
    learning_rate=3e-3,
    batch_size=64,
    transitions=64,
    horizon=4,
    overhang=2,
    discount=1.0,
    average_rate=0.02,
    average_after=50,
    evaluation_episodes=8,
    evaluation_length=POINT_LENGTH,
    model=Model(kind="mlp", channels=64, inverse_units=32, diffusion_steps=20),
    planning=Planning(sampler="ddim", sampling_steps=5, temperature=0.25),
)


_SLIPPERY = dataclasses.replace(
    _POINT,
    horizon=8,
    overhang=6,
    conditions=("state",),
    reach=7,
    evaluation_episodes=64,
    evaluation_length=LENGTH,
)


def annealed(num_steps: int) -> Callable[[Any], optax.GradientTransformation]:
    """Adam, whose learning rate falls to a hundredth like a cosine, and stays there.

    Args:
        num_steps: When it gets there.

    Returns:
        For ``decision_diffuser.make``.
    """
    return lambda rate: optax.adam(optax.cosine_decay_schedule(rate, num_steps, alpha=0.01))


@functools.cache
def _ring() -> Offline:
    from rlsuite.envs import ring

    paths = ring.demonstrations(jax.random.key(0), 10_000)
    return offline("ring", paths, ring.ring(), expert_return=ring.STATES - 1.0)


_STACKING_STEPS = 12_000
_STACKING = Config(
    learning_rate=1e-3,
    batch_size=128,
    transitions=512,
    blur=0.15,
    horizon=32,
    stride=4,
    overhang=24,
    conditions=("label",),
    evaluation_episodes=32,
    evaluation_length=blocks.LENGTH,
    model=dataclasses.replace(_PERCEPTRON, kind="residual", places=(0, 4, 7, 10, 13)),
    planning=Planning(
        sampler="dpm-solver", sampling_steps=10, temperature=0.25, guidance=1.2, replan_every=8
    ),
)


_GAIT = Config(
    learning_rate=1e-3,
    batch_size=64,
    horizon=40,
    conditions=("label",),
    evaluation_episodes=8,
    evaluation_length=250,
    model=Model(channels=16, prediction="data"),
    planning=Planning(sampler="dpm-solver", sampling_steps=10, guidance=1.5, replan_every=10),
)


@functools.cache
def _gait() -> Offline:
    from rlsuite.envs import gait

    shown = gait.demonstrations(jax.random.key(0), 600)
    trots = np.asarray(shown.rewards).reshape(-1, gait.STEPS)[2::3].sum(axis=1)
    return offline("gait", shown, gait.gait(), expert_return=float(np.mean(trots)))


_MAZE_STEPS = 5000
_MAZES = {"umaze": (32, 4), "medium": (32, 8), "large": (48, 8)}
"""The horizon of a plan, and the time steps between its states."""


def _maze(name: str) -> Config:
    horizon, stride = _MAZES[name]
    return Config(
        learning_rate=1e-3,
        batch_size=128,
        horizon=horizon,
        stride=stride,
        overhang=horizon - 2,
        goal=True,
        conditions=(),
        evaluation_episodes=mazes.EPISODES,
        evaluation_length=mazes.LENGTHS[name],
        model=_PERCEPTRON,
        planning=Planning(sampler="dpm-solver", sampling_steps=10, replan_every=2 * stride),
    )


ENTRY = Entry(
    name="decision_diffuser",
    make=decision_diffuser.make,
    config=Config,
    problems={
        "point": problem_of(
            decision_diffuser.make,
            0.5,
            num_steps=1000,
            config=_POINT,
            summary="a point is moved to a goal; half of the episodes are headed for the opposite",
            quick=True,
        ),
        "ring": Problem(
            build=_ring,
            num_steps=_RING_STEPS,
            config=_RING,
            callables={
                "request": always(np.eye(2), _RING.planning.guidance),
                "optimizer": annealed(_RING_STEPS),
            },
            summary="stay in a disc and out of a hole; each was asked for alone, but never both",
            score="score",
            higher_is_better=True,
            baselines=lambda _: {"optimal": 100.0},
        ),
        "stacking": Problem(
            build=blocks.blocks,
            num_steps=_STACKING_STEPS,
            config=_STACKING,
            callables={
                "request": blocks.bottom_up(blocks.pairs_of(blocks.TOWER)),
                "optimizer": annealed(_STACKING_STEPS),
                "symmetry": blocks.symmetry(),
            },
            summary="three blocks become a tower; only pairs were ever stacked",
            score="score",
            higher_is_better=True,
            baselines=lambda _: {"random": 0.0, "optimal": 100.0},
        ),
        "gait": Problem(
            build=_gait,
            num_steps=5000,
            config=_GAIT,
            callables={"request": always(np.eye(3)[2:], _GAIT.planning.guidance)},
            summary="four legs trot, as they were shown beside bounding and pacing",
            score="score",
            higher_is_better=True,
            baselines=lambda _: {"random": 0.0, "optimal": 100.0},
        ),
        "slippery-point": Problem(
            build=lambda: slippery_point(0.2),
            num_steps=1000,
            config=_SLIPPERY,
            callables={"request": always(GOAL[None], _SLIPPERY.planning.guidance)},
            summary="a point is moved to a state to come, where a fifth of actions are random ones",
            score="score",
            higher_is_better=True,
            baselines=lambda _: {"random": 0.0, "optimal": 100.0},
        ),
        **mazes.problems(
            decision_diffuser.make,
            _maze,
            _MAZE_STEPS,
            journeys=True,
            callables=lambda name: {
                "goal": mazes.at_rest(name),
                "optimizer": annealed(_MAZE_STEPS),
            },
        ),
    },
    probe="point",
    summary="Plans drawn from a diffusion model of states, as they are asked for.",
    citation="Ajay et al. 2023.",
)
