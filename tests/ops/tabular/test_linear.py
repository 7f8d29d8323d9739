import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.ops.tabular import linear

N = 40


def kernels():
    """Stochastic matrices on which some Krylov method or other breaks down."""
    rng = np.random.default_rng(0)
    chain = np.eye(N, k=1)
    absorbing = chain.copy()
    absorbing[-1, -1] = 1
    stars = np.zeros((N, N))
    stars[:, 0] = 1
    return {
        "random": rng.dirichlet(np.full(N, 0.1), size=N),
        "cycle": np.roll(np.eye(N), 1, axis=1),
        "permutation": np.eye(N)[rng.permutation(N)],
        "nilpotent chain": chain,
        "absorbed chain": absorbing,
        "one centre": stars,
        "identity": np.eye(N),
        "nothing": np.zeros((N, N)),
    }


@functools.partial(jax.jit, static_argnames="transposed")
def solve(chain, discount, b, transposed):
    matrix = jnp.eye(len(b), dtype=b.dtype) - discount * chain
    matrix = matrix.T if transposed else matrix
    return linear.solve(lambda x: matrix @ x, b, transposed=transposed, tolerance=1e-13)


@pytest.mark.parametrize("discount", [0.5, 0.99, 0.9999])
@pytest.mark.parametrize("transposed", [False, True])
def test_solutions_equal_dense_ones(transposed, discount):
    rng = np.random.default_rng(1)
    for name, chain in kernels().items():
        matrix = np.eye(N) - discount * chain
        matrix = matrix.T if transposed else matrix
        for b in (rng.normal(size=N), np.eye(N)[-1], np.zeros(N)):
            x = solve(jnp.asarray(chain), jnp.asarray(discount), jnp.asarray(b), transposed)
            expected = np.linalg.solve(matrix, b)
            scale = np.max(np.abs(expected)) + 1e-300
            error = np.max(np.abs(x - expected)) / scale
            assert error <= 1e-12 / (1 - discount), (name, error)


def test_float32_ends_at_its_rounding():
    for chain in kernels().values():
        chain, b = jnp.asarray(chain, jnp.float32), jnp.ones(N, jnp.float32)
        x = solve(chain, jnp.asarray(0.999, jnp.float32), b, False)
        assert x.dtype == jnp.float32
        residual = np.asarray(b) - (np.asarray(x) - np.float32(0.999) * np.asarray(chain @ x))
        assert np.max(np.abs(residual)) <= 200 * np.finfo(np.float32).eps * np.max(np.abs(x))


def test_the_count_of_products_is_true_and_bounds_the_work():
    chain = jnp.asarray(kernels()["cycle"])
    b = jnp.asarray(np.random.default_rng(0).normal(size=N))
    counted = []

    def matvec(x):
        jax.debug.callback(lambda: counted.append(1))
        return x - 0.9999 * chain @ x

    x, size, products = linear.iterative_solve(
        matvec, b, norm=linear.sup_norm, target=jnp.asarray(1e-12), max_products=20
    )
    jax.effects_barrier()
    assert len(counted) == products
    assert 20 <= products <= 50  # a round ends after its cycle and may be doubled by sweeps
    np.testing.assert_allclose(size, np.max(np.abs(b - (x - 0.9999 * chain @ x))), rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2])
def test_systems_smaller_than_the_number_of_shadows(size):
    chain = np.random.default_rng(0).dirichlet(np.ones(size), size=size)
    b = np.arange(1.0, size + 1)
    expected = np.linalg.solve(np.eye(size) - 0.9 * chain, b)
    x = solve(jnp.asarray(chain), jnp.asarray(0.9), jnp.asarray(b), False)
    np.testing.assert_allclose(x, expected, rtol=1e-11)


def test_vmap_and_gradients():
    rng = np.random.default_rng(0)
    chain = jnp.asarray(rng.dirichlet(np.ones(5), size=5))
    b = jnp.asarray(rng.normal(size=5))

    def iterative(discount, b):
        return jnp.sum(solve(chain, discount, b, False) ** 2)

    def direct(discount, b):
        return jnp.sum(jnp.linalg.solve(jnp.eye(5) - discount * chain, b) ** 2)

    discounts = jnp.array([0.1, 0.5, 0.9])
    ours, theirs = (
        jax.vmap(jax.grad(function, argnums=(0, 1)), in_axes=(0, None))(discounts, b)
        for function in (iterative, direct)
    )
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-10)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-10)


@pytest.mark.parametrize("scale", [1e-150, 1e-250, 1e150])
def test_a_solve_scales_with_its_right_side(scale):
    """Squares of small residuals underflow; a solver that forms them never ends."""
    chain, b = kernels()["random"], np.random.default_rng(0).normal(size=N)
    x = solve(jnp.asarray(chain), jnp.asarray(0.9), jnp.asarray(scale * b), False)
    expected = np.linalg.solve(np.eye(N) - 0.9 * chain, b)
    np.testing.assert_allclose(x / scale, expected, rtol=1e-10)


def test_a_target_of_zero_ends_at_rounding():
    chain, b = jnp.asarray(kernels()["random"]), jnp.asarray(1e-150 * np.arange(1.0, N + 1))
    x, size, products = linear.iterative_solve(
        lambda x: x - 0.9 * chain @ x, b, norm=linear.sup_norm, target=jnp.asarray(0.0)
    )
    assert size <= 20 * np.finfo(np.float64).eps * jnp.max(jnp.abs(x))
    assert products < 1000
