"""The inner loop: how a task is learned from where training led, and how well."""

import functools
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.maml.tasks import Params, Tasks
from rlsuite.configuration import config, setting
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


class Inner(NamedTuple):
    """The inner loop of a problem under a config.

    Attributes:
        network: The network.
        optimizer: The optimiser.
        loss: ``(params, data, key) -> loss``.
        mask: From θ to which leaves adapt.
    """

    network: Network
    optimizer: optax.GradientTransformation
    loss: meta.Loss
    mask: Callable[[Params], Any]


def inner_loop(
    problem: Tasks,
    config: Config,
    network: Network | None,
    inner_optimizer: Rule,
    mask: Callable[[Params], Any] | None,
) -> Inner:
    """What a config, and the callables given to ``make``, say of the inner loop."""
    network = default_network(config) if network is None else network
    if mask is None:
        mask = head if config.adapts == "head" else lambda _: True
    # Learned rates multiply the updates, so they are whole learning rates where these have 1.
    rule = inner_optimizer(1.0 if config.learned_rates else config.inner_rate)
    return Inner(network, rule, functools.partial(problem.loss, network.apply), mask)


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
        >>> params = mlp((40, 40)).init(jax.random.key(0), jax.numpy.zeros((1, 1)))
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
        network: As given to ``make``, and so are the next two.
        inner_optimizer: From a learning rate to an optax transformation.
        mask: Which leaves adapt.
        monitor: ``params -> anything``, called before each step and after the last.

    Returns:
        The adapted parameters, the support loss before each step, and what the monitor saw.

    Example:
        >>> import jax.numpy as jnp
        >>> from rlsuite.algorithms.maml import LinearRegressions, Points, make
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
    inner = inner_loop(problem, config, network, inner_optimizer, mask)
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
    problem: Tasks,
    config: Config,
    state: State,
    key: PRNGKeyArray,
    *,
    network: Network | None = None,
    inner_optimizer: Rule = optax.sgd,
    mask: Callable[[Params], Any] | None = None,
) -> Float[Array, " step"]:
    """The query loss of a new task before adaptation, and after each step of it.

    Args:
        problem: The tasks.
        config: Gives the number of steps, ``evaluation_steps``.
        state: What training left.
        key: Draws the task.
        network: As given to ``make``, and so are the next two.
        inner_optimizer: From a learning rate to an optax transformation.
        mask: Which leaves adapt.

    Returns:
        Losses, ``[step + 1]``; ``jax.vmap`` over keys for more tasks.
    """
    apply = (default_network(config) if network is None else network).apply
    of_task, of_steps, of_query = jax.random.split(key, 3)
    task = problem.sample(of_task)
    return adapt(
        problem,
        config,
        state,
        task.support,
        of_steps,
        network=network,
        inner_optimizer=inner_optimizer,
        mask=mask,
        monitor=lambda params: problem.loss(apply, params, task.query, of_query),
    ).monitored
