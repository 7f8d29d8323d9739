"""What a config's numbers do to a latent model: to what it follows, and to how it plans."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compiled import compiled

from rlsuite.algorithms import latent_models as lm
from rlsuite.data.pictures import PictureEpisodes, to_bytes, to_light
from rlsuite.nets import Network
from rlsuite.nets.costs import start_cost
from rlsuite.ops import planning

KEY = jax.random.key(0)
SEES = Network(lambda key, x: (), lambda params, x: (x, jnp.full_like(x, 1.5)))
SHOWS = Network(lambda key, x: (), lambda params, x: x)
CONFIG = lm.Config(transition="linear", size=2, batch_size=4, pictures=2, paths=3, temper=1.0)


def episodes(count=3, steps=6):
    rng = np.random.default_rng(0)
    shapes = (count, steps + 1, 2), (count, steps, 1), (count, steps)
    return PictureEpisodes(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))


def learner(rule=None, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    transition = lm.transition_of(config, 1, 6)
    model = lm.LatentModel(SEES, SHOWS, lm.normal(0.5), transition, 2)
    return lm.Learner(model, optax.sgd(1.0) if rule is None else rule, config)


def worth(beta, **changes):
    """(the objective of one episode, its parts)."""
    what = learner(**changes)

    @compiled
    def found(shown):
        params = lm.init_params(KEY, what.model, shown)
        one = jax.tree.map(lambda x: x[0], shown)
        value, (parts, _) = lm.objective(jax.random.key(1), what, params, one, beta)
        paths = lm.path_parts(jax.random.key(1), what.model, params, one, 3, what.config.how)
        return value, parts, paths

    return found(episodes())


@pytest.mark.parametrize("objective", ["elbo", "e2c"])
def test_likelihoods_and_divergences_weigh_what_they_are_told(objective):
    value, parts, _ = worth(3.0, objective=objective, picture_weight=0.2)
    wanted = 0.2 * parts.pictures + parts.costs - 3.0 * parts.divergence
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    assert np.abs(np.asarray(parts)).min() > 0.1


def test_the_importance_weighted_objective_weighs_each_path():
    value, parts, paths = worth(2.0, objective="iwae", picture_weight=0.2, how="steps")
    weights = 0.2 * paths.pictures + paths.costs - 2.0 * paths.divergence
    np.testing.assert_allclose(value, np.logaddexp.reduce(weights) - np.log(3), rtol=1e-5)
    assert np.ptp(weights) > 1
    np.testing.assert_allclose(parts.pictures, np.mean(paths.pictures), rtol=1e-5)


def test_consistency_weighs_one_of_embed_to_controls_divergences():
    none, one, some = (
        worth(1.0, objective="e2c", consistency=weight)[1].divergence for weight in (0.0, 1.0, 2.5)
    )
    assert one > none + 0.1
    np.testing.assert_allclose(some, none + 2.5 * (one - none), rtol=1e-5)


def test_divergences_weigh_more_at_first_and_ever_less():
    """Gradients are linear in β, which is 1 + (temper − 1) exp(−updates / temper_updates)."""

    def changes(temper):
        what = learner(temper=temper, temper_updates=2.0)

        def moved(updates, shown):
            state = lm.start(KEY, what, shown)._replace(updates=updates)
            after, _ = lm.update(jax.random.key(1), what, state, shown)
            return jax.tree.map(jnp.subtract, after.params, state.params).transition.matrix

        program = compiled(moved)
        return [program(jnp.int32(updates), episodes()) for updates in (0, 3, 1000)]

    three, _, plain = changes(3.0)
    five, later, _ = changes(5.0)
    assert np.abs(three - plain).max() > 0.1
    np.testing.assert_allclose(five, 2 * three - plain, atol=1e-3)
    np.testing.assert_allclose(later, plain + np.exp(-1.5) * (five - plain), atol=1e-3)


@pytest.mark.parametrize("chunk_length", [None, 2])
def test_a_law_of_dynamics_comes_to_count_all_pairs_of_states(chunk_length):
    """By a share of the way; parts of episodes stand for whole ones, and room for nothing."""
    what = learner(transition="mniw", natural_rate=0.25, chunk_length=chunk_length)

    @compiled
    def counts(shown, have):
        state = lm.start(KEY, what, shown)
        after, _ = lm.update(KEY, what, state, shown, have)
        return state.params.transition.pairs, after.params.transition.pairs

    for have in (2, 3):
        before, after = counts(episodes(), jnp.int32(have))
        np.testing.assert_allclose(after, before + 0.25 * have * 6, rtol=1e-5)


def test_gradients_are_clipped_before_they_move_anything():
    """Clipped, a gradient of a hundred and one of 1 are the same to Adam; else they are not."""
    rule = lm.default_optimizer(lm.Config(clip=1.0, learning_rate=0.1))
    state = rule.init(jnp.zeros(1))
    for slope in (100.0, 1.0):
        change, state = rule.update(jnp.full(1, slope), state)
        np.testing.assert_allclose(change, [-0.1], rtol=1e-4)


def test_a_large_epsilon_keeps_small_slopes_small():
    """Adam's first step is lr · g / (|g| + ε)."""
    rule = lm.default_optimizer(lm.Config(learning_rate=0.1, adam_epsilon=1.0))
    change, _ = rule.update(jnp.asarray([3.0, 1e-4]), rule.init(jnp.zeros(2)))
    np.testing.assert_allclose(change, [-0.1 * 3 / 4, -1e-5], rtol=1e-3)


def off(actions):
    return jnp.sum((actions - jnp.asarray([[0.7], [-0.4]])) ** 2)


def test_plans_are_drawn_as_a_config_says():
    config = lm.Config(
        plan_deviation=0.4, plan_momentum=0.6, plan_iterations=4, plan_samples=9, plan_elites=1
    )
    for momentum in (0.6, 0.05):  # with the latter, the least deviation of 0.04 is reached
        plan = lm.planner_of(dataclasses.replace(config, plan_momentum=momentum))
        found = compiled(lambda key, plan=plan: plan(key, off, jnp.zeros((2, 1))))(KEY)
        numbers = {"iterations": 4, "samples": 9, "elites": 1, "momentum": momentum}

        @compiled
        def search(key, numbers=numbers):
            begin = jnp.zeros((2, 1))
            return planning.cross_entropy(key, off, begin, 0.4, min_deviation=0.04, **numbers)

        np.testing.assert_allclose(found, search(KEY)[0].actions, atol=1e-6)


def test_a_first_step_along_the_gradient_is_as_long_as_the_rate():
    config = lm.Config(planner="gradients", plan_rate=0.03, plan_iterations=1)
    plan = lm.planner_of(config)
    found = compiled(lambda key: plan(key, off, jnp.zeros((2, 1))))(KEY)
    np.testing.assert_allclose(found, [[0.03], [-0.03]], rtol=1e-4)


def test_actions_stay_within_the_limits_whatever_noise_is_added():
    what = learner()

    def halves(key, cost, begin):
        return jnp.full((3, 1), 0.5)

    @compiled
    def actions(keys, shown):
        params = lm.init_params(KEY, what.model, shown)
        thought = lm.first_thought(what.model, params, params.transition, 3, 1)

        def one(key):
            given = key, what.model, params, params.transition
            return lm.respond(*given, halves, thought, jnp.ones(2), 1.0)[0]

        return jax.vmap(one)(keys)

    found = actions(jax.random.split(KEY, 200), episodes())
    assert found.min() == -1
    assert found.max() == 1
    assert np.mean(np.abs(found) < 1) > 0.5


def test_sizes_are_those_of_the_config():
    def shapes(name, **sizes):
        transition = lm.transition_of(lm.Config(transition=name, size=2, **sizes), 1, 6)
        theta = jax.eval_shape(transition.init, KEY)
        carry = jax.eval_shape(transition.begin, theta)
        return theta, carry, {leaf.shape for leaf in jax.tree.leaves(theta)}

    assert shapes("dvbf", bases=5)[0].state.shape == (5, 2, 2)
    assert shapes("rssm", memory=7)[1].shape == (7,)
    for name in ("e2c", "full", "dvbf", "rssm"):
        assert (11, 13) in shapes(name, hidden_sizes=(11, 13))[2]


def test_deviations_of_a_recurrent_transition_are_at_least_a_hundredth():
    transition = lm.rssm(2, 1, memory=3, hidden_sizes=(5,))

    @compiled
    def law(key):
        # The head's last bias is the only one of four numbers.
        theta = jax.tree.map(
            lambda x: jnp.full_like(x, -50.0 if x.shape == (4,) else 0.0), transition.init(key)
        )
        return transition.step(theta, transition.begin(theta), jnp.ones(2), jnp.ones(1))[1]

    found = law(KEY)
    np.testing.assert_allclose(found.covariance, 1e-4 * np.eye(2), rtol=1e-4)
    np.testing.assert_allclose(found.mean, [-50, -50])


def test_a_cost_knows_at_first_how_large_costs_are():
    cost = start_cost(3, jnp.asarray([[1.0, 3.0], [1.0, 3.0]]))
    assert float(cost.constant) == 2
    np.testing.assert_allclose(cost.log_deviation, np.log(1.001), rtol=1e-3)
    np.testing.assert_allclose(cost.root, 0.3 * np.eye(3), rtol=1e-6)
    unknown = start_cost(3, None)
    assert float(unknown.constant) == float(unknown.log_deviation) == 0


def test_light_is_rounded_to_bytes():
    light = jnp.asarray([0.0, 0.4, 0.6, 254.4, 254.6, 255.0]) / 255
    np.testing.assert_array_equal(to_bytes(light), [0, 0, 1, 254, 255, 255])
    every = jnp.arange(256, dtype=jnp.uint8)
    np.testing.assert_array_equal(to_bytes(to_light(every)), every)
    np.testing.assert_array_equal(to_light(light), light)
