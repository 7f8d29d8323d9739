r"""Fine-tuning in the environment, driven by the entropy of the sequence of states.

Plans are followed, what came of them is kept beside the recorded episodes, and learning goes on.
What is looked for is

    max E Σ_t r_t    such that    H ≥ h,

H the entropy, in nats, of the states in the sequences that were just walked. With a multiplier λ, a
step earns r_t + λ (−log p̂(s_{t+1})), p̂ being the law of the states kept so far (but itself), and

    log λ ← log λ + η (h − H),    at most by η,

weighs it the more, the less was seen of the world. Networks are told the return of *that* reward,
so that the best return asked for leads where returns are high and, while H < h, where little was
seen. Entropy and p̂ are those of neighbours (:mod:`rlsuite.ops.entropy`), on the planner's own scale
of states: nothing more is learned.

How it relates to others: Zheng, Zhang, Grover (Online Decision Transformer, ICML 2022) constrain
the entropy of actions given the sequence in the same way; Hazan, Kakade, Singh, Van Soest (Provably
efficient maximum entropy exploration, ICML 2019) maximise that of states, without a reward.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.decision_diffuser import acting, algorithm, training
from rlsuite.algorithms.decision_diffuser.acting import Walk
from rlsuite.algorithms.decision_diffuser.algorithm import Evaluation, State
from rlsuite.algorithms.decision_diffuser.config import Config
from rlsuite.configuration import config as checked
from rlsuite.configuration import setting
from rlsuite.core import Algorithm
from rlsuite.data.normalizers import Normalizer
from rlsuite.data.offline import Offline
from rlsuite.envs.episodes import Episodes
from rlsuite.ops import entropy
from rlsuite.ops.pytrees import pytree

_LEAST = 0.01  # Normalised states that are nearer to each other are not told apart.


@checked
class FineTuning:
    """How learning goes on.

    Attributes:
        entropy: h, in nats, of normalised states.
        multiplier: λ in the beginning; 0 for returns alone.
        multiplier_rate: η.
        neighbour: Entropies are told from the distance to the so-manieth neighbour.
        references: How many of the states kept stand for their law.
        episodes: How many are walked in a step, of ``evaluation_length`` each.
        capacity: How many of them are kept; then each replaces the oldest.
        updates: Updates of the networks in a step.
        planner: The hyperparameters with which the networks were trained; those of planning may
            differ.
    """

    entropy: float = 0.0
    multiplier: float = setting(default=0.1, at_least=0)
    multiplier_rate: float = setting(default=0.1, at_least=0)
    neighbour: int = setting(default=3, at_least=1)
    references: int = setting(default=512, at_least=1)
    episodes: int = setting(default=16, at_least=1)
    capacity: int = setting(default=256, at_least=1)
    updates: int = setting(default=50, at_least=1)
    planner: Config = Config()

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if self.capacity % self.episodes:
            raise ValueError(
                f"config field 'capacity' is {self.capacity}; allowed: a multiple of 'episodes', "
                f"{self.episodes}"
            )
        told = self.planner.conditions
        if "return" not in told or "label" in told:
            raise ValueError(
                f"config field 'conditions' is {told}; allowed: with 'return', by which entropy is "
                "asked for, and without 'label', which nobody knows of episodes that were walked"
            )
        least = min(self.references, self.episodes * self.planner.evaluation_length) - 1
        if self.neighbour > least:
            raise ValueError(
                f"config field 'neighbour' is {self.neighbour}; allowed: at most {least}, the "
                "states that there are beside one"
            )


@pytree()
@dataclasses.dataclass(frozen=True)
class Pretrained:
    """What fine-tuning starts from, as a problem.

    Attributes:
        offline: The recorded episodes, and the environment.
        start: What was trained on them.
    """

    offline: Offline
    start: State


class Tuned(NamedTuple):
    """What is carried from step to step.

    Attributes:
        planner: The Decision Diffuser's state.
        episodes: The recorded episodes, and room for those walked.
        walked: How many were walked so far.
        multiplier: λ.
    """

    planner: State
    episodes: Episodes
    walked: Int[Array, ""]
    multiplier: Float[Array, ""]


class Metrics(NamedTuple):
    """Of a step.

    Attributes:
        episode_return: The mean return of the episodes that were walked.
        entropy: H.
        multiplier: λ.
        denoising_loss: Of the last update.
        inverse_loss: Of the last update.
    """

    episode_return: Float[Array, ""]
    entropy: Float[Array, ""]
    multiplier: Float[Array, ""]
    denoising_loss: Float[Array, ""]
    inverse_loss: Float[Array, ""]


def fine_tuning(
    problem: Pretrained,
    config: FineTuning = FineTuning(),  # noqa: B008
    **callables: Any,
) -> Algorithm:
    """Fine-tuning of a planner.

    Args:
        problem: What it starts from.
        config: The hyperparameters.
        callables: As given to ``make`` where the planner was trained.

    Returns:
        The algorithm: ``step`` returns ``Metrics``, ``evaluate`` an ``Evaluation``; ``act`` is the
        planner's.

    Raises:
        ValueError: If there is no environment in JAX to walk in.
    """
    control = problem.offline.control
    if control is None:
        raise ValueError("offline.control is None; allowed: an environment")
    recorded = problem.offline.episodes
    planning = {name: given for name, given in callables.items() if name != "optimizer"}

    def planner_for(episodes: Episodes) -> Algorithm:
        offline = dataclasses.replace(problem.offline, episodes=episodes)
        return algorithm.make(offline, config.planner, **callables)

    def init(key: PRNGKeyArray) -> Tuned:
        del key
        return _begun(problem, config)

    def step(key: PRNGKeyArray, state: Tuned) -> tuple[Tuned, Metrics]:
        of_walk, of_references, of_updates = jax.random.split(key, 3)
        planner = algorithm.planner_of(problem.offline, config.planner, state.planner, **planning)
        walk = acting.walk(config.planner, planner, control, of_walk, config.episodes)
        scale, number = planner.normalizer, state.walked % config.capacity
        episodes = put(state.episodes, walk, number, recorded)
        found = _entropy(config, scale, walk)
        short = jnp.clip(config.entropy - found, -1.0, 1.0)
        multiplier = state.multiplier * jnp.exp(config.multiplier_rate * short)
        told = surprised(config, episodes, scale, multiplier, of_references)
        start = state.planner._replace(
            statistics=training.statistics(config.planner, told, normalizer=scale)
        )
        update = planner_for(told).step
        trained, losses = jax.lax.scan(
            lambda now, key: update(key, now), start, jax.random.split(of_updates, config.updates)
        )
        metrics = Metrics(
            jnp.mean(jnp.sum(walk.rewards, axis=1)),
            found,
            multiplier,
            losses.denoising_loss[-1],
            losses.inverse_loss[-1],
        )
        return Tuned(trained, episodes, state.walked + config.episodes, multiplier), metrics

    def evaluate(key: PRNGKeyArray, state: Tuned) -> Evaluation:
        of_planner = planner_for(recorded).evaluate
        assert of_planner is not None
        return of_planner(key, state.planner)

    def act(key: Any, state: Tuned, observation: Any, carry: Any) -> Any:
        of_planner = planner_for(recorded).act
        assert of_planner is not None
        return of_planner(key, state.planner, observation, carry)

    return Algorithm(init, step, act, evaluate, chunk_length=1)


def _begun(problem: Pretrained, config: FineTuning) -> Tuned:
    """The recorded episodes with room, and the planner with statistics of as many steps."""
    episodes = with_room(
        problem.offline.episodes, config.capacity, config.planner.evaluation_length
    )
    start = jax.tree.map(jnp.copy, problem.start)
    known = training.statistics(config.planner, episodes, normalizer=start.statistics.normalizer)
    start = start._replace(statistics=known)
    none = jnp.zeros((), jnp.int32)
    return Tuned(start, episodes, none, jnp.asarray(config.multiplier, float))


def with_room(episodes: Episodes, capacity: int, length: int) -> Episodes:
    """Episodes, and room for more: steps that belong to none, with which no segment begins.

    Args:
        episodes: The episodes.
        capacity: For how many.
        length: How many steps each may have.

    Returns:
        The episodes; those to come have a length of 0.
    """
    count, room = episodes.num_steps, capacity * length

    def extend(values: Array) -> Array:
        return jnp.concatenate([values, jnp.zeros((room, *values.shape[1:]), values.dtype)])

    index = jnp.arange(count, count + room, dtype=jnp.int32)
    new = jnp.zeros(capacity, jnp.int32)
    return Episodes(
        observations=extend(episodes.observations),
        actions=extend(episodes.actions),
        rewards=extend(episodes.rewards),
        next_observations=extend(episodes.next_observations),
        terminals=jnp.concatenate([episodes.terminals, jnp.ones(room, bool)]),
        ends=jnp.concatenate([episodes.ends, index]),
        starts=jnp.concatenate([episodes.starts, index[::length]]),
        lengths=jnp.concatenate([episodes.lengths, new]),
        labels=jnp.concatenate([episodes.labels, jnp.zeros((capacity, episodes.labels.shape[1]))]),
    )


def put(episodes: Episodes, walk: Walk, number: Int[Array, ""], recorded: Episodes) -> Episodes:
    """Write episodes that were walked into the room for them.

    Args:
        episodes: Of ``with_room``.
        walk: What was walked.
        number: How many of the room's episodes lie before it.
        recorded: The episodes that the room was made beside.

    Returns:
        The episodes.
    """
    count, length = walk.rewards.shape
    lengths = jnp.sum(walk.real, axis=1).astype(jnp.int32)
    place = recorded.num_steps + number * length
    index = place + jnp.arange(count * length, dtype=jnp.int32).reshape(count, length)
    ends = jnp.where(walk.real, index[:, :1] + lengths[:, None], index)

    def write(old: Array, new: Array) -> Array:
        flat = new.reshape(count * length, *new.shape[2:])
        return jax.lax.dynamic_update_slice_in_dim(old, flat, place, axis=0)

    numbered = len(recorded.lengths) + number
    return episodes._replace(
        observations=write(episodes.observations, walk.observations[:, :-1]),
        actions=write(episodes.actions, walk.actions),
        rewards=write(episodes.rewards, walk.rewards),
        next_observations=write(episodes.next_observations, walk.observations[:, 1:]),
        terminals=write(episodes.terminals, walk.terminals | ~walk.real),
        ends=write(episodes.ends, ends),
        lengths=jax.lax.dynamic_update_slice_in_dim(episodes.lengths, lengths, numbered, axis=0),
    )


def surprised(
    config: FineTuning,
    episodes: Episodes,
    normalizer: Normalizer,
    multiplier: Float[Array, ""],
    key: PRNGKeyArray,
) -> Episodes:
    """Episodes that earn what is surprising, too: r_t + λ (−log p̂(s_{t+1})).

    Args:
        config: The hyperparameters.
        episodes: What is kept.
        normalizer: The scale of states.
        multiplier: λ.
        key: Draws the states that stand for all.

    Returns:
        The episodes with other rewards.
    """
    real = episodes.ends > jnp.arange(episodes.num_steps)
    # Those with the greatest numbers are drawn; without replacement, and steps that are none last.
    lots = jnp.where(real, jax.random.uniform(key, real.shape), -1.0)
    lot, drawn = jax.lax.top_k(lots, min(config.references, episodes.num_steps))
    states = normalizer.normalize(episodes.next_observations)
    found = entropy.surprise(
        states,
        states[drawn],
        neighbour=config.neighbour,
        where=lot >= 0,
        same=drawn,
        least=_LEAST,
    )
    extra = multiplier * found
    return episodes._replace(rewards=jnp.where(real, episodes.rewards + extra, 0.0))


def _entropy(config: FineTuning, normalizer: Normalizer, walk: Walk) -> Float[Array, ""]:
    """H of the states that actions led to."""
    states = normalizer.normalize(walk.observations[:, 1:])
    flat = states.reshape(-1, states.shape[-1])
    where = walk.real.reshape(-1)
    return entropy.entropy(flat, neighbour=config.neighbour, where=where, least=_LEAST)
