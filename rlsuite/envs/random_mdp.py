"""Random MDPs without any structure: Dirichlet and Garnet transitions."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rlsuite.envs.gridworld import check_probability
from rlsuite.ops import tabular


def random_mdp(
    seed: int,
    num_states: int,
    num_actions: int,
    *,
    branching: int | None = None,
    concentration: float = 1.0,
    discount: float | Float[Array, ""] = 0.9,
) -> tabular.MDP:
    """Draw an MDP with a dense transition array.

    Rewards of states and actions are standard normal, the start is uniform, and each P(·|s,a) is a
    draw from a symmetric Dirichlet distribution over `branching` successor states, drawn without
    replacement (a Garnet), or over all states.

    Args:
        seed: seed of NumPy's generator.
        num_states: number of states.
        num_actions: number of actions.
        branching: number of successors of each state and action; None takes all states.
        concentration: parameter of the Dirichlet distribution, positive; small ones give nearly
            deterministic transitions.
        discount: discount factor in [0, 1).

    Returns:
        The MDP; no state is terminal.

    Raises:
        ValueError: if an argument is not as described.

    Example:
        >>> mdp = random_mdp(0, num_states=6, num_actions=2, branching=3)
        >>> int((mdp.transition.probabilities > 0).sum(-1).max())
        3

    Reference:
        Archibald, McKinnon, Thomas: On the generation of Markov decision processes, JORS 46, 1995.
    """
    branching = num_states if branching is None else branching
    for name, value in (("num_states", num_states), ("num_actions", num_actions)):
        if value < 1:
            raise ValueError(f"{name} is {value}: it must be at least 1")
    if not 1 <= branching <= num_states:
        raise ValueError(f"branching is {branching}: it must be between 1 and {num_states}")
    if not concentration > 0.0:
        raise ValueError(f"concentration is {concentration}: it must be positive")
    check_probability("discount", discount, closed=False)
    generator = np.random.default_rng(seed)
    shape = (num_states, num_actions)
    weights = generator.dirichlet(np.full(branching, concentration), shape)
    order = generator.permuted(
        np.broadcast_to(np.arange(num_states), (*shape, num_states)), axis=-1
    )
    probabilities = np.zeros((*shape, num_states))
    np.put_along_axis(probabilities, order[..., :branching], weights, axis=-1)
    return tabular.MDP(
        transition=tabular.Dense(jnp.asarray(probabilities, dtype=float)),
        reward=jnp.asarray(generator.standard_normal(shape), dtype=float),
        initial=jnp.asarray(np.full(num_states, 1.0 / num_states), dtype=float),
        discount=jnp.asarray(discount, dtype=float),
    )
