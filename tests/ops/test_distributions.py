"""Distributions against closed forms, SciPy, quadrature and draws; gradients of their samples."""

import functools
import inspect

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from compiled import compiled

from rlsuite.ops import distributions
from rlsuite.ops.distributions import (
    Bernoulli,
    Deterministic,
    DiagonalNormal,
    MultiCategorical,
    OneHotCategorical,
    SquaredError,
    SymexpTwoHot,
    SymlogSquaredError,
    TanhNormal,
    free_nats,
    mask_logits,
    mix_uniform,
)

DRAWS = 20_000

# Compiled whole: one by one, every operation on every shape is a compilation.
kl, twohot = jax.jit(distributions.kl), jax.jit(distributions.twohot)
allow = jax.jit(mask_logits)
symlog, symexp = jax.jit(distributions.symlog), jax.jit(distributions.symexp)
tanh_normal = jax.jit(distributions.tanh_normal)
bounded_normal = jax.jit(distributions.bounded_normal)


@functools.partial(compiled, static_argnums=1)
def of(distribution, name, *arguments):
    """What a method returns, or a property."""
    found = getattr(distribution, name)
    return found(*arguments) if callable(found) else found


@functools.partial(jax.jit, static_argnums=1)
def categorical(logits, share=0.0):
    return OneHotCategorical(logits, share)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def same(one, other, tolerance=1e-12):
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@compiled
def draws(distribution, seed=0):
    keys = jax.random.split(jax.random.key(seed), DRAWS)
    return jax.vmap(distribution.sample)(keys)


def agree(samples, mean):
    """Their mean within 4.5 standard errors."""
    errors = samples.std(axis=0) / len(samples) ** 0.5
    assert np.all(np.abs(samples.mean(axis=0) - mean) < 4.5 * errors)


def mixed(logits, share):
    """Probabilities with unimix, in NumPy."""
    return (1 - share) * scipy.special.softmax(logits, axis=-1) + share / logits.shape[-1]


# Scales and bins


def test_symlog_and_symexp_are_inverse_odd_and_smooth_at_zero():
    x = np.asarray([-1e6, -3.0, -1e-12, 0.0, 1e-12, 0.5, 1e6])
    np.testing.assert_allclose(symexp(symlog(x)), x, rtol=1e-12)
    np.testing.assert_array_equal(symlog(-x), -np.asarray(symlog(x)))
    same(symlog(x), np.sign(x) * np.log(1 + np.abs(x)), 1e-12)
    same(jax.jit(jax.vmap(jax.grad(symlog)))(x), 1 / (1 + np.abs(x)))
    same(jax.jit(jax.vmap(jax.grad(symexp)))(symlog(x)), 1 + np.abs(x))


def test_twohot_weights_the_two_bins_beside_a_number():
    bins = np.asarray([-4.0, -1.0, 0.0, 2.0, 10.0])
    for x in np.linspace(-4, 10, 57):
        weights = np.asarray(twohot(x, bins))
        below = max(k for k in range(4) if bins[k] <= x)
        expected = np.zeros(5)
        expected[below + 1] = (x - bins[below]) / (bins[below + 1] - bins[below])
        expected[below] = 1 - expected[below + 1]
        same(weights, expected)
        same(weights @ bins, x)
    beyond = twohot(np.asarray([-1e30, -np.inf, 1e30, np.inf]), bins)
    np.testing.assert_array_equal(beyond, np.eye(5)[[0, 0, 4, 4]])


@pytest.mark.parametrize("size", [255, 41, 40])
def test_the_bins_are_symexp_of_even_numbers_and_symmetric(size):
    bins = of(SymexpTwoHot(np.zeros(size)), "bins")
    np.testing.assert_allclose(bins, symexp(np.linspace(-20, 20, size)), rtol=1e-12, atol=1e-12)
    single = of(SymexpTwoHot(np.zeros(size, np.float32)), "bins")
    np.testing.assert_array_equal(single, -single[::-1])
    assert np.all(np.diff(single) > 0)


@pytest.mark.parametrize("size", [255, 40])
def test_even_probabilities_have_mean_zero_to_the_last_bit(size):
    even, uneven = np.zeros((3, size), np.float32), normal(0, 3, size).astype(np.float32)
    for logits in (even, uneven + uneven[:, ::-1]):
        np.testing.assert_array_equal(of(SymexpTwoHot(logits), "mean"), np.zeros(3, np.float32))


def test_bins_summed_from_left_to_right_would_not():
    head = SymexpTwoHot(np.zeros(255, np.float32))
    products = scipy.special.softmax(head.logits) * of(head, "bins")
    assert np.cumsum(products)[-1] != 0


def test_a_twohot_head_is_a_categorical_over_bins():
    head = SymexpTwoHot(3.0 * normal(0, 2, 41))
    values, probs = of(head, "bins"), scipy.special.softmax(head.logits, axis=-1)
    np.testing.assert_allclose(of(head, "mean"), probs @ values, rtol=1e-9)
    x = np.asarray([7.0, -1e5])
    expected = np.sum(np.asarray(twohot(x, values)) * np.log(probs), axis=-1)
    same(of(head, "log_prob", x), expected)
    np.testing.assert_array_equal(of(head, "mode"), values[np.argmax(probs, axis=-1)])
    bins = np.searchsorted((values[1:] + values[:-1]) / 2, draws(head))
    frequencies = np.stack([(bins == k).mean(axis=0) for k in range(41)], axis=-1)
    assert np.all(np.abs(frequencies - probs) < 5 * np.sqrt(probs * (1 - probs) / DRAWS) + 1e-4)


def test_a_twohot_head_that_knows_a_number_has_it_as_its_mean():
    x = np.asarray([-123.4, -0.3, 0.0, 5.0, 1e7])
    bins = of(SymexpTwoHot(np.zeros(255)), "bins")
    head = SymexpTwoHot(np.log(np.asarray(twohot(x, bins)) + 1e-300))
    np.testing.assert_allclose(of(head, "mean"), x, rtol=1e-12, atol=1e-12)


def test_a_twohot_head_learns_any_scale_with_gradients_below_two():
    logits = (10 * normal(1, 6, 255)).astype(np.float32)
    x = np.asarray([0.0, 1e-30, -1e9, 1e30, 3.0, -np.inf], np.float32)
    score = jax.value_and_grad(lambda z, x: SymexpTwoHot(z).log_prob(x).sum())
    value, slope = compiled(score)(logits, x)
    assert np.isfinite(value)
    assert np.abs(slope).sum(axis=-1).max() < 2.001
    bins = of(SymexpTwoHot(logits), "bins")
    expected = np.asarray(twohot(x, bins)) - scipy.special.softmax(logits, axis=-1)
    np.testing.assert_allclose(slope, expected, atol=1e-5)


# Classes


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5])
def test_a_categorical_is_that_of_its_definition(share):
    logits = 2.0 * normal(0, 3, 5)
    p = categorical(logits, share)
    probs = mixed(logits, share)
    same(of(p, "probs"), probs)
    same(of(p, "entropy"), scipy.stats.entropy(probs, axis=-1))
    for k, one_hot in enumerate(np.eye(5)):
        same(of(p, "log_prob", np.tile(one_hot, (3, 1))), np.log(probs[:, k]))
    np.testing.assert_array_equal(of(p, "mode"), np.eye(5)[np.argmax(probs, axis=-1)])
    samples = draws(p)
    assert set(np.unique(samples)) == {0.0, 1.0}
    np.testing.assert_array_equal(samples.sum(axis=-1), 1.0)
    agree(samples, probs)


def test_the_share_may_be_traced_and_is_mixed_in_once():
    logits = normal(0, 4, 3, 5)
    make = jax.jit(jax.vmap(OneHotCategorical, in_axes=(0, None)))
    p = make(logits, 0.25)
    same(of(p, "probs"), mixed(logits, 0.25))
    again = jax.tree.map(lambda x: x, jax.jit(lambda p: p)(p))
    np.testing.assert_array_equal(of(again, "probs"), of(p, "probs"))
    _, stacked = jax.lax.scan(lambda c, x: (c, OneHotCategorical(x, 0.25)), None, logits)
    same(of(stacked, "probs"), of(p, "probs"))


def jacobians(make, probs, logits):
    """Of a sample, of a mode and of the probabilities, with respect to the logits."""

    def found(logits):
        p = make(logits)
        return p.sample(jax.random.key(3)), p.mode(), probs(p)

    return jax.jit(jax.jacobian(found))(logits)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_a_sample_has_the_gradient_of_the_probabilities(share):
    logits = normal(1, 2, 4)

    def make(logits):
        return OneHotCategorical(logits, share)

    drawn, likeliest, expected = jacobians(make, lambda p: p.probs, logits)
    same(drawn, expected)
    same(likeliest, expected)
    slopes = np.einsum("ik,ikjl->jl", normal(2, 2, 4), expected)
    assert np.abs(slopes).min() > 1e-3


def test_one_hot_samples_are_exact_in_single_precision():
    p = categorical((5 * normal(0, 64, 32)).astype(np.float32), 0.01)
    samples = of(p, "sample", jax.random.key(0))
    assert set(np.unique(samples)) == {np.float32(0), np.float32(1)}


def test_independent_classes_are_concatenated():
    logits = (normal(0, 2, 3), normal(1, 2, 4))
    pair = jax.jit(lambda logits: MultiCategorical(logits, 0.1))(logits)
    one, other = (categorical(x, 0.1) for x in logits)
    same(of(pair, "entropy"), of(one, "entropy") + of(other, "entropy"))
    same(of(pair, "mode"), np.concatenate([of(one, "mode"), of(other, "mode")], axis=-1))
    x = of(pair, "sample", jax.random.key(0))
    same(of(pair, "log_prob", x), of(one, "log_prob", x[:, :3]) + of(other, "log_prob", x[:, 3:]))
    samples = draws(pair)
    agree(samples, np.concatenate([of(one, "probs"), of(other, "probs")], axis=-1))
    joint = np.einsum("nbi,nbj->bij", samples[..., :3], samples[..., 3:]) / DRAWS
    product = np.einsum("bi,bj->bij", of(one, "probs"), of(other, "probs"))
    assert np.abs(joint - product).max() < 5 * 0.5 / DRAWS**0.5
    again = jax.jit(lambda p: p)(pair)
    same(of(again, "log_prob", x), of(pair, "log_prob", x))


def test_samples_of_independent_classes_have_the_gradient_of_the_probabilities():
    logits = (normal(0, 3), normal(1, 2))

    def probs(p):
        return jnp.concatenate([factor.probs for factor in p.factors])

    drawn, likeliest, expected = jacobians(lambda z: MultiCategorical(z, 0.1), probs, logits)
    jax.tree.map(same, drawn, expected)
    jax.tree.map(same, likeliest, expected)
    assert all(np.abs(x).max() > 0.1 for x in jax.tree.leaves(expected))


ALLOWED = np.asarray([[True, False, True, True], [False, False, True, False]])
MASK = jnp.asarray(ALLOWED)


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_what_is_masked_has_probability_zero_and_the_others_are_as_if_it_were_not(share):
    logits = normal(0, 2, 4)
    p = categorical(allow(logits, MASK), share)
    for row in range(2):
        allowed = ALLOWED[row]
        alone = categorical(logits[row, allowed], share)
        np.testing.assert_array_equal(of(p, "probs")[row][~allowed], 0.0)
        same(of(p, "probs")[row][allowed], of(alone, "probs"))
        same(of(p, "entropy")[row], of(alone, "entropy"))
    assert draws(p)[:, ~ALLOWED].max() == 0


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_masked_gradients_are_finite_and_none_of_what_is_masked(share):
    @jax.jit
    @jax.value_and_grad
    def everything(logits):
        p, q = OneHotCategorical(mask_logits(logits, MASK), share), OneHotCategorical(logits, 0.1)
        masked = MultiCategorical((p.logits, logits))
        x = p.sample(jax.random.key(0))
        factors = masked.sample(jax.random.key(1))
        total = p.entropy() + p.log_prob(x) + kl(p, q) + x @ jnp.arange(4.0)
        return jnp.sum(total + masked.log_prob(factors) + masked.entropy())

    logits = 30.0 * normal(0, 2, 4)
    value, slopes = everything(logits)
    assert np.isfinite(value)
    assert np.all(np.isfinite(slopes))
    through_mask = jax.grad(lambda z: OneHotCategorical(mask_logits(z, MASK), share).probs[0, 0])
    assert np.all(np.asarray(jax.jit(through_mask)(logits))[~ALLOWED] == 0)


def test_where_nothing_is_allowed_all_are_equally_likely():
    p = categorical(allow(normal(0, 4), np.zeros(4, bool)), 0.1)
    same(of(p, "probs"), np.full(4, 0.25))
    slope = jax.jit(jax.grad(lambda u: mix_uniform(mask_logits(u, u > 9), 0.1).sum()))
    assert np.isfinite(slope(normal(0, 4))).all()


def test_a_bernoulli_is_that_of_its_definition():
    p = Bernoulli(np.asarray([-2.0, 0.5, 3.0]))
    reference = scipy.stats.bernoulli(scipy.special.expit(p.logits))
    same(of(p, "mean"), reference.mean())
    same(of(p, "entropy"), reference.entropy())
    for x in (0, 1):
        same(of(p, "log_prob", np.full(3, float(x))), reference.logpmf(x))
    np.testing.assert_array_equal(of(p, "mode"), [0, 1, 1])
    agree(draws(p), reference.mean())
    slopes = jax.jit(jax.jacobian(lambda z: Bernoulli(z).sample(jax.random.key(0))))(p.logits)
    same(slopes, np.diag(reference.var()))


def test_a_bernoulli_of_extreme_logits_is_finite():
    p = Bernoulli(np.asarray([-1e4, 1e4], np.float32))
    same(of(p, "log_prob", np.asarray([1.0, 0.0], np.float32)), [-1e4, -1e4])
    same(of(p, "entropy"), 0.0)
    slope = jax.grad(lambda z: (Bernoulli(z).entropy() + Bernoulli(z).log_prob(z * 0)).sum())
    same(jax.jit(slope)(p.logits), [0.0, -1.0])


# Normal numbers

LOC, SCALE = np.asarray([[0.3, -2.0], [0.0, 4.0]]), np.asarray([[0.2, 1.5], [3.0, 5.0]])


def of_both(make, shrunk=1.0):
    return make(LOC / shrunk, SCALE / shrunk)


def test_a_normal_vector_is_that_of_its_definition():
    p = of_both(DiagonalNormal)
    reference = scipy.stats.norm(LOC, SCALE)
    x = normal(0, 2, 2)
    same(of(p, "log_prob", x), reference.logpdf(x).sum(axis=-1))
    same(of(p, "entropy"), reference.entropy().sum(axis=-1))
    np.testing.assert_array_equal(of(p, "mean"), LOC)
    np.testing.assert_array_equal(of(p, "mode"), LOC)
    samples = draws(p)
    agree(samples, LOC)
    agree(np.square(samples - LOC), SCALE**2)


@pytest.mark.parametrize("make", [DiagonalNormal, TanhNormal])
def test_a_sample_moves_with_its_parameters(make):
    @jax.jit
    def sample(p):
        return p.sample(jax.random.key(0))

    p = of_both(make, 4.0)
    jax.test_util.check_grads(sample, (p,), order=1, modes=["rev"], rtol=1e-6)
    slopes = jax.jit(jax.grad(lambda p: sample(p).sum()))(p)
    assert np.abs(slopes.loc).min() > 1e-3
    assert np.abs(slopes.scale).min() > 1e-3


def test_the_policy_of_the_third_version_is_bounded():
    raw = np.asarray([-50.0, -2.0, 0.0, 50.0])
    p = bounded_normal(raw, raw, min_std=0.2, max_std=0.8)
    same(p.loc, np.tanh(raw))
    same(p.scale, 0.2 + 0.6 * scipy.special.expit(raw + 2))
    same(np.asarray(p.scale)[[0, 1, 3]], [0.2, 0.5, 0.8])


def test_the_policy_of_the_first_version_starts_wide():
    p = tanh_normal(np.asarray([0.0, 100.0, 2.0]), np.asarray([0.0, -100.0, 1.0]))
    same(p.loc, [0.0, 5.0, 5 * np.tanh(0.4)])
    same(p.scale, [5.0001, 1e-4, np.log1p(np.expm1(5) * np.e) + 1e-4], 1e-10)


def test_a_squashed_density_integrates_to_its_distribution():
    for loc, scale in zip(LOC.ravel() / 2, SCALE.ravel() / 5, strict=True):
        p = TanhNormal(np.asarray([loc]), np.asarray([scale]))
        grid = np.tanh(np.linspace(loc - 8 * scale, loc + 8 * scale, 4001))
        density = np.exp(of(p, "log_prob", grid[:, None]))
        inside = np.abs(grid) < 1 - 1e-12
        mass = scipy.integrate.cumulative_trapezoid(density[inside], grid[inside], initial=0)
        expected = scipy.stats.norm.cdf((np.arctanh(grid[inside]) - loc) / scale)
        np.testing.assert_allclose(mass, expected, atol=2e-5)


def test_a_squashed_log_density_is_the_normal_one_less_the_slope():
    before = np.asarray([[-3.0, 0.1], [2.0, 4.0]])
    expected = scipy.stats.norm(LOC, SCALE).logpdf(before) - np.log(1 - np.tanh(before) ** 2)
    same(of(of_both(TanhNormal), "log_prob", np.tanh(before)), expected.sum(axis=-1), 1e-9)


@pytest.mark.parametrize(("loc", "scale"), [(0.0, 0.01), (0.5, 1.0), (-5.0, 2.0), (1.0, 5.0)])
def test_expectations_of_a_squashed_normal_are_those_of_quadrature(loc, scale):
    def expectation(f):
        ends = loc - 12 * scale, loc + 12 * scale
        density = scipy.stats.norm(loc, scale).pdf
        return scipy.integrate.quad(lambda u: density(u) * f(u), *ends, limit=500, epsabs=1e-12)[0]

    slope = expectation(lambda u: 2 * (np.log(2) - u - np.logaddexp(0, -2 * u)))
    p = TanhNormal(np.full((2, 3), loc), np.full((2, 3), scale))
    same(of(p, "entropy"), 3 * (scipy.stats.norm(loc, scale).entropy() + slope), 1e-6)
    same(of(p, "mean"), expectation(np.tanh), 1e-6)
    same(of(p, "mode"), np.tanh(loc))


def test_draws_of_a_squashed_normal_have_its_mean_and_entropy():
    p = of_both(TanhNormal, 4.0)
    samples = draws(p)
    agree(samples, of(p, "mean"))
    agree(-of(p, "log_prob", samples), of(p, "entropy"))


def test_a_squashed_normal_is_finite_at_its_ends():
    p = TanhNormal(*np.full((2, 1), 5.0, np.float32))

    @jax.jit
    @jax.value_and_grad
    def total(p, x):
        return p.log_prob(x) + p.entropy()

    for x in (-1.0, 1.0, 1 - 1e-7):
        for number in jax.tree.leaves(total(p, np.asarray([x], np.float32))):
            assert np.isfinite(number).all()


@pytest.mark.parametrize("make", [DiagonalNormal, TanhNormal])
def test_entropies_have_the_gradients_of_finite_differences(make):
    entropy = jax.jit(lambda p: p.entropy())
    jax.test_util.check_grads(entropy, (of_both(make),), order=1, modes=["rev"], rtol=1e-6)


# Divergences


def test_the_divergence_of_classes_is_summed_over_classes_only():
    p, q = (categorical(normal(seed, 3, 4, 5), 0.01) for seed in (0, 1))
    found = kl(p, q)
    assert found.shape == (3, 4)
    same(found, scipy.special.rel_entr(of(p, "probs"), of(q, "probs")).sum(axis=-1))
    same(kl(p, p), 0.0)


def test_the_divergence_of_normal_numbers_is_that_of_quadrature():
    p = of_both(DiagonalNormal)
    q = DiagonalNormal(p.loc[::-1] / 2, p.scale[:, ::-1])
    found = kl(p, q)
    for index in np.ndindex(2, 2):
        one, other = (scipy.stats.norm(d.loc[index], d.scale[index]) for d in (p, q))
        ends = one.ppf([1e-14, 1 - 1e-14])
        expected = scipy.integrate.quad(
            lambda x, one=one, other=other: one.pdf(x) * (one.logpdf(x) - other.logpdf(x)), *ends
        )[0]
        same(found[index], expected, 1e-8)


def test_unimix_bounds_the_divergence_of_certain_classes():
    certain = np.asarray([[1e4, 0.0], [0.0, 1e4]], np.float32)

    def divergence(logits):
        return kl(*(OneHotCategorical(x, 0.01) for x in logits))

    same(jax.jit(divergence)(certain), 0.99 * np.log(0.995 / 0.005), 1e-6)
    assert np.isfinite(jax.jit(jax.grad(divergence))(certain)).all()


def test_divergences_need_two_of_a_kind():
    p, q = OneHotCategorical(jnp.zeros(2)), DiagonalNormal(jnp.zeros(2), jnp.ones(2))
    with pytest.raises(ValueError, match="p and q are OneHotCategorical and DiagonalNormal"):
        inspect.unwrap(kl)(p, q)


def test_free_nats_cut_the_gradient_of_what_is_small():
    cut = jax.vmap(jax.value_and_grad(lambda x: free_nats(x, 1.0)))
    found = compiled(cut)(np.asarray([0.3, 2.0]))
    np.testing.assert_array_equal(found, [[1.0, 2.0], [0.0, 1.0]])


# Errors for scores


def test_squared_errors_are_summed_over_the_event():
    prediction, x = normal(0, 2, 3, 4, 1), normal(1, 2, 3, 4, 1)
    squares = np.square(prediction - x)
    same(of(SquaredError(prediction, 3), "log_prob", x), -squares.sum(axis=(1, 2, 3)))
    same(of(SquaredError(prediction), "log_prob", x), -squares.sum(axis=-1))
    np.testing.assert_array_equal(of(SquaredError(prediction), "mean"), prediction)
    again = jax.jit(lambda p: p)(SquaredError(prediction, 3))
    assert of(again, "log_prob", x).shape == (2,)


def test_vectors_are_scored_by_their_symlog():
    prediction, x = normal(0, 2, 3), 100 * normal(1, 2, 3)
    p = SymlogSquaredError(prediction)
    same(of(p, "log_prob", x), -np.square(prediction - np.asarray(symlog(x))).sum(axis=-1))
    same(of(p, "mean"), symexp(prediction))
    same(of(SymlogSquaredError(symlog(x)), "mode"), x)


def test_what_is_certain_is_itself_through_transformations():
    value = {"a": jnp.arange(6.0).reshape(2, 3), "b": (jnp.ones(2),)}
    keys = jax.random.split(jax.random.key(0), 2)
    found = jax.jit(jax.vmap(lambda v, k: Deterministic(v).sample(k)))(value, keys)
    for other in (found, Deterministic(value).mean(), Deterministic(value).mode()):
        jax.tree.map(np.testing.assert_array_equal, value, other)


def test_distributions_are_pytrees_of_anything():
    shapes = jax.eval_shape(
        lambda x: (OneHotCategorical(x, 0.1), DiagonalNormal(x, x)), jnp.ones(3)
    )
    assert shapes[0].logits.shape == shapes[1].scale.shape == (3,)
    axes = jax.tree.map(lambda x: 0, MultiCategorical((jnp.zeros((2, 3)), jnp.zeros((2, 4)))))
    assert axes.logits == (0, 0)
