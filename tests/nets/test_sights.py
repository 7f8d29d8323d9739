"""Places in pictures, and pictures of places."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.data.pictures import to_bytes, to_light
from rlsuite.nets import costs
from rlsuite.nets.sights import (
    Convolution,
    ConvolutionalEncoder,
    CoordinateDecoder,
    PlacesEncoder,
    SpatialSoftmax,
    bounded,
    log_likelihood,
    whitened,
)
from rlsuite.ops import gaussian, lqr, structured_inference


def new(layer, key, first, x):
    """(what a network says of x, its parameters), of one that begins by the first."""

    @jax.jit
    def build(key, first, x):
        params = layer.init(key, first)
        return layer.apply(params, x), params

    return build(jax.random.key(key), first, x)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_is_that_of_xla(stride):
    x = jax.random.normal(jax.random.key(0), (2, 8, 6, 3))
    found, params = new(Convolution(4, 5, stride), 1, x, x)
    weights = params["params"]["Dense_0"]["kernel"].reshape(5, 5, 3, 4)
    wanted = jax.lax.conv_general_dilated(
        x, weights, (stride, stride), ((2, 2), (2, 2)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_places_are_where_features_are():
    dark = jnp.zeros((3, 9, 9, 2))
    lit = dark.at[0, 4, 4, 0].set(5.0).at[1, 0, 8, 0].set(5.0).at[1, 8, 2, 1].set(5.0)
    (places, bright), _ = new(SpatialSoftmax(), 0, lit, lit)
    np.testing.assert_allclose(places[0, :2], [0, 0], atol=1e-5)
    np.testing.assert_allclose(places[1], [1, -1, -0.5, 1], atol=1e-5)
    np.testing.assert_allclose(bright, [[5, 0], [5, 5], [0, 0]], atol=1e-4)


@pytest.mark.parametrize("encoder", [PlacesEncoder(2), ConvolutionalEncoder(2, units=8)])
def test_of_what_was_never_seen_nothing_is_as_good_as_known(encoder):
    """Unless precisions are bounded, the divergence of such states is off by 1e9 in float32."""
    x = jnp.linspace(0, 1, 4 * 12 * 12).reshape(4, 12, 12, 1)
    (_, usual), params = new(encoder, 0, x, x)
    away = 1e4 * jnp.ones_like(params["params"]["log_precision"]["bias"])
    params["params"]["log_precision"]["bias"] = away
    _, sure = jax.jit(encoder.apply)(params, x)
    np.testing.assert_allclose(sure, 12, rtol=1e-6)
    np.testing.assert_array_less(usual, 8)

    def divergence(told):
        steps, n = told.shape
        time = jnp.arange(steps, dtype=told.dtype)
        mean = 3 * jnp.sin(time)[:, None] * jnp.ones(n, told.dtype)
        eye = jnp.eye(n, dtype=told.dtype)
        model = gaussian.time_invariant(
            gaussian.Moments(jnp.zeros(n, told.dtype), eye),
            0.9 * eye,
            0.01 * eye,
            jnp.zeros((steps - 1, n), told.dtype),
        )
        potential = gaussian.diagonal(mean, jnp.exp(-told))
        found = gaussian.smooth(model, potential)
        expected = structured_inference.expected_value(potential, found.states)
        return expected.sum() - found.log_evidence

    raw = np.array([[5.0, 4], [35, 30], [6, 35], [35, 34], [5, 5]], np.float32)
    single = jax.jit(lambda raw: divergence(bounded(raw)))(raw)
    with jax.enable_x64(True):
        exact = jax.jit(lambda raw: divergence(bounded(raw)))(raw.astype(np.float64))
    assert single == pytest.approx(float(exact), rel=1e-3)


def test_a_thing_that_moves_moves_a_state_along_a_line():
    """Before anything is learned: what the first layer finds is found anywhere."""

    def spot(at):
        rows, columns = jnp.meshgrid(jnp.arange(24.0), jnp.arange(24.0), indexing="ij")
        return jnp.exp(-((rows - at[0]) ** 2 + (columns - at[1]) ** 2) / 6)[..., None]

    ways = jnp.asarray([[8.0 + 2 * k, 16.0 - 2 * k] for k in range(5)])
    images = jax.vmap(spot)(ways)
    (mean, _), _ = new(PlacesEncoder(2), 0, images[0], images)
    steps = np.diff(mean, axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to(steps.mean(0), steps.shape), atol=0.02)
    assert np.abs(steps.mean(0)).max() > 0.02


def test_a_whitened_encoder_sees_every_direction_alike():
    """A thing that moves ten times as far to the right as down is seen to vary as much in both."""

    def spot(at):
        rows, columns = jnp.meshgrid(jnp.arange(32.0), jnp.arange(32.0), indexing="ij")
        return jnp.exp(-((rows - at[0]) ** 2 + (columns - at[1]) ** 2) / 6)[..., None]

    ways = np.random.default_rng(0).uniform([15.0, 6.0], [17.0, 26.0], size=(200, 2))
    images = jax.jit(jax.vmap(spot))(ways)
    encoder = PlacesEncoder(2)
    params = jax.jit(encoder.init)(jax.random.key(4), images[0])
    params = jax.jit(functools.partial(whitened, encoder))(params, images)
    mean, _ = jax.jit(encoder.apply)(params, images)
    np.testing.assert_allclose(np.cov(mean.T, bias=True), np.eye(2), atol=2e-3)
    inputs = np.column_stack([mean, np.ones(200)])
    mapped = inputs @ np.linalg.lstsq(inputs, ways, rcond=None)[0]
    assert np.all(np.var(mapped - ways, axis=0) < 0.2 * np.var(ways, axis=0))


def test_decoders_and_encoders_have_the_shapes_they_name():
    drawn, _ = new(CoordinateDecoder((6, 5, 3), (4,)), 0, jnp.zeros(2), jnp.zeros((7, 2)))
    assert drawn.shape == (7, 6, 5, 3)
    assert float(drawn.mean()) < -1  # Dark at first.
    encoder = ConvolutionalEncoder(3, (4, 2), (3, 3), (2, 2), 8)
    images = jax.random.uniform(jax.random.key(1), (7, 8, 8, 1))
    (mean, log_precision), _ = new(encoder, 2, images[0], images)
    assert mean.shape == log_precision.shape == (7, 3)


def test_likelihoods_are_those_of_their_laws():
    logits = jnp.asarray([[0.3, -1.0], [2.0, 0.0]])
    image = jnp.asarray([[0.0, 1.0], [1.0, 0.25]])
    p = jax.nn.sigmoid(logits)
    wanted = jnp.sum(image * jnp.log(p) + (1 - image) * jnp.log(1 - p))
    np.testing.assert_allclose(log_likelihood("bernoulli", logits, image), wanted, rtol=1e-5)
    normal = jax.scipy.stats.norm.logpdf(image, p, 0.1).sum()
    np.testing.assert_allclose(log_likelihood("gaussian", logits, image), normal, rtol=1e-5)


def test_bytes_keep_light_to_half_a_step():
    light = jnp.linspace(0, 1, 300)
    kept = to_bytes(light)
    assert kept.dtype == jnp.uint8
    np.testing.assert_allclose(to_light(kept), light, atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(to_light(light), light)


def test_learned_costs_are_convex_quadratics():
    start = costs.start_cost(3, jnp.asarray([[1.0, 3.0], [5.0, 7.0]]))
    assert float(start.constant) == 4.0
    root = jax.random.normal(jax.random.key(0), (3, 3))
    cost = start._replace(root=root, slope=jnp.asarray([1.0, -1.0, 0.5]))
    at = jax.random.normal(jax.random.key(1), (5, 3))
    paid, deviation = jnp.arange(5.0), jnp.exp(cost.log_deviation)

    @jax.jit
    def values(cost):
        quadratic = costs.quadratic(cost)
        plain = lqr.evaluate(quadratic, at)
        return quadratic, plain, costs.mean_cost(cost, at), costs.log_paid(cost, at, paid)

    quadratic, plain, mean, logs = values(cost)
    assert np.linalg.eigvalsh(quadratic.hessian).min() > -1e-6
    np.testing.assert_allclose(mean, plain, rtol=1e-5)
    wanted = jax.scipy.stats.norm.logpdf(paid, plain, deviation)
    np.testing.assert_allclose(logs, wanted, rtol=1e-5)
