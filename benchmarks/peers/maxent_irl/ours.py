"""Our side: `rlsuite.ops.tabular` on the next-state table, jitted, in float64."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.ops import tabular

jax.config.update("jax_enable_x64", True)

PACKAGES = ("rlsuite", "jax", "jaxlib", "numpy")

Prepared = tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]


def _mdp(inputs: Mapping[str, np.ndarray]) -> tabular.MDP:
    return tabular.MDP(
        transition=tabular.Gather(jnp.asarray(inputs["next_states"]), jnp.asarray(inputs["slip"])),
        reward=jnp.asarray(inputs["reward"]),
        initial=jnp.asarray(inputs["initial"]),
        discount=jnp.asarray(inputs["discount"]),
    )


def finite(inputs: Mapping[str, np.ndarray]) -> Prepared:
    """Backward induction and forward visitation over the horizon."""
    mdp, horizon = _mdp(inputs), int(inputs["horizon"])

    @jax.jit
    def solve(mdp: tabular.MDP) -> tuple[tabular.FiniteSolution, tabular.Visitation]:
        solution = tabular.backward_induction(mdp, horizon, temperature=1.0)
        return solution, tabular.finite_visitation(mdp, solution.log_policy)

    def result(output: Any) -> dict[str, np.ndarray]:
        solution, visitation = output
        return {
            "values": solution.values[:-1],
            "policy": np.exp(solution.log_policy),
            "visits": visitation.states,
            "total_visits": visitation.states[:-1].sum(axis=0),
        }

    return lambda: jax.block_until_ready(solve(mdp)), result


def iterate(inputs: Mapping[str, np.ndarray]) -> Prepared:
    """Value iteration and discounted visitation."""
    return _infinite(inputs, "iterate")


def newton(inputs: Mapping[str, np.ndarray]) -> Prepared:
    """Newton–Kantorovich steps and discounted visitation."""
    return _infinite(inputs, "newton")


def _infinite(inputs: Mapping[str, np.ndarray], method: Any) -> Prepared:
    mdp, tolerance = _mdp(inputs), float(inputs["tolerance"])

    @jax.jit
    def solve(mdp: tabular.MDP) -> tuple[tabular.Solution, tabular.Visitation]:
        solution = tabular.value_iteration(mdp, temperature=1.0, method=method, tolerance=tolerance)
        return solution, tabular.visitation(mdp, solution.log_policy)

    def result(output: Any) -> dict[str, np.ndarray]:
        solution, visitation = output
        return {
            "values": solution.values,
            "policy": np.exp(solution.log_policy),
            "visits": visitation.states,
            "state_action_visits": visitation.state_actions,
        }

    return lambda: jax.block_until_ready(solve(mdp)), result
