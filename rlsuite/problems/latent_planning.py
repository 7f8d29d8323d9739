"""Problems for planning in a latent model: lamps, of which all is known, and a pendulum."""

import functools
from typing import Any

from rlsuite.algorithms import latent_models
from rlsuite.algorithms.latent_models import Config, LatentModel, PlanningConfig, Recorded
from rlsuite.envs.control import Control
from rlsuite.envs.lamps import lamps
from rlsuite.envs.pixels import pixel_pendulum
from rlsuite.problems.episodes import between, draw_frames, play
from rlsuite.problems.solar import LIGHTS, lamp_returns
from rlsuite.registry import Entry, Problem

_LAMPS = PlanningConfig(
    length=8,
    first_rollouts=20,
    rollouts=5,
    capacity=40,
    first_updates=150,
    updates=20,
    exploration=0.5,
    model=Config(
        transition="linear",
        size=2,
        learning_rate=2e-2,
        temper=1.0,
        plan_length=8,
        plan_iterations=8,
        plan_samples=64,
        plan_elites=8,
    ),
)

_BALANCE = PlanningConfig(
    length=100,
    first_rollouts=60,
    rollouts=6,
    capacity=120,
    first_updates=1500,
    updates=150,
    exploration=0.7,
    model=Config(
        transition="full",
        how="steps",
        plan_length=20,
        plan_iterations=5,
        plan_samples=60,
        plan_elites=8,
    ),
)


def lit(problem: Recorded, config: Config) -> LatentModel:
    """A model that sees how light the lamps are; how they move and what they cost is to be learned.

    Args:
        problem: Episodes of ``lamps``.
        config: Of which the transition's part counts.

    Returns:
        The model.
    """
    steps, actions = problem.training.actions.shape[1:]
    transition = latent_models.transition_of(config, actions, steps)
    emission = latent_models.bernoulli()
    return LatentModel(LIGHTS.encoder, LIGHTS.decoder, emission, transition, config.size)


def _draw(problem: Control, config: PlanningConfig, state: Any, **how: Any) -> Any:
    """An episode of plans as pictures."""
    act = latent_models.make_planner(problem, config, **how).act
    assert act is not None
    return draw_frames(play(problem, act, state))


def _problem(build: Any, config: PlanningConfig, num_steps: int, **how: Any) -> Problem:
    return Problem(
        build=build,
        draw=functools.partial(_draw, **how.get("callables", {})),
        num_steps=num_steps,
        config=config,
        score="score",
        higher_is_better=True,
        **how,
    )


ENTRY = Entry(
    name="latent_planner",
    make=latent_models.make_planner,
    config=PlanningConfig,
    problems={
        "lamps": _problem(
            lamps,
            _LAMPS,
            3,
            summary="two lamps that are to shine equally, seen as a picture of 8×8 pixels",
            baselines=lamp_returns,
            callables={"model": lit},
            quick=True,
        ),
        "pixel-balance": _problem(
            functools.partial(pixel_pendulum, "balance", side=24, noise=0.01),
            _BALANCE,
            5,
            summary="a pendulum that is kept upright, in two pictures of 24×24 pixels",
            baselines=between(None),
        ),
    },
    probe="lamps",
    summary="Plans in a latent model that is learned from what planning leads to.",
    citation="Hafner et al. 2019; Watter et al. 2015.",
)
