"""Constraints on blocks: single ones, towers that were never shown, and what is not to be."""

import functools
import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.configuration import to_json
from rlsuite.data.offline import Offline
from rlsuite.envs import block_stacking
from rlsuite.envs.rollouts import episode_returns
from rlsuite.envs.told import told
from rlsuite.io.reports import Picture, Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import table
from rlsuite.problems import behaviour_cloning, cql
from rlsuite.problems.blocks import bottom_up, symmetry
from rlsuite.problems.decision_diffuser import ENTRY
from rlsuite.registry import Entry, Problem
from rlsuite.studies.decision_diffuser.trained import sized, trained
from rlsuite.studies.summaries import over, text_of

PROBLEM = ENTRY.problems["stacking"]

# ω of a condition that is the only one, of each of two, and of what is not to be.
_ALONE, _TOGETHER, _AGAINST = PROBLEM.config.planning.guidance, 0.8, -0.35

BOTTOM_UP = "a tower, never shown, the lower pair first"

POLICIES: dict[str, Entry] = {"BC": behaviour_cloning.ENTRY, "CQL": cql.ENTRY}
"""Who learns from the same demonstrations, being shown the labels of what is wanted."""


class Sizes(NamedTuple):
    """How much is done.

    Attributes:
        num_steps: Updates.
        num_seeds: Networks.
        num_episodes: Of each single request.
        num_requests: How many requests of each kind, of all that there are.
        share: Of the policies' own numbers of updates.
        small: Whether the network that plans is a small one, which compiles sooner.
    """

    num_steps: int
    num_seeds: int
    num_episodes: int
    num_requests: int
    share: float = 1.0
    small: bool = False


class Asked(NamedTuple):
    """Requests of one kind, two conditions each.

    Attributes:
        conditions: What is told the network.
        weights: ω of each: above 0 for what is to hold, below for what is not, 0 for nothing.
        wanted: The constraints that must hold in the end.
        unwanted: Those that must not.
        ordered: Whether the weights are ``problems.blocks``' own instead, which depend on what
            stands.
    """

    conditions: Float[np.ndarray, "request 2 12"]
    weights: Float[np.ndarray, " 2"]
    wanted: Float[np.ndarray, "request 12"]
    unwanted: Float[np.ndarray, "request 12"]
    ordered: bool = False

    def some(self, count: int) -> "Asked":
        """Some of the requests, evenly spread over all.

        Args:
            count: How many.

        Returns:
            These.
        """
        chosen = np.linspace(0, len(self.wanted) - 1, count).round().astype(int)
        return self._replace(
            conditions=self.conditions[chosen],
            wanted=self.wanted[chosen],
            unwanted=self.unwanted[chosen],
        )


def kinds() -> dict[str, Asked]:
    """All requests: one pair; a tower of three, in three ways; and a pair but not another one.

    Returns:
        Names to requests.
    """
    pairs = np.stack([block_stacking.pair(*two) for two in itertools.permutations(range(4), 2)])
    towers = list(itertools.permutations(range(4), 3))
    two = np.stack([[block_stacking.pair(i, j), block_stacking.pair(j, k)] for i, j, k in towers])
    nothing, zero = np.zeros_like(pairs), np.zeros_like(two[:, 0])
    together = Asked(two, np.array([_TOGETHER] * 2), two.sum(1), zero)
    return {
        "one pair": Asked(np.stack([pairs, nothing], 1), np.array([_ALONE, 0]), pairs, nothing),
        "a tower, never shown": together,
        BOTTOM_UP: together._replace(ordered=True),
        "a pair, and not the one below": Asked(
            two, np.array([_ALONE, _AGAINST]), two[:, 0], two[:, 1]
        ),
        "a tower, both labels in one": Asked(
            np.stack([two.sum(1), zero], 1), np.array([_ALONE, 0]), two.sum(1), zero
        ),
    }


def section(sizes: Sizes, num_seeds: int | None, stages: Stages) -> Section:
    """Train, ask, and look at the blocks in the end.

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
    found = stages("stacking", identity, lambda: _measured(problem, sizes, seeds))
    policies = {
        name: stages(
            f"stacking, {name}",
            str((to_json(_policy(name).config), sizes, seeds)),
            functools.partial(_told, name, sizes, seeds),
        )["done"]
        for name in POLICIES
    }
    shown = table(
        "What is asked of the blocks, and how often it comes true",
        f"Per cent of {sizes.num_episodes} episodes of each of {sizes.num_requests} requests a "
        f"kind, {over(seeds)}, after {sizes.num_steps:,} updates. Broken: what was not to be is "
        "true in the end. Demonstrations stack one pair; the paper's arm does 58 to 67 %. Policies "
        "learn from the same demonstrations and are shown the sum of the labels (of what is not to "
        "be, its negative), so that a tower is the same to them however it is asked for.",
        ["asked for", "done, %", "broken, %", *(f"{name}, done, %" for name in POLICIES)],
        [
            [name, *(text_of(100 * values) for values in row)]
            for name, *row in zip(
                kinds(), found["done"], found["broken"], *policies.values(), strict=True
            )
        ],
    )
    caption = (
        "A tower that no demonstration has, asked for by two conditions, the lower pair more "
        "strongly until it stands; the first seed."
    )
    return Section(
        "Blocks",
        [shown],
        [
            picture("stacking", block_stacking.draw(found["episode"]), caption),
            Picture("stacking-walk", block_stacking.animate(found["episode"]), caption),
        ],
    )


def _measured(problem: Problem, sizes: Sizes, seeds: int) -> Mapping[str, Any]:
    states = trained(problem, sizes.num_steps, seeds, "blocks")
    of_seed = functools.partial(_walked, problem, problem.build(), sizes)
    walked = {
        ordered: jax.jit(jax.vmap(functools.partial(of_seed, ordered), (0, None, None)))
        for ordered in (False, True)
    }
    done, broken, episodes = [], [], {}
    for name, asked in kinds().items():
        conditions, weights, wanted, unwanted = map(jnp.asarray, asked.some(sizes.num_requests)[:4])
        episodes[name] = walked[asked.ordered](states, conditions, weights)
        last = episodes[name][..., -1, :]
        wanted, unwanted = wanted[:, None], unwanted[:, None]
        bad = jnp.any(block_stacking.holds(last) & (unwanted > 0), axis=-1)
        done.append(np.mean(block_stacking.obeyed(last, wanted, unwanted), axis=(1, 2)))
        broken.append(np.mean(bad, axis=(1, 2)))
    episode = episodes[BOTTOM_UP][0, 0, 0]
    return {"done": np.stack(done), "broken": np.stack(broken), "episode": episode}


def _walked(
    problem: Problem,
    built: Offline,
    sizes: Sizes,
    ordered: bool,
    state: dd.State,
    conditions: Float[Array, "request 2 12"],
    weights: Float[Array, " 2"],
) -> Float[Array, "request episode states 16"]:
    """Episodes of every request."""
    config = problem.config
    control = built.control
    assert control is not None

    def one(asked: Float[Array, "2 12"], key: PRNGKeyArray) -> Float[Array, "episode states 16"]:
        request = bottom_up(asked) if ordered else dd.always(asked, weights)
        planner = dd.planner_of(built, config, state, request=request, symmetry=symmetry())
        return dd.walk(config, planner, control, key, sizes.num_episodes).observations

    return jax.vmap(one)(conditions, jax.random.split(jax.random.key(3), len(conditions)))


def _policy(name: str) -> Problem:
    return POLICIES[name].problems["stacking"]


def _told(name: str, sizes: Sizes, seeds: int) -> Mapping[str, Any]:
    """Shares ``[kind, seed]`` of a policy's episodes in which all is as it was shown."""
    problem = _policy(name)
    num_steps = max(int(sizes.share * problem.num_steps), 1)
    states = trained(problem, num_steps, seeds, f"{name}, blocks", POLICIES[name])
    act = POLICIES[name].make_for(problem)(problem.build(), problem.config).act
    assert act is not None

    def one(state: Any, wanted: Array, unwanted: Array, shown: Array, key: Any) -> Array:
        control = told(block_stacking.block_stacking(wanted, unwanted), shown)

        def likeliest(_: Any, seen: Any, carry: Any) -> tuple[Array, Any]:
            return act(None, state, seen, carry)

        length = problem.config.evaluation_length
        return jnp.mean(episode_returns(control, likeliest, key, sizes.num_episodes, length))

    of_requests = jax.vmap(one, (None, 0, 0, 0, 0))
    share = jax.jit(jax.vmap(of_requests, (0, None, None, None, None)))
    done = []
    for asked in kinds().values():
        conditions, weights, wanted, unwanted = map(jnp.asarray, asked.some(sizes.num_requests)[:4])
        shown = jnp.einsum("c,rcl->rl", jnp.sign(weights), conditions)
        keys = jax.random.split(jax.random.key(3), len(wanted))
        done.append(np.mean(share(states, wanted, unwanted, shown, keys), axis=1))
    return {"done": np.stack(done)}
