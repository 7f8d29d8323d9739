"""Recorded episodes of the registry: what they are worth, by the true system and by none."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled

from rlsuite import run
from rlsuite.algorithms import latent_models as lm
from rlsuite.data.pictures import collect, to_light, wander
from rlsuite.envs import pixels
from rlsuite.problems import latent_models as problems

SYSTEM = problems.ENTRY.problems["linear-system"]
F = np.asarray([[0.9, 0.2, 0.0, 0.0], [-0.1, 0.8, 0.5, 0.0]])
NOISE = np.asarray([[0.1, 0.02], [0.02, 0.05]])


def test_the_best_score_is_that_of_the_true_system():
    problem, root = problems.linear_system(), np.linalg.cholesky(NOISE)
    config = dataclasses.replace(SYSTEM.config, transition="linear")
    theta = lm.LinearParams(*(jnp.asarray(x) for x in (F, np.log(np.diag(root)), root)))
    model = problems.seen_directly(problem, config)
    params = lm.init_params(jax.random.key(0), model, problem.training)
    params = params._replace(transition=theta)

    @jax.jit
    def mean_evidence(params):
        one = jax.vmap(lambda key, e: lm.bounds(key, model, params, e, 1).iwae)
        return jnp.mean(one(jax.random.split(jax.random.key(1), 20), problem.held_out))

    known = SYSTEM.baselines(problem)
    np.testing.assert_allclose(mean_evidence(params), known["optimal"], rtol=1e-5)
    assert known["random"] < known["optimal"] - 5


def test_a_model_that_sees_directly_has_the_configs_transition():
    problem = problems.linear_system()
    for name in ("linear", "e2c", "rssm"):
        config = dataclasses.replace(SYSTEM.config, transition=name)
        transition = problems.seen_directly(problem, config).transition
        wanted = lm.transition_of(config, 1, 5)
        shapes = [jax.eval_shape(t.init, jax.random.key(0)) for t in (transition, wanted)]
        assert shapes[0] == shapes[1]
    with pytest.raises(ValueError, match="'size' is 3; allowed with this problem: 2"):
        problems.seen_directly(problem, dataclasses.replace(SYSTEM.config, size=3))


def test_pictures_are_worth_what_their_mean_says():
    problem = problems.pixel_episodes(6, 3, 9)
    assert problem.training.images.shape == (6, 10, 16, 16, 1)
    assert problem.training.images.dtype == jnp.uint8
    assert problem.held_out.actions.shape == (3, 9, 2)
    assert np.all(np.abs(problem.training.actions) <= 1)
    light, others = (np.asarray(to_light(part.images)) for part in problem)
    p = np.clip(light.mean((0, 1)), 1e-3, 0.999)
    wanted = np.sum(jax.scipy.stats.bernoulli.logpmf(1, p) * others.sum((0, 1)))
    wanted += np.sum(jax.scipy.stats.bernoulli.logpmf(0, p) * (1 - others).sum((0, 1)))
    paid, costs = (np.asarray(part.costs) for part in problem)
    wanted += np.sum(jax.scipy.stats.norm.logpdf(costs, paid.mean(), paid.std()))
    found = problems.picture_evidence(problem)["random"]
    np.testing.assert_allclose(found, wanted / 3, rtol=1e-4)


def test_what_is_foreseen_is_drawn_beside_the_truth():
    problem, known = problems.pixel_episodes(2, 1, 9), problems.ENTRY.problems["pixel-navigation-1"]
    config = dataclasses.replace(known.config, transition="linear")
    model = lm.default_model(problem, config)
    params = jax.jit(lambda key: lm.init_params(key, model, problem.training))(jax.random.key(0))
    state = lm.State(params, (), jnp.int32(0))
    panels = known.draw(problem, config, state).axes
    assert [axes.get_title() for axes in panels] == 2 * [f"step {time}" for time in range(4, 10)]
    shown = np.stack([np.asarray(axes.images[0].get_array()) for axes in panels])
    np.testing.assert_array_equal(shown[:6], to_light(problem.held_out.images[0, 4:, ..., 0]))
    assert np.all((shown[6:] > 0) & (shown[6:] < 1))


@pytest.mark.parametrize("sight", ["whitened", "moving"])
def test_prepared_states_begin_as_principal_components_of_places(sight):
    """And a background begins as the mean of the pictures."""
    recorded = problems.pixel_episodes(count=20, held_out=1)
    images = recorded.training.images
    model = lm.default_model(recorded, lm.Config(sight=sight, size=2))

    @jax.jit
    def begun(key):
        params = lm.init_params(key, model, recorded.training)
        states, _ = model.encoder.apply(params.encoder, to_light(images))
        return states.reshape(-1, 2), params

    states, params = begun(jax.random.key(0))
    np.testing.assert_allclose(np.mean(states, axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(states.T), np.eye(2), atol=1e-2)
    if sight == "moving":
        mean = np.mean(to_light(images), axis=(0, 1))
        np.testing.assert_allclose(params.encoder.background, mean, atol=1e-6)
        drawn = jax.nn.sigmoid(params.decoder.background)
        np.testing.assert_allclose(drawn, np.clip(mean, 0.01, 0.99), atol=1e-6)


def test_convolutions_see_how_a_rod_is_turned():
    pendulum = pixels.pixel_pendulum("swing-up", side=16, frames=1, steps=6)
    anyhow = pixels.scattered(pendulum, (-np.pi, -9.0), (np.pi, 9.0))

    def angle(inner):
        return inner.states[-1, 0]

    walk = compiled(lambda key: collect(anyhow, *wander(1, 0.5), key, 160, 6, angle))
    shown, angles = walk(jax.random.key(0))
    recorded = lm.Recorded(*(jax.tree.map(part, shown) for part in (_early, _late)))
    config = lm.Config(
        "full",
        how="steps",
        sight="convolutional",
        size=4,
        learning_rate=3e-3,
        temper=1.0,
        horizon=3,
    )
    state = run(lm.make, recorded, config, jax.random.key(1), 250, progress=False).state
    encoder = lm.default_model(recorded, config).encoder
    look = compiled(lambda params, images: encoder.apply(params, to_light(images)))
    seen, _ = look(state.params.encoder, shown.images[:, 1:])
    told = np.concatenate([seen, np.ones_like(seen[..., :1])], axis=-1)
    wanted = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    linear, *_ = np.linalg.lstsq(_early(told).reshape(-1, 5), _early(wanted).reshape(-1, 2))
    left = np.mean(np.square(_late(told) @ linear - _late(wanted)))
    assert left < 0.1 * np.var(_late(wanted))


def _early(x):
    return x[:120]


def _late(x):
    return x[120:]


def test_sights_are_of_pictures():
    config = dataclasses.replace(SYSTEM.config, sight="moving")
    with pytest.raises(ValueError, match=r"'sight' is 'moving'; allowed with .* vectors: 'plain'"):
        lm.default_model(problems.linear_system(), config)
