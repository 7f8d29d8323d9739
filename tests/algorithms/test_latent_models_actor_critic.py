"""A soft actor-critic in the states of a latent model."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from algorithms.test_latent_models_acting import CONFIG as PLANNING
from algorithms.test_latent_models_acting import seen_directly
from compiled import compiled

from rlsuite.algorithms import latent_models
from rlsuite.algorithms.latent_models import ActorCriticConfig, ActorCriticParams, Steps
from rlsuite.core import run
from rlsuite.envs.control import control
from rlsuite.envs.lamps import best_return, lamps
from rlsuite.nets import Network
from rlsuite.ops.distributions import TanhNormal

CONFIG = ActorCriticConfig(
    length=8,
    first_rollouts=20,
    rollouts=5,
    capacity=60,
    first_updates=150,
    updates=20,
    exploration=0.5,
    model=dataclasses.replace(PLANNING.model, evaluation_episodes=20),
    policy_updates=300,
    learning_rate=3e-3,
    discount=0.8,
    hidden_sizes=(32,),
)


def make(problem, config):
    return latent_models.make_actor_critic(problem, config, model=seen_directly)


@pytest.fixture(scope="module")
def learned():
    return run(make, lamps(), CONFIG, jax.random.key(0), 8, num_seeds=2, progress=False)


def test_lamps_are_controlled(learned):
    """Random actions earn -68; the best return is a bound that limits of actions forbid."""
    assert (learned.evaluations.score[:, -1] >= 1.5 * best_return(lamps())).all()
    assert (
        np.asarray(learned.metrics.cost)[:, -1] < 0.6 * np.asarray(learned.metrics.cost)[:, 0]
    ).all()


def test_act_goes_on_from_what_is_known(learned):
    problem, state = lamps(), jax.tree.map(lambda leaf: leaf[0], learned.state)
    act = make(problem, CONFIG).act
    _, seen = problem.reset(jax.random.key(1))
    first, belief = act(None, state, seen, None)
    again, _ = act(None, state, seen.observation, None)
    np.testing.assert_array_equal(first, again)
    drawn = [act(jax.random.key(n), state, seen, None)[0] for n in (2, 3)]
    assert not np.array_equal(*drawn)
    later, _ = act(None, state, seen, belief)
    assert (np.abs(first) <= 1).all()
    assert not np.array_equal(first, later)


def test_the_loss_is_that_of_its_equations():
    """Critics that are quadratic, a policy whose entropy is in a table, all in NumPy again."""
    rng = np.random.default_rng(0)
    batch = Steps(
        *(rng.normal(size=shape) for shape in ((5, 2), (5, 2), (5, 1), (5,), (5, 2), (5, 2)))
    )
    batch = batch._replace(action=np.tanh(batch.action))

    def propose(params, known):
        return TanhNormal(known @ params, jnp.full((len(known), 1), 0.3))

    def judge(params, inputs):
        state, action = inputs
        return jnp.stack([w * jnp.sum(state**2, -1) - (action[..., 0] - w) ** 2 for w in params])

    networks = Network(lambda *_: (), propose), Network(lambda *_: (), judge)
    policy, critic, target = rng.normal(size=(2, 1)), np.array([0.3, -0.2]), np.array([0.1, 0.4])
    params = ActorCriticParams(policy, critic, np.array(-0.7))
    with jax.enable_x64(True):
        key = jax.random.key(3)

        @compiled
        def found(params):
            def loss(params):
                return latent_models.actor_critic_loss(networks, 0.9, params, target, key, batch)

            (value, told), slope = jax.value_and_grad(loss, has_aux=True)(params)
            of_now, of_later = jax.random.split(key)
            now = propose(params.policy, batch.known).sample_with_log_prob(of_now)
            later = propose(params.policy, batch.next_known).sample_with_log_prob(of_later)
            return value, told, slope, now, later

        value, (critic_loss, entropy), slope, now, later = found(jax.device_put(params))

    def least(weights, state, action):
        return np.min([w * (state**2).sum(-1) - (action[:, 0] - w) ** 2 for w in weights], axis=0)

    temperature = np.exp(-0.7)
    goal = 0.9 * (least(target, batch.next_state, later[0]) - temperature * later[1]) - batch.cost
    values = [w * (batch.state**2).sum(-1) - (batch.action[:, 0] - w) ** 2 for w in critic]
    errors = np.array(values) - goal
    assert critic_loss == pytest.approx((errors**2).mean(axis=1).sum() / 2, rel=1e-9)
    assert entropy == pytest.approx(-now[1].mean(), rel=1e-9)
    policy_loss = np.mean(temperature * now[1] - least(critic, batch.state, now[0]))
    assert value == pytest.approx(critic_loss + policy_loss - 0.7 * (entropy + 1), rel=1e-9)
    # Each part of the parameters is moved by its own loss alone.
    assert slope.log_temperature == pytest.approx(entropy + 1, rel=1e-9)
    slopes = [(batch.state**2).sum(-1) + 2 * (batch.action[:, 0] - w) for w in critic]
    np.testing.assert_allclose(slope.critic, np.mean(errors * slopes, axis=1), rtol=1e-9)


def test_categories_are_refused():
    with pytest.raises(ValueError, match="categories"):
        latent_models.make_actor_critic(control("CartPole-v1"), CONFIG)


def test_first_episodes_may_be_of_another_world():
    """As ``make_planner``'s; here of lamps that begin dark, and are worth nothing."""

    def elsewhere(problem):
        params = problem.params.replace(weight=0.0, start=(0.1, 0.1))
        return dataclasses.replace(problem, params=params)

    algorithm = latent_models.make_actor_critic(
        lamps(), CONFIG, model=seen_directly, first=elsewhere
    )
    shown = jax.jit(algorithm.init)(jax.random.key(0)).episodes
    paid = np.square(shown.actions[:20]).sum(-1)
    np.testing.assert_allclose(shown.costs[:20], paid, rtol=1e-4)
    assert shown.images[:20, 0].mean() < 0.2 * 255
