r"""Trajectories of states and actions: their file format, their counts, their visitation.

The empirical discounted visitation of n trajectories of lengths L_i is

    ρ̂(s) = 1/n Σ_i Σ_{t<L_i} γ^t 1[s_{i,t} = s],      ρ̂(s,a) likewise,

to be compared with :func:`rlsuite.ops.tabular.visitation`. What a trajectory that was cut off would
have done after its end is unknown; `tail` says what to assume.
"""

import os
import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rlsuite.ops import tabular

NO_ACTION = -1
"""The action recorded with a terminal state, in which nothing is done."""

_KEYS = frozenset(("states", "actions", "lengths"))


class Trajectories(NamedTuple):
    """Trajectories of several lengths, padded to one.

    A trajectory that reached a terminal state ends with it, its action being `NO_ACTION`; every
    other trajectory was cut off after an ordinary step. Where t ≥ length there is padding without
    meaning.

    Attributes:
        states: state numbers.
        actions: action numbers, or `NO_ACTION`.
        lengths: number of real steps of each trajectory, at least 1.
    """

    states: Int[Array, "trajectory time"]
    actions: Int[Array, "trajectory time"]
    lengths: Int[Array, " trajectory"]


def mask(trajectories: Trajectories) -> Bool[Array, "trajectory time"]:
    """True where a step is real, false where it is padding.

    Args:
        trajectories: the demonstrations.

    Example:
        >>> zeros = jnp.zeros((2, 3), int)
        >>> mask(Trajectories(zeros, zeros, jnp.array([1, 3]))).tolist()
        [[True, False, False], [True, True, True]]
    """
    return jnp.arange(trajectories.states.shape[1]) < trajectories.lengths[:, None]


@partial(jax.jit, static_argnums=(1, 2))
def state_action_counts(
    trajectories: Trajectories, num_states: int, num_actions: int
) -> Float[Array, "state action"]:
    """Count how often each action was taken in each state, over all trajectories.

    Args:
        trajectories: the demonstrations; steps without an action (terminal states) do not count.
        num_states: number of states.
        num_actions: number of actions.

    Returns:
        The counts.

    Example:
        >>> one = Trajectories(jnp.array([[0, 1, 1]]), jnp.array([[1, 0, -1]]), jnp.array([3]))
        >>> state_action_counts(one, 2, 2).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    index, acted = _state_action_index(trajectories, num_actions)
    counts = jnp.zeros(num_states * num_actions).at[index].add(acted.astype(float))
    return counts.reshape(num_states, num_actions)


def empirical_visitation(
    trajectories: Trajectories,
    num_states: int,
    num_actions: int,
    discount: float | Float[Array, ""],
    *,
    tail: Literal["drop", "repeat"] = "drop",
) -> tabular.Visitation:
    r"""Discounted visitation of states and state-actions, averaged over trajectories.

    A terminal state counts its arrival and has no state-action flow, as in
    :func:`rlsuite.ops.tabular.visitation`.

    Args:
        trajectories: the demonstrations.
        num_states: number of states.
        num_actions: number of actions.
        discount: discount factor γ, in [0, 1]; below 1 for the tail "repeat".
        tail: what follows a trajectory cut off after L steps. "drop": nothing, so that mass of at
            most γ^L/(1−γ) is missing. "repeat": its last state-action for ever, γ^L/(1−γ) more of
            it.

    Returns:
        The visitation, not normalised.

    Raises:
        ValueError: if `discount` or `tail` is not as described.

    Example:
        >>> one = Trajectories(jnp.array([[0, 1, 1]]), jnp.array([[1, 0, 0]]), jnp.array([3]))
        >>> empirical_visitation(one, 2, 2, 0.5).states.tolist()
        [1.0, 0.75]
        >>> empirical_visitation(one, 2, 2, 0.5, tail="repeat").states.tolist()
        [1.0, 1.0]
    """
    if tail not in ("drop", "repeat"):
        raise ValueError(f"tail is {tail!r}: it must be 'drop' or 'repeat'")
    if not isinstance(discount, jax.core.Tracer):
        if not 0.0 <= float(discount) <= 1.0:
            raise ValueError(f"discount is {discount}: it must be in [0, 1]")
        if tail == "repeat" and float(discount) == 1.0:
            raise ValueError("discount is 1: with the tail 'repeat' it must be below")
    return _empirical_visitation(trajectories, num_states, num_actions, discount, tail)


@partial(jax.jit, static_argnums=(1, 2, 4))
def _empirical_visitation(
    trajectories: Trajectories,
    num_states: int,
    num_actions: int,
    discount: float | Float[Array, ""],
    tail: str,
) -> tabular.Visitation:
    discount = jnp.asarray(discount, dtype=float)
    index, acted = _state_action_index(trajectories, num_actions)
    real = mask(trajectories)
    last = jnp.arange(real.shape[1]) == trajectories.lengths[:, None] - 1

    def visits(
        index: Int[Array, "trajectory time"], counted: Bool[Array, "trajectory time"], size: int
    ) -> Float[Array, " cell"]:
        total = _discounted_counts(index, counted, discount, size)
        if tail == "repeat":
            repeated = _discounted_counts(index, counted & last & acted, discount, size)
            total = total + discount / (1.0 - discount) * repeated
        return total / real.shape[0]

    state_actions = visits(index, acted, num_states * num_actions)
    return tabular.Visitation(
        states=visits(trajectories.states, real, num_states),
        state_actions=state_actions.reshape(num_states, num_actions),
    )


@partial(jax.jit, static_argnums=(1, 2, 4))
def empirical_visitation_over_time(
    trajectories: Trajectories,
    num_states: int,
    num_actions: int,
    discount: float | Float[Array, ""],
    horizon: int,
) -> tabular.Visitation:
    """Discounted visits at each time of a finite horizon, averaged over trajectories.

    Args:
        trajectories: the demonstrations; steps from `horizon` on are left out.
        num_states: number of states.
        num_actions: number of actions.
        discount: discount factor γ; visits at time t weigh γ^t.
        horizon: H, the number of decisions, at least 1.

    Returns:
        ``states [H, state]`` and ``state_actions [H, state, action]``; terminal states count their
        arrivals and have no state-actions.

    Raises:
        ValueError: if `horizon` is below 1.

    Example:
        >>> one = Trajectories(jnp.array([[0, 1]]), jnp.array([[1, 0]]), jnp.array([2]))
        >>> empirical_visitation_over_time(one, 2, 2, 0.5, 3).states.tolist()
        [[1.0, 0.0], [0.0, 0.5], [0.0, 0.0]]
    """
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}: it must be at least 1")
    index, acted = _state_action_index(trajectories, num_actions)
    times = jnp.arange(min(index.shape[1], horizon))
    weights = jnp.asarray(discount, dtype=float) ** jnp.arange(horizon) / index.shape[0]

    def visits(
        index: Int[Array, "trajectory time"], counted: Bool[Array, "trajectory time"], size: int
    ) -> Float[Array, "horizon cell"]:
        counts = jnp.zeros((horizon, size)).at[times, index[:, times]]
        return weights[:, None] * counts.add(counted[:, times].astype(float))

    state_actions = visits(index, acted, num_states * num_actions)
    return tabular.Visitation(
        states=visits(trajectories.states, mask(trajectories), num_states),
        state_actions=state_actions.reshape(horizon, num_states, num_actions),
    )


def _state_action_index(
    trajectories: Trajectories, num_actions: int
) -> tuple[Int[Array, "trajectory time"], Bool[Array, "trajectory time"]]:
    """The row-major number of each state-action, and whether it is real."""
    acted = mask(trajectories) & (trajectories.actions != NO_ACTION)
    return jnp.where(acted, trajectories.states * num_actions + trajectories.actions, 0), acted


def _discounted_counts(
    index: Int[Array, "trajectory time"],
    counted: Bool[Array, "trajectory time"],
    discount: Float[Array, ""],
    size: int,
) -> Float[Array, " cell"]:
    """Σ_t γ^t times the number of trajectories that are in each cell at time t.

    The counts of one time are whole numbers and therefore exact: adding up the discounted steps of
    many trajectories one by one would lose three digits in float32.
    """

    def add(
        total: Float[Array, " cell"], step: tuple[Array, Array, Array]
    ) -> tuple[Float[Array, " cell"], None]:
        index, counted, weight = step
        return total + weight * jnp.zeros(size).at[index].add(counted.astype(float)), None

    weights = discount ** jnp.arange(index.shape[1])
    return jax.lax.scan(add, jnp.zeros(size), (index.T, counted.T, weights))[0]


def save(path: str | os.PathLike[str], trajectories: Trajectories) -> None:
    """Write trajectories to a compressed .npz file, whole or not at all.

    Args:
        path: the file; one that exists is replaced.
        trajectories: what to write.

    Raises:
        ValueError: if the trajectories do not fit together (see :func:`check`).

    Example:
        >>> one = Trajectories(jnp.array([[0, 1]]), jnp.array([[1, 0]]), jnp.array([2]))
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     save(f"{directory}/expert.npz", one)
        ...     load(f"{directory}/expert.npz").states.tolist()
        [[0, 1]]
    """
    check(trajectories)
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez_compressed(
                file,
                allow_pickle=False,
                states=np.asarray(trajectories.states),
                actions=np.asarray(trajectories.actions),
                lengths=np.asarray(trajectories.lengths),
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(path: str | os.PathLike[str]) -> Trajectories:
    """Read the trajectories that `save` wrote. Nothing in the file is ever executed.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is truncated, or holds something else than trajectories.
    """
    try:
        with Path(path).open("rb") as stream:
            # Otherwise NumPy would advise to unpickle whatever it does not know.
            if not zipfile.is_zipfile(stream):
                raise ValueError("it is not an .npz file, or only the beginning of one")
            stream.seek(0)
            archive = np.load(stream, allow_pickle=False)
            if set(archive) != _KEYS:
                raise ValueError(f"it holds {sorted(archive)} instead of {sorted(_KEYS)}")
            arrays = {key: np.asarray(archive[key]) for key in archive}
        for key, value in arrays.items():
            if value.dtype.kind not in "iu":
                raise ValueError(f"{key} is of type {value.dtype}: it must be of integers")
        trajectories = Trajectories(
            **{k: jnp.asarray(v, dtype=jnp.int32) for k, v in arrays.items()}
        )
        check(trajectories)
    except (ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{os.fspath(path)!r} is no file of trajectories: {error}") from error
    return trajectories


def check(
    trajectories: Trajectories, num_states: int | None = None, num_actions: int | None = None
) -> None:
    """Refuse trajectories that do not fit together, or do not fit a table of the given size.

    Args:
        trajectories: concrete arrays.
        num_states: number of states; None does not check the upper end.
        num_actions: number of actions; None does not check the upper end.

    Raises:
        ValueError: if the shapes differ, a length is outside 1 … time, a real step has a state or
            an action out of range, or another step than the last has no action.

    Example:
        >>> one = Trajectories(jnp.array([[0, 7]]), jnp.array([[1, 0]]), jnp.array([2]))
        >>> check(one, num_states=5)
        Traceback (most recent call last):
        ...
        ValueError: states contains 7: it must be between 0 and 4
    """
    states, actions, lengths = (np.asarray(part) for part in trajectories)
    if states.ndim != 2 or states.shape != actions.shape or lengths.shape != states.shape[:1]:
        raise ValueError(
            f"states, actions and lengths have the shapes {states.shape}, {actions.shape} and "
            f"{lengths.shape}: they must be [trajectory, time] twice and [trajectory]"
        )
    if states.size == 0:
        raise ValueError(f"states has the shape {states.shape}: there must be a trajectory")
    real = np.arange(states.shape[1]) < lengths[:, None]
    _check_range("lengths", lengths, 1, states.shape[1])
    _check_range("states", states[real], 0, None if num_states is None else num_states - 1)
    _check_range(
        "actions", actions[real], NO_ACTION, None if num_actions is None else num_actions - 1
    )
    earlier = np.arange(states.shape[1]) < lengths[:, None] - 1
    if (actions[earlier] == NO_ACTION).any():
        raise ValueError(
            f"actions contains {NO_ACTION} (no action): only a trajectory's last step may have it"
        )


def _check_range(name: str, values: np.ndarray, low: int, high: int | None) -> None:
    outside = values[(values < low) | (False if high is None else values > high)]
    if outside.size:
        allowed = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{name} contains {outside[0]}: it must be {allowed}")
