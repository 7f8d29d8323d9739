"""Matrix-normal inverse-Wishart laws against scipy, identities, integrals and oracles."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled
from scipy import integrate, stats

from rlsuite.ops import mniw
from rlsuite.ops.mniw import MNIW, Natural, Regression

ROWS, COLUMNS, TIME = 2, 3, 10
STEPS = np.arange(TIME)
X = np.stack([np.sin(STEPS + 1), np.cos(2 * STEPS), 1 / (STEPS + 1)], axis=1)
Y = np.stack([np.sin(0.5 * STEPS), 0.3 * STEPS - np.cos(STEPS)], axis=1)
WEIGHTS = np.asarray([1.0, 2.0, 0.0, 1.0, 1.0, 3.0, 1.0, 0.5, 1.0, 1.0])


def law_of(seed, nu=7.3):
    rng = np.random.default_rng(seed)
    psi, columns = (rng.normal(size=(size, size + 4)) for size in (ROWS, COLUMNS))
    law = psi @ psi.T, nu, rng.normal(size=(ROWS, COLUMNS)), columns @ columns.T / 5
    return MNIW(*law)


def draws_of(law, number):
    """(F, Σ) of scipy."""
    rng = np.random.default_rng(3)
    noise = stats.invwishart.rvs(law.nu, law.psi, number, random_state=rng)
    maps = [
        stats.matrix_normal.rvs(law.mean, one, law.column_covariance, random_state=rng)
        for one in noise
    ]
    return np.stack(maps), noise


def scipy_log_density(law, matrix, covariance):
    return stats.invwishart.logpdf(covariance, law.nu, law.psi) + stats.matrix_normal.logpdf(
        matrix, law.mean, covariance, law.column_covariance
    )


def quantities(q, p, point, x, y, weights):
    """Everything, in one program."""
    eta, data = mniw.to_natural(q), mniw.statistics(x, y, weights)
    now = x[..., 0, :], y[..., 0, :]
    return {
        "natural": eta,
        "moments": mniw.to_moments(eta),
        "statistics": data,
        "posterior": mniw.to_moments(mniw.posterior(eta, data)),
        "step": mniw.natural_step(mniw.to_natural(p), eta, data, 0.25, 4.0),
        "whole_step": mniw.natural_step(mniw.to_natural(p), eta, data, 1.0),
        "expected": mniw.expected(q),
        "log_likelihood": mniw.expected_log_likelihood(q, data),
        "log_normalizer": mniw.log_normalizer(eta),
        "evidence": mniw.evidence(eta, data),
        "log_density": mniw.log_density(q, point),
        "entropy": mniw.entropy(q),
        "kl": mniw.kl(q, p),
        "predictive": mniw.predictive(q, now[0]),
        "predictive_log_density": mniw.predictive_log_density(q, *now),
        "mode": mniw.mode(q),
        "mean": mniw.mean(q),
    }


def of_four(answers):
    names = "entropy", "kl", "log_likelihood", "predictive_log_density"
    return sum(answers[name] for name in names)


@compiled
def gradients(q, p, found):
    """Those of the log-normaliser, of the log density where it peaks, and of four numbers."""

    def total(q):
        likelihood = mniw.expected_log_likelihood(q, found["statistics"])
        numbers = mniw.entropy(q) + mniw.kl(q, p) + likelihood
        return numbers + mniw.predictive_log_density(q, jnp.asarray(X[0]), jnp.asarray(Y[0]))

    at_mode = jax.grad(mniw.log_density, argnums=1)(q, found["mode"])
    return jax.grad(mniw.log_normalizer)(found["natural"]), at_mode, jax.grad(total)(q)


jitted = compiled(quantities)
Q, P = law_of(0), law_of(1, nu=4.1)
MAPS, NOISE = draws_of(Q, 60)
POINT = Regression(MAPS[0], NOISE[0])
ARGUMENTS = (Q, P, POINT, X, Y, WEIGHTS)


def arrays(tree, dtype=float):
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), tree)


@pytest.fixture
def found():
    return jitted(*arrays(ARGUMENTS))


def close(one, other, rtol=1e-10, atol=0.0):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


def flat(statistics):
    """The statistics t of several (F, Σ), or their mean, as vectors."""
    precision, precision_map, quadratic, log_determinant = statistics[:4]
    lead = log_determinant.shape
    parts = (-precision / 2, precision_map, -quadratic / 2, -log_determinant / 2)
    return np.concatenate([np.reshape(part, (*lead, -1)) for part in parts], axis=-1)


def weights_of(expected):
    """Weights of the draws under which t(F, Σ) has its expectation: a quadrature of log densities.

    Log densities are linear in t, so it is exact for them.
    """
    inverse = np.linalg.inv(NOISE)
    columns = inverse @ MAPS, MAPS.mT @ inverse @ MAPS, np.log(np.linalg.det(NOISE))
    system = np.column_stack([flat((inverse, *columns)), np.ones(len(NOISE))])
    weights = np.linalg.lstsq(system.T, np.append(flat(expected), 1.0))[0]
    np.testing.assert_allclose(weights @ system, np.append(flat(expected), 1.0), rtol=1e-9)
    return weights


def test_the_log_density_is_scipys(found):
    np.testing.assert_allclose(found["log_density"], scipy_log_density(Q, *POINT), rtol=1e-12)


def test_the_log_normalizers_gradient_is_the_expected_statistics(found):
    gradient = gradients(arrays(Q), arrays(P), found)[0]
    parts = [np.ravel(part) for part in (gradient.yy, gradient.yx, gradient.xx, gradient.pairs)]
    np.testing.assert_allclose(np.concatenate(parts), flat(found["expected"]), rtol=1e-11)


def test_what_is_not_known_of_the_maps_follows_from_the_other_expectations(found):
    _, _, quadratic, _, spread = found["expected"]
    solved = np.linalg.solve(found["expected"].precision, found["expected"].precision_map)
    follows = quadratic - np.asarray(found["expected"].precision_map).T @ solved
    np.testing.assert_allclose(spread, follows, rtol=1e-9)


def test_entropy_divergence_and_likelihood_are_expectations(found):
    weights = weights_of(found["expected"])
    own = np.asarray([scipy_log_density(Q, *draw) for draw in zip(MAPS, NOISE, strict=True)])
    other = np.asarray([scipy_log_density(P, *draw) for draw in zip(MAPS, NOISE, strict=True)])
    likelihoods = [
        WEIGHTS @ stats.multivariate_normal.logpdf(Y - X @ matrix.T, cov=covariance)
        for matrix, covariance in zip(MAPS, NOISE, strict=True)
    ]
    np.testing.assert_allclose(found["entropy"], -weights @ own, rtol=1e-9)
    np.testing.assert_allclose(found["kl"], weights @ (own - other), rtol=1e-9)
    np.testing.assert_allclose(found["log_likelihood"], weights @ likelihoods, rtol=1e-9)


def test_the_divergence_is_the_integral_for_single_numbers():
    q, p = (
        MNIW(*(np.asarray(number) for number in ([[1.3]], 3.5, [[0.4]], [[0.7]]))),
        MNIW(*(np.asarray(number) for number in ([[2.1]], 2.2, [[-0.5]], [[1.9]]))),
    )
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(6)
    node_weights = node_weights / node_weights.sum()

    def log_density(law, matrix, variance):
        psi, nu, mean, column = (np.asarray(field).item() for field in law)
        noise = stats.invgamma.logpdf(variance, nu / 2, scale=psi / 2)
        return noise + stats.norm.logpdf(matrix, mean, np.sqrt(variance * column))

    def integrand(log_variance):
        variance = np.exp(log_variance)
        matrices = 0.4 + np.sqrt(0.7 * variance) * nodes
        ratios = log_density(q, matrices, variance) - log_density(p, matrices, variance)
        return (
            node_weights @ ratios * stats.invgamma.pdf(variance, 1.75, scale=0.65) * variance
        )  # The last factor is that of the change of variables.

    wanted = integrate.quad(integrand, -8, 25, epsabs=1e-12, epsrel=1e-11, limit=200)[0]
    np.testing.assert_allclose(jax.jit(mniw.kl)(q, p), wanted, rtol=1e-9)


def test_divergences_are_positive_and_zero_between_equals():
    laws = [law_of(seed, nu) for seed, nu in enumerate([1.2, 3.0, 9.5, 40.0])]
    stack = jax.tree.map(lambda *leaves: np.stack(leaves), *arrays(laws))
    rows, columns = np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4)
    pairs = (jax.tree.map(lambda leaf, at=at: leaf[at], stack) for at in (rows, columns))
    table = np.asarray(jax.jit(mniw.kl)(*pairs)).reshape(4, 4)
    np.testing.assert_allclose(np.diag(table), 0.0, atol=1e-11)
    assert (table[~np.eye(4, dtype=bool)] > 0.1).all()


def natural_of(law):
    inverse = np.linalg.inv(law.column_covariance)
    yy = law.psi + law.mean @ inverse @ law.mean.T
    return Natural(yy, law.mean @ inverse, inverse, law.nu + ROWS + COLUMNS + 1)


def test_parameters_go_round(found):
    close(found["natural"], natural_of(Q))
    close(found["moments"], arrays(Q))


def regression(law, x, y, weights):
    """The posterior as textbooks have it, of residuals."""
    before = np.linalg.inv(law.column_covariance)
    columns = np.linalg.inv(before + (weights * x.T) @ x)
    mean = (law.mean @ before + (weights * y.T) @ x) @ columns
    left, apart = y - x @ mean.T, mean - law.mean
    psi = law.psi + (weights * left.T) @ left + apart @ before @ apart.T
    return MNIW(psi, law.nu + weights.sum(), mean, columns)


def test_the_posterior_is_bayesian_regression(found):
    close(found["posterior"], regression(Q, X, Y, WEIGHTS))


def test_a_whole_natural_step_is_the_posterior_and_a_part_mixes(found):
    prior, data = (jax.tree.map(np.asarray, found[name]) for name in ("natural", "statistics"))
    close(found["whole_step"], jax.tree.map(np.add, prior, data), rtol=1e-14)
    wanted = jax.tree.map(
        lambda now, before, new: 0.75 * now + 0.25 * (before + 4 * new), natural_of(P), prior, data
    )
    close(found["step"], wanted, rtol=1e-12)


def test_statistics_are_weighted_sums(found):
    wanted = [np.einsum("t,ti,tj->ij", WEIGHTS, a, b) for a, b in ((Y, Y), (Y, X), (X, X))]
    close(found["statistics"], Natural(*wanted, WEIGHTS.sum()), rtol=1e-13)
    spread = np.linspace(0.1, 1.0, TIME)[:, None, None] * np.eye(COLUMNS)
    outer = [a[:, :, None] * b[:, None, :] for a, b in ((Y, Y), (Y, X), (X, X))]
    outer[2] = outer[2] + spread
    expected_statistics = compiled(mniw.expected_statistics)
    more = expected_statistics(*arrays(outer), WEIGHTS)
    wanted[2] = wanted[2] + np.einsum("t,tij->ij", WEIGHTS, spread)
    close(more, Natural(*wanted, WEIGHTS.sum()), rtol=1e-13)
    plain = compiled(mniw.statistics)(*arrays((X, Y)))
    likewise = expected_statistics(*arrays(outer))
    np.testing.assert_allclose(plain.yx, likewise.yx, rtol=1e-13)
    assert plain.pairs == likewise.pairs == TIME


@compiled
def sequential(x, y):
    """The evidence, the predictive densities of each y given those before, and the last law."""
    eta = mniw.to_natural(mniw.prior(ROWS, COLUMNS - ROWS))
    each = mniw.statistics(x[:, None], y[:, None])
    before = jax.tree.map(lambda start, one: start + jnp.cumsum(one, axis=0) - one, eta, each)
    each_log_density = mniw.predictive_log_density(mniw.to_moments(before), x, y)
    data = mniw.statistics(x, y)
    last = mniw.to_moments(mniw.posterior(eta, data))
    return mniw.evidence(eta, data), each_log_density, last


def test_the_evidence_is_the_oracles_and_the_product_of_predictive_densities():
    evidence, each, last = sequential(*arrays((X, Y)))
    np.testing.assert_allclose(evidence, -38.957146753651, rtol=1e-12)
    np.testing.assert_allclose(
        last.psi[[0, 0, 1], [0, 1, 1]],
        [7.380146547899, -1.62459533342, 32.106881863825],
        rtol=1e-12,
    )
    np.testing.assert_allclose(np.sum(each), evidence, rtol=1e-12)


def test_the_evidence_is_a_bound_that_the_posterior_attains(found):
    posterior, data = found["posterior"], found["statistics"]

    @compiled
    def bound_of(law, prior, data):
        return mniw.expected_log_likelihood(law, data) - mniw.kl(law, prior)

    def bound(law):
        return bound_of(law, arrays(Q), data)

    np.testing.assert_allclose(bound(posterior), found["evidence"], rtol=1e-12)
    assert bound(posterior._replace(mean=1.1 * posterior.mean)) < found["evidence"] - 1e-3
    assert bound(posterior._replace(nu=posterior.nu + 2)) < found["evidence"] - 1e-3


def test_the_predictive_law_is_scipys_t(found):
    degrees = Q.nu - ROWS + 1
    scale = Q.psi * (1 + X[0] @ Q.column_covariance @ X[0]) / degrees
    wanted = stats.multivariate_t.logpdf(Y[0], Q.mean @ X[0], scale, degrees)
    close(found["predictive"], mniw.StudentT(degrees, Q.mean @ X[0], scale), rtol=1e-13)
    np.testing.assert_allclose(found["predictive_log_density"], wanted, rtol=1e-12)


def test_mode_and_mean(found):
    gradient = gradients(arrays(Q), arrays(P), found)[1]
    close(gradient, arrays(jax.tree.map(np.zeros_like, POINT)), atol=1e-11)
    wanted = stats.invwishart.mean(Q.nu, Q.psi)
    close(found["mean"], Regression(Q.mean, wanted), rtol=1e-13)
    assert np.isnan(jax.jit(mniw.mean)(arrays(law_of(0, nu=3.0))).covariance).all()


DRAWS = 20_000


@compiled
def drawn(stack):
    """Draws, and how they change as Ψ is scaled and M is shifted."""

    def draw(psi, mean):
        return mniw.sample(jax.random.key(0), stack._replace(psi=psi, mean=mean), (DRAWS,))

    return jax.jvp(draw, (stack.psi, stack.mean), (stack.psi, jnp.ones_like(stack.mean)))


@pytest.fixture
def stack():
    laws = law_of(0, nu=9.3), law_of(1, nu=6.0)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *arrays(laws))


def test_draws_have_the_expected_statistics(stack):
    maps, noise = drawn(stack)[0]
    assert maps.shape == (DRAWS, 2, ROWS, COLUMNS)
    inverse = np.linalg.inv(noise)
    each = inverse, inverse @ maps, maps.mT @ inverse @ maps, np.linalg.slogdet(noise)[1]
    seen = np.concatenate([flat(each), noise.reshape(DRAWS, 2, -1), maps[..., 0]], axis=-1)
    expected, means = compiled(lambda law: (mniw.expected(law), mniw.mean(law)))(stack)
    moments = flat(expected), means.covariance.reshape(2, -1), means.matrix[..., 0]
    error = np.abs(seen.mean(axis=0) - np.concatenate(moments, axis=-1))
    np.testing.assert_array_less(error, 4 * seen.std(axis=0) / np.sqrt(DRAWS))


def test_draws_carry_gradients(stack):
    now, change = drawn(stack)
    close(change.covariance, now.covariance)  # With Ψ grows Σ.
    close(change.matrix, 1 + (now.matrix - stack.mean) / 2, atol=1e-12)


def test_batches_are_loops():
    many = [
        (law_of(seed, 5.0 + seed), law_of(seed + 3), POINT, seed + X, Y - seed, WEIGHTS + seed)
        for seed in range(4)
    ]
    many = [jax.tree.map(np.asarray, one) for one in many]
    table = jax.tree.map(lambda *leaves: np.stack(leaves).reshape(2, 2, *leaves[0].shape), *many)
    loop = jax.tree.map(lambda *leaves: np.stack(leaves), *[jitted(*arrays(one)) for one in many])
    # The first axis is of vmap, the second of the law.
    found = compiled(jax.vmap(quantities))(*table)
    close(jax.tree.map(lambda leaf: leaf.reshape(4, *leaf.shape[2:]), found), loop, rtol=1e-9)


def test_gradients_are_differences(found):
    ahead = MNIW(np.asarray([[0.2, -0.1], [-0.1, 0.3]]), 0.4, np.ones((ROWS, COLUMNS)), np.eye(3))
    law, ahead = arrays((Q, ahead))

    def difference(step):
        after, before = (
            jitted(jax.tree.map(lambda x, dx, h=h: x + h * dx, law, ahead), *arrays(ARGUMENTS[1:]))
            for h in (step, -step)
        )
        return (of_four(after) - of_four(before)) / 2 / step

    gradient = gradients(law, arrays(P), found)[2]
    slope = sum(np.sum(a * b) for a, b in zip(gradient, ahead, strict=True))
    wanted = (4 * difference(5e-4) - difference(1e-3)) / 3
    np.testing.assert_allclose(slope, wanted, rtol=1e-8)


def test_single_precision(found):
    single = jitted(*arrays(ARGUMENTS, np.float32))
    for one, other in zip(jax.tree.leaves(single), jax.tree.leaves(found), strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


@pytest.mark.parametrize(("state_size", "input_size"), [(1, 0), (2, 3)])
def test_the_prior_is_that_of_the_release(state_size, input_size):
    changed = {"psi": 0.5, "nu": 4.5, "column_variance": 3.0}
    law, other = compiled(
        lambda: [mniw.prior(state_size, input_size, **each) for each in ({}, changed)]
    )()
    size = state_size + input_size
    wanted = 2 * np.eye(state_size), state_size + 2, np.eye(state_size, size), np.eye(size)
    close(law, MNIW(*wanted))
    close(other, MNIW(wanted[0] / 4, 4.5, wanted[2], 3 * wanted[3]))


def test_input_is_checked(found):
    law, eta = jax.device_put((arrays(Q), found["natural"]))
    with pytest.raises(ValueError, match=r"nu is 1\.0; allowed: above 1"):
        mniw.expected(law._replace(nu=jnp.asarray(1.0)))
    with pytest.raises(ValueError, match=r"nu is 3\.0; allowed: above 3"):
        mniw.mean(law._replace(nu=jnp.asarray(3.0)))
    with pytest.raises(ValueError, match=r"psi has the shape \(3, 3\); allowed: \(2, 2\)"):
        mniw.entropy(law._replace(psi=jnp.eye(3)))
    with pytest.raises(ValueError, match=r"column_covariance has the shape \(2, 2\); allowed"):
        mniw.to_natural(law._replace(column_covariance=jnp.eye(2)))
    with pytest.raises(ValueError, match=r"mean has the shape \(3,\); allowed: at least two"):
        mniw.mode(law._replace(mean=jnp.ones(3)))
    with pytest.raises(ValueError, match=r"pairs has the shape \(1,\); allowed: \(\)"):
        mniw.to_moments(eta._replace(pairs=jnp.ones(1)))
    with pytest.raises(ValueError, match=r"p\.mean has the shape \(1, 1\); allowed: \(2, 3\)"):
        mniw.kl(law, mniw.prior(1, 0))
    with pytest.raises(ValueError, match=r"statistics\.yy has the shape \(1, 1\)"):
        mniw.posterior(eta, eta._replace(yy=jnp.ones((1, 1))))
    with pytest.raises(ValueError, match=r"statistics\.xx has the shape \(1, 1\)"):
        jax.eval_shape(mniw.expected_log_likelihood, law, eta._replace(xx=jnp.ones((1, 1))))
    with pytest.raises(ValueError, match=r"prior\.pairs has the shape \(1,\)"):
        mniw.natural_step(eta, eta._replace(pairs=jnp.ones(1)), eta, 0.5)
    with pytest.raises(ValueError, match=r"rate is 1\.5; allowed: from 0 to 1"):
        mniw.natural_step(eta, eta, eta, 1.5)
    with pytest.raises(ValueError, match=r"scale is 0\.0; allowed: above 0"):
        mniw.natural_step(eta, eta, eta, 0.5, 0.0)
    with pytest.raises(ValueError, match=r"matrix has the shape \(2, 2\); allowed: \(2, 3\)"):
        mniw.log_density(law, Regression(law.psi, law.psi))
    with pytest.raises(ValueError, match=r"x has the shape \(2,\); allowed: \(3,\)"):
        mniw.predictive(law, jnp.ones(2))
    with pytest.raises(ValueError, match=r"y has the shape \(1,\); allowed: \(2,\)"):
        jax.eval_shape(mniw.predictive_log_density, law, jnp.ones(3), jnp.ones(1))
    with pytest.raises(ValueError, match=r"y has the shape \(4, 2\); allowed: \(5, 2\)"):
        inspect.unwrap(mniw.statistics)(jnp.ones((5, 3)), jnp.ones((4, 2)))
    with pytest.raises(ValueError, match=r"xx has the shape \(5, 2, 2\); allowed: \(5, 3, 3\)"):
        inspect.unwrap(mniw.expected_statistics)(*(jnp.ones((5, 2, m)) for m in (2, 3, 2)))


def test_priors_are_checked():
    for wrong in ({"psi": 0.0}, {"column_variance": -1.0}, {"nu": 0.0}):
        ((name, value),) = wrong.items()
        with pytest.raises(ValueError, match=rf"{name} is {value}; allowed: above 0"):
            mniw.prior(1, 1, **wrong)
    with pytest.raises(ValueError, match="state_size is 0 and input_size is 2; allowed: at least"):
        mniw.prior(0, 2)
