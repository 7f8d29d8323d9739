r"""Gaussians, and linear-Gaussian models of sequences.

``information`` multiplies, integrates and conditions single Gaussians in information form. A
sequence is a ``LinearGaussian`` model with one ``Potential`` for each of its states; ``filter``,
``smooth``, ``sample`` and ``log_evidence`` go through its time step by step, or in parallel. They
take one sequence: ``jax.vmap`` takes many.

Example:
    >>> import jax.numpy as jnp
    >>> one = jnp.eye(1)
    >>> walk = time_invariant(Moments(jnp.zeros(1), one), one, one, jnp.zeros((2, 1)))
    >>> seen = diagonal(jnp.array([[0.0], [1.0], [2.0]]), jnp.ones((3, 1)))
    >>> [f"{mean:.3f}" for mean in smooth(walk, seen).states.mean[:, 0]]
    ['0.308', '0.923', '1.462']
"""

from rlsuite.ops.gaussian.inference import (
    Backward,
    Method,
    filter,  # noqa: A004
    log_evidence,
    sample,
    smooth,
)
from rlsuite.ops.gaussian.information import Moments, Potential, diagonal, flat
from rlsuite.ops.gaussian.kalman import rts
from rlsuite.ops.gaussian.models import (
    Filtered,
    LinearGaussian,
    Smoothed,
    expected_log_joint,
    time_invariant,
)

__all__ = [
    "Backward",
    "Filtered",
    "LinearGaussian",
    "Method",
    "Moments",
    "Potential",
    "Smoothed",
    "diagonal",
    "expected_log_joint",
    "filter",
    "flat",
    "log_evidence",
    "rts",
    "sample",
    "smooth",
    "time_invariant",
]
