"""PPO's settings: each changes a step of training as it does by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compiled import compiled
from flax import struct
from gymnax.environments import environment, spaces

from rlsuite.algorithms import ppo
from rlsuite.algorithms.ppo import experience
from rlsuite.envs.control import Control
from rlsuite.nets import Network

KEY = jax.random.key(3)


@struct.dataclass
class Time(environment.EnvState):
    time: jax.Array


@struct.dataclass
class Scale(environment.EnvParams):
    centre: float = 0.0
    spread: float = 1.0
    max_steps_in_episode: int = 3


class Noise(environment.Environment):
    """Two random numbers are seen; the first, and the action's number, are paid."""

    @property
    def default_params(self):
        return Scale()

    def action_space(self, params=None):
        return spaces.Discrete(3)

    def observation_space(self, params):
        return spaces.Box(-np.inf, np.inf, (2,))

    def seen(self, key, params):
        return params.centre + params.spread * jax.random.normal(key, (2,))

    def reset_env(self, key, params):
        return self.seen(key, params), Time(time=jnp.int32(0))

    def step_env(self, key, state, action, params):
        seen = self.seen(key, params)
        reward = (seen[0] - params.centre) / params.spread + action
        return seen, Time(time=state.time + 1), reward, jnp.zeros((), bool), {}


@functools.cache
def linear_network():
    def apply(weights, x):
        y = x @ weights
        return ppo.Outputs(y[..., :-1], y[..., -1])

    weights = jnp.asarray([[1.0, -0.5, 0.3, 0.8], [-0.7, 0.2, 0.9, -0.4]])
    return ppo.feed_forward(Network(lambda key, x: weights, apply))


def clipped_descent(rate, norm):
    return optax.chain(optax.clip_by_global_norm(norm), optax.sgd(rate))


BASE = {
    "num_envs": 3,
    "rollout_length": 8,
    "num_epochs": 2,
    "num_minibatches": 1,
    "learning_rate": 0.5,
    "discount": 0.9,
    "lambda_": 0.8,
    "clip": 0.1,
    "value_weight": 0.5,
    "entropy_weight": 0.01,
    "max_gradient_norm": 100.0,
    "clip_values": True,
}
PROBLEM = Control("noise", Noise(), Scale())


@functools.cache
def walked():
    """What the first step of training sees, whatever its settings."""
    network, config = linear_network(), ppo.Config(**BASE)

    def walk(key):
        state = ppo.make(PROBLEM, config, network=network).init(KEY)
        of_walk, _ = jax.random.split(key)
        return experience.collect(
            PROBLEM, network, state.params, None, of_walk, state.walkers, config.rollout_length
        )[1]

    return compiled(walk)(KEY), np.asarray(network.init(KEY, None))


def advantages_by_hand(happened, value, value_after, settings):
    """Episodes are only ever cut off, so values of where transitions led always count."""
    discount, lambda_ = settings["discount"], settings["lambda_"]
    found, later = np.zeros(value.shape), np.zeros(value.shape[1])
    for t in reversed(range(len(value))):
        error = happened.rewards[t] + discount * value_after[t] - value[t]
        later = error + discount * lambda_ * np.where(happened.ends[t], 0.0, later)
        found[t] = later
    return found


@functools.partial(jax.jit, static_argnames="clip_values")
def gradient_by_hand(weights, x, a, old, v_old, advantages, c, *, clip_values):
    def loss(weights):
        y = x @ weights
        log_p, v = jax.nn.log_softmax(y[:, :3]), y[:, 3]
        ratio = jnp.exp(jnp.sum(log_p * a, axis=1) - old)
        scaled = (advantages - advantages.mean()) / advantages.std()
        low, high = 1 - c["clip"], 1 + c["clip"]
        surrogate = jnp.minimum(ratio * scaled, jnp.clip(ratio, low, high) * scaled)
        errors = (v - v_old - advantages) ** 2
        if clip_values:
            moved = jnp.clip(v - v_old, -c["clip"], c["clip"])
            errors = jnp.maximum(errors, (moved - advantages) ** 2)
        entropy = -jnp.sum(jnp.exp(log_p) * log_p, axis=1)
        return jnp.mean(-surrogate + c["value_weight"] * errors / 2 - c["entropy_weight"] * entropy)

    return jax.grad(loss)(weights)


def weights_by_hand(settings):
    """After two passes of gradient descent, each along one gradient of all transitions."""
    happened, weights = walked()
    value, value_after = (
        x @ weights[:, 3] for x in (happened.observations, happened.next_observations)
    )
    advantages = advantages_by_hand(happened, value, value_after, settings)
    flat = [
        x.reshape(24, *x.shape[2:]).astype(np.float32)
        for x in (happened.observations, happened.actions, happened.log_probs, value, advantages)
    ]
    weighed = {name: settings[name] for name in ("clip", "value_weight", "entropy_weight")}
    for _ in range(2):
        gradient = np.asarray(
            gradient_by_hand(weights, *flat, weighed, clip_values=settings["clip_values"])
        )
        norm = np.sqrt(np.sum(gradient**2))
        weights = weights - settings["learning_rate"] * gradient * min(
            1.0, settings["max_gradient_norm"] / norm
        )
    return weights


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"learning_rate": 0.25},
        {"discount": 0.3},
        {"lambda_": 0.1},
        {"clip": 0.5},
        {"value_weight": 0.1},
        {"entropy_weight": 0.8},
        {"max_gradient_norm": 0.2},
        {"clip_values": False},
    ],
    ids=lambda changed: "".join(changed) or "none",
)
def test_each_setting_changes_a_step_as_by_hand(changed):
    settings = {**BASE, **changed}
    algorithm = ppo.make(
        PROBLEM, ppo.Config(**settings), network=linear_network(), optimizer=clipped_descent
    )
    found = compiled(lambda key: algorithm.step(key, algorithm.init(KEY))[0].params)(KEY)
    np.testing.assert_allclose(found, weights_by_hand(settings), rtol=1e-4, atol=1e-4)
    if changed:
        assert np.abs(found - weights_by_hand(BASE)).max() > 1e-2


def test_adam_goes_along_clipped_gradients():
    gradients = np.asarray([[3.0, -4.0], [0.1, 0.2], [-0.6, 0.8]])
    rate, limit, first, second = 0.1, 0.5, 0.0, 0.0
    optimizer, expected = ppo.clipped_adam(rate, limit), []
    for t, gradient in enumerate(gradients, start=1):
        clipped = gradient * min(1.0, limit / np.linalg.norm(gradient))
        first = 0.9 * first + 0.1 * clipped
        second = 0.999 * second + 0.001 * clipped**2
        scale = np.sqrt(second / (1 - 0.999**t)) + 1e-5
        expected.append(-rate * first / (1 - 0.9**t) / scale)

    def updates(gradients):
        def step(state, gradient):
            update, state = optimizer.update({"a": gradient[:1], "b": gradient[1:]}, state)
            return state, jnp.concatenate([update["a"], update["b"]])

        start = optimizer.init({"a": jnp.zeros(1), "b": jnp.zeros(1)})
        return jax.lax.scan(step, start, gradients)[1]

    found = compiled(updates)(jnp.asarray(gradients, jnp.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("memory", ["none", "lstm"])
def test_what_is_learned_from_is_normalised_as_it_was_when_the_policy_acted(memory):
    """Ratios are one in a second step too, though moments have moved far by then."""
    problem = Control("noise", Noise(), Scale(centre=1000.0, spread=50.0))
    config = ppo.Config(
        num_envs=4,
        rollout_length=5,
        num_epochs=1,
        num_minibatches=2,
        hidden_sizes=(8,),
        memory=memory,
        memory_size=6,
        normalize_observations=True,
    )
    plain = ppo.default_network(problem, config)

    def init(key, observation):
        """A policy that is far from uniform, so that its inputs matter."""
        return jax.tree.map(
            lambda leaf: leaf + jax.random.normal(jax.random.fold_in(key, leaf.size), leaf.shape),
            plain.init(key, observation),
        )

    algorithm = ppo.make(
        problem,
        config,
        network=plain._replace(init=init),
        optimizer=lambda rate, norm: optax.sgd(0.0),
    )

    def steps(key):
        def step(state, key):
            after, metrics = algorithm.step(key, state)
            return after, (metrics.losses, after.observations)

        return jax.lax.scan(step, algorithm.init(KEY), jax.random.split(key, 3))

    _, (losses, seen) = compiled(steps)(KEY)
    np.testing.assert_allclose(losses.kl, 0.0, atol=1e-6)
    np.testing.assert_array_equal(losses.clip_fraction, 0.0)
    np.testing.assert_allclose(losses.policy_loss, 0.0, atol=1e-5)
    assert np.all(losses.entropy < 1.0), "a uniform policy has log 3, whatever it sees"
    np.testing.assert_array_equal(seen.number, [20, 40, 60])
    np.testing.assert_allclose(seen.mean, 1000.0, atol=50.0)
    np.testing.assert_allclose(np.sqrt(seen.variance), 50.0, rtol=0.5)


def test_memories_are_those_that_the_config_names():
    def carry_of(memory):
        config = ppo.Config(num_envs=4, memory=memory, memory_size=6, hidden_sizes=(8,))
        state = jax.eval_shape(ppo.make(PROBLEM, config).init, KEY)
        gates = state.params["cell"] if memory != "none" else {}
        sizes = sum(leaf.size for leaf in jax.tree.leaves(gates))
        return [leaf.shape for leaf in jax.tree.leaves(state.walkers.carry)], sizes

    # Of 8 inputs and 6 units: gates with a bias each; a GRU's candidate has another.
    assert carry_of("none") == ([], 0)
    assert carry_of("gru") == ([(4, 6)], 3 * (8 * 6 + 6 * 6 + 6) + 6)
    assert carry_of("lstm") == ([(4, 6)] * 2, 4 * (8 * 6 + 6 * 6 + 6))
