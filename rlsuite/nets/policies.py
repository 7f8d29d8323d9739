r"""Policies for actions within [−1, 1], and critics of them, as networks.

A policy is a network from observations to a distribution over actions. With a perceptron's
outputs m(s), or m(s) and l(s):

=================  ===============================================================================
deterministic      tanh m(s), scored by its squared error
gaussian           normal, of mean tanh m(s) and a deviation exp(l) that no state changes; what is
                   drawn beyond ±1 is cut off, and has the density from before
tanh_gaussian      the tangent of a normal number of mean m(s) and deviation exp(l(s))
=================  ===============================================================================

Logarithms of deviations are kept within [−20, 2]. Initial weights are uniform within
±1/√(inputs of the layer), PyTorch's.

References:
    Haarnoja, Zhou, Abbeel, Levine: Soft actor-critic: off-policy maximum entropy deep
    reinforcement learning with a stochastic actor. ICML 2018, arXiv:1801.01290.
    Kostrikov, Nair, Levine: Offline reinforcement learning with implicit Q-learning. ICLR 2022,
    arXiv:2110.06169.
    Fujimoto, van Hoof, Meger: Addressing function approximation error in actor-critic methods.
    ICML 2018, arXiv:1802.09477.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.nets.network import Network, Params, mlp
from rlsuite.ops.distributions import DiagonalNormal, SquaredError, TanhNormal

_LEAST, _GREATEST = -20.0, 2.0
"""Of the logarithm of a deviation."""


def deterministic(size: int, hidden_sizes: Sequence[int]) -> Network:
    """The action tanh m(s); see the module.

    Args:
        size: How many numbers an action has.
        hidden_sizes: The widths of the hidden layers.

    Returns:
        The policy, of ``SquaredError``.
    """
    mean = _perceptron(hidden_sizes, size)
    return Network(mean.init, lambda params, seen: SquaredError(jnp.tanh(mean.apply(params, seen))))


def gaussian(size: int, hidden_sizes: Sequence[int]) -> Network:
    """Normal, around tanh m(s), with a deviation that no state changes and that begins at 1.

    Args:
        size: How many numbers an action has.
        hidden_sizes: The widths of the hidden layers.

    Returns:
        The policy, of ``DiagonalNormal``.
    """
    mean = _perceptron(hidden_sizes, size)

    def init(key: PRNGKeyArray, seen: Float[Array, "*batch n"]) -> Params:
        return {"mean": mean.init(key, seen), "log_scale": jnp.zeros(size)}

    def apply(params: Params, seen: Float[Array, "*batch n"]) -> DiagonalNormal:
        loc = jnp.tanh(mean.apply(params["mean"], seen))
        return DiagonalNormal(loc, jnp.broadcast_to(_deviation(params["log_scale"]), loc.shape))

    return Network(init, apply)


def tanh_gaussian(size: int, hidden_sizes: Sequence[int]) -> Network:
    """The tangent of a normal number, whose mean and deviation depend on the state.

    Args:
        size: How many numbers an action has.
        hidden_sizes: The widths of the hidden layers.

    Returns:
        The policy, of ``TanhNormal``.
    """
    both = _perceptron(hidden_sizes, 2 * size)

    def apply(params: Params, seen: Float[Array, "*batch n"]) -> TanhNormal:
        loc, log_scale = jnp.split(both.apply(params, seen), 2, axis=-1)
        return TanhNormal(loc, _deviation(log_scale))

    return Network(both.init, apply)


def twin_critic(hidden_sizes: Sequence[int]) -> Network:
    """Two values of an action that were initialised apart; the lesser is the safer guess.

    Args:
        hidden_sizes: The widths of the hidden layers.

    Returns:
        A network from (observations, actions) to values, ``[2, *batch]``.

    Example:
        >>> critic = twin_critic((8,))
        >>> inputs = jnp.zeros((5, 3)), jnp.zeros((5, 2))
        >>> critic.apply(critic.init(jax.random.key(0), inputs), inputs).shape
        (2, 5)

    Reference:
        Fujimoto et al. 2018, section 4.2.
    """
    one = _perceptron(hidden_sizes, None)

    def init(key: PRNGKeyArray, inputs: Any) -> Params:
        joined = jnp.concatenate(inputs, axis=-1)
        return tuple(one.init(of_one, joined) for of_one in jax.random.split(key))

    def apply(params: Params, inputs: Any) -> Float[Array, "critic ..."]:
        joined = jnp.concatenate(inputs, axis=-1)
        # Matrices, one after the other: XLA on CPUs is slow with products of higher rank.
        flat = joined.reshape(-1, joined.shape[-1])
        values = jnp.stack([one.apply(of_one, flat) for of_one in params])
        return values.reshape(-1, *joined.shape[:-1])

    return Network(init, apply)


def value(hidden_sizes: Sequence[int]) -> Network:
    """The value of a state.

    Args:
        hidden_sizes: The widths of the hidden layers.

    Returns:
        A network from observations to values, ``[*batch]``.
    """
    return _perceptron(hidden_sizes, None)


def _perceptron(hidden_sizes: Sequence[int], size: int | None) -> Network:
    return mlp(hidden_sizes, size, initializer="uniform_fan_in")


def _deviation(log_scale: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.exp(jnp.clip(log_scale, _LEAST, _GREATEST))
