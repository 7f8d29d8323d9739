"""The tabular Markov decision process as a pytree."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rlsuite.ops.tabular.transitions import Transition, expected_reward


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class MDP:
    """A tabular Markov decision process.

    A state reward is collected in s when acting there: Q(s,a) = r(s) + γ E[V(s')|s,a]. In a
    terminal state nothing is done: V(s) = r(s) for a state reward and 0 for the other kinds.

    Args:
        transition: P(s'|s,a); a :class:`Dense`, :class:`Gather`, :class:`Operator` or one's own.
        reward: ``[state]``, ``[state, action]`` or ``[state, action, state]``.
        initial: The distribution of the first state, ``[state]``.
        discount: γ; below one for an infinite horizon.
        terminal: Which states end the episode, ``[state]``; None if none does.
        actions: Which actions are allowed, ``[state, action]``; None if all are.
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
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def standardise(mdp: MDP) -> MDP:
    """Arrays of one float type (the reward's), and a transition reward in expectation."""
    reward = jnp.asarray(mdp.reward)
    dtype = jnp.promote_types(reward.dtype, jnp.float32) if reward.dtype.kind in "iub" else None
    reward = reward.astype(dtype or reward.dtype)
    transition: Transition = mdp.transition
    return mdp.replace(
        reward=expected_reward(transition, reward) if reward.ndim == 3 else reward,
        initial=jnp.asarray(mdp.initial, reward.dtype),
        discount=jnp.asarray(mdp.discount, reward.dtype),
        terminal=None if mdp.terminal is None else jnp.asarray(mdp.terminal),
        actions=None if mdp.actions is None else jnp.asarray(mdp.actions),
    )


def terminal_values(mdp: MDP) -> Float[Array, " state"]:
    """What a terminal state is worth: its state reward, or 0 for the other kinds of reward."""
    reward = jnp.asarray(mdp.reward)
    return reward if reward.ndim == 1 else jnp.zeros(reward.shape[0], reward.dtype)


def allowed_actions(mdp: MDP) -> Bool[Array, "state action"] | None:
    """The mask with terminal rows opened, so that no row is empty; None if all are allowed."""
    if mdp.actions is None:
        return None
    actions = jnp.asarray(mdp.actions)
    return actions if mdp.terminal is None else actions | jnp.asarray(mdp.terminal)[:, None]


def check(mdp: MDP) -> None:
    """Raise ValueError for bad concrete input (to be completed)."""
