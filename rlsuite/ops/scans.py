r"""Scans over time in few parallel steps: prefixes of an associative operation, in blocks.

Of elements e_1 … e_T and an associative ∘, the prefixes are p_t = e_1 ∘ e_2 ∘ … ∘ e_t. Time is cut
into blocks of B; all blocks are scanned beside each other, in B steps; the totals of the T/B blocks
in the same way, until no more than B are left; and every prefix within a block is joined to the
total of the blocks before it. That is about (B + 1) log T / log B steps, of a program that has two
∘ for each level: with B near 64 it is small, compiles soon, and does twice the work of T steps one
after another. With B = 1 this is ``jax.lax.associative_scan``, a tree of 2 log₂ T steps whose
program has as many ∘.

Reference:
    Blelloch: Prefix sums and their applications. 1990.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array

_Element = TypeVar("_Element")

BLOCK = 64
"""How long a block is, where nothing else is said."""


def prefixes(
    combine: Callable[[_Element, _Element], _Element],
    elements: _Element,
    *,
    block: int = BLOCK,
    reverse: bool = False,
) -> _Element:
    """All prefixes, or all suffixes, of elements along their first axis.

    Args:
        combine: ∘, of an earlier element and a later one; vmapped here.
        elements: e_t, a pytree whose arrays have time as their first axis.
        block: B, at least 1.
        reverse: Whether suffixes e_t ∘ … ∘ e_T are wanted.

    Returns:
        p_t, shaped as the elements.

    Raises:
        ValueError: If ``block`` is below 1.

    Example:
        >>> prefixes(jnp.add, jnp.arange(5.0), block=2).tolist()
        [0.0, 1.0, 3.0, 6.0, 10.0]
        >>> prefixes(jnp.add, jnp.arange(5.0), block=2, reverse=True).tolist()
        [10.0, 10.0, 9.0, 7.0, 4.0]
    """
    if block < 1:
        raise ValueError(f"block is {block}; allowed: at least 1")
    if reverse:
        flipped = jax.tree.map(lambda x: jnp.flip(x, 0), elements)
        found = prefixes(lambda a, b: combine(b, a), flipped, block=block)
        return jax.tree.map(lambda x: jnp.flip(x, 0), found)
    together = jax.vmap(combine)
    if block == 1:
        return jax.lax.associative_scan(together, elements)
    length = len(jax.tree.leaves(elements)[0])
    size = min(block, length)
    index = jnp.minimum(jnp.arange(-(-length // size) * size), length - 1)  # The last one repeated.
    blocks = jax.tree.map(lambda x: _cut(x[index], size), elements)  # [place in block, block, …]

    def step(before: _Element, now: _Element) -> tuple[_Element, _Element]:
        joined = together(before, now)
        return joined, joined

    first = jax.tree.map(lambda x: x[0], blocks)
    last, later = jax.lax.scan(step, first, jax.tree.map(lambda x: x[1:], blocks))
    within = jax.tree.map(lambda x, y: jnp.concatenate([x[None], y]), first, later)
    if size == length:
        return jax.tree.map(lambda x: x[:, 0], within)
    totals = prefixes(combine, last, block=block)
    before = jax.tree.map(lambda x: x[:-1], totals)
    joined = jax.vmap(together, (None, 0))(before, jax.tree.map(lambda x: x[:, 1:], within))
    whole = jax.tree.map(lambda x, y: jnp.concatenate([x[:, :1], y], axis=1), within, joined)
    return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[2:])[:length], whole)


def _cut(x: Array, size: int) -> Array:
    return jnp.swapaxes(x.reshape(-1, size, *x.shape[1:]), 0, 1)
