"""Memories as pure functions, and their walk through a sequence of episodes.

A carry c is what a cell remembers. At every step t of a sequence, which may hold several episodes
or begin within one,

    c_{t+1}, y_t = cell(c_t, x_t),   with c_t replaced by the initial carry where an episode begins.

So an episode's outputs depend on nothing that came before it. What remembers need not be a
recurrent network: a linear recurrence (:mod:`rlsuite.nets.linear_recurrence`) and a causal
transformer (:mod:`rlsuite.nets.causal_transformer`) are cells too, that walk through a whole
sequence at once.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.nets import gates
from rlsuite.nets.initializers import orthogonal
from rlsuite.nets.network import Params

if TYPE_CHECKING:
    import flax.linen

Carry = Any


class Cell(NamedTuple):
    """A memory as pure functions.

    Attributes:
        init: ``(key, inputs) -> params``; only the inputs' last axis and type matter.
        apply: ``(params, carry, inputs) -> (carry, outputs)``, one step; the leading axes of
            carries and inputs are the same.
        initial: ``batch shape -> carry``, with which an episode begins.
        walk: ``(params, carry, inputs, is_first) -> (carry, outputs)``, the same as ``unroll``, for
            cells that are faster at it than step by step; None for the others.
    """

    init: Callable[[PRNGKeyArray, Any], Params]
    apply: Callable[[Params, Carry, Any], tuple[Carry, Any]]
    initial: Callable[[tuple[int, ...]], Carry]
    walk: Callable[[Params, Carry, Any, Any], tuple[Carry, Any]] | None = None


def gru(size: int) -> Cell:
    """A gated recurrent unit.

    r = σ(W_r x + U_r c + b_r), z = σ(W_z x + U_z c + b_z),
    n = tanh(W_n x + b_n + r (U_n c + b'_n)), y = c' = (1 − z) n + z c; U starts orthogonal.

    Args:
        size: The number of units, at least 1.

    Returns:
        The cell; its carry is one array ``[..., size]``.

    Raises:
        ValueError: If the size is below 1.

    Example:
        >>> cell = gru(8)
        >>> params = cell.init(jax.random.key(0), jnp.zeros(3))
        >>> carry, outputs = cell.apply(params, cell.initial((5,)), jnp.zeros((5, 3)))
        >>> carry.shape, outputs.shape
        ((5, 8), (5, 8))

    Reference:
        Cho et al.: Learning phrase representations using RNN encoder-decoder for statistical
        machine translation. EMNLP 2014, arXiv:1406.1078; with the reset gate after U_n.
    """
    from flax import linen

    cell = linen.GRUCell(_checked(size), recurrent_kernel_init=orthogonal())
    return _from_linen(cell, lambda batch: jnp.zeros((*batch, size)), gates.walk_gru)


def lstm(size: int) -> Cell:
    """Long short-term memory.

    i, f, o = σ(W x + U y + b) each, g = tanh(W_g x + U_g y + b_g), c' = f c + i g, y' = o tanh(c').
    Its walk through a sequence has its gradient by hand: in reverse mode, not forwards, for which
    ``lstm(size)._replace(walk=None)`` goes step by step.

    Args:
        size: The number of units, at least 1.

    Returns:
        The cell; its carry is the pair (c, y) of arrays ``[..., size]``.

    Raises:
        ValueError: If the size is below 1.

    Example:
        >>> cell = lstm(8)
        >>> params = cell.init(jax.random.key(0), jnp.zeros(3))
        >>> (memory, output), outputs = cell.apply(params, cell.initial((5,)), jnp.zeros((5, 3)))
        >>> memory.shape, bool(jnp.all(output == outputs))
        ((5, 8), True)

    Reference:
        Hochreiter, Schmidhuber: Long short-term memory. Neural computation 9(8), 1997; with forget
        gates.
    """
    from flax import linen

    cell = linen.OptimizedLSTMCell(_checked(size), recurrent_kernel_init=orthogonal())

    def initial(batch: tuple[int, ...]) -> Carry:
        return jnp.zeros((*batch, size)), jnp.zeros((*batch, size))

    return _from_linen(cell, initial, gates.walk_lstm)


def rnn(size: int) -> Cell:
    """The plain recurrent network: y' = tanh(W x + U y + b); U starts orthogonal.

    Args:
        size: The number of units, at least 1.

    Returns:
        The cell; its carry is one array ``[..., size]``.

    Raises:
        ValueError: If the size is below 1.

    Example:
        >>> cell = rnn(8)
        >>> params = cell.init(jax.random.key(0), jnp.zeros(3))
        >>> carry, outputs = cell.apply(params, cell.initial((5,)), jnp.zeros((5, 3)))
        >>> bool(jnp.all(carry == outputs))
        True

    Reference:
        Elman: Finding structure in time. Cognitive Science 14, 1990.
    """
    from flax import linen

    cell = linen.SimpleCell(_checked(size), recurrent_kernel_init=orthogonal())
    return _from_linen(cell, lambda batch: jnp.zeros((*batch, size)))


def reset(cell: Cell, carry: Carry, is_first: Bool[Array, "*batch"]) -> Carry:
    """The initial carry where an episode begins, and the given one elsewhere.

    Args:
        cell: The cell.
        carry: Its carry, whose leading axes are those of ``is_first``.
        is_first: Where an episode begins.

    Returns:
        The carry.
    """

    def select(initial: Array, old: Array) -> Array:
        begins = is_first.reshape(is_first.shape + (1,) * (old.ndim - is_first.ndim))
        return jnp.where(begins, initial, old)

    return jax.tree.map(select, cell.initial(is_first.shape), carry)


def unroll(
    cell: Cell,
    params: Params,
    carry: Carry,
    inputs: Float[Array, "time ... input"],
    is_first: Bool[Array, "time ..."],
) -> tuple[Carry, Float[Array, "time ... output"]]:
    """Walk through sequences; what a cell remembers ends with its episode.

    Args:
        cell: The cell.
        params: Its parameters.
        carry: What it remembers before the first step.
        inputs: x_t.
        is_first: Where an episode begins with x_t.

    Returns:
        (carry after the last step, outputs y_t).

    Example:
        >>> cell = gru(4)
        >>> params = cell.init(jax.random.key(0), jnp.zeros(2))
        >>> x, begins = jnp.ones((3, 2)), jnp.array([True, False, True])
        >>> _, outputs = unroll(cell, params, cell.initial(()), x, begins)
        >>> bool(jnp.all(outputs[2] == outputs[0])), bool(jnp.all(outputs[1] == outputs[0]))
        (True, False)
    """
    if cell.walk is not None:
        return cell.walk(params, carry, inputs, is_first)

    def step(carry: Carry, now: tuple[Array, Array]) -> tuple[Carry, Array]:
        x, begins = now
        return cell.apply(params, reset(cell, carry, begins), x)

    return jax.lax.scan(step, carry, (inputs, is_first))


def _checked(size: int) -> int:
    if size < 1:
        raise ValueError(f"size is {size}; allowed: a whole number at least 1")
    return size


def _from_linen(
    module: "flax.linen.RNNCellBase",
    initial: Callable[[tuple[int, ...]], Carry],
    walk: Callable[[Params, Carry, Any, Any], tuple[Carry, Any]] | None = None,
) -> Cell:
    def init(key: PRNGKeyArray, inputs: Any) -> Params:
        return module.init(key, initial(jnp.shape(inputs)[:-1]), inputs)

    return Cell(init, module.apply, initial, walk)
