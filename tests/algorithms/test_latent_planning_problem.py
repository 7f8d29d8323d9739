"""The pendulum that is balanced by planning: how hard it is, and that it can be planned in."""

import dataclasses

import jax
import jax.numpy as jnp

from rlsuite.algorithms import latent_models
from rlsuite.problems.latent_planning import BALANCE, balance, balance_returns


def test_a_pendulum_left_alone_falls_and_lqr_of_the_true_state_holds_it():
    found = balance_returns(balance())
    assert -0.2 < found["lqr"] < 0  # a hundred steps of noise of .01
    assert found["idle"] < -150
    assert found["random"] < found["idle"]


def test_its_config_plans_from_two_pictures():
    def begun(config):
        algorithm = latent_models.make_planner(balance(), config)
        return jax.eval_shape(algorithm.init, jax.random.key(0))

    state = begun(BALANCE)
    assert state.episodes.images.shape == (120, 101, 24, 24, 2)
    assert state.episodes.images.dtype == jnp.uint8
    assert state.learner.params.start.shape == (4,)
    numbers = begun(dataclasses.replace(BALANCE, as_bytes=False))
    assert numbers.episodes.images.dtype == jnp.float32
