"""Two constraints, each asked for alone in demonstrations: together, and against each other."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.configuration import substitute, to_json
from rlsuite.envs import ring
from rlsuite.io.reports import Picture, Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import Table, number, table
from rlsuite.problems.decision_diffuser import ENTRY
from rlsuite.registry import Problem
from rlsuite.studies.decision_diffuser.samplers import SAMPLERS
from rlsuite.studies.decision_diffuser.trained import sized, trained
from rlsuite.studies.summaries import BLUE, GREEN, ORANGE, PURPLE, band, over, plain, text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROBLEM = ENTRY.problems["ring"]

DISC, OUTSIDE, NOTHING = (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)

REQUESTS = {
    "within the disc": ((DISC, NOTHING), (1.0, 0.0)),
    "outside the hole": ((OUTSIDE, NOTHING), (1.0, 0.0)),
    "both: the ring": ((DISC, OUTSIDE), (1.0, 1.0)),
    "the disc, not outside": ((DISC, OUTSIDE), (1.0, -1.0)),
    "both labels in one condition": (((1.0, 1.0), NOTHING), (1.0, 0.0)),
    "nothing": ((NOTHING, NOTHING), (0.0, 0.0)),
}
"""What is asked for: two conditions, and their weights in units of ω."""

STEPS = (
    "ancestral, 100 steps",
    "DDIM with η = 1, 50 steps",
    "DDIM, 50 steps",
    "DPM-Solver++, 25 steps",
    "DPM-Solver++, 10 steps",
    "DPM-Solver++, 5 steps",
)
"""The samplers whose plans are counted."""


class Sizes(NamedTuple):
    """How much is done.

    Attributes:
        num_steps: Updates.
        num_seeds: Networks.
        num_plans: Of each request, for the table.
        num_swept: Of each pair of ω and α.
        guidance: Values of ω.
        temperatures: Values of α.
        samplers: Which ones, by their names in ``SAMPLERS``.
        small: Whether the network is a small one, which compiles sooner.
    """

    num_steps: int
    num_seeds: int
    num_plans: int
    num_swept: int
    guidance: tuple[float, ...]
    temperatures: tuple[float, ...]
    samplers: tuple[str, ...]
    small: bool = False


class Obeyed(NamedTuple):
    """Shares of plans.

    Attributes:
        disc: That stay within the disc.
        outside: That stay outside the hole.
        ring: That do both.
        hole: That are within the disc and, at some time, in the hole.
    """

    disc: Float[Array, ""]
    outside: Float[Array, ""]
    ring: Float[Array, ""]
    hole: Float[Array, ""]


WANTED = ("disc", "outside", "ring", "hole", "ring", "ring")
"""Which share of ``Obeyed`` counts as success of each request."""

_SHOWN = 40  # Plans of each request in the picture.


def obeyed(states: Float[Array, "plan time 2"]) -> Obeyed:
    """Count plans that obey.

    Args:
        states: The plans.

    Returns:
        Shares.
    """
    disc, outside = jnp.moveaxis(ring.satisfied(states), -1, 0)
    means = (jnp.mean(which) for which in (disc, outside, disc & outside, disc & ~outside))
    return Obeyed(*means)


def drawn(
    config: dd.Config,
    state: dd.State,
    key: PRNGKeyArray,
    request: tuple[Any, Any],
    num_plans: int,
    guidance: Any,
    temperature: Any,
) -> Float[Array, "plan time 2"]:
    """Plans that answer a request, and begin anywhere.

    Args:
        config: How the network was trained, and how plans are drawn but for ω and α.
        state: What was trained.
        key: Key.
        request: Conditions, and weights in units of ω.
        num_plans: How many.
        guidance: ω.
        temperature: α.

    Returns:
        The plans.
    """
    conditions, weights = (jnp.asarray(part) for part in request)
    planning = substitute(config.planning, temperature=temperature)
    config = dataclasses.replace(config, planning=planning)
    return dd.plans(config, state, key, dd.Request(conditions, guidance * weights), num_plans)


def section(sizes: Sizes, num_seeds: int | None, stages: Stages) -> Section:
    """Train, ask, and count.

    Args:
        sizes: How much is done.
        num_seeds: How many seeds; None for the sizes' own.
        stages: Keeps what is done.

    Returns:
        The section.
    """
    seeds = num_seeds or sizes.num_seeds
    problem = sized(PROBLEM, small=sizes.small)
    named = {name: SAMPLERS[name] for name in sizes.samplers}
    identity = str((to_json(problem.config), sizes, seeds, named))
    found = stages("ring", identity, lambda: _measured(problem, sizes, seeds))
    return Section(
        "Constraints, alone and together",
        [_requests(found, sizes, seeds), _samplers(found, sizes)],
        [
            picture("ring-sweep", draw_sweep(sizes, found["sweep"]), _SWEPT),
            picture("ring-plans", draw_plans(found["plans"]), _DRAWN),
            Picture("ring-walk", ring.animate(found["plans"][2]), _WALKED),
        ],
    )


_SWEPT = (
    "Share of plans within the ring, both constraints being asked for, by the weight ω of guidance "
    "and the temperature α; all pairs and seeds are one compiled program. Interquartile mean over "
    "seeds and its 95 % interval."
)
_DRAWN = (
    "Plans of the first seed. Green ones obey both constraints, blue ones stay within the disc "
    "only, orange ones outside the hole only, red ones do neither."
)
_WALKED = "Plans of the first seed, asked for both constraints, as they are walked."


def _measured(problem: Problem, sizes: Sizes, seeds: int) -> Mapping[str, Any]:
    """Everything that is computed: shares ``[request, seed]``, sweeps, samplers, and some plans."""
    states = trained(problem, sizes.num_steps, seeds, "ring")
    config, key = problem.config, jax.random.key(1)
    planning = config.planning
    requests = tuple(map(jnp.asarray, zip(*REQUESTS.values(), strict=True)))

    def success(which: dd.Planning, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Shares ``[request, seed]``, and some plans of the first seed."""
        of_which = dataclasses.replace(config, planning=which)

        @jax.jit
        def asked(conditions: Array, weights: Array) -> tuple[Obeyed, Array]:
            def one(state: dd.State) -> tuple[Obeyed, Array]:
                request = (conditions, weights)
                plans = drawn(
                    of_which, state, key, request, count, which.guidance, which.temperature
                )
                return obeyed(plans), plans[:_SHOWN]

            shares, plans = jax.vmap(one)(states)
            return shares, plans[0]

        # One request after another: they share a program, and all at once would need much memory.
        found = [asked(*request) for request in zip(*requests, strict=True)]
        shares = [getattr(each[0], wanted) for each, wanted in zip(found, WANTED, strict=True)]
        return np.stack(shares), np.stack([each[1] for each in found])

    @jax.jit
    def swept(omegas: Array, alphas: Array) -> Array:
        def one(omega: Array, alpha: Array, state: dd.State) -> Array:
            both = REQUESTS["both: the ring"]
            return obeyed(drawn(config, state, key, both, sizes.num_swept, omega, alpha)).ring

        over_seeds = jax.vmap(one, (None, None, 0))
        return jax.vmap(jax.vmap(over_seeds, (0, None, None)), (None, 0, None))(
            omegas, alphas, states
        )

    shares, plans = success(planning, sizes.num_plans)
    sampled = {
        f"sampler: {name}": success(
            dataclasses.replace(planning, **SAMPLERS[name]), sizes.num_swept
        )[0]
        for name in sizes.samplers
    }
    return {
        "success": shares,
        "sweep": swept(jnp.asarray(sizes.guidance), jnp.asarray(sizes.temperatures)),
        "plans": plans,
        **sampled,
    }


def _requests(found: Mapping[str, np.ndarray], sizes: Sizes, seeds: int) -> Table:
    return table(
        "What is asked for, and how often it is done",
        f"Per cent of {sizes.num_plans:,} plans a seed that are as asked for (where nothing is, "
        f"those in the ring), {over(seeds)}, after {sizes.num_steps:,} updates. No demonstration "
        "is labelled with more than one constraint. The paper has 100 % for one and 91.3 ± 2.6 % "
        "for both.",
        ["asked for", "done, %"],
        [
            [name, text_of(100 * values)]
            for name, values in zip(REQUESTS, found["success"], strict=True)
        ],
    )


def _samplers(found: Mapping[str, np.ndarray], sizes: Sizes) -> Table:
    return table(
        "Few steps",
        f"The same with other samplers, {sizes.num_swept:,} plans a seed.",
        ["sampler", *REQUESTS],
        [
            [name, *(text_of(100 * values) for values in found[f"sampler: {name}"])]
            for name in sizes.samplers
        ],
    )


def draw_sweep(sizes: Sizes, shares: Float[np.ndarray, "temperature omega seed"]) -> "Figure":
    """Lines over ω.

    Args:
        sizes: The pairs.
        shares: Of each pair and seed.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    colours = (BLUE, GREEN, ORANGE, PURPLE)
    for alpha, values, colour in zip(sizes.temperatures, shares, colours, strict=False):
        band(axes, sizes.guidance, 100 * values.T, colour, label=f"α = {number(alpha)}")
    axes.set(xlabel="guidance ω", ylabel="within the ring, %", ylim=(0, 102))
    axes.legend(frameon=False)
    plain(axes)
    return figure


def draw_plans(states: Float[np.ndarray, "request plan time 2"]) -> "Figure":
    """Some plans of every request.

    Args:
        states: The plans.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * len(states), 2.9), layout="constrained")
    for axes, name, plans in zip(figure.subplots(1, len(states)), REQUESTS, states, strict=True):
        ring.draw_on(axes, plans, name)
    return figure
