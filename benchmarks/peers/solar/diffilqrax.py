"""diffilqrax's side: its LQR, step by step; adjoints, which it returns too, are not computed."""

# The peer is installed in an environment of its own.
# mypy: disable-error-code="import-not-found"
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from diffilqrax.lqr import solve_lqr
from diffilqrax.typs import LQR, LQRParams

jax.config.update("jax_enable_x64", False)  # Its import has asked for 64 bits.

PACKAGES = ("diffilqrax", "jax", "jaxlib", "numpy")


def regulators(
    inputs: Mapping[str, np.ndarray],
) -> tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]:
    """The best states and actions."""
    n = inputs["start"].shape[-1]
    given = {name: jnp.asarray(value) for name, value in inputs.items()}

    def one(given: dict[str, jax.Array]) -> Any:
        H, h = given["hessian"], given["gradient"]
        problem = LQR(
            A=given["A"],
            B=given["B"],
            a=given["c"],
            Q=H[:, :n, :n],
            q=h[:, :n],
            R=H[:, n:, n:],
            r=h[:, n:],
            S=H[:, :n, n:],
            Qf=jnp.eye(n),
            qf=jnp.zeros(n),
        )
        states, actions, _ = solve_lqr(LQRParams(given["start"], problem))
        return states[1:], actions

    every = jax.jit(jax.vmap(one))
    return lambda: jax.block_until_ready(every(given)), lambda found: {
        "states": np.asarray(found[0]),
        "actions": np.asarray(found[1]),
    }
