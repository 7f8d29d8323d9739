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

import functools
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.maml.tasks import Params, Tasks
from rlsuite.configuration import config, setting
from rlsuite.core import Algorithm
from rlsuite.nets import Network, mlp
from rlsuite.ops import meta

Rule = Callable[[Any], optax.GradientTransformation]


@config
class Config:
    """Hyperparameters; the defaults are those of Finn et al. 2017 for sinusoids.

    Attributes:
        inner_rate: α, the inner optimiser's learning rate; with learned rates, where they start.
        outer_rate: β, the outer optimiser's learning rate.
        proximity: λ, of the method "implicit" alone.
        method: How the outer gradient is taken: "maml", "first-order", "reptile" or "implicit".
        inner_steps: K in training. 0 trains one network on all tasks.
        num_tasks: How many tasks a step draws.
        learned_rates: Learn a rate for each parameter (Meta-SGD); only with the method "maml".
        adapts: What the inner loop changes: "all" parameters or the "head" (ANIL).
        cg_steps: The most steps of conjugate gradients of the method "implicit".
        hidden_sizes: Widths of the network's hidden layers, where none is given to ``make``.
        evaluation_steps: How many steps an evaluation adapts for.
        evaluation_tasks: How many new tasks it draws.
    """

    inner_rate: float = setting(default=0.01, above=0)
    outer_rate: float = setting(default=1e-3, above=0)
    proximity: float = setting(default=1.0, above=0)
    method: meta.Method = "maml"
    inner_steps: int = setting(default=1, at_least=0)
    num_tasks: int = setting(default=25, at_least=1)
    learned_rates: bool = False
    adapts: Literal["all", "head"] = "all"
    cg_steps: int = setting(default=5, at_least=1)
    hidden_sizes: tuple[int, ...] = setting(default=(40, 40), at_least=1)
    evaluation_steps: int = setting(default=10, at_least=1)
    evaluation_tasks: int = setting(default=600, at_least=1)

    def __post_init__(self) -> None:
        """Check what single fields cannot."""
        if self.learned_rates and self.method != "maml":
            raise ValueError(
                f"config field 'learned_rates' is True with the method {self.method!r}; "
                f"allowed: 'maml'"
            )


class State(NamedTuple):
    """What is learned over tasks.

    Attributes:
        params: θ.
        rates: A learning rate for each parameter; None where they are not learned.
        optimizer: The outer optimiser's state.
    """

    params: Params
    rates: Params
    optimizer: optax.OptState


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


class _Inner(NamedTuple):
    """The inner loop of a problem under a config."""

    network: Network
    optimizer: optax.GradientTransformation
    loss: meta.Loss
    mask: Callable[[Params], Any]


def _inner(
    problem: Tasks,
    config: Config,
    network: Network | None,
    inner_optimizer: Rule,
    mask: Callable[[Params], Any] | None,
) -> _Inner:
    network = default_network(config) if network is None else network
    if mask is None:
        mask = head if config.adapts == "head" else lambda _: True
    # Learned rates multiply the updates, so they are whole learning rates where these have 1.
    rule = inner_optimizer(1.0 if config.learned_rates else config.inner_rate)
    return _Inner(network, rule, functools.partial(problem.loss, network.apply), mask)


def default_network(config: Config) -> Network:
    """The network where none is given: a perceptron of ``config.hidden_sizes`` with one output."""
    return mlp(config.hidden_sizes)


def head(params: Params) -> Any:
    """Which leaves are the last layer of a Flax ``Sequential``, as ``rlsuite.nets.mlp`` is one.

    Args:
        params: Its parameters.

    Returns:
        A prefix of them with True at the last layer and False at the others.

    Raises:
        ValueError: If there are no numbered layers.

    Example:
        >>> params = mlp((40, 40)).init(jax.random.key(0), jnp.zeros((1, 1)))
        >>> head(params)
        {'params': {'layers_0': False, 'layers_2': False, 'layers_4': True}}
    """
    layers = params.get("params") if isinstance(params, dict) else None
    numbers = {name: re.fullmatch(r"layers_(\d+)", name) for name in layers or ()}
    if not layers or None in numbers.values():
        raise ValueError(
            "adapts is 'head', but the parameters have no numbered layers; allowed: those of "
            "rlsuite.nets.mlp, or a mask given to make"
        )
    last = max(layers, key=lambda name: int(name.removeprefix("layers_")))
    return {"params": {name: name == last for name in layers}}


def adapt(
    problem: Tasks,
    config: Config,
    state: State,
    support: Any,
    key: PRNGKeyArray,
    *,
    num_steps: int | None = None,
    network: Network | None = None,
    inner_optimizer: Rule = optax.sgd,
    mask: Callable[[Params], Any] | None = None,
    monitor: Callable[[Params], Any] | None = None,
) -> meta.Adapted:
    """Learn one task from where training led.

    Args:
        problem: Gives the loss.
        config: The config it was trained with; another ``inner_rate`` will do too.
        state: What training left.
        support: The task's data.
        key: For losses that draw samples.
        num_steps: How many steps; None for ``config.evaluation_steps``.
        network: As given to ``make``; so are the next two.
        inner_optimizer: From a learning rate to an optax transformation.
        mask: Which leaves adapt.
        monitor: ``params -> anything``, called before each step and after the last.

    Returns:
        The adapted parameters, the support loss before each step, and what the monitor saw.

    Example:
        >>> from rlsuite.algorithms.maml import LinearRegressions, Points
        >>> from rlsuite.nets import linear
        >>> tasks, config = LinearRegressions(jnp.zeros(1), jnp.ones(1)), Config(inner_rate=0.25)
        >>> state = make(tasks, config, network=linear()).init(jax.random.key(0))
        >>> task = Points(tasks.inputs, jnp.asarray([1.0]))
        >>> adapted = adapt(
        ...     tasks, config, state, task, jax.random.key(1), num_steps=2, network=linear()
        ... )
        >>> adapted.params.tolist(), adapted.losses.tolist()
        ([0.75], [1.0, 0.25])
    """
    inner = _inner(problem, config, network, inner_optimizer, mask)
    return meta.adapt(
        inner.loss,
        state.params,
        support,
        optimizer=inner.optimizer,
        num_steps=config.evaluation_steps if num_steps is None else num_steps,
        mask=inner.mask(state.params),
        rates=state.rates,
        proximity=config.proximity if config.method == "implicit" else 0.0,
        key=key,
        monitor=monitor,
    )


def adaptation_curve(
    problem: Tasks, config: Config, state: State, key: PRNGKeyArray, **callables: Any
) -> Float[Array, "task step"]:
    """Query losses of new tasks, after each number of steps.

    Args:
        problem: The tasks.
        config: Gives the numbers of tasks and of steps.
        state: What training left.
        key: Draws the tasks.
        **callables: As given to ``make``: network, inner_optimizer, mask.

    Returns:
        Losses ``[evaluation task, evaluation step + 1]``.
    """
    inner = _inner(
        problem, config, callables.get("network"), optax.sgd, None
    )  # only its loss is of use here

    def one(key: PRNGKeyArray) -> Float[Array, " step"]:
        of_task, of_steps, of_query = jax.random.split(key, 3)
        task = problem.sample(of_task)
        adapted = adapt(
            problem,
            config,
            state,
            task.support,
            of_steps,
            monitor=lambda params: inner.loss(params, task.query, of_query),
            **callables,
        )
        return adapted.monitored

    return jax.vmap(one)(jax.random.split(key, config.evaluation_tasks))


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
        mesh: Devices to spread the tasks of a step over; they must divide ``num_tasks``.

    Returns:
        The algorithm: ``step`` returns ``Metrics``, ``evaluate`` an ``Evaluation``. It does not
        act: what acts is what ``adapt`` makes of the state.

    Raises:
        ValueError: If ``config.adapts`` is "head" and the network has no numbered layers, or the
            mesh does not divide the tasks.

    Example:
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
    inner = _inner(problem, config, network, inner_optimizer, mask)
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
        curves = adaptation_curve(
            problem,
            config,
            state,
            key,
            network=network,
            inner_optimizer=inner_optimizer,
            mask=mask,
        )
        losses = jnp.mean(curves, axis=0)
        return Evaluation(losses[0], losses[1], losses[-1], losses)

    return Algorithm(init, step, None, evaluate)
