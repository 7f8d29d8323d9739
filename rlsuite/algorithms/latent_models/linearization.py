r"""A transition as linear dynamics about a state and an action, for control.

What is remembered beside the state belongs to what is controlled: x = [s; the carry's floats], and

    x' ≈ A x + B a + c + w,    A = ∂x'/∂x,    B = ∂x'/∂a,    w ~ N(0, W),

by derivatives of the mean, exact at (x, a). W is the noise of s there; the memory has none.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from rlsuite.algorithms.latent_models.transition import Transition
from rlsuite.ops.lqr import Dynamics


def packed(state: Float[Array, " n"], carry: Any) -> Float[Array, " x"]:
    """The state, and what is remembered beside it.

    Args:
        state: s.
        carry: The transition's; what is not a float in it, such as a count of steps, is left out.

    Returns:
        x = [s; the carry's floats].
    """
    return ravel_pytree((state, _floats(carry)))[0]


def mean_motion(transition: Transition, params: Any, carry: Any) -> Callable[[Array, Array], Array]:
    """The mean next x as a function of x and the action.

    Args:
        transition: The transition.
        params: θ.
        carry: Of which what is not a float is taken.

    Returns:
        ``(x, action) -> x'``.
    """
    leaves, structure = jax.tree.flatten(carry)
    _, unpack = ravel_pytree(_floats(carry))
    remembered = sum(leaf.size for leaf in _floats(carry))

    def move(x: Array, action: Array) -> Array:
        size = len(x) - remembered
        state, given = x[:size], iter(unpack(x[size:]))
        whole = [next(given) if _is_float(leaf) else leaf for leaf in leaves]
        after, law = transition.step(params, jax.tree.unflatten(structure, whole), state, action)
        return packed(law.mean, after)

    return move


def linearize(
    transition: Transition,
    params: Any,
    carry: Any,
    state: Float[Array, " n"],
    action: Float[Array, " m"],
) -> Dynamics:
    """Linear dynamics of x about a state and an action; see the module.

    Args:
        transition: The transition.
        params: θ.
        carry: What is remembered there.
        state: s.
        action: a.

    Returns:
        A, B, c and W; those of s alone where nothing is remembered.
    """
    x, move = packed(state, carry), mean_motion(transition, params, carry)
    A, B = jax.jacfwd(move, (0, 1))(x, action)
    noise = transition.step(params, carry, state, action)[1].covariance
    room = len(x) - len(state)
    return Dynamics(A, B, move(x, action) - A @ x - B @ action, jnp.pad(noise, (0, room)))


def linearize_along(
    transition: Transition,
    params: Any,
    states: Float[Array, "steps n"],
    actions: Float[Array, "steps m"],
) -> Dynamics:
    """Linear dynamics about each step of an episode.

    Args:
        transition: The transition.
        params: θ.
        states: s_0 … s_{T−1}.
        actions: a_0 … a_{T−1}.

    Returns:
        A, B, c and W of each step, about what is remembered there.
    """

    def step(carry: Any, now: tuple[Array, Array]) -> tuple[Any, Dynamics]:
        found = linearize(transition, params, carry, *now)
        return transition.step(params, carry, *now)[0], found

    return jax.lax.scan(step, transition.begin(params), (states, actions))[1]


def _floats(carry: Any) -> list[Array]:
    return [leaf for leaf in jax.tree.leaves(carry) if _is_float(leaf)]


def _is_float(leaf: Array) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))
