"""Small decision processes, and what NumPy makes of them by brute force."""

import itertools

import jax.numpy as jnp
import numpy as np

from rlsuite.ops import tabular

KINDS = ("dense", "gather", "slip", "operator")


def table(seed, states=6, actions=3):
    return np.random.default_rng(seed).integers(0, states, size=(states, actions))


def dense_probabilities(next_states, slip=0.0):
    """P(s'|s,a) of a table of next states, with the slip's definition written out."""
    states, actions = next_states.shape
    certain = np.eye(states)[next_states]
    return (1 - slip) * certain + slip / actions * certain.sum(axis=1, keepdims=True)


def random_probabilities(seed, states=6, actions=3):
    probabilities = np.random.default_rng(seed).gamma(0.5, size=(states, actions, states))
    return probabilities / probabilities.sum(axis=-1, keepdims=True)


def kernel(kind, seed, states=6, actions=3):
    """A transition of each kind, and its dense probabilities."""
    if kind == "dense":
        probabilities = random_probabilities(seed, states, actions)
        return tabular.Dense(jnp.asarray(probabilities)), probabilities
    if kind == "operator":
        probabilities = random_probabilities(seed, states, actions)
        constant = probabilities.copy()
        operator = tabular.Operator(
            lambda values: jnp.einsum("sat,t->sa", jnp.asarray(constant, values.dtype), values),
            states,
            actions,
        )
        return operator, probabilities
    slip = 0.3 if kind == "slip" else None
    next_states = table(seed, states, actions)
    gather = tabular.Gather(jnp.asarray(next_states), slip)
    return gather, dense_probabilities(next_states, slip or 0.0)


def process(kind="dense", seed=0, reward_axes=2, discount=0.9, masked=True, states=6, actions=3):
    """A process with a terminal state and disallowed actions, and its dense probabilities."""
    rng = np.random.default_rng(seed + 100)
    transition, probabilities = kernel(kind, seed, states, actions)
    shape = (states, actions, states)[:reward_axes]
    mask = np.ones((states, actions), bool)
    mask[0, 1] = mask[2, 0] = mask[2, -1] = False
    terminal = np.arange(states) == states - 1
    mask[-1] = False
    return tabular.MDP(
        transition=transition,
        reward=jnp.asarray(rng.normal(size=shape)),
        initial=jnp.asarray(rng.dirichlet(np.ones(states))),
        discount=discount,
        terminal=jnp.asarray(terminal) if masked else None,
        actions=jnp.asarray(mask) if masked else None,
    ), probabilities


def parts(mdp, probabilities):
    """(reward [S, A], terminal values, terminal, allowed), as NumPy arrays."""
    states, actions = probabilities.shape[:2]
    reward = np.asarray(mdp.reward)
    ending = reward if reward.ndim == 1 else np.zeros(states)
    if reward.ndim == 1:
        reward = np.repeat(reward[:, None], actions, axis=1)
    elif reward.ndim == 3:
        reward = (probabilities * reward).sum(axis=2)
    terminal = np.zeros(states, bool) if mdp.terminal is None else np.asarray(mdp.terminal)
    allowed = np.ones(reward.shape, bool) if mdp.actions is None else np.asarray(mdp.actions)
    return reward, ending, terminal, allowed


def evaluate(mdp, probabilities, policy, temperature=0.0):
    """V_π by a dense solve."""
    reward, ending, terminal, _ = parts(mdp, probabilities)
    surprise = -np.log(np.where(policy > 0, policy, 1))
    gain = (policy * (reward + temperature * surprise)).sum(axis=1)
    chain = np.einsum("sa,sat->st", policy, probabilities)
    gain, chain[terminal] = np.where(terminal, ending, gain), 0
    return np.linalg.solve(np.eye(len(gain)) - float(mdp.discount) * chain, gain)


def visits(mdp, probabilities, policy):
    """ρ_π by a dense solve."""
    _, _, terminal, _ = parts(mdp, probabilities)
    chain = np.einsum("sa,sat->st", policy, probabilities)
    chain[terminal] = 0
    matrix = np.eye(len(chain)) - float(mdp.discount) * chain.T
    return np.linalg.solve(matrix, np.asarray(mdp.initial))


def best_values(mdp, probabilities):
    """The largest value of each state over every deterministic policy there is."""
    _, _, terminal, allowed = parts(mdp, probabilities)
    choices = [
        [0] if end else np.flatnonzero(row) for end, row in zip(terminal, allowed, strict=True)
    ]
    actions = allowed.shape[1]
    every = (np.eye(actions)[list(choice)] for choice in itertools.product(*choices))
    return np.max([evaluate(mdp, probabilities, policy) for policy in every], axis=0)


def soft_values(mdp, probabilities, temperature, sweeps=2000):
    """Soft values by sweeps long past convergence, with no trick in them."""
    reward, ending, terminal, allowed = parts(mdp, probabilities)
    values = np.zeros(len(ending))
    for _ in range(sweeps):
        q = reward + float(mdp.discount) * probabilities @ values
        total = np.sum(np.where(allowed, np.exp(q / temperature), 0), axis=1)
        values = np.where(terminal, ending, temperature * np.log(np.where(terminal, 1, total)))
    q = reward + float(mdp.discount) * probabilities @ values
    policy = np.where(allowed, np.exp((q - values[:, None]) / temperature), 0)
    policy[terminal] = 1 / allowed.shape[1]
    return values, policy


def paths(mdp, probabilities, horizon, start):
    """Every path of at most ``horizon`` decisions: (Π P, return, states, actions).

    A path ends early at a terminal state, whose reward (if a state reward) is its last.
    """
    reward, ending, terminal, allowed = parts(mdp, probabilities)
    found = []

    def extend(chance, total, states, actions):
        state, time = states[-1], len(actions)
        weight = float(mdp.discount) ** time
        if time == horizon:
            found.append((chance, total, states, actions))
        elif terminal[state]:
            found.append((chance, total + weight * ending[state], states, actions))
        else:
            for action in np.flatnonzero(allowed[state]):
                gain = total + weight * reward[state, action]
                for after in np.flatnonzero(probabilities[state, action]):
                    extend(
                        chance * probabilities[state, action, after],
                        gain,
                        (*states, after),
                        (*actions, action),
                    )

    extend(1.0, 0.0, (start,), ())
    return found


def grid(rows, columns, walls=None, stay=True):
    """The table of a gridworld's next states: up, down, left, right(, stay)."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    moves = [(-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)][: 4 + stay]
    reached = [
        np.clip(row + down, 0, rows - 1) * columns + np.clip(column + right, 0, columns - 1)
        for down, right in moves
    ]
    next_states = np.stack(reached, axis=1)
    if walls is None:
        return next_states
    return np.where(walls[next_states], np.arange(rows * columns)[:, None], next_states)


def derivative(function, step=0.006):
    """The derivative at 0 of a function of a scalar, or of each of many given at once.

    Central differences at h, h/2 and h/4, extrapolated twice (Richardson): an error of O(h⁶).

    Args:
        function: Maps an array of points ``[n]`` to values ``[n, ...]``.
        step: h.
    """
    steps = step / np.array([1.0, 2.0, 4.0])
    values = np.asarray(function(np.concatenate([steps, -steps])))
    ahead, behind = values[:3], values[3:]
    slopes = [(a - b) / (2 * h) for a, b, h in zip(ahead, behind, steps, strict=True)]
    once = [(4 * slopes[i + 1] - slopes[i]) / 3 for i in range(2)]
    return (16 * once[1] - once[0]) / 15
