"""Policies and values as one network, with or without memory.

The head's numbers become a distribution over actions: the logits of every category, one part of the
action after the other; or the means of a normal distribution, then the logarithms of its standard
deviations, which by default do not depend on the observation. Actions are the vectors of
:mod:`rlsuite.envs.control`; a normal action beyond [−1, 1] is clipped by the environment, and its
probability is the one before.

Initial weights are orthogonal, with a gain of √2 in hidden layers, 0.01 in the policy's last, so
that it begins nearly uniform, and 1 in the value's last; biases are 0.

References:
    Huang, Dossa, Raffin, Kanervisto, Wang: The 37 implementation details of proximal policy
    optimization. ICLR blog track 2022.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Actions
from rlsuite.nets import Network
from rlsuite.nets.initializers import orthogonal
from rlsuite.nets.network import Params
from rlsuite.nets.recurrent import Carry, Cell, unroll
from rlsuite.ops.distributions import DiagonalNormal, MultiCategorical, mask_logits

_FILTERS = 16
"""Of the convolution of grids, as in MinAtar."""


class Outputs(NamedTuple):
    """What an actor-critic says at each step.

    Attributes:
        head: Parameters of the distribution over actions.
        value: V.
    """

    head: Float[Array, "*batch head"]
    value: Float[Array, "*batch"]


class ActorCritic(NamedTuple):
    """A policy and a value function as pure functions.

    Attributes:
        init: ``(key, observation) -> params``, of one observation.
        apply: ``(params, carry, observations, is_first) -> (carry, Outputs)``. Observations and
            ``is_first`` have the axes (time, sequence), the carry (sequence,).
        initial: ``batch shape -> carry``; without arrays if there is no memory.
    """

    init: Callable[[PRNGKeyArray, Any], Params]
    apply: Callable[[Params, Carry, Any, Bool[Array, "time sequence"]], tuple[Carry, Outputs]]
    initial: Callable[[tuple[int, ...]], Carry]

    @property
    def is_recurrent(self) -> bool:
        """Whether it has a memory."""
        return bool(jax.tree.leaves(jax.eval_shape(lambda: self.initial(()))))


def feed_forward(network: Network) -> ActorCritic:
    """An actor-critic without memory.

    Args:
        network: ``apply(params, observations)`` returns ``Outputs``, both with one leading axis;
            ``init`` is given one observation without it.

    Returns:
        The actor-critic.
    """

    def apply(params: Params, carry: Carry, observations: Any, is_first: Any) -> Any:
        axes = is_first.shape
        # As one axis: XLA on CPUs multiplies matrices faster than arrays of higher rank.
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), observations)
        outputs = network.apply(params, flat)
        return carry, jax.tree.map(lambda leaf: leaf.reshape(*axes, *leaf.shape[1:]), outputs)

    return ActorCritic(network.init, apply, lambda _: ())


def recurrent(encoder: Network, cell: Cell, heads: Network) -> ActorCritic:
    """An actor-critic whose policy and value share a memory.

    Args:
        encoder: From observations to inputs of the cell.
        cell: The memory.
        heads: From the cell's outputs to ``Outputs``.

    Returns:
        The actor-critic.
    """

    def init(key: PRNGKeyArray, observation: Any) -> Params:
        of_encoder, of_cell, of_heads = jax.random.split(key, 3)
        encoding = encoder.init(of_encoder, observation)
        code = encoder.apply(encoding, observation)
        memory = cell.init(of_cell, code)
        _, remembered = cell.apply(memory, cell.initial(()), code)
        return {
            "encoder": encoding,
            "cell": memory,
            "heads": heads.init(of_heads, remembered),
        }

    def apply(params: Params, carry: Carry, observations: Any, is_first: Any) -> Any:
        codes = encoder.apply(params["encoder"], observations)
        carry, remembered = unroll(cell, params["cell"], carry, codes, is_first)
        return carry, heads.apply(params["heads"], remembered)

    return ActorCritic(init, apply, cell.initial)


def head_size(actions: Actions) -> int:
    """How many numbers the distribution over actions has.

    Args:
        actions: What actions there are.

    Returns:
        One for each category, or two for each continuous number.
    """
    return actions.size if actions.is_discrete else 2 * actions.size


def distribution(
    actions: Actions,
    head: Float[Array, "*batch head"],
    mask: Bool[Array, "*batch action"] | None = None,
) -> MultiCategorical | DiagonalNormal:
    """The distribution over actions, as vectors.

    Args:
        actions: What actions there are.
        head: Its parameters, of an actor-critic.
        mask: Which categories are allowed; None for all.

    Returns:
        The distribution.

    Example:
        >>> pair = Actions(sizes=(2, 3))
        >>> distribution(pair, jnp.arange(5.0)).mode()
        Array([0., 1., 0., 0., 1.], dtype=float32)
    """
    if not actions.is_discrete:
        loc, log_scale = jnp.split(head, 2, axis=-1)
        return DiagonalNormal(loc, jnp.exp(log_scale))
    logits = head if mask is None else mask_logits(head, mask)
    ends = np.cumsum(actions.sizes)[:-1].tolist()
    return MultiCategorical(tuple(jnp.split(logits, ends, axis=-1)))


def actor_critic(
    actions: Actions, observation: Any, hidden_sizes: Sequence[int], cell: Cell | None = None
) -> ActorCritic:
    """The networks that suit most problems.

    Args:
        actions: What actions there are.
        observation: An example, or its shapes. A single array with three axes is a grid with
            channels, and goes through a convolution of 3 × 3; all else is read as one vector.
        hidden_sizes: The widths of the hidden layers, at least one.
        cell: A memory, or None.

    Returns:
        Tanh layers for vectors, rectified linear units for grids. Policy and value share nothing
        of a vector; of a grid, the convolution and the first layer. With a memory, they share the
        convolution, one layer and the cell, and have all hidden layers on top of their own.

    Raises:
        ValueError: If the observation is an image of bytes.
    """
    leaves = jax.tree.leaves(observation)
    if any(leaf.dtype == jnp.uint8 for leaf in leaves):
        raise ValueError(
            "observation has bytes; allowed: numbers, images with a network of your own"
        )
    shapes = [leaf.shape for leaf in leaves]
    is_grid = [len(shape) for shape in shapes] == [3]
    activation = jax.nn.relu if is_grid else jnp.tanh
    encoder = _convolution() if is_grid else _flattening([len(shape) for shape in shapes])
    layer = _perceptron(hidden_sizes[:1], activation)
    if cell is not None:
        heads = _heads(actions, hidden_sizes, activation)
        return recurrent(_composed(encoder, layer), cell, heads)
    if is_grid:
        heads = _heads(actions, hidden_sizes[1:], activation)
        return feed_forward(_composed(_composed(encoder, layer), heads))
    return feed_forward(_composed(encoder, _heads(actions, hidden_sizes, activation)))


def _flattening(ranks: Sequence[int]) -> Network:
    """All arrays of an observation, of so many axes each, as one vector."""

    def apply(params: Params, observation: Any) -> Float[Array, "*batch input"]:
        del params
        leaves = zip(jax.tree.leaves(observation), ranks, strict=True)
        flat = [leaf.reshape(*leaf.shape[: leaf.ndim - rank], -1) for leaf, rank in leaves]
        return jnp.concatenate(flat, axis=-1)

    return Network(lambda *_: (), apply)


def _composed(first: Network, second: Network) -> Network:
    def init(key: PRNGKeyArray, x: Any) -> Params:
        of_first, of_second = jax.random.split(key)
        params = first.init(of_first, x)
        return params, second.init(of_second, first.apply(params, x))

    return Network(init, lambda params, x: second.apply(params[1], first.apply(params[0], x)))


def _dense(key: PRNGKeyArray, inputs: int, outputs: int, gain: float) -> Params:
    kernel = orthogonal(gain)(key, (inputs, outputs))
    return {"kernel": kernel, "bias": jnp.zeros(outputs)}


def _linear(params: Params, x: Float[Array, "*batch input"]) -> Float[Array, "*batch output"]:
    return x @ params["kernel"] + params["bias"]


def _perceptron(
    hidden_sizes: Sequence[int],
    activation: Callable[[Array], Array],
    last: tuple[int, float] | None = None,
) -> Network:
    """Hidden layers, and a linear one of (size, gain) on top."""
    layers = [(size, math.sqrt(2)) for size in hidden_sizes] + ([last] if last else [])

    def init(key: PRNGKeyArray, x: Float[Array, "*batch input"]) -> Params:
        params, inputs = [], x.shape[-1]
        for index, (size, gain) in enumerate(layers):
            params.append(_dense(jax.random.fold_in(key, index), inputs, size, gain))
            inputs = size
        return params

    def apply(params: Params, x: Float[Array, "*batch input"]) -> Float[Array, "*batch output"]:
        for index, layer in enumerate(params):
            x = _linear(layer, x)
            x = activation(x) if index < len(hidden_sizes) else x
        return x

    return Network(init, apply)


def _heads(
    actions: Actions, hidden_sizes: Sequence[int], activation: Callable[[Array], Array]
) -> Network:
    """A perceptron for the policy and one for the value."""
    policy = _perceptron(hidden_sizes, activation, (actions.size, 0.01))
    value = _perceptron(hidden_sizes, activation, (1, 1.0))

    def init(key: PRNGKeyArray, x: Float[Array, "*batch input"]) -> Params:
        of_policy, of_value = jax.random.split(key)
        params = {"policy": policy.init(of_policy, x), "value": value.init(of_value, x)}
        return params if actions.is_discrete else {**params, "log_scale": jnp.zeros(actions.size)}

    def apply(params: Params, x: Float[Array, "*batch input"]) -> Outputs:
        head = policy.apply(params["policy"], x)
        if not actions.is_discrete:
            log_scale = jnp.broadcast_to(params["log_scale"], head.shape)
            head = jnp.concatenate([head, log_scale], axis=-1)
        return Outputs(head, value.apply(params["value"], x)[..., 0])

    return Network(init, apply)


def _convolution() -> Network:
    """One 3 × 3 convolution with rectified linear units, flattened.

    Nine shifted copies of the grid and a matrix: on CPUs, XLA runs a convolution inside a loop
    several times slower than that.
    """

    def patches(grid: Float[Array, "*batch y x channel"]) -> Float[Array, "... input"]:
        height, width = grid.shape[-3] - 2, grid.shape[-2] - 2
        shifted = [grid[..., y : y + height, x : x + width, :] for y in range(3) for x in range(3)]
        return jnp.concatenate(shifted, axis=-1)

    def init(key: PRNGKeyArray, grid: Float[Array, "*batch y x channel"]) -> Params:
        return _dense(key, 9 * grid.shape[-1], _FILTERS, math.sqrt(2))

    def apply(params: Params, grid: Float[Array, "*batch y x channel"]) -> Float[Array, "..."]:
        rows = patches(grid)
        features = jax.nn.relu(_linear(params, rows.reshape(-1, rows.shape[-1])))
        return features.reshape(*grid.shape[:-3], -1)

    return Network(init, apply)
