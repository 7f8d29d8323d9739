"""What policies of a bandit earn, exactly: from random pulls to the best, and the agents' place."""

from typing import Any

import jax
import numpy as np

from rlsuite.envs.bandits import Bandits
from rlsuite.io.tables import Table, number, table
from rlsuite.ops import bandits as ops


def rungs(problem: Bandits, discount: float = 0.95, depth: int = 200) -> dict[str, float]:
    """What each policy loses.

    Args:
        problem: Bandits of independent arms, all drawn from the same law.
        discount: Of Gittins' indices.
        depth: After how many pulls these are cut off.

    Returns:
        Names to values lost, from random pulls to Gittins' policy; and "width", the greatest
        distance of an index's bounds.
    """
    arms, states = problem.control.params.arms, problem.states
    counts = np.arange(states.horizon, dtype=float)
    won, lost = np.meshgrid(counts, counts, indexing="ij")
    early = won + lost < states.horizon
    with jax.enable_x64(True):
        bounds = jax.jit(ops.gittins_bernoulli, static_argnames="depth")(
            won[early] + np.asarray(arms.alpha)[0],
            lost[early] + np.asarray(arms.beta)[0],
            discount,
            depth=depth,
        )
        width = float(np.max(np.asarray(bounds.upper) - np.asarray(bounds.lower)))
        middle = np.asarray(bounds.middle)
    indices = np.zeros_like(won)
    indices[early] = middle
    policies = {
        "random": jax.jit(ops.uniform)(arms, states),
        "UCB1": jax.jit(ops.ucb1)(arms, states),
        "Thompson": jax.jit(ops.thompson)(arms, states),
        "myopic": jax.jit(ops.myopic)(arms, states),
        f"Gittins, γ = {discount}": jax.jit(ops.by_index)(states, indices.astype(np.float32)),
    }
    worth = jax.jit(ops.evaluate)
    found = {
        name: float(problem.best) - float(np.asarray(worth(arms, states, policy))[0, 0])
        for name, policy in policies.items()
    }
    return {**found, "width": width}


def ladder(problem: Bandits, agents: dict[str, np.ndarray]) -> Table:
    """The table of all of them.

    Args:
        problem: The bandits.
        agents: What trained agents lose, by name, one number a seed.

    Returns:
        The table.
    """
    found = rungs(problem)
    width = found.pop("width")
    best = float(problem.best)
    rows: list[Any] = [
        [name, number(lost), number(best - lost), ""] for name, lost in found.items()
    ]
    for name, values in agents.items():
        middle = float(np.median(values))
        spread = f"{number(float(np.min(values)))} … {number(float(np.max(values)))}"
        rows.append([name, number(middle), number(best - middle), spread])
    rows.append(["dynamic programme", "0", number(best), ""])
    return table(
        "Ladder",
        f"What is lost of the best expected return of {problem.states.horizon} pulls, and what is "
        "earned. Policies are evaluated exactly, by the tables; agents over the histories of "
        "episodes that they play, their choices being judged exactly: the median over seeds, and "
        f"the range. The bounds of Gittins' indices are at most {number(width)} apart.",
        ["policy", "lost", "earned", "range"],
        rows,
    )
