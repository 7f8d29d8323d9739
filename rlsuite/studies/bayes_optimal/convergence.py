r"""How runs approach Bayes: divergences over training, between runs, and their map in the plane.

All pairs (run, checkpoint), and Bayes, are compared by what they say on the same histories: of
predictions the symmetrised KL, of bandits the mean absolute difference of what has been lost up to
each pull, a distance of the curves of cumulative regret. Classical multidimensional scaling places
them in the plane: with B = −½ J D² J centred, coordinates are eigenvectors times roots of
eigenvalues.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rlsuite.algorithms import memory_meta
from rlsuite.envs.bandits import Bandits
from rlsuite.envs.prediction import Prediction
from rlsuite.io.reports import Section, picture
from rlsuite.io.tables import number, table
from rlsuite.studies.bayes_optimal.training import Runs
from rlsuite.studies.summaries import BLUE, ORANGE, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def scaling(distances: Float[np.ndarray, "point point"]) -> Float[np.ndarray, "point 2"]:
    """Points in the plane whose distances are near the given ones.

    Args:
        distances: Between all pairs.

    Returns:
        The points; the last is the origin.

    Reference:
        Torgerson: Multidimensional scaling: I. Theory and method. Psychometrika 17, 1952.

    Example:
        >>> line = np.abs(np.subtract.outer([0.0, 1.0, 3.0], [0.0, 1.0, 3.0]))
        >>> np.abs(np.round(scaling(line)[:, 0], 6)).tolist()
        [3.0, 2.0, 0.0]
    """
    squares = np.asarray(distances, float) ** 2
    centred = squares - squares.mean(0) - squares.mean(1)[:, None] + squares.mean()
    values, vectors = np.linalg.eigh(-0.5 * centred)
    points = vectors[:, -2:][:, ::-1] * np.sqrt(np.maximum(values[-2:][::-1], 0.0))
    return points - points[-1]


def predictions(
    problem: Prediction, config: memory_meta.Config, runs: Runs, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Divergences from Bayes, and distances between all pairs.

    Args:
        problem: The sequences.
        config: Of the runs.
        runs: The runs.
        count: On how many sequences.

    Returns:
        (KL of each checkpoint and seed, ``[checkpoint, seed]``; distances, Bayes last).
    """
    network = memory_meta.prediction.default_network(problem, config)
    divergence = problem.model.family.divergence

    @jax.jit
    def compared(params: Any) -> tuple[Array, Array]:
        x = problem.samples(jax.random.key(9), count)
        best = problem.best(x)
        heads = jax.vmap(lambda one: memory_meta.predict(problem, network, one, x))(params)
        said = jnp.concatenate([heads, best[None]])

        def row(one: Array) -> Array:
            return jnp.mean(divergence(one[None], said), axis=(1, 2))

        return jnp.mean(divergence(best[None], heads), axis=(1, 2)), jax.lax.map(row, said)

    lost, there = map(np.asarray, compared(runs.flat))
    # Roots: KL is of the order of a squared distance.
    matrix = np.sqrt(np.maximum((there + there.T) / 2, 0.0))
    return np.asarray(lost).reshape(len(runs.steps), -1), matrix


def bandits(
    problem: Bandits, config: memory_meta.Config, runs: Runs, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Exact values lost, and distances of curves of cumulative regret.

    Args:
        problem: The bandits.
        config: Of the runs.
        runs: The runs.
        count: In how many episodes.

    Returns:
        (value lost of each checkpoint and seed; distances, the best policy last).
    """
    network = memory_meta.impala.default_network(problem.control, config)

    def curve(params: Any) -> Array:
        played = memory_meta.play(problem, network, params, jax.random.key(9), count)
        return jnp.cumsum(jnp.mean(played.losses, axis=1))

    curves = np.asarray(jax.jit(lambda many: jax.lax.map(curve, many))(runs.flat))
    curves = np.concatenate([curves, np.zeros((1, problem.states.horizon))])
    matrix = np.mean(np.abs(curves[:, None] - curves), axis=-1)
    return curves[:-1, -1].reshape(len(runs.steps), -1), matrix


def section(title: str, what: str, runs: Runs, lost: np.ndarray, matrix: np.ndarray) -> Section:
    """Report them.

    Args:
        title: Its heading.
        what: What is lost, with its unit.
        runs: The runs.
        lost: By ``predictions`` or ``bandits``.
        matrix: Likewise.

    Returns:
        The section.
    """
    points = scaling(matrix)
    shape = (*lost.shape, 2)
    far = np.linalg.norm(points[:-1].reshape(shape), axis=-1)
    shown = np.unique(np.linspace(0, len(runs.steps) - 1, 6).astype(int))
    rows = [
        [
            f"{runs.steps[n]:,}",
            *(number(float(f(lost[n]))) for f in _FUNCTIONS),
            number(far[n].mean()),
        ]
        for n in shown
    ]
    ratio = lost[0] / np.maximum(lost[-1], 1e-12)
    rows.append(
        [
            "first / last",
            "",
            number(float(np.median(ratio))),
            "",
            number(far[0].mean() / max(far[-1].mean(), 1e-12)),
        ]
    )
    lead = (
        f"{what}, over {lost.shape[1]} seeds trained in one program, at {len(runs.steps)} "
        "checkpoints; the last column is the distance from Bayes in the plane of the figure."
    )
    columns = ["updates", "best", "median", "worst", "distance"]
    drawn = picture(
        f"{title.lower().replace(' ', '-')}-convergence",
        draw(what, runs, lost, matrix, points),
        "What is lost over training; distances between all runs and checkpoints; their map, Bayes "
        "in orange.",
    )
    return Section(
        f"{title}: convergence", [table(f"{title}: convergence", lead, columns, rows)], [drawn]
    )


_FUNCTIONS = (np.min, np.median, np.max)


def draw(
    what: str, runs: Runs, lost: np.ndarray, matrix: np.ndarray, points: np.ndarray
) -> "Figure":
    """Three panels.

    Args:
        what: What is lost.
        runs: The runs.
        lost: How much.
        matrix: Distances.
        points: In the plane, Bayes last.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    panels = figure.subplots(1, 3)
    panels[0].plot(np.maximum(runs.steps, 0.5), lost, color=BLUE, linewidth=0.8, alpha=0.7)
    panels[0].set(xscale="log", yscale="log", xlabel="updates", title=what)
    panels[1].imshow(matrix, cmap="magma")
    panels[1].set(title="distances", xlabel="checkpoints × seeds, Bayes last")
    paths = points[:-1].reshape(*lost.shape, 2)
    for seed in range(lost.shape[1]):
        panels[2].plot(*paths[:, seed].T, ".-", color=BLUE, linewidth=0.6, markersize=3, alpha=0.6)
    panels[2].plot(*points[-1], "*", color=ORANGE, markersize=14)
    panels[2].set(title="map")
    for axes in panels[[0, 2]]:
        plain(axes)
    return figure
