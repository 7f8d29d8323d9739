"""The parts of the study of Dreamer against known answers, and the whole in miniature."""

import dataclasses
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from rlsuite.algorithms.dreamer.algorithm import world_of
from rlsuite.algorithms.dreamer.dynamics import Dynamics, Outcome
from rlsuite.algorithms.dreamer.world import Inferred, WorldModel
from rlsuite.envs.control import control
from rlsuite.io.reports import slug
from rlsuite.io.stages import Stages
from rlsuite.ops.distributions import Deterministic, DiagonalNormal
from rlsuite.studies import summaries
from rlsuite.studies.dreamer import (
    claims,
    efficiency,
    exploitation,
    gradients,
    models,
    open_loop,
    sweep,
)

PENDULUM = control("Pendulum-v1")
SMALL = dataclasses.replace(
    exploitation.CONFIG,
    prefill=20,
    model=dataclasses.replace(exploitation.CONFIG.model, units=16),
)


def cells(table):
    return [[cell.text for cell in row] for row in table.rows]


def perfect_world():
    """The pendulum's equations on its observation, written down a second time."""

    def transition(params, key, state, action):
        cos, sin, speed = state[..., 0], state[..., 1], state[..., 2]
        torque = 2 * jnp.clip(action[..., 0], -1, 1)
        speed = jnp.clip(speed + (15 * sin + 3 * torque) * 0.05, -8, 8)
        theta = jnp.arctan2(sin, cos) + 0.05 * speed
        return Deterministic(jnp.stack([jnp.cos(theta), jnp.sin(theta), speed], axis=-1))

    def outcome(params, state, action, after):
        theta = jnp.arctan2(state[..., 1], state[..., 0])
        torque = 2 * jnp.clip(action[..., 0], -1, 1)
        cost = theta**2 + 0.1 * state[..., 2] ** 2 + 0.001 * torque**2
        return Outcome(Deterministic(-cost), Deterministic(jnp.ones_like(cost)))

    own = world_of(PENDULUM, SMALL.model)
    dynamics = Dynamics(transition, outcome, own.dynamics.features)
    return WorldModel(lambda key: {}, own.initial, own.observe, own.infer, dynamics, own.decode)


def a_policy(key, features, mask):
    return jnp.tanh(features[..., 1:2] - 0.3 * features[..., 2:])


def test_a_perfect_model_keeps_its_promise_and_a_generous_one_does_not():
    world = perfect_world()
    judge = jax.jit(lambda key: models.promise(PENDULUM, world, a_policy, key, 8, 60))
    kept = judge(jax.random.key(0))
    assert abs(float(kept.gap)) < 1e-3 * abs(float(kept.real))

    def generous(params, state, action, after):
        outcome = perfect_world().dynamics.outcome(params, state, action, after)
        return outcome._replace(reward=Deterministic(outcome.reward.mean() + 1.0))

    world = world._replace(dynamics=world.dynamics._replace(outcome=generous))
    promised = jax.jit(lambda key: models.promise(PENDULUM, world, a_policy, key, 8, 60))
    assert float(promised(jax.random.key(0)).gap) == pytest.approx(60.0, abs=0.2)


def test_random_actions_are_held_and_no_episode_is_mixed():
    data = jax.jit(lambda key: models.collect(PENDULUM, key, 450, 8))(jax.random.key(0))
    action, first = np.asarray(data.rows.action[..., 0]), np.asarray(data.rows.timestep.is_first)
    same = (action[1:] == action[:-1]) & ~first[1:]
    assert abs(same.sum() / (~first[1:]).sum() - models.HOLD) < 0.03
    assert set(np.nonzero(first)[0]) == {0, 201, 402}
    assert np.abs(action).max() <= 1


def test_a_frozen_model_without_noise_follows_its_modes_and_clips_actions():
    world = world_of(PENDULUM, SMALL.model)
    state, action = jnp.asarray([1.0, 0.0, 0.5]), jnp.asarray([3.0])

    @jax.jit
    def transitions():
        params = world.init(jax.random.key(0))
        keys = jax.random.split(jax.random.key(2), 4000)
        draws = []
        for noise in (0.0, 1.0):
            frozen = models.frozen(world, params, PENDULUM.actions, noise)
            following = frozen.dynamics.transition({}, jax.random.key(1), state, action)
            draws.append(jax.vmap(following.sample)(keys))
        own = world.dynamics.transition(params, jax.random.key(1), state, jnp.ones(1))
        return own, draws

    own, both = jax.tree.map(lambda x: np.asarray(x, float), transitions())
    for noise, draws in zip((0.0, 1.0), both, strict=True):
        np.testing.assert_allclose(draws.std(axis=0), noise * own.scale, rtol=0.06, atol=1e-6)
        np.testing.assert_allclose(draws.mean(axis=0), own.loc, atol=0.05)


def test_more_data_make_better_models_and_a_stage_is_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(exploitation, "CONFIG", dataclasses.replace(SMALL, prefill=100))
    sizes = exploitation.Sizes((160, 1000), ("one model",), 300, 100, 2)
    found = exploitation.fitted("one model", sizes, 2, Stages(tmp_path))
    assert (found.errors[1] < found.errors[0]).all()
    assert (found.errors[1] < 0.5).all()
    np.testing.assert_array_equal(found.states.replay.written, [[16, 16], [100, 100]])
    monkeypatch.setattr(exploitation, "run", None)
    again = exploitation.fitted("one model", sizes, 2, Stages(tmp_path, resume=True))
    jax.tree.map(np.testing.assert_array_equal, again.states, found.states)


def test_a_model_is_not_fitted_to_less_than_a_sequence():
    sizes = exploitation.Sizes((1000, 159), ("one model",), 1, 100, 1)
    with pytest.raises(ValueError, match="amounts has 159; allowed: at least 160, one sequence"):
        exploitation.fitted("one model", sizes, 1, Stages())


@pytest.fixture(scope="module")
def line():
    """S' = s + a + noise, r = −s'², a = θ features: every gradient is known."""

    def outcome(params, state, action, after):
        reward = -jnp.sum(after**2, axis=-1)
        return Outcome(Deterministic(reward), Deterministic(jnp.ones_like(reward)))

    dynamics = Dynamics(
        lambda params, key, state, action: DiagonalNormal(
            state + action, jnp.full_like(state, 0.1)
        ),
        outcome,
        lambda params, state: state,
    )

    def policy(params, seen):
        return DiagonalNormal(params * seen, jnp.full_like(seen, 0.3))

    def of(estimator):
        def found(key):
            return gradients.estimate(
                dynamics,
                policy,
                jnp.asarray(-0.5),
                lambda key: jnp.ones(1),
                key,
                estimator=estimator,
                num_batches=250,
                discount=0.9,
                horizons=(1, 2),
            )

        return jax.jit(found)(jax.random.key(0))

    return {name: of(name) for name in gradients.ESTIMATORS}


def line_gradients(theta=-0.5, variance=0.1):
    """d/dθ of −E s_1² and of −E s_1² − γ E s_2²; E s² → (1+θ)² E s² + variance."""
    k = 1 + theta
    first = -2 * k
    return np.asarray([first, first - 0.9 * (4 * k**3 + 2 * k * variance)])


@pytest.mark.parametrize("name", gradients.ESTIMATORS)
def test_both_estimators_have_the_true_gradient_as_their_mean(line, name):
    found = line[name]
    error = 4 * np.sqrt(found.variance() / (250 * gradients.STARTS * gradients.ROLLOUTS))
    assert (np.abs(found.means.mean(axis=0)[:, 0] - line_gradients()) < error).all()


def test_the_score_function_varies_more_and_a_variance_is_one_trajectory_s(line):
    assert (line["REINFORCE"].variance() > 3 * line["dynamics"].variance()).all()
    # g = −2 s_1 s_0 at horizon 1, with s_1 = 0.5 + noise of variance 0.1.
    assert float(line["dynamics"].variance()[0]) == pytest.approx(0.4, rel=0.05)


def test_the_true_gradient_agrees_with_itself(line):
    found = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], line["dynamics"])
    truth = found.means.mean(axis=1)
    variance, _, whole = gradients._against(found, truth)
    np.testing.assert_allclose(whole, 1.0, atol=1e-6)
    expected = found.means[0, :, :, 0].mean(axis=0) ** 2 * variance[0]
    np.testing.assert_allclose(expected, line["dynamics"].variance(), rtol=1e-5)


def test_errors_of_known_predictions():
    time = np.arange(12.0)
    truth = np.stack([time, -time])[..., None]
    deviation = truth.std()
    errors = open_loop.errors_of(truth, truth, context=4)
    np.testing.assert_allclose(errors.model, 0)
    np.testing.assert_allclose(errors.persistence, np.arange(1, 9) / deviation)
    np.testing.assert_allclose(errors.mean, time[4:] / deviation)
    np.testing.assert_allclose(errors.spread, 1)
    collapsed = open_loop.errors_of(truth, 0 * truth, context=4)
    np.testing.assert_allclose(collapsed.model, collapsed.mean)
    np.testing.assert_allclose(collapsed.spread, 0)


def test_an_open_loop_prediction_sees_its_context_and_then_only_actions():
    world = perfect_world()
    data = jax.jit(lambda key: models.collect(PENDULUM, key, 30, 4).rows)(jax.random.key(3))
    rows = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), data)

    def infer(params, key, before, actions, timesteps, stored):
        return Inferred(jnp.zeros(()), timesteps.observation, {})

    blind = rows.timestep.observation.at[:, 5:].set(jnp.nan)
    told = rows._replace(timestep=rows.timestep._replace(observation=blind))
    predict = jax.jit(lambda *given: open_loop.predict(world._replace(infer=infer), {}, *given))
    seen = predict(jax.random.key(0), told)
    np.testing.assert_allclose(seen, rows.timestep.observation, atol=2e-3)


def test_steps_to_a_return_are_counted_seed_by_seed():
    curves = efficiency.Curves(
        100.0 * np.arange(1, 9),
        np.asarray([[0.0, 5, 5, 5, 5, 5, 5, 1], [5.0, 5, 5, 4.9, 5, 5, 5, 5]]),
    )
    assert efficiency.first_above(curves, 5.0).tolist() == [200.0, np.inf]
    assert efficiency.first_above(curves, 5.0, in_a_row=4).tolist() == [200.0, 500.0]
    assert efficiency.first_above(curves, 0.0, in_a_row=9).tolist() == [np.inf, np.inf]
    contest = efficiency.Contest("line", 4.0, 300, 2)
    slow = curves._replace(steps=10 * curves.steps)
    row = cells(efficiency._table([(contest, curves, slow)]))[0]
    assert row[:5] == ["line", "4", "100, 200", "1,000, 2,000", "10"]


def test_an_interval_covers_the_middle_of_many_seeds():
    values = np.random.default_rng(0).normal(size=(40, 100))
    found = summaries.summary(values)
    assert abs(np.mean((found.low <= 0) & (found.high >= 0)) - 0.95) < 0.06


def test_the_sweep_has_every_pair_once():
    sizes = sweep.Sizes((0.0, 0.9), (3, 15), 100, 1)
    found = sweep.config_of(sizes).behaviour
    pairs = list(zip(found.lambda_.tolist(), found.reach.tolist(), strict=True))
    assert pairs == [(0.0, 3.0), (0.0, 15.0), (0.9, 3.0), (0.9, 15.0)]
    assert found.horizon == 15


class Given(Stages):
    """Made-up results in place of every stage that trains for long."""

    def __call__(self, name, identity, compute):
        return given(name)


def given(name):
    shapes = {"imagined": (2, 2, 2), "real": (2, 2, 2), "returns": (2, 2, 1)}
    noise = np.random.default_rng(len(name))
    kind = slug(name)
    if kind.startswith("policies"):
        imagined = -np.ones(shapes["imagined"])
        return {"imagined": imagined, "real": imagined * np.asarray([5.0, 2.0])[:, None, None]}
    if kind == "sweep":
        return {"returns": -noise.random(shapes["returns"])}
    if kind == "gradients":
        shape = (3, 2, 2, len(gradients.HORIZONS))
        values = noise.random(shape) + 0.1
        values[:, 1] = 7 * values[:, 0]
        return dict.fromkeys(gradients.Measured._fields, values)
    if kind.startswith("open-loop"):
        shape = (4, 50, 16, 16, 3) if "pixels" in kind else (4, 50, 3)
        truth = noise.random(shape)
        errors = open_loop.errors_of(truth, truth)._asdict()
        return {"truth": truth, "predicted": truth, **errors}
    returns = np.asarray([-1000.0, -500] + 6 * [-100]) * np.ones((2, 1))
    each = 500.0 if kind.startswith("dreamer") else 3000.0
    return {"steps": each * np.arange(1, 9), "returns": returns}


@pytest.fixture(scope="module")
def report():
    with pytest.MonkeyPatch.context() as patch:
        fitted = exploitation.Fitted(SMALL, None, np.zeros((2, 2)))
        patch.setattr(exploitation, "fitted", lambda *_: fitted)
        return claims.STUDY.run(quick=True, num_seeds=None, stages=Given())


def test_results_stand_where_they_belong(report):
    contest, frozen, ahead, gradient, pairs = report.sections
    assert cells(contest.tables[0])[0][4] == "6"
    gaps = [row[-1] for row in cells(frozen.tables[0])]
    assert gaps == ["4 (4 … 4)", "1 (1 … 1)"] * 2
    assert cells(frozen.tables[1]) == [["one model", "4 of 4", "4 of 4", "3 (3 … 3)"]]
    assert {row[2] for row in cells(ahead.tables[0]) if row[1] == "model"} == {"0"}
    assert {row[2] for row in cells(gradient.tables[0])} == {"7"}
    assert len(cells(pairs.tables[0])) == 2


def test_figures_are_pictures_and_the_animation_has_every_step(report):
    pictures = [item for section in report.sections for item in section.pictures]
    kinds = {item.name: item.kind for item in pictures}
    assert kinds.pop("open-loop") == "gif"
    assert set(kinds.values()) == {"png"}
    assert len(kinds) == 7
    film = next(item for item in pictures if item.kind == "gif")
    with Image.open(io.BytesIO(film.data)) as opened:
        assert opened.n_frames == open_loop.LENGTH
