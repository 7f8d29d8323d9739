r"""One name for both kinds of training: to predict, and to act.

A memory that is trained on episodes whose law is drawn anew each time becomes a learning algorithm
itself: within an episode its parameters stay as they are, and what it has seen stands in its state.
Trained to the end it does what an agent would do that knows the prior and follows Bayes' rule, and
here that is computed exactly: as the KL divergence from the predictions of
:mod:`rlsuite.ops.conjugate`, and as what its pulls lose by the tables of
:mod:`rlsuite.ops.bandits`.

References:
    Mikulik, Delétang, McGrath, Genewein, Martic, Legg, Ortega: Meta-trained agents implement
    Bayes-optimal agents. NeurIPS 2020, arXiv:2010.11223.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.algorithms.memory_meta import experience, impala, prediction
from rlsuite.algorithms.memory_meta.config import Config, Rule, clipped_adam
from rlsuite.algorithms.memory_meta.networks import Agent
from rlsuite.core import Algorithm
from rlsuite.envs.bandits import Bandits
from rlsuite.envs.control import Control
from rlsuite.envs.prediction import Prediction
from rlsuite.nets.network import Params


class BanditEvaluation(NamedTuple):
    """Means over new episodes of a bandit; see ``play``.

    Attributes:
        value_lost: E Σ_t V*(b_t) − Q*(b_t, a_t), with actions drawn.
        greedy_value_lost: With the likeliest actions.
        episode_return: What the best policy earns, less ``value_lost``.
    """

    value_lost: Float[Array, ""]
    greedy_value_lost: Float[Array, ""]
    episode_return: Float[Array, ""]


class Play(NamedTuple):
    """Episodes of a bandit, ``[time, episode]``.

    Attributes:
        inputs: What was seen before each pull, ``[time, episode, arm + 1]``.
        numbers: Of the states of what could be known.
        chances: The agent's probabilities of each pull, ``[time, episode, arm]``.
        losses: What its choice loses on average over the pulls it might have made.
    """

    inputs: Float[Array, "time episode n"]
    numbers: Array
    chances: Float[Array, "time episode arm"]
    losses: Float[Array, "time episode"]

    @property
    def value_lost(self) -> Float[Array, ""]:
        """The mean over episodes of the sum of losses."""
        return jnp.mean(jnp.sum(self.losses, axis=0))


def play(
    problem: Bandits,
    network: Agent,
    params: Params,
    key: PRNGKeyArray,
    count: int,
    *,
    greedy: bool | Bool[Array, ""] = False,
) -> Play:
    r"""Let an agent play, and say exactly what its choices lose.

    With b_t what can be known, the best policy's V* and Q*, and any policy π,

        V*(b_0) − E Σ_t r_t = E Σ_t Σ_a π(a | history) (V*(b_t) − Q*(b_t, a)),

    whose right side has no reward in it, and little noise: the mean over pulls is taken exactly,
    that over histories by playing.

    Args:
        problem: The bandits.
        network: The agent: logits, and a value.
        params: Its parameters.
        key: Key.
        count: How many episodes.
        greedy: Take the likeliest pulls rather than drawing them.

    Returns:
        The episodes.
    """
    arms, horizon = problem.states.num_arms, problem.states.horizon

    def step(now: Any, given: tuple[Array, PRNGKeyArray]) -> tuple[Any, Play]:
        state, seen, carry, counts = now
        time, key = given
        of_pull, of_step = jax.random.split(key)
        inputs = seen.observation
        carry, heads = network.apply(params, carry, inputs[None], seen.is_first[None])
        chances = jax.nn.softmax(heads[0, :, :arms])
        likeliest = jax.nn.one_hot(jnp.argmax(chances, axis=-1), arms)
        chances = jnp.where(greedy, likeliest, chances)
        number = problem.states.number(counts[..., 1], counts[..., 0])
        losses = jnp.sum(chances * problem.losses[time, number], axis=-1)
        pull = jax.nn.one_hot(jax.random.categorical(of_pull, jnp.log(chances)), arms)
        keys = jax.random.split(of_step, count)
        state, seen = jax.vmap(problem.control.transition)(keys, state.inner, pull)
        paid = jax.nn.one_hot(seen.reward.astype(jnp.int32), 2)
        counts = counts + (pull[..., None] * paid[:, None]).astype(counts.dtype)
        return (state, seen, carry, counts), Play(inputs, number, chances, losses)

    of_start, of_steps = jax.random.split(key)
    first = experience.start(problem.control, network, of_start, count)
    nothing = jnp.zeros((count, arms, 2), jnp.int32)
    keys = jax.random.split(of_steps, horizon)
    loop = first.state, first.timestep, first.carry, nothing
    return jax.lax.scan(step, loop, (jnp.arange(horizon), keys))[1]


def make(
    problem: Prediction | Bandits | Control,
    config: Config = Config(),  # noqa: B008
    *,
    network: Agent | None = None,
    optimizer: Rule = clipped_adam,
) -> Algorithm:
    """An agent with a memory, trained on episodes whose law is drawn anew.

    Args:
        problem: Sequences to predict, bandits with their tables, or any environment whose actions
            are one category and whose observations are vectors.
        config: The hyperparameters.
        network: The agent; by default what the config asks for.
        optimizer: From a learning rate and the greatest norm of a gradient to an optax
            transformation.

    Returns:
        The algorithm of ``memory_meta.prediction`` or of
        ``memory_meta.impala``; with bandits, ``evaluate`` returns a
        ``BanditEvaluation``.

    Raises:
        ValueError: If actions are not one category.

    Example:
        >>> from rlsuite.core import run
        >>> from rlsuite.envs.bandits import bandits
        >>> from rlsuite.ops.bandits import UniformArms
        >>> problem = bandits(UniformArms(2), 3)
        >>> config = Config(batch_size=64, memory_size=8, rollout_length=4)
        >>> result = run(make, problem, config, jax.random.key(0), 2, progress=False)
        >>> bool(0 <= result.evaluations.value_lost[-1] < problem.best)
        True
    """
    how: Any = {"network": network, "optimizer": optimizer}
    if isinstance(problem, Prediction):
        return prediction.make(problem, config, **how)
    if isinstance(problem, Control):
        return impala.make(problem, config, **how)
    net = impala.default_network(problem.control, config) if network is None else network

    def evaluate(key: PRNGKeyArray, state: impala.State) -> BanditEvaluation:
        def lost(greedy: Bool[Array, ""]) -> Float[Array, ""]:
            count = config.evaluation_episodes
            return play(problem, net, state.params, key, count, greedy=greedy).value_lost

        drawn, greedy = jax.lax.map(lost, jnp.asarray([False, True]))
        return BanditEvaluation(drawn, greedy, problem.best - drawn)

    algorithm = impala.make(problem.control, config, network=net, optimizer=optimizer)
    return algorithm._replace(evaluate=evaluate)
