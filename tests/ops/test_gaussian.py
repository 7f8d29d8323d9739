"""Gaussians and sequences against one dense Gaussian of everything."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled
from ops.sequences import joint, random_model

from rlsuite.ops import gaussian, positive_definite, scans
from rlsuite.ops.gaussian import information

WAYS = {
    "rts": {},
    "two filters": {"by": "two-filter"},
    "blocks": {"method": "associative", "block": 2},
}
SMOOTH = {name: compiled(functools.partial(gaussian.smooth, **way)) for name, way in WAYS.items()}
FILTER = {
    "scan": compiled(gaussian.filter),
    "associative": compiled(functools.partial(gaussian.filter, method="associative", block=2)),
}


def matrices(seed, *shape):
    roots = np.random.default_rng(seed).normal(size=shape)
    return roots @ roots.swapaxes(-1, -2) + 0.1 * np.eye(shape[-1])


def law(seed, size=4):
    mean = np.random.default_rng(seed + 50).normal(size=size)
    return gaussian.Moments(mean, matrices(seed, size, size))


@pytest.fixture(scope="module")
def told():
    """An oracle computed apart from this project: a known system, told of by experts."""
    with jax.enable_x64(True):
        time = np.arange(12)
        mean = np.stack([np.cos(0.3 * time), np.sin(0.5 * time)], axis=1)
        variance = np.stack([0.2 + 0.1 * (3 * time % 5), 0.3 + 0.1 * (2 * time % 4)], axis=1)
        actions = np.sin(0.7 * time[:-1])
        model = compiled(gaussian.time_invariant)(
            gaussian.Moments(np.zeros(2), np.eye(2)),
            np.array([[0.9, 0.2], [-0.1, 0.8]]),
            np.array([[0.1, 0.02], [0.02, 0.05]]),
            actions[:, None] * np.array([0.0, 0.5]),
        )
        return model, compiled(gaussian.diagonal)(mean, variance)


@pytest.mark.parametrize("way", WAYS)
def test_published_oracle(told, way):
    found = SMOOTH[way](*told)
    np.testing.assert_allclose(found.log_evidence, -19.907659267475, rtol=1e-12)
    np.testing.assert_allclose(
        found.states.mean[5], [0.171947061805, 0.63448538145], rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(found.cross[5, 0, 0], 0.049830576475, rtol=0, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_float32_is_close(told, way):
    single = jax.tree.map(lambda x: x.astype(np.float32), told)
    found, exact = SMOOTH[way](*single), SMOOTH["rts"](*told)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True):
        assert ours.dtype == jnp.float32
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("far", [0.0, 100.0])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_smoothers_against_one_dense_gaussian(count, far):
    model, told = random_model(1, count, far=far)
    mean, covariance, log_evidence = joint(model, told)
    size = told.shift.shape[1]
    blocks = covariance.reshape(count, size, count, size)
    index = np.arange(count)
    for smooth in SMOOTH.values():
        found = smooth(model, told)
        np.testing.assert_allclose(found.states.mean.reshape(-1), mean, rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(found.states.covariance, blocks[index, :, index], atol=1e-11)
        np.testing.assert_allclose(found.cross, blocks[index[:-1], :, index[1:]], atol=1e-11)
        np.testing.assert_allclose(found.log_evidence, log_evidence, rtol=1e-9)


@pytest.mark.parametrize("method", FILTER)
def test_filter_is_the_smoother_of_what_came_so_far(method):
    model, told = random_model(2)
    found = FILTER[method](model, told)
    for time in range(len(told.shift)):
        so_far = jax.tree.map(lambda x, t=time: x[: t + 1], told)
        cut = model._replace(
            **{name: getattr(model, name)[:time] for name in ("transition", "offset", "noise")}
        )
        mean, covariance, _ = joint(cut, so_far)
        np.testing.assert_allclose(found.updated.mean[time], mean[-3:], atol=1e-11)
        np.testing.assert_allclose(found.updated.covariance[time], covariance[-3:, -3:], atol=1e-11)
        said = np.arange(time + 1) < time
        silent = so_far._replace(
            precision=said[:, None, None] * so_far.precision, shift=said[:, None] * so_far.shift
        )
        mean, covariance, _ = joint(cut, silent)
        np.testing.assert_allclose(found.predicted.mean[time], mean[-3:], atol=1e-11)
        np.testing.assert_allclose(
            found.predicted.covariance[time], covariance[-3:, -3:], atol=1e-11
        )


def test_samples_have_the_posterior_law():
    model, told = random_model(3, count=5, size=3)
    found = FILTER["scan"](model, told)
    keys = jax.random.split(jax.random.key(0), 20_000)
    sample = compiled(jax.vmap(gaussian.sample, (0, None, None)))
    drawn = sample(keys, model, found).reshape(20_000, -1)
    mean, covariance, _ = joint(model, told)
    spread = np.sqrt(np.diag(covariance))
    np.testing.assert_array_less(np.abs(np.mean(drawn, axis=0) - mean) / spread, 4 / np.sqrt(2e4))
    errors = np.abs(np.cov(drawn.T) - covariance) / np.outer(spread, spread)
    np.testing.assert_array_less(errors, 6 / np.sqrt(2e4))
    in_blocks = functools.partial(gaussian.sample, method="associative", block=2)
    parallel = compiled(in_blocks)(keys[0], model, found)
    np.testing.assert_allclose(parallel.reshape(-1), drawn[0], atol=1e-13)


def gradients(function):
    return jax.tree.leaves(compiled(jax.grad(function, argnums=(0, 1)))(*random_model(4)))


@functools.cache
def gradients_of_filter():
    return gradients(lambda *a: 2.0 * gaussian.filter(*a).log_evidence)


@pytest.mark.parametrize("method", FILTER)
def test_evidence_gradient_is_that_of_differentiating_the_filter(method):
    symmetric = lambda x: (x + x.swapaxes(-1, -2)) / 2 if x.ndim > 2 else x  # noqa: E731
    ours = gradients(lambda *a: 2.0 * gaussian.log_evidence(*a, method=method, block=3))
    theirs = gradients_of_filter()
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(symmetric(one), symmetric(other), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("far", "count"), [(0.0, 5), (100.0, 5), (0.0, 1)])
def test_the_forward_pass_that_goes_back_gives_the_same_gradient(far, count):
    """Of everything that smoothing finds, with each number weighed differently."""
    rng = np.random.default_rng(8)
    model, told = random_model(8, count, far=far)

    def weighed(backward, model, told):
        found = gaussian.smooth(model, told, backward=backward)
        leaves = [x - jax.lax.stop_gradient(x) / 2 for x in jax.tree.leaves(found)]
        return sum(jnp.sum(w * jnp.sin(x)) for w, x in zip(weights, leaves, strict=True))

    weights = [rng.normal(size=x.shape) for x in jax.tree.leaves(SMOOTH["rts"](model, told))]
    ours, theirs = (
        jax.tree.leaves(compiled(jax.grad(weighed, (1, 2)), static_argnums=0)(how, model, told))
        for how in ("forward", "steps")
    )
    for one, other in zip(ours, theirs, strict=True):
        square = other.ndim > 1 and other.shape[-1] == other.shape[-2]
        if square and np.allclose(one, one.swapaxes(-1, -2), rtol=1e-9, atol=1e-9):
            other = (other + other.swapaxes(-1, -2)) / 2
        size = np.max(np.abs(other), initial=0.0)
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9 * size)


@pytest.mark.parametrize("way", WAYS)
def test_gradients_against_finite_differences(way):
    model, told = jax.device_put(random_model(5))

    def loss(scale):
        changed = model._replace(offset=scale * model.offset, noise=scale**2 * model.noise)
        heard = told._replace(precision=scale * told.precision)
        found = gaussian.smooth(changed, heard, **WAYS[way])
        covariances = jnp.sum(jnp.cos(found.cross)) + jnp.sum(found.states.covariance)
        return jnp.sum(jnp.sin(found.states.mean)) + covariances

    assert_slope(loss)


def test_samples_carry_gradients():
    model, told = jax.device_put(random_model(5))

    def loss(scale):
        changed = model._replace(transition=scale * model.transition, noise=scale * model.noise)
        heard = told._replace(shift=scale * told.shift)
        found = gaussian.filter(changed, heard)
        return jnp.sum(gaussian.sample(jax.random.key(0), changed, found) ** 2)

    assert_slope(loss)


def assert_slope(function):
    """The gradient at 1 is what differences extrapolate to."""
    both = compiled(jax.value_and_grad(function))
    far, near = (
        (both(1.0 + width)[0] - both(1.0 - width)[0]) / (2 * width) for width in (2e-4, 1e-4)
    )
    np.testing.assert_allclose(both(1.0)[1], (4 * near - far) / 3, rtol=1e-8)


def test_hundreds_of_gradients_of_a_batch_finish():
    """On CPU this hung where LAPACK factored within a vmapped scan."""
    model, told = jax.device_put(random_model(6, count=100, size=8))
    model = model._replace(transition=0.3 * model.transition)

    @jax.jit
    @jax.grad
    def gradient(scale):
        def one(factor):
            found = gaussian.smooth(model, told._replace(shift=factor * scale * told.shift))
            return jnp.sum(jnp.square(found.states.mean)) + jnp.sum(found.cross)

        return jnp.mean(jax.vmap(one)(jnp.linspace(0.5, 1.5, 64)))

    slopes = [gradient(jnp.asarray(1.0 + number / 200)) for number in range(200)]
    # The mean of squares is a parabola of the scale, so its slope is a line.
    np.testing.assert_allclose(np.diff(slopes, 2), 0.0, atol=1e-6 * abs(float(slopes[0])))


@compiled
def forms(ours, theirs, x):
    """Two laws' information, its product, and the logs of values and integrals."""
    potential = information.of_moments(ours)
    both = information.product(potential, information.of_moments(theirs))
    return {
        "back": information.moments(potential),
        "theirs": information.moments(information.quotient(both, potential)),
        "integral": information.log_integral(potential),
        "both": information.log_integral(both),
        "value": information.log_value(potential, x),
    }


def test_information_form_agrees_with_moments():
    ours, theirs, x = law(1), law(2), np.arange(4.0)
    found = forms(ours, theirs, x)
    np.testing.assert_allclose(found["back"].mean, ours.mean, rtol=1e-10)
    np.testing.assert_allclose(found["back"].covariance, ours.covariance, rtol=1e-10)
    np.testing.assert_allclose(found["integral"], 0.0, atol=1e-12)
    density = compiled(jax.scipy.stats.multivariate_normal.logpdf)
    np.testing.assert_allclose(found["value"], density(x, *ours), rtol=1e-12)
    overlap = density(ours.mean, theirs.mean, ours.covariance + theirs.covariance)
    np.testing.assert_allclose(found["both"], overlap, rtol=1e-12)
    np.testing.assert_allclose(found["theirs"].covariance, theirs.covariance, rtol=1e-10)


def test_marginal_times_conditional_is_the_whole():
    @compiled
    def parts(law, x, y):
        potential = information.of_moments(law)._replace(constant=jnp.asarray(0.7))
        rest, first = information.condition(potential, x), information.marginal(potential, 2)
        values = information.log_value(rest, y), information.log_value(first, x)
        whole = information.log_value(potential, jnp.append(x, y))
        laws = information.moments(potential), information.moments(first)
        return values, whole, information.log_integral(rest), laws

    (of_rest, of_first), of_whole, integral, (whole, first) = parts(
        law(3), np.array([0.3, -0.2]), np.array([1.0, 0.5])
    )
    np.testing.assert_allclose(of_rest, of_whole, rtol=1e-12)
    np.testing.assert_allclose(integral, of_first, rtol=1e-12)
    np.testing.assert_allclose(first.mean, whole.mean[:2], rtol=1e-10)
    np.testing.assert_allclose(first.covariance, whole.covariance[:2, :2], rtol=1e-10)
    for kept in (0, 4):
        with pytest.raises(ValueError, match="allowed: from 1 to 3"):
            jax.eval_shape(
                lambda law, k=kept: information.marginal(information.of_moments(law), k), law(3)
            )


def test_entropy_and_divergence():
    ours, theirs = law(4), law(5)

    @compiled
    def found(ours, theirs):
        potential = information.of_moments(theirs)
        expected = (
            information.log_value(potential, ours.mean)
            - jnp.trace(potential.precision @ ours.covariance) / 2
        )
        divergences = information.divergence(ours, theirs), information.divergence(ours, ours)
        return information.entropy(ours), expected, divergences

    volume = np.linalg.slogdet(2 * np.pi * np.e * ours.covariance)[1]
    entropy, expected, (divergence, of_itself) = found(ours, theirs)
    np.testing.assert_allclose(entropy, volume / 2, rtol=1e-12)
    np.testing.assert_allclose(divergence, -entropy - expected, rtol=1e-11)
    np.testing.assert_allclose(of_itself, 0.0, atol=1e-12)


@pytest.mark.parametrize("size", [1, 5, positive_definite.SMALL + 3])
def test_factors_and_their_derivatives(size):
    matrix = matrices(size, 2, size, size)
    right = np.random.default_rng(0).normal(size=(2, size, 3))

    def ours(matrix, right):
        factor = positive_definite.cholesky(matrix)
        told = jnp.sin(positive_definite.solve(factor, right))
        told = jnp.sum(told) + jnp.sum(jnp.cos(positive_definite.inverse(factor)))
        return told + jnp.sum(positive_definite.log_determinant(factor)) + jnp.sum(factor**3)

    def theirs(matrix, right):
        matrix = (matrix + matrix.swapaxes(-1, -2)) / 2
        told = jnp.sin(jnp.linalg.solve(matrix, right))
        told = jnp.sum(told) + jnp.sum(jnp.cos(jnp.linalg.inv(matrix)))
        told = told + jnp.sum(jnp.linalg.slogdet(matrix)[1])
        return told + jnp.sum(jnp.linalg.cholesky(matrix) ** 3)

    ours, theirs = (
        compiled(jax.value_and_grad(function, (0, 1)))(matrix, right) for function in (ours, theirs)
    )
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-12)
    for one, other in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)


def test_refusals():
    model, told = random_model(7)
    with pytest.raises(ValueError, match=r"transition has the shape .* allowed with 4 potentials"):
        gaussian.smooth(model, jax.tree.map(lambda x: x[1:], told))
    with pytest.raises(ValueError, match="method is 'tree'; allowed: 'scan', 'associative'"):
        inspect.unwrap(gaussian.filter)(model, told, method="tree")
    with pytest.raises(ValueError, match="by is 'rts'; allowed with the method 'associative'"):
        gaussian.smooth(model, told, by="rts", method="associative")
    with pytest.raises(ValueError, match="backward is 'forward'; allowed with the smoother 'two-f"):
        gaussian.smooth(model, told, by="two-filter", backward="forward")
    with pytest.raises(ValueError, match="block is 0; allowed: at least 1"):
        gaussian.filter(model, told, method="associative", block=0)


@pytest.mark.parametrize("reverse", [False, True])
def test_prefixes_of_products_in_blocks(reverse):
    """Products of matrices do not commute."""
    factors = np.random.default_rng(0).normal(size=(19, 2, 2))
    expected, so_far = [], np.eye(2)
    for factor in factors[::-1] if reverse else factors:
        so_far = factor @ so_far if reverse else so_far @ factor
        expected.append(so_far)
    expected = expected[::-1] if reverse else expected
    prefixes = compiled(
        lambda factors, block: scans.prefixes(jnp.matmul, factors, block=block, reverse=reverse),
        static_argnums=1,
    )
    for block in (1, 2, 3, 4, 7, 64):
        found = prefixes(factors, block)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
