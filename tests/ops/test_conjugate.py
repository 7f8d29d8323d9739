"""Conjugate models against integrals over the prior, and divergences against quadrature."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from rlsuite.ops.conjugate import (
    BERNOULLI,
    LOMAX,
    NORMAL,
    STUDENT,
    BetaBernoulli,
    DirichletCategorical,
    GammaExponential,
    HiddenMarkov,
    Model,
    Normal,
    NormalGamma,
    categorical,
    walk,
)

CHAIN = HiddenMarkov.of_laws(
    np.asarray([[0.5, 0.5], [0.2, 0.8]]),
    np.asarray([[[0.9, 0.1], [0.3, 0.7]], [[0.5, 0.5], [0.1, 0.9]]]),
    np.asarray([[[0.8, 0.1, 0.1], [0.2, 0.2, 0.6]], [[0.1, 0.1, 0.8], [0.3, 0.6, 0.1]]]),
)
MODELS = {
    "coin": (BetaBernoulli(0.7, 2.5), np.array([1, 0, 0, 1, 1])),
    "die": (DirichletCategorical(np.array([0.5, 1.0, 2.5])), np.array([2, 0, 0, 1, 2])),
    "waiting": (GammaExponential(2.5, 1.5), np.array([0.3, 2.0, 0.7, 5.0])),
    "normal": (Normal(0.4, 0.8, 1.3), np.array([0.3, -2.0, 0.7, 1.0])),
    "student": (NormalGamma(0.4, 0.8, 2.2, 1.3), np.array([0.3, -2.0, 0.7, 1.0])),
    "chain": (CHAIN, np.array([2, 0, 0, 1, 2])),
}


compiled = jax.jit(walk)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)


def exactly(one, other, tolerance=1e-10):
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def evidence(name, x):
    """P(x_1 … x_n) as an integral over the law, or a sum over all that may be hidden."""
    model = MODELS[name][0]
    if name == "coin":
        # θ = sin² φ takes the prior's singularities away.
        angle, weight = (np.pi / 4 * y for y in (NODES + 1, WEIGHTS))
        chance, ones = np.sin(angle) ** 2, np.sum(x)
        likelihood = chance**ones * (1 - chance) ** (len(x) - ones) * np.sin(2 * angle)
        return np.sum(weight * likelihood * stats.beta(model.alpha, model.beta).pdf(chance))
    if name == "waiting":
        root, weight = (np.sqrt(60) / 2 * y for y in (NODES + 1, WEIGHTS))
        prior = stats.gamma(model.shape, scale=1 / model.rate).pdf(root**2)
        likelihood = root ** (2 * len(x)) * np.exp(-(root**2) * np.sum(x))
        return np.sum(weight * 2 * root * prior * likelihood)
    if name == "normal":
        cov = model.deviation**2 * np.eye(len(x)) + 1 / model.precision
        return stats.multivariate_normal(np.full(len(x), model.mean), cov).pdf(x)
    if name == "student":
        shape = model.rate / model.shape * (np.eye(len(x)) + 1 / model.count)
        return stats.multivariate_t(np.full(len(x), model.mean), shape, df=2 * model.shape).pdf(x)
    if name == "chain":
        start, move, show = map(np.asarray, (model.start, model.transition, model.emission))
        total = 0.0
        for path in itertools.product(range(4), repeat=len(x)):
            chance = start[path[0]] * np.prod(move[path[:-1], path[1:]])
            total += chance * np.prod(show[path, x])
        return total
    return (
        np.exp(
            stats.dirichlet_multinomial(model.concentration, len(x)).logpmf(
                np.bincount(x, minlength=3)
            )
        )
        / stats.multinomial(len(x), np.full(3, 1 / 3)).pmf(np.bincount(x, minlength=3))
        / 3 ** len(x)
    )


@pytest.mark.parametrize("name", MODELS)
def test_predictions_are_ratios_of_evidence(name):
    model, x = MODELS[name]
    assert isinstance(model, Model)
    heads, statistics = compiled(model, jnp.asarray(x))
    found = model.family.log_density(heads, jnp.asarray(x))
    shares = [evidence(name, x[: n + 1]) / (evidence(name, x[:n]) if n else 1.0) for n in range(4)]
    exactly(np.exp(found[:4]), shares)
    assert heads.shape == (len(x), model.family.size)
    assert statistics.shape == (len(x) + 1, *model.initial.shape)


@pytest.mark.parametrize("name", MODELS)
def test_leading_axes_are_batches(name):
    model, x = MODELS[name]
    many = jnp.stack([jnp.asarray(x), jnp.asarray(x)[::-1]], axis=1)
    heads, _ = compiled(model, many)
    for index in range(2):
        exactly(heads[:, index], compiled(model, many[:, index])[0])
    assert model.encode(many).shape[:2] == many.shape


@pytest.mark.parametrize("name", MODELS)
def test_samples_are_as_likely_as_predicted(name):
    """Of classes each history comes as often as predicted; of numbers the last one's quantiles."""
    model, _ = MODELS[name]
    sample = jax.jit(jax.vmap(lambda key: model.sample(key, 3)))
    x = sample(jax.random.split(jax.random.key(0), 4000))
    last = np.asarray(x[:, -1])
    heads, _ = compiled(model, x.T)
    if model.outcomes is not None:
        for symbol in range(model.outcomes):
            chances = np.exp(model.family.log_density(heads[-1], jnp.full(len(x), symbol)))
            error = np.mean(last == symbol) - np.mean(chances)
            assert abs(error) < 4 * 0.5 / np.sqrt(len(x))
        histories = np.array(list(itertools.product(range(model.outcomes), repeat=3)))
        counted = np.mean(np.all(np.asarray(x)[:, None] == histories, axis=-1), axis=0)
        expected = np.array([evidence(name, history) for history in histories])
        assert np.all(np.abs(counted - expected) < 4 * np.sqrt(expected / len(x)))
        return
    # Where a law is predicted for each, the laws' own quantiles of what came are uniform.
    p = [np.asarray(column) for column in np.moveaxis(np.asarray(heads[-1]), -1, 0)]
    laws = {
        "waiting": lambda: stats.lomax(np.exp(p[0]), scale=np.exp(p[1])),
        "normal": lambda: stats.norm(p[0], np.exp(p[1])),
        "student": lambda: stats.t(np.exp(p[2]), p[0], np.exp(p[1])),
    }
    assert stats.kstest(laws[name]().cdf(last), "uniform").pvalue > 1e-3


LOMAXES = [((2.0, 1.0), (2.0, 1.0)), ((2.5, 1.5), (4.0, 3.0)), ((8.0, 6.0), (3.0, 0.9))]
STUDENTS = [
    ((0.0, 1.0, 5.0), (0.0, 1.0, 5.0)),
    ((0.3, 1.5, 4.4), (-0.2, 0.8, 9.0)),
    ((0.0, 0.5, 30.0), (1.0, 2.0, 4.0)),
]


@pytest.mark.parametrize(("p", "q"), LOMAXES)
def test_divergence_of_lomax_laws(p, q):
    one, other = (stats.lomax(shape, scale=scale) for shape, scale in (p, q))
    expected = integrate.quad(
        lambda u: one.logpdf(one.isf(u)) - other.logpdf(one.isf(u)), 0, 1, epsabs=1e-13, limit=500
    )[0]
    exactly(LOMAX.divergence(jnp.log(jnp.array(p)), jnp.log(jnp.array(q))), expected, 1e-9)


@pytest.mark.parametrize(("p", "q"), STUDENTS)
def test_divergence_of_students_laws(p, q):
    one, other = (stats.t(nu, at, scale) for at, scale, nu in (p, q))
    expected = integrate.quad(
        lambda u: (
            2 * u * (one.logpdf(one.ppf(u**2)) - other.logpdf(one.ppf(u**2)))
            if u < np.sqrt(0.5)
            else 0.0
        ),
        0,
        np.sqrt(0.5),
        epsabs=1e-13,
        limit=500,
    )[0]
    expected += integrate.quad(
        lambda u: 2 * u * (one.logpdf(one.isf(u**2)) - other.logpdf(one.isf(u**2))),
        0,
        np.sqrt(0.5),
        epsabs=1e-13,
        limit=500,
    )[0]
    heads = (jnp.array([at, np.log(scale), np.log(nu)]) for at, scale, nu in (p, q))
    exactly(STUDENT.divergence(*heads), expected, 1e-9)


def test_divergences_in_closed_form():
    p, q = jnp.array([0.3, -0.2]), jnp.array([-0.5, 0.4])
    mean, other, a, b = 0.3, -0.5, np.exp(-0.2), np.exp(0.4)
    exactly(NORMAL.divergence(p, q), np.log(b / a) + (a**2 + (mean - other) ** 2) / 2 / b**2 - 0.5)
    x, y = np.array([0.2, 0.3, 0.5]), np.array([0.6, 0.3, 0.1])
    expected = np.sum(x * np.log(x / y))
    exactly(categorical(3).divergence(jnp.log(x), jnp.log(y) + 7.0), expected)
    logits = jnp.array([[0.4], [-1.0]])
    one, two = 1 / (1 + np.exp(-np.asarray(logits[:, 0])))
    expected = one * np.log(one / two) + (1 - one) * np.log((1 - one) / (1 - two))
    exactly(BERNOULLI.divergence(*logits), expected)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_the_loss_vanish_on_average_at_the_truth(name):
    """E ∇ log p(x) = 0 where p is what x is drawn from; here it is summed or integrated."""
    model, x = MODELS[name]
    head = compiled(model, jnp.asarray(x))[0][-1]
    family = model.family
    slope = jax.jit(jax.grad(lambda q: family.divergence(head, q)))(head)
    exactly(slope, np.zeros(family.size), 1e-9)


def test_of_laws_is_a_mixture():
    """What is predicted is the posterior's mean over laws; (law, state) are the chain's states."""
    x = jnp.array([2, 0, 0, 1])
    both = [
        HiddenMarkov(np.asarray(start), CHAIN.transition[part, part], CHAIN.emission[part])
        for start, part in (([0.5, 0.5], slice(0, 2)), ([0.2, 0.8], slice(2, 4)))
    ]
    laws = [np.exp(chain.family.log_density(compiled(chain, x)[0], x)) for chain in both]
    mixed = np.mean(np.cumprod(laws, axis=1), axis=0)
    found = CHAIN.family.log_density(compiled(CHAIN, x)[0], x)
    exactly(np.cumprod(np.exp(found)), mixed)
    assert CHAIN.initial.shape == (4,)
    exactly(np.asarray(CHAIN.transition)[:2, 2:], 0)
    exactly(np.asarray(CHAIN.start), [0.25, 0.25, 0.1, 0.4])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BetaBernoulli(0.0, 1.0), "alpha is 0.0; allowed: finite numbers above 0"),
        (lambda: NormalGamma(rate=-1.0), "rate is -1.0; allowed: finite numbers above 0"),
        (lambda: DirichletCategorical(np.ones(1)), r"the shape \(1,\); allowed: \(k,\)"),
        (lambda: HiddenMarkov(np.ones(1), np.eye(1), np.array([[0.5, 0.4]])), "emission has rows"),
        (lambda: HiddenMarkov(np.ones(1), np.eye(2), np.ones((1, 1))), "allowed: \\(s,\\)"),
        (lambda: categorical(1), "size is 1; allowed: a whole number at least 2"),
    ],
)
def test_what_is_no_model_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
