r"""Behaviour cloning: what was done is what is right.

A policy is fitted to recorded actions by maximum likelihood, a step of the optimiser on transitions
drawn uniformly at a time:

    minimise   E_(s,a) [−log π(a | s)],    or   E_(s,a) ‖π(s) − a‖²   for a deterministic policy.

Rewards are not looked at, so it is as good as the data on average: no better than a mixture of good
and bad behaviour, and worse where the mean of two good actions is a bad one.

References:
    Pomerleau: ALVINN: an autonomous land vehicle in a neural network. NIPS 1988.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.offline import (
    Evaluation,
    Rule,
    acting,
    descend,
    evaluation,
    require_vectors,
    sample,
    scaling,
)
from rlsuite.configuration import config, setting
from rlsuite.core import Algorithm
from rlsuite.data.normalizers import Gaussian
from rlsuite.data.offline import Offline
from rlsuite.data.transitions import Transitions
from rlsuite.nets import Network, policies
from rlsuite.nets.network import Params as Weights

__all__ = ["Config", "Evaluation", "Metrics", "Params", "State", "loss", "make"]


@config
class Config:
    """Hyperparameters; the defaults are CORL's.

    Attributes:
        learning_rate: Of the optimiser.
        batch_size: Transitions of one step.
        policy: "deterministic", or "gaussian" with a deviation that does not depend on the state.
        hidden_sizes: The widths of its hidden layers.
        normalize_observations: Whether observations get mean 0 and deviation 1.
        evaluation_episodes: How many episodes an evaluation has.
        evaluation_length: After so many actions an episode is left.
    """

    learning_rate: float = setting(default=1e-3, above=0)
    batch_size: int = setting(default=256, at_least=1)
    policy: Literal["deterministic", "gaussian"] = "deterministic"
    hidden_sizes: tuple[int, ...] = setting(default=(256, 256), at_least=1)
    normalize_observations: bool = True
    evaluation_episodes: int = setting(default=10, at_least=1)
    evaluation_length: int = setting(default=1000, at_least=1)


class Params(NamedTuple):
    """What is learned.

    Attributes:
        policy: Of the policy.
    """

    policy: Weights


class State(NamedTuple):
    """What training leaves.

    Attributes:
        params: What is learned.
        optimizers: The optimiser's state.
        scale: Of observations.
    """

    params: Params
    optimizers: tuple[Any, ...]
    scale: Gaussian


class Metrics(NamedTuple):
    """Of one step, before it.

    Attributes:
        policy_loss: See the module.
    """

    policy_loss: Float[Array, ""]


def loss(policy: Network, params: Params, batch: Transitions) -> Float[Array, ""]:
    """Minus the mean log-likelihood, or the mean squared error; see the module.

    Args:
        policy: From observations to a distribution over actions.
        params: What is learned.
        batch: Transitions, as the network sees them.

    Returns:
        The loss.
    """
    return -jnp.mean(policy.apply(params.policy, batch.observations).log_prob(batch.actions))


def make(
    problem: Offline,
    config: Config = Config(),  # noqa: B008
    *,
    policy: Network | None = None,
    optimizer: Rule = optax.adam,
) -> Algorithm:
    """Behaviour cloning.

    Args:
        problem: Recorded episodes.
        config: The hyperparameters.
        policy: From observations to a distribution over actions; by default
            ``rlsuite.nets.policies`` has it.
        optimizer: From a learning rate to an optax transformation.

    Returns:
        The algorithm: ``step`` returns ``Metrics``, ``evaluate`` an ``Evaluation``; there is none
        where the problem has no environment. ``act`` takes an observation, or a whole ``Timestep``,
        and returns an action as a vector; with a key of None the likeliest.

    Raises:
        ValueError: If actions are categories.

    Example:
        >>> import numpy as np
        >>> from rlsuite.core import run
        >>> from rlsuite.envs.episodes import Episode, join
        >>> from rlsuite.data.offline import offline
        >>> seen = np.linspace(-1.0, 1.0, 101)[:, None]
        >>> problem = offline("halves", join([Episode(seen, seen[:-1] / 2, np.zeros(100))]))
        >>> settings = Config(hidden_sizes=(32,))
        >>> result = run(make, problem, settings, jax.random.key(0), 200, progress=False)
        >>> action, _ = make(problem, settings).act(None, result.state, jnp.array([0.5]), None)
        >>> round(float(action[0]), 1)
        0.2
    """
    require_vectors(problem)
    size = problem.episodes.actions.shape[1]
    kinds = {"deterministic": policies.deterministic, "gaussian": policies.gaussian}
    network = kinds[config.policy](size, config.hidden_sizes) if policy is None else policy
    optimizers = (optimizer(config.learning_rate),)

    def init(key: PRNGKeyArray) -> State:
        params = Params(network.init(key, problem.episodes.observations[:1]))
        scale = scaling(problem, normalize=config.normalize_observations)
        return State(params, (optimizers[0].init(params.policy),), scale)

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        batch = sample(key, problem, state.scale, config.batch_size)
        value, gradient = jax.value_and_grad(lambda params: loss(network, params, batch))(
            state.params
        )
        params, kept = descend(optimizers, gradient, state.optimizers, state.params)
        return State(params, kept, state.scale), Metrics(value)

    act = acting(network)
    evaluate = evaluation(problem, act, config.evaluation_episodes, config.evaluation_length)
    return Algorithm(init, step, act, evaluate)
