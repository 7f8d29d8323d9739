"""Latent models against exact evidence, moments and derivatives in double precision."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled

from rlsuite.algorithms import latent_models as lm
from rlsuite.data.pictures import PictureEpisodes
from rlsuite.nets import Network
from rlsuite.nets.costs import CostParams
from rlsuite.ops import gaussian, mniw
from rlsuite.ops.gaussian import Moments

F = np.asarray([[0.9, 0.2, 0.0, 0.0], [-0.1, 0.8, 0.5, 0.0]])
NOISE = np.asarray([[0.1, 0.02], [0.02, 0.05]])
SEEN = 0.3  # deviation of what is seen of a state
KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def exact():
    with jax.enable_x64(True):
        yield


def as_they_are(variance):
    """An encoder that says what is seen, and of what variance."""
    return Network(
        lambda key, x: (), lambda params, x: (x, jnp.broadcast_to(-jnp.log(variance), x.shape))
    )


START = Moments(np.zeros(2), np.eye(2))
SHOWS = Network(lambda key, x: (), lambda params, x: x)


def model(transition, variance=SEEN**2):
    return lm.LatentModel(as_they_are(variance), SHOWS, lm.normal(SEEN), transition, 2)


def params(theta):
    cost = CostParams(0.3 * np.eye(3), np.ones(3), np.ones(()), np.zeros(()))
    return lm.LatentParams((), (), cost, np.zeros(2), np.zeros(2), theta)


def known():
    """θ of the linear transition."""
    root = np.linalg.cholesky(NOISE)
    return lm.LinearParams(F, np.log(np.diag(root)), np.tril(root, -1))


@functools.cache
def certain():
    """q(F, Σ) that knows them."""
    many = 1e20
    return compiled(mniw.to_natural)(mniw.MNIW(many * NOISE, np.asarray(many), F, np.eye(4) / many))


def every_step(steps):
    return jax.tree.map(lambda x: np.broadcast_to(x, (steps, *x.shape)), certain())


LINEAR = {
    "linear": (lm.linear(2, 1), known),
    "mniw-steps": (lm.mniw(2, 1, steps=11), functools.partial(every_step, 11)),
}


def episode(steps=11, costs=None):
    time = np.arange(steps + 1)
    images = np.stack([np.cos(0.3 * time), np.sin(0.5 * time)], axis=1)
    actions = np.sin(0.7 * time[:-1])[:, None]
    return PictureEpisodes(images, actions, costs)


def exact_chain(given):
    return gaussian.time_invariant(
        Moments(jnp.zeros(2), jnp.eye(2)),
        jnp.asarray(F[:, :2]),
        jnp.asarray(NOISE),
        given.actions * jnp.asarray(F[:, 2]),
    )


@compiled
def exact_filter(given):
    """By Kalman's, of what is seen."""
    told = gaussian.diagonal(given.images, jnp.full(given.images.shape, SEEN**2))
    return gaussian.filter(exact_chain(given), told)


def exact_evidence(given):
    return exact_filter(given._replace(costs=None)).log_evidence


def test_bounds_with_exact_potentials_are_the_evidence():
    """Of a law of (F, Σ) that knows them; of (F, Σ) themselves it is the next test."""
    bounds = jax.jit(lambda p, e: lm.bounds(KEY, model(lm.mniw(2, 1)), p, e, 4))
    found = bounds(params(certain()), episode())
    np.testing.assert_allclose(found, np.full(2, exact_evidence(episode())), rtol=1e-9)


def test_bounds_are_the_evidence_of_an_oracle_that_was_computed_elsewhere():
    """Potentials are not the same at all times there, so they are encoded from time."""
    time = np.arange(12)
    mean = np.stack([np.cos(0.3 * time), np.sin(0.5 * time)], axis=1)
    variance = np.stack([0.2 + 0.1 * (3 * time % 5), 0.3 + 0.1 * (2 * time % 4)], axis=1)
    seen = jnp.asarray(np.concatenate([mean, variance], axis=1))
    encoder = Network(lambda key, x: (), lambda params, x: (x[..., :2], -jnp.log(x[..., 2:])))

    def log_density(state, image):
        squares = jnp.square(image[:2] - state) / image[2:]
        return -jnp.sum(squares + jnp.log(2 * jnp.pi * image[2:])) / 2

    emission = lm.Emission(log_density, lambda x: x)
    latent = lm.LatentModel(encoder, SHOWS, emission, lm.linear(2, 1), 2)
    given = PictureEpisodes(seen, jnp.asarray(np.sin(0.7 * time[:-1]))[:, None], None)
    found = jax.jit(lambda p: lm.bounds(KEY, latent, p, given, 2))(params(known()))
    np.testing.assert_allclose(found, np.full(2, -19.907659267475), rtol=1e-11)


def test_the_importance_weighted_bound_rises_from_the_elbo_to_the_evidence():
    """With inference step by step, which does not know what comes later."""
    given, latent = episode(5), model(lm.linear(2, 1))
    weigh = jax.jit(lambda p, e: lm.path_parts(KEY, latent, p, e, 20_000, "steps").log_weight)
    weights, bound = np.asarray(weigh(params(known()), given)), {}
    for k in (1, 10, 20_000):
        means = np.logaddexp.reduce(weights.reshape(-1, k), axis=1) - np.log(k)
        bound[k] = np.mean(means)
    truth = exact_evidence(given)
    assert bound[1] < truth - 0.1
    assert bound[1] < bound[10] < bound[20_000]
    np.testing.assert_allclose(bound[20_000], truth, atol=0.03)


@pytest.mark.parametrize("how", ["smoothed", "steps"])
def test_a_path_is_drawn_from_the_law_that_it_says(how):
    """Σ log ratio + log q = log p, and divergences are means of log ratios."""
    given, transition = episode(3), lm.linear(2, 1)
    latent = model(transition, 3.0)
    seen = compiled(functools.partial(lm.potentials, latent))(params(known()), given.images)
    start, theta, told, actions = jax.device_put((START, known(), seen, given.actions))
    infer = functools.partial(
        lm.infer,
        transition=transition,
        params=theta,
        start=start,
        potentials=told,
        actions=actions,
        how=how,
    )
    paths = compiled(jax.vmap(infer))(jax.random.split(KEY, 20_000))
    error = 4 * np.std(paths.log_ratio) / np.sqrt(20_000)
    np.testing.assert_allclose(-np.mean(paths.log_ratio), np.mean(paths.divergence), atol=error)
    # E_q[p/q] = 1 says that both are normalised.
    np.testing.assert_allclose(np.mean(np.exp(paths.log_ratio)), 1, atol=0.05)
    if how == "smoothed":
        wanted = compiled(lambda e, seen: gaussian.smooth(exact_chain(e), seen))(given, seen).states
        np.testing.assert_allclose(paths.law.states.mean[0], wanted.mean, atol=1e-12)
        np.testing.assert_allclose(np.mean(paths.states, axis=0), wanted.mean, atol=0.02)


def test_the_training_bound_is_the_evidence_on_average():
    costs = np.cos(np.arange(5.0))
    latent = model(lm.mniw(2, 1))
    given, theta = jax.device_put((episode(5, costs), params(certain())))

    def one(key):
        few = lm.evidence_bound(key, latent, theta, given, pictures=2)[0]
        return lm.evidence_bound(key, latent, theta, given)[0], few.pictures

    parts, few = compiled(jax.vmap(one))(jax.random.split(KEY, 5000))
    shown = np.asarray(parts.pictures - parts.divergence)
    error = 4 * np.std(shown) / np.sqrt(5000)
    np.testing.assert_allclose(np.mean(shown), exact_evidence(episode(5)), atol=error)
    error = 4 * np.std(few) / np.sqrt(5000)
    np.testing.assert_allclose(np.mean(few), np.mean(parts.pictures), atol=error)


def test_costs_are_normal_about_a_quadratic_function():
    costs = np.cos(np.arange(5.0))
    given = episode(5, costs)
    x = np.concatenate([given.images[:-1], given.actions], axis=1)
    wanted = 0.045 * np.sum(x**2, axis=1) + np.sum(x, axis=1) + 1
    found = compiled(lm.log_paid)(params(None), given.images[:-1], given)
    wanted = -0.5 * (costs - wanted) ** 2 - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_natural_steps_of_full_size_never_lower_the_bound():
    """EM between q(s) and q(F, Σ), on one batch of all episodes."""
    transition, rng = lm.mniw(2, 1), np.random.default_rng(0)
    latent = model(transition)
    images = np.cumsum(rng.normal(size=(6, 9, 2)), axis=1)
    given = PictureEpisodes(jnp.asarray(images), jnp.asarray(rng.normal(size=(6, 8, 1))), None)
    learn = transition.conjugate

    @jax.jit
    def step(q):
        def one(images, actions):
            seen = lm.potentials(latent, params(q), images)
            start = Moments(jnp.zeros(2), jnp.eye(2))
            path = lm.expected_path(KEY, transition, q, start, seen, actions)
            return path.law.log_evidence, path.law

        value, laws = jax.vmap(one)(given.images, given.actions)
        total = jnp.sum(value) - learn.divergence(q)
        return learn.update(q, laws, given.actions, 1.0, jnp.asarray(6.0)), total

    q, totals = transition.init(KEY), []
    for _ in range(8):
        q, total = step(q)
        totals.append(float(total))
    assert np.all(np.diff(totals) > -1e-9)
    assert totals[-1] - totals[0] > 1
    drawn = jax.jit(learn.draw)(KEY, q)
    assert drawn.matrix.shape == (2, 4)
    np.testing.assert_allclose(learn.mean(q).matrix, mniw.to_moments(q).mean)


def test_embed_to_controls_objective_is_that_of_its_equations():
    given, latent = episode(3), model(lm.linear(2, 1), 0.2)
    on = jax.device_put((params(known()), given))
    objective = compiled(jax.vmap(lambda key: lm.e2c_objective(key, latent, *on, consistency=0.7)))
    parts = objective(jax.random.split(KEY, 4000))
    A, B, eye = F[:, :2], F[:, 2:3], np.eye(2)
    apart, shown = 0.0, 0.0

    def kl(mean, covariance, other_mean, other_variance):
        squares = np.trace(covariance) + np.sum((mean - other_mean) ** 2)
        volumes = 2 * np.log(other_variance) - np.linalg.slogdet(covariance)[1]
        return (squares / other_variance - 2 + volumes) / 2

    images = given.images
    for before, after, action in zip(images[:-1], images[1:], given.actions, strict=True):
        mean, covariance = A @ before + B @ action, 0.2 * A @ A.T + NOISE
        apart += kl(before, 0.2 * eye, 0.0, 1.0) + 0.7 * kl(mean, covariance, after, 0.2)
        for where, centre, spread in ((before, before, 0.2 * eye), (after, mean, covariance)):
            squares = np.sum((where - centre) ** 2) + np.trace(spread)
            shown -= squares / (2 * SEEN**2) + 2 * np.log(SEEN) + np.log(2 * np.pi)
    np.testing.assert_allclose(parts.divergence, np.full(4000, apart), rtol=1e-10)
    error = 4 * np.std(parts.pictures) / np.sqrt(4000)
    np.testing.assert_allclose(np.mean(parts.pictures), shown, atol=error)


def test_filtering_is_kalmans_where_the_transition_is_linear():
    given = episode()
    wanted = exact_filter(given).updated
    for transition, theta in LINEAR.values():
        theta = compiled(functools.partial(lm.settled, transition))(theta())
        run = jax.jit(functools.partial(lm.filter_states, KEY, model(transition)))
        found = run(params(None), theta, given.images, given.actions).law
        np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-9)
        np.testing.assert_allclose(found.covariance, wanted.covariance, atol=1e-9)


def test_particles_of_a_filter_have_the_laws_of_paths_step_by_step():
    given, transition = jax.device_put(episode(4)), lm.linear(2, 1)._replace(linear=False)
    latent, keys = model(transition), jax.random.split(KEY, 20_000)
    start, theta, told = jax.device_put((START, known(), params(None)))

    def both(key):
        seen = lm.potentials(latent, told, given.images)
        found = lm.filter_states(key, latent, told, theta, given.images, given.actions)
        path = lm.infer(key, transition, theta, start, seen, given.actions, "steps")
        return found.law, path.states

    found, paths = compiled(jax.vmap(both))(keys)
    np.testing.assert_allclose(np.mean(found.mean, axis=0), np.mean(paths, axis=0), atol=0.01)
    spread = np.var(found.mean, axis=0) + np.mean(
        np.diagonal(found.covariance, axis1=2, axis2=3), 0
    )
    np.testing.assert_allclose(spread, np.var(paths, axis=0), rtol=0.05)


def test_predictions_have_the_moments_and_likelihoods_of_kalmans():
    given, transition, horizon = episode(6), lm.linear(2, 1), 3
    latent = model(transition)
    updated = exact_filter(given).updated
    laws = []  # of the state at each distance, for each beginning
    for begin in range(4):
        mean, covariance = updated.mean[begin], updated.covariance[begin]
        for step in range(horizon):
            mean = F[:, :2] @ mean + F[:, 2] * given.actions[begin + step, 0]
            covariance = F[:, :2] @ covariance @ F[:, :2].T + NOISE
            laws.append((mean, covariance))
    belief = lm.Belief((), jax.tree.map(lambda x: x[0], updated))
    on = jax.device_put((known(), belief, given.actions[:horizon]))
    predict = compiled(jax.vmap(lambda key: lm.predict(key, transition, *on)))
    paths = predict(jax.random.split(KEY, 40_000))
    for step in range(horizon):
        mean, covariance = laws[step]
        np.testing.assert_allclose(np.mean(paths[:, step], axis=0), mean, atol=0.01)
        np.testing.assert_allclose(np.cov(paths[:, step].T), covariance, atol=0.01)
    nll = np.zeros(horizon)
    for number, (mean, covariance) in enumerate(laws):
        begin, step = divmod(number, horizon)
        spread = covariance + SEEN**2 * np.eye(2)
        error = given.images[begin + step + 1] - mean
        squares = error @ np.linalg.solve(spread, error) + np.linalg.slogdet(2 * np.pi * spread)[1]
        nll[step] += squares / 2 / 4
    run = compiled(lambda p, e: lm.prediction_nll(KEY, latent, p, e, horizon, 5000))
    np.testing.assert_allclose(run(params(known()), given), nll, atol=0.05)
    with pytest.raises(ValueError, match="horizon is 7"):
        lm.prediction_nll(KEY, latent, params(known()), given, 7, 2)


def test_what_does_not_fit_is_refused():
    start, recurrent = Moments(jnp.zeros(2), jnp.eye(2)), lm.rssm(2, 1, memory=3)
    with pytest.raises(ValueError, match="no matrices"):
        jax.eval_shape(
            lambda key: lm.e2c_objective(
                key, model(recurrent), params(recurrent.init(key)), episode(3)
            ),
            KEY,
        )
    with pytest.raises(ValueError, match="not conjugate"):
        lm.expected_path(
            KEY, lm.linear(2, 1), known(), start, gaussian.flat((3, 2)), jnp.zeros((2, 1))
        )
