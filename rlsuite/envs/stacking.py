"""Problems of one shape, stacked so that one compiled program serves them all."""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

_Problem = TypeVar("_Problem")


def stack(problems: Sequence[_Problem]) -> _Problem:
    """Stack pytrees of one structure and one shape along a new leading axis.

    Args:
        problems: MDPs, worlds, or any other pytrees of arrays; at least one.

    Returns:
        A pytree of the same structure, for `jax.vmap` over its leading axis.

    Raises:
        ValueError: if there are none, or their structures or shapes differ.

    Example:
        >>> from rlsuite.envs.objectworld import objectworld
        >>> stack([objectworld(seed, 8) for seed in range(3)]).mdp.reward.shape
        (3, 64)
    """
    if not problems:
        raise ValueError("problems is empty: there is nothing to stack")
    kinds = [_structure_and_shapes(problem) for problem in problems]
    for i, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise ValueError(
                f"problems[{i}] has another structure or other shapes than problems[0]: only "
                "problems of one size and kind can be stacked"
            )
    return jax.tree.map(lambda *leaves: _stack_leaves(leaves), *problems)


def _structure_and_shapes(problem: Any) -> tuple[Any, list[tuple[int, ...]]]:
    leaves, structure = jax.tree.flatten(problem)
    return structure, [jnp.shape(leaf) for leaf in leaves]


def _stack_leaves(leaves: Sequence[Array]) -> Array:
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        return jnp.stack(leaves)
    # Thousands of arguments to jnp.stack would be thousands of operands to compile for.
    return jnp.asarray(np.stack([np.asarray(leaf) for leaf in leaves]))
