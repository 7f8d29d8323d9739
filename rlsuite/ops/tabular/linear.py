"""Matrix-free solution of (I − γP) x = b and of its transpose, differentiable.

Policy evaluation, the Newton step of value iteration and the derivative of a Bellman fixed point
are systems with the matrix A = I − γP; visitation and the reverse mode are systems with Aᵀ. Both
are solved by one method that touches A only through products: IDR(s), a Krylov method whose
memory does not grow with its steps and which, having random shadow vectors, survives the
permutation-like and nilpotent kernels on which BiCGSTAB breaks down.

No Krylov method is certain to converge, so the solver trusts none. It works in rounds, each of
which starts from the true residual b − Ax. A round that failed to shrink it is discarded, and as
much work is spent on sweeps x ← x + (b − Ax) instead, which contract by γ: in the largest
component for A, in the sum of components for Aᵀ. Those are the norms in which residuals are
measured here, so that ‖x − x*‖ ≤ residual / (1 − γ) in either case.

Reference:
    van Gijzen and Sonneveld (2011), "Algorithm 913: an elegant IDR(s) variant that efficiently
    exploits biorthogonality properties", ACM TOMS 38(1).
"""

import functools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Vector = Float[Array, " state"]
Scalar = Float[Array, ""]
Column = Float[Array, " shadow"]
Product = Callable[[Vector], Vector]
Norm = Callable[[Vector], Scalar]

FLOOR = 8  # residuals of a few units in the last place cannot shrink
_STALL = 200  # nor, often, some larger ones, which a round then fails to shrink
_SHADOWS = 3
_ANGLE = 0.7  # a minimal-residual step whose cosine is below this is lengthened to it


def sup_norm(vector: Vector) -> Scalar:
    """The largest absolute component; infinite if one is NaN, which XLA's maximum may pass over."""
    return jnp.max(jnp.where(jnp.isnan(vector), jnp.inf, jnp.abs(vector)))


def sum_norm(vector: Vector) -> Scalar:
    """The sum of absolute components."""
    return jnp.sum(jnp.abs(vector))


def solve(
    matvec: Product, b: Vector, *, transposed: bool = False, tolerance: float | Scalar
) -> Vector:
    """Solve Ax = b; differentiable in b and in whatever ``matvec`` closes over, to any order.

    Args:
        matvec: x ↦ Ax with A = I − γP, or Aᵀ.
        b: The right-hand side.
        transposed: Whether ``matvec`` is the product with Aᵀ.
        tolerance: The residual relative to b, each in the norm in which sweeps contract.

    Returns:
        x.
    """

    def run(norm: Norm, matvec: Product, b: Vector) -> Vector:
        target = jnp.asarray(tolerance, b.dtype) * norm(b)
        return iterative_solve(matvec, b, norm=norm, target=target)[0]

    norms = (sum_norm, sup_norm) if transposed else (sup_norm, sum_norm)
    return jax.lax.custom_linear_solve(matvec, b, partial(run, norms[0]), partial(run, norms[1]))


class _Progress(NamedTuple):
    """The state between rounds.

    ``products`` counts the work so far; ``halved`` says whether the last Krylov round did its own.
    """

    x: Vector
    residual: Vector
    size: Scalar
    products: Int[Array, ""]
    halved: Bool[Array, ""]


def iterative_solve(
    matvec: Product, b: Vector, *, norm: Norm, target: Scalar, max_products: int = 300_000
) -> tuple[Vector, Scalar, Int[Array, ""]]:
    """Solve Ax = b to a residual norm, without a derivative.

    Args:
        matvec: x ↦ Ax.
        b: The right-hand side.
        norm: In which sweeps contract: :func:`sup_norm` for A, :func:`sum_norm` for Aᵀ.
        target: The norm of b − Ax to reach, or what rounding allows if that is more.
        max_products: Products with A after which no new round is begun.

    Returns:
        x, the norm of its residual, and the number of products with A.
    """
    eps = jnp.finfo(b.dtype).eps

    def limit(progress: _Progress) -> Scalar:
        ulps = jnp.where(progress.halved, FLOOR, _STALL).astype(b.dtype)
        return jnp.maximum(target, ulps * eps * (norm(progress.x) + norm(b)))

    def unfinished(progress: _Progress) -> Bool[Array, ""]:
        return (progress.size > limit(progress)) & (progress.products < max_products)

    def advance(progress: _Progress) -> _Progress:
        # Each round solves for a residual of one, whose squares neither over- nor underflow. Under
        # vmap, a system already solved may come with a residual of zero.
        scale = jnp.where(progress.size > 0, progress.size, 1)
        unit, goal = progress.residual / scale, limit(progress) / scale
        correction, cost = _correct(matvec, norm, unit, goal, max_products - progress.products)
        x = progress.x + scale * correction
        residual = b - matvec(x)
        size = norm(residual)
        halved = size <= 0.5 * progress.size
        tried = _Progress(x, residual, size, progress.products + cost + 1, halved)
        kept = jax.tree.map(partial(jnp.where, size < progress.size), tried, progress)
        sweeps = jnp.where(halved, 0, cost)
        x, residual = jax.lax.fori_loop(0, sweeps, sweep, (kept.x, kept.residual))
        return _Progress(x, residual, norm(residual), tried.products + sweeps, halved)

    def sweep(_: Int[Array, ""], at: tuple[Vector, Vector]) -> tuple[Vector, Vector]:
        x = at[0] + at[1]
        return x, b - matvec(x)

    start = _Progress(jnp.zeros_like(b), b, norm(b), jnp.asarray(0), jnp.asarray(True))
    end = jax.lax.while_loop(unfinished, advance, start)
    return end.x, end.size, end.products


class _Krylov(NamedTuple):
    """The state of IDR(s) between its cycles: s directions, their images under A, and moments.

    Column k of the moments, the products of the shadows with image k, is zero above row k.
    """

    x: Vector
    residual: Vector
    size: Scalar
    directions: tuple[Vector, ...]
    images: tuple[Vector, ...]
    moments: tuple[Column, ...]
    step: Scalar
    products: Int[Array, ""]


def _correct(
    matvec: Product, norm: Norm, residual: Vector, goal: Scalar, max_products: Int[Array, ""]
) -> tuple[Vector, Int[Array, ""]]:
    """Run IDR(s) from a residual of size one until it is small or goes astray.

    It is updated, not measured, and so believed for half of the float type's digits only.
    """
    (size,) = residual.shape
    dtype = residual.dtype
    count = min(_SHADOWS, size)
    shadows = _signs(count, size, dtype)
    digits = jnp.sqrt(jnp.finfo(dtype).eps)
    nothing = jnp.zeros_like(residual)
    start = _Krylov(
        x=nothing,
        residual=residual,
        size=norm(residual),
        directions=(nothing,) * count,
        images=(nothing,) * count,
        moments=tuple(jnp.eye(count, dtype=dtype)),
        step=jnp.ones((), dtype),
        products=jnp.zeros_like(max_products),
    )

    def unfinished(at: _Krylov) -> Bool[Array, ""]:
        small = at.size <= jnp.maximum(goal, digits)
        sound = (at.size <= 1 / digits) & (jnp.abs(at.step) > 0)  # false of NaN
        return ~small & sound & (at.products < max_products)

    end = jax.lax.while_loop(unfinished, partial(_cycle, matvec, norm, shadows), start)
    return end.x, end.products


def _signs(rows: int, columns: int, dtype: Any) -> Float[Array, "row column"]:
    """Signs without pattern, from a hash of their positions: a generator would cost more."""
    bits = jax.lax.iota(jnp.uint32, rows * columns) + jnp.uint32(1)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        bits = (bits ^ (bits >> jnp.uint32(shift))) * jnp.uint32(factor)
    return jnp.where(bits % jnp.uint32(2) == 0, 1, -1).astype(dtype).reshape(rows, columns)


def _cycle(
    matvec: Product, norm: Norm, shadows: Float[Array, "shadow state"], at: _Krylov
) -> _Krylov:
    """One cycle of IDR(s): s steps biorthogonal to the shadows, then one of minimal residual."""
    count = shadows.shape[0]
    x, residual, step = at.x, at.residual, at.step
    directions, images, moments = list(at.directions), list(at.images), list(at.moments)
    right = shadows @ residual
    for k in range(count):
        mix = _substitute(moments[k:], right, k)
        direction = step * (residual - _combine(mix, images[k:])) + _combine(mix, directions[k:])
        image = matvec(direction)
        moment = shadows @ image
        if k > 0:
            mix = _substitute(moments[:k], moment, 0)
            direction = direction - _combine(mix, directions[:k])
            image = image - _combine(mix, images[:k])
            moment = moment - _combine(mix, moments[:k])
        length = _ratio(right[k], moment[k])
        x, residual, right = (
            x + length * direction,
            residual - length * image,
            right - length * moment,
        )
        directions[k], images[k], moments[k] = direction, image, moment
    image = matvec(residual)
    overlap, square = image @ residual, image @ image
    cosine = jnp.abs(_ratio(overlap, jnp.sqrt(square * (residual @ residual))))
    step = _ratio(overlap, square) * _ratio(jnp.maximum(cosine, _ANGLE), cosine)
    x, residual = x + step * residual, residual - step * image
    return _Krylov(
        x=x,
        residual=residual,
        size=norm(residual),
        directions=tuple(directions),
        images=tuple(images),
        moments=tuple(moments),
        step=step,
        products=at.products + count + 1,
    )


def _substitute(columns: Sequence[Column], right: Column, first: int) -> list[Scalar]:
    """Forward substitution with lower-triangular columns, of which the first starts at a row."""
    solution: list[Scalar] = []
    for row, column in enumerate(columns, start=first):
        solution.append(_ratio(right[row], column[row]))
        right = right - solution[-1] * column
    return solution


def _combine(weights: Sequence[Scalar], vectors: Sequence[Vector]) -> Vector:
    terms = [weight * vector for weight, vector in zip(weights, vectors, strict=True)]
    return functools.reduce(jnp.add, terms)


def _ratio(numerator: Scalar, denominator: Scalar) -> Scalar:
    """A quotient that is 0 where nothing is left to divide by: r = 0 ends a Krylov space."""
    empty = denominator == 0
    return jnp.where(empty, 0, numerator / jnp.where(empty, 1, denominator))
