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
        transition=tabular.Gather(
            jnp.asarray(inputs["next_states"]),
            jnp.asarray(inputs["slip"]) if "slip" in inputs else None,
        ),
        reward=jnp.asarray(inputs["reward"]),
        initial=jnp.asarray(inputs["initial"]),
        discount=jnp.asarray(inputs["discount"]),
    )


def finite(inputs: Mapping[str, np.ndarray]) -> Prepared:
    """Backward induction and forward visitation over the horizon."""
    mdp, horizon = _mdp(inputs), int(inputs["horizon"])

    @jax.jit
    def solve(mdp: tabular.MDP) -> tuple[tabular.FiniteSolution, jax.Array]:
        solution = tabular.backward_induction(mdp, horizon, temperature=1.0)
        # The peer has no visits of state-actions, so they are left out here too.
        return solution, tabular.finite_visitation(mdp, solution.log_policy).states

    def result(output: Any) -> dict[str, np.ndarray]:
        solution, visits = output
        return {
            "values": solution.values[:-1],
            "policy": np.exp(solution.log_policy),
            "visits": visits,
            "total_visits": visits[:-1].sum(axis=0),
        }

    return lambda: jax.block_until_ready(solve(mdp)), result


def iterate(inputs: Mapping[str, np.ndarray]) -> Prepared:
    """Value iteration, stopped at the same change as the peer's, and discounted visitation."""
    return _infinite(inputs, "iterate", float(inputs["tolerance"]))


def newton(inputs: Mapping[str, np.ndarray]) -> Prepared:
    """Newton–Kantorovich steps and discounted visitation.

    Our tolerance is on the residual; 1−γ of the peer's makes our error bound that number. It is
    the stricter of the two: the peer's last step goes far below its tolerance.
    """
    tolerance = float(inputs["tolerance"]) * (1 - float(inputs["discount"]))
    return _infinite(inputs, "newton", tolerance)


def _infinite(inputs: Mapping[str, np.ndarray], method: Any, tolerance: float) -> Prepared:
    mdp = _mdp(inputs)

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
