"""Decision Diffuser beyond the registry: the memory of training the network of the paper.

A process of its own makes the U-Net of 59.7 million parameters and takes training steps on 32
segments of 100 states of 11 numbers. Reported is the most memory that this process ever held, with
Python, JAX and the compiler: with Adam alone, and as the algorithm trains, with a running average
of all parameters (.24 GB) and the inverse dynamics.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.extras import Study
from benchmarks.peers.worker import peak_bytes
from benchmarks.results import Row, make_row
from rlsuite.algorithms import decision_diffuser
from rlsuite.data.offline import offline
from rlsuite.envs.episodes import Episode, join
from rlsuite.nets.temporal_unet import TemporalUNet

ALGORITHM = "decision_diffuser"
_BATCH, _LENGTH, _SIZE, _ACTIONS, _STEPS = 32, 100, 11, 3, 2
_BAR = 2.0e9
_ELSEWHERE = "from benchmarks.extras import decision_diffuser as d; print(d.peak(d.{}))"


def network() -> None:
    """Train the network alone, with Adam."""
    module, optimizer = TemporalUNet(), optax.adam(2e-4)
    x, condition = jnp.ones((_BATCH, _LENGTH, _SIZE)), jnp.ones((_BATCH, 1))
    times = jnp.arange(_BATCH)

    def init() -> Any:
        weights = module.init(jax.random.key(0), x[0], times[0], condition[0])
        return weights, optimizer.init(weights)

    def loss(weights: Any) -> Any:
        said: Any = jax.vmap(module.apply, (None, 0, 0, 0))(weights, x, times, condition)
        return jnp.mean(jnp.square(said - x))

    def step(learned: Any) -> Any:
        weights, state = learned
        updates, state = optimizer.update(jax.grad(loss)(weights), state)
        return optax.apply_updates(weights, updates), state

    _walk(init, step)


def algorithm() -> None:
    """Train as the algorithm does, with the paper's settings."""
    rng = np.random.default_rng(0)
    length = 10 * _LENGTH
    observations = rng.normal(size=(length + 1, _SIZE))
    actions = rng.uniform(-1, 1, size=(length, _ACTIONS))
    problem = offline("noise", join([Episode(observations, actions, np.ones(length))]))
    made = decision_diffuser.make(problem, decision_diffuser.paper())
    key = jax.random.key(0)
    _walk(lambda: made.init(key), lambda state: made.step(key, state)[0])


def _walk(init: Callable[[], Any], step: Callable[[Any], Any]) -> None:
    state = jax.jit(init)()
    program = jax.jit(step, donate_argnums=0)
    for _ in range(_STEPS):
        state = jax.block_until_ready(program(state))


def peak(train: Callable[[], None]) -> int:
    """The most memory that this process held.

    Args:
        train: What it is to do first.

    Returns:
        Bytes.
    """
    train()
    return peak_bytes()


def memory(seeds: int) -> Iterator[Row]:
    """Train in processes of their own."""
    del seeds
    for train, what in (network, "the network with Adam"), (algorithm, "the algorithm"):
        command = [sys.executable, "-c", _ELSEWHERE.format(train.__name__)]
        told = subprocess.run(command, env=os.environ, check=True, capture_output=True, text=True)
        yield make_row(
            suite="speed",
            algorithm=ALGORITHM,
            problem=f"training of {what}, 59.7M parameters, {_BATCH}x{_LENGTH}",
            metric="peak memory of the process",
            value=float(told.stdout.split()[-1]),
            unit="B",
            reference=_BAR,
        )


SCORES: tuple[Study, ...] = ()
SPEED = (Study("memory of training 59.7 million parameters", memory),)
