r"""A convex quadratic function from what it was seen to cost.

Points z_i, known or with a covariance P_i, cost y_i. In coordinates x = (z − μ) / σ with the
points' own means and deviations, the least squares fit of

    E[½ xᵀ H x] + hᵀ x + v,        E[x xᵀ] = x x ᵀ + P_i / (σ σᵀ),

has a ridge penalty on H and h; then H's negative eigenvalues become zero, and h and v are fitted
again to what H leaves. Without noise and with enough points a convex quadratic is found exactly.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops import orthogonal
from rlsuite.ops.lqr.problem import Gaussian, Quadratic


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
    found = _ridge(jnp.concatenate([second[:, rows, columns] * once, x], 1), values, share, ridge)
    upper = jnp.zeros((n, n), x.dtype).at[rows, columns].set(found[0][: len(rows)])
    hessian = orthogonal.positive_part(upper + jnp.triu(upper, 1).T)
    left = values - jnp.einsum("pij,ij->p", second, hessian) / 2
    gradient, constant = _ridge(x, left, share, ridge)
    hessian = hessian / (scale[:, None] * scale)
    gradient = gradient / scale
    constant = constant - gradient @ middle + middle @ hessian @ middle / 2
    return Quadratic(hessian, gradient - hessian @ middle, constant)


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
