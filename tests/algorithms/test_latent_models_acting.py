"""Planning in a model that learns from what its plans lead to."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.algorithms import latent_models
from rlsuite.algorithms.latent_models import Config, LatentModel, PlanningConfig
from rlsuite.core import run
from rlsuite.envs.control import control
from rlsuite.envs.lamps import best_return, lamps
from rlsuite.envs.pixels import pixel_navigation, pixel_pendulum, pixel_reacher
from rlsuite.nets import Network

CONFIG = PlanningConfig(
    length=8,
    first_rollouts=20,
    rollouts=5,
    capacity=30,
    first_updates=150,
    updates=20,
    exploration=0.5,
    model=Config(
        transition="linear",
        size=2,
        learning_rate=2e-2,
        temper=1.0,
        evaluation_episodes=20,
        plan_length=8,
        plan_iterations=8,
        plan_samples=64,
        plan_elites=8,
    ),
)


def seen_directly(problem, config):
    """States are how light the halves are; how they move and what they cost is to be learned."""

    def encode(_, images):
        flat = images[..., 0]
        halves = [flat[..., :4], flat[..., 4:]]
        mean = jnp.stack([jnp.mean(half, axis=(-1, -2)) for half in halves], axis=-1) - 0.5
        return mean, jnp.full_like(mean, 6.0)

    def decode(_, states):
        light = jnp.repeat(states + 0.5, 4, axis=-1)
        return jnp.broadcast_to(light[..., None, :, None], (*states.shape[:-1], 8, 8, 1))

    transition = latent_models.transition_of(config, 2, 8)
    networks = (Network(lambda *_: (), apply) for apply in (encode, decode))
    return LatentModel(*networks, latent_models.normal(0.1), transition, 2)


@pytest.fixture(scope="module")
def planned():
    def make(problem, config):
        return latent_models.make_planner(problem, config, model=seen_directly)

    return run(make, lamps(), CONFIG, jax.random.key(0), 3, num_seeds=2, progress=False), make


def test_lamps_are_controlled_as_well_as_they_can_be(planned):
    """Random actions earn -68; the best return is a bound that limits of actions forbid."""
    result, _ = planned
    assert (result.evaluations.score[:, -1] >= 1.15 * best_return(lamps())).all()
    assert (np.asarray(result.metrics.cost)[:, -1] <= 25).all()  # of plans with noise


def test_the_oldest_episodes_make_room(planned):
    """The third round's lie where the first five were."""
    state = jax.tree.map(lambda leaf: np.asarray(leaf[0]), planned[0].state)
    assert state.collected == 35
    kept = np.asarray(planned[0].metrics.cost)[0]
    costs = state.episodes.costs.sum(axis=1)
    assert costs[:5].mean() == pytest.approx(kept[2], rel=1e-5)
    assert costs[20:25].mean() == pytest.approx(kept[0], rel=1e-5)
    assert costs[5:20].mean() > 40  # random ones
    assert state.learner.updates == 150 + 20 + 20


def test_act_goes_on_from_what_it_remembers(planned):
    result, make = planned
    problem, state = lamps(), jax.tree.map(lambda leaf: leaf[0], result.state)
    act = make(problem, CONFIG).act
    _, seen = problem.reset(jax.random.key(1))
    first, thought = act(None, state, seen, None)
    again, _ = act(None, state, seen.observation, None)
    np.testing.assert_array_equal(first, again)
    later, _ = act(None, state, seen, thought)
    assert (np.abs(first) <= 1).all()
    assert not np.array_equal(first, later)


def test_first_episodes_may_be_of_another_world_and_only_those():
    """Whose lamps begin elsewhere, and are worth nothing."""
    world = lamps()

    def elsewhere(problem):
        params = problem.params.replace(weight=0.0, start=(0.1, 0.1))
        return dataclasses.replace(problem, params=params)

    config = dataclasses.replace(CONFIG, first_updates=1, updates=1)
    algorithm = latent_models.make_planner(world, config, model=seen_directly, first=elsewhere)
    state = jax.jit(algorithm.init)(jax.random.key(0))
    costs, actions, images = state.episodes.costs, state.episodes.actions, state.episodes.images
    np.testing.assert_allclose(costs[:20], np.square(actions[:20]).sum(-1), rtol=1e-4)
    assert images[:20, 0].mean() < 0.2 * 255
    state, _ = jax.jit(algorithm.step)(jax.random.key(1), state)
    assert (state.episodes.costs[20:25, 0] > 50 * 0.05).all()
    assert (state.episodes.images[20:25, 0].mean((1, 2, 3)) > 0.4 * 255).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"'capacity' is 20; allowed: at least .*, 25"):
        dataclasses.replace(CONFIG, capacity=20)
    with pytest.raises(ValueError, match="categories"):
        latent_models.make_planner(control("CartPole-v1"), CONFIG)
    with pytest.raises(ValueError, match="'length' is 9; allowed: at most 8"):
        latent_models.make_planner(lamps(), dataclasses.replace(CONFIG, length=9))
    with pytest.raises(
        ValueError, match=r"first gives observations of \(16, 16, 1\); allowed: \(8, 8"
    ):
        latent_models.make_planner(lamps(), CONFIG, first=lambda _: pixel_navigation(1, side=16))
    with pytest.raises(ValueError, match="first gives actions of 1; allowed: 2"):
        latent_models.make_planner(
            pixel_reacher(side=8), CONFIG, first=lambda _: pixel_pendulum(side=8, frames=3)
        )


@pytest.mark.parametrize(("field", "value"), [("objective", "iwae"), ("how", "steps")])
def test_a_transition_of_which_a_law_is_known_has_its_own_way_to_learn(field, value):
    model = dataclasses.replace(CONFIG.model, transition="mniw", **{field: value})
    with pytest.raises(ValueError, match=f"'{field}' is '{value}'; allowed with a transition of"):
        latent_models.make_planner(lamps(), dataclasses.replace(CONFIG, model=model))
