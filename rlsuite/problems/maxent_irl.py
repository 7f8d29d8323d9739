"""Problems for maximum-entropy IRL: the seven mazes, objectworld, a random MDP, a large maze."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rlsuite.algorithms import maxent_irl
from rlsuite.data.experts import demonstrate, rollout
from rlsuite.envs.gridworld import gridworld
from rlsuite.envs.layouts import random_layout
from rlsuite.envs.mazes import LAYOUTS, maze
from rlsuite.envs.objectworld import SLIP, objectworld
from rlsuite.envs.random_mdp import random_mdp
from rlsuite.envs.stacking import stack
from rlsuite.ops import tabular
from rlsuite.registry import Entry, Problem

_LARGE = 340
_GROUNDS = 8


def seven_mazes() -> maxent_irl.Problem:
    """The seven mazes of task-clustering meta-IRL, stacked: 100 optimal trajectories of each."""
    worlds = [maze(name) for name in LAYOUTS]
    return stack(
        [
            maxent_irl.build_problem(
                mdp,
                jnp.eye(mdp.num_states),
                maxent_irl.from_trajectories(
                    mdp, demonstrate(jax.random.key(i), mdp, num_trajectories=100, length=50)
                ),
            )
            for i, mdp in enumerate(worlds)
        ]
    )


def object_world(
    seed: int = 0, num_demonstrations: int = 64, *, transfer_slip: float | None = None
) -> maxent_irl.Problem:
    """A 32×32 objectworld with optimal paths of eight steps, and another world to transfer to.

    Args:
        seed: Seed of the world, of the paths, and (with an offset) of the other world.
        num_demonstrations: How many paths.
        transfer_slip: The other world's slip; None for the first world's.

    Returns:
        The problem.
    """
    world = objectworld(seed)
    other = objectworld(seed + 1_000_000, slip=SLIP if transfer_slip is None else transfer_slip)
    paths = demonstrate(jax.random.key(seed), world.mdp, num_demonstrations, length=8)
    demonstrations = maxent_irl.from_trajectories(world.mdp, paths)
    return maxent_irl.build_problem(
        world.mdp, world.features, demonstrations, transfer=(other.mdp, other.features)
    )


def random_world() -> maxent_irl.Problem:
    """A random MDP of 32 states whose soft-optimal expert's visits are known exactly."""
    mdp = random_mdp(0, num_states=32, num_actions=4, discount=0.9)
    mdp = mdp.replace(reward=mdp.reward[:, 0])
    expert = maxent_irl.from_expert(mdp, temperature=1.0)
    return maxent_irl.build_problem(mdp, jnp.eye(mdp.num_states), expert)


def large_maze() -> maxent_irl.Problem:
    """A maze of 115,600 cells with eight kinds of ground, whose costs are to be found.

    The features are the kind of ground under a cell, and whether it is the goal; the expert is
    soft-optimal for random costs, and its visits are known exactly.
    """
    layout = random_layout(0, _LARGE, _LARGE, density=0.3)
    generator = np.random.default_rng(0)
    ground = np.eye(_GROUNDS)[generator.integers(_GROUNDS, size=_LARGE**2)]
    goal = np.asarray(layout.goal).reshape(-1, 1)
    features = jnp.asarray(np.concatenate([ground * (1 - goal), goal], axis=1), jnp.float32)
    costs = jnp.asarray([*-generator.uniform(0.5, 2.0, _GROUNDS), 10.0], jnp.float32)
    mdp = gridworld(layout, discount=0.99).replace(reward=features @ costs)
    expert = maxent_irl.from_expert(mdp, temperature=1.0)
    return maxent_irl.build_problem(mdp, features, expert)


def _over_stack(measure: Any) -> Any:
    """A baseline of a problem, or the mean of those of stacked problems."""

    def baselines(problem: maxent_irl.Problem) -> dict[str, float]:
        if problem.mdp.initial.ndim == 1:
            return {name: float(value) for name, value in measure(problem).items()}
        values = jax.vmap(measure)(problem)
        return {name: float(jnp.mean(value)) for name, value in values.items()}

    return baselines


def _uniform(mdp: tabular.MDP) -> Float[Array, "state action"]:
    """The policy that chooses blindly among the allowed actions."""
    return tabular.value_iteration(mdp.replace(reward=0 * mdp.reward)).log_policy


@_over_stack
def _kl(problem: maxent_irl.Problem) -> dict[str, Array]:
    """The KL of the uniform policy, of the expert itself, and of the true reward's soft policy."""
    policies = {
        "random": _uniform(problem.mdp),
        "optimal": tabular.value_iteration(problem.mdp).log_policy,
        "true reward": tabular.value_iteration(problem.mdp, temperature=1.0).log_policy,
    }
    return {
        name: maxent_irl.policy_kl(problem.demonstrations, policy)
        for name, policy in policies.items()
    }


@_over_stack
def _value_lost(problem: maxent_irl.Problem) -> dict[str, Array]:
    """What the uniform policy loses; the optimal policy loses nothing."""
    mdp = problem.mdp
    best = tabular.value_iteration(mdp, method="newton").values
    blind = tabular.policy_evaluation(mdp, _uniform(mdp))
    return {"random": jnp.vdot(mdp.initial, best - blind), "optimal": jnp.zeros(())}


@_over_stack
def _visits_missed(problem: maxent_irl.Problem) -> dict[str, Array]:
    """How far the uniform policy's visits are from the expert's; the expert's own are exact."""
    visited = maxent_irl.visits(problem.mdp, _uniform(problem.mdp))
    gap = jnp.max(jnp.abs(visited.states - problem.demonstrations.states))
    return {"random": gap, "optimal": jnp.zeros(())}


def _draw_mazes(problem: maxent_irl.Problem, config: Any, state: maxent_irl.State) -> Any:
    """The learned reward and policy of every maze, and a rollout of that policy."""
    from rlsuite.io.grids import Panel, draw_panels

    panels = []
    for i, (name, layout) in enumerate(LAYOUTS.items()):
        one, params = jax.tree.map(lambda leaf, i=i: leaf[i], (problem, state.params))
        reward = maxent_irl.reward_network(config).apply(params, one.features)
        policy, path = _behaviour(one.mdp.replace(reward=reward), config)
        panels.append(Panel(layout, name, reward, policy, path, label="learned reward"))
    return draw_panels(panels)


def _draw_object_world(problem: maxent_irl.Problem, config: Any, state: maxent_irl.State) -> Any:
    """The true and the learned reward side by side, in the world and in the one transferred to."""
    from rlsuite.io.grids import Panel, draw_panels

    assert problem.transfer is not None
    network = maxent_irl.reward_network(config)
    panels = []
    for where, mdp, features in (
        ("world", problem.mdp, problem.features),
        ("another world", *problem.transfer),
    ):
        size = int(mdp.num_states**0.5)
        learned = network.apply(state.params, features)
        panels.append(Panel((size, size), f"true reward, {where}", mdp.reward))
        panels.append(Panel((size, size), f"learned reward, {where}", learned))
    return draw_panels(panels)


def _draw_random_world(problem: maxent_irl.Problem, config: Any, state: maxent_irl.State) -> Any:
    """The learned reward against the true one, and the visits of both policies."""
    from matplotlib.figure import Figure

    reward = maxent_irl.reward_network(config).apply(state.params, problem.features)
    policy = maxent_irl.solve(problem.mdp.replace(reward=reward), config).log_policy
    visited = maxent_irl.visits(problem.mdp, policy).states
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, title, truth, found in (
        (figure.add_subplot(1, 2, 1), "reward, up to a constant", problem.mdp.reward, reward),
        (figure.add_subplot(1, 2, 2), "visits", problem.demonstrations.states, visited),
    ):
        shift = jnp.mean(truth - found) if title.startswith("reward") else 0.0
        low, high = float(jnp.min(truth)), float(jnp.max(truth))
        axes.plot([low, high], [low, high], color="0.8", zorder=0)
        axes.plot(truth, found + shift, "o", markersize=4, color="#2563eb")
        axes.set(title=title, xlabel="of the expert", ylabel="found")
        axes.set_aspect("equal")
    return figure


def _draw_large_maze(problem: maxent_irl.Problem, config: Any, state: maxent_irl.State) -> Any:
    """The true and the learned cost of each kind of ground."""
    del config
    from matplotlib.figure import Figure

    truth = jnp.linalg.lstsq(problem.features, problem.mdp.reward)[0]
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(truth.size)
    axes.bar(places - 0.2, truth, 0.4, color="#94a3b8", label="true")
    axes.bar(places + 0.2, state.params, 0.4, color="#2563eb", label="learned")
    axes.set_xticks(places, [*(f"ground {i}" for i in range(_GROUNDS)), "goal"], rotation=30)
    axes.set_ylabel("reward")
    axes.legend(frameon=False)
    return figure


def _behaviour(mdp: tabular.MDP, config: Any) -> tuple[Array, Array]:
    """The soft-optimal policy, and the states of one walk under it."""
    policy = maxent_irl.solve(mdp, config).log_policy
    walk = rollout(jax.random.key(0), mdp, policy, num_trajectories=1, length=50)
    return policy, walk.states[0, : walk.lengths[0]]


ENTRY = Entry(
    name="maxent_irl",
    make=maxent_irl.make,
    config=maxent_irl.Config,
    problems={
        "mazes": Problem(
            build=seven_mazes,
            num_steps=500,
            config=maxent_irl.Config(learning_rate=1e-3, hidden_sizes=(512, 256, 128)),
            summary="the seven mazes at once: deep reward from 100 optimal trajectories each",
            score="policy_kl",
            higher_is_better=False,
            baselines=_kl,
            draw=_draw_mazes,
            num_problems=len(LAYOUTS),
            quick=True,
            quick_steps=200,
        ),
        "objectworld": Problem(
            build=object_world,
            num_steps=500,
            config=maxent_irl.Config(learning_rate=1e-3, hidden_sizes=(64, 64)),
            summary="objectworld 32×32 from 64 paths of eight steps: deep reward",
            score="expected_value_difference",
            higher_is_better=False,
            baselines=_value_lost,
            draw=_draw_object_world,
        ),
        "objectworld-linear": Problem(
            build=object_world,
            num_steps=500,
            config=maxent_irl.Config(learning_rate=0.05, l2=1e-3),
            summary="objectworld 32×32 from 64 paths of eight steps: linear reward",
            score="expected_value_difference",
            higher_is_better=False,
            baselines=_value_lost,
            draw=_draw_object_world,
        ),
        "random-mdp": Problem(
            build=random_world,
            num_steps=500,
            config=maxent_irl.Config(learning_rate=0.1),
            summary="a random MDP of 32 states: exact visits of a soft-optimal expert",
            score="visitation_error",
            higher_is_better=False,
            baselines=_visits_missed,
            draw=_draw_random_world,
        ),
        "large-maze": Problem(
            build=large_maze,
            num_steps=100,
            config=maxent_irl.Config(learning_rate=0.1, solver="newton"),
            summary="a maze of 115,600 cells: costs of eight kinds of ground from exact visits",
            score="visitation_error",
            higher_is_better=False,
            baselines=_visits_missed,
            draw=_draw_large_maze,
        ),
    },
    probe="random-mdp",
    summary="Maximum-entropy inverse RL: the reward that best explains demonstrations.",
    citation="Ziebart et al. 2008; Ziebart 2010; Wulfmeier et al. 2015.",
)
