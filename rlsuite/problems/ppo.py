"""Problems for policies that learn from rewards: classic control, grids, memory, and a probe."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.algorithms import ppo
from rlsuite.envs.control import Control, control
from rlsuite.nets import linear
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
_LENGTH, _LIMIT, _STEP_COST = 4, 8, 0.1


def corridor() -> Control:
    """Four cells in a row; at the far end, a reward of 1; each step costs 0.1; 8 steps at most.

    Returns:
        The problem. Its best return is 0.7, three steps to the right.
    """
    from rlsuite.envs import tabular as environments
    from rlsuite.ops import tabular

    cells = np.arange(_LENGTH)
    last = cells == _LENGTH - 1
    neighbours = np.stack([np.maximum(cells - 1, 0), np.minimum(cells + 1, _LENGTH - 1)], axis=1)
    reward = np.full((_LENGTH, 2), -_STEP_COST, np.float32)
    reward[_LENGTH - 2, 1] += 1.0
    mdp = tabular.MDP(
        tabular.Gather(jnp.asarray(neighbours)),
        jnp.asarray(reward),
        jnp.asarray(cells == 0, jnp.float32),
        discount=0.99,
        terminal=jnp.asarray(last),
    )
    return Control("corridor", *environments.make(mdp, max_steps_in_episode=_LIMIT))


def _corridor_returns(problem: Control) -> dict[str, float]:
    """The expected undiscounted return of steps at random, and the best one."""
    from rlsuite.ops import tabular

    mdp = problem.params.mdp.replace(discount=1.0)
    uniform = jnp.full((_LIMIT, _LENGTH, 2), jnp.log(0.5))
    return {
        "random": float(tabular.finite_policy_evaluation(mdp, uniform)[0, 0]),
        "optimal": float(tabular.backward_induction(mdp, _LIMIT).values[0, 0]),
    }


def _random_return(problem: Control, count: int = 200) -> float:
    """The mean return of actions drawn uniformly."""
    without_memory = ppo.feed_forward(linear())

    def policy(key: Any, walkers: ppo.Walkers) -> tuple[Any, Any, None]:
        del walkers
        return (), jax.vmap(problem.actions.uniform)(jax.random.split(key, count)), None

    @jax.jit
    def returns(key: Any) -> Any:
        return ppo.episodes(problem, without_memory, policy, key, count)[0]

    return float(jnp.mean(returns(jax.random.key(0))))


def _between(best: float | None) -> Any:
    """Baselines: what random actions earn, and the best possible where it is known."""

    def baselines(problem: Control) -> dict[str, float]:
        found = {"random": _random_return(problem)}
        return found if best is None else {**found, "optimal": best}

    return baselines


def _episode(problem: Control, config: ppo.Config, state: ppo.State) -> tuple[Any, Any, Any]:
    """Observations, actions and rewards of an episode of the likeliest actions."""
    act = ppo.make(problem, config).act
    assert act is not None
    step = jax.jit(lambda *of_time: problem.step(*of_time))
    choose = jax.jit(lambda seen, carry: act(None, state, seen, carry))  # type: ignore[arg-type]
    now, seen = jax.jit(problem.reset)(jax.random.key(0))
    carry = ppo.default_network(problem, config).initial(())
    observations, actions, rewards = [seen.observation], list[Any](), list[float]()
    while not seen.is_last:
        action, carry = choose(seen, carry)
        now, seen = step(jax.random.key(len(actions)), now, action)
        observations.append(seen.observation)
        actions.append(action)
        rewards.append(float(seen.reward))
    return np.asarray(observations), np.asarray(actions), np.asarray(rewards)


def draw_lines(problem: Control, config: ppo.Config, state: ppo.State) -> Any:
    """An episode of the likeliest actions: what is seen, done and earned, over time."""
    from matplotlib.figure import Figure

    observations, actions, rewards = _episode(problem, config, state)
    if problem.actions.is_discrete:
        actions = np.argmax(actions, axis=-1)
    figure = Figure(figsize=(9, 3), layout="constrained")
    panels = figure.subplots(1, 3)
    panels[0].plot(observations, linewidth=0.8)
    panels[1].step(np.arange(len(actions)), actions, linewidth=0.6, color="#dc6803")
    panels[2].plot(np.cumsum(rewards), color="#2563eb")
    for axes, title in zip(panels, ("observation", "action", "return"), strict=True):
        axes.set(title=title, xlabel="step")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_frames(problem: Control, config: ppo.Config, state: ppo.State) -> Any:
    """Six moments of an episode of the likeliest actions."""
    from matplotlib.figure import Figure

    observations, _, rewards = _episode(problem, config, state)
    figure = Figure(figsize=(9, 2.2), layout="constrained")
    figure.suptitle(f"return {rewards.sum():g}", fontsize=10)
    times = np.linspace(0, len(observations) - 1, 6).astype(int)
    for axes, time in zip(figure.subplots(1, 6), times, strict=True):
        frame = observations[time]
        if frame.ndim == 3:  # Each channel in a shade of its own.
            frame = np.max(frame * np.linspace(0.4, 1.0, frame.shape[-1]), axis=-1)
        axes.imshow(frame, cmap="magma", vmin=0, vmax=1)
        axes.set(title=f"step {time}", xticks=[], yticks=[])
    return figure


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
            baselines=_between(500.0),
            draw=draw_lines,
            quick=True,
        ),
        "pendulum": Problem(
            build=lambda: control("Pendulum-v1"),
            num_steps=60,
            config=PENDULUM,
            summary="a pendulum is swung up; 61,000 transitions",
            score="episode_return",
            higher_is_better=True,
            baselines=_between(None),
            draw=draw_lines,
        ),
        "catch": Problem(
            build=lambda: control("Catch-bsuite"),
            num_steps=40,
            config=CATCH,
            summary="a falling ball is caught; 20,000 transitions",
            score="episode_return",
            higher_is_better=True,
            baselines=_between(1.0),
            draw=draw_frames,
        ),
        "breakout": Problem(
            build=lambda: control("Breakout-MinAtar"),
            num_steps=1000,
            config=BREAKOUT,
            summary="bricks are broken on a grid of 10 x 10; a million transitions",
            score="episode_return",
            higher_is_better=True,
            baselines=_between(None),
            draw=draw_frames,
        ),
        "memory": Problem(
            build=lambda: control("MemoryChain-bsuite", memory_length=10),
            num_steps=200,
            config=MEMORY,
            summary="a bit is shown, and asked for ten steps later; 100,000 transitions",
            score="episode_return",
            higher_is_better=True,
            baselines=_between(1.0),
            draw=draw_lines,
        ),
        "corridor": Problem(
            build=corridor,
            num_steps=60,
            config=_CORRIDOR,
            summary="four cells in a row, and a reward at the end",
            score="episode_return",
            higher_is_better=True,
            baselines=_corridor_returns,
            draw=draw_lines,
        ),
    },
    probe="corridor",
    summary="Policies from rewards, by many small safe steps on what was just experienced.",
    citation="Schulman et al. 2017; Huang et al. 2022.",
)
