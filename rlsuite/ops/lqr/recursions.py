r"""Recursions over quadratic functions, step by step or in parallel over time.

A quadratic function of a state x, but for its constant, is here one array [P p], n by n + 1, and
an affine map one array [[Φ φ], [0 1]]: an affine term is a state that stays at one. What a stretch
of steps does to the value function V' after it is an element (Φ̃, V, C):

    V'  ↦  x ↦ V(x) + min_λ { V'(Φ x + φ + C λ) + ½ λᵀ C λ },

and a stretch followed by another is an element again. With M = (I + C₁ P₂)⁻¹,

    X̃ = [[M Φ₁, M (φ₁ − C₁ p₂)], [0, 1]],
    Φ̃ = Φ̃₂ X̃,    V = V₁ + Φ₁ᵀ V₂ X̃,    C = C₂ + Φ₂ M C₁ Φ₂ᵀ.

Composition is associative. T steps are cut into blocks: all blocks are walked beside each other for
their elements, an associative scan joins these, and the blocks are walked once more from the values
at their ends. That takes 2 × block + log₂(T / block) steps, and as much memory as the result.

Without control C is zero and X̃ = Φ̃₁: the recursion V_t = S_t + Φ_tᵀ V_{t+1} Φ̃_t is linear.

Reference:
    Särkkä and García-Fernández: Temporal parallelization of dynamic programming and linear
    quadratic control. IEEE Transactions on Automatic Control 68, 2023, arXiv:2104.03186.

Example:
    >>> steps = jnp.full((3, 1, 1), 2.0)
    >>> linear(None, steps, jnp.ones((3, 1, 1)), jnp.zeros((1, 1))).ravel().tolist()
    [21.0, 5.0, 1.0]
    >>> linear(2, steps, jnp.ones((3, 1, 1)), jnp.zeros((1, 1))).ravel().tolist()
    [21.0, 5.0, 1.0]
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops.matrices import SMALL, multiply, symmetric, transpose


class Element(NamedTuple):
    """What a stretch of steps does to a value function; see the module.

    The arrays have n + k rows or columns where the affine terms are carried (k = 1), or n where
    there are none (k = 0).

    Attributes:
        transition: Φ̃, ``[n+k n+k]``.
        value: V, ``[n n+k]``.
        spread: C, ``[n n]``; None if it is zero.
    """

    transition: Float[Array, "*batch r r"]
    value: Float[Array, "*batch n r"]
    spread: Any


def compose(earlier: Element, later: Element) -> Element:
    """One stretch, then another; see the module.

    Args:
        earlier: (Φ̃₁, V₁, C₁).
        later: (Φ̃₂, V₂, C₂).

    Returns:
        (Φ̃, V, C).
    """
    n = earlier.value.shape[-2]
    state, spread = earlier.transition, None
    if earlier.spread is not None:
        state, moved = _middle(earlier, later)
        onwards = later.transition[..., :n, :n]
        spread = later.spread + symmetric(multiply(multiply(onwards, moved), transpose(onwards)))
    back = transpose(earlier.transition[..., :n, :n])
    value = earlier.value + multiply(back, multiply(later.value, state))
    return Element(multiply(later.transition, state), value, spread)


def _middle(earlier: Element, later: Element) -> tuple[Array, Array]:
    """X̃, the state between two stretches as a function of the first one, and M C₁."""
    n = earlier.value.shape[-2]
    curvature, slope = jnp.split(later.value, [n], axis=-1)
    identity = jnp.eye(n, dtype=curvature.dtype)
    pushed = earlier.transition[..., :n, n:] - multiply(earlier.spread, slope)
    right = jnp.concatenate([earlier.transition[..., :n, :n], pushed, earlier.spread], axis=-1)
    found = general_solve(identity + multiply(earlier.spread, curvature), right)
    inner, moved = jnp.split(found, [right.shape[-1] - n], axis=-1)
    return jnp.concatenate([inner, earlier.transition[..., n:, :]], axis=-2), moved


def general_solve(
    matrix: Float[Array, "*batch n n"], right: Float[Array, "*batch n m"]
) -> Float[Array, "*batch n m"]:
    """The X with A X = B for any regular A, by elimination with partial pivoting.

    Args:
        matrix: A.
        right: B.

    Returns:
        X.
    """
    n = matrix.shape[-1]
    if n > SMALL:
        return jnp.linalg.solve(matrix, right)
    numbers = jnp.arange(n)[:, None]

    def eliminate(number: Array, rows: Array) -> Array:
        column = jax.lax.dynamic_slice_in_dim(rows, number, 1, axis=-1)
        size = jnp.where(numbers < number, -1, jnp.abs(column))
        pivot = numbers == jnp.argmax(size, axis=-2, keepdims=True)
        row = jnp.sum(jnp.where(pivot, rows, 0), axis=-2, keepdims=True)
        first = jax.lax.dynamic_slice_in_dim(rows, number, 1, axis=-2)
        rows = jnp.where(pivot, first, rows)
        column = jax.lax.dynamic_slice_in_dim(rows, number, 1, axis=-1)
        row = row / jax.lax.dynamic_slice_in_dim(row, number, 1, axis=-1)
        return jnp.where(numbers == number, row, rows - column * row)

    rows = jnp.concatenate([matrix, right], axis=-1)
    return jax.lax.fori_loop(0, n, eliminate, rows)[..., n:]


def linear(
    block: int | None,
    transition: Float[Array, "time r r"],
    source: Float[Array, "time n r"],
    last: Float[Array, "n r"],
) -> Float[Array, "time n r"]:
    """V_t = S_t + Φ_tᵀ V_{t+1} Φ̃_t, backwards from V_T.

    Args:
        block: How many steps a block has; None walks step by step.
        transition: Φ̃, of which Φ is the upper left part.
        source: S.
        last: V_T.

    Returns:
        V_0 … V_{T−1}.
    """

    def step(value: Array, now: Element) -> tuple[Array, Array]:
        value = compose(now, Element(now.transition, value, None)).value
        return value, value

    def extend(element: Element, now: Element) -> Element:
        return compose(now, element)

    r = transition.shape[-1]
    rest = Element(jnp.eye(r, dtype=source.dtype), jnp.zeros_like(last), None)
    return backwards(step, extend, rest, block, Element(transition, source, None), rest, last)


def backwards(
    step: Callable[[Array, Any], tuple[Array, Any]],
    extend: Callable[[Element, Any], Element],
    unit: Element,
    block: int | None,
    steps: Any,
    rest: Any,
    last: Float[Array, "n r"],
) -> Any:
    """A recursion over value functions from the last one to the first.

    Args:
        step: From V_{t+1} and step t to V_t and what is kept of it.
        extend: From the element of a stretch and the step before it to the element of both.
        unit: The element of no step.
        block: How many steps a block has; None walks step by step.
        steps: A pytree of arrays, the time axis first.
        rest: A step that changes nothing, to fill the last block.
        last: V_T.

    Returns:
        What is kept, for t = 0 … T − 1.
    """
    if block is None:
        return jax.lax.scan(step, last, steps, reverse=True)[1]
    time = len(jax.tree.leaves(steps)[0])
    blocks = jax.tree.map(lambda every, one: _cut(every, one, min(block, time)), steps, rest)

    def element(stretch: Any) -> Element:
        return jax.lax.scan(lambda e, now: (extend(e, now), None), unit, stretch, reverse=True)[0]

    # A last element that forgets its state and ends in V_T.
    forgets = unit.transition.at[: len(last)].set(0)
    end = Element(forgets, last, unit.spread)
    elements = jax.tree.map(
        lambda every, one: jnp.concatenate([every, one[None]]), jax.vmap(element)(blocks), end
    )
    after = _suffixes(elements)
    kept = jax.vmap(lambda value, stretch: jax.lax.scan(step, value, stretch, reverse=True)[1])(
        after.value[1:], blocks
    )
    return jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:])[:time], kept)


def _suffixes(elements: Element) -> Element:
    """Every element with all that follow it, in log₂ rounds of the same size.

    ``jax.lax.associative_scan`` composes fewer, but compiles each of its rounds anew.
    """
    count = len(elements.value)

    def join(number: Array, elements: Element) -> Element:
        ahead = jnp.left_shift(1, number)
        later = jax.tree.map(lambda each: jnp.roll(each, -ahead, axis=0), elements)
        inside = (jnp.arange(count) + ahead < count)[:, None, None]
        joined = compose(elements, later)
        return jax.tree.map(lambda new, old: jnp.where(inside, new, old), joined, elements)

    return jax.lax.fori_loop(0, (count - 1).bit_length(), join, elements)


def _cut(every: Array, one: Array, block: int) -> Array:
    """The time axis in blocks, the last one filled up with a step that changes nothing."""
    short = -len(every) % block
    filled = jnp.concatenate([every, jnp.broadcast_to(one, (short, *one.shape))])
    return filled.reshape(-1, block, *every.shape[1:])
