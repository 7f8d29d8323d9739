"""Meta-training of the reward network on a set of inverse-reinforcement-learning tasks."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.task_clustering import loss as losses
from rlsuite.algorithms.task_clustering.loss import Config, Problem, Task
from rlsuite.core import Algorithm
from rlsuite.nets import Network
from rlsuite.ops import meta

Optimizer = Callable[[Any], optax.GradientTransformation]


class State(NamedTuple):
    """The meta-parameters and the outer optimiser's state.

    Attributes:
        params: θ.
        optimizer: The optimiser's state.
    """

    params: Any
    optimizer: optax.OptState


class Metrics(NamedTuple):
    """Of one outer step, before its update.

    Attributes:
        loss: The descended function after the inner steps, the mean over tasks.
        gradient_norm: ‖·‖₂ of the outer gradient.
    """

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]


class Evaluation(NamedTuple):
    """How good a start θ is.

    Attributes:
        loss: L at θ, the mean over tasks.
        few_shot: L after the fine-tuning steps, the mean over tasks.
        curves: L over the fine-tuning steps, ``[task, step + 1]``.
    """

    loss: Float[Array, ""]
    few_shot: Float[Array, ""]
    curves: Float[Array, "task step"]


def make(
    problem: Problem,
    config: Config = Config(),  # noqa: B008
    *,
    reward: Network | None = None,
    inner_optimizer: Optimizer = losses.inner_optimizer,
    optimizer: Optimizer = optax.adam,
) -> Algorithm:
    """MAML on the losses of inverse-reinforcement-learning tasks.

    Each step adapts θ to every task (or to ``config.num_tasks`` of them) and moves θ by the mean
    of the outer gradients, θ ← θ − β ∇_θ mean_i L_i(θ'_i).

    Args:
        problem: The tasks.
        config: The hyperparameters.
        reward: The reward network ``(init, apply)`` from features to rewards ``[state]``; by
            default what the config asks for.
        inner_optimizer: From the inner rate to an optax transformation.
        optimizer: From the outer rate to an optax transformation.

    Returns:
        The algorithm: ``step`` returns ``Metrics``, ``evaluate`` an ``Evaluation``; ``act`` draws
        from the policy of the first task after fine-tuning, its observation being the state's
        index.

    Raises:
        ValueError: If more tasks are to be drawn than there are.

    Example:
        >>> from rlsuite.problems.task_clustering import maze_tasks
        >>> algorithm = make(maze_tasks(0))
        >>> state = algorithm.init(jax.random.key(0))
        >>> sum(leaf.size for leaf in jax.tree.leaves(state.params))
        216065
    """
    network = losses.reward_network(config) if reward is None else reward
    transformation, inner = optimizer(config.outer_rate), inner_optimizer(config.inner_rate)
    number = problem.tasks.counts.shape[0]
    if config.num_tasks is not None and config.num_tasks > number:
        raise ValueError(f"num_tasks is {config.num_tasks}; allowed: at most {number}, the tasks")

    def loss(params: Any, task: Task) -> Float[Array, ""]:
        return losses.descended(network.apply(params, problem.features), task, config)

    def init(key: PRNGKeyArray) -> State:
        start = problem.start
        params = network.init(key, problem.features) if start is None else start
        return State(params, transformation.init(params))

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        def of_task(params: Any, task: Task) -> tuple[Float[Array, ""], Any]:
            outer = meta.meta_gradient(
                loss,
                params,
                task,
                task,
                optimizer=inner,
                num_steps=config.inner_steps,
                method=config.method,
            )
            return outer.loss, outer.gradient

        tasks = _drawn(key, problem.tasks, config.num_tasks)
        value, gradient = meta.mean_over_tasks(of_task, state.params, tasks)
        updates, opt_state = transformation.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        return State(params, opt_state), Metrics(value, optax.tree.norm(gradient))

    adapted = functools.partial(
        fine_tune, config=config, network=network, inner_optimizer=inner_optimizer
    )

    def act(
        key: PRNGKeyArray, state: State, observation: Int[Array, ""], carry: Any
    ) -> tuple[Int[Array, ""], Any]:
        if carry is None:
            first = jax.tree.map(lambda leaf: leaf[0], problem.tasks)
            params = adapted(state.params, first, problem.features).params
            rewards = network.apply(params, problem.features)
            carry = losses.policy(rewards, first, config)
        return jax.random.categorical(key, carry[observation]), carry

    def evaluate(key: PRNGKeyArray, state: State) -> Evaluation:
        del key
        curves = jax.vmap(lambda task: adapted(state.params, task, problem.features).monitored)(
            problem.tasks
        )
        return Evaluation(jnp.mean(curves[:, 0]), jnp.mean(curves[:, -1]), curves)

    return Algorithm(init, step, act, evaluate, chunk_length=10)


def fine_tune(
    params: Any,
    task: Task,
    features: Float[Array, "state feature"],
    config: Config,
    *,
    network: Network | None = None,
    inner_optimizer: Optimizer = losses.inner_optimizer,
) -> meta.Adapted:
    """Adapt the meta-parameters to one task: θ → θ_i.

    Args:
        params: θ.
        task: The task.
        features: The states' features.
        config: Gives the rate and the number of steps.
        network: The reward network, if not the config's.
        inner_optimizer: From the inner rate to an optax transformation.

    Returns:
        θ_i, with L before each step and after the last as ``monitored``.
    """
    network = losses.reward_network(config) if network is None else network
    return meta.adapt(
        lambda at, data: losses.descended(network.apply(at, features), data, config),
        params,
        task,
        optimizer=inner_optimizer(config.fine_tuning_rate),
        num_steps=config.fine_tuning_steps,
        monitor=lambda at: losses.kl_loss(network.apply(at, features), task, config),
    )


def _drawn(key: PRNGKeyArray, tasks: Task, number: int | None) -> Task:
    """Some tasks, without repetition; all if no number is given."""
    if number is None:
        return tasks
    chosen = jax.random.choice(key, tasks.counts.shape[0], (number,), replace=False)
    return jax.tree.map(lambda leaf: leaf[chosen], tasks)
