"""Rounds of planning and of learning a policy: what acts, and what is learned from which steps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from compiled import compiled

from rlsuite.algorithms import latent_models as lm
from rlsuite.data.pictures import PictureEpisodes
from rlsuite.envs.lamps import lamps
from rlsuite.nets import Network
from rlsuite.nets.costs import CostParams
from rlsuite.ops.distributions import TanhNormal

KEY = jax.random.key(0)
MODEL = lm.Config(
    transition="linear", size=2, batch_size=2, plan_length=2, plan_iterations=1, planner="gradients"
)
CONFIG = lm.PlanningConfig(
    length=8,
    first_rollouts=4,
    rollouts=60,
    capacity=70,
    first_updates=1,
    exploration=0.2,
    model=MODEL,
)


def halves(problem, config):
    """States are how light the halves of a picture are, which is certain."""

    def encode(_, images):
        mean = jnp.stack([images[..., 0, 0, 0], images[..., 0, -1, 0]], axis=-1)
        return mean, jnp.full_like(mean, 9.0)

    def decode(_, states):
        light = jnp.repeat(states, 4, axis=-1)
        return jnp.broadcast_to(light[..., None, :, None], (*states.shape[:-1], 8, 8, 1))

    networks = (Network(lambda *_: (), apply) for apply in (encode, decode))
    return lm.LatentModel(*networks, lm.normal(0.1), lm.transition_of(config, 2, 8), 2)


def test_pushes_of_the_first_episodes_last_as_the_config_says():
    config = dataclasses.replace(CONFIG, first_rollouts=600, capacity=660, persistence=0.9)
    begun = compiled(lm.make_planner(lamps(), config, model=halves).init)
    actions = begun(KEY).episodes.actions[:600]
    spread = 0.2**2 * (1 - 0.9 ** (2 * np.arange(1, 9)))
    np.testing.assert_allclose(np.mean(actions**2, axis=(0, 2)), spread, rtol=0.15)
    together = np.mean(actions[:, 1:] * actions[:, :-1]) / np.mean(actions[:, :-1] ** 2)
    np.testing.assert_allclose(together, 0.9, atol=0.03)


def test_plans_are_explored_from_with_noise():
    """Plans that hardly leave 0: what is added to them is all there is."""
    model = dataclasses.replace(MODEL, plan_rate=1e-6)
    config = dataclasses.replace(CONFIG, model=model)
    algorithm = lm.make_planner(lamps(), config, model=halves)

    @compiled
    def rounded(key):
        state, _ = algorithm.step(key, algorithm.init(key))
        return state.episodes.actions[4:64]

    np.testing.assert_allclose(np.std(rounded(KEY)), 0.2, rtol=0.1)


def test_plans_follow_the_cost_that_was_fitted():
    algorithm = lm.make_planner(lamps(), CONFIG, model=halves)
    state = jax.eval_shape(algorithm.init, KEY)
    state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), state)

    @compiled
    def action(slope):
        cost = CostParams(jnp.zeros((4, 4)), slope, jnp.zeros(()), jnp.zeros(()))
        return algorithm.act(None, state._replace(cost=cost), jnp.zeros((8, 8, 1)), None)[0]

    for signs in ([1.0, -1.0], [-1.0, -1.0]):
        found = action(jnp.asarray([0.0, 0.0, *signs]))
        np.testing.assert_allclose(found, -0.1 * np.asarray(signs), rtol=1e-3)


def test_the_fitted_cost_is_that_of_the_states_in_which_actions_were_taken():
    """Four episodes of a quadratic cost, and room that tells another one."""
    rng = np.random.default_rng(0)
    images, actions = rng.normal(size=(6, 9, 2)), rng.normal(size=(6, 8, 1))
    root, slope = np.tril(rng.normal(size=(3, 3))), rng.normal(size=3)
    at = np.concatenate([images[:, :-1], actions], axis=-1)
    costs = np.sum((at @ root) ** 2, axis=-1) / 2 + at @ slope + 0.7
    costs[4:] = 100
    with jax.enable_x64(True):
        shown = PictureEpisodes(images, actions, costs)
        sees = Network(lambda *_: (), lambda _, x: (x, jnp.full_like(x, 25.0)))
        shows = Network(lambda *_: (), lambda _, x: x)
        model = lm.LatentModel(sees, shows, lm.normal(0.1), lm.linear(2, 1), 2)

        @compiled
        def fitted(shown):
            params = lm.init_params(KEY, model, shown)
            found = lm.refitted_cost(KEY, model, params, shown, jnp.int32(4))
            return found, params.cost.log_deviation

        found, deviation = fitted(jax.device_put(shown))
    np.testing.assert_allclose(found.root @ found.root.T, root @ root.T, atol=1e-4)
    np.testing.assert_allclose(found.slope, slope, atol=1e-4)
    np.testing.assert_allclose(found.constant, 0.7, atol=1e-4)
    assert found.log_deviation == deviation


def test_the_policy_is_moved_by_its_own_loss_alone():
    """What critics are to come to depends on it as well, by γ; its gradient does not."""
    rng = np.random.default_rng(0)
    shapes = (5, 2), (5, 2), (5, 1), (5,), (5, 2), (5, 2)
    batch = lm.Steps(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))

    def propose(params, known):
        return TanhNormal(known @ params, jnp.full((len(known), 1), 0.3))

    def judge(params, inputs):
        return jnp.stack([w * jnp.sum(inputs[0], -1) * inputs[1][..., 0] for w in params])

    networks = Network(lambda *_: (), propose), Network(lambda *_: (), judge)

    @compiled
    def slope(params, target, discount):
        def loss(params):
            return lm.actor_critic_loss(networks, discount, params, target, KEY, batch)[0]

        return jax.grad(loss)(params).policy

    weights, target = np.float32([0.3, -0.2]), np.float32([0.1, 0.4])
    params = lm.ActorCriticParams(np.float32([[0.5], [-0.8]]), weights, np.float32(-0.7))
    blind, far = (slope(params, target, np.float32(discount)) for discount in (0.0, 0.9))
    np.testing.assert_allclose(blind, far, rtol=1e-4)
    assert np.abs(blind).max() > 0.01


def test_critics_learn_from_kept_costs_in_their_unit_and_slow_ones_follow():
    """One update of costs that are all 3, among room that has none."""
    config = lm.ActorCriticConfig(
        **{field.name: getattr(CONFIG, field.name) for field in dataclasses.fields(CONFIG)},
        policy_updates=1,
        batch_size=64,
        target_rate=0.25,
        discount=0.0,
        hidden_sizes=(4,),
    )
    algorithm = lm.make_actor_critic(lamps(), config, model=halves)

    @compiled
    def rounded(key, unit):
        state = algorithm.init(key)
        costs = jnp.where(jnp.arange(70)[:, None] < 4, 3.0, jnp.zeros((70, 8)))
        episodes = state.episodes._replace(costs=costs)
        target = jax.tree.map(lambda x: x + 1, state.params.critic)
        changed = state._replace(episodes=episodes, unit=unit, target=target)
        after, metrics = algorithm.step(key, changed)
        return state, target, after, metrics

    begun, target, after, metrics = rounded(KEY, jnp.float32(1e-4))
    np.testing.assert_allclose(metrics.critic_loss * 1e-8, 9, rtol=1e-3)
    np.testing.assert_allclose(begun.unit, np.std(begun.episodes.costs[:4]), rtol=1e-4)
    np.testing.assert_array_equal(after.unit, np.float32(1e-4))
    followed = jax.tree.map(lambda x, y: 0.75 * x + 0.25 * y, target, after.params.critic)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4), followed, after.target)
    # All begin where it looks the same, and draw other actions.
    assert np.all(np.std(after.episodes.actions[4:64, 0], axis=0) > 0.3)
