"""The side of `econirl` 0.1.1: its soft Bellman solvers and its occupancy measure, in float64.

Timed are its public functions on its dense transition array (its compact deterministic one cannot
express slip, and its infinite-horizon solvers do not take it): the solver, and then
``compute_state_visitation``. They are called as its own estimators call them, because neither can
be jitted from outside: both branch in Python on what they have computed. The loop of a solver is
therefore compiled in every call, which is about a tenth of a second of its time. The solvers
measured are ``value_iteration``, which is our method too, and ``hybrid_iteration``, its fastest.

One deviation is corrected outside of the clock: its visitation is normalised to sum to one; divided
by 1−γ it is the discounted visitation, Σ_t γ^t P(s_t = s).
"""

# The peer is installed in an environment of its own.
# mypy: disable-error-code="import-not-found"
from collections.abc import Callable, Mapping
from typing import Any

import econirl  # noqa: F401  # It switches JAX to float64.
import jax
import jax.numpy as jnp
import numpy as np
from econirl.core import solvers
from econirl.core.bellman import SoftBellmanOperator
from econirl.core.occupancy import compute_state_visitation
from econirl.core.types import DDCProblem

PACKAGES = ("econirl", "jax", "jaxlib", "numpy")

Prepared = tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]


def value_iteration(inputs: Mapping[str, np.ndarray]) -> Prepared:
    """Contraction steps only."""
    return _prepare(inputs, solvers.value_iteration)


def hybrid(inputs: Mapping[str, np.ndarray]) -> Prepared:
    """Contraction steps, then Newton–Kantorovich steps."""
    return _prepare(inputs, solvers.hybrid_iteration)


def _prepare(inputs: Mapping[str, np.ndarray], solver: Callable[..., Any]) -> Prepared:
    probabilities = np.ascontiguousarray(inputs["probabilities"].swapaxes(0, 1))
    actions, states, _ = probabilities.shape
    discount, tolerance = float(inputs["discount"]), float(inputs["tolerance"])
    problem = DDCProblem(states, actions, discount_factor=discount)
    transitions = jnp.asarray(probabilities)
    operator = SoftBellmanOperator(problem, transitions)
    utility = jnp.repeat(jnp.asarray(inputs["reward"])[:, None], actions, axis=1)
    initial = jnp.asarray(inputs["initial"])

    def run() -> Any:
        # The default of 1000 steps ends before the tolerance is reached.
        solution = solver(operator, utility, tol=tolerance, max_iter=100_000)
        visits = compute_state_visitation(solution.policy, transitions, problem, initial)
        return jax.block_until_ready((solution.V, solution.policy, visits))

    def result(output: Any) -> dict[str, np.ndarray]:
        values, policy, visits = (np.asarray(part) for part in output)
        discounted = visits / (1 - discount)
        return {
            "values": values,
            "policy": policy,
            "visits": discounted,
            "state_action_visits": discounted[:, None] * policy,
        }

    return run, result
