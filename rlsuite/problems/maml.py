"""Problems for meta-learning: sinusoids, navigation in the plane, and a closed form as a probe."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rlsuite.algorithms import maml, task_clustering
from rlsuite.envs import navigation
from rlsuite.nets import linear
from rlsuite.problems.task_clustering import MazeDistribution, maze_distribution
from rlsuite.registry import Entry, Problem

POLICY = maml.gaussian_policy((64, 64))
"""The policy of the problem "navigation"."""

_LINEAR = maml.Config(inner_rate=0.1, outer_rate=0.1, inner_steps=2, evaluation_steps=2)


def halved_after_one(rate: Any) -> optax.GradientTransformation:
    """Gradient descent whose rate is halved after its first step."""
    return optax.sgd(lambda count: rate * jnp.where(count == 0, 1.0, 0.5))


def linear_regressions() -> maml.LinearRegressions:
    """Linear functions of four inputs; the best initialisation is their mean."""
    return maml.LinearRegressions(
        mean=jnp.asarray([3.0, -2.0, 1.0, 4.0]), curvature=jnp.asarray([1.0, 0.5, 0.2, 0.1])
    )


def _linear_losses(problem: maml.LinearRegressions) -> dict[str, float]:
    """What steps from zero, and from the mean, leave of the loss."""
    starts = {"random": jnp.zeros_like(problem.mean), "optimal": problem.mean}
    rate, num_steps = _LINEAR.inner_rate, _LINEAR.evaluation_steps
    return {
        name: float(problem.expected_loss(start, rate=rate, num_steps=num_steps))
        for name, start in starts.items()
    }


def _sinusoid_errors(problem: maml.Sinusoids) -> dict[str, float]:
    """The errors of zero, of the best function of x alone, and of the wave itself."""
    low, high = problem.amplitudes
    phases, x = (_midpoints(bounds) for bounds in (problem.phases, problem.interval))
    waves = np.sin(x - phases[:, None])
    power = (low**2 + low * high + high**2) / 3 * np.mean(waves**2)
    explained = ((low + high) / 2) ** 2 * np.mean(np.mean(waves, axis=0) ** 2)
    return {"random": power, "no adaptation": power - explained, "optimal": 0.0}


def _midpoints(bounds: tuple[Any, Any], count: int = 500) -> np.ndarray:
    low, high = bounds
    return low + (high - low) * (np.arange(count) + 0.5) / count


def _maze_losses(problem: MazeDistribution) -> dict[str, float]:
    """The KL of the uniform policy from the experts' actions, and of the experts' own."""
    nothing = jnp.zeros(problem.features.shape[0])
    losses = jax.jit(jax.vmap(lambda task: task_clustering.kl_loss(nothing, task, problem.config)))
    return {"random": float(jnp.mean(losses(problem.query))), "optimal": 0.0}


def _navigation_losses(problem: maml.Navigation) -> dict[str, float]:
    """Negative returns of an untrained policy, of resting, and of the straight way to the goal."""

    @jax.jit
    @jax.vmap
    def losses(key: Any) -> tuple[Any, Any]:
        goal = problem.sample(key).query
        params = POLICY.init(key, problem.inputs)
        straight = navigation.rollout(
            key, lambda _, at: goal - at, goal, num_trajectories=1, horizon=problem.horizon
        )
        untrained = problem.walk(POLICY.apply, params, goal, key)
        return -jnp.mean(untrained.returns()), -straight.returns()[0]

    untrained, best = losses(jax.random.split(jax.random.key(0), 200))
    return {
        "random": float(jnp.mean(untrained)),
        "no adaptation": float(2 * problem.horizon * problem.reach**2 / 3),
        "optimal": float(jnp.mean(best)),
    }


def draw_fits(problem: maml.Sinusoids, config: maml.Config, state: maml.State) -> Any:
    """Three waves, and the network before and after adaptation to a few points of each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3), layout="constrained")
    for index, axes in enumerate(figure.subplots(1, 3, sharey=True)):
        key = jax.random.fold_in(jax.random.key(1), index)
        _draw_fit(axes, problem, config, state, key)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _draw_fit(
    axes: Any, problem: maml.Sinusoids, config: maml.Config, state: maml.State, key: Any
) -> None:
    x, line, some, targets, fits = jax.device_get(_fits(problem, config, state, key))
    axes.plot(x, line, color="0.85", linewidth=5, label="wave")
    axes.plot(x, fits[0], color="#64748b", linestyle=":", label="before")
    axes.plot(x, fits[1], color="#dc6803", label="after 1 step")
    axes.plot(x, fits[-1], color="#2563eb", label=f"after {len(fits) - 1} steps")
    axes.plot(some, targets, "^", color="#1e293b", label="points seen")
    axes.set(xlabel="x")
    axes.spines[["top", "right"]].set_visible(False)


@jax.jit
def _fits(
    problem: maml.Sinusoids, config: maml.Config, state: maml.State, key: Any
) -> tuple[Any, ...]:
    """(where, a wave there; some points, the wave there; what is said after each step)."""
    of_wave, of_points = jax.random.split(key)
    wave = problem.wave(of_wave)
    low, high = problem.interval
    x = jnp.linspace(low, high, 200)
    some = jax.random.uniform(of_points, (problem.shots,), minval=low, maxval=high)
    line, support = problem.points(*wave, x), problem.points(*wave, some)
    apply = maml.default_network(config).apply
    fits = maml.adapt(
        problem, config, state, support, key, monitor=lambda params: apply(params, line.inputs)
    ).monitored
    return x, line.targets, some, support.targets, fits


def draw_paths(problem: maml.Navigation, config: maml.Config, state: maml.State) -> Any:
    """Paths to four goals before and after updates."""
    from matplotlib.figure import Figure

    corners = np.asarray([(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)], np.float32)
    goals = np.float32(0.7 * problem.reach) * corners
    colours = ("#2563eb", "#dc6803", "#059669", "#9333ea")
    figure = Figure(figsize=(9, 3), layout="constrained")
    panels = figure.subplots(1, 3, sharex=True, sharey=True)

    @jax.jit
    @jax.vmap
    def walks(goal: Any, key: Any) -> Any:
        of_steps, of_walks = jax.random.split(key)
        return maml.adapt(
            problem,
            config,
            state,
            goal,
            of_steps,
            num_steps=2,
            network=POLICY,
            inner_optimizer=halved_after_one,
            monitor=lambda p: problem.walk(POLICY.apply, p, goal, of_walks).positions[:3],
        ).monitored

    paths = np.asarray(walks(goals, jax.random.split(jax.random.key(0), len(goals))))
    for step, (axes, title) in enumerate(
        zip(panels, ("before", "after 1 update", "after 2 updates"), strict=True)
    ):
        for goal, colour, walk in zip(goals, colours, paths[:, step], strict=True):
            axes.plot(*walk.T, color=colour, linewidth=0.8, alpha=0.7)
            axes.plot(*goal, "*", color=colour, markersize=13, markeredgecolor="white")
        edge = 1.6 * problem.reach
        axes.set(title=title, xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal")
    return figure


def _draw_regressions(problem: maml.LinearRegressions, config: Any, state: maml.State) -> Any:
    """θ against the mean of the tasks."""
    del config
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.axline((0, 0), slope=1, color="0.8")
    axes.plot(problem.mean, state.params, "o", color="#2563eb")
    axes.set(xlabel="mean of the tasks", ylabel="learned", aspect="equal")
    return figure


ENTRY = Entry(
    name="maml",
    make=maml.make,
    config=maml.Config,
    problems={
        "sinusoid-10": Problem(
            build=lambda: maml.Sinusoids(shots=10),
            num_steps=70_000,
            config=maml.Config(),
            summary="regression of sine waves from ten points of each",
            score="after",
            higher_is_better=False,
            baselines=_sinusoid_errors,
            draw=draw_fits,
            quick=True,
            quick_steps=10_000,
        ),
        "sinusoid-5": Problem(
            build=lambda: maml.Sinusoids(shots=5),
            num_steps=70_000,
            config=maml.Config(),
            summary="regression of sine waves from five points of each",
            score="after",
            higher_is_better=False,
            baselines=_sinusoid_errors,
            draw=draw_fits,
        ),
        "navigation": Problem(
            build=maml.Navigation,
            num_steps=200,
            config=maml.Config(
                inner_rate=0.1,
                outer_rate=3e-3,
                num_tasks=20,
                evaluation_steps=3,
                evaluation_tasks=40,
            ),
            summary="a point finds its goal by a policy gradient on twenty trajectories",
            score="after_one",
            higher_is_better=False,
            baselines=_navigation_losses,
            draw=draw_paths,
            callables={"network": POLICY, "inner_optimizer": halved_after_one},
        ),
        "mazes": Problem(
            build=maze_distribution,
            num_steps=200,
            config=maml.Config(
                inner_rate=3e-4,
                num_tasks=7,
                method="first-order",
                evaluation_steps=10,
                evaluation_tasks=14,
            ),
            summary="inverse RL in seven mazes: a reward network from an expert's actions",
            score="after",
            higher_is_better=False,
            baselines=_maze_losses,
            callables={
                "network": task_clustering.reward_network(task_clustering.Config()),
                "inner_optimizer": task_clustering.inner_optimizer,
            },
        ),
        "linear-regression": Problem(
            build=linear_regressions,
            num_steps=200,
            config=_LINEAR,
            summary="linear functions whose best initialisation is known",
            score="after",
            higher_is_better=False,
            baselines=_linear_losses,
            draw=_draw_regressions,
            callables={"network": linear()},
        ),
    },
    probe="linear-regression",
    summary="Meta-learning: parameters from which a few gradient steps learn a new task.",
    citation="Finn et al. 2017; Li et al. 2017; Nichol et al. 2018; Rajeswaran et al. 2019; "
    "Raghu et al. 2020.",
)
