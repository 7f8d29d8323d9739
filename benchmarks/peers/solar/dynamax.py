"""dynamax's side: its Kalman smoother, step by step.

Its cross-covariances are E[z zᵀ], of which the product of means is taken away here; its bias b_t
leads to the state at t, ours from it.
"""

# The peer is installed in an environment of its own.
# mypy: disable-error-code="import-not-found"
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from dynamax.linear_gaussian_ssm.inference import lgssm_smoother, make_lgssm_params

PACKAGES = ("dynamax", "jax", "jaxlib", "numpy")


def _smooth(told: Any, law: Any, offset: jax.Array) -> Any:
    """Of one sequence."""
    mean, variance = told
    n = mean.shape[-1]
    params = make_lgssm_params(
        jnp.zeros(n),
        jnp.eye(n),
        law[0],
        law[1],
        jnp.eye(n),
        variance,
        dynamics_bias=jnp.concatenate([jnp.zeros((1, n)), offset]),
    )
    found = lgssm_smoother(params, mean)
    mean = found.smoothed_means
    cross = found.smoothed_cross_covariances - mean[:-1, :, None] * mean[1:, None, :]
    return mean, found.smoothed_covariances, cross, found.marginal_loglik


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
