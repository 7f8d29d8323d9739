"""Problems for policies that learn from rewards: classic control, grids, memory, and a probe."""

import functools

from rlsuite.algorithms import ppo
from rlsuite.envs.control import control
from rlsuite.problems.episodes import (
    corridor,
    corridor_returns,
    draw_frames,
    draw_lines,
    problem_of,
)
from rlsuite.registry import Entry

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


_problem = functools.partial(problem_of, ppo.make)

ENTRY = Entry(
    name="ppo",
    make=ppo.make,
    config=ppo.Config,
    problems={
        "cartpole": _problem(
            lambda: control("CartPole-v1"),
            draw_lines,
            best=500.0,
            num_steps=195,
            config=CARTPOLE,
            summary="a pole is balanced on a cart; 100,000 transitions",
            reference=475.0,
            reference_source="the return at which gymnasium calls it solved",
            quick=True,
        ),
        "pendulum": _problem(
            lambda: control("Pendulum-v1"),
            draw_lines,
            num_steps=60,
            config=PENDULUM,
            summary="a pendulum is swung up; 61,000 transitions",
        ),
        "catch": _problem(
            lambda: control("Catch-bsuite"),
            draw_frames,
            best=1.0,
            num_steps=40,
            config=CATCH,
            summary="a falling ball is caught; 20,000 transitions",
        ),
        "breakout": _problem(
            lambda: control("Breakout-MinAtar"),
            draw_frames,
            num_steps=1000,
            config=BREAKOUT,
            summary="bricks are broken on a grid of 10 x 10; a million transitions",
        ),
        "memory": _problem(
            lambda: control("MemoryChain-bsuite", memory_length=10),
            draw_lines,
            best=1.0,
            num_steps=200,
            config=MEMORY,
            summary="a bit is shown, and asked for ten steps later; 100,000 transitions",
        ),
        "corridor": _problem(
            corridor,
            draw_lines,
            baselines=corridor_returns,
            num_steps=60,
            config=_CORRIDOR,
            summary="four cells in a row, and a reward at the end",
        ),
    },
    probe="corridor",
    summary="Policies from rewards, by many small safe steps on what was just experienced.",
    citation="Schulman et al. 2017; Huang et al. 2022.",
)
