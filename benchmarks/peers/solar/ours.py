"""Our side: `rlsuite.ops.gaussian` and `rlsuite.ops.lqr`."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.ops import gaussian, lqr

PACKAGES = ("rlsuite", "jax", "jaxlib", "numpy")


def _smooth(told: Any, law: Any, offset: jax.Array) -> Any:
    """Of one sequence."""
    n = offset.shape[-1]
    start = gaussian.Moments(jnp.zeros(n), jnp.eye(n))
    chain = gaussian.time_invariant(start, law[0], law[1], offset)
    found = gaussian.smooth(chain, gaussian.diagonal(*told), backward="forward")
    return found.states.mean, found.states.covariance, found.cross, found.log_evidence


def _given(inputs: Mapping[str, np.ndarray]) -> Any:
    told = jnp.asarray(inputs["mean"]), jnp.asarray(inputs["variance"])
    law = jnp.asarray(inputs["transition"]), jnp.asarray(inputs["noise"])
    return told, law, jnp.asarray(inputs["offset"])


def smoothed(
    inputs: Mapping[str, np.ndarray],
) -> tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]:
    """What is known of states."""
    given = _given(inputs)
    every = jax.jit(jax.vmap(_smooth, (0, None, 0)))

    def result(found: Any) -> dict[str, np.ndarray]:
        names = "mean", "covariance", "cross", "evidence"
        return {name: np.asarray(x) for name, x in zip(names, found, strict=True)}

    return lambda: jax.block_until_ready(every(*given)), result


def gradients(
    inputs: Mapping[str, np.ndarray],
) -> tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]:
    """How a sum of it changes with what is told, and with the law."""
    given = _given(inputs)

    def total(told: Any, law: Any, offset: jax.Array) -> jax.Array:
        mean, covariance, cross, evidence = jax.vmap(_smooth, (0, None, 0))(told, law, offset)
        return (
            jnp.sum(mean**2) + jnp.sum(covariance) + jnp.sum(cross) + jnp.sum(evidence)
        ) / mean.size

    slope = jax.jit(jax.grad(total, (0, 1)))

    def result(found: Any) -> dict[str, np.ndarray]:
        (mean, variance), (transition, noise) = found
        return {
            "mean": np.asarray(mean) * mean.size,
            "variance": np.asarray(variance) * variance.size,
            "transition": np.asarray(transition),
            "noise": np.asarray(noise + noise.T),
        }

    return lambda: jax.block_until_ready(slope(*given)), result


def regulators(
    inputs: Mapping[str, np.ndarray],
) -> tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]:
    """The best states and actions."""
    n = inputs["start"].shape[-1]
    given = {name: jnp.asarray(value) for name, value in inputs.items()}

    def one(given: dict[str, jax.Array]) -> Any:
        steps = len(given["A"])
        dynamics = lqr.Dynamics(given["A"], given["B"], given["c"], jnp.zeros((steps, n, n)))
        cost = lqr.Quadratic(given["hessian"], given["gradient"], jnp.zeros(steps))
        last = lqr.Quadratic(jnp.eye(n), jnp.zeros(n), jnp.zeros(()))
        policy = lqr.solve(lqr.Problem(dynamics, cost, last)).policy

        def step(x: jax.Array, now: Any) -> Any:
            A, B, c, K, k = now
            u = K @ x + k
            x = A @ x + B @ u + c
            return x, (x, u)

        along = given["A"], given["B"], given["c"], policy.gain, policy.offset
        return jax.lax.scan(step, given["start"], along)[1]

    every = jax.jit(jax.vmap(one))
    return lambda: jax.block_until_ready(every(given)), lambda found: {
        "states": np.asarray(found[0]),
        "actions": np.asarray(found[1]),
    }
