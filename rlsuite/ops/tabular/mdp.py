"""The tabular Markov decision process as a pytree.

A process is (P, r, p₀, γ) with, optionally, terminal states and a mask of allowed actions. Every
field is data: any of them can be a tracer, carry a gradient (the Boolean ones excepted) or a batch
axis under ``jax.vmap``.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rlsuite.ops.pytrees import pytree
from rlsuite.ops.tabular.transitions import expected_reward


@pytree()
@dataclasses.dataclass(frozen=True)
class MDP:
    """A tabular Markov decision process.

    A state reward is collected in s when acting there: Q(s,a) = r(s) + γ E[V(s')|s,a]. In a
    terminal state nothing is done: V(s) = r(s) for a state reward and 0 for the other kinds, its
    visits count arrivals, and no flow leaves it.

    Args:
        transition: P(s'|s,a); a :class:`Dense`, :class:`Gather`, :class:`Operator` or one's own
            :class:`Transition`.
        reward: r; its number of axes says which kind it is: ``[state]``, ``[state, action]`` or
            ``[state, action, state]``. Its float type is that of all results.
        initial: p₀, the distribution of the first state, ``[state]``.
        discount: γ, a scalar in [0, 1); 1 is allowed on a finite horizon.
        terminal: Which states end the episode, Boolean ``[state]``; None if none does.
        actions: Which actions are allowed, Boolean ``[state, action]``; None if all are.

    Example:
        >>> import jax.numpy as jnp
        >>> from rlsuite.ops import tabular
        >>> ring = tabular.Gather(jnp.array([[0, 1], [1, 2], [2, 0]]))
        >>> mdp = tabular.MDP(ring, jnp.array([0.0, 0.0, 1.0]), jnp.ones(3) / 3, discount=0.5)
        >>> tabular.value_iteration(mdp).values.round(4).tolist()
        [0.5, 1.0, 2.0]
    """

    transition: Any
    reward: Any
    initial: Any
    discount: Any
    terminal: Any = None
    actions: Any = None

    @property
    def num_states(self) -> int:
        """How many states there are."""
        return self.transition.num_states

    @property
    def num_actions(self) -> int:
        """How many actions there are in each state."""
        return self.transition.num_actions

    def replace(self, **changes: Any) -> "MDP":
        """A copy with some fields changed.

        Args:
            **changes: New values of fields, by name.

        Returns:
            The new process.
        """
        return dataclasses.replace(self, **changes)


def standardise(mdp: MDP) -> MDP:
    """The same process in arrays of one float type, a transition reward in expectation.

    Args:
        mdp: The decision process.

    Returns:
        The process with a reward ``[state]`` or ``[state, action]``.
    """
    reward = jnp.asarray(mdp.reward)
    if not jnp.issubdtype(reward.dtype, jnp.floating):
        reward = reward.astype(float)
    return mdp.replace(
        reward=expected_reward(mdp.transition, reward) if reward.ndim == 3 else reward,
        initial=jnp.asarray(mdp.initial, reward.dtype),
        discount=jnp.asarray(mdp.discount, reward.dtype),
        terminal=None if mdp.terminal is None else jnp.asarray(mdp.terminal),
        actions=None if mdp.actions is None else jnp.asarray(mdp.actions),
    )


def terminal_values(mdp: MDP) -> Float[Array, " state"]:
    """What each state is worth if terminal: its state reward, or 0 for other kinds of reward."""
    reward = jnp.asarray(mdp.reward)
    return reward if reward.ndim == 1 else jnp.zeros(reward.shape[0], reward.dtype)


def allowed_actions(mdp: MDP) -> Bool[Array, "state action"] | None:
    """The mask, opened at terminal states so that no row is empty; None if all are allowed."""
    if mdp.actions is None:
        return None
    actions = jnp.asarray(mdp.actions)
    return actions if mdp.terminal is None else actions | jnp.asarray(mdp.terminal)[:, None]
