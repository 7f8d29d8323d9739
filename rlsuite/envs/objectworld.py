r"""Objectworld and binaryworld: gridworlds whose reward is no linear function of the features.

**Objectworld** (Levine et al. 2011): an N×N grid, five actions (four steps and staying),
each of which has a 30 % chance of another, random one being executed instead. Objects lie in random
cells; each has an inner and an outer colour out of C. With d_k(s) the Euclidean distance from a
cell to the nearest object of outer colour k, the reward of the cell is

    r(s) = +1  if d_1(s) < 3 and d_2(s) < 2,
           −1  if d_1(s) < 3 and not d_2(s) < 2,
            0  otherwise;

inner colours, and further outer ones, only distract. Features: the 2C distances to the nearest
object of each outer and inner colour, or the 2CN indicators 1[distance < d] for d = 1 … N.

**Binaryworld** (Wulfmeier et al. 2015): every cell is blue or red with equal
probability; the nine features of a cell say which cells of its 3×3 neighbourhood are blue; the
reward is +1 if exactly four of the nine are blue, −1 if exactly five are, 0 otherwise.

What the sources leave open, and what is done here: "within 3 cells" is taken strictly, as the
authors' published MATLAB toolkit takes it, which makes the reward a function of the discrete
features; the number of objects is 5 % of the cells (that toolkit's probability), and at least one
object has each outer and one each inner colour, so that every distance is finite; continuous
distances are divided by the grid's diagonal, so that they mean the same in a world of another seed;
outside the grid nothing is blue; the discount is 0.9 (the toolkit's), and episodes start uniformly.

A transfer world is another one: ``objectworld(seed + 1)`` has other objects, and
``objectworld(seed, slip=...)`` the same objects under other dynamics.

References:
    Levine, Popović, Koltun: Nonlinear inverse reinforcement learning with Gaussian processes,
    NIPS 2011.

    Wulfmeier, Ondrúška, Posner: Maximum entropy deep inverse reinforcement learning,
    arXiv:1507.04888, 2015.
"""

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rlsuite.envs.gridworld import MOVES, check_probability, neighbours
from rlsuite.ops import tabular

SLIP = 0.3 * len(MOVES) / (len(MOVES) - 1)
"""A slip of 0.375 executes another action than the chosen one in 30 % of the steps: the replacement
is drawn from all five actions, the chosen one included."""


class ObjectWorld(NamedTuple):
    """An objectworld.

    Attributes:
        mdp: its MDP, with the true reward of each state.
        features: the features of each state.
        positions: (row, column) of each object.
        outer: outer colour of each object, 0 … C − 1 (0 and 1 are the reward's colours 1 and 2).
        inner: inner colour of each object.
    """

    mdp: tabular.MDP
    features: Float[Array, "state feature"]
    positions: Int[Array, "object 2"]
    outer: Int[Array, " object"]
    inner: Int[Array, " object"]


class BinaryWorld(NamedTuple):
    """A binaryworld.

    Attributes:
        mdp: its MDP, with the true reward of each state.
        features: the nine neighbourhood features of each state, row by row.
        blue: true at blue cells.
    """

    mdp: tabular.MDP
    features: Float[Array, "state 9"]
    blue: Bool[Array, "row column"]


def objectworld(
    seed: int,
    size: int = 32,
    *,
    num_objects: int | None = None,
    num_colours: int = 2,
    features: Literal["discrete", "continuous"] = "discrete",
    slip: float | Float[Array, ""] = SLIP,
    discount: float | Float[Array, ""] = 0.9,
) -> ObjectWorld:
    """Draw an objectworld; the module's docstring describes it.

    Args:
        seed: seed of NumPy's generator, which places and colours the objects.
        size: N, the number of rows and of columns.
        num_objects: number of objects, each in a cell of its own; None takes 5 % of the cells.
        num_colours: C, the number of inner and of outer colours, at least 2.
        features: "discrete" (2CN indicators; colour by colour, outer before inner, d = 1 … N
            within) or "continuous" (2C distances over the grid's diagonal, outer before inner).
        slip: probability in [0, 1] that the action is replaced by one drawn uniformly from all
            five.
        discount: discount factor in [0, 1).

    Returns:
        The world.

    Raises:
        ValueError: if an argument is not as described, or there are fewer objects than colours.

    Example:
        >>> world = objectworld(0, 10)
        >>> world.features.shape, world.positions.shape, sorted(set(world.mdp.reward.tolist()))
        ((100, 40), (5, 2), [-1.0, 0.0, 1.0])
    """
    if num_objects is None:
        num_objects = max(num_colours, round(0.05 * size**2))
    if num_colours < 2:
        raise ValueError(f"num_colours is {num_colours}: it must be at least 2")
    if not num_colours <= num_objects <= size**2:
        raise ValueError(
            f"num_objects is {num_objects}: it must lie between num_colours ({num_colours}) and "
            f"the number of cells ({size**2})"
        )
    if features not in ("discrete", "continuous"):
        raise ValueError(f"features is {features!r}: it must be 'discrete' or 'continuous'")
    generator = np.random.default_rng(seed)
    cells = generator.choice(size**2, num_objects, replace=False)
    positions = np.stack(np.divmod(cells, size), axis=-1)
    outer = _colours(generator, num_objects, num_colours)
    inner = _colours(generator, num_objects, num_colours)

    distances = np.concatenate(
        [_distances(size, positions, colour, num_colours) for colour in (outer, inner)], axis=-1
    )
    near_first, near_second = distances[:, 0] < 3, distances[:, 1] < 2
    reward = np.where(near_first, np.where(near_second, 1.0, -1.0), 0.0)
    if features == "discrete":
        table = (distances[:, :, None] < np.arange(1, size + 1)).reshape(size**2, -1)
    else:
        table = distances / (np.sqrt(2) * max(size - 1, 1))
    return ObjectWorld(
        mdp=_open_grid(size, reward, slip, discount),
        features=jnp.asarray(table, dtype=float),
        positions=jnp.asarray(positions, dtype=jnp.int32),
        outer=jnp.asarray(outer, dtype=jnp.int32),
        inner=jnp.asarray(inner, dtype=jnp.int32),
    )


def binaryworld(
    seed: int,
    size: int = 32,
    *,
    slip: float | Float[Array, ""] = SLIP,
    discount: float | Float[Array, ""] = 0.9,
) -> BinaryWorld:
    """Draw a binaryworld; the module's docstring describes it.

    Args:
        seed: seed of NumPy's generator, which colours the cells.
        size: the number of rows and of columns.
        slip: probability in [0, 1] that the action is replaced by one drawn uniformly from all
            five.
        discount: discount factor in [0, 1).

    Returns:
        The world.

    Raises:
        ValueError: if `slip` or `discount` is not as described, or `size` is below 1.

    Example:
        >>> world = binaryworld(0, 8)
        >>> world.features.sum(-1)[:5].tolist(), world.mdp.reward[:5].tolist()
        ([1.0, 2.0, 4.0, 3.0, 3.0], [0.0, 0.0, 1.0, 0.0, 0.0])
    """
    if size < 1:
        raise ValueError(f"size is {size}: it must be at least 1")
    blue = np.random.default_rng(seed).random((size, size)) < 0.5
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(blue, 1), (3, 3))
    features = windows.reshape(size**2, 9)
    count = features.sum(-1)
    reward = np.select([count == 4, count == 5], [1.0, -1.0], 0.0)
    return BinaryWorld(
        mdp=_open_grid(size, reward, slip, discount),
        features=jnp.asarray(features, dtype=float),
        blue=jnp.asarray(blue),
    )


def _colours(generator: np.random.Generator, num_objects: int, num_colours: int) -> np.ndarray:
    """Draw colours, each of which occurs at least once."""
    drawn = generator.integers(num_colours, size=num_objects - num_colours)
    return generator.permutation(np.concatenate([np.arange(num_colours), drawn]))


def _distances(
    size: int, positions: np.ndarray, colour: np.ndarray, num_colours: int
) -> Float[np.ndarray, "state colour"]:
    """Euclidean distance from every cell to the nearest object of each colour."""
    cells = np.stack(np.divmod(np.arange(size**2), size), axis=-1)
    to_objects = np.linalg.norm(cells[:, None] - positions, axis=-1)
    return np.stack([to_objects[:, colour == k].min(1) for k in range(num_colours)], axis=-1)


def _open_grid(
    size: int,
    reward: np.ndarray,
    slip: float | Float[Array, ""],
    discount: float | Float[Array, ""],
) -> tabular.MDP:
    """An endless MDP on a grid without obstacles, with five actions and a uniform start."""
    check_probability("slip", slip, closed=True)
    check_probability("discount", discount, closed=False)
    table = neighbours(np.zeros((size, size), dtype=bool), stay=True)
    return tabular.MDP(
        transition=tabular.Gather(jnp.asarray(table), slip=jnp.asarray(slip, dtype=float)),
        reward=jnp.asarray(reward, dtype=float),
        initial=jnp.full(size**2, 1.0 / size**2),
        discount=jnp.asarray(discount, dtype=float),
    )
