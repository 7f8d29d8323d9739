"""What an expert did, in the one form that the algorithm needs: discounted visits.

Maximum-entropy IRL sees demonstrations only through their visits ρ(s) and ρ(s, a). Trajectories,
a known visitation, or bare counts of state-actions all become those.
"""

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rlsuite.data import trajectories
from rlsuite.ops import tabular


class Demonstrations(NamedTuple):
    """The expert's discounted visits, averaged over demonstrations.

    On a finite horizon H they have a leading axis of time, t = 0 … H−1.

    Attributes:
        states: ρ(s) = E Σ_t γ^t 1[s_t = s], ``[state]`` or ``[time, state]``; arrivals at terminal
            states counted.
        state_actions: ρ(s, a), ``[state, action]`` or ``[time, state, action]``; zero at terminal
            states.
        number: How many demonstrations were averaged (∞ for a known policy), for standard errors.
    """

    states: Float[Array, "*time state"]
    state_actions: Float[Array, "*time state action"]
    number: Float[Array, "*problem"]

    def total(self) -> tabular.Visitation:
        """The visits summed over time: ``[state]`` and ``[state, action]``."""
        leading = tuple(range(self.states.ndim - 1))
        return tabular.Visitation(self.states.sum(leading), self.state_actions.sum(leading))


def from_trajectories(
    mdp: tabular.MDP,
    demonstrations: trajectories.Trajectories,
    *,
    horizon: int | None = None,
    tail: Literal["drop", "repeat"] = "drop",
) -> Demonstrations:
    """Demonstrations from trajectories of any lengths.

    Args:
        mdp: The MDP in which they were made.
        demonstrations: The trajectories.
        horizon: The number of decisions of a finite-horizon problem; None for an infinite one.
            Steps at and after it are left out.
        tail: Where a trajectory was cut off before a terminal state, on an infinite horizon:
            "drop" what would have followed, or "repeat" its last step for ever (right where
            experts come to rest).

    Returns:
        Their mean visits.

    Raises:
        ValueError: If states or actions lie outside the MDP, or a finite horizon is combined
            with a repeated tail.

    Example:
        >>> import jax
        >>> from rlsuite.data.experts import demonstrate
        >>> from rlsuite.envs.mazes import maze
        >>> mdp = maze("L")
        >>> walks = demonstrate(jax.random.key(0), mdp, num_trajectories=100, length=50)
        >>> from_trajectories(mdp, walks).states.shape
        (100,)
    """
    if horizon is not None and tail == "repeat":
        raise ValueError("tail is 'repeat'; allowed on a finite horizon: 'drop'")
    trajectories.check(demonstrations, mdp.num_states, mdp.num_actions)
    size = (mdp.num_states, mdp.num_actions)
    if horizon is None:
        visits = trajectories.empirical_visitation(demonstrations, *size, mdp.discount, tail=tail)
    else:
        visits = trajectories.empirical_visitation_over_time(
            demonstrations, *size, mdp.discount, horizon
        )
    number = jnp.asarray(demonstrations.states.shape[0], visits.states.dtype)
    return Demonstrations(*visits, number)


def from_visitation(visits: tabular.Visitation, *, number: float = np.inf) -> Demonstrations:
    """Demonstrations from a known visitation, on an infinite or a finite horizon.

    Args:
        visits: Discounted visits: ``states [state]`` and ``state_actions [state, action]``, or
            with a leading time axis (``[horizon + 1, state]``, ``[horizon, state, action]``).
        number: How many demonstrations they stand for.

    Returns:
        The demonstrations.
    """
    states, state_actions = visits
    if state_actions.ndim == 3:
        states = states[: state_actions.shape[0]]
    return Demonstrations(states, state_actions, jnp.asarray(number, states.dtype))


def from_counts(mdp: tabular.MDP, counts: Float[Array, "state action"]) -> Demonstrations:
    """Demonstrations from how often each action was seen in each state.

    Counts know nothing of time, so they are read as samples of the discounted visits and scaled
    to their total, 1/(1−γ). That is exact for the objective "likelihood", which asks only which
    actions were taken; for "visitation", counts must have been drawn with the discount, from the
    MDP's initial distribution.

    Args:
        mdp: The MDP, on an infinite horizon.
        counts: How often, ``[state, action]``; not negative, not all zero.

    Returns:
        The demonstrations.

    Raises:
        ValueError: If counts are negative, not finite, all zero or of another shape.

    Example:
        >>> from rlsuite.envs.random_mdp import random_mdp
        >>> demonstrations = from_counts(random_mdp(0, 5, 2, discount=0.5), jnp.ones((5, 2)))
        >>> float(demonstrations.states.sum())
        2.0
    """
    values = np.asarray(counts)
    if values.shape != (mdp.num_states, mdp.num_actions):
        raise ValueError(
            f"counts has shape {values.shape}; allowed: {(mdp.num_states, mdp.num_actions)}"
        )
    if not (np.all(np.isfinite(values)) and np.all(values >= 0) and np.any(values > 0)):
        raise ValueError("counts has values that are negative or not finite, or no positive one")
    visits = jnp.asarray(counts, float) / (jnp.sum(counts) * (1 - mdp.discount))
    return Demonstrations(visits.sum(axis=1), visits, jnp.asarray(values.sum(), visits.dtype))


def from_expert(
    mdp: tabular.MDP,
    *,
    temperature: float | Float[Array, ""] | None = None,
    horizon: int | None = None,
) -> Demonstrations:
    """The exact visits of the optimal (or soft-optimal) policy for the MDP's own reward.

    Args:
        mdp: The MDP.
        temperature: None for the optimal policy, else the soft-optimal policy's temperature.
        horizon: The number of decisions, or None.

    Returns:
        The demonstrations, without sampling error.
    """
    if horizon is None:
        policy = tabular.value_iteration(
            mdp, temperature=temperature, method="newton", tolerance=1e-12
        ).log_policy
        return from_visitation(tabular.visitation(mdp, policy))
    policy = tabular.backward_induction(mdp, horizon, temperature=temperature).log_policy
    return from_visitation(tabular.finite_visitation(mdp, policy))
