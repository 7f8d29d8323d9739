"""Eigenvalues of learned dynamics, and whether the model is as sure of them as it may be."""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Complex, Float

from rlsuite.algorithms import latent_models
from rlsuite.configuration import to_json
from rlsuite.core import run
from rlsuite.io.reports import Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import number, table
from rlsuite.ops import mniw
from rlsuite.problems.latent_models import ENTRY, SYSTEM, linear_system
from rlsuite.studies.solar.transitions import trained, untested
from rlsuite.studies.summaries import BLUE, ORANGE, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWS = 1000
_POINT = "pixel-navigation-1"


class Sizes(NamedTuple):
    """How large this part is.

    Attributes:
        updates: Of the model of pictures.
        system_updates: Of each model of the linear system.
        worlds: How many sets of episodes of it there are.
    """

    updates: int
    system_updates: int
    worlds: int


def draws_of(law: mniw.Natural, count: int = _DRAWS) -> Float[np.ndarray, "draw ..."]:
    """F from q(F, Σ).

    Args:
        law: q.
        count: How many.

    Returns:
        Draws.
    """
    draw = jax.jit(lambda q: mniw.sample(jax.random.key(2), mniw.to_moments(q), (count,)).matrix)
    return np.asarray(draw(law), float)


def eigenvalues(matrix: Float[np.ndarray, "*batch n m"]) -> Complex[np.ndarray, "*batch n"]:
    """Of A in F = [A B b], by falling size.

    Args:
        matrix: F.

    Returns:
        The eigenvalues; they are the same whatever the states' coordinates.
    """
    found = np.linalg.eigvals(matrix[..., : matrix.shape[-2]]).astype(complex)
    order = np.argsort(-np.abs(found), axis=-1)
    return np.take_along_axis(found, order, axis=-1)


def covered(
    draws: Float[np.ndarray, "draw ..."], truth: Float[np.ndarray, "..."]
) -> Bool[np.ndarray, "..."]:
    """Which true numbers lie between the 2.5 and 97.5 percentiles of what is drawn.

    Args:
        draws: Draws.
        truth: What is true, of the same shape but the first axis.

    Returns:
        Of each number.
    """
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    return (low <= truth) & (truth <= high)


def section(sizes: Sizes, stages: Stages) -> Section:
    """Spectra of two models, and how often intervals hold the truth.

    Args:
        sizes: How large it is.
        stages: Keeps what is done.

    Returns:
        The section.
    """
    system = np.concatenate([SYSTEM.state, SYSTEM.action, np.zeros((2, 1))], axis=1)
    laws = {
        "linear system": _law("linear-system", sizes.system_updates, stages),
        "point in pictures": _law(_POINT, sizes.updates, stages),
    }
    truths = {"linear system": eigenvalues(system), "point in pictures": np.ones(2, complex)}
    found = {name: eigenvalues(draws_of(law)) for name, law in laws.items()}
    rows = []
    for name, values in found.items():
        size = values.shape[1]
        true = np.pad(truths[name], (0, size - len(truths[name])), constant_values=np.nan)
        for place in range(size):
            low, middle, high = np.percentile(np.abs(values[:, place]), [2.5, 50, 97.5])
            within = f"{number(float(middle))} ({number(float(low))} … {number(float(high))})"
            rows.append([name, str(place + 1), float(np.abs(true[place])), within])
    sizes_table = table(
        "Spectra of F",
        "Moduli of the eigenvalues of A in F = [A B b], by falling size: the true ones, and the "
        "median and 95 % interval of q(F, Σ). They do not depend on the coordinates in which a "
        "model sees states. Where a model has more numbers in a state than the world, there is no "
        "truth.",
        ["world", "eigenvalue", "true", "learned"],
        rows,
        words=2,
    )
    drawn = picture(
        "spectra",
        draw(found, truths),
        "Eigenvalues of draws from q(F, Σ) in the complex plane, with the unit circle; the true "
        "ones are crosses.",
    )
    return Section("Spectra", [sizes_table, _coverage(sizes, system, stages)], [drawn])


def _law(name: str, updates: int, stages: Stages) -> mniw.Natural:
    """q(F, Σ) of one model."""

    def compute() -> dict[str, Any]:
        return trained(name, "mniw", updates, 1, tested=False)[2].state.params.transition._asdict()

    identity = str((name, to_json(ENTRY.problems[name].config), updates))
    found = stages(f"spectrum {name}", identity, compute)
    return mniw.Natural(**{field: jnp.asarray(value[0]) for field, value in found.items()})


def _coverage(sizes: Sizes, truth: np.ndarray, stages: Stages) -> Any:
    """How often intervals hold what is true, over many sets of episodes."""
    rows = []
    entry = ENTRY.problems["linear-system"]
    for kind, name in (("mniw", "one F for all steps"), ("mniw-steps", "an F_t of each step")):
        config = dataclasses.replace(entry.config, transition=kind)

        def compute(config: latent_models.Config = config) -> dict[str, Any]:
            worlds = [linear_system(seed=seed) for seed in range(sizes.worlds)]
            result = run(
                functools.partial(untested, **entry.callables),
                jax.tree.map(lambda *leaves: jnp.stack(leaves), *worlds),
                config,
                jax.random.key(0),
                sizes.system_updates,
                num_problems=sizes.worlds,
                progress=f"coverage, {config.transition}",
            )
            return result.state.params.transition._asdict()

        identity = str((to_json(config), sizes.system_updates, sizes.worlds))
        found = stages(f"coverage {kind}", identity, compute)
        law = mniw.Natural(**{field: jnp.asarray(value) for field, value in found.items()})
        draws = draws_of(law)
        held = covered(draws, truth)
        width = np.std(draws, axis=0)
        error = np.abs(np.median(draws, axis=0) - truth)
        rows.append([name, *(float(np.mean(x)) for x in (held, error, width)), held.size])
    return table(
        "Coverage",
        f"Models of {sizes.worlds} sets of episodes of the linear system, seen through noise: how "
        "many entries of F lie within their 95 % interval of q(F, Σ), how far medians are from the "
        "truth, and q's deviation, on average. A mean-field posterior, which takes states and "
        "dynamics to be independent, is expected to be too sure.",
        ["dynamics", "within 95 %", "error", "deviation", "entries"],
        rows,
    )


def draw(
    found: dict[str, Complex[np.ndarray, "draw n"]], truths: dict[str, np.ndarray]
) -> "Figure":
    """Eigenvalues in the complex plane.

    Args:
        found: Of draws, by worlds.
        truths: The true ones.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * len(found), 3.6), layout="constrained")
    angle = np.linspace(0, 2 * np.pi, 200)
    for axes, (name, values) in zip(
        figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True
    ):
        axes.plot(np.cos(angle), np.sin(angle), color="0.8", linewidth=0.8)
        axes.plot(values.real.ravel(), values.imag.ravel(), ".", color=BLUE, markersize=2)
        axes.plot(truths[name].real, truths[name].imag, "x", color=ORANGE)
        axes.set(title=name, xlabel="real", ylabel="imaginary", aspect="equal")
        plain(axes)
    return figure
