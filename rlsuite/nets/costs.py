r"""A quadratic cost that is learned with a model: c ~ N(½ zᵀ C z + cᵀ z + v, σ²), z = [s; a].

C = R Rᵀ is positive semidefinite whatever R is, so that control by it is always well posed.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops.lqr import Quadratic


class CostParams(NamedTuple):
    """The cost's parameters.

    Attributes:
        root: R.
        slope: c.
        constant: v.
        log_deviation: log σ.
    """

    root: Float[Array, "*batch nm nm"]
    slope: Float[Array, "*batch nm"]
    constant: Float[Array, "*batch"]
    log_deviation: Float[Array, "*batch"]


def start_cost(size: int, costs: Float[Array, "*episodes"] | None) -> CostParams:
    """A cost that only knows how large costs are.

    Args:
        size: How many numbers z has.
        costs: What was paid; None if nobody said.

    Returns:
        The parameters.
    """
    mean, deviation = jnp.zeros(()), jnp.ones(())
    if costs is not None:
        mean, deviation = jnp.mean(costs), jnp.std(costs) + 1e-3
    return CostParams(0.3 * jnp.eye(size), jnp.zeros(size), mean, jnp.log(deviation))


def quadratic(cost: CostParams) -> Quadratic:
    """The mean cost as a quadratic function of z.

    Args:
        cost: Its parameters.

    Returns:
        C, c and v.
    """
    return Quadratic(cost.root @ cost.root.mT, cost.slope, cost.constant)


def mean_cost(cost: CostParams, at: Float[Array, "*steps nm"]) -> Float[Array, "*steps"]:
    """The mean cost at points; the same as ``quadratic``, without its products of matrices.

    Args:
        cost: The parameters.
        at: z.

    Returns:
        ½ ‖Rᵀ z‖² + cᵀ z + v.
    """
    return jnp.sum(jnp.square(at @ cost.root), axis=-1) / 2 + at @ cost.slope + cost.constant


def log_paid(
    cost: CostParams, at: Float[Array, "*steps nm"], costs: Float[Array, "*steps"]
) -> Float[Array, "*steps"]:
    """Log p(c | z).

    Args:
        cost: The parameters.
        at: z.
        costs: What was paid.

    Returns:
        Nats.
    """
    error = (costs - mean_cost(cost, at)) / jnp.exp(cost.log_deviation)
    return -jnp.square(error) / 2 - cost.log_deviation - math.log(2 * math.pi) / 2
