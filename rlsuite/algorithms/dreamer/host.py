"""Dreamer in environments that run on the host: gymnasium's, dm_control's, or your own.

The same agent, replay and updates as in ``rlsuite.algorithms.dreamer.algorithm``, and the same loop
around them as in :func:`rlsuite.core.run`; only the environment is left on the host. One compiled
program infers, acts and remembers, another one learns; the replay stays on the device throughout.

One step acts ``config.steps_per_update`` times in every environment and then updates
``config.updates`` times, after ``config.prefill`` random actions in each. A row of the replay is
(time step t, the action taken at it, the state inferred at it), as it is there.
"""

import contextlib
import functools
import os
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from rlsuite import core, loop
from rlsuite.algorithms.dreamer.agent import Learner, Rule, Weights
from rlsuite.algorithms.dreamer.algorithm import Evaluation, learned_world
from rlsuite.algorithms.dreamer.behaviour import Heads
from rlsuite.algorithms.dreamer.config import Config
from rlsuite.algorithms.dreamer.programs import (
    Maker,
    State,
    World,
    act_and_remember,
    blank,
    cut_off,
    improve,
    prepare,
    respond,
)
from rlsuite.envs.control import Timestep
from rlsuite.envs.hosts import HostEnvironment
from rlsuite.io.logs import Sink
from rlsuite.io.records import Record, fingerprint
from rlsuite.placement import Arguments, batch_of, plan
from rlsuite.programs import Program

_CHUNK = 10  # steps between two looks at Ctrl-C and the bar


class _OnHost(Program):
    """A run's parts as ``rlsuite.core``'s loop calls them, with the environment on the host."""

    name = "dreamer"
    chunk_length = _CHUNK
    compile_seconds = 0.0

    def __init__(
        self,
        maker: Maker,
        arguments: Arguments,
        environment: HostEnvironment,
        evaluation: HostEnvironment | None,
        learner: Learner | None,
    ) -> None:
        keys = jax.random.split(arguments.key, 5)
        streams = [arguments._replace(key=key) for key in keys]
        self._of_start, self._of_acting, self._of_learning, self._of_evaluation = streams[:4]
        self._of_environment = keys[4]
        self._maker, self._config = maker, arguments.config
        self._environment, self._evaluation = environment, evaluation
        self._learner = learner
        self._seen: Timestep | None = None
        shapes = jax.eval_shape(functools.partial(blank, maker), self._of_start)
        self.shapes = plan(batch_of((), None, None, None)).annotate(shapes)

    def init(self) -> State:
        state = blank(self._maker, self._of_start)
        if self._learner is not None:  # a copy: states are donated
            state = state._replace(learner=jax.tree.map(jnp.copy, self._learner))
        self._begin(0)
        return self._act(state, self._config.prefill, at_random=True)

    def steps(self, state: State, start: int, length: int) -> tuple[State, Any, Any]:
        if self._seen is None:
            state = self._begin_again(state, start)
        told = []
        for step in range(start, start + length):
            state = self._act(state, self._config.steps_per_update)
            state, metrics, nan = improve(
                self._maker, self._of_learning, state, np.asarray(step, np.int32)
            )
            told.append(jax.device_get(metrics))
        return state, jax.tree.map(lambda *xs: np.stack(xs, axis=-1), *told), nan

    def evaluate(self, state: State, step: int) -> Evaluation | None:
        if self._evaluation is None:
            return None
        returns, lengths = play(
            self._maker, self._of_evaluation, state.learner.weights, self._evaluation, step
        )
        return Evaluation(*map(jnp.asarray, (returns.mean(), returns.min(), lengths.mean())))

    def _begin(self, step: int) -> None:
        self._seen = self._environment.reset(_seed(self._of_environment, step))
        self._score = np.zeros(self._environment.num_environments, np.float32)

    def _begin_again(self, state: State, step: int) -> State:
        """Go on with new episodes; the ones that were left count as cut off."""
        self._begin(step)
        return state._replace(replay=cut_off(state.replay))

    def _act(self, state: State, count: int, *, at_random: bool = False) -> State:
        carry, replay, last = state.carry, state.replay, np.asarray(state.last_score)
        for _ in range(count):
            carry, replay = act_and_remember(
                self._maker,
                self._of_acting,
                state.learner.weights,
                self._seen,
                carry,
                replay,
                at_random=at_random,
            )
            seen = self._seen = self._environment.step(np.asarray(carry[1]))
            self._score = np.where(seen.is_first, 0, self._score) + np.asarray(seen.reward)
            last = np.where(seen.is_last, self._score, last)
        return State(state.learner, carry, replay, jnp.asarray(last))


def play(
    maker: Maker,
    arguments: Arguments,
    weights: Weights,
    environment: HostEnvironment,
    moment: int,
) -> tuple[Float[np.ndarray, " episode"], Float[np.ndarray, " episode"]]:
    """Play ``config.evaluation_episodes`` whole episodes, taking the most probable actions.

    Args:
        maker: Makes the agent.
        arguments: The traced inputs.
        weights: The parameters.
        environment: Where; its environments play side by side.
        moment: A number that no other evaluation has.

    Returns:
        (returns, lengths).
    """
    config, count = arguments.config, environment.num_environments
    arguments = arguments._replace(key=jax.random.fold_in(arguments.key, moment))
    found = []
    for first in range(0, config.evaluation_episodes, count):
        seen, carry = environment.reset(_seed(arguments.key, first)), None
        score, length, going = np.zeros(count), np.zeros(count), np.ones(count, bool)
        for step in range(config.evaluation_length):
            now = np.asarray(first * config.evaluation_length + step, np.int32)
            carry = respond(maker, arguments, weights, seen, carry, now, greedy=True)
            seen = environment.step(np.asarray(carry[1]))
            score, length = score + going * np.asarray(seen.reward), length + going
            going &= ~np.asarray(seen.is_last)
            if not going.any():
                break
        found.append((score, length))
    returns, lengths = (
        np.concatenate(x)[: config.evaluation_episodes] for x in zip(*found, strict=True)
    )
    return returns, lengths


def train(
    environment: HostEnvironment,
    config: Config,
    key: PRNGKeyArray,
    num_steps: int,
    *,
    world: World = learned_world,
    networks: Heads | None = None,
    optimizer: Rule | None = None,
    learner: Learner | None = None,
    evaluation: HostEnvironment | None = None,
    evaluate_every: int | None = None,
    directory: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_every: int | None = None,
    checkpoint_minutes: float = 10.0,
    keep: int = 3,
    sinks: Sequence[Sink] = (),
    progress: bool | str = True,
) -> core.Result:
    """Train Dreamer in an environment on the host; ``rlsuite.run`` for such environments.

    A checkpoint does not hold the environments' own states. After a resume they start new
    episodes, those that were left count as cut off, and the run goes on from there; it is not the
    run that would have been without the stop.

    Args:
        environment: Where to act, in ``config.num_environments`` environments.
        config: The hyperparameters.
        key: A typed key.
        num_steps: How many steps of the algorithm in all, those before a resume counted in.
        world: Makes the world model from (spec, ``config.model``).
        networks: Policy and critic.
        optimizer: From a learning rate to an optax transformation.
        learner: What was learned elsewhere, to go on from.
        evaluation: Where to evaluate; it must not be ``environment``. None evaluates nothing.
        evaluate_every: As for ``rlsuite.run``; so are the following.
        directory: Where checkpoints and ``metrics.jsonl`` go.
        resume: Go on from the directory's latest checkpoint if it has one.
        checkpoint_every: Save after every so many steps.
        checkpoint_minutes: Save when so many minutes have passed.
        keep: How many checkpoints stay.
        sinks: Further receivers of the metrics.
        progress: Show a bar.

    Returns:
        The result; its ``compile_seconds`` are 0, as programs are compiled where they are first
        called, and its metrics and evaluations are those of
        :mod:`~rlsuite.algorithms.dreamer.algorithm`.

    Raises:
        ValueError: For an argument that is not allowed, before training starts.
        NonFiniteError: As ``rlsuite.run``.
        KeyboardInterrupt: After Ctrl-C, once a checkpoint is saved.
    """
    loop.check(num_steps, None, evaluate_every, checkpoint_every, checkpoint_minutes, keep)
    maker, arguments = prepare(environment, config, key, world, networks, optimizer)
    if evaluation is environment:
        raise ValueError("evaluation is the environment itself; allowed: another one")
    program = _OnHost(maker, arguments, environment, evaluation, learner)
    record = None
    if directory is not None:
        identity = fingerprint(train, environment.spec, config, key, {}, program.shapes)
        record = Record(directory, program.shapes, identity, resume=resume, keep=keep)
        record.save_every(checkpoint_every, 60 * checkpoint_minutes)
    began = time.monotonic()
    start, state = (record and record.latest()) or (0, program.init())
    if start > num_steps:
        raise ValueError(f"num_steps is {num_steps}, but the checkpoint is at step {start}")
    with contextlib.ExitStack() as stack:
        log = [stack.enter_context(contextlib.closing(record.log(start)))] if record else []
        history = loop.History(batch_of((), None, None, None), [*sinks, *log])
        steps = range(start, num_steps)
        state = loop.drive(program, state, steps, _CHUNK, evaluate_every, record, history, progress)
        history.evaluated(num_steps, program.evaluate(state, num_steps))
    return core.Result(state, *history.stacked(), start, num_steps, 0.0, time.monotonic() - began)


def _seed(key: PRNGKeyArray, moment: int) -> int:
    """A seed for an environment."""
    return int(jax.random.randint(jax.random.fold_in(key, moment), (), 0, 2**31 - 1))
