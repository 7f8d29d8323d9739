"""A small stochastic algorithm for the tests of the loop: noisy gradient descent to a target."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rlsuite import Algorithm, config, setting


@config
class Config:
    learning_rate: float = setting(default=0.1, above=0)
    noise: float = setting(default=0.01, at_least=0)
    fails_at: int = setting(default=1_000_000, at_least=0)


class State(NamedTuple):
    params: jax.Array
    average: jax.Array
    optimizer: optax.OptState
    count: jax.Array


class Metrics(NamedTuple):
    loss: jax.Array
    noise: jax.Array


def make(problem, config):
    optimizer = optax.adam(config.learning_rate)
    target = problem["target"]

    def init(key):
        params = jax.random.normal(key, target.shape)
        return State(params, params, optimizer.init(params), 0)

    def step(key, state):
        noise = config.noise * jax.random.normal(key, target.shape)
        gradient = state.params - target + noise
        updates, opt = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        loss = jnp.mean((state.params - target) ** 2)
        loss = jnp.where(state.count == config.fails_at, jnp.nan, loss)
        average = 0.9 * state.average + 0.1 * params
        return State(params, average, opt, state.count + 1), Metrics(loss, jnp.sum(noise))

    def evaluate(key, state):
        return {"error": jnp.max(jnp.abs(state.average - target)), "draw": jax.random.normal(key)}

    return Algorithm(init, step, evaluate=evaluate, chunk_length=10)


def problem():
    return {"target": jnp.asarray([1.0, -2.0, 0.5]), "name": "toy"}
