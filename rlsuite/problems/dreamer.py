"""Problems for learning in imagination: classic control, grids, and a probe."""

import dataclasses
import functools

from rlsuite.algorithms import dreamer
from rlsuite.algorithms.dreamer import Behaviour, Config, Model
from rlsuite.envs.control import control
from rlsuite.problems.episodes import (
    corridor,
    corridor_returns,
    draw_frames,
    draw_lines,
    problem_of,
)
from rlsuite.registry import Entry

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
    value_learning_rate=3e-3,
    warmup=100,
    sequence_length=16,
    steps_per_update=1,
    prefill=500,
    replay_size=20_000,
    evaluation_length=500,
    model=_MARKOV,
    behaviour=Behaviour(discount=0.99, entropy=1e-3, policy_layers=2, starts=64),
)
CATCH = Config(
    learning_rate=1e-3,
    policy_learning_rate=3e-4,
    warmup=100,
    sequence_length=16,
    steps_per_update=4,
    prefill=500,
    replay_size=20_000,
    evaluation_length=10,
    evaluation_episodes=50,
    # A ball on a small board is known by fewer than a nat a step.
    model=dataclasses.replace(_RECURRENT, free_nats=0.1),
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


def _steps(config: Config, acted: int) -> int:
    """How many steps of the algorithm make so many time steps."""
    each = config.num_environments * config.steps_per_update
    return (acted - config.num_environments * config.prefill) // each


_problem = functools.partial(problem_of, dreamer.make)

_PENDULUM = _problem(
    lambda: control("Pendulum-v1"),
    draw_lines,
    num_steps=_steps(PENDULUM, 6000),
    config=PENDULUM,
    summary="a pendulum is swung up along gradients through a Markov model; 6,000 steps",
    reference=-250.0,
    reference_source="what our PPO holds from 12,288 steps on",
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
        "cartpole": _problem(
            lambda: control("CartPole-v1"),
            draw_lines,
            best=500.0,
            num_steps=_steps(CARTPOLE, 15_000),
            config=CARTPOLE,
            summary="a pole is balanced on a cart, dreamt in a Markov model; 15,000 steps",
            reference=475.0,
            reference_source="the return at which gymnasium calls it solved",
        ),
        "catch": _problem(
            lambda: control("Catch-bsuite"),
            draw_frames,
            best=1.0,
            num_steps=_steps(CATCH, 20_000),
            config=CATCH,
            summary="a falling ball is caught, dreamt in latents; 20,000 steps",
        ),
        "breakout": _problem(
            lambda: control("Breakout-MinAtar"),
            draw_frames,
            num_steps=_steps(BREAKOUT, 100_000),
            config=BREAKOUT,
            summary="bricks are broken on a grid of 10 x 10, dreamt in latents; 100,000 steps",
        ),
        "corridor": _problem(
            corridor,
            draw_lines,
            baselines=corridor_returns,
            num_steps=200,
            config=_CORRIDOR,
            summary="four cells in a row, and a reward at the end",
        ),
    },
    probe="corridor",
    summary="Policies from dreams in a learned world, and from gradients through it.",
    citation="Hafner et al. 2020; Hafner et al. 2023.",
)
