"""What SOLAR's states may be: principal components, places with velocities, what moves."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compiled import compiled

from rlsuite.algorithms import solar
from rlsuite.data.pictures import PictureEpisodes, collect, to_light, wander
from rlsuite.envs.pixels import pixel_navigation, pixel_planar
from rlsuite.nets.costs import start_cost
from rlsuite.nets.network import Network
from rlsuite.nets.sights import components_encoder, principal_components
from rlsuite.ops import mniw
from rlsuite.problems.solar import planar_returns

STILL = optax.sgd(0.0)


@pytest.fixture(autouse=True)
def _doubles():
    with jax.enable_x64(True):
        yield


def normal(key, *shape):
    return np.asarray(jax.random.normal(jax.random.key(key), shape))


def pushed(count=20, steps=20):
    """A place that forces act on, q'' = 0.03 a, in pictures of one pixel that tell it plainly."""
    done = 0.5 * normal(12, count, steps, 1)
    velocity = 0.1 * np.cumsum(np.pad(0.3 * done, ((0, 0), (1, 0), (0, 0))), axis=1)
    place = normal(13, count, 1, 1) + np.cumsum(np.pad(velocity, ((0, 0), (1, 0), (0, 0))), axis=1)
    images = place[:, :-1, :, None, None] + 0.003 * normal(14, count, steps + 1, 1, 1, 1)
    return PictureEpisodes(images, done, np.zeros((count, steps))), velocity


def test_velocities_are_found_that_no_picture_tells():
    def see(params, images):
        del params
        mean = images.reshape(*images.shape[:-3], 1)
        return mean, jnp.full_like(mean, 2 * np.log(300))

    plain = Network(lambda *_: (), see)
    nets = solar.Networks(
        plain, Network(lambda *_: (), lambda _, s: s[..., None, None]), "gaussian"
    )
    assert nets.decoder.apply((), jnp.ones((5, 1))).shape == (5, 1, 1, 1)
    nets = solar.of_places(nets, 2)
    assert nets.decoder.apply((), jnp.ones((5, 2))).shape == (5, 1, 1, 1)
    mean, log_precision = nets.encoder.apply((), jnp.ones((5, 1, 1, 1)))
    np.testing.assert_array_equal(mean, np.tile([1.0, 0.0], (5, 1)))
    assert np.all(log_precision[:, 1] < -5)
    episodes, velocity = pushed()
    config = solar.Config(
        size=2, velocities=True, length=20, batch_size=20, natural_rate=0.5, prior_noise=1e-3
    )
    params = solar.Params(
        (), (), start_cost(3, jnp.asarray(episodes.costs)), np.zeros(2), np.zeros(2)
    )

    @compiled
    def learned():
        known = solar.learning_prior(config, 1)
        first = solar.Learner(params, STILL.init(params), known, jnp.int32(0))

        def one(_, now):
            key = jax.random.key(0)
            return solar.update(nets, STILL, config, now, episodes, jnp.int32(20), key)[0]

        law = mniw.to_moments(jax.lax.fori_loop(0, 400, one, first).known)
        expected = mniw.expected(law)
        seen = jax.vmap(lambda one: solar.states_of(nets, params, expected, one, config))(episodes)
        return law.mean, seen.states.mean

    forward, states = learned()
    state, action = forward[:, :2], forward[:, 2]
    # Where a push leads in two steps, whatever the velocity's units.
    np.testing.assert_allclose((state @ action)[0], 0.03, rtol=0.05)
    assert np.corrcoef(states[..., 1].ravel(), velocity.ravel())[0, 1] > 0.99


def test_the_usual_networks_begin_with_whitened_places_and_no_velocities():
    problem = pixel_navigation(2, side=16, steps=6)
    config = solar.Config(
        size=4,
        velocities=True,
        length=6,
        first_rollouts=30,
        rollouts=1,
        capacity=31,
        exploration=1.0,
    )
    networks = solar.default_networks(problem, config)
    known = compiled(solar.make(problem, config).init)(jax.random.key(0))
    images = to_light(jnp.asarray(known.episodes.images[:30]))
    see = compiled(networks.encoder.apply)
    mean, log_precision = see(known.learner.params.encoder, images.reshape(-1, 16, 16, 1))
    np.testing.assert_allclose(np.cov(mean[:, :2].T, bias=True), np.eye(2), atol=1e-2)
    assert np.all(mean[:, 2:] == 0)
    assert np.all(log_precision[:, 2:] < -5)
    forward = compiled(mniw.to_moments)(known.learner.known).mean
    np.testing.assert_allclose(forward[:2, 2:4], 0.1 * np.eye(2), atol=1e-6)


def test_what_stands_still_is_taken_away_and_drawn_again():
    """In pictures with six discs that never move, where a robot is tells most of what is seen."""
    problem = pixel_planar()
    config = solar.Config(
        size=2, length=40, first_rollouts=12, rollouts=1, capacity=13, exploration=1.0
    )

    @functools.partial(compiled, static_argnums=0)
    def explained(background):
        told = dataclasses.replace(config, background=background)
        networks = solar.default_networks(problem, told)
        episodes, truth = collect(
            problem,
            *wander(2, 1.0),
            jax.random.key(0),
            12,
            40,
            lambda inner: inner.states[-1],
        )
        learner = solar.start_learning(networks, STILL, told, episodes, jax.random.key(1))
        images = to_light(episodes.images)
        mean, _ = networks.encoder.apply(learner.params.encoder, images[:, 1:])
        drawn = networks.decoder.apply(learner.params.decoder, jnp.zeros(2))
        return mean, truth, images, drawn

    shares = []
    for background in (False, True):
        mean, truth, images, drawn = explained(background)
        x = np.concatenate([np.ones((12 * 40, 1)), mean.reshape(-1, 2)], axis=1)
        y = np.asarray(truth).reshape(-1, 2)
        left = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
        shares.append(1 - np.sum(left.var(axis=0)) / np.sum(y.var(axis=0)))
    assert shares[0] < 0.5
    assert shares[1] > 0.95
    still = np.mean(images, axis=(0, 1))
    assert np.all(drawn[still > 0.9] > np.max(drawn[still < 0.1]))


def test_the_straight_line_earns_what_numpy_says():
    found = planar_returns(pixel_planar(goal=(37.0, 37.0)))
    place = np.random.default_rng(0).uniform(3, 7, size=(4000, 2))
    total = np.zeros(4000)
    for _ in range(40):
        action = (37 - place) / 3
        action /= np.maximum(np.abs(action).max(axis=1, keepdims=True), 1)
        total += (10 * np.sum((place - 37) ** 2, axis=1) + np.sum((3 * action) ** 2, axis=1)) / 1600
        place += 3 * action
    assert found["straight"] == pytest.approx(-total.mean(), rel=0.02)
    assert found["random"] < 3 * found["straight"]


def test_principal_components_are_those_of_numpy():
    images = normal(0, 60, 4, 4, 1) * np.arange(1.0, 5.0)[:, None]
    found = compiled(principal_components, static_argnums=1)(images, 3)
    flat = images.reshape(60, 16)
    flat = flat - flat.mean(axis=0)
    _, sizes, rows = np.linalg.svd(flat / np.sqrt(60), full_matrices=False)
    mean, log_precision = compiled(components_encoder(3).apply)(found, images)
    wanted = flat @ (rows[:3].T / sizes[:3])
    np.testing.assert_allclose(np.abs(mean), np.abs(wanted), atol=1e-8)
    np.testing.assert_allclose(mean.std(axis=0), 1.0, atol=1e-8)
    assert np.all(log_precision > 5)
