"""An agent with a memory: a layer, what remembers, and a linear head on top.

u_t = relu(W x_t + b),    (c_{t+1}, y_t) = memory(c_t, u_t),    head_t = W' y_t + b'.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.nets.network import Params, dense
from rlsuite.nets.recurrent import Carry, Cell, unroll


class Agent(NamedTuple):
    """A network with a memory as pure functions.

    Attributes:
        init: ``(key, inputs) -> params``; only the inputs' last axis matters.
        apply: ``(params, carry, inputs, is_first) -> (carry, heads)`` along sequences, whose axes
            are (time, …); what came before an episode is forgotten where it begins.
        initial: ``batch shape -> carry``.
    """

    init: Callable[[PRNGKeyArray, Any], Params]
    apply: Callable[[Params, Carry, Any, Bool[Array, "..."]], tuple[Carry, Any]]
    initial: Callable[[tuple[int, ...]], Carry]


def agent(cell: Cell, width: int, size: int) -> Agent:
    """The network that suits all tasks here.

    Args:
        cell: What remembers.
        width: Of the layer before it.
        size: How many numbers the head has.

    Returns:
        The agent.

    Example:
        >>> from rlsuite.nets import lstm
        >>> network = agent(lstm(8), 8, 3)
        >>> x, begins = jnp.zeros((5, 2, 4)), jnp.zeros((5, 2), bool)
        >>> params = network.init(jax.random.key(0), x)
        >>> network.apply(params, network.initial((2,)), x, begins)[1].shape
        (5, 2, 3)
    """

    def init(key: PRNGKeyArray, inputs: Any) -> Params:
        of_layer, of_cell, of_head = jax.random.split(key, 3)
        code = jnp.zeros(width)
        memory = cell.init(of_cell, code)
        remembered = jax.eval_shape(cell.apply, memory, cell.initial(()), code)[1]
        return {
            "layer": dense(of_layer, inputs.shape[-1], width),
            "memory": memory,
            "head": dense(of_head, remembered.shape[-1], size),
        }

    def apply(params: Params, carry: Carry, inputs: Any, is_first: Any) -> tuple[Carry, Any]:
        codes = jax.nn.relu(_linear(params["layer"], inputs))
        carry, remembered = unroll(cell, params["memory"], carry, codes, is_first)
        return carry, _linear(params["head"], remembered)

    return Agent(init, apply, cell.initial)


def trace(
    network: Agent, params: Params, inputs: Float[Array, "time batch n"]
) -> tuple[Float[Array, "time batch state"], Float[Array, "time batch head"]]:
    """What is remembered after each input, as one vector, and the heads; step by step.

    Args:
        network: The agent.
        params: Its parameters.
        inputs: Sequences, each an episode from its first step.

    Returns:
        (memories, heads). A memory has every array of the carry, one after the other.
    """

    def step(carry: Carry, x: Array) -> tuple[Carry, Any]:
        nowhere = jnp.zeros((1, x.shape[0]), bool)
        carry, heads = network.apply(params, carry, x[None], nowhere)
        return carry, (flat(carry), heads[0])

    return jax.lax.scan(step, network.initial((inputs.shape[1],)), inputs)[1]


def flat(carry: Carry) -> Float[Array, "batch state"]:
    """A carry as one vector for each sequence.

    Args:
        carry: Whose arrays have one axis of sequences.

    Returns:
        All its numbers.
    """
    leaves = [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(carry)]
    return jnp.concatenate([leaf.astype(float) for leaf in leaves], axis=1)


def unflat(network: Agent, memories: Float[Array, "batch state"]) -> Carry:
    """The inverse of ``flat``.

    Args:
        network: Whose carry it is.
        memories: The vectors.

    Returns:
        The carry.
    """
    shapes, structure = jax.tree.flatten(jax.eval_shape(lambda: network.initial(())))
    leaves, start = [], 0
    for shape in shapes:
        part = memories[:, start : start + shape.size]
        leaves.append(part.reshape(-1, *shape.shape).astype(shape.dtype))
        start += shape.size
    return jax.tree.unflatten(structure, leaves)


def _linear(layer: Params, x: Float[Array, "*batch n"]) -> Float[Array, "*batch m"]:
    # One batch axis: with more, XLA on CPU is slower at the gradients of the weights.
    y = x.reshape(-1, x.shape[-1]) @ layer["kernel"] + layer["bias"]
    return y.reshape(*x.shape[:-1], y.shape[-1])
