"""What problems of control share: a probe, what random actions earn, and pictures of an episode."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from rlsuite.core import Algorithm
from rlsuite.envs.control import Control, Timestep
from rlsuite.envs.rollouts import episode_returns
from rlsuite.registry import Problem

_CELLS, _LIMIT, _STEP_COST = 4, 8, 0.1


def corridor() -> Control:
    """Four cells in a row; at the far end, a reward of 1; each step costs 0.1; 8 steps at most.

    Returns:
        The problem. Its best return is 0.7, three steps to the right.
    """
    from rlsuite.envs import tabular as environments
    from rlsuite.ops import tabular

    cells = np.arange(_CELLS)
    neighbours = np.stack([np.maximum(cells - 1, 0), np.minimum(cells + 1, _CELLS - 1)], axis=1)
    reward = np.full((_CELLS, 2), -_STEP_COST, np.float32)
    reward[_CELLS - 2, 1] += 1.0
    mdp = tabular.MDP(
        tabular.Gather(jnp.asarray(neighbours)),
        jnp.asarray(reward),
        jnp.eye(_CELLS)[0],
        discount=0.99,
        terminal=jnp.asarray(cells == _CELLS - 1),
    )
    return Control("corridor", *environments.make(mdp, max_steps_in_episode=_LIMIT))


def corridor_returns(problem: Control) -> dict[str, float]:
    """The expected return of steps at random in the corridor, and the best one."""
    mdp = jax.tree.map(np.asarray, problem.params.mdp)
    there, value = np.eye(_CELLS)[0], 0.0
    for _ in range(_LIMIT):
        there = np.where(mdp.terminal, 0.0, there)
        value += float(there @ mdp.reward.mean(axis=1))
        there = sum(there @ np.eye(_CELLS)[mdp.transition.next_states[:, a]] for a in range(2)) / 2
    return {"random": value, "optimal": 1.0 - _STEP_COST * (_CELLS - 1)}


def random_return(problem: Control, num_episodes: int = 200, max_length: int = 1000) -> float:
    """The mean return of actions drawn uniformly.

    Args:
        problem: The environment.
        num_episodes: Over how many episodes.
        max_length: After so many steps an episode is left.

    Returns:
        The mean.
    """

    def choose(key: PRNGKeyArray, timestep: Timestep, carry: Any) -> tuple[Array, Any]:
        return problem.actions.uniform(key, timestep.mask), carry

    earned = episode_returns(problem, choose, jax.random.key(0), num_episodes, max_length)
    return float(jnp.mean(earned))


def between(best: float | None) -> Callable[[Control], Mapping[str, float]]:
    """Baselines: what random actions earn, and the best return where it is known.

    Args:
        best: The best return, or None.

    Returns:
        A function of the problem, as ``registry.Problem.baselines`` wants it.
    """

    def baselines(problem: Control) -> dict[str, float]:
        found = {"random": random_return(problem)}
        return found if best is None else {**found, "optimal": best}

    return baselines


def problem_of(
    make: Callable[..., Algorithm],
    build: Callable[[], Control],
    draw: Callable[["Episode"], Any],
    *,
    best: float | None = None,
    **how: Any,
) -> Problem:
    """A problem whose score is the return of the most probable actions, with random ones beside it.

    Args:
        make: The algorithm, which is given what ``how`` has as ``callables``.
        build: Makes the environment.
        draw: ``draw_lines`` or ``draw_frames``; of an episode of the most probable actions.
        best: The best return, or None.
        how: The other arguments of ``registry.Problem``; another ``score``, for example.

    Returns:
        The problem.
    """

    def drawn(problem: Control, config: Any, state: Any) -> Any:
        act = make(problem, config, **how.get("callables", {})).act
        assert act is not None
        return draw(play(problem, act, state))

    fields = {"baselines": between(best), "score": "episode_return", **how}
    return Problem(build=build, higher_is_better=True, draw=drawn, **fields)


class Episode(NamedTuple):
    """What happened.

    Attributes:
        observations: Every observation, the last one included.
        actions: Every action, as a vector.
        rewards: Every reward.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray


def play(problem: Control, act: Callable[..., Any], state: Any, max_length: int = 1000) -> Episode:
    """One episode of the most probable actions.

    Args:
        problem: The environment.
        act: The algorithm's; without a key it takes the most probable action.
        state: Its state.
        max_length: After so many steps the episode is left.

    Returns:
        The episode.
    """
    step = jax.jit(lambda *now: problem.step(*now))
    first = jax.jit(lambda seen: act(None, state, seen, None))
    then = jax.jit(lambda seen, carry: act(None, state, seen, carry))
    now, seen = jax.jit(problem.reset)(jax.random.key(0))
    observations, carry = [seen.observation], None
    actions: list[Any] = []
    rewards: list[Any] = []
    while not seen.is_last and len(actions) < max_length:
        action, carry = first(seen) if carry is None else then(seen, carry)
        now, seen = step(jax.random.key(len(actions)), now, action)
        observations.append(seen.observation)
        actions.append(action)
        rewards.append(seen.reward)
    return Episode(*(np.asarray(x) for x in (observations, actions, rewards)))


def draw_lines(episode: Episode) -> Any:
    """What is seen, done and earned, over time.

    Args:
        episode: Of observations that are numbers or vectors.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    panels = figure.subplots(1, 3)
    panels[0].plot(episode.observations, linewidth=0.8)
    one_hot = episode.actions.shape[-1] > 1 and np.all(np.isin(episode.actions, (0, 1)))
    done = np.argmax(episode.actions, axis=-1) if one_hot else episode.actions
    panels[1].step(np.arange(len(done)), done, linewidth=0.6, color="#dc6803")
    panels[2].plot(np.cumsum(episode.rewards), color="#2563eb")
    for axes, title in zip(panels, ("observation", "action", "return"), strict=True):
        axes.set(title=title, xlabel="step")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_frames(episode: Episode) -> Any:
    """Six moments.

    Args:
        episode: Of observations that are grids.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.2), layout="constrained")
    figure.suptitle(f"return {episode.rewards.sum():g}", fontsize=10)
    times = np.linspace(0, len(episode.observations) - 1, 6).astype(int)
    for axes, time in zip(figure.subplots(1, 6), times, strict=True):
        frame = episode.observations[time]
        if frame.ndim == 3:  # Each channel in a shade of its own.
            frame = np.max(frame * np.linspace(0.4, 1.0, frame.shape[-1]), axis=-1)
        axes.imshow(frame, cmap="magma", vmin=0, vmax=1)
        axes.set(title=f"step {time}", xticks=[], yticks=[])
    return figure
