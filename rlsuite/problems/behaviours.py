"""Data of behaviours that learn, in D4RL's sense, from any environment of vectors.

One run of PPO leaves the policy at its end, called the expert, and the *medium* one: that in the
middle of the first ten steps in a row that earn, on average, a third of what the last ten do
(counted from what the first ten do). Then

* ``medium`` is what the medium policy does,
* ``medium-replay`` what all policies did, from the first to the medium one,
* ``medium-expert`` half and half what the medium policy and what the expert do.

Policies draw their actions, as they did in training.

References:
    Fu, Kumar, Nachum, Tucker, Levine: D4RL: datasets for deep data-driven reinforcement learning.
    2020, arXiv:2004.07219, section 5. There, SAC is what learns.
"""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

from rlsuite.algorithms.ppo import Config, HostPPO, State
from rlsuite.data.recording import Recorder, Rows, episodes_of, together
from rlsuite.envs.episodes import Episode
from rlsuite.io.progress import Progress

if TYPE_CHECKING:
    import gymnasium

KINDS = ("medium", "medium-replay", "medium-expert")

HOPPER = Config(
    num_envs=8,
    rollout_length=256,
    num_epochs=10,
    num_minibatches=32,
    learning_rate=3e-4,
    annealing_steps=488,
    entropy_weight=0.0,
    normalize_observations=True,
    normalize_rewards=True,
)
"""A million steps; the numbers are those of CleanRL's PPO for MuJoCo."""

_WINDOW = 10  # Steps whose mean return tells how good a policy is.


class Behaviours(NamedTuple):
    """What a run leaves.

    Attributes:
        ppo: What can act.
        medium: The medium policy.
        expert: The policy at the end.
        seen: What happened up to the medium policy.
        returns: Mean returns of episodes at each step, each over the last ten.
    """

    ppo: HostPPO
    medium: State
    expert: State
    seen: Rows
    returns: np.ndarray


def learn(
    make: Callable[[], "gymnasium.Env"], config: Config, *, seed: int = 0, progress: bool = True
) -> Behaviours:
    """Let PPO learn, once for all kinds of data.

    Args:
        make: Makes an environment.
        config: Of PPO; ``annealing_steps`` is how many steps it takes.
        seed: Of everything.
        progress: Whether to show how far it is.

    Returns:
        The behaviours.

    Raises:
        ValueError: If the config does not say how many steps, or nothing was learned.
    """
    count = config.annealing_steps
    if count is None or count < 2 * _WINDOW:
        raise ValueError(f"annealing_steps is {count}; allowed: at least {2 * _WINDOW}")
    recorder = Recorder(make, config.num_envs, seed)
    ppo = HostPPO(recorder.observation_size, recorder.action_size, config)
    states, walks, earned = [], [], []
    with Progress("behaviours", range(count), enabled=progress) as bar:
        steps = ppo.train(recorder, jax.random.key(seed))
        for number, step in enumerate(itertools.islice(steps, count), start=1):
            # Of the optimiser's state there would be one for each step.
            states.append(jax.device_get(step.state._replace(optimizer=())))
            walks.append(step.rows)
            earned.append(float(step.metrics.episode_return))
            bar.update(number, {"return": np.asarray(np.mean(earned[-_WINDOW:]))})
    recorder.close()
    returns = np.convolve(earned, np.full(_WINDOW, 1 / _WINDOW), mode="valid")
    first, last = returns[0], returns[-1]
    if not last > first:
        raise ValueError(
            f"policies earned {first:g} at first and {last:g} at the end of {count} steps; "
            f"allowed: a run in which they become better"
        )
    medium = int(np.argmax(returns >= first + (last - first) / 3)) + _WINDOW // 2
    seen = together(walks[: medium + 1])
    return Behaviours(ppo, states[medium], states[-1], seen, returns)


def record(
    make: Callable[[], "gymnasium.Env"],
    behaviours: Behaviours,
    kind: str,
    steps: int,
    *,
    seed: int = 0,
    side_by_side: int = 8,
) -> list[Episode]:
    """Data of one kind.

    Args:
        make: Makes an environment.
        behaviours: What ``learn`` returned.
        kind: Of ``KINDS``.
        steps: How many steps, about; of a replay, the latest.
        seed: Of environments and actions.
        side_by_side: How many environments are walked in at once.

    Returns:
        The episodes.

    Raises:
        ValueError: If there is no such kind, or ``steps`` is too small.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; allowed: {', '.join(KINDS)}")
    if steps < 2 * side_by_side:
        raise ValueError(f"steps is {steps}; allowed: at least {2 * side_by_side}")
    if kind == "medium-replay":
        length = -(-steps // behaviours.seen.ends.shape[1])
        return episodes_of(jax.tree.map(lambda leaf: leaf[-length:], behaviours.seen))[0]
    policies = [behaviours.medium]
    if kind == "medium-expert":
        policies.append(behaviours.expert)
    episodes = []
    for number, policy in enumerate(policies):
        recorder = Recorder(make, side_by_side, seed + number * side_by_side)
        choose = behaviours.ppo.policy(policy, jax.random.key(seed + number))
        rows = recorder.walk(choose, steps // len(policies) // side_by_side)
        recorder.close()
        episodes += episodes_of(rows)[0]
    return episodes
