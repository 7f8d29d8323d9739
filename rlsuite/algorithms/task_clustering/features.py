r"""Six features of a task, from where a meta-trained reward network stands.

With θ the meta-parameters, r = r_θ the reward of every state, L the KL loss of the task at θ, and
θ_i the parameters fine-tuned to task i:

========================  =============================================  =====================
``parameter-gradient``    ∇_θ L                                          (dθ)
``weighted-parameter…``   L/‖∇_θ L‖ · ∇_θ L                              (its length tells L)
``reward-gradient``       ∇_r L                                          (dr)
``weighted-reward…``      L/‖∇_r L‖ · ∇_r L
``adapted``               θ_i                                            (costs fine-tuning)
``displacement``          θ_i − θ
========================  =============================================  =====================

With ``gradient="visitation"``, ∇L above is deep IRL's difference of visits, back-propagated.

Because ∇_θ L_i = Jᵀ g_i with J = ∂r/∂θ and g_i = ∇_r L_i, all inner products of parameter
gradients are g_iᵀ (J Jᵀ) g_j: a kernel ``[state, state]`` gives the distances of any number of
tasks exactly (:func:`reward_kernel`). Displacements have no such form; :func:`sketches` bring
either down to a few hundred numbers that keep angles and distances, so that thousands of tasks fit
into memory and are clustered in seconds.
"""

import functools
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from rlsuite.algorithms.task_clustering import loss as losses
from rlsuite.algorithms.task_clustering.algorithm import Optimizer, fine_tune
from rlsuite.algorithms.task_clustering.loss import Config, Problem, Task
from rlsuite.nets import Network
from rlsuite.ops.projection import Projection

FEATURES = (
    "parameter-gradient",
    "weighted-parameter-gradient",
    "reward-gradient",
    "weighted-reward-gradient",
    "adapted",
    "displacement",
)
"""The features' names, in the order of the slides."""

_MANY = 16  # tasks whose gradients are in memory at once


class Measured(NamedTuple):
    """What the features are made of.

    Attributes:
        loss: L of every task at θ, ``[task]``.
        reward_gradient: ∇_r L, ``[task, state]``.
        parameter_gradient: ∇_θ L, ``[task, parameter]``.
        displacement: θ_i − θ, ``[task, parameter]``.
        params: θ, ``[parameter]``.
    """

    loss: Float[Array, "*batch task"]
    reward_gradient: Float[Array, "*batch task state"]
    parameter_gradient: Float[Array, "*batch task parameter"]
    displacement: Float[Array, "*batch task parameter"]
    params: Float[Array, "*batch parameter"]


def measure(
    params: Any,
    problem: Problem,
    config: Config = Config(),  # noqa: B008
    *,
    network: Network | None = None,
    inner_optimizer: Optimizer = losses.inner_optimizer,
) -> Measured:
    """Measure all tasks of a problem at θ.

    Args:
        params: θ.
        problem: The tasks.
        config: As in meta-training.
        network: The reward network, if not the config's.
        inner_optimizer: From the inner rate to an optax transformation.

    Returns:
        The measures.
    """
    network = losses.reward_network(config) if network is None else network
    slopes = reward_gradients(params, problem, config, network=network)
    _, pull_back = jax.vjp(lambda at: network.apply(at, problem.features), params)
    flat = ravel_pytree(params)[0]

    def moved(task: Task) -> tuple[Float[Array, ""], Float[Array, " parameter"]]:
        end = fine_tune(
            params, task, problem.features, config, network=network, inner_optimizer=inner_optimizer
        )
        return end.monitored[0], ravel_pytree(end.params)[0] - flat

    gradients = jax.vmap(lambda slope: ravel_pytree(pull_back(slope)[0])[0])(slopes)
    loss, moves = jax.vmap(moved)(problem.tasks)
    return Measured(loss, slopes, gradients, moves, flat)


def reward_gradients(
    params: Any,
    problem: Problem,
    config: Config = Config(),  # noqa: B008
    *,
    network: Network | None = None,
) -> Float[Array, "task state"]:
    """∇_r L of every task, or deep IRL's difference of visits, at r = r_θ.

    Args:
        params: θ.
        problem: The tasks.
        config: As in meta-training.
        network: The reward network, if not the config's.

    Returns:
        The gradients.
    """
    network = losses.reward_network(config) if network is None else network
    rewards = network.apply(params, problem.features)
    of_task = jax.grad(functools.partial(losses.descended, config=config))
    return jax.vmap(functools.partial(of_task, rewards))(problem.tasks)


def sketches(
    params: Any,
    problem: Problem,
    projection: Projection,
    config: Config = Config(),  # noqa: B008
    *,
    feature: Literal["parameter-gradient", "displacement"] = "parameter-gradient",
    network: Network | None = None,
    inner_optimizer: Optimizer = losses.inner_optimizer,
) -> Float[Array, "task size"]:
    """A feature of many tasks, each projected as soon as it is there.

    Args:
        params: θ.
        problem: The tasks, gone through a few at a time.
        projection: From θ's number of parameters to fewer; see ``ops.projection``.
        config: As in meta-training.
        feature: "parameter-gradient", or "displacement", which fine-tunes every task.
        network: The reward network, if not the config's.
        inner_optimizer: From the inner rate to an optax transformation.

    Returns:
        The sketches; their cosines and distances are those of the feature, nearly.
    """
    network = losses.reward_network(config) if network is None else network
    if feature == "parameter-gradient":
        slopes = reward_gradients(params, problem, config, network=network)
        _, pull_back = jax.vjp(lambda at: network.apply(at, problem.features), params)
        return jax.lax.map(
            lambda slope: projection(ravel_pytree(pull_back(slope)[0])[0]), slopes, batch_size=_MANY
        )
    flat = ravel_pytree(params)[0]

    def moved(task: Task) -> Float[Array, " size"]:
        end = fine_tune(
            params, task, problem.features, config, network=network, inner_optimizer=inner_optimizer
        )
        return projection(ravel_pytree(end.params)[0] - flat)

    return jax.lax.map(moved, problem.tasks, batch_size=_MANY)


def features(measured: Measured) -> Mapping[str, np.ndarray]:
    """The six features in float64, ``[task, …]`` each, by name.

    Args:
        measured: Of one run.

    Returns:
        ``FEATURES`` to arrays. A gradient of zero stays zero where it is weighted.

    Example:
        >>> measured = Measured(
        ...     loss=jnp.asarray([2.0]),
        ...     reward_gradient=jnp.asarray([[3.0, 4.0]]),
        ...     parameter_gradient=jnp.asarray([[0.0, 0.5]]),
        ...     displacement=jnp.asarray([[0.0, -0.1]]),
        ...     params=jnp.asarray([1.0, 1.0]),
        ... )
        >>> features(measured)["weighted-reward-gradient"].round(6).tolist()
        [[1.2, 1.6]]
    """
    loss, of_reward, of_params, moved, params = (np.asarray(leaf, np.float64) for leaf in measured)

    def weighted(gradient: np.ndarray) -> np.ndarray:
        length = np.linalg.norm(gradient, axis=1)
        return gradient * (loss / np.where(length > 0, length, 1))[:, None]

    arrays = (
        of_params,
        weighted(of_params),
        of_reward,
        weighted(of_reward),
        params + moved,
        moved,
    )
    return dict(zip(FEATURES, arrays, strict=True))


def reward_kernel(
    params: Any, inputs: Float[Array, "state feature"], network: Network
) -> Float[Array, "state state"]:
    """K = J Jᵀ, J = ∂r/∂θ: inner products of parameter gradients are g_iᵀ K g_j.

    Args:
        params: θ.
        inputs: The states' features.
        network: The reward network.

    Returns:
        The kernel.
    """
    rewards, pull_back = jax.vjp(functools.partial(_apply_to, network, inputs), params)

    def column(unit: Float[Array, " state"]) -> Float[Array, " state"]:
        return jax.jvp(functools.partial(_apply_to, network, inputs), (params,), pull_back(unit))[1]

    return jax.lax.map(column, jnp.eye(rewards.size, dtype=rewards.dtype), batch_size=16)


def _apply_to(network: Network, inputs: Any, params: Any) -> Float[Array, " state"]:
    return network.apply(params, inputs)
