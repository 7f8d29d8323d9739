"""Systems with costs, expanded to first and second order: what LQR needs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class LinearQuadratic(NamedTuple):
    r"""A system x' = A x + B a + offset + ε with a quadratic cost.

    The cost is ½ zᵀ C z + cᵀ z + constant with z = (x, a).

    Attributes:
        A: The transition of a state.
        B: The transition of an action.
        offset: What is added.
        W: The covariance of ε.
        C: The cost's Hessian.
        c: The cost's linear part.
        constant: The cost of nothing.
    """

    A: Float[Array, "n n"]
    B: Float[Array, "n m"]
    offset: Float[Array, " n"]
    W: Float[Array, "n n"]
    C: Float[Array, "n_plus_m n_plus_m"]
    c: Float[Array, " n_plus_m"]
    constant: Float[Array, ""]


def expanded(
    advance: Callable[[Float[Array, " n"], Float[Array, " m"]], Float[Array, " n"]],
    cost: Callable[[Float[Array, " n"], Float[Array, " m"]], Float[Array, ""]],
    at: tuple[Float[Array, " n"], Float[Array, " m"]],
    noise: Any,
) -> LinearQuadratic:
    """Taylor's expansion of a system and its cost, in (x, a) rather than in how far they are off.

    Args:
        advance: From a state and an action to the next state.
        cost: Of a state and an action.
        at: The state and the action at which it touches the system.
        noise: The standard deviation of what is added to each number of a state.

    Returns:
        The expansion.

    Example:
        >>> found = expanded(
        ...     lambda x, a: jnp.sin(x) + 2 * a,
        ...     lambda x, a: jnp.sum(x**2) + 3 * jnp.sum(a**2),
        ...     (jnp.zeros(1), jnp.zeros(1)),
        ...     0.1,
        ... )
        >>> found.A.tolist(), found.B.tolist(), found.C.tolist()
        ([[1.0]], [[2.0]], [[2.0, 0.0], [0.0, 6.0]])
    """
    both, size = jnp.concatenate(at), at[0].size

    def next_state(both: Float[Array, " n_plus_m"]) -> Float[Array, " n"]:
        return advance(both[:size], both[size:])

    def price(both: Float[Array, " n_plus_m"]) -> Float[Array, ""]:
        return cost(both[:size], both[size:])

    F, C = jax.jacfwd(next_state)(both), jax.hessian(price)(both)
    slope = jax.grad(price)(both) - C @ both
    return LinearQuadratic(
        A=F[:, :size],
        B=F[:, size:],
        offset=next_state(both) - F @ both,
        W=jnp.asarray(noise) ** 2 * jnp.eye(size),
        C=C,
        c=slope,
        constant=price(both) - slope @ both - both @ C @ both / 2,
    )
