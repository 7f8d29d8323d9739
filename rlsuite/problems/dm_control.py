"""Dreamer on tasks of the DeepMind Control Suite, from their states.

    python -m rlsuite.problems.dm_control cartpole-swingup --steps 100000 --out DIR

Needs the extra ``dm_control``. Actions are repeated twice, and steps are counted with the repeats,
as in the publications: an episode is 1,000 steps, of which the agent decides 500. Two sizes: a
small Markov model whose policy learns along its gradient, for a few cores, and DreamerV3's
``1m``.

References:
    Tassa et al. 2018: DeepMind Control Suite, arXiv:1801.00690.
"""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import tyro

from rlsuite.algorithms.dreamer import Behaviour, Config, Model, v3
from rlsuite.envs.hosts import HostEnvironment, from_dm_control
from rlsuite.io.terminal import guarded, parse

REPEAT = 2
TASKS = {"cartpole-swingup": ("cartpole", "swingup"), "walker-walk": ("walker", "walk")}
_STEPS = {"cartpole-swingup": 100_000, "walker-walk": 200_000}
_PROGRAM = "python -m rlsuite.problems.dm_control"

SMALL = Config(
    learning_rate=1e-3,
    value_learning_rate=3e-3,
    warmup=100,
    sequence_length=16,
    prefill=1000,
    steps_per_update=2,
    model=Model(kind="markov", layers=2, units=128),
    behaviour=Behaviour(gradient="dynamics", discount=0.99, policy_layers=2, starts=64),
    evaluation_episodes=4,
    evaluation_length=500,
)
"""For a few cores."""

LARGE = v3("1m", steps_per_update=2, evaluation_episodes=4, evaluation_length=500)
"""DreamerV3's smallest size, at a train ratio of 512."""


def environment(task: str, num_environments: int = 1) -> HostEnvironment:
    """Environments of a task.

    Args:
        task: One of ``TASKS``.
        num_environments: How many.

    Returns:
        All of them, side by side.

    Raises:
        ValueError: If there is no such task, or dm_control is not installed.
    """
    if task not in TASKS:
        raise ValueError(f"task is {task!r}; allowed: {', '.join(TASKS)}")
    os.environ.setdefault("MUJOCO_GL", "disabled")  # States need no renderer, which may be absent.
    try:
        from dm_control import suite
    except ImportError as error:
        raise ValueError(
            "the control suite needs dm_control; pip install 'rlsuite[dm_control]'"
        ) from error

    def make(seed: int) -> Any:
        return suite.load(*TASKS[task], task_kwargs={"random": seed})

    return from_dm_control(make, num_environments, repeat=REPEAT)


def num_steps(config: Config, steps: int) -> int:
    """How many steps of the algorithm make so many of the environments.

    Args:
        config: The hyperparameters.
        steps: Of all environments, with the repeats.

    Returns:
        The number.

    Raises:
        ValueError: If the random actions at the beginning are more than that.

    Example:
        >>> num_steps(SMALL, 10_000)
        2000
    """
    decisions = steps // REPEAT - config.num_environments * config.prefill
    if decisions < 0:
        least = REPEAT * config.num_environments * config.prefill
        raise ValueError(f"steps is {steps}; allowed: at least {least}, the random ones")
    return decisions // (config.num_environments * config.steps_per_update)


@dataclasses.dataclass(frozen=True)
class _Options:
    """How to train.

    Attributes:
        task: What to learn.
        out: Directory for checkpoints and metrics.
        steps: Steps of the environment; 100,000 or, for the walker, 200,000 by default.
        size: "small", or DreamerV3's "1m".
        seed: Seed of the random key.
        evaluate_every: Evaluate after every so many steps of the environment.
        resume: Go on from the directory's latest checkpoint.
        progress: Show progress.
    """

    task: Annotated[Literal["cartpole-swingup", "walker-walk"], tyro.conf.Positional]
    out: pathlib.Path
    steps: int | None = None
    size: Literal["small", "1m"] = "small"
    seed: int = 0
    evaluate_every: int = 10_000
    resume: bool = False
    progress: bool = True


def main(arguments: Sequence[str] | None = None) -> int:
    """Train on a task, from the command line.

    Args:
        arguments: The arguments; those of the process by default.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    return guarded(_PROGRAM, lambda: _train(parse(_Options, words, prog=_PROGRAM)))


def _train(options: _Options) -> int:
    import jax

    from rlsuite.algorithms.dreamer.host import train

    config = SMALL if options.size == "small" else LARGE
    each = REPEAT * config.num_environments * config.steps_per_update
    result = train(
        environment(options.task, config.num_environments),
        config,
        jax.random.key(options.seed),
        num_steps(config, options.steps or _STEPS[options.task]),
        evaluation=environment(options.task, config.evaluation_episodes),
        evaluate_every=max(options.evaluate_every // each, 1),
        directory=options.out,
        resume=options.resume,
        progress=options.progress and options.task,
    )
    random = REPEAT * config.num_environments * config.prefill
    returns = result.evaluations.episode_return
    for step, score in zip(result.evaluation_steps, returns, strict=True):
        print(f"{random + each * step:>9,} steps: return {score:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
