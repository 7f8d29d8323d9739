"""Our side: `rlsuite.ops.meta`, a meta-gradient of each task, averaged, jitted."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rlsuite.ops import meta

PACKAGES = ("rlsuite", "jax", "jaxlib", "numpy", "optax")

Weights = Mapping[str, jax.Array]
Points = tuple[jax.Array, jax.Array]


def _loss(weights: Weights, points: Points) -> jax.Array:
    x, y = points
    x = jax.nn.relu(x @ weights["kernel_0"] + weights["bias_0"])
    x = jax.nn.relu(x @ weights["kernel_1"] + weights["bias_1"])
    return jnp.mean((x @ weights["kernel_2"] + weights["bias_2"] - y) ** 2)


def sinusoids(
    inputs: Mapping[str, np.ndarray],
) -> tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]:
    """The mean query loss after adaptation, and its gradient."""
    num_steps, optimizer = int(inputs["num_steps"]), optax.sgd(float(inputs["rate"]))
    weights = {
        name: jnp.asarray(array)
        for name, array in inputs.items()
        if name.startswith(("kernel", "bias"))
    }
    support, query = (
        (jnp.asarray(inputs[f"{name}_x"]), jnp.asarray(inputs[f"{name}_y"]))
        for name in ("support", "query")
    )

    def of_task(weights: Weights, support: Points, query: Points) -> tuple[jax.Array, Weights]:
        result = meta.meta_gradient(
            _loss, weights, support, query, optimizer=optimizer, num_steps=num_steps
        )
        return result.loss, result.gradient

    @jax.jit
    def mean(weights: Weights, support: Points, query: Points) -> tuple[jax.Array, Weights]:
        return meta.mean_over_tasks(of_task, weights, support, query)

    def result(output: Any) -> dict[str, np.ndarray]:
        loss, gradient = output
        return {"loss": loss, **gradient}

    return lambda: jax.block_until_ready(mean(weights, support, query)), result
