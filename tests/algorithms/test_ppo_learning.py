"""PPO learns: to balance a pole, to remember, to swing a pendulum."""

import jax
import numpy as np
import pytest

from rlsuite import run
from rlsuite.algorithms import ppo
from rlsuite.envs.control import control
from rlsuite.problems.ppo import ENTRY, PENDULUM

KEY = jax.random.key(7)


@pytest.mark.usefixtures("long_running")
def test_cartpole_is_learned_and_held():
    """In the last three evaluations of 100,000 transitions, by most of eight seeds, and at last."""
    problem = ENTRY.problems["cartpole"]
    result = run(
        ppo.make,
        problem.build(),
        problem.config,
        jax.random.key(0),
        problem.num_steps,
        num_seeds=8,
        evaluate_every=13,
        chunk_length=13,
        progress=False,
    )
    returns = result.evaluations.episode_return
    assert np.sum(np.all(returns[:, -3:] >= 475, axis=1)) >= 6
    assert np.mean(returns[:, -1]) >= 475


def test_a_memory_learns_what_none_can():
    """A bit shown at the beginning is asked for at the end: without a memory, 0 at best."""
    problem = control("MemoryChain-bsuite", memory_length=3)
    config = ppo.Config(
        learning_rate=3e-3,
        num_envs=16,
        rollout_length=16,
        hidden_sizes=(16,),
        memory="gru",
        memory_size=16,
    )
    result = run(ppo.make, problem, config, KEY, 60, num_seeds=8, progress=False)
    assert np.sum(result.evaluations.episode_return[:, -1] == 1.0) >= 7


def test_continuous_actions_are_learned():
    """A pendulum's first steps: far better than at random after 20,000 transitions."""
    result = run(ppo.make, control("Pendulum-v1"), PENDULUM, KEY, 24, progress=False)
    assert result.evaluations.episode_return[-1] > -450
