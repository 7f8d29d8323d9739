r"""All that may be known after up to T − 1 pulls, numbered so that early states come first.

A state has 2K counts that sum to t: (s_1, f_1, …, s_K, f_K). With the last one left out, which t
and the others determine, and the prefix sums p_1 ≤ … ≤ p_{2K−1} of the others, its number is

    Σ_i C(p_i + i − 1, i),

the combinatorial number system's. It does not depend on t, the states of time t are the first
C(t + 2K − 1, 2K − 1) numbers, and a failure of the last arm leaves the number as it is.
"""

import functools
import itertools
import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

_MOST = 20_000_000


class Lattice(NamedTuple):
    """The states of a bandit.

    At time t only the first states, with at most t counted pulls, exist; the others' entries in
    tables are numbers without a meaning.

    Attributes:
        counts: (s_1, f_1, …, s_K) of each state, ``[state, 2 K − 1]``.
        after: The state after each arm's failure and success, ``[state, arm, 2]``. After the last
            pull there is none, and any number stands.
        binomials: What numbers are computed from, ``[T + 2 K, 2 K]``.
        times: 0 … T − 1; its length is the horizon.
    """

    counts: Int[Array | np.ndarray, "state count"]
    after: Int[Array | np.ndarray, "state arm 2"]
    binomials: Int[Array | np.ndarray, "top bottom"]
    times: Int[Array | np.ndarray, " time"]

    @property
    def num_arms(self) -> int:
        """K."""
        return self.after.shape[1]

    @property
    def horizon(self) -> int:
        """T."""
        return self.times.shape[0]

    def pulls(
        self, time: Int[Array, ""]
    ) -> tuple[Int[Array, "state arm"], Int[Array, "state arm"]]:
        """How often each arm has paid and has not, in each state at a time.

        Args:
            time: t.

        Returns:
            (successes, failures); the last arm's failures of states that do not exist are 0.
        """
        counts = jnp.asarray(self.counts)
        counted = jnp.sum(counts, axis=1, dtype=counts.dtype)
        last = jnp.maximum(jnp.asarray(time).astype(counts.dtype) - counted, 0)
        full = jnp.concatenate([counts, last[:, None]], axis=1)
        return full[:, ::2], full[:, 1::2]

    def number(
        self, successes: Int[Array, "*batch arm"], failures: Int[Array, "*batch arm"]
    ) -> Int[Array, "*batch"]:
        """The numbers of states.

        Args:
            successes: How often each arm has paid; fewer than T pulls in all.
            failures: How often it has not.

        Returns:
            Their numbers.
        """
        pairs = jnp.stack([successes, failures], axis=-1)
        counts = pairs.reshape(*successes.shape[:-1], -1)[..., :-1]
        places = jnp.arange(counts.shape[-1], dtype=counts.dtype)
        sums = jnp.cumsum(counts, axis=-1, dtype=counts.dtype)
        terms = jnp.asarray(self.binomials)[sums + places, places + 1]
        return jnp.sum(terms, axis=-1)


@functools.lru_cache(maxsize=8)
def lattice(num_arms: int, horizon: int) -> Lattice:
    """The states of a bandit of K arms and T pulls.

    Args:
        num_arms: K, at least 1.
        horizon: T, at least 1.

    Returns:
        C(T + 2 K − 2, 2 K − 1) states.

    Raises:
        ValueError: If a number is below 1, or there are more than 20 million states.

    Example:
        >>> states = lattice(2, 20)
        >>> states.counts.shape
        (1540, 3)
        >>> int(states.number(jnp.array([1, 2]), jnp.array([0, 3])))
        12
    """
    for name, value in (("num_arms", num_arms), ("horizon", horizon)):
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed: a whole number at least 1")
    size = 2 * num_arms - 1
    number = math.comb(horizon - 1 + size, size)
    if number > _MOST:
        raise ValueError(
            f"num_arms is {num_arms} and horizon is {horizon}: {number:,} states; allowed: at most "
            f"{_MOST:,}"
        )
    binomials = np.asarray(
        [[math.comb(top, bottom) for bottom in range(size + 1)] for top in range(horizon + size)],
        np.int32,
    )
    flat = itertools.chain.from_iterable(
        itertools.combinations_with_replacement(range(horizon), size)
    )
    sums = np.fromiter(flat, np.int32, number * size).reshape(number, size)
    sums = sums[np.argsort(_number(binomials, sums))]
    counts = np.diff(sums, axis=1, prepend=0)
    after = np.empty((number, num_arms, 2), np.int32)
    for arm in range(num_arms):
        for paid in range(2):
            place = 2 * arm + 1 - paid
            more = sums + (np.arange(size) >= place)
            after[:, arm, paid] = np.minimum(_number(binomials, more), number - 1)
    return Lattice(counts, after, binomials, np.arange(horizon, dtype=np.int32))


def _number(binomials: np.ndarray, sums: np.ndarray) -> np.ndarray:
    places = np.arange(sums.shape[1])
    return np.asarray(binomials[sums + places, places + 1].sum(axis=1))
