"""Initial weights that need no LAPACK; see ``rlsuite.ops.orthogonal``."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.ops.orthogonal import decompose


def orthogonal(scale: float = 1.0) -> Callable[..., Float[Array, "inputs outputs"]]:
    """Matrices of which the shorter side's vectors are orthogonal: JAX's, up to rounding.

    Args:
        scale: The length of these vectors.

    Returns:
        ``(key, shape, dtype) -> weights``, of two axes.

    Example:
        >>> weights = orthogonal(2.0)(jax.random.key(0), (3, 3))
        >>> bool(jnp.allclose(weights @ weights.T, 4 * jnp.eye(3), atol=1e-5))
        True

    Reference:
        Saxe, McClelland, Ganguli: Exact solutions to the nonlinear dynamics of learning in deep
        linear neural networks. ICLR 2014, arXiv:1312.6120.
    """

    def init(key: PRNGKeyArray, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        inputs, outputs = shape
        long, short = max(inputs, outputs), min(inputs, outputs)
        basis, _ = decompose(jax.random.normal(key, (long, short), dtype))
        return scale * (basis.T if outputs > inputs else basis)

    return init
