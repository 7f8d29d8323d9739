"""PPO: its loss and gradient by hand, truncation, memory, masks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from compiled import compiled
from flax import struct
from gymnax.environments import environment, spaces

from rlsuite.algorithms import ppo
from rlsuite.algorithms.ppo import experience
from rlsuite.envs.control import Actions, Control, control
from rlsuite.nets import Network
from rlsuite.nets.recurrent import gru
from rlsuite.problems.ppo import corridor

KEY = jax.random.key(7)
WEIGHTS = {"clip": 0.2, "value_weight": 0.5, "entropy_weight": 0.01}


@struct.dataclass
class Count(environment.EnvState):
    time: jax.Array
    ticks: jax.Array


@struct.dataclass
class Limits(environment.EnvParams):
    max_steps_in_episode: int = 3
    ends_at: int = 100


class Counter(environment.Environment):
    """Ticks are seen and paid for; parity allows actions: two switches, of two and three places."""

    @property
    def default_params(self):
        return Limits()

    def action_space(self, params=None):
        return spaces.Tuple((spaces.Discrete(2), spaces.Discrete(3)))

    def observation_space(self, params):
        return spaces.Box(0.0, 100.0, (1,))

    def action_mask(self, observation, params):
        odd = observation[0] % 2 == 1
        return jnp.stack([odd, ~odd, odd, jnp.ones_like(odd), ~odd])

    def reset_env(self, key, params):
        return jnp.zeros(1), Count(time=jnp.int32(0), ticks=jnp.float32(0))

    def step_env(self, key, state, action, params):
        state = Count(time=state.time + 1, ticks=state.ticks + 1)
        return state.ticks[None], state, state.ticks, state.ticks >= params.ends_at, {}


@functools.cache
def counter(**limits):
    return Control("counter", Counter(), Limits(**limits))


@functools.cache
def ticks_worth():
    """A network whose value of an observation is 10 times it."""

    def apply(params, x):
        return ppo.Outputs(jnp.zeros((*x.shape[:-1], 5)), 10 * x[..., 0])

    return ppo.feed_forward(Network(lambda key, x: {}, apply))


@functools.partial(jax.jit, static_argnums=(1, 2))
def walk(problem, network, length=5, discount=0.5, lambda_=1.0):
    """Parameters, what happened in two environments, and (values, advantages)."""
    walkers = experience.start(problem, network, KEY, 2)
    params = network.init(KEY, walkers.observation[0])
    after, happened = ppo.collect(problem, network, params, None, KEY, walkers, length)
    estimates = ppo.estimate(
        network, params, happened, after.carry, discount=discount, lambda_=lambda_
    )
    return params, happened, estimates


def example(actions, size=6, seed=0):
    """A tiny batch, and parameters of a linear actor-critic as NumPy arrays."""
    rng = np.random.default_rng(seed)
    head = ppo.head_size(actions)
    weights = rng.normal(size=(3, head + 1)) * 0.4
    x = rng.normal(size=(1, size, 3))
    if actions.is_discrete:
        index = rng.integers(0, actions.sizes[0], size=(1, size))
        vectors = np.eye(actions.sizes[0])[index]
    else:
        vectors = rng.normal(size=(1, size, actions.size))
    old, values, advantages = 0.3 * rng.normal(size=(3, 1, size))
    old += policy_by_hand(x[0] @ weights[:, :-1], vectors[0], actions)[0]
    batch = ppo.Batch(
        *(None if a is None else jnp.asarray(a, jnp.float32) for a in (x, None)),
        jnp.zeros((1, size), bool),
        *(jnp.asarray(a, jnp.float32) for a in (vectors, old, values, advantages)),
    )
    return weights, batch


def linear_network():
    def apply(weights, x):
        y = x @ weights
        return ppo.Outputs(y[..., :-1], y[..., -1])

    return ppo.feed_forward(Network(lambda key, x: None, apply))


def policy_by_hand(head, a, actions):
    """Log probabilities and entropies."""
    if actions.is_discrete:
        p = np.exp(head) / np.exp(head).sum(axis=1, keepdims=True)
        return np.log((p * a).sum(axis=1)), -(p * np.log(p)).sum(axis=1)
    mean, log_std = np.split(head, 2, axis=1)
    z = (a - mean) / np.exp(log_std)
    log_prob = (-0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi)).sum(axis=1)
    return log_prob, (log_std + 0.5 * np.log(2 * np.pi * np.e)).sum(axis=1)


def by_hand(weights, batch, actions, clip_values):
    """The loss in NumPy's float64, step by step from the paper."""
    x, _, _, a, old, v_old, adv = (None if f is None else np.asarray(f, float)[0] for f in batch)
    v = x @ weights[:, -1]
    log_prob, entropy = policy_by_hand(x @ weights[:, :-1], a, actions)
    ratio = np.exp(log_prob - old)
    normalised = (adv - adv.mean()) / (adv.std() + 1e-8)
    surrogate = np.minimum(ratio * normalised, np.clip(ratio, 0.8, 1.2) * normalised)
    targets = adv + v_old
    errors = (v - targets) ** 2
    if clip_values:
        errors = np.maximum(errors, (v_old + np.clip(v - v_old, -0.2, 0.2) - targets) ** 2)
    loss = -surrogate.mean() + 0.5 * 0.5 * errors.mean() - 0.01 * entropy.mean()
    return loss, np.mean(np.abs(ratio - 1) > 0.2), np.mean(ratio - 1 - np.log(ratio))


@pytest.mark.parametrize("clip_values", [True, False])
@pytest.mark.parametrize("actions", [Actions(sizes=(4,)), Actions(shape=(2,))], ids=["4", "R2"])
def test_loss_and_gradient_by_hand(actions, clip_values):
    weights, batch = example(actions)
    function = functools.partial(
        ppo.loss, linear_network(), actions, clip_values=clip_values, **WEIGHTS
    )
    given = jnp.asarray(weights, jnp.float32)
    found = jax.jit(jax.value_and_grad(function, has_aux=True))(given, (), batch)
    (value, parts), gradient = jax.tree.map(np.asarray, found)
    expected, clipped, kl = by_hand(weights, batch, actions, clip_values)
    assert 0 < clipped < 1, "half of the loss would not be tested"
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(parts.clip_fraction, clipped)
    np.testing.assert_allclose(parts.kl, kl, rtol=1e-4)
    for index in np.ndindex(weights.shape):
        step = np.zeros_like(weights)
        step[index] = 1e-6
        high, low = (by_hand(weights + s, batch, actions, clip_values)[0] for s in (step, -step))
        np.testing.assert_allclose(gradient[index], (high - low) / 2e-6, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize(
    ("limits", "bootstrap"),
    [({"max_steps_in_episode": 3}, 30.0), ({"ends_at": 3, "max_steps_in_episode": 99}, 0.0)],
    ids=["cut off", "ended"],
)
def test_an_end_bootstraps_from_where_it_led_if_it_was_cut_off(limits, bootstrap):
    """Rewards 1, 2, 3, then anew; V is 10 times the ticks, so 30 at the end and 0 after reset."""
    _, happened, (values, advantages) = walk(counter(**limits), ticks_worth())
    happened, values, advantages = jax.tree.map(np.asarray, (happened, values, advantages))
    np.testing.assert_array_equal(happened.ends[:, 0], [0, 0, 1, 0, 0])
    np.testing.assert_array_equal(happened.rewards[:, 0], [1, 2, 3, 1, 2])
    np.testing.assert_array_equal(happened.observations[:, 0, 0], [0, 1, 2, 0, 1])
    np.testing.assert_array_equal(happened.next_observations[:, 0, 0], [1, 2, 3, 1, 2])
    np.testing.assert_array_equal(happened.episode_returns[:, 0], [1, 3, 6, 1, 3])
    np.testing.assert_array_equal(values[:, 0], [0, 10, 20, 0, 10])
    third = 3 + 0.5 * bootstrap
    second, fifth = 2 + 0.5 * third, 2 + 0.5 * 20
    returns = [1 + 0.5 * second, second, third, 1 + 0.5 * fifth, fifth]
    np.testing.assert_allclose(advantages[:, 0], np.subtract(returns, values[:, 0]), rtol=1e-6)


def test_forbidden_actions_are_never_taken():
    _, happened, _ = walk(counter(max_steps_in_episode=9), ticks_worth(), 200)
    taken = np.asarray(happened.actions, bool)
    assert not np.any(taken & ~np.asarray(happened.masks))
    assert np.all(taken.sum(axis=-1) == 2)
    # The middle place of the second switch is always allowed, and chosen half of the time.
    assert 0.35 < taken[..., 3].mean() < 0.65
    np.testing.assert_allclose(happened.log_probs, np.log(0.5), rtol=1e-6)


@pytest.mark.parametrize("memory", ["none", "gru"])
def test_ratios_are_one_before_anything_is_learned(memory):
    """With memory, in every minibatch and also in a rollout that begins within an episode."""
    algorithm = ppo.make(
        control("MemoryChain-bsuite", memory_length=3),
        ppo.Config(
            rollout_length=8,
            num_epochs=2,
            num_minibatches=2,
            memory=memory,
            memory_size=8,
            hidden_sizes=(8,),
        ),
        optimizer=lambda rate, norm: optax.sgd(0.0),
    )

    @jax.jit
    def two_steps():
        keys = jax.random.split(KEY)
        return jax.lax.scan(lambda now, key: algorithm.step(key, now), algorithm.init(KEY), keys)

    losses = two_steps()[1].losses
    np.testing.assert_allclose(losses.kl, 0.0, atol=1e-7)
    np.testing.assert_array_equal(losses.clip_fraction, 0.0)
    np.testing.assert_allclose(losses.policy_loss, 0.0, atol=1e-5)


def test_bytes_are_left_to_networks_that_know_them():
    image = jax.ShapeDtypeStruct((16, 16, 3), jnp.uint8)
    with pytest.raises(ValueError, match="observation has bytes; allowed: numbers, images with"):
        ppo.actor_critic(Actions(sizes=(2,)), image, (8,))


def test_a_memory_ends_with_its_episode_also_where_the_caller_goes_on():
    problem = control("MemoryChain-bsuite", memory_length=3)
    config = ppo.Config(
        num_envs=2, num_minibatches=2, hidden_sizes=(8,), memory="gru", memory_size=8
    )
    algorithm = ppo.make(problem, config)
    state = jax.jit(algorithm.init)(jax.random.key(0))
    act = jax.jit(lambda seen, carry: algorithm.act(None, state, seen, carry))
    _, first = problem.reset(jax.random.key(1))
    later = first._replace(is_first=jnp.asarray(False))
    _, fresh = act(first, None)
    _, again = act(first, fresh)
    _, kept = act(later, fresh)
    jax.tree.map(np.testing.assert_array_equal, again, fresh)
    assert any(np.any(x != y) for x, y in zip(*map(jax.tree.leaves, (kept, fresh)), strict=True))


@pytest.mark.parametrize("limit", [3, 99])
def test_values_with_a_memory_whether_or_not_an_episode_is_cut_off(limit):
    """The bootstrap remembers the episode that was cut off, not what came before or after."""
    problem = counter(max_steps_in_episode=limit)
    network = ppo.actor_critic(
        problem.actions, jax.ShapeDtypeStruct((1,), jnp.float32), (8,), gru(4)
    )
    params, _, (_, advantages) = walk(problem, network, 5, 1.0, 0.0)
    ticks, is_first = np.arange(6.0, dtype=np.float32)[:, None, None], np.arange(6)[:, None] == 0
    _, outputs = jax.jit(network.apply)(params, network.initial((1,)), ticks, is_first)
    value, advantages = np.asarray(outputs.value[:, 0]), np.asarray(advantages)
    errors = (np.arange(1.0, 6.0) + value[1:] - value[:-1])[np.arange(5) % limit]
    np.testing.assert_allclose(advantages[:, 0], errors, rtol=1e-5, atol=1e-6)


def test_acting_alone_is_acting_in_the_rollout():
    problem = control("MemoryChain-bsuite", memory_length=3)
    config = ppo.Config(
        num_envs=2, num_minibatches=2, hidden_sizes=(8,), memory="gru", memory_size=8
    )
    algorithm, network = ppo.make(problem, config), ppo.default_network(problem, config)
    state = jax.jit(algorithm.init)(KEY)
    state = state._replace(params=jax.tree.map(lambda leaf: 3 * np.asarray(leaf), state.params))

    @jax.jit
    def step(now, seen, carry):
        drawn, _ = algorithm.act(KEY, state, seen.observation, carry)
        action, carry = algorithm.act(None, state, seen, carry)
        return problem.step(KEY, now, action), carry, action, drawn

    (now, seen), carry = jax.jit(problem.reset)(KEY), None
    history, actions, total = [], [], 0.0
    while not seen.is_last:
        history.append(seen.observation)
        (now, seen), carry, action, drawn = step(now, seen, carry)
        assert drawn.shape == action.shape == (2,)
        actions.append(action)
        total += float(seen.reward)
    begins = np.arange(len(history))[:, None] == 0
    sequence = np.stack(history)[:, None]
    _, outputs = jax.jit(network.apply)(state.params, network.initial((1,)), sequence, begins)
    np.testing.assert_array_equal(
        np.argmax(actions, axis=-1), np.argmax(outputs.head[:, 0], axis=-1)
    )
    assert len(history) == 4
    assert total in (-1.0, 0.0, 1.0)


def test_minibatches_hold_every_sequence_once():
    carry = jnp.arange(6.0)[:, None]
    numbers = jnp.arange(6.0) + jnp.zeros((2, 1))
    batch = ppo.Batch(numbers, None, numbers > 0, numbers, numbers, numbers, numbers)
    shuffled = jax.jit(ppo.shuffle, static_argnums=3)(KEY, carry, batch, 3)
    carries, parts = jax.tree.map(np.asarray, shuffled)
    assert parts.values.shape == (3, 2, 2)
    np.testing.assert_array_equal(np.sort(parts.values[:, 0].ravel()), np.arange(6))
    np.testing.assert_array_equal(parts.values[:, 0], carries[..., 0])
    assert not np.array_equal(parts.values[:, 0].ravel(), np.arange(6))


def test_every_order_is_as_likely():
    def order(key):
        numbers = jnp.arange(3.0)[None]
        batch = ppo.Batch(numbers, None, numbers > 0, numbers, numbers, numbers, numbers)
        return ppo.shuffle(key, (), batch, 3)[1].values.ravel()

    drawn = compiled(jax.vmap(order))(jax.random.split(KEY, 6000))
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert scipy.stats.chisquare(counts).pvalue > 0.01


def test_the_convolution_is_a_convolution():
    network = ppo.actor_critic(
        Actions(sizes=(3,)), jax.ShapeDtypeStruct((10, 10, 4), jnp.float32), (8,)
    )

    @jax.jit
    def values():
        grid = jax.random.normal(KEY, (10, 10, 4))
        params = network.init(KEY, grid)
        (convolution, (layer,)), heads = params
        kernel = convolution["kernel"].reshape(3, 3, 4, 16)
        features = jax.lax.conv_general_dilated(
            grid[None], kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(features + convolution["bias"]).reshape(-1)
        hidden = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
        value = heads["value"][0]
        expected = hidden @ value["kernel"] + value["bias"]
        _, outputs = network.apply(params, (), grid[None, None], jnp.zeros((1, 1), bool))
        return outputs.value[0, 0], expected[0]

    np.testing.assert_allclose(*values(), rtol=1e-4, atol=1e-5)


def test_initial_weights_are_orthogonal_and_the_policy_nearly_uniform():
    network = ppo.actor_critic(
        Actions(shape=(2,)), {"a": jnp.zeros((2, 2)), "b": jnp.zeros(3)}, (8, 8)
    )
    observation = {"a": jnp.ones((2, 2)), "b": jnp.ones(3)}
    _, heads = jax.tree.map(np.asarray, jax.jit(network.init)(KEY, observation))
    hidden, last = heads["policy"][1]["kernel"], heads["policy"][2]["kernel"]
    np.testing.assert_allclose(hidden.T @ hidden, 2 * np.eye(8), atol=1e-5)
    np.testing.assert_allclose(last.T @ last, 1e-4 * np.eye(2), atol=1e-7)
    assert heads["policy"][0]["kernel"].shape == (7, 8)
    np.testing.assert_array_equal(heads["log_scale"], [0, 0])


def test_the_learning_rate_falls_on_a_line_by_steps():
    rates = []

    def spy(rate, norm):
        rates.append(rate)
        return ppo.clipped_adam(rate, norm)

    config = ppo.Config(annealing_steps=10, learning_rate=0.5)
    ppo.make(corridor(), config, optimizer=spy)
    of = jax.jit(rates[0])(jnp.asarray([0, 1, 5, 10, 11]) * 16 + 15)
    np.testing.assert_allclose(of, [0.5, 0.45, 0.25, 0.0, 0.0], atol=1e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_minibatches": 7}, "'num_minibatches' is 7; allowed: a divisor of .*, 512"),
        ({"memory": "gru", "num_minibatches": 8}, "is 8; allowed: a divisor of num_envs, 4"),
        ({"hidden_sizes": ()}, "'hidden_sizes' is \\(\\); allowed: at least one width"),
    ],
)
def test_bad_configs_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ppo.Config(**options)


def test_networks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="network has a head of 5 numbers; allowed: 2, for the"):
        ppo.make(corridor(), network=ticks_worth())
    network = ppo.actor_critic(Actions(sizes=(2,)), jnp.zeros(4), (8,), gru(4))
    config = ppo.Config(num_envs=4, rollout_length=3, num_minibatches=3)
    with pytest.raises(ValueError, match="is 3; allowed with a memory: a divisor of num_envs, 4"):
        ppo.make(corridor(), config, network=network)
