"""PPO in the manner of purejaxrl: a program of our own after its published hyperparameters.

purejaxrl is not in the package registry, and does not run with gymnax 1.0. So its design is
repeated here: one jitted program for the whole training, a scan over updates, in each a scan over
steps of vmapped environments that reset themselves; one Flax module for policy and value; a scan
over epochs and one over minibatches; the learning rate falls to zero. Like there, an episode that
was cut off counts as one that ended.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import distrax
import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

PACKAGES = ("gymnax", "jax", "jaxlib", "flax", "distrax", "optax")

_DISCOUNT, _LAMBDA, _CLIP, _ENTROPY, _VALUE, _NORM = 0.99, 0.95, 0.2, 0.01, 0.5, 0.5
_EPOCHS, _MINIBATCHES = 4, 4


class ActorCritic(nn.Module):
    """Two perceptrons of two layers of 64 tanh units."""

    num_actions: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[Any, jax.Array]:
        """Give the policy and the value."""

        def perceptron(size: int, gain: float) -> jax.Array:
            y = x
            for _ in range(2):
                y = nn.tanh(nn.Dense(64, kernel_init=nn.initializers.orthogonal(np.sqrt(2)))(y))
            return nn.Dense(size, kernel_init=nn.initializers.orthogonal(gain))(y)

        policy = distrax.Categorical(logits=perceptron(self.num_actions, 0.01))
        return policy, perceptron(1, 1.0)[..., 0]


class Step(NamedTuple):
    """What is kept of a step."""

    done: Any
    action: jax.Array
    value: jax.Array
    reward: jax.Array
    log_prob: jax.Array
    observation: jax.Array
    returned: jax.Array


class Runner(NamedTuple):
    """What goes from update to update."""

    params: Any
    optimizer: Any
    environments: Any
    observations: jax.Array
    returns: jax.Array
    returned: jax.Array
    key: jax.Array


def train(
    key: jax.Array,
    name: str,
    total: int,
    num_envs: int,
    num_steps: int,
    rate: float,
    each: Callable[[Any], Any] = lambda _: None,
    annealed: int | None = None,
) -> tuple[Runner, Any]:
    """Train once.

    Args:
        key: Key.
        name: An environment of gymnax with categories for actions.
        total: How many transitions.
        num_envs: Of how many environments.
        num_steps: Of each before an update.
        rate: The learning rate at the beginning.
        each: What to return of the parameters after each update.
        annealed: After how many updates the rate has fallen to 0; None for all.

    Returns:
        (runner, for each update: mean return of each environment's last episode, and ``each``).
    """
    environment, settings = gymnax.make(name)
    network = ActorCritic(environment.action_space(settings).n)
    num_updates = total // (num_envs * num_steps)

    def apply(params: Any, observations: jax.Array) -> Any:
        return network.apply(params, observations)

    def schedule(count: jax.Array) -> jax.Array:
        return rate * (1.0 - (count // (_EPOCHS * _MINIBATCHES)) / (annealed or num_updates))

    optimizer = optax.chain(optax.clip_by_global_norm(_NORM), optax.adam(schedule, eps=1e-5))

    def walk(runner: Runner, _: None) -> tuple[Runner, Step]:
        key, of_action, of_step = jax.random.split(runner.key, 3)
        policy, value = apply(runner.params, runner.observations)
        action = policy.sample(seed=of_action)
        log_prob = policy.log_prob(action)
        observations, environments, reward, terminated, truncated, _ = jax.vmap(
            environment.step, in_axes=(0, 0, 0, None)
        )(jax.random.split(of_step, num_envs), runner.environments, action, settings)
        done = terminated | truncated
        returns = runner.returns + reward
        returned = jnp.where(done, returns, runner.returned)
        kept = Step(done, action, value, reward, log_prob, runner.observations, returned)
        returns = jnp.where(done, 0.0, returns)
        return runner._replace(
            environments=environments,
            observations=observations,
            returns=returns,
            returned=returned,
            key=key,
        ), kept

    def advantages_of(steps: Step, last_value: jax.Array) -> jax.Array:
        def back(after: Any, step: Step) -> Any:
            advantage, next_value = after
            goes_on = 1.0 - step.done
            error = step.reward + _DISCOUNT * next_value * goes_on - step.value
            advantage = error + _DISCOUNT * _LAMBDA * goes_on * advantage
            return (advantage, step.value), advantage

        start = (jnp.zeros_like(last_value), last_value)
        return jax.lax.scan(back, start, steps, reverse=True, unroll=16)[1]

    def loss(params: Any, steps: Step, advantages: jax.Array, targets: jax.Array) -> jax.Array:
        policy, value = apply(params, steps.observation)
        near = steps.value + jnp.clip(value - steps.value, -_CLIP, _CLIP)
        errors = jnp.maximum(jnp.square(value - targets), jnp.square(near - targets))
        ratio = jnp.exp(policy.log_prob(steps.action) - steps.log_prob)
        weights = (advantages - jnp.mean(advantages)) / (jnp.std(advantages) + 1e-8)
        clipped = jnp.clip(ratio, 1.0 - _CLIP, 1.0 + _CLIP) * weights
        surrogate = jnp.mean(jnp.minimum(ratio * weights, clipped))
        entropy = jnp.mean(policy.entropy())
        return -surrogate + _VALUE * 0.5 * jnp.mean(errors) - _ENTROPY * entropy

    def minibatch(learned: Any, part: Any) -> Any:
        params, state = learned
        value, gradient = jax.value_and_grad(loss)(params, *part)
        updates, state = optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), value

    def epoch(carry: Any, _: None) -> Any:
        learned, data, key = carry
        key, of_order = jax.random.split(key)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), data)
        order = jax.random.permutation(of_order, num_envs * num_steps)
        parts = jax.tree.map(
            lambda x: jnp.take(x, order, axis=0).reshape(_MINIBATCHES, -1, *x.shape[1:]), flat
        )
        learned, losses = jax.lax.scan(minibatch, learned, parts)
        return (learned, data, key), losses

    def update(runner: Runner, _: None) -> Any:
        runner, steps = jax.lax.scan(walk, runner, None, num_steps)
        last_value = apply(runner.params, runner.observations)[1]
        advantages = advantages_of(steps, last_value)
        data = (steps, advantages, advantages + steps.value)
        carry: Any = ((runner.params, runner.optimizer), data, runner.key)
        ((params, state), _, key), _ = jax.lax.scan(epoch, carry, None, _EPOCHS)
        runner = runner._replace(params=params, optimizer=state, key=key)
        return runner, (jnp.mean(steps.returned[-1]), each(params))

    key, of_network, of_reset = jax.random.split(key, 3)
    observations, environments = jax.vmap(environment.reset, in_axes=(0, None))(
        jax.random.split(of_reset, num_envs), settings
    )
    params = network.init(of_network, observations[0])
    nothing = jnp.zeros(num_envs)
    state = optimizer.init(params)
    runner = Runner(params, state, environments, observations, nothing, nothing, key)
    return jax.lax.scan(update, runner, None, num_updates)


def cartpole(
    inputs: Mapping[str, np.ndarray],
) -> tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]:
    """A whole training on CartPole."""
    total, num_envs, num_steps = (int(inputs[name]) for name in ("total", "num_envs", "num_steps"))
    program = jax.jit(
        lambda key: train(key, "CartPole-v1", total, num_envs, num_steps, float(inputs["rate"]))
    )
    keys = iter(range(10**9))

    def run() -> Any:
        return jax.block_until_ready(program(jax.random.key(next(keys))))

    def result(output: Any) -> dict[str, np.ndarray]:
        _, (returns, _) = output
        return {"transitions": np.asarray(len(returns) * num_envs * num_steps)}

    return run, result
