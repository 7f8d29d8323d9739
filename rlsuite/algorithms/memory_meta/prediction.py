r"""Learning to predict: the mean of −log q_t(x_{t+1}) over sequences whose law is drawn anew.

    L(φ) = E_{θ, x ~ θ} (1/T) Σ_t −log q_φ(x_{t+1} | x_1 … x_t),

whose minimum over all functions of histories is reached by the posterior predictive p alone: what
an agent loses beyond it is the mean of KL(p_t ‖ q_t), in nats a step. **This is the direction, and
the mean is over histories as they occur**, under the prior; it needs no sample of x_{t+1}.

References:
    Ortega et al.: Meta-learning of sequential strategies. 2019, arXiv:1905.03030.
    Mikulik et al.: Meta-trained agents implement Bayes-optimal agents. NeurIPS 2020,
    arXiv:2010.11223.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.memory_meta.config import Config, Rule, cell, clipped_adam, schedule
from rlsuite.algorithms.memory_meta.networks import Agent, agent
from rlsuite.core import Algorithm
from rlsuite.envs.prediction import Prediction
from rlsuite.nets.network import Params


class State(NamedTuple):
    """What training leaves.

    Attributes:
        params: Of the agent.
        optimizer: The optimiser's state.
    """

    params: Params
    optimizer: Any


class Metrics(NamedTuple):
    """Of one update, before it.

    Attributes:
        loss: L on the batch, nats a step.
        gradient_norm: ‖∇L‖₂ before it is clipped.
    """

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]


class Evaluation(NamedTuple):
    """On new sequences.

    Attributes:
        divergence: The mean of KL(p_t ‖ q_t) over sequences and steps.
        worst_step: The largest over steps of its mean over sequences.
        loss: L.
    """

    divergence: Float[Array, ""]
    worst_step: Float[Array, ""]
    loss: Float[Array, ""]


def default_network(problem: Prediction, config: Config) -> Agent:
    """The network that ``make`` uses where none is given.

    Args:
        problem: The tasks.
        config: The hyperparameters.

    Returns:
        The agent, whose head is that of the model's predictions.
    """
    return agent(cell(config), config.memory_size, problem.model.family.size)


def predict(
    problem: Prediction, network: Agent, params: Params, x: Array
) -> Float[Array, "time sequence head"]:
    """The agent's heads q_0 … q_{T−1} along sequences.

    Args:
        problem: The tasks.
        network: The agent.
        params: Its parameters.
        x: Sequences, ``[time, sequence]``.

    Returns:
        The heads; the t-th has seen x_1 … x_t.
    """
    begins = jnp.zeros(x.shape, bool).at[0].set(True)
    return network.apply(params, network.initial(x.shape[1:]), problem.inputs(x), begins)[1]


def divergences(
    problem: Prediction, network: Agent, params: Params, x: Array
) -> Float[Array, "time sequence"]:
    """KL(p_t ‖ q_t) along sequences, in nats.

    Args:
        problem: The tasks.
        network: The agent.
        params: Its parameters.
        x: Sequences, ``[time, sequence]``.

    Returns:
        The divergences.
    """
    heads = predict(problem, network, params, x)
    return problem.model.family.divergence(problem.best(x), heads)


def exact_divergence(
    problem: Prediction, network: Agent, params: Params, *, at_most: int = 1 << 20
) -> Float[Array, " time"]:
    """The mean of KL(p_t ‖ q_t) at each step, over *all* histories with their probabilities.

    Args:
        problem: Tasks whose observations are classes.
        network: The agent.
        params: Its parameters.
        at_most: How many histories of T − 1 observations there may be.

    Returns:
        The means.

    Raises:
        ValueError: If observations are numbers, or there are too many histories.
    """
    model, symbols = problem.model, problem.model.outcomes
    if symbols is None or symbols ** (problem.length - 1) > at_most:
        raise ValueError(
            f"problem is {type(model).__name__} over {problem.length} steps; allowed: classes, "
            f"with at most {at_most:,} histories"
        )
    classes = jnp.arange(symbols)
    carry, statistics = network.initial((1,)), model.initial[None]
    inputs, log_chances, found = problem.inputs(classes[:1, None])[0], jnp.zeros(1), []
    for _ in range(problem.length):
        nowhere = jnp.zeros((1, len(inputs)), bool)
        carry, heads = network.apply(params, carry, inputs[None], nowhere)
        best = model.predictive(statistics)
        lost = model.family.divergence(best, heads[0])
        found.append(jnp.sum(jnp.exp(log_chances) * lost))
        # Every history with each symbol appended.
        logs = model.family.log_density(
            best[:, None], jnp.broadcast_to(classes, (len(best), symbols))
        )
        log_chances = (log_chances[:, None] + logs).reshape(-1)
        seen = jnp.tile(classes, len(best))
        statistics = model.update(jnp.repeat(statistics, symbols, axis=0), seen)
        inputs = model.encode(seen)
        carry = jax.tree.map(lambda leaf: jnp.repeat(leaf, symbols, axis=0), carry)
    return jnp.stack(found)


def make(
    problem: Prediction,
    config: Config = Config(),  # noqa: B008
    *,
    network: Agent | None = None,
    optimizer: Rule = clipped_adam,
) -> Algorithm:
    """An agent that learns to predict.

    Args:
        problem: The tasks.
        config: The hyperparameters.
        network: The agent; by default ``default_network(problem, config)``.
        optimizer: From a learning rate and the greatest norm of a gradient to an optax
            transformation.

    Returns:
        The algorithm: ``step`` returns ``Metrics``, ``evaluate`` an ``Evaluation``; ``act`` takes
        an encoded observation, zeros first, and returns a head.

    Example:
        >>> from rlsuite.core import run
        >>> from rlsuite.ops.conjugate import BetaBernoulli
        >>> problem, config = Prediction(BetaBernoulli(), 5), Config(memory_size=8, batch_size=32)
        >>> result = run(make, problem, config, jax.random.key(0), 100, progress=False)
        >>> bool(result.evaluations.divergence[-1] < 0.02)
        True
    """
    net = default_network(problem, config) if network is None else network
    transformation = optimizer(schedule(config), config.max_gradient_norm)
    log_density = problem.model.family.log_density

    def loss(params: Params, x: Array) -> Float[Array, ""]:
        return -jnp.mean(log_density(predict(problem, net, params, x), x))

    def init(key: PRNGKeyArray) -> State:
        shape = jax.eval_shape(lambda: problem.inputs(problem.samples(jax.random.key(0), 1)))
        params = net.init(key, shape)
        return State(params, transformation.init(params))

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        x = problem.samples(key, config.batch_size)
        value, gradient = jax.value_and_grad(loss)(state.params, x)
        updates, inner = transformation.update(gradient, state.optimizer, state.params)
        norm = optax.tree.norm(gradient)
        return State(optax.apply_updates(state.params, updates), inner), Metrics(value, norm)

    def act(key: Any, state: State, observation: Any, carry: Any) -> tuple[Array, Any]:
        del key
        carry = net.initial(()) if carry is None else carry
        carry, heads = net.apply(state.params, carry, observation[None], jnp.zeros(1, bool))
        return heads[0], carry

    def evaluate(key: PRNGKeyArray, state: State) -> Evaluation:
        x = problem.samples(key, config.evaluation_episodes)
        steps = jnp.mean(divergences(problem, net, state.params, x), axis=1)
        return Evaluation(jnp.mean(steps), jnp.max(steps), loss(state.params, x))

    return Algorithm(init, step, act, evaluate)
