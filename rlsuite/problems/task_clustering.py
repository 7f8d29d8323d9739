"""Tasks to cluster: the seven mazes of the thesis talk, and any number of generated ones."""

import dataclasses
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from rlsuite.algorithms import maml, task_clustering
from rlsuite.algorithms.task_clustering import Task
from rlsuite.configuration import config, setting
from rlsuite.data import trajectories
from rlsuite.data.experts import rollout
from rlsuite.envs.gridworld import Layout, gridworld
from rlsuite.envs.mazes import LAYOUTS
from rlsuite.ops import tabular
from rlsuite.ops.pytrees import pytree
from rlsuite.registry import Entry, Problem


@config
class Worlds:
    """What the slides leave open about the mazes and their experts.

    Attributes:
        discount: γ.
        obstacle_reward: Of an obstacle that is a penalty; the goal's reward is 1.
        obstacles: "penalties", or "walls" that cannot be entered.
        stay: Whether there is a fifth action, which does nothing.
        absorbing: Whether an episode ends at the goal.
        ties: Among equally good actions the expert takes each equally often ("shared"), or always
            the "first".
        demonstrations: "sampled", or the "exact" distribution of the expert's walks.
        num_trajectories: How many trajectories the expert writes of each task.
        length: Steps after which a trajectory is cut off.
        tail: What follows it there: its last step for ever ("repeat"), or nothing ("drop").
    """

    discount: float = setting(default=0.9, at_least=0, below=1)
    obstacle_reward: float = setting(default=-1.0, at_most=0)
    obstacles: Literal["penalties", "walls"] = "penalties"
    stay: bool = False
    absorbing: bool = True
    ties: Literal["shared", "first"] = "shared"
    demonstrations: Literal["sampled", "exact"] = "sampled"
    num_trajectories: int = setting(default=100, at_least=1)
    length: int = setting(default=50, at_least=1)
    tail: Literal["repeat", "drop"] = "repeat"


def maze_tasks(
    seed: int = 0,
    worlds: Worlds = Worlds(),  # noqa: B008
    layouts: Layout | None = None,
) -> task_clustering.Problem:
    """Mazes with an expert's demonstrations, one task each.

    Args:
        seed: Of the demonstrations.
        worlds: The choices about mazes and experts.
        layouts: The mazes, stacked; None for the seven of the talk.

    Returns:
        The problem; its features are one-hot states.

    Example:
        >>> maze_tasks(0).tasks.counts.shape
        (7, 100, 4)
    """
    layouts = Layout.stack(list(LAYOUTS.values())) if layouts is None else layouts
    mdps = gridworld(
        layouts,
        obstacles=worlds.obstacles,
        stay=worlds.stay,
        absorbing=worlds.absorbing,
        obstacle_reward=worlds.obstacle_reward,
        discount=worlds.discount,
    )
    keys = jax.random.split(jax.random.key(seed), len(layouts.goal))
    tasks = _demonstrate(keys, mdps, worlds)
    return task_clustering.Problem(jnp.eye(mdps.initial.shape[-1]), tasks)


@partial(jax.jit, static_argnums=2)
def _demonstrate(keys: Key[Array, " task"], mdps: tabular.MDP, worlds: Worlds) -> Task:
    return jax.vmap(partial(_task, worlds=worlds))(keys, mdps)


def _task(key: PRNGKeyArray, mdp: tabular.MDP, *, worlds: Worlds) -> Task:
    """One maze with what its expert did."""
    log_policy = expert_policy(mdp, worlds.ties)
    if worlds.demonstrations == "exact":
        visited = tabular.visitation(mdp, log_policy)
        return Task(mdp, visited.state_actions, visited.states, mdp.initial)
    walks = rollout(key, mdp, log_policy, worlds.num_trajectories, worlds.length)
    size = (mdp.num_states, mdp.num_actions)
    visits = trajectories.empirical_visitation(walks, *size, mdp.discount, tail=worlds.tail)
    starts = jnp.zeros(mdp.num_states).at[walks.states[:, 0]].add(1 / worlds.num_trajectories)
    return Task(mdp, trajectories.state_action_counts(walks, *size), visits.states, starts)


def expert_policy(
    mdp: tabular.MDP, ties: Literal["shared", "first"]
) -> Float[Array, "state action"]:
    """Log of the optimal policy by dynamic programming.

    Args:
        mdp: The MDP.
        ties: Whether equally good actions are "shared", or the "first" is taken.

    Returns:
        Its logarithms.
    """
    log_policy = tabular.value_iteration(mdp).log_policy
    if ties == "shared":
        return log_policy
    best = jnp.argmax(jnp.isfinite(log_policy), axis=1)
    return jnp.where(jax.nn.one_hot(best, log_policy.shape[1]) > 0, 0.0, -jnp.inf)


@pytree()
@dataclasses.dataclass(frozen=True)
class MazeDistribution:
    """One of some mazes at random, for ``maml``: the loss of a reward on an expert's actions.

    Support and query are different demonstrations of the same maze.

    Attributes:
        features: What the reward network sees of each state, ``[state, feature]``.
        support: Every maze with the demonstrations that the inner loop sees, stacked.
        query: Every maze with those that the outer loss is taken on.
        config: Gives the policy of a reward, and the loss.
    """

    features: Any
    support: Task
    query: Task
    config: task_clustering.Config

    @property
    def inputs(self) -> Float[Array, "state feature"]:
        """The features."""
        return self.features

    def sample(self, key: PRNGKeyArray) -> maml.Task:
        """Draw a maze."""
        index = jax.random.randint(key, (), 0, self.support.counts.shape[0])
        support, query = (
            jax.tree.map(lambda leaf: leaf[index], tasks) for tasks in (self.support, self.query)
        )
        return maml.Task(support, query)

    def loss(self, apply: Any, params: Any, data: Task, key: PRNGKeyArray) -> Float[Array, ""]:
        """The KL of the reward's policy from the expert's actions."""
        del key
        return task_clustering.kl_loss(apply(params, self.features), data, self.config)


def maze_distribution(
    worlds: Worlds = Worlds(),  # noqa: B008
    layouts: Layout | None = None,
) -> MazeDistribution:
    """The seven mazes, or others, as a distribution of tasks for ``maml``.

    Args:
        worlds: The choices about mazes and experts.
        layouts: The mazes, stacked; None for the seven.

    Returns:
        The distribution.

    Example:
        >>> maze_distribution().sample(jax.random.key(0)).support.counts.shape
        (100, 4)
    """
    support, query = (maze_tasks(seed, worlds, layouts) for seed in (0, 1))
    config = task_clustering.Config(gradient="kl")
    return MazeDistribution(support.features, support.tasks, query.tasks, config)


def _few_shot(problem: task_clustering.Problem) -> dict[str, float]:
    """The loss of the uniform policy, and of the expert itself."""

    def of_task(task: Task) -> Array:
        return task_clustering.kl_loss(jnp.zeros(task.counts.shape[0]), task, _CONFIG)

    return {"random": float(jnp.mean(jax.vmap(of_task)(problem.tasks))), "optimal": 0.0}


def _draw(problem: task_clustering.Problem, config: Any, state: task_clustering.State) -> Any:
    """The dendrograms of the seven mazes by all six features."""
    from rlsuite.io.dendrograms import draw_dendrograms

    measured = task_clustering.measure(state.params, problem, config)
    trees = {
        name: task_clustering.linkage(task_clustering.distances(array, "cosine"))
        for name, array in task_clustering.features(measured).items()
    }
    return draw_dendrograms(trees, list(LAYOUTS))


def probe() -> task_clustering.Problem:
    """Two small mazes whose experts one reward explains, with the experts' exact walks."""
    layouts = Layout.stack(
        [Layout.parse("..." + " ..." + " ..G"), Layout.parse("..." + " .#." + " ..G")]
    )
    worlds = Worlds(demonstrations="exact", obstacles="walls")
    return maze_tasks(0, worlds, layouts)


_CONFIG = task_clustering.Config()

ENTRY = Entry(
    name="task_clustering",
    make=task_clustering.make,
    config=task_clustering.Config,
    problems={
        "mazes": Problem(
            build=maze_tasks,
            num_steps=200,
            config=_CONFIG,
            summary="the seven mazes of the thesis talk: one initialisation of a deep reward",
            score="few_shot",
            higher_is_better=False,
            reference=0.1172,
            reference_source="the talk's few-shot loss of all seven mazes",
            baselines=_few_shot,
            draw=_draw,
            quick=True,
            quick_steps=30,
        ),
        "two-mazes": Problem(
            build=probe,
            num_steps=300,
            config=task_clustering.Config(
                inner_rate=1e-2, fine_tuning_rate=1e-2, outer_rate=1e-2, hidden_sizes=(16,)
            ),
            summary="two mazes of nine cells whose experts one reward explains",
            score="few_shot",
            higher_is_better=False,
            baselines=_few_shot,
        ),
    },
    probe="two-mazes",
    summary="Meta-learned deep IRL, with one initialisation for each cluster of tasks.",
    citation="The talk 'Task-clustering meta inverse reinforcement learning'; Finn et al. 2017; "
    "Wulfmeier et al. 2015.",
)
