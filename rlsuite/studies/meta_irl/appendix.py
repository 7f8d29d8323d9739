"""The talk's appendix: how angles of random vectors concentrate, and how far fine-tuning moves."""

from typing import TYPE_CHECKING

import numpy as np

from rlsuite.io.reports import Section, picture
from rlsuite.io.tables import Cell, Table
from rlsuite.studies.meta_irl import published
from rlsuite.studies.meta_irl.outcomes import NAMES
from rlsuite.studies.meta_irl.training import Base

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def section(trained: Base, angles: int) -> Section:
    """Norms and angles.

    Args:
        trained: Every seed's meta-training on all tasks.
        angles: Pairs of random vectors for every number of dimensions.

    Returns:
        The section.
    """
    start, end = trained.norms.T
    table = Table(
        "Norms",
        "Lengths of parameter vectors: mean ± standard deviation over seeds (and tasks).",
        ["", "measured", "published"],
        [
            [Cell("‖θ‖ before meta-training"), Cell(_spread(start)), Cell("–", "quiet")],
            [Cell("‖θ‖"), Cell(_spread(end)), Cell(f"≈ {published.NORMS[0]}", "quiet")],
            [
                Cell("‖θᵢ − θ‖"),
                Cell(_spread(trained.moved)),
                Cell(f"≈ {published.NORMS[1]}", "quiet"),
            ],
        ],
    )
    return Section(
        "Appendix: angles and norms",
        [table],
        [
            picture(
                "angles",
                _draw_angles(angles, trained.params.shape[1]),
                "Angles of random vectors (bars) and their density ∝ sin^{d−2} (line): in the "
                "parameters' dimension all are at 90°, so distances between tasks that are not "
                "mean something.",
            ),
            picture(
                "norms",
                _draw_norms(end, trained.moved),
                "Lengths of the meta-parameters and of what fine-tuning adds, over seeds.",
            ),
        ],
    )


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():.3f} ± {values.std():.3f}"


def random_angles(dimension: int, number: int, seed: int = 0) -> np.ndarray:
    """Angles between random directions, in degrees.

    The cosine of two has the law of 2 Beta((d−1)/2, (d−1)/2) − 1, whatever the dimension d.

    Args:
        dimension: d, at least 2.
        number: How many angles.
        seed: Of NumPy's generator.

    Returns:
        The angles, ``[number]``.
    """
    half = (dimension - 1) / 2
    cosines = 2 * np.random.default_rng(seed).beta(half, half, number) - 1
    return np.degrees(np.arccos(cosines))


def angle_density(degrees: np.ndarray, dimension: int) -> np.ndarray:
    """The density of the angle of random directions, Γ(d/2)/(√π Γ((d−1)/2)) sin^{d−2}, per degree.

    Args:
        degrees: Where, in degrees.
        dimension: d, at least 2.

    Returns:
        The density there.
    """
    from scipy.special import gammaln

    log_scale = gammaln(dimension / 2) - gammaln((dimension - 1) / 2) - np.log(np.pi) / 2
    sine = np.log(np.maximum(np.sin(np.radians(degrees)), 1e-300))
    return np.exp(log_scale + (dimension - 2) * sine) * np.pi / 180


def _draw_angles(number: int, parameters: int) -> "Figure":
    from matplotlib.figure import Figure

    dimensions = (3, 10, 100, parameters)
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    for axes, dimension in zip(figure.subplots(1, len(dimensions)), dimensions, strict=True):
        found = random_angles(dimension, number)
        axes.hist(found, bins=30, density=True, color="#cbd5e1")
        around = np.linspace(found.min(), found.max(), 300)
        axes.plot(around, angle_density(around, dimension), color="#2563eb")
        axes.set_title(f"d = {dimension:,}", fontsize=9)
        axes.set_xlabel("angle in degrees")
        axes.set_yticks([])
        axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def _draw_norms(norms: np.ndarray, moved: np.ndarray) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 3))
    left.plot(np.zeros_like(norms), norms, ".", color="#2563eb")
    left.set_xticks([0], ["‖θ‖"])
    for task, values in enumerate(moved.T):
        right.plot(np.full_like(values, task), values, ".", color="#2563eb")
    right.set_xticks(range(len(NAMES)), NAMES)
    right.set_title("‖θᵢ − θ‖", fontsize=9)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
