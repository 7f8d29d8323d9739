"""Gaits as skills: each alone, and two at once, told apart frame by frame."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.configuration import to_json
from rlsuite.envs import gait
from rlsuite.io.reports import Picture, Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import table
from rlsuite.problems.decision_diffuser import ENTRY
from rlsuite.registry import Problem
from rlsuite.studies.decision_diffuser.trained import sized, trained
from rlsuite.studies.summaries import BLUE, GREEN, GREY, ORANGE, over, plain, text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROBLEM = ENTRY.problems["gait"]

BOUND, PACE, TROT = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
NOTHING = (0.0, 0.0, 0.0)

REQUESTS = {
    "bound": ((BOUND, NOTHING), (1.0, 0.0)),
    "pace": ((PACE, NOTHING), (1.0, 0.0)),
    "trot": ((TROT, NOTHING), (1.0, 0.0)),
    "bound and pace": ((BOUND, PACE), (1.0, 1.0)),
    "bound and trot": ((BOUND, TROT), (1.0, 1.0)),
    "pace and trot": ((PACE, TROT), (1.0, 1.0)),
    "bound and pace, both labels in one": (((1.0, 1.0, 0.0), NOTHING), (1.0, 0.0)),
}
"""What is asked for: two conditions, and their weights in units of ω."""

WARM_UP = 25
"""Frames that do not count: the body starts from rest, and half a second has no gait."""


class Sizes(NamedTuple):
    """How much is done.

    Attributes:
        num_steps: Updates.
        num_seeds: Networks.
        num_episodes: Of each request.
        small: Whether the network is a small one, which compiles sooner.
    """

    num_steps: int
    num_seeds: int
    num_episodes: int
    small: bool = False


def section(sizes: Sizes, num_seeds: int | None, stages: Stages) -> Section:
    """Train, ask for skills, and look at every frame.

    Args:
        sizes: How much is done.
        num_seeds: How many seeds; None for the sizes' own.
        stages: Keeps what is done.

    Returns:
        The section.
    """
    seeds = num_seeds or sizes.num_seeds
    problem = sized(PROBLEM, small=sizes.small)
    identity = str((to_json(problem.config), sizes, seeds))
    found = stages("skills", identity, lambda: _measured(problem, sizes, seeds))
    shown = table(
        "What is asked for, and what the frames show",
        f"Per cent of frames that a gait has the largest share of, in {sizes.num_episodes} "
        f"episodes of five seconds a seed, {over(seeds)}, after {sizes.num_steps:,} updates. Each "
        "demonstration shows one gait. The paper has 96.4 to 98.2 % for one, and about half and "
        "half for two.",
        ["asked for", *gait.GAITS],
        [
            [name, *(text_of(100 * values) for values in frames.T)]
            for name, frames in zip(REQUESTS, found["frames"], strict=True)
        ],
    )
    composed = list(REQUESTS).index("bound and pace")
    return Section(
        "Skills",
        [shown],
        [
            picture("skills", draw(found["episodes"]), _DRAWN),
            Picture("skills-walk", gait.animate(found["episodes"][composed]), _WALKED),
        ],
    )


_DRAWN = (
    "How much of the legs' motion is which gait, over the five seconds of one episode of each "
    "request; the first seed."
)
_WALKED = "Bounding and pacing, asked for together by two conditions; the first seed."


def _measured(problem: Problem, sizes: Sizes, seeds: int) -> Mapping[str, Any]:
    """Shares of frames ``[request, seed, gait]``, and one episode of each request."""
    states = trained(problem, sizes.num_steps, seeds, "skills")
    built, config = problem.build(), problem.config

    @jax.jit
    @jax.vmap
    def walked(state: dd.State, key: PRNGKeyArray) -> Float[Array, "request episode states 13"]:
        def one(conditions: Array, signs: Array) -> Array:
            asked = dd.always(conditions, config.planning.guidance * signs)
            planner = dd.planner_of(built, config, state, request=asked)
            assert built.control is not None
            walk = dd.walk(config, planner, built.control, key, sizes.num_episodes)
            return walk.observations

        conditions, signs = zip(*REQUESTS.values(), strict=True)
        return jax.vmap(one)(jnp.asarray(conditions), jnp.asarray(signs))

    episodes = walked(states, jax.random.split(jax.random.key(1), seeds))
    return {
        "frames": np.moveaxis(np.asarray(recognised(episodes)), 0, 1),
        "episodes": np.asarray(episodes[0, :, 0]),
    }


def recognised(states: Float[Array, "*batch episode time 13"]) -> Float[Array, "*batch 4"]:
    """Of which share of frames each gait has the largest share.

    Args:
        states: Episodes.

    Returns:
        The shares, in the order of ``GAITS``; they add to 1.
    """
    largest = jnp.argmax(gait.gait_shares(states)[..., WARM_UP:, :], axis=-1)
    return jnp.mean(jax.nn.one_hot(largest, len(gait.GAITS)), axis=(-3, -2))


def draw(episodes: Float[np.ndarray, "request time 13"]) -> "Figure":
    """The shares of gaits over time.

    Args:
        episodes: One of each request.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 1.15 * len(episodes)), layout="constrained")
    shares = np.asarray(gait.gait_shares(jnp.asarray(episodes)))
    times = np.arange(shares.shape[1]) / 50
    panels = figure.subplots(len(episodes), 1, sharex=True)
    for axes, name, values in zip(panels, REQUESTS, shares, strict=True):
        axes.stackplot(times, values.T, labels=gait.GAITS, colors=(BLUE, ORANGE, GREEN, GREY))
        axes.set(xlim=(0, times[-1]), ylim=(0, 1), yticks=(0, 1))
        axes.set_title(name, fontsize=9, loc="left")
        plain(axes)
    panels[0].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    panels[-1].set_xlabel("seconds")
    return figure
