r"""What a transition is: how states of a latent model follow each other, as pure functions.

A transition says of a state s and an action a the normal law of the next state, and may remember
more than the state, in a carry:

    c', N(m, P) = step(θ, c, s, a).

One whose law has the form N(A s + B a + b, W) with matrices that may depend on state and action is
written as ``local``, of which ``from_local`` makes the step; where they do not depend on the state,
it is ``linear``, and an episode is a linear-Gaussian chain. Of a ``conjugate`` one a law q(θ) is
known rather than θ: its functions are called with a draw of θ, or with its mean.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.ops.gaussian import LinearGaussian, Moments, Smoothed
from rlsuite.ops.lqr import Dynamics
from rlsuite.ops.structured_inference import StateChain

Step = Callable[[Any, Any, Array, Array], tuple[Any, Moments]]
"""``(θ, carry, state, action) -> (carry, law of the next state)``."""

Local = Callable[[Any, Any, Array, Array], tuple[Any, Dynamics]]
"""``(θ, carry, state, action) -> (carry, A, B, b and W)``."""


class Conjugate(NamedTuple):
    """What goes with a law q(θ) of a linear transition; q stands for its parameters.

    Attributes:
        chain: ``(q, law of s_0, actions) -> Chain``, of the expected log densities.
        update: ``(q, states of episodes, their actions, rate, episodes in all) -> q``, a step
            along the natural gradient.
        mean: ``q -> θ``.
        draw: ``(key, q) -> θ``.
        divergence: ``q -> KL(q ‖ p)`` from the prior, in nats.
    """

    chain: Callable[[Any, Moments, Array], StateChain]
    update: Callable[[Any, Smoothed, Array, Any, Any], Any]
    mean: Callable[[Any], Any]
    draw: Callable[[PRNGKeyArray, Any], Any]
    divergence: Callable[[Any], Array]


class Transition(NamedTuple):
    """How states follow each other; see the module.

    Attributes:
        init: ``key -> θ``, or the parameters of q.
        begin: ``θ -> carry`` at the first state.
        step: ``(θ, carry, state, action) -> (carry, law of the next state)``.
        local: ``(θ, carry, state, action) -> (carry, Dynamics)``, whose law is that of ``step``;
            None if there is no such form.
        linear: Whether ``local`` pays no heed to the state.
        conjugate: What goes with q(θ); None where θ itself is learned.
    """

    init: Callable[[PRNGKeyArray], Any]
    begin: Callable[[Any], Any]
    step: Step
    local: Local | None = None
    linear: bool = False
    conjugate: Conjugate | None = None

    @property
    def of_state_alone(self) -> bool:
        """Whether it has matrices, and remembers nothing but the state."""

        def begun(key: PRNGKeyArray) -> Any:
            return self.begin(settled(self, self.init(key)))

        carry = jax.eval_shape(begun, jax.random.key(0))
        return self.local is not None and not jax.tree.leaves(carry)


def nothing(_: Any) -> tuple[()]:
    """The carry of a transition that remembers nothing but the state."""
    return ()


def from_local(
    init: Callable[[PRNGKeyArray], Any],
    local: Local,
    *,
    begin: Callable[[Any], Any] = nothing,
    linear: bool = False,
    conjugate: Conjugate | None = None,
) -> Transition:
    """A transition from its matrices.

    Args:
        init: ``key -> θ``.
        local: The matrices.
        begin: The first carry.
        linear: Whether they pay no heed to the state.
        conjugate: What goes with q(θ).

    Returns:
        The transition, with m = A s + B a + b and P = W.

    Example:
        >>> import jax.numpy as jnp
        >>> one = jnp.eye(1)
        >>> walk = from_local(
        ...     lambda key: jnp.ones(1),
        ...     lambda drift, carry, s, a: (carry, Dynamics(one, one, drift, one)),
        ...     linear=True,
        ... )
        >>> walk.step(jnp.ones(1), (), jnp.ones(1), jnp.ones(1))[1].mean.item()
        3.0
    """

    def step(params: Any, carry: Any, state: Array, action: Array) -> tuple[Any, Moments]:
        carry, found = local(params, carry, state, action)
        mean = found.state @ state + found.action @ action + found.offset
        return carry, Moments(mean, found.noise)

    return Transition(init, begin, step, local, linear, conjugate)


def settled(transition: Transition, params: Any, key: PRNGKeyArray | None = None) -> Any:
    """θ: as it was learned, or the mean of q(θ), or a draw from it.

    Args:
        transition: The transition.
        params: θ, or the parameters of q.
        key: Draws; None takes the mean.

    Returns:
        What ``begin``, ``step`` and ``local`` are called with.
    """
    if transition.conjugate is None:
        return params
    if key is None:
        return transition.conjugate.mean(params)
    return transition.conjugate.draw(key, params)


def chain_of(
    transition: Transition, params: Any, start: Moments, actions: Float[Array, "steps m"]
) -> LinearGaussian:
    """The law of an episode's states, of a linear transition.

    Args:
        transition: Linear.
        params: θ.
        start: The law of s_0.
        actions: a_0 … a_{T−1}.

    Returns:
        The chain of s_0 … s_T.

    Raises:
        ValueError: If the transition is not linear.
    """
    if transition.local is None or not transition.linear:
        raise ValueError("transition is not linear; allowed: one with linear=True and local")
    local = transition.local

    def step(carry: Any, action: Array) -> tuple[Any, tuple[Array, Array, Array]]:
        carry, found = local(params, carry, start.mean, action)
        return carry, (found.state, found.action @ action + found.offset, found.noise)

    _, steps = jax.lax.scan(step, transition.begin(params), actions)
    return LinearGaussian(start, *steps)
