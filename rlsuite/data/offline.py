r"""Offline reinforcement learning as a problem: recorded episodes, and where they are put to use.

Scores are normalised as D4RL's are: of an episode whose undiscounted return is R,

    100 (R − R_random) / (R_expert − R_random).

References:
    Fu, Kumar, Nachum, Tucker, Levine: D4RL: datasets for deep data-driven reinforcement learning.
    2020, arXiv:2004.07219.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.envs import episodes as recorded
from rlsuite.envs.control import Control, Timestep
from rlsuite.envs.episodes import Episodes
from rlsuite.envs.rollouts import episode_returns
from rlsuite.ops.pytrees import pytree

_ROUNDING = 1e-4

Act = Callable[[PRNGKeyArray, Any, Any], tuple[Float[Array, " action"], Any]]
"""From a key, an observation and what is remembered to an action and what is remembered then."""


@pytree(
    static=(
        "name",
        "longest",
    )
)
@dataclasses.dataclass(frozen=True)
class Offline:
    """Recorded episodes as a problem; :func:`offline` builds one and checks it.

    Attributes:
        name: What it is called.
        episodes: What was recorded.
        control: Where policies are tried out; None if they cannot be, or only on the host.
        random_return: The mean return of random actions, whose score is 0.
        expert_return: The mean return of an expert, whose score is 100.
        longest: How many steps the longest episode has.
    """

    name: str
    episodes: Episodes
    control: Control | None
    random_return: Float[Array, ""]
    expert_return: Float[Array, ""]
    longest: int

    def score(self, episode_return: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Normalised scores; see the module.

        Args:
            episode_return: Undiscounted returns.

        Returns:
            100 (R − R_random) / (R_expert − R_random).
        """
        span = self.expert_return - self.random_return
        return 100.0 * (episode_return - self.random_return) / span


def offline(
    name: str,
    episodes: Episodes,
    control: Control | None = None,
    *,
    random_return: float = 0.0,
    expert_return: float = 100.0,
) -> Offline:
    """Recorded episodes as a problem.

    Args:
        name: What it is called.
        episodes: What was recorded.
        control: Where policies are tried out.
        random_return: The mean return of random actions.
        expert_return: The mean return of an expert. With the defaults, returns are scores.

    Returns:
        The problem.

    Raises:
        ValueError: If the expert is no better than chance; or, with an environment, the episodes
            have observations or actions of other sizes, or actions that are not within [−1, 1].

    Example:
        >>> import numpy as np
        >>> from rlsuite.envs.episodes import Episode, join
        >>> one = Episode(np.zeros((3, 4)), np.zeros((2, 1)), np.ones(2))
        >>> problem = offline("zeros", join([one]), random_return=20.0, expert_return=60.0)
        >>> float(problem.score(jnp.asarray(50.0)))
        75.0
    """
    if not expert_return > random_return:
        raise ValueError(
            f"expert_return is {expert_return}; allowed: above random_return, {random_return}"
        )
    if control is not None:
        _, shown = jax.eval_shape(control.reset, jax.random.key(0))
        _match("observations", episodes.observations, getattr(shown.observation, "shape", None))
        _match("actions", episodes.actions, (control.actions.size,))
        greatest = float(jnp.max(jnp.abs(episodes.actions)))
        if greatest > 1 + _ROUNDING:
            raise ValueError(f"episodes have actions up to ±{greatest:g}; allowed: within [−1, 1]")
    low, high = (jnp.asarray(value, jnp.float32) for value in (random_return, expert_return))
    return Offline(name, episodes, control, low, high, int(jnp.max(episodes.lengths)))


def told(problem: Offline, label: Float[Array, " label"]) -> Offline:
    """A problem whose observations end with what is wanted: for policies, which cannot be asked.

    Args:
        problem: With labels of episodes.
        label: What is wanted where policies are tried out.

    Returns:
        The problem; every recorded observation is followed by its episode's labels.

    Raises:
        ValueError: If there is no label, or another number of them.
    """
    episodes = problem.episodes
    if label.shape != episodes.labels.shape[1:] or not label.size:
        raise ValueError(
            f"label has shape {label.shape}; allowed: {episodes.labels.shape[1:]}, as episodes "
            "have it, with at least one number"
        )
    labels = jax.vmap(recorded.label, (None, 0))(episodes, jnp.arange(episodes.num_steps))

    def followed(observations: Float[Array, "step n"]) -> Float[Array, "step _"]:
        return jnp.concatenate([observations, labels], axis=1)

    episodes = episodes._replace(
        observations=followed(episodes.observations),
        next_observations=followed(episodes.next_observations),
    )
    control = problem.control
    if control is not None:
        from rlsuite.envs import told as shown

        control = shown.told(control, label)
    name = f"{problem.name}-told"
    return dataclasses.replace(problem, name=name, episodes=episodes, control=control)


def _match(what: str, recorded: Array, shape: tuple[int, ...] | None) -> None:
    if recorded.shape[1:] != shape:
        raise ValueError(
            f"episodes have {what} of shape {recorded.shape[1:]}; allowed: the environment's, "
            f"{'one vector each' if shape is None else shape}"
        )


def evaluate(
    control: Control, act: Act, key: PRNGKeyArray, num_episodes: int, length: int
) -> Float[Array, " episode"]:
    """What a policy earns in new episodes, side by side in one program.

    Args:
        control: The environment.
        act: The policy, in one episode; None is remembered where an episode begins. It may close
            over traced parameters.
        key: Key.
        num_episodes: How many episodes.
        length: After so many actions an episode is left, ended or not.

    Returns:
        Undiscounted returns up to each episode's end.

    Raises:
        ValueError: If a number is below 1.
    """

    def choose(key: PRNGKeyArray, timestep: Timestep, carry: Any) -> tuple[Array, Any]:
        return act(key, timestep.observation, carry)

    return episode_returns(control, choose, key, num_episodes, length)
