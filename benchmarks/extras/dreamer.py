"""Dreamer beyond the registry: what an update costs and where, and what a long run keeps.

An update of the published size ``size1m`` (16 sequences of 64 time steps, 15 imagined) is timed as
a whole and in its parts, each a program of its own; the parts do not add up to the whole, in which
XLA shares and fuses across them. A tiny Dreamer on CartPole shows that a run compiles each program
once and does not grow, and what training several seeds at once, or on several devices, brings.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import statistics
from benchmarks.extras import Study
from benchmarks.measure import timed_call
from benchmarks.results import UNAVAILABLE, Row, make_row
from rlsuite.algorithms import dreamer
from rlsuite.algorithms.dreamer import behaviour as behaviours
from rlsuite.algorithms.dreamer.agent import Row as Remembered
from rlsuite.algorithms.dreamer.agent import Weights
from rlsuite.core import Result, run
from rlsuite.envs.control import Actions, Spec, Timestep, control
from rlsuite.ops.optimizers import laprop

ALGORITHM = "dreamer"
_BATCH, _LENGTH = 16, 64
_UPDATES, _WARM_UP, _LOOK, _SHORT = 10_000, 500, 100, 1000
_SEEDS = (1, 2, 4, 8)
_STATM = Path("/proc/self/statm")
_COMPILED = "/jax/core/compile/backend_compile_duration"
_ELSEWHERE = "from benchmarks.extras import dreamer; print(dreamer.rate(2))"


def _row(problem: str, metric: str, value: float | None, **fields: Any) -> Row:
    identity = {"suite": "speed", "algorithm": ALGORITHM, "problem": problem, "metric": metric}
    return make_row(**identity, value=value, **fields)


def parts(seeds: int) -> Iterator[Row]:
    """Time an update at ``size1m`` and its parts."""
    del seeds
    for name, program, arguments in _programs():
        call = timed_call(program, *arguments)
        value, low, high = statistics.median(call.seconds)
        yield _row(
            f"size1m, {_BATCH}x{_LENGTH}, horizon 15: {name}",
            "time",
            value,
            ci_low=low,
            ci_high=high,
            unit="s",
            seeds=len(call.seconds),
            compile_s=call.compile_s,
            wall_s=sum(call.seconds),
            peak_bytes=call.peak_bytes,
        )


def _programs() -> Iterator[tuple[str, Callable[..., Any], tuple[Any, ...]]]:
    """The whole update, then the model's loss, imagination, both heads' losses, the optimiser."""
    config = dreamer.v3("1m")
    agent = dreamer.agent(_spec(), config)
    learner = jax.jit(agent.init)(jax.random.key(0))
    rows, key = _sequences(agent), jax.random.key(1)
    first, rest = (jax.tree.map(lambda x, s=s: x[:, s], rows) for s in (0, slice(1, None)))
    weights = learner.weights

    def infer(world: Any) -> Any:
        return agent.world.infer(
            world, key, first.state, rows.action[:, :-1], rest.timestep, rest.state
        )

    states = jax.jit(lambda world: infer(world).states)(weights.world)
    starts = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), states)

    def imagine(weights: Weights, starts: Any) -> Any:
        def act(key: jax.Array, features: jax.Array, mask: Any) -> jax.Array:
            outputs = agent.networks.policy.apply(weights.policy, features)
            chances = behaviours.distribution(outputs, mask, agent.actions, config.behaviour)
            return chances.sample(key)

        horizon = config.behaviour.horizon
        return dreamer.imagine(agent.world.dynamics, weights.world, act, key, starts, horizon)

    def judge(weights: Weights, states: Any) -> jax.Array:
        found = behaviours.losses(
            weights.policy,
            weights.value,
            learner.slow,
            weights.world,
            learner.range,
            key,
            states,
            rest.timestep,
            dynamics=agent.world.dynamics,
            networks=agent.networks,
            actions=agent.actions,
            config=config,
        )
        return found.policy + found.value

    rule = laprop(config.learning_rate, warmup_steps=config.warmup)
    yield "the whole update", agent.update, (key, learner, rows)
    yield "the model's gradient", jax.grad(lambda world: infer(world).loss), (weights.world,)
    yield "imagination", imagine, (weights, starts)
    yield "imagination, policy's and critic's gradients", jax.grad(judge), (weights, states)
    yield "the optimiser", rule.update, (weights, jax.jit(rule.init)(weights), weights)


def _spec() -> Spec:
    never = jnp.zeros((), bool)
    timestep = Timestep(jnp.zeros(4), jnp.zeros(()), never, never, never)
    return Spec(timestep, None, Actions(sizes=(2,), single=True))


def _sequences(agent: dreamer.Agent) -> Remembered:
    rng = np.random.default_rng(0)
    shape = (_BATCH, _LENGTH + 1)
    observation = jnp.asarray(rng.normal(size=(*shape, 4)), jnp.float32)
    reward = jnp.asarray(rng.normal(size=shape), jnp.float32)
    never = jnp.zeros(shape, bool)
    action = jax.nn.one_hot(rng.integers(0, 2, size=shape), 2)
    state = jax.tree.map(lambda x: jnp.zeros((*shape, *x.shape)), agent.world.initial)
    return Remembered(Timestep(observation, reward, never, never, never), action, state)


def tiny(**changes: Any) -> dreamer.Config:
    """A Dreamer that updates thousands of times in a minute."""
    model = dreamer.Model(deter=16, stoch=4, classes=4, blocks=2, hidden=16, units=16, layers=1)
    behaviour = dreamer.Behaviour(horizon=3, policy_layers=1)
    defaults = {"batch_size": 2, "sequence_length": 8, "replay_size": 1000, "prefill": 16}
    evaluation = {"evaluation_episodes": 1, "evaluation_length": 10}
    return dreamer.Config(**{**defaults, **evaluation, **changes}, model=model, behaviour=behaviour)


class Watch:
    """A sink that records the process's memory, and what was compiled until then."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.resident: list[int] = []
        self.compiled: list[int] = []
        self._compiled = 0

    def count(self, event: str, duration_secs: float, **_: str | int) -> None:
        """Hear of JAX's events."""
        del duration_secs
        self._compiled += event == _COMPILED

    def write(self, step: int, metrics: Any) -> None:
        """Look, once a chunk at most."""
        del metrics
        if self.steps and step < self.steps[-1] + _LOOK:
            return
        self.steps.append(step)
        self.resident.append(int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE"))
        self.compiled.append(self._compiled)

    def close(self) -> None:
        """Nothing is held."""


def memory(seeds: int) -> Iterator[Row]:
    """Follow the process's memory over a long run, and count what is compiled on the way."""
    del seeds
    problem = f"CartPole, tiny, updates {_WARM_UP} to {_UPDATES}"
    if not _STATM.exists():
        note = f"{UNAVAILABLE}this system does not tell a process's memory"
        yield _row(problem, "growth of memory", None, note=note)
        return
    watch = Watch()
    jax.monitoring.register_event_duration_secs_listener(watch.count)
    try:
        result = _train(_UPDATES, sinks=(watch,))
    finally:
        jax.monitoring.unregister_event_duration_listener(watch.count)
    after = next(i for i, step in enumerate(watch.steps) if step >= _WARM_UP)
    growth = max(watch.resident[after:]) / watch.resident[after] - 1
    fields = {"compile_s": result.compile_seconds, "wall_s": result.seconds}
    yield _row(problem, "growth of memory", growth, reference=0.02, **fields)
    yield _row(problem, "resident memory", watch.resident[-1], unit="B")
    yield _row(
        problem,
        "programs compiled",
        watch.compiled[-1] - watch.compiled[after],
        reference=0.0,
        note="since the warm-up: all of training is one program",
    )


def throughput(seeds: int) -> Iterator[Row]:
    """Train more and more seeds in one program, and two of them on one device and on two."""
    del seeds
    for count in _SEEDS:
        yield _row(f"CartPole, tiny@seeds={count}", "throughput", rate(count), unit="updates/s")
    for count in 1, 2:
        command = [sys.executable, "-c", _ELSEWHERE]
        environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(count)}
        told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        yield _row(
            f"CartPole, tiny, 2 seeds@devices={count}",
            "throughput",
            float(told.stdout.split()[-1]),
            unit="updates/s",
        )


def rate(seeds: int) -> float:
    """Updates a second, those of all seeds, without compilation.

    Args:
        seeds: How many are trained at once.

    Returns:
        The rate.
    """
    return seeds * _SHORT / _train(_SHORT, num_seeds=seeds).seconds


def _train(num_steps: int, **options: Any) -> Result:
    key = jax.random.key(0)
    problem = control("CartPole-v1")
    return run(dreamer.make, problem, tiny(), key, num_steps, progress=False, **options)


SCORES: tuple[Study, ...] = ()

SPEED = (
    Study("an update at size1m, and its parts", parts),
    Study("memory over 10,000 updates", memory),
    Study("throughput over seeds and devices", throughput),
)
