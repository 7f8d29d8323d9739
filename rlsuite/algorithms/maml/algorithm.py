r"""Model-agnostic meta-learning: parameters from which a few steps learn a new task.

For tasks T drawn from a distribution, with a support that is adapted to and a query that is
judged on,

    minimise over θ   E_T L_query(θ'_T),   θ'_T = K steps of the inner optimiser on L_support
                                                  from θ,

by an outer optimiser along the mean over tasks of ∇_θ L_query(θ'_T), or of what a cheaper method
puts in its place; :mod:`rlsuite.ops.meta` has the equations. With no inner steps this is joint
training on all tasks, the usual baseline.

One step of the algorithm (Finn et al. 2017, algorithms 1 to 3):

1. draw ``num_tasks`` tasks;
2. adapt to the support of each, and take the gradient of its query loss;
3. one step of the outer optimiser along the mean.

References:
    Finn, Abbeel, Levine: Model-agnostic meta-learning for fast adaptation of deep networks. ICML
    2017, arXiv:1703.03400.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.maml.adaptation import Config, Rule, State, adaptation_curve, inner_loop
from rlsuite.algorithms.maml.tasks import Params, Tasks
from rlsuite.core import Algorithm
from rlsuite.nets import Network
from rlsuite.ops import meta


class Metrics(NamedTuple):
    """Of one step, before its update; means over its tasks.

    Attributes:
        loss: The query loss after adaptation.
        before: The support loss before it (the query loss where there are no inner steps).
        gradient_norm: ‖gradient‖₂ of the mean.
    """

    loss: Float[Array, ""]
    before: Float[Array, ""]
    gradient_norm: Float[Array, ""]


class Evaluation(NamedTuple):
    """Query losses on new tasks, means over them.

    Attributes:
        before: Before adaptation.
        after_one: After one step of it.
        after: After the last step.
        losses: After each number of steps, ``[step + 1]``.
    """

    before: Float[Array, ""]
    after_one: Float[Array, ""]
    after: Float[Array, ""]
    losses: Float[Array, " step"]


def make(
    problem: Tasks,
    config: Config = Config(),  # noqa: B008
    *,
    network: Network | None = None,
    inner_optimizer: Rule = optax.sgd,
    optimizer: Rule = optax.adam,
    mask: Callable[[Params], Any] | None = None,
    mesh: Mesh | None = None,
) -> Algorithm:
    """Meta-learning on a distribution of tasks.

    Args:
        problem: The tasks; see ``Tasks``.
        config: The hyperparameters.
        network: ``(init, apply)``; by default ``default_network(config)``.
        inner_optimizer: From a learning rate to the inner loop's optax transformation. Adam and
            its kin need an ``eps_root`` there.
        optimizer: The same for the outer loop.
        mask: From θ to which leaves adapt, a prefix of it, in place of ``config.adapts``.
        mesh: Devices to spread tasks over; their number must divide ``config.num_tasks`` and
            ``config.evaluation_tasks``. For a run without seeds: ``run`` spreads those itself.

    Returns:
        The algorithm: ``step`` returns ``Metrics``, ``evaluate`` an ``Evaluation``. It does not
        act: what acts is what ``adapt`` makes of the state.

    Raises:
        ValueError: If ``config.adapts`` is "head" and the network has no numbered layers, or the
            mesh does not divide the tasks.

    Example:
        >>> import functools
        >>> from rlsuite.algorithms.maml import LinearRegressions
        >>> from rlsuite.core import run
        >>> from rlsuite.nets import linear
        >>> tasks = LinearRegressions(mean=jnp.asarray([2.0, -1.0]), curvature=jnp.ones(2))
        >>> config = Config(inner_rate=0.1, outer_rate=0.1, num_tasks=100)
        >>> learner = functools.partial(make, network=linear())
        >>> result = run(learner, tasks, config, jax.random.key(0), 100, progress=False)
        >>> bool(jnp.max(jnp.abs(result.state.params - tasks.mean)) < 0.2)
        True
    """
    inner = inner_loop(problem, config, network, inner_optimizer, mask)
    transformation = optimizer(config.outer_rate)

    def init(key: PRNGKeyArray) -> State:
        params = inner.network.init(key, problem.inputs)
        rates = None
        if config.learned_rates:
            rates = jax.tree.map(lambda leaf: jnp.full_like(leaf, config.inner_rate), params)
        return State(params, rates, transformation.init((params, rates)))

    def gradient_of(learned: tuple[Params, Params], task: Any, key: PRNGKeyArray) -> Any:
        params, rates = learned
        result = meta.meta_gradient(
            inner.loss,
            params,
            task.support,
            task.query,
            optimizer=inner.optimizer,
            num_steps=config.inner_steps,
            method=config.method,
            mask=inner.mask(params),
            rates=rates,
            proximity=config.proximity,
            cg_steps=config.cg_steps,
            key=key,
        )
        before = result.adapted.losses[0] if config.inner_steps else result.loss
        return (result.gradient, result.rates), result.loss, before

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        of_tasks, of_losses = jax.random.split(key)
        tasks = jax.vmap(problem.sample)(jax.random.split(of_tasks, config.num_tasks))
        keys = jax.random.split(of_losses, config.num_tasks)
        learned = (state.params, state.rates)
        gradient, loss, before = meta.mean_over_tasks(gradient_of, learned, tasks, keys, mesh=mesh)
        updates, opt_state = transformation.update(gradient, state.optimizer, learned)
        params, rates = optax.apply_updates(learned, updates)
        return State(params, rates, opt_state), Metrics(loss, before, optax.tree.norm(gradient))

    def evaluate(key: PRNGKeyArray, state: State) -> Evaluation:
        def curve(state: State, key: PRNGKeyArray) -> Float[Array, " step"]:
            return adaptation_curve(
                problem,
                config,
                state,
                key,
                network=network,
                inner_optimizer=inner_optimizer,
                mask=mask,
            )

        keys = jax.random.split(key, config.evaluation_tasks)
        losses = meta.mean_over_tasks(curve, state, keys, mesh=mesh)
        return Evaluation(losses[0], losses[1], losses[-1], losses)

    return Algorithm(init, step, None, evaluate)
