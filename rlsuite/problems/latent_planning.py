"""Worlds for planning in a latent model, seen in pictures: lamps, rods, an arm, a car, a robot."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from rlsuite.algorithms import latent_models
from rlsuite.algorithms.latent_models import Config, LatentModel, PlanningConfig, Recorded
from rlsuite.envs.control import Control
from rlsuite.envs.lamps import lamps
from rlsuite.envs.pixels import (
    pixel_car,
    pixel_cart_pole,
    pixel_pendulum,
    pixel_planar,
    pixel_reacher,
    planar,
    scattered,
)
from rlsuite.problems.episodes import draw_frames, problem_of
from rlsuite.problems.solar import LAMPS_NETWORKS, lamp_returns, planar_returns
from rlsuite.problems.true_systems import balance_returns, planned_returns
from rlsuite.registry import Entry, Problem

_LAMPS = PlanningConfig(
    length=8,
    first_rollouts=20,
    rollouts=4,
    capacity=80,
    as_bytes=False,
    first_updates=200,
    updates=1,
    exploration=0.5,
    model=Config(
        transition="linear",
        size=2,
        batch_size=10,
        learning_rate=1e-2,
        adam_epsilon=1.0,  # So that it learns the same on any number of devices.
        temper=1.0,
        evaluation_episodes=4,
        plan_length=8,
        plan_iterations=8,
        plan_samples=64,
        plan_elites=8,
    ),
)

_MODEL = Config(transition="full", how="steps", plan_iterations=5, plan_samples=60, plan_elites=8)
BALANCE = PlanningConfig(
    length=100,
    first_rollouts=60,
    rollouts=6,
    capacity=120,
    first_updates=1500,
    updates=150,
    exploration=0.7,
    model=dataclasses.replace(_MODEL, plan_length=20),
)
"""How ``balance`` is planned in: five rounds."""


def balance() -> Control:
    """A pendulum that is kept upright, in two pictures of 24×24 pixels.

    Returns:
        PC3's pendulum, nudged by N(0, .01²) in angle and velocity at each step.
    """
    return pixel_pendulum("balance", side=24, noise=0.01)


SWING_UP = dataclasses.replace(
    BALANCE,
    first_rollouts=100,
    capacity=140,
    first_updates=6000,
    updates=400,
    # What a push leads to that goes on shows where pushes last.
    persistence=0.9,
    model=dataclasses.replace(BALANCE.model, batch_size=6, plan_deviation=1.0),
)
"""How ``swing_up`` is planned in: one round."""

CART_POLE = PlanningConfig(
    length=50,
    first_rollouts=250,
    capacity=300,
    first_updates=6000,
    updates=500,
    exploration=0.5,
    persistence=0.8,
    # How far a pole is tilted is told by convolutions.
    model=dataclasses.replace(_MODEL, sight="convolutional", size=6, plan_length=20),
)
"""How ``cart_pole`` is planned in: one round."""

REACHER = PlanningConfig(
    length=50,
    first_rollouts=150,
    capacity=200,
    first_updates=5000,
    updates=300,
    # A tenth of the greatest torque changes a link's speed by .4 rad/s in each step.
    exploration=0.15,
    persistence=0.9,
    model=dataclasses.replace(_MODEL, size=6, plan_length=15, plan_deviation=0.1),
)
"""How ``reacher`` is planned in: one round."""

CAR = PlanningConfig(
    length=100,
    first_rollouts=150,
    capacity=400,
    first_updates=8000,
    updates=400,
    exploration=0.5,
    persistence=0.9,
    model=dataclasses.replace(_MODEL, size=7, plan_length=20, chunk_length=40),
)
"""How ``car`` is planned in: its plans get better over ten rounds or so."""

PLANAR = PlanningConfig(
    length=40,
    first_rollouts=120,
    capacity=180,
    first_updates=3000,
    updates=300,
    exploration=0.7,
    # The obstacles do not move, and are most of what there is to see.
    model=dataclasses.replace(_MODEL, sight="moving"),
)
"""How PC3's planar task is planned in: three rounds."""


def swing_up() -> Control:
    """A pendulum that hangs and is to stand upright, in two pictures of 32×32 pixels.

    Returns:
        PC3's pendulum.
    """
    return pixel_pendulum("swing-up", side=32)


def cart_pole() -> Control:
    """A pole that is balanced on a cart, in two pictures of 40×40 pixels.

    Returns:
        PC3's pole on a cart.
    """
    return pixel_cart_pole(side=40)


def tilted(problem: Control) -> Control:
    """The same cart and pole, near the middle and moving any way where an episode begins.

    Args:
        problem: Of ``pixel_cart_pole``.

    Returns:
        The problem; places are within 0.8, angles within 0.5, velocities within 1 and 1.5, and
        first pictures are equal, as those are from which plans start.
    """
    return scattered(problem, (-0.8, -0.5, -1.0, -1.5), (0.8, 0.5, 1.0, 1.5), moving=False)


def reacher() -> Control:
    """An arm of two links that reaches to a place, in two pictures of 32×32 pixels.

    Returns:
        SOLAR's reacher.
    """
    return pixel_reacher(side=32, frames=2)


def car() -> Control:
    """A car that is to drive to a place behind it, in two pictures of 32×32 pixels in colour.

    Returns:
        SOLAR's car.
    """
    return pixel_car(side=32, frames=2)


def driving_anywhere(problem: Control) -> Control:
    """The same car, anywhere, heading anywhere, driving and steering in any way at first.

    Args:
        problem: Of ``pixel_car``.

    Returns:
        The problem.
    """
    most = (2.3, 2.3, np.pi, 1.0, np.pi / 4)
    return scattered(problem, tuple(-x for x in most), most)


def in_any_pose(problem: Control) -> Control:
    """The same arm, in any pose and turning with up to 3 rad/s where an episode begins.

    Args:
        problem: Of ``pixel_reacher``.

    Returns:
        The problem.
    """
    return scattered(problem, (-np.pi, -np.pi, -3.0, -3.0), (np.pi, np.pi, 3.0, 3.0))


def at_any_angle(problem: Control) -> Control:
    """The same pendulum, at any angle and speed where an episode begins.

    Args:
        problem: Of ``pixel_pendulum``.

    Returns:
        The problem.
    """
    fastest = 3 * np.pi
    return scattered(problem, (-np.pi, -fastest), (np.pi, fastest))


def anywhere(problem: Control) -> Control:
    """The same room, with the robot anywhere in it where an episode begins.

    Args:
        problem: Of ``pixel_planar``.

    Returns:
        The problem.
    """
    near, far = planar.MARGIN, planar.SIZE - planar.MARGIN
    return scattered(problem, (near, near), (far, far))


def lamps_model(problem: Recorded, config: Config) -> LatentModel:
    """A model that knows how lamps are seen, but not how they move.

    Args:
        problem: Episodes of ``lamps``.
        config: Of which the transition's part counts.

    Returns:
        The model; its states are the lights.
    """
    steps, size = problem.training.actions.shape[-2:]
    return LatentModel(
        LAMPS_NETWORKS.encoder,
        LAMPS_NETWORKS.decoder,
        latent_models.bernoulli(),
        latent_models.transition_of(config, size, steps),
        2,
    )


_problem = functools.partial(
    problem_of, latent_models.make_planner, draw=draw_frames, score="score"
)


def _learned_anywhere(
    build: Callable[[], Control],
    config: PlanningConfig,
    first: Callable[[Control], Control],
    summary: str,
    rounds: int = 1,
) -> Problem:
    """Rounds after first episodes elsewhere; plans with the true system stand beside them."""
    return _problem(
        build,
        config=config,
        num_steps=rounds,
        summary=summary,
        baselines=functools.partial(planned_returns, config=config.model),
        callables={"first": first},
    )


ENTRY = Entry(
    name="latent_planner",
    make=latent_models.make_planner,
    config=PlanningConfig,
    problems={
        "lamps": _problem(
            lamps,
            config=_LAMPS,
            num_steps=3,
            summary="two lamps that are to shine equally, seen as a picture of 8×8 pixels",
            baselines=lamp_returns,
            callables={"model": lamps_model},
            quick=True,
        ),
        "pixel-balance": _problem(
            balance,
            config=BALANCE,
            num_steps=5,
            summary="a pendulum that is kept upright, in two pictures of 24×24 pixels",
            baselines=balance_returns,
        ),
        "pixel-swing-up": _learned_anywhere(
            swing_up,
            SWING_UP,
            at_any_angle,
            "a pendulum that is swung up, in two pictures of 32×32 pixels",
        ),
        "pixel-cart-pole": _learned_anywhere(
            cart_pole,
            CART_POLE,
            tilted,
            "a pole that is balanced on a cart, in two pictures of 40×40 pixels",
        ),
        "pixel-reacher": _learned_anywhere(
            reacher,
            REACHER,
            in_any_pose,
            "an arm of two links that reaches, in two pictures of 32×32 pixels",
        ),
        "pixel-car": _learned_anywhere(
            car,
            CAR,
            driving_anywhere,
            "a car that drives to a place behind it, in two coloured pictures of 32×32 pixels",
            rounds=15,
        ),
        "pixel-planar": _problem(
            functools.partial(pixel_planar, goal=planar.GOALS[0]),
            config=PLANAR,
            num_steps=3,
            summary="a robot among six obstacles, in a picture of 40×40 pixels",
            baselines=planar_returns,
            callables={"first": anywhere},
        ),
    },
    probe="lamps",
    summary="Plans in a latent model of pictures, which learns from what they lead to.",
    citation="Hafner et al. 2019.",
)
