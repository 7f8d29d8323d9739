"""Our side: `rlsuite.nets.temporal_unet` and `rlsuite.ops.diffusion`, jitted."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import unflatten_dict

from rlsuite.nets.temporal_unet import InverseDynamics, TemporalUNet
from rlsuite.ops import diffusion

PACKAGES = ("rlsuite", "flax", "jax", "jaxlib", "optax")

Inputs = Mapping[str, np.ndarray]
Prepared = tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]

_RATE, _BOUND = 2e-4, 3.0
_NETWORK = TemporalUNet(32, (1, 2, 4))


def _weights(inputs: Inputs, name: str) -> Any:
    paths = {tuple(path.split("/")): array for path, array in inputs.items()}
    flat = {path[1:]: jnp.asarray(array) for path, array in paths.items() if path[0] == name}
    return {"params": unflatten_dict(flat)}


def _predict(weights: Any, x: Any, step: Any, condition: Any) -> Any:
    return jax.vmap(_NETWORK.apply, in_axes=(None, 0, 0, 0))(weights, x, step, condition)


def _size(weights: Any) -> np.ndarray:
    return np.asarray(sum(leaf.size for leaf in jax.tree.leaves(weights)))


def training(inputs: Inputs) -> Prepared:
    """A training step: squared error of the predicted noise, backwards, Adam."""
    weights = _weights(inputs, "network")
    x, step, condition = (jnp.asarray(inputs[name]) for name in ("x", "step", "condition"))
    noise = jnp.asarray(inputs["noise"][0])
    optimizer = optax.adam(_RATE)

    def loss(weights: Any) -> Any:
        return jnp.mean(jnp.square(_predict(weights, x, step, condition) - noise))

    def update(weights: Any, state: Any) -> Any:
        value, gradient = jax.value_and_grad(loss)(weights)
        updates, state = optimizer.update(gradient, state)
        told = value, optax.tree.norm(gradient)
        return optax.apply_updates(weights, updates), state, told

    train = jax.jit(update, donate_argnums=(0, 1))
    parameters = _size(weights)
    state = jax.jit(optimizer.init)(weights)
    weights, state, (first, gradient) = train(weights, state)
    result = {
        "parameters": parameters,
        "loss": np.asarray(first),
        "gradient": np.asarray(gradient),
    }

    def run() -> Any:
        nonlocal weights, state
        weights, state, told = jax.block_until_ready(train(weights, state))
        return told

    return run, lambda _: result


def denoising(inputs: Inputs) -> Prepared:
    """Some steps of the reverse chain."""
    weights = _weights(inputs, "network")
    start, condition, noise, table = (
        jnp.asarray(inputs[name]) for name in ("x", "condition", "noise", "table")
    )

    @jax.jit
    def denoise(weights: Any, start: Any) -> Any:
        def step(x: Any, row: Any) -> Any:
            (k, scale, spread, carry, data, deviation), z = row
            steps = jnp.full(len(x), k)
            predicted = (x - spread * _predict(weights, x, steps, condition)) / scale
            return carry * x + data * predicted + deviation * z, None

        return jax.lax.scan(step, start, (tuple(table.T), noise))[0]

    def result(x: Any) -> dict[str, np.ndarray]:
        return {"parameters": _size(weights), "x": np.asarray(x)}

    return lambda: jax.block_until_ready(denoise(weights, start)), result


def plan(inputs: Inputs) -> Prepared:
    """All steps of the reverse chain with guidance, from the state at hand to the action."""
    schedule = diffusion.cosine(int(inputs["num_steps"]))
    return _planning(inputs, schedule, diffusion.ancestral(schedule))


def warm(inputs: Inputs) -> Prepared:
    """The last ten of twenty steps of DPM-Solver++, from the plan before, noised so far."""
    schedule = diffusion.cosine(int(inputs["num_steps"]))
    sampler = diffusion.shortened(diffusion.dpm_solver(schedule, 20), 10)
    return _planning(inputs, schedule, sampler)


def _planning(inputs: Inputs, schedule: diffusion.Schedule, sampler: diffusion.Sampler) -> Prepared:
    weights, inverse = (_weights(inputs, name) for name in ("network", "inverse"))
    state, weight = jnp.asarray(inputs["state"]), jnp.asarray(inputs["weight"])
    length, actions = int(inputs["length"]), inputs["inverse/Dense_2/bias"].size
    known = diffusion.first_known(state[None], length)
    condition = jnp.ones(1)

    @jax.jit
    def plan(weights: Any, inverse: Any, key: Any, before: Any) -> Any:
        def predict(x: Any, step: Any) -> Any:
            def say(present: Any) -> Any:
                return _NETWORK.apply(weights, x, step, condition, present)

            absent, seen = jax.vmap(say)(jnp.asarray([False, True]))
            noise = diffusion.guided(absent, seen[None], weight[None])
            return diffusion.to_data(schedule, "noise", x, step, noise)

        of_start, of_walk = jax.random.split(key)
        start = diffusion.noise_to(schedule, of_start, before, int(sampler.steps[0]))
        states = diffusion.walk(sampler, predict, of_walk, start, known=known, bound=_BOUND)
        return states, InverseDynamics(actions).apply(inverse, states[0], states[1])

    keys = iter(range(10**9))
    before = jnp.zeros((length, len(state)))

    def run() -> tuple[Any, np.ndarray]:
        nonlocal before
        before, action = plan(weights, inverse, jax.random.key(next(keys)), before)
        return before, np.asarray(action)

    def result(output: tuple[Any, np.ndarray]) -> dict[str, np.ndarray]:
        states, action = output
        return {"first": np.asarray(states[0]), "action": np.asarray(action.shape)}

    return run, result
