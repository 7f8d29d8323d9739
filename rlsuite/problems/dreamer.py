"""Problems for learning in imagination: classic control, grids, and a probe."""

import dataclasses
from collections.abc import Callable
from typing import Any

from rlsuite.algorithms import dreamer
from rlsuite.algorithms.dreamer import Behaviour, Config, Model
from rlsuite.envs.control import Control, control
from rlsuite.problems.episodes import (
    between,
    corridor,
    corridor_returns,
    draw_frames,
    draw_lines,
    play,
)
from rlsuite.registry import Entry, Problem

_RECURRENT = Model(deter=128, stoch=16, classes=8, blocks=4, hidden=64, units=64, layers=2)
_MARKOV = Model(kind="markov", layers=2, units=64)

PENDULUM = Config(
    learning_rate=1e-3,
    value_learning_rate=3e-3,
    warmup=100,
    sequence_length=16,
    steps_per_update=1,
    prefill=500,
    replay_size=10_000,
    evaluation_length=200,
    model=_MARKOV,
    behaviour=Behaviour(gradient="dynamics", discount=0.99, policy_layers=2, starts=64),
)
CARTPOLE = Config(
    learning_rate=1e-3,
    warmup=100,
    sequence_length=16,
    prefill=500,
    replay_size=20_000,
    evaluation_length=500,
    model=_MARKOV,
    behaviour=Behaviour(discount=0.99, entropy=1e-3, policy_layers=2),
)
CATCH = Config(
    learning_rate=1e-3,
    warmup=100,
    sequence_length=16,
    steps_per_update=4,
    prefill=500,
    replay_size=20_000,
    evaluation_length=10,
    evaluation_episodes=50,
    model=_RECURRENT,
    behaviour=Behaviour(discount=0.99, entropy=1e-3, policy_layers=2, horizon=10, starts=128),
)
BREAKOUT = Config(
    learning_rate=4e-4,
    warmup=100,
    sequence_length=32,
    steps_per_update=8,
    prefill=2000,
    evaluation_length=1000,
    model=dataclasses.replace(_RECURRENT, deter=256, units=128, hidden=128, depth=2),
    behaviour=Behaviour(discount=0.99, entropy=1e-3, policy_layers=2, horizon=10, starts=256),
)
_CORRIDOR = Config(
    learning_rate=1e-2,
    warmup=0,
    batch_size=4,
    sequence_length=4,
    num_environments=2,
    prefill=20,
    replay_size=1000,
    evaluation_episodes=4,
    evaluation_length=8,
    model=Model(kind="markov", units=16, layers=1, heads="normal"),
    behaviour=Behaviour(horizon=4, policy_layers=1, discount=0.95, slow_rate=0.1),
)


def _drawn(how: Callable[..., Any]) -> Callable[[Control, Config, dreamer.State], Any]:
    """A picture of an episode of the most probable actions."""

    def draw(problem: Control, config: Config, state: dreamer.State) -> Any:
        act = dreamer.make(problem, config).act
        assert act is not None
        return how(play(problem, act, state, config.evaluation_length))

    return draw


def _steps(config: Config, acted: int) -> int:
    """How many steps of the algorithm make so many time steps."""
    each = config.num_environments * config.steps_per_update
    return (acted - config.num_environments * config.prefill) // each


_PENDULUM = Problem(
    build=lambda: control("Pendulum-v1"),
    num_steps=_steps(PENDULUM, 6000),
    config=PENDULUM,
    summary="a pendulum is swung up along gradients through a Markov model; 6,000 steps",
    score="episode_return",
    higher_is_better=True,
    reference=-250.0,
    reference_source="what our PPO holds from 12,288 steps on",
    baselines=between(None),
    draw=_drawn(draw_lines),
    quick=True,
    quick_steps=_steps(PENDULUM, 2000),
)


ENTRY = Entry(
    name="dreamer",
    make=dreamer.make,
    config=Config,
    problems={
        "pendulum": _PENDULUM,
        "pendulum-rssm": dataclasses.replace(
            _PENDULUM,
            config=dataclasses.replace(PENDULUM, model=_RECURRENT),
            summary="the same in a recurrent model with latents",
            quick=False,
        ),
        "cartpole": Problem(
            build=lambda: control("CartPole-v1"),
            num_steps=_steps(CARTPOLE, 15_000),
            config=CARTPOLE,
            summary="a pole is balanced on a cart, dreamt in a Markov model; 15,000 steps",
            score="episode_return",
            higher_is_better=True,
            reference=475.0,
            reference_source="the return at which gymnasium calls it solved",
            baselines=between(500.0),
            draw=_drawn(draw_lines),
        ),
        "catch": Problem(
            build=lambda: control("Catch-bsuite"),
            num_steps=_steps(CATCH, 20_000),
            config=CATCH,
            summary="a falling ball is caught, dreamt in latents; 20,000 steps",
            score="episode_return",
            higher_is_better=True,
            baselines=between(1.0),
            draw=_drawn(draw_frames),
        ),
        "breakout": Problem(
            build=lambda: control("Breakout-MinAtar"),
            num_steps=_steps(BREAKOUT, 100_000),
            config=BREAKOUT,
            summary="bricks are broken on a grid of 10 x 10, dreamt in latents; 100,000 steps",
            score="episode_return",
            higher_is_better=True,
            baselines=between(None),
            draw=_drawn(draw_frames),
        ),
        "corridor": Problem(
            build=corridor,
            num_steps=200,
            config=_CORRIDOR,
            summary="four cells in a row, and a reward at the end",
            score="episode_return",
            higher_is_better=True,
            baselines=corridor_returns,
            draw=_drawn(draw_lines),
        ),
    },
    probe="corridor",
    summary="Policies from dreams in a learned world, and from gradients through it.",
    citation="Hafner et al. 2020; Hafner et al. 2023.",
)
