r"""A convex quadratic function from what it was seen to cost.

Points z_i, known or with a covariance P_i, cost y_i. In coordinates x = (z − μ) / σ with the
points' own means and deviations, the least squares fit of

    E[½ xᵀ H x] + hᵀ x + v,        E[x xᵀ] = x x ᵀ + P_i / (σ σᵀ),

has a ridge penalty on H and h. Where its H is not positive semidefinite, the best one that is is
sought by alternating directions: with f(H, h) the penalised squares,

    (H, h) ← argmin f + ρ/2 ‖H − Z + U‖²,    Z ← (H + U)₊,    U ← U + H − Z,

ρ being the mean curvature of f in H. To drop negative eigenvalues alone would leave the positive
ones as large as they were to make up for them. In the end h and v are fitted again to what H
leaves. Without noise and with enough points a convex quadratic is found exactly.

Reference:
    Boyd, Parikh, Chu, Peleato, Eckstein: Distributed optimization and statistical learning via the
    alternating direction method of multipliers. Foundations and Trends in ML 3, 2011, section 3.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops import orthogonal, positive_definite
from rlsuite.ops.lqr.problem import Gaussian, Quadratic, evaluate


def fit_quadratic(
    points: Gaussian,
    values: Float[Array, " points"],
    *,
    ridge: float | Float[Array, ""] = 1e-6,
    weights: Float[Array, " same"] | None = None,
) -> Quadratic:
    """The convex quadratic function closest to what was seen.

    Args:
        points: z_i and P_i, ``[points n]`` and ``[points n n]``.
        values: y_i.
        ridge: The penalty, as a share of the weight of all points.
        weights: How much each point counts, not negative; None: all the same.

    Returns:
        H, positive semidefinite, h and v.

    Raises:
        ValueError: If shapes do not fit.

    Example:
        >>> import jax
        >>> z = jax.random.normal(jax.random.key(0), (20, 2))
        >>> y = jnp.sum(z**2, axis=1) + z[:, 0] + 3
        >>> found = fit_quadratic(Gaussian(z, jnp.zeros((20, 2, 2))), y)
        >>> bool(jnp.allclose(found.hessian, 2 * jnp.eye(2), atol=1e-2))
        True
        >>> bool(jnp.allclose(found.gradient, jnp.array([1.0, 0.0]), atol=1e-2))
        True
    """
    count, n = points.mean.shape
    for name, value, shape in (
        ("points.covariance", points.covariance, (count, n, n)),
        ("values", values, (count,)),
        *([] if weights is None else [("weights", weights, (count,))]),
    ):
        if value.shape != shape:
            raise ValueError(f"{name} has shape {value.shape}; allowed: {shape}")
    share = jnp.ones(count, values.dtype) if weights is None else weights
    share = share / jnp.sum(share)
    middle = share @ points.mean
    apart = points.mean - middle
    scale = jnp.sqrt(share @ (jnp.square(apart) + jnp.diagonal(points.covariance, 0, 1, 2)))
    scale = jnp.where(scale > 0, scale, 1)
    x = apart / scale
    second = x[:, :, None] * x[:, None, :] + points.covariance / (scale[:, None] * scale)
    rows, columns = jnp.triu_indices(n)
    once = jnp.where(rows == columns, 0.5, 1.0).astype(x.dtype)
    features = jnp.concatenate([second[:, rows, columns] * once, x], axis=1)
    found, _ = _ridge(features, values, share, ridge)
    hessian = _symmetric(found[: len(rows)], n)
    concave = jnp.sum(jnp.abs(hessian - orthogonal.positive_part(hessian)))
    small = jnp.sqrt(jnp.finfo(x.dtype).eps) * jnp.sum(jnp.abs(hessian))
    hessian = jax.lax.cond(
        concave > small,
        lambda: _convex(features, values, share, ridge, hessian),
        lambda: orthogonal.positive_part(hessian),
    )
    left = values - jnp.einsum("pij,ij->p", second, hessian) / 2
    gradient, constant = _ridge(x, left, share, ridge)
    hessian = hessian / (scale[:, None] * scale)
    gradient = gradient / scale
    constant = constant - gradient @ middle + middle @ hessian @ middle / 2
    return Quadratic(hessian, gradient - hessian @ middle, constant)


def fit_slopes(
    cost: Quadratic,
    points: Gaussian,
    values: Float[Array, "episode steps"],
    *,
    strength: float | Float[Array, ""] = 4.0,
    near: int = 1,
) -> Quadratic:
    r"""The same curvature at each step, with the slope and the level that were paid around it.

    Of what the cost does not explain, r_i = y_i − E cost(z_i), at the points of all episodes at the
    steps t − near … t + near, whose mean is m and covariance D_t,

        (g, v) ← argmin Σ_i (r_i − v − gᵀ (z_i − m))² + strength · gᵀ D̄ g,

    D̄ being the mean of D_t over the steps. Where one quadratic function cannot fit the costs along
    a path, its slope at each step still can.

    Args:
        cost: For all steps.
        points: z, ``[episode steps n]``, and its covariances.
        values: y.
        strength: How many points say that the cost is right as it is.
        near: How many steps before and after count, too.

    Returns:
        A cost for each step.

    Raises:
        ValueError: If shapes do not fit.

    Example:
        >>> import jax
        >>> z = 3.0 + 0.1 * jax.random.normal(jax.random.key(0), (50, 2, 1))
        >>> flat = Quadratic(jnp.zeros((1, 1)), jnp.zeros(1), jnp.zeros(()))
        >>> sure = Gaussian(z, jnp.zeros((50, 2, 1, 1)))
        >>> found = fit_slopes(flat, sure, z[..., 0] ** 2, strength=0.0)
        >>> bool(jnp.all(jnp.abs(found.gradient - 6.0) < 0.1))
        True
    """
    count, steps, n = points.mean.shape
    for name, value, shape in (
        ("points.covariance", points.covariance, (count, steps, n, n)),
        ("values", values, (count, steps)),
    ):
        if value.shape != shape:
            raise ValueError(f"{name} has shape {value.shape}; allowed: {shape}")
    blurred = jnp.einsum("ij,etij->et", cost.hessian, points.covariance) / 2
    left = values - evaluate(cost, points.mean) - blurred
    times = jnp.arange(steps)
    close = (jnp.abs(times[:, None] - times) <= near).astype(values.dtype)

    def around(close: Float[Array, " steps"]) -> tuple[Array, ...]:
        share = jnp.broadcast_to(close, (count, steps))
        total = jnp.sum(share)
        middle = jnp.einsum("et,etn->n", share, points.mean) / total
        level = jnp.sum(share * left) / total
        apart = (points.mean - middle) * share[..., None]
        second = jnp.einsum("eti,etj->ij", apart, points.mean - middle)
        return middle, level, second, jnp.einsum("etn,et->n", apart, left - level), total

    middle, level, second, along, total = jax.vmap(around)(close)
    usual = jnp.mean(second / total[:, None, None], axis=0)
    small = jnp.finfo(values.dtype).eps * jnp.trace(usual) * jnp.eye(n, dtype=values.dtype)
    held = second + strength * usual + total[:, None, None] * small
    slope = positive_definite.solve(positive_definite.cholesky(held), along[..., None])[..., 0]
    return Quadratic(
        jnp.broadcast_to(cost.hessian, (steps, n, n)),
        cost.gradient + slope,
        cost.constant + level - jnp.sum(slope * middle, axis=-1),
    )


def _symmetric(once: Float[Array, " k"], n: int) -> Float[Array, "n n"]:
    """A matrix by its upper triangle, row by row."""
    upper = jnp.zeros((n, n), once.dtype).at[jnp.triu_indices(n)].set(once)
    return upper + jnp.triu(upper, 1).T


def _convex(
    features: Float[Array, "points k"],
    values: Float[Array, " points"],
    share: Float[Array, " points"],
    ridge: float | Float[Array, ""],
    start: Float[Array, "n n"],
    iterations: int = 100,
) -> Float[Array, "n n"]:
    """The H of the best convex fit, from that of the best one."""
    n = len(start)
    upper = jnp.triu_indices(n)
    apart, wanted = features - share @ features, values - share @ values
    gram = apart.T @ (share[:, None] * apart) + ridge * jnp.eye(features.shape[1])
    right = apart.T @ (share * wanted)
    count = len(upper[0])
    # ‖H‖² has each number beside the diagonal twice.
    twice = jnp.where(upper[0] == upper[1], 1.0, 2.0).astype(gram.dtype)
    weight = jnp.pad(twice * jnp.mean(jnp.diagonal(gram)[:count]), (0, len(right) - count))
    basis, triangle = orthogonal.decompose(gram + jnp.diag(weight))

    def turn(_: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        near, dual = now
        aim = jnp.pad((near - dual)[upper], (0, len(right) - count))
        found = orthogonal.solve_upper(triangle, basis.T @ (right + weight * aim))
        hessian = _symmetric(found[:count], n)
        near = orthogonal.positive_part(hessian + dual)
        return near, dual + hessian - near

    begin = orthogonal.positive_part(start), jnp.zeros_like(start)
    return jax.lax.fori_loop(0, iterations, turn, begin)[0]


def _ridge(
    features: Float[Array, "points k"],
    values: Float[Array, " points"],
    share: Float[Array, " points"],
    ridge: float | Float[Array, ""],
) -> tuple[Float[Array, " k"], Float[Array, ""]]:
    """Coefficients, and a constant that is not penalised.

    By an orthogonal decomposition: the matrix of products of features, which are alike where points
    are few, would lose twice as many digits.
    """
    middle, mean = share @ features, share @ values
    root, penalty = jnp.sqrt(share), jnp.sqrt(jnp.asarray(ridge, features.dtype))
    held = penalty * jnp.eye(features.shape[1], dtype=features.dtype)
    rows = jnp.concatenate([root[:, None] * (features - middle), held])
    right = jnp.concatenate([root * (values - mean), jnp.zeros(len(held), values.dtype)])
    basis, upper = orthogonal.decompose(rows)
    found = orthogonal.solve_upper(upper, basis.T @ right)
    return found, mean - found @ middle
