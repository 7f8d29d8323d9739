"""Transition kernels as linear operators.

A kernel P(s'|s,a) enters dynamic programming in only one way, as the map of values to their
expectation,

    (P V)(s,a) = Σ_{s'} P(s'|s,a) V(s'),

so that is all a kernel has to define (``expect``). The rest follows from its linearity: the flow
of visits forward in time is the transpose Pᵀ (:func:`push`), the expectation of a transition
reward is a sum over columns P 1_{s'} (:func:`expected_reward`), and the row P(·|s,a) that a sample
is drawn from is Pᵀ applied to one unit of flow.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.ops.pytrees import pytree


@runtime_checkable
class Transition(Protocol):
    """What dynamic programming needs of P(s'|s,a); a pytree.

    ``expect`` must be linear in its argument and traceable by JAX. ``sample`` is only for
    environments. A function of one's own needs no class: see :class:`Operator`.
    """

    @property
    def num_states(self) -> int:
        """How many states there are."""

    @property
    def num_actions(self) -> int:
        """How many actions there are in each state."""

    def expect(self, values: Float[Array, " state"]) -> Float[Array, "state action"]:
        """The expected value of the next state, E[V(s')|s,a]."""

    def sample(
        self, key: PRNGKeyArray, state: Int[Array, ""], action: Int[Array, ""]
    ) -> Int[Array, ""]:
        """A next state drawn from P(·|s,a)."""


@pytree()
@dataclasses.dataclass(frozen=True)
class Dense:
    """A kernel given by its probabilities.

    Args:
        probabilities: P(s'|s,a), ``[state, action, state]``; the last axis sums to one.

    Example:
        >>> import jax.numpy as jnp
        >>> stay_or_swap = Dense(jnp.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]]))
        >>> stay_or_swap.expect(jnp.array([0.0, 3.0])).tolist()
        [[0.0, 3.0], [3.0, 0.0]]
    """

    probabilities: Any

    @property
    def num_states(self) -> int:
        """How many states there are."""
        return self.probabilities.shape[0]

    @property
    def num_actions(self) -> int:
        """How many actions there are in each state."""
        return self.probabilities.shape[1]

    def expect(self, values: Float[Array, " state"]) -> Float[Array, "state action"]:
        """The expected value of the next state, E[V(s')|s,a]."""
        return jnp.asarray(self.probabilities, values.dtype) @ values

    def log_expect_exp(self, values: Float[Array, " state"]) -> Float[Array, "state action"]:
        """Log E[exp V(s')|s,a], shifted by the largest value within each row's support."""
        probabilities = jnp.asarray(self.probabilities, values.dtype)
        support = jnp.where(probabilities > 0, values, -jnp.inf)
        shift = jax.lax.stop_gradient(jnp.max(support, axis=2))
        # Values outside the support may exceed the shift; they are weighted by 0, not by 0·inf.
        ratios = jnp.exp(jnp.minimum(values - shift[:, :, None], _largest_exponent(values.dtype)))
        return shift + jnp.log(jnp.sum(probabilities * ratios, axis=2))

    def sample(
        self, key: PRNGKeyArray, state: Int[Array, ""], action: Int[Array, ""]
    ) -> Int[Array, ""]:
        """A next state drawn from P(·|s,a)."""
        return jax.random.categorical(key, jnp.log(jnp.asarray(self.probabilities)[state, action]))


@pytree()
@dataclasses.dataclass(frozen=True)
class Gather:
    """A kernel given by a table of next states, with an optional slip of the action.

    With probability ε ("slip") the action is replaced by one drawn uniformly from all A actions,
    the chosen one and the disallowed ones included:

        P(s'|s,a) = (1−ε) 1[s' = n(s,a)] + ε/A Σ_b 1[s' = n(s,b)].

    Args:
        next_states: n(s,a), ``[state, action]``, integers.
        slip: ε in [0, 1], a scalar (differentiable); None if there is none, which costs nothing.

    Example:
        >>> import jax.numpy as jnp
        >>> ring = Gather(jnp.array([[0, 1], [1, 2], [2, 0]]))
        >>> ring.expect(jnp.array([0.0, 1.0, 2.0])).tolist()
        [[0.0, 1.0], [1.0, 2.0], [2.0, 0.0]]
    """

    next_states: Any
    slip: Any = None

    @property
    def num_states(self) -> int:
        """How many states there are."""
        return self.next_states.shape[0]

    @property
    def num_actions(self) -> int:
        """How many actions there are in each state."""
        return self.next_states.shape[1]

    def expect(self, values: Float[Array, " state"]) -> Float[Array, "state action"]:
        """The expected value of the next state, E[V(s')|s,a]."""
        reached = values[jnp.asarray(self.next_states)]
        if self.slip is None:
            return reached
        slip = jnp.asarray(self.slip, values.dtype)
        return (1 - slip) * reached + slip * jnp.mean(reached, axis=1, keepdims=True)

    def log_expect_exp(self, values: Float[Array, " state"]) -> Float[Array, "state action"]:
        """Log E[exp V(s')|s,a], shifted in each entry by its own largest term."""
        reached = values[jnp.asarray(self.next_states)]
        if self.slip is None:
            return reached
        slip = jnp.asarray(self.slip, values.dtype)
        top = jax.lax.stop_gradient(jnp.max(reached, axis=1, keepdims=True))
        shift = jnp.maximum(
            jax.lax.stop_gradient(reached), top + jax.lax.stop_gradient(jnp.log(slip))
        )
        scale = jnp.exp(jnp.minimum(top - shift, _largest_exponent(values.dtype)))
        slipped = jnp.mean(jnp.exp(reached - top), axis=1, keepdims=True)
        return shift + jnp.log((1 - slip) * jnp.exp(reached - shift) + slip * scale * slipped)

    def sample(
        self, key: PRNGKeyArray, state: Int[Array, ""], action: Int[Array, ""]
    ) -> Int[Array, ""]:
        """A next state drawn from P(·|s,a)."""
        if self.slip is not None:
            slip_key, action_key = jax.random.split(key)
            slipped = jax.random.bernoulli(slip_key, self.slip)
            other = jax.random.randint(action_key, (), 0, self.num_actions, action.dtype)
            action = jnp.where(slipped, other, action)
        return jnp.asarray(self.next_states)[state, action]


@pytree()
@dataclasses.dataclass(frozen=True)
class Operator:
    """A kernel given by a function of one's own.

    Args:
        function: ``values [state] -> E[V(s')|s,a] [state, action]``, linear and traceable by JAX.
            Static: a new function is a new compilation.
        num_states: How many states there are.
        num_actions: How many actions there are in each state.

    Example:
        >>> import jax.numpy as jnp
        >>> def left_or_right(values):
        ...     return jnp.stack([jnp.roll(values, 1), jnp.roll(values, -1)], axis=1)
        >>> ring = Operator(left_or_right, num_states=3, num_actions=2)
        >>> ring.expect(jnp.array([0.0, 1.0, 2.0])).tolist()
        [[2.0, 1.0], [0.0, 2.0], [1.0, 0.0]]
    """

    function: Callable[[Any], Any] = dataclasses.field(metadata={"static": True})
    num_states: int = dataclasses.field(metadata={"static": True})
    num_actions: int = dataclasses.field(metadata={"static": True})

    def expect(self, values: Float[Array, " state"]) -> Float[Array, "state action"]:
        """The expected value of the next state, E[V(s')|s,a]."""
        return self.function(values)

    def sample(
        self, key: PRNGKeyArray, state: Int[Array, ""], action: Int[Array, ""]
    ) -> Int[Array, ""]:
        """A next state drawn from P(·|s,a), the row being Pᵀ of one unit of flow."""
        unit = jnp.zeros((self.num_states, self.num_actions)).at[state, action].set(1.0)
        return jax.random.categorical(key, jnp.log(jnp.maximum(push(self, unit), 0)))


def push(transition: Transition, flow: Float[Array, "state action"]) -> Float[Array, " state"]:
    """Where a flow through state-actions arrives, Pᵀ applied to it.

        (Pᵀ f)(s') = Σ_{s,a} P(s'|s,a) f(s,a)

    Args:
        transition: P.
        flow: f, ``[state, action]``.

    Returns:
        The arriving mass, ``[state]``.

    Example:
        >>> import jax.numpy as jnp
        >>> ring = Gather(jnp.array([[0, 1], [1, 2], [2, 0]]))
        >>> push(ring, jnp.array([[0.0, 1.0], [0.5, 0.5], [0.0, 0.0]])).tolist()
        [0.0, 1.5, 0.5]
    """
    values = jax.ShapeDtypeStruct((transition.num_states,), flow.dtype)
    (arriving,) = jax.linear_transpose(transition.expect, values)(flow)
    return arriving


def expected_reward(
    transition: Transition, reward: Float[Array, "state action state"]
) -> Float[Array, "state action"]:
    """The expectation of a transition reward, r(s,a) = Σ_{s'} P(s'|s,a) r(s,a,s').

    Args:
        transition: P.
        reward: r(s,a,s'), ``[state, action, state]``.

    Returns:
        r(s,a), ``[state, action]``.

    Example:
        >>> import jax.numpy as jnp
        >>> ring = Gather(jnp.array([[0, 1], [1, 2], [2, 0]]))
        >>> arrival = jnp.broadcast_to(jnp.array([0.0, 1.0, 2.0]), (3, 2, 3))
        >>> expected_reward(ring, arrival).tolist()
        [[0.0, 1.0], [1.0, 2.0], [2.0, 0.0]]
    """
    if isinstance(transition, Dense):
        probabilities = jnp.asarray(transition.probabilities, reward.dtype)
        return jnp.sum(probabilities * reward, axis=2)

    def add_column(
        total: Float[Array, "state action"], state: Int[Array, ""]
    ) -> tuple[Float[Array, "state action"], None]:
        column = jnp.arange(transition.num_states) == state
        return total + transition.expect(column.astype(reward.dtype)) * reward[:, :, state], None

    states = jnp.arange(transition.num_states)
    total, _ = jax.lax.scan(add_column, jnp.zeros(reward.shape[:2], reward.dtype), states)
    return total


def log_expect_exp(
    transition: Transition, values: Float[Array, " state"]
) -> Float[Array, "state action"]:
    """The certainty equivalent of an exponential utility, log E[exp V(s')|s,a].

    A transition's own ``log_expect_exp`` is used where it has one. Else ``expect`` is applied to
    exp(V − max V), in which values lower than the largest by more than the range of exponents (708
    in float64, 87 in float32) count as being that much lower.

    Args:
        transition: P.
        values: V, ``[state]``.

    Returns:
        ``[state, action]``.

    Example:
        >>> import jax.numpy as jnp
        >>> ring = Gather(jnp.array([[0, 1], [1, 2], [2, 0]]))
        >>> log_expect_exp(ring, jnp.array([0.0, 1.0, 2.0])).tolist()
        [[0.0, 1.0], [1.0, 2.0], [2.0, 0.0]]
    """
    own = getattr(transition, "log_expect_exp", None)
    if own is not None:
        return own(values)
    top = jax.lax.stop_gradient(jnp.max(values))
    least = jnp.finfo(values.dtype).tiny
    return top + jnp.log(jnp.maximum(transition.expect(jnp.exp(values - top)), least))


def _largest_exponent(dtype: Any) -> float:
    """An exponent whose exponential is finite, with room to be multiplied."""
    return 0.5 * math.log(float(jnp.finfo(dtype).max))
