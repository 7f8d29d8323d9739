"""Real time: acting goes on at a fixed rate while learning runs beside it.

The acting thread is woken at the ticks 0, 1/rate, 2/rate, …. At each it takes the environment's
next time step, infers, chooses, and hands the action on; nothing else. It reads the parameters from
one place, into which the learning thread puts a frozen copy after every update: a single assignment
to a reference, once the copy is complete, so acting neither waits nor sees half an update. Rows
travel the other way through a queue, which the learning thread empties into the replay between
updates.

The latency of an action is the time from the time step's arrival to the action as a NumPy array. A
tick at which the last action, or the environment's step, was not done yet is missed: it is skipped,
and counted. Actions and missed ticks together are rate × seconds.

XLA runs the two threads' programs side by side on a CPU. An accelerator runs them one after the
other, so that an action waits for the update at hand, unless ``acting_device`` is another one, such
as the CPU.

Learning updates as often as the machine allows; ``config.steps_per_update`` and ``config.updates``
do not matter here.
"""

import collections
import functools
import math
import threading
import time
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from rlsuite.algorithms.dreamer.agent import Learner, Row, Rule, Weights
from rlsuite.algorithms.dreamer.algorithm import learn, learned_world
from rlsuite.algorithms.dreamer.behaviour import Heads
from rlsuite.algorithms.dreamer.config import Config
from rlsuite.algorithms.dreamer.latencies import RealTime
from rlsuite.algorithms.dreamer.programs import (
    Maker,
    World,
    blank,
    cut_off,
    prepare,
    respond,
)
from rlsuite.data import replay as replays
from rlsuite.data.replay import Replay
from rlsuite.envs.hosts import HostEnvironment
from rlsuite.io.interrupts import Interrupt
from rlsuite.placement import Arguments

_PAUSE = 0.02  # seconds between two looks at the queue while there is nothing to learn from


@runtime_checkable
class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class _WallClock:
    """The machine's."""

    def now(self) -> float:
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class _Acting:
    """The acting thread, and what it shares: parameters to read, rows to take away."""

    def __init__(
        self,
        maker: Maker,
        arguments: Arguments,
        environment: HostEnvironment,
        weights: Weights,
        clock: Clock,
    ) -> None:
        self.weights = weights
        self.clock = clock
        self.rows: collections.deque[Row] = collections.deque()
        self.stopped = threading.Event()
        self.error: BaseException | None = None
        self.began = 0.0
        self.missed = 0
        self.ticks: list[int] = []
        self.latencies: list[float] = []
        self.returns: list[float] = []
        self._maker, self._arguments, self._environment = maker, arguments, environment
        self._score = np.zeros(environment.num_environments)
        self._carry: Any = None

    def rehearse(self, seed: int) -> None:
        """Compile, and start episodes."""
        self._seen = self._environment.reset(seed)
        for _ in range(2):  # without a carry, and with one
            self._carry = self._respond(_moment(0))

    def _respond(self, tick: Any) -> Any:
        return jax.block_until_ready(
            respond(self._maker, self._arguments, self.weights, self._seen, self._carry, tick)
        )

    def run(self, rate: float, num_ticks: int) -> None:
        """Act at every tick."""
        try:
            self.began, tick = self.clock.now(), 0
            while tick < num_ticks and not self.stopped.is_set():
                self.clock.sleep(max(0.0, self.began + tick / rate - self.clock.now()))
                self._act(tick)
                # The first tick that is not over yet.
                elapsed = self.clock.now() - self.began
                following = max(tick + 1, math.ceil(elapsed * rate))
                self.missed += min(following, num_ticks) - tick - 1
                tick = following
        except BaseException as error:
            self.error = error
        finally:
            self.stopped.set()

    def _act(self, tick: int) -> None:
        if self.ticks:
            self._seen = self._environment.step(np.asarray(self._carry[1]))
            self._keep_score()
        arrived = self.clock.now()
        self._carry = self._respond(_moment(tick + 1))
        action: Any = np.asarray(self._carry[1])
        self.latencies.append(self.clock.now() - arrived)
        self.ticks.append(tick)
        self.rows.append(Row(self._seen, action, self._carry[0]))

    def _keep_score(self) -> None:
        seen = self._seen
        self._score = np.where(seen.is_first, 0.0, self._score) + np.asarray(seen.reward)
        self.returns += self._score[np.asarray(seen.is_last)].tolist()


class _Learning:
    """What the learning thread does."""

    def __init__(
        self, maker: Maker, arguments: Arguments, learner: Learner, replay: Replay
    ) -> None:
        self.learner, self.replay = learner, replay
        self._arguments = arguments
        config = arguments.config
        self._needed = max(config.prefill, config.sequence_length + 1)
        self._add = jax.jit(replays.add, donate_argnums=0)
        self._step: Any = jax.jit(functools.partial(_step, maker), donate_argnums=(1, 2))

    def rehearse(self) -> None:
        """Compile."""
        shapes = self._arguments, self.learner, self.replay, _moment(0)
        self._step = self._step.lower(*shapes).compile()

    def remember(self, rows: collections.deque[Row]) -> None:
        """Empty the queue into the replay."""
        while rows:
            self.replay = self._add(self.replay, jax.device_get(rows.popleft()))

    def ready(self) -> bool:
        """Whether there is enough to learn from."""
        return int(self.replay.written) >= self._needed

    def update(self, number: int) -> Weights:
        """Learn once; returns a frozen copy of the parameters."""
        self.learner, self.replay, weights = self._step(
            self._arguments, self.learner, self.replay, _moment(number)
        )
        return weights


def _step(
    maker: Maker, arguments: Arguments, learner: Learner, replay: Replay, moment: Any
) -> tuple[Learner, Replay, Weights]:
    key = jax.random.fold_in(arguments.key, moment)
    learner, replay, _ = learn(maker.agent(arguments), arguments.config, key, learner, replay)
    # A copy: the learner is donated to the next update while acting reads the parameters.
    return learner, replay, jax.tree.map(jnp.copy, learner.weights)


def _moment(number: int) -> np.ndarray:
    return np.asarray(number, np.int32)


def _learn_beside(
    acts: _Acting, learns: _Learning, device: jax.Device | None, *, learning: bool
) -> list[float]:
    """Learn until acting has stopped; returns when the updates were done."""
    moments: list[float] = []
    with Interrupt() as interrupt:
        while True:
            learns.remember(acts.rows)
            if learning and learns.ready():
                weights = jax.device_put(learns.update(len(moments)), device)
                acts.weights = jax.block_until_ready(weights)
                moments.append(acts.clock.now())
            else:
                acts.stopped.wait(_PAUSE)
            if interrupt.requested:
                acts.stopped.set()
            if acts.stopped.is_set():
                return moments


def real_time(
    environment: HostEnvironment,
    config: Config,
    key: PRNGKeyArray,
    *,
    rate: float,
    seconds: float,
    learning: bool = True,
    learner: Learner | None = None,
    replay: Replay | None = None,
    world: World = learned_world,
    networks: Heads | None = None,
    optimizer: Rule | None = None,
    acting_device: jax.Device | None = None,
    clock: Clock | None = None,
) -> RealTime:
    """Act at a fixed rate, and learn meanwhile.

    Everything is compiled before the first tick. Learning starts when the replay has
    ``config.prefill`` rows of each environment; the policy acts from the beginning. Ctrl-C ends
    acting after the action at hand, and returns what happened until then.

    Args:
        environment: Where to act, in ``config.num_environments`` environments.
        config: The hyperparameters.
        key: A typed key.
        rate: Ticks a second.
        seconds: For how long.
        learning: Whether to learn; acting alone shows what learning costs it.
        learner: What was learned before, to go on from.
        replay: What was remembered before.
        world: Makes the world model from (spec, ``config.model``).
        networks: Policy and critic.
        optimizer: From a learning rate to an optax transformation.
        acting_device: Where to choose actions; None for where learning is.
        clock: Where the time comes from; the machine's by default.

    Returns:
        What happened.

    Raises:
        ValueError: If rate or seconds are not above 0, or the config does not suit.
    """
    for name, value in (("rate", rate), ("seconds", seconds)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is {value}; allowed: a number above 0")
    maker, arguments = prepare(environment, config, key, world, networks, optimizer)
    of_start, of_acting, of_learning, of_seed = (
        arguments._replace(key=key) for key in jax.random.split(arguments.key, 4)
    )
    fresh = blank(maker, of_start)
    # Copies: both are donated.
    learner = jax.tree.map(jnp.copy, learner) if learner is not None else fresh.learner
    replay = jax.tree.map(jnp.copy, cut_off(replay)) if replay is not None else fresh.replay
    learns = _Learning(maker, of_learning, learner, replay)
    if learning:
        learns.rehearse()
    weights = jax.device_put(jax.tree.map(jnp.copy, learner.weights), acting_device)
    of_acting = jax.device_put(of_acting, acting_device)
    acts = _Acting(maker, of_acting, environment, weights, clock or _WallClock())
    acts.rehearse(int(jax.random.randint(of_seed.key, (), 0, 2**31 - 1)))

    thread = threading.Thread(target=acts.run, args=(rate, round(rate * seconds)))
    thread.start()
    try:
        moments = _learn_beside(acts, learns, acting_device, learning=learning)
    finally:
        acts.stopped.set()
        thread.join()
    if acts.error is not None:
        raise acts.error
    learns.remember(acts.rows)
    return RealTime(
        learner=learns.learner,
        replay=learns.replay,
        rate=rate,
        ticks=np.asarray(acts.ticks, int),
        latencies=np.asarray(acts.latencies),
        missed=acts.missed,
        updates=np.asarray(moments) - acts.began,
        returns=np.asarray(acts.returns),
    )
