"""Walks along a sampler: known entries, warm starts, guidance and composition."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rlsuite.ops.diffusion.samplers import Sampler


class Known(NamedTuple):
    """Entries that are known.

    Attributes:
        where: Which entries.
        values: What they are; what stands elsewhere does not matter.
    """

    where: Bool[Array, "*shape"]
    values: Float[Array, "*shape"]

    def put(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Write the values over x."""
        return jnp.where(self.where, self.values, x)


def first_known(values: Float[Array, "known ..."], length: int) -> Known:
    """The first entries along the first axis are known: the history, or the state at hand.

    Args:
        values: What they are.
        length: The length of the axis.

    Returns:
        What is known.

    Raises:
        ValueError: If there are more values than entries.

    Example:
        >>> first_known(jnp.ones((1, 2)), 3).where.tolist()
        [[True, True], [False, False], [False, False]]
    """
    known = len(values)
    if known > length:
        raise ValueError(f"values has {known} entries; allowed: at most length, {length}")
    shape = (length, *values.shape[1:])
    where = jnp.broadcast_to(
        (jnp.arange(length) < known).reshape(-1, *(1 for _ in values.shape[1:])), shape
    )
    return Known(where, jnp.zeros(shape, values.dtype).at[:known].set(values))


def walk(
    sampler: Sampler,
    predict: Callable[[Float[Array, "*shape"], Int[Array, ""]], Float[Array, "*shape"]],
    key: PRNGKeyArray,
    start: Float[Array, "*shape"],
    *,
    known: Known | None = None,
    bound: float | Float[Array, "..."] | None = None,
) -> Float[Array, "*shape"]:
    """Walk from noise to data.

    Args:
        sampler: The sampler.
        predict: ``(x, k) -> x̂_0``: a network with ``to_data`` after it, and what guides it.
        key: Key.
        start: The first x: noise of standard deviation ``sampler.start``, or ``noise_to`` a guess.
        known: What is written over x before every prediction, and at the end.
        bound: Entries of x̂_0 are kept between −bound and bound; no bound by default.

    Returns:
        x_0.
    """

    def put(x: Array) -> Array:
        return x if known is None else known.put(x)

    def step(
        carry: tuple[Array, Array], row: tuple[Array, ...]
    ) -> tuple[tuple[Array, Array], None]:
        x, before = carry
        k, a, b, c, s, key = row
        data = predict(put(x), k)
        if bound is not None:
            data = jnp.clip(data, -bound, bound)
        z = jax.random.normal(key, x.shape, x.dtype)
        return (a * put(x) + b * data + c * before + s * z, data), None

    numbers = (jnp.asarray(column, start.dtype) for column in sampler[1:5])
    rows = (jnp.asarray(sampler.steps), *numbers, jax.random.split(key, sampler.num_steps))
    (x, _), _ = jax.lax.scan(step, (start, jnp.zeros_like(start)), rows)
    return put(x)


def guided(
    unconditional: Float[Array, "*shape"],
    conditional: Float[Array, "condition ..."],
    weights: Float[Array, " condition"],
) -> Float[Array, "*shape"]:
    r"""ε(∅) + Σ_i w_i (ε(y_i) − ε(∅)): guidance by one condition, or any number of them.

    With w = ω the one condition is strengthened; several positive weights ask for all of their
    conditions (AND); a negative weight asks for the contrary of one (NOT). It is linear, so it may
    act on noise, data and velocity alike.

    Args:
        unconditional: ε(∅).
        conditional: ε(y_i).
        weights: w_i.

    Returns:
        ε̂.

    Example:
        >>> guided(jnp.zeros(1), jnp.asarray([[1.0], [3.0]]), jnp.asarray([2.0, -1.0])).tolist()
        [-1.0]
    """
    return unconditional + jnp.tensordot(weights, conditional - unconditional, axes=1)
