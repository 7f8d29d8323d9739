"""Recording what happens in gymnasium's environments, side by side on the host.

Environments start anew by themselves, and no observation is lost: row t of an environment holds
what it showed, what was done, and where that led, before any reset.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from rlsuite.envs.episodes import Episode

if TYPE_CHECKING:
    import gymnasium

Choose = Callable[[Float[np.ndarray, "environment n"]], tuple[Any, Any]]
"""From observations to actions as vectors, −1 to 1 (beyond that they are clipped), and to anything
else that is to be recorded beside them: a pytree of arrays with an axis of environments."""


class Rows(NamedTuple):
    """What happened, ``[time, environment]``.

    Attributes:
        observations: s_t.
        actions: a_t, as they were chosen.
        rewards: r_t.
        next_observations: s_{t+1}, before any reset.
        terminals: Whether the episode ended for good.
        ends: Whether it ended.
        beside: What was recorded beside the actions.
    """

    observations: Float[np.ndarray, "time environment n"]
    actions: Float[np.ndarray, "time environment m"]
    rewards: Float[np.ndarray, "time environment"]
    next_observations: Float[np.ndarray, "time environment n"]
    terminals: Bool[np.ndarray, "time environment"]
    ends: Bool[np.ndarray, "time environment"]
    beside: Any


class Recorder:
    """Walks through environments of vectors.

    Attributes:
        observation: What is seen now.
        observation_size: n.
        action_size: m.
        num_environments: How many walk side by side.

    Raises:
        ValueError: If there is no environment, or observations or actions are no vectors, or
            actions have no bounds.
    """

    def __init__(
        self, make: Callable[[], "gymnasium.Env"], num_environments: int, seed: int = 0
    ) -> None:
        from gymnasium.vector import AutoresetMode, SyncVectorEnv

        if num_environments < 1:
            raise ValueError(f"num_environments is {num_environments}; allowed: at least 1")
        self._environments: Any = SyncVectorEnv(
            [make] * num_environments, autoreset_mode=AutoresetMode.SAME_STEP
        )
        seen = _vectors("observations", self._environments.single_observation_space)
        taken = _vectors("actions", self._environments.single_action_space)
        if not (np.all(np.isfinite(taken.low)) and np.all(np.isfinite(taken.high))):
            raise ValueError(f"actions are {taken}; allowed: bounds on both sides")
        self._low, self._high = taken.low, taken.high
        self.observation_size, self.action_size = seen.shape[0], taken.shape[0]
        self.num_environments = num_environments
        self.observation: np.ndarray = self._environments.reset(seed=seed)[0].astype(np.float32)

    def walk(self, choose: Choose, length: int) -> Rows:
        """Walk on, from where the environments stand.

        Args:
            choose: What acts.
            length: How many steps of each.

        Returns:
            What happened.
        """
        rows = [self._step(choose) for _ in range(length)]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *rows)

    def _step(self, choose: Choose) -> Rows:
        seen = self.observation
        actions, beside = choose(seen)
        share = (np.clip(actions, -1, 1) + 1) / 2
        scaled = self._low + share * (self._high - self._low)
        now, rewards, terminals, cut, told = self._environments.step(scaled)
        self.observation = now.astype(np.float32)
        ends, following = terminals | cut, self.observation
        if ends.any():
            following = following.copy()
            following[ends] = np.stack(list(told["final_obs"][ends]))
        return Rows(seen, actions, rewards.astype(np.float32), following, terminals, ends, beside)

    def close(self) -> None:
        """Close the environments."""
        self._environments.close()


def episode_returns(
    recorder: Recorder,
    act: Callable[[Float[np.ndarray, "environment n"], Any], tuple[Any, Any]],
    length: int,
) -> Float[np.ndarray, " environment"]:
    """What is earned in one episode of each environment, side by side.

    Args:
        recorder: Environments that have just begun.
        act: From observations and what is remembered to actions and what is remembered then; None
            is remembered where episodes begin.
        length: After so many actions an episode is left.

    Returns:
        The undiscounted returns.

    Raises:
        ValueError: If the length is below 1.
    """
    if length < 1:
        raise ValueError(f"length is {length}; allowed: a whole number at least 1")
    carry: Any = None

    def choose(observations: np.ndarray) -> tuple[Any, Any]:
        nonlocal carry
        actions, carry = act(observations, carry)
        return actions, ()

    over = np.zeros(recorder.num_environments, bool)
    earned = np.zeros(recorder.num_environments)
    for _ in range(length):
        rows = recorder.walk(choose, 1)
        earned += np.where(over, 0.0, rows.rewards[0])
        over |= rows.ends[0]
        if over.all():
            break
    return earned


def _vectors(what: str, space: Any) -> Any:
    if len(space.shape or ()) != 1 or not np.issubdtype(space.dtype, np.floating):
        raise ValueError(f"{what} are {space}; allowed: vectors of floats")
    return space


def together(parts: Sequence[Rows]) -> Rows:
    """What happened in consecutive walks.

    Args:
        parts: The walks, in order.

    Returns:
        One walk.
    """
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def episodes_of(rows: Rows) -> tuple[list[Episode], Any]:
    """Take a walk apart; episodes that had not ended are cut off.

    Args:
        rows: The walk.

    Returns:
        (the episodes, their actions within −1 and 1; what was recorded beside, in the same order,
        an axis of steps).
    """
    episodes, order = [], []
    for member in range(rows.ends.shape[1]):
        ends = np.flatnonzero(rows.ends[:, member]) + 1
        edges = np.unique(np.concatenate([[0], ends, [len(rows.ends)]]))
        for start, end in itertools.pairwise(edges.tolist()):
            of = slice(start, end), member
            last = rows.next_observations[end - 1 : end, member]
            episodes.append(
                Episode(
                    np.concatenate([rows.observations[of], last]),
                    np.clip(rows.actions[of], -1, 1),
                    rows.rewards[of],
                    bool(rows.terminals[end - 1, member]),
                )
            )
            order.append(of)
    beside = jax.tree.map(lambda leaf: np.concatenate([leaf[of] for of in order]), rows.beside)
    return episodes, beside
