"""Latent models learn a linear system, by every transition; and plan in it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rlsuite import run
from rlsuite.algorithms import latent_models as lm
from rlsuite.data.pictures import PictureEpisodes, to_light
from rlsuite.nets import Network
from rlsuite.nets.costs import CostParams
from rlsuite.ops import lqr, planning

F = np.asarray([[0.9, 0.2, 0.0, 0.0], [-0.1, 0.8, 0.5, 0.0]])
A, B = F[:, :2], F[:, 2:3]
NOISE = np.asarray([[0.1, 0.02], [0.02, 0.05]])
SEEN = 0.3
STEPS = 8
ENCODER = Network(
    lambda key, x: (), lambda params, x: (x, jnp.full(x.shape, -2 * np.log(SEEN), x.dtype))
)
DECODER = Network(lambda key, x: (), lambda params, x: x)
CONFIG = lm.Config(
    size=2,
    hidden_sizes=(16,),
    bases=4,
    memory=16,
    learning_rate=1e-2,
    natural_rate=0.1,
    temper=1.0,
    pictures=9,
    paths=4,
    batch_size=20,
    horizon=3,
    evaluation_episodes=50,
    evaluation_samples=20,
)


@functools.cache
def recorded(seed, count=100):
    """Episodes of the system, with a quadratic cost."""
    rng, root = np.random.default_rng(seed), np.linalg.cholesky(NOISE)
    states = [rng.normal(size=(count, 2))]
    actions = rng.uniform(-1, 1, size=(count, STEPS, 1))
    for t in range(STEPS):
        pushed = states[-1] @ A.T + actions[:, t] @ B.T
        states.append(pushed + rng.normal(size=(count, 2)) @ root.T)
    states = np.stack(states, axis=1)
    costs = np.sum(states[:, :-1] ** 2, axis=-1) / 2 + 0.1 * actions[..., 0] ** 2
    seen = states + SEEN * rng.normal(size=states.shape)
    noisy = costs + 0.1 * rng.normal(size=costs.shape)
    return PictureEpisodes(*(jnp.asarray(x, jnp.float32) for x in (seen, actions, noisy)))


def problem(costs):
    both = lm.Recorded(recorded(0), recorded(1, 50))
    return both if costs else lm.Recorded(*(e._replace(costs=None) for e in both))


def model_of(transition):
    return lm.LatentModel(ENCODER, DECODER, lm.normal(SEEN), transition, 2)


def make(problem, config):
    return lm.make(
        problem, config, model=lambda _, config: model_of(lm.transition_of(config, 1, STEPS))
    )


def trained(name, num_steps, **changes):
    """(transition, θ) after updates."""
    config = dataclasses.replace(CONFIG, transition=name, **changes)
    transition = lm.transition_of(config, 1, STEPS)

    @jax.jit
    def train(problem):
        algorithm = make(problem, config)

        def step(state, key):
            state, metrics = algorithm.step(key, state)
            return state, metrics

        start = algorithm.init(jax.random.key(0))
        return jax.lax.scan(step, start, jax.random.split(jax.random.key(1), num_steps))

    state, metrics = train(problem(costs=False))
    assert np.all(np.isfinite(metrics.pictures - metrics.divergence))
    return transition, state.params.transition


# How far A, B and the noise are from the true ones at most. Inference step by step does not know
# what comes later, and takes noise for greater than it is, unless it has many paths. Embed to
# control's own objective takes what pictures leave open for noise.
LEARNED = {
    "linear": ("elbo", 0.08, 0.04),
    "dvbf": ("iwae", 0.15, 0.15),
    "e2c": ("e2c", 0.25, 0.25),
    "full": ("e2c", 0.25, 0.25),
}


@pytest.mark.parametrize("name", LEARNED)
def test_the_true_system_is_learned(name):
    objective, of_matrices, of_noise = LEARNED[name]
    transition, theta = trained(name, 400, objective=objective)
    linearize = jax.jit(functools.partial(lm.linearize, transition))
    found = linearize(theta, (), jnp.asarray([0.2, -0.2]), jnp.asarray([0.1]))
    np.testing.assert_allclose(found.state, A, atol=of_matrices)
    np.testing.assert_allclose(found.action, B, atol=of_matrices)
    np.testing.assert_allclose(found.noise, NOISE, atol=of_noise)


@pytest.mark.parametrize("name", ["linear", "mniw"])
def test_the_true_system_is_learned_from_parts_of_episodes(name):
    transition, theta = trained(name, 400, chunk_length=3)
    known = lm.settled(transition, theta)
    found = jax.jit(functools.partial(lm.linearize, transition))(
        known, (), jnp.zeros(2), jnp.zeros(1)
    )
    np.testing.assert_allclose(found.state, A, atol=0.1)
    np.testing.assert_allclose(found.action, B, atol=0.1)
    np.testing.assert_allclose(found.noise, NOISE, atol=0.04)


def test_parts_of_episodes_are_what_belongs_together():
    """A batch of one episode whose numbers tell their time, and every part of it comes up."""
    time = jnp.arange(6.0)
    episode = PictureEpisodes(time[None, :, None], time[None, :5, None] + 10, time[None, :5] + 20)

    @jax.jit
    def parts(key):
        return lm.learning.chunks(key, episode, 2)

    seen = [jax.device_get(parts(jax.random.key(i))) for i in range(40)]
    for images, actions, costs in seen:
        begin = images[0, 0, 0]
        np.testing.assert_array_equal(images[0, :, 0], begin + np.arange(3))
        np.testing.assert_array_equal(actions[0, :, 0], begin + 10 + np.arange(2))
        np.testing.assert_array_equal(costs[0], begin + 20 + np.arange(2))
    assert {float(images[0, 0, 0]) for images, *_ in seen} == {0.0, 1.0, 2.0, 3.0}


def test_a_recurrent_transition_predicts_the_true_system():
    """Its mean after two steps, from some states; by chance it would be their deviation, 0.7."""
    transition, theta = trained("rssm", 400)

    def ahead(state, actions):
        carry, law = transition.step(theta, transition.begin(theta), state, actions[0])
        return transition.step(theta, carry, law.mean, actions[1])[1].mean

    rng = np.random.default_rng(2)
    states, actions = rng.normal(size=(200, 2)), rng.uniform(-1, 1, size=(200, 2, 1))
    found = jax.jit(jax.vmap(ahead))(*(jnp.asarray(x, jnp.float32) for x in (states, actions)))
    wanted = (states @ A.T + actions[:, 0] @ B.T) @ A.T + actions[:, 1] @ B.T
    assert np.sqrt(np.mean((found - wanted) ** 2)) < 0.35
    assert np.sqrt(np.mean(wanted**2)) > 0.7


@functools.cache
def learned():
    """SOLAR's transition, with costs, for two seeds."""
    config = dataclasses.replace(CONFIG, transition="mniw", plan_length=6, plan_samples=100)
    shown, key = problem(costs=True), jax.random.key(0)
    return config, run(make, shown, config, key, 400, num_seeds=2, progress=False)


def test_held_out_evidence_is_near_to_the_true_one():
    _, result = learned()
    found = result.evaluations
    assert found.iwae.shape[0] == 2
    assert np.all(found.iwae >= found.elbo - 1e-4)
    assert np.all(found.first_nll < found.last_nll)
    known = jax.tree.map(lambda x: x[0], result.state.params.transition)
    known = lm.mniw(2, 1).conjugate.mean(known)
    np.testing.assert_allclose(known.matrix, F, atol=0.08)
    np.testing.assert_allclose(known.covariance, NOISE, atol=0.04)


def test_planning_in_what_was_learned_is_nearly_as_cheap_as_lqr():
    config, result = learned()
    state = jax.tree.map(lambda x: jnp.asarray(x[0]), result.state)
    act = make(problem(costs=True), config).act

    @jax.jit
    def episode(state):
        def step(now, _):
            x, carry = now
            action, carry = act(None, state, x, carry)
            paid = x @ x / 2 + 0.1 * action @ action
            after = jnp.asarray(A, jnp.float32) @ x + jnp.asarray(B, jnp.float32) @ action
            return (after, carry), (paid, action)

        start = jnp.asarray([1.0, 1.0])
        _, first = act(None, state, start, None)
        begun = jax.tree.map(lambda x: x, lm.first_thought(*_parts(config, state), 6, 1))
        assert jax.tree.structure(first) == jax.tree.structure(begun)
        return jax.lax.scan(step, (start, begun), length=12)[1]

    paid, actions = episode(state)
    assert np.all(np.abs(actions) <= 1)
    best, idle = _lqr_cost(12, control=True), _lqr_cost(12, control=False)
    assert best < np.sum(paid) < best + 0.15 * (idle - best)


def test_beliefs_go_on_by_the_actions_that_were_taken():
    """Not by those that were planned before noise was added."""
    config, result = learned()
    state = jax.tree.map(lambda x: jnp.asarray(x[0]), result.state)
    model, params, known = _parts(config, state)
    shown = jnp.asarray([[1.0, 0.5], [0.3, 0.8], [-0.2, 0.4]])

    @jax.jit
    def followed(params, key):
        act, thought = lm.planning_agent(model, params, config, 1, deviation=0.5)
        actions = []
        for number, seen in enumerate(shown):
            action, thought = act(jax.random.fold_in(key, number), seen, thought)
            actions.append(action)
        taken = jnp.stack(actions)
        told = lm.filter_states(key, model, params, known, shown, taken[:-1])
        last = jax.tree.map(lambda x: x[-1], told)
        return thought.belief.law, lm.advance(key, model.transition, known, last, taken[-1]).law

    found, wanted = followed(params, jax.random.key(3))
    np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-5)
    np.testing.assert_allclose(found.covariance, wanted.covariance, atol=1e-6)


def _parts(config, state):
    transition = lm.transition_of(config, 1, STEPS)
    return model_of(transition), state.params, lm.settled(transition, state.params.transition)


def _true(steps, dtype):
    def every(x):
        return jnp.broadcast_to(jnp.asarray(x, dtype), (steps, *np.shape(x)))

    dynamics = lqr.Dynamics(every(A), every(B), every(np.zeros(2)), every(NOISE))
    cost = lqr.Quadratic(every(np.diag([1, 1, 0.2])), every(np.zeros(3)), every(0.0))
    none = lqr.Quadratic(*(jnp.zeros(shape, dtype) for shape in ((2, 2), (2,), ())))
    return lqr.Problem(dynamics, cost, none)


def _lqr_cost(steps, *, control):
    """Without noise, from (1, 1)."""
    policy, total, x = jax.jit(lqr.solve)(_true(steps, jnp.float32)).policy, 0.0, np.ones(2)
    for gain in np.asarray(policy.gain):
        action = gain @ x if control else np.zeros(1)
        total += x @ x / 2 + 0.1 * action @ action
        x = A @ x + B @ action
    return total


def test_a_plan_in_the_true_model_is_that_of_lqr():
    with jax.enable_x64(True):
        transition = lm.linear(2, 1)
        root = np.linalg.cholesky(NOISE)
        theta = lm.LinearParams(
            jnp.asarray(F), jnp.log(jnp.diag(jnp.asarray(root))), jnp.asarray(root)
        )
        cost = CostParams(jnp.diag(jnp.sqrt(jnp.asarray([1, 1, 0.2]))), jnp.zeros(3), 0.0, 0.0)
        params = lm.LatentParams((), (), cost, jnp.zeros(2), jnp.zeros(2), theta)
        model = model_of(transition)
        seen = jnp.asarray([0.8, -0.5])

        def planner(key, cost, begin):
            rule = optax.sgd(0.3)
            return planning.gradient_descent(cost, begin, iterations=200, optimizer=rule).actions

        @jax.jit
        def answer(seen):
            thought = lm.first_thought(model, params, theta, 5, 1)
            given = jax.random.key(0), model, params, theta
            settings = dataclasses.replace(
                CONFIG, planner="gradients", plan_iterations=150, plan_rate=0.05
            )
            by_adam, _ = lm.respond(*given, lm.planner_of(settings), thought, seen)
            return lm.respond(*given, planner, thought, seen), by_adam

        (action, thought), by_adam = answer(seen)
        np.testing.assert_allclose(by_adam, action, atol=1e-2)
        policy = jax.jit(lqr.solve)(_true(5, jnp.float64)).policy
        mean = np.asarray(seen) / (1 + SEEN**2)
        np.testing.assert_allclose(action, policy.gain[0] @ mean, atol=1e-9)
        ahead = A @ mean + B @ np.asarray(action)
        np.testing.assert_allclose(thought.belief.law.mean, ahead, atol=1e-12)
        np.testing.assert_allclose(thought.plan[0], policy.gain[1] @ ahead, atol=1e-8)


def test_pictures_are_seen_and_shown():
    """The default model, of bytes."""
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, size=(4, 5, 8, 8, 1)), jnp.uint8)
    shown = PictureEpisodes(images, jnp.asarray(rng.normal(size=(4, 4, 1)), jnp.float32), None)
    model = lm.default_model(lm.Recorded(shown, shown), CONFIG)

    @jax.jit
    def look(key):
        params = lm.init_params(key, model, shown)
        seen = lm.potentials(model, params, to_light(images[0]))
        states = jnp.ones((5, 2))
        told = lm.log_shown(model, params, states, to_light(images[0]))
        return seen, lm.decoded(model, params, states), told

    seen, picture, told = look(jax.random.key(0))
    assert seen.shift.shape == (5, 2)
    assert picture.shape == (5, 8, 8, 1)
    light = np.asarray(images[0]) / 255
    wanted = np.sum(light * np.log(picture) + (1 - light) * np.log1p(-picture), axis=(1, 2, 3))
    np.testing.assert_allclose(told, wanted, rtol=1e-4)


def test_what_does_not_fit_is_refused():
    good = problem(costs=True)
    with pytest.raises(ValueError, match=r"problem\.held_out\.images have the leading axes"):
        lm.make(
            good._replace(held_out=good.held_out._replace(images=jnp.zeros((50, 8, 2)))), CONFIG
        )
    with pytest.raises(ValueError, match=r"problem\.training\.costs have the shape"):
        lm.make(good._replace(training=good.training._replace(costs=jnp.zeros((100, 9)))), CONFIG)
    with pytest.raises(ValueError, match="'horizon' is 9"):
        lm.make(good, dataclasses.replace(CONFIG, horizon=9))
    with pytest.raises(ValueError, match=r"'chunk_length' is 9; allowed .* 8 actions: 1 to 8"):
        lm.make(good, dataclasses.replace(CONFIG, chunk_length=9))
    with pytest.raises(ValueError, match=r"'chunk_length' is 4; allowed .* 'mniw-steps': None"):
        lm.Config(transition="mniw-steps", chunk_length=4)
    with pytest.raises(ValueError, match="'plan_elites' is 300"):
        lm.Config(plan_elites=300)
    with pytest.raises(ValueError, match=r"'objective' is 'iwae'; allowed .* 'elbo'"):
        lm.make(good, dataclasses.replace(CONFIG, objective="iwae", transition="mniw"))
