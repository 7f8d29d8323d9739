"""PPO in gymnasium's environments, which run on the host.

For policies without memory and continuous actions. Networks, losses and updates are those of
:mod:`rlsuite.algorithms.ppo`.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.ppo import experience
from rlsuite.algorithms.ppo.algorithm import Rule, clipped_adam, rate
from rlsuite.algorithms.ppo.experience import Experience, Walkers
from rlsuite.algorithms.ppo.networks import actor_critic
from rlsuite.algorithms.ppo.state import Config, Metrics, State
from rlsuite.algorithms.ppo.update import begin, learner
from rlsuite.data.recording import Choose, Recorder, Rows
from rlsuite.envs.control import Actions


class HostStep(NamedTuple):
    """One step of the algorithm.

    Attributes:
        state: What training leaves; the policy is in it.
        metrics: As of PPO elsewhere.
        rows: What happened, with the policy before the step; beside the actions, the logarithms of
            their densities.
    """

    state: State
    metrics: Metrics
    rows: Rows


class HostPPO:
    """PPO for observations and actions of given sizes.

    Args:
        observation_size: That of observations.
        action_size: That of actions.
        config: The hyperparameters, with no memory.
        optimizer: From a learning rate, or a schedule, and the greatest norm of a gradient to an
            optax transformation.

    Raises:
        ValueError: If the config asks for a memory.
    """

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        config: Config,
        *,
        optimizer: Rule = clipped_adam,
    ) -> None:
        if config.memory != "none":
            raise ValueError(f"config field 'memory' is {config.memory!r}; allowed: 'none'")
        self._config, bounds = config, jnp.ones(action_size)
        self._actions = Actions(low=-bounds, high=bounds, shape=(action_size,))
        shown = jax.ShapeDtypeStruct((observation_size,), jnp.float32)
        self._network = actor_critic(self._actions, shown, config.hidden_sizes)
        self._optimizer = optimizer(rate(config), config.max_gradient_norm)
        self._learn = jax.jit(learner(self._actions, config, self._network, self._optimizer))
        self._act = jax.jit(self._choose)

    def train(self, recorder: Recorder, key: PRNGKeyArray) -> Iterator[HostStep]:
        """The algorithm, for as long as it is asked for another step.

        Args:
            recorder: The environments, ``config.num_envs`` of them.
            key: Key.

        Yields:
            Each step.

        Raises:
            ValueError: If there is another number of environments.
        """
        config, count = self._config, recorder.num_environments
        if count != config.num_envs:
            raise ValueError(
                f"recorder has {count} environments; allowed: num_envs, {config.num_envs}"
            )
        of_init, of_steps = jax.random.split(key)
        walkers = _walkers(recorder.observation)
        state = begin(config, self._network, self._optimizer, of_init, walkers)
        returns, lengths = np.zeros((2, 1, count), np.float32)
        for number in itertools.count():
            of_walk, of_passes = jax.random.split(jax.random.fold_in(of_steps, number))
            rows = recorder.walk(self.policy(state, of_walk), config.rollout_length)
            # Of episodes that began in an earlier walk, too.
            returns = _sums(rows.rewards, rows.ends, returns[-1])
            lengths = _sums(np.ones_like(rows.rewards), rows.ends, lengths[-1])
            happened = _experience(rows, returns, lengths)
            returns, lengths = (sums * ~rows.ends for sums in (returns, lengths))
            walkers = _walkers(recorder.observation)
            state, metrics = self._learn(of_passes, state, walkers, happened)
            yield HostStep(state, metrics, rows)

    def policy(self, state: State, key: PRNGKeyArray | None) -> Choose:
        """What acts, for ``Recorder.walk``.

        Args:
            state: What was learned.
            key: Key of what is drawn; None takes the likeliest actions.

        Returns:
            From observations to actions and the logarithms of their densities.
        """
        times = itertools.count()

        def choose(seen: Float[np.ndarray, "environment n"]) -> Any:
            now = state.params, state.observations, key, next(times), seen
            return jax.device_get(self._act(*now))

        return choose

    def _choose(self, params: Any, seen: Any, key: Any, time: Any, observation: Array) -> Any:
        key = None if key is None else jax.random.fold_in(key, time)
        walkers = _walkers(observation)
        _, actions, log_probs = experience.act(
            self._actions, self._network, params, seen, key, walkers
        )
        return actions, log_probs


def _walkers(observation: Any) -> Walkers:
    """Where the environments stand; what is known on the host alone is left out."""
    nothing = jnp.zeros(observation.shape[0])
    return Walkers(None, jnp.asarray(observation), None, nothing > 0, (), nothing, nothing)


def _sums(
    values: Float[np.ndarray, "time environment"],
    ends: Any,
    before: Float[np.ndarray, " environment"],
) -> Float[np.ndarray, "time environment"]:
    """The sum up to each step over its own episode."""
    sums = np.empty_like(values)
    for time, (value, end) in enumerate(zip(values, ends, strict=True)):
        sums[time] = before + value
        before = np.where(end, 0.0, sums[time])
    return sums


def _experience(rows: Any, returns: Any, lengths: Any) -> Experience:
    """What happened, as PPO learns from it elsewhere."""
    rows, returns, lengths = jax.tree.map(jnp.asarray, (rows, returns, lengths))
    return Experience(
        observations=rows.observations,
        masks=None,
        is_first=jnp.zeros_like(rows.ends),  # Only a memory would have to know.
        carries=(),
        actions=rows.actions,
        log_probs=rows.beside,
        rewards=rows.rewards,
        is_terminal=rows.terminals,
        ends=rows.ends,
        next_observations=rows.next_observations,
        episode_returns=returns,
        episode_lengths=lengths,
    )
