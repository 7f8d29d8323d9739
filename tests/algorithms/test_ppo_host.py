"""PPO on the host: it learns, and its bookkeeping is that of the environments."""

import itertools

import jax
import numpy as np
import pytest
from follow import Follow

from rlsuite.algorithms.ppo import Config, HostPPO
from rlsuite.data.recording import Recorder, episodes_of

CONFIG = Config(
    num_envs=4,
    rollout_length=32,
    num_minibatches=4,
    num_epochs=6,
    learning_rate=3e-3,
    entropy_weight=0.0,
    discount=0.9,
    hidden_sizes=(32,),
    normalize_observations=True,
    normalize_rewards=True,
)


@pytest.fixture(scope="module")
def trained():
    ppo, recorder = HostPPO(1, 1, CONFIG), Recorder(Follow, 4, seed=1)
    steps = list(itertools.islice(ppo.train(recorder, jax.random.key(0)), 60))
    return ppo, steps


def test_it_learns_to_follow(trained):
    ppo, steps = trained
    recorder = Recorder(Follow, 4, seed=99)
    rows = recorder.walk(ppo.policy(steps[-1].state, None), 50)
    returns = [episode.rewards.sum() for episode in episodes_of(rows)[0]]
    assert len(returns) == 40
    assert float(steps[2].metrics.episode_return) < 2.5
    assert np.mean(returns) > 4.4  # Of 5; an action is twice the vector.


def test_metrics_are_those_of_the_episodes(trained):
    """Episodes of 5 steps in walks of 32: some began in the walk before."""
    _, steps = trained
    rewards = np.concatenate([step.rows.rewards for step in steps[:3]])
    whole = rewards[:95].reshape(19, 5, 4).sum(axis=1)
    for step, (first, last) in zip(steps[:3], [(0, 6), (6, 12), (12, 19)], strict=True):
        wanted = whole[first:last].mean()
        np.testing.assert_allclose(step.metrics.episode_return, wanted, rtol=1e-5)
        assert float(step.metrics.episode_length) == 5.0


def test_densities_are_those_of_the_policy_that_acted(trained):
    _, (before, after, *_) = trained
    scale = np.exp(before.state.params[-1]["log_scale"])
    noise = np.asarray(after.rows.beside) + np.log(scale) + 0.5 * np.log(2 * np.pi)
    assert np.all(noise <= 1e-5)
    assert np.isclose(noise.mean(), -0.5, atol=0.15)  # −½ z², z standard normal.


def test_equal_keys_train_equally(trained):
    ppo, steps = trained
    recorder = Recorder(Follow, 4, seed=1)
    again = list(itertools.islice(ppo.train(recorder, jax.random.key(0)), 2))
    jax.tree.map(np.testing.assert_array_equal, again[1].rows, steps[1].rows)


def test_refuses_a_memory_and_another_number():
    with pytest.raises(ValueError, match="'memory' is 'gru'; allowed: 'none'"):
        HostPPO(1, 1, Config(memory="gru"))
    with pytest.raises(ValueError, match="recorder has 2 environments; allowed: num_envs, 4"):
        next(HostPPO(1, 1, CONFIG).train(Recorder(Follow, 2), jax.random.key(0)))
