r"""Transitions that are not linear: matrices that depend on the state, or a recurrent network.

    e2c     s' = (I + v(s) r(s)ᵀ) s + B(s) a + b(s) + w,           w ~ N(0, diag σ²)
    full    s' = (I + D(s)) s + B(s) a + b(s) + w,                 w ~ N(0, diag σ²)
    dvbf    s' = Σ_i α_i(s, a) (A_i s + B_i a + diag(σ_i) w),      w ~ N(0, I),  α a softmax
    rssm    h' = GRU(h, [s; a]),   s' ~ N(μ(h'), diag σ(h')²)

v, r, B, b, D, α, μ and σ(h) are perceptrons, of the first two with bounded units; σ, A_i, B_i and
σ_i are numbers. At first all but the last nearly stay where they are.

References:
    Watter, Springenberg, Boedecker, Riedmiller: Embed to control. NeurIPS 2015, arXiv:1506.07365.
    Karl, Soelch, Bayer, van der Smagt: Deep variational Bayes filters. ICLR 2017, arXiv:1605.06432.
    Hafner et al.: Learning latent dynamics for planning from pixels. ICML 2019, arXiv:1811.04551.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.latent_models.transition import Transition, from_local
from rlsuite.nets import Network, gru, mlp
from rlsuite.ops.gaussian import Moments
from rlsuite.ops.lqr import Dynamics

_LEAST = 1e-2
_SMALL = 0.1


class LocalParams(NamedTuple):
    """Of a transition whose matrices are a network's.

    Attributes:
        network: The network's parameters.
        log_deviation: log σ, ``[n]``.
    """

    network: Any
    log_deviation: Float[Array, " n"]


class MixtureParams(NamedTuple):
    """Of a transition that mixes matrices.

    Attributes:
        network: The parameters of what weighs them.
        state: A_i, ``[basis, n, n]``.
        action: B_i, ``[basis, n, m]``.
        log_deviation: log σ_i, ``[basis, n]``.
    """

    network: Any
    state: Float[Array, "basis n n"]
    action: Float[Array, "basis n m"]
    log_deviation: Float[Array, "basis n"]


class RecurrentParams(NamedTuple):
    """Of a recurrent transition.

    Attributes:
        cell: The cell's.
        head: Of what makes laws of its memory.
    """

    cell: Any
    head: Any


def e2c(
    size: int, actions: int, *, hidden_sizes: tuple[int, ...] = (64,), deviation: float = 0.5
) -> Transition:
    """Embed to control's: the identity and a product of two vectors.

    Args:
        size: n, of a state.
        actions: m, of an action.
        hidden_sizes: The perceptron's.
        deviation: The noise's at first.

    Returns:
        The transition.
    """
    network = _nearly_zero(hidden_sizes, size * (3 + actions))

    def matrices(outputs: Array) -> tuple[Array, Array, Array]:
        v, r, b = (outputs[size * i : size * (i + 1)] for i in range(3))
        return jnp.eye(size) + v[:, None] * r, outputs[3 * size :].reshape(size, actions), b

    return _by_network(network, matrices, size, deviation)


def full(
    size: int, actions: int, *, hidden_sizes: tuple[int, ...] = (64,), deviation: float = 0.5
) -> Transition:
    """Matrices of any kind.

    Args:
        size: n, of a state.
        actions: m, of an action.
        hidden_sizes: The perceptron's.
        deviation: The noise's at first.

    Returns:
        The transition.
    """
    network = _nearly_zero(hidden_sizes, size * (size + actions + 1))

    def matrices(outputs: Array) -> tuple[Array, Array, Array]:
        table = outputs.reshape(size, size + actions + 1)
        A, B, b = jnp.split(table, [size, size + actions], axis=-1)
        return jnp.eye(size) + A, B, b[:, 0]

    return _by_network(network, matrices, size, deviation)


def dvbf(
    size: int,
    actions: int,
    *,
    bases: int = 16,
    hidden_sizes: tuple[int, ...] = (64,),
    deviation: float = 0.5,
) -> Transition:
    """The deep variational Bayes filter's: a mixture of matrices.

    Args:
        size: n, of a state.
        actions: m, of an action.
        bases: How many of each are mixed, at least 1.
        hidden_sizes: The sizes of the perceptron that weighs them.
        deviation: The noise's at first.

    Returns:
        The transition.

    Raises:
        ValueError: If ``bases`` is below 1.
    """
    if bases < 1:
        raise ValueError(f"bases is {bases}; allowed: a whole number at least 1")
    network = mlp(hidden_sizes, bases)

    def init(key: PRNGKeyArray) -> MixtureParams:
        of_network, of_states, of_actions = jax.random.split(key, 3)
        apart = _SMALL * jax.random.normal(of_states, (bases, size, size))
        return MixtureParams(
            network.init(of_network, jnp.zeros(size + actions)),
            jnp.eye(size) + apart,
            _SMALL * jax.random.normal(of_actions, (bases, size, actions)),
            jnp.log(jnp.full((bases, size), deviation, float)),
        )

    def local(params: MixtureParams, carry: Any, state: Array, action: Array) -> Any:
        told = jnp.concatenate([state, action])
        weights = jax.nn.softmax(network.apply(params.network, told))
        A = jnp.einsum("k,kij->ij", weights, params.state)
        B = jnp.einsum("k,kij->ij", weights, params.action)
        scale = weights @ jnp.exp(params.log_deviation)
        return carry, Dynamics(A, B, jnp.zeros_like(state), jnp.diag(jnp.square(scale)))

    return from_local(init, local)


def rssm(
    size: int, actions: int, *, memory: int = 64, hidden_sizes: tuple[int, ...] = (64,)
) -> Transition:
    """A recurrent state-space model's: what is remembered is the carry.

    Args:
        size: n, of a state.
        actions: m, of an action.
        memory: How many numbers are remembered.
        hidden_sizes: The sizes of the perceptron that makes laws of them.

    Returns:
        The transition; deviations are at least 0.01.
    """
    cell, head = gru(memory), mlp(hidden_sizes, 2 * size)

    def init(key: PRNGKeyArray) -> RecurrentParams:
        of_cell, of_head = jax.random.split(key)
        return RecurrentParams(
            cell.init(of_cell, jnp.zeros(size + actions)), head.init(of_head, jnp.zeros(memory))
        )

    def step(params: RecurrentParams, carry: Array, state: Array, action: Array) -> Any:
        told = jnp.concatenate([state, action])
        carry, remembered = cell.apply(params.cell, carry, told)
        mean, raw = jnp.split(head.apply(params.head, remembered), 2)
        scale = jax.nn.softplus(raw) + _LEAST
        return carry, Moments(mean, jnp.diag(jnp.square(scale)))

    return Transition(init, lambda _: cell.initial(()), step)


def _by_network(network: Network, matrices: Any, size: int, deviation: float) -> Transition:
    """Matrices from a network's outputs at the state, and noise that is the same everywhere."""

    def init(key: PRNGKeyArray) -> LocalParams:
        log_deviation = jnp.log(jnp.full(size, deviation, float))
        return LocalParams(network.init(key, jnp.zeros(size)), log_deviation)

    def local(params: LocalParams, carry: Any, state: Array, action: Array) -> Any:
        del action
        A, B, b = matrices(network.apply(params.network, state))
        return carry, Dynamics(A, B, b, jnp.diag(jnp.exp(2 * params.log_deviation)))

    return from_local(init, local)


def _nearly_zero(hidden_sizes: tuple[int, ...], outputs: int) -> Network:
    """A perceptron of small, bounded outputs: matrices that grow with a state let paths explode."""
    network = mlp(hidden_sizes, outputs, activation=jnp.tanh)
    return Network(network.init, lambda params, x: _SMALL * network.apply(params, x))
