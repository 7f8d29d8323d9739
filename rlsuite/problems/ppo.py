"""Problems for policies that learn from rewards: classic control, grids, memory, and a probe."""

from collections.abc import Callable
from typing import Any

from rlsuite.algorithms import ppo
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

CARTPOLE = ppo.Config(learning_rate=1e-3, num_epochs=10, annealing_steps=195)
"""The default, which is purejaxrl's, with a higher rate and more passes."""

PENDULUM = ppo.Config(
    learning_rate=1e-3,
    discount=0.95,
    entropy_weight=0.0,
    num_envs=4,
    rollout_length=256,
    num_epochs=10,
    num_minibatches=16,
    annealing_steps=60,
    clip_values=False,
    normalize_rewards=True,
)
CATCH = ppo.Config(learning_rate=2.5e-3, annealing_steps=40)
BREAKOUT = ppo.Config(
    learning_rate=1e-3,
    entropy_weight=0.01,
    num_envs=16,
    rollout_length=64,
    num_minibatches=8,
    annealing_steps=1000,
    hidden_sizes=(128,),
)
MEMORY = ppo.Config(
    learning_rate=1e-3, num_envs=16, rollout_length=32, annealing_steps=200, memory="gru"
)
_CORRIDOR = ppo.Config(
    learning_rate=1e-2,
    num_envs=4,
    rollout_length=16,
    num_epochs=2,
    num_minibatches=2,
    hidden_sizes=(8,),
    evaluation_episodes=4,
)


def _drawn(how: Callable[..., Any]) -> Callable[[Control, ppo.Config, ppo.State], Any]:
    """A picture of an episode of the most probable actions."""

    def draw(problem: Control, config: ppo.Config, state: ppo.State) -> Any:
        act = ppo.make(problem, config).act
        assert act is not None
        return how(play(problem, act, state))

    return draw


ENTRY = Entry(
    name="ppo",
    make=ppo.make,
    config=ppo.Config,
    problems={
        "cartpole": Problem(
            build=lambda: control("CartPole-v1"),
            num_steps=195,
            config=CARTPOLE,
            summary="a pole is balanced on a cart; 100,000 transitions",
            score="episode_return",
            higher_is_better=True,
            reference=475.0,
            reference_source="the return at which gymnasium calls it solved",
            baselines=between(500.0),
            draw=_drawn(draw_lines),
            quick=True,
        ),
        "pendulum": Problem(
            build=lambda: control("Pendulum-v1"),
            num_steps=60,
            config=PENDULUM,
            summary="a pendulum is swung up; 61,000 transitions",
            score="episode_return",
            higher_is_better=True,
            baselines=between(None),
            draw=_drawn(draw_lines),
        ),
        "catch": Problem(
            build=lambda: control("Catch-bsuite"),
            num_steps=40,
            config=CATCH,
            summary="a falling ball is caught; 20,000 transitions",
            score="episode_return",
            higher_is_better=True,
            baselines=between(1.0),
            draw=_drawn(draw_frames),
        ),
        "breakout": Problem(
            build=lambda: control("Breakout-MinAtar"),
            num_steps=1000,
            config=BREAKOUT,
            summary="bricks are broken on a grid of 10 x 10; a million transitions",
            score="episode_return",
            higher_is_better=True,
            baselines=between(None),
            draw=_drawn(draw_frames),
        ),
        "memory": Problem(
            build=lambda: control("MemoryChain-bsuite", memory_length=10),
            num_steps=200,
            config=MEMORY,
            summary="a bit is shown, and asked for ten steps later; 100,000 transitions",
            score="episode_return",
            higher_is_better=True,
            baselines=between(1.0),
            draw=_drawn(draw_lines),
        ),
        "corridor": Problem(
            build=corridor,
            num_steps=60,
            config=_CORRIDOR,
            summary="four cells in a row, and a reward at the end",
            score="episode_return",
            higher_is_better=True,
            baselines=corridor_returns,
            draw=_drawn(draw_lines),
        ),
    },
    probe="corridor",
    summary="Policies from rewards, by many small safe steps on what was just experienced.",
    citation="Schulman et al. 2017; Huang et al. 2022.",
)
