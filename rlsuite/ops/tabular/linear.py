"""Matrix-free solution of (I − γP) x = b and of its transpose."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Vector = Any


def solve(matvec: Callable[[Vector], Vector], b: Vector, *, tolerance: float = 1e-12) -> Vector:
    """Differentiable solution of a linear system (first version: plain iteration)."""

    def iterate(matvec: Callable[[Vector], Vector], b: Vector) -> Vector:
        limit = jnp.maximum(tolerance, 4 * jnp.finfo(b.dtype).eps)

        def body(carry: Any) -> Any:
            x, r, count = carry
            x = x + r
            return x, b - matvec(x), count + 1

        def cond(carry: Any) -> Any:
            x, r, count = carry
            floor = limit * jnp.maximum(jnp.max(jnp.abs(x)), jnp.max(jnp.abs(b)))
            return (jnp.max(jnp.abs(r)) > floor) & (count < 100_000)

        return jax.lax.while_loop(cond, body, (jnp.zeros_like(b), b, 0))[0]

    return jax.lax.custom_linear_solve(matvec, b, iterate, iterate)
