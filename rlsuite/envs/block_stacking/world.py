r"""The blocks' world: a gripper without inertia, and four cubes that fall.

A state is its observation, 16 numbers:

    gripper (x, y, z) | opening, 0 closed to 1 open | (x, y, z) of the middle of each block,

and an action says how the gripper moves along each axis and how it opens (1) or closes (−1). In
order, within one step:

* The fingers open or close; a block between them stops them at its own width, GRIP. A block that
  is between fingers closed as far as that is held, unless another one lies on it.
* The gripper moves, and the held block with it. It passes through what it does not hold; the held
  block does not: it goes no lower than what is below it, and sideways only where it is free.
* Every block that is not held falls, by FALL a step, onto its support: the highest top of a block
  under any part of its footprint, or the table. Nothing bounces, slides or topples.

Block i stands on block j where their middles are less than 0.2 apart in the plane, i is more than
0.05 higher, and i is not held: Ajay et al., 2023, Is Conditional Generative Modeling all you need
for Decision-Making?, with BlockHeight(i) > BlockHeight(j) for a Kuka arm; this world is ours.

Example:
    >>> import jax
    >>> problem = block_stacking(chain(0, 1, 2))
    >>> state, first = problem.reset(jax.random.key(0))
    >>> first.observation.shape, holds(first.observation).any()
    ((16,), Array(False, dtype=bool))
"""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.envs.vectors import VectorEnvironment

BLOCKS, SIDE = 4, 0.2
PAIRS = tuple((i, j) for i in range(BLOCKS) for j in range(BLOCKS) if i != j)
STATES = 128
"""The most a demonstration has."""

STEPS = 2 * (STATES - 1)
"""How many actions an episode has: a block that was missed can be fetched again."""

STEP, OPENING_STEP, FALL = 0.1, 0.1, 0.1
"""How far the gripper moves and opens, and a block falls, in one step."""

GRIP = 0.5
"""The opening at which the fingers touch a block between them."""

CELL, CELLS_PER_SIDE, JITTER = 0.4, 4, 0.06
"""An episode starts with the blocks in different cells of a grid, this far from their middles."""

_LOW, _HIGH = (-0.8, -0.8, 0.05), (0.8, 0.8, 1.0)
_LOOSE = GRIP + 0.05  # Held up to this opening, so that a trembling hand does not let go.
_REACH = SIDE / 2  # The gripper's middle is within the block, and its fingers are beside it.
_NEAR, _ABOVE = 0.2, 0.05
_SLACK = 1e-3


class World(NamedTuple):
    """A state, taken apart.

    Attributes:
        gripper: Where the gripper is.
        opening: How far it is open.
        blocks: Where the blocks' middles are.
    """

    gripper: Float[Array, "*batch 3"]
    opening: Float[Array, "*batch"]
    blocks: Float[Array, "*batch 4 3"]


def unpack(observation: Float[Array, "*batch 16"]) -> World:
    """A state's parts.

    Args:
        observation: The state.

    Returns:
        The parts.
    """
    blocks = jnp.reshape(observation[..., 4:], (*observation.shape[:-1], BLOCKS, 3))
    return World(observation[..., :3], observation[..., 3], blocks)


def pack(world: World) -> Float[Array, "*batch 16"]:
    """The state of its parts; inverse of ``unpack``.

    Args:
        world: The parts.

    Returns:
        The state.
    """
    blocks = jnp.reshape(world.blocks, (*world.opening.shape, 3 * BLOCKS))
    return jnp.concatenate([world.gripper, world.opening[..., None], blocks], axis=-1)


def heights(observation: Float[Array, "*batch 16"]) -> Float[Array, "*batch 4"]:
    """How high the blocks' middles are.

    Args:
        observation: A state.

    Returns:
        The heights; 0.1 on the table.
    """
    return unpack(observation).blocks[..., 2]


def _gripped(world: World) -> Bool[Array, "*batch 4"]:
    """Which block is between the fingers, if any."""
    apart = jnp.abs(world.blocks - world.gripper[..., None, :])
    return jnp.all(apart <= _REACH, axis=-1) & (world.opening >= GRIP - _SLACK)[..., None]


def _over(blocks: Float[Array, "*batch 4 3"]) -> Bool[Array, "*batch 4 4"]:
    """``[i, j]``: whether i is above j, over some part of its footprint."""
    apart = blocks[..., :, None, :] - blocks[..., None, :, :]
    meet = jnp.all(jnp.abs(apart[..., :2]) < SIDE - _SLACK, axis=-1)
    return meet & (apart[..., 2] > _SLACK)


def held(observation: Float[Array, "*batch 16"]) -> Bool[Array, "*batch 4"]:
    """Which block the gripper holds, if any.

    Args:
        observation: A state.

    Returns:
        At most one True.
    """
    world = unpack(observation)
    covered = jnp.any(_over(world.blocks), axis=-2)
    return _gripped(world) & (world.opening <= _LOOSE)[..., None] & ~covered


def holds(observation: Float[Array, "*batch 16"]) -> Bool[Array, "*batch 12"]:
    """Which constraints hold; the order is that of ``PAIRS``.

    Args:
        observation: A state.

    Returns:
        For each pair (i, j) whether i, released, stands on j, or on what stands on it.
    """
    blocks = unpack(observation).blocks
    i, j = np.asarray(PAIRS).T
    apart = blocks[..., i, :] - blocks[..., j, :]
    near = jnp.linalg.norm(apart[..., :2], axis=-1) < _NEAR
    return near & (apart[..., 2] > _ABOVE) & ~held(observation)[..., i]


def obeyed(
    observation: Float[Array, "*batch 16"],
    wanted: Float[Array, "*#batch 12"],
    unwanted: Float[Array, "*#batch 12"] | float = 0.0,
) -> Bool[Array, "*batch"]:
    """Whether all constraints hold that should, and none that should not.

    Args:
        observation: States.
        wanted: 1 for each constraint that must hold, else 0: one for all states, or for each.
        unwanted: 1 for each that must not.

    Returns:
        Whether it is so.
    """
    found = holds(observation)
    return jnp.all(jnp.where(found, jnp.asarray(unwanted) <= 0, wanted <= 0), axis=-1)


def pair(i: int, j: int) -> Float[np.ndarray, " 12"]:
    """The constraint "i stands on j".

    Args:
        i: The upper block, from 0 to 3.
        j: The lower one, another.

    Returns:
        1 at the constraint, else 0.

    Raises:
        ValueError: If there is no such pair.
    """
    if (i, j) not in PAIRS:
        raise ValueError(f"(i, j) is {(i, j)}; allowed: two different blocks from 0 to 3")
    return np.eye(len(PAIRS), dtype=np.float32)[PAIRS.index((i, j))]


def chain(*blocks: int) -> Float[np.ndarray, " 12"]:
    """The constraints of a tower: each block stands on the next.

    Args:
        *blocks: From the top one down, at least two.

    Returns:
        1 at each of its constraints, else 0.

    Raises:
        ValueError: If a block is none, or appears twice in a row, or there are fewer than two.
    """
    if len(blocks) < 2:
        raise ValueError(f"blocks is {blocks}; allowed: at least two")
    return np.sum([pair(*two) for two in itertools.pairwise(blocks)], axis=0)


def move(observation: Float[Array, " 16"], action: Float[Array, " 4"]) -> Float[Array, " 16"]:
    """One step of the world; see the module.

    Args:
        observation: A state.
        action: (x, y, z, opening), within [−1, 1].

    Returns:
        The next state.
    """
    world = unpack(observation)
    least = jnp.where(jnp.any(_gripped(world)), GRIP, 0.0)
    opening = jnp.clip(world.opening + OPENING_STEP * action[3], least, 1.0)
    kept = held(observation) & (opening <= _LOOSE)
    gripper = _carried(world, kept, action[:3])
    blocks = world.blocks + kept[:, None] * (gripper - world.gripper)
    rest = SIDE / 2 + jnp.max(_over(blocks) * (blocks[:, 2] + SIDE / 2), axis=-1)
    fallen = jnp.maximum(blocks[:, 2] - FALL, rest)
    height = jnp.where(kept, blocks[:, 2], fallen)
    return pack(World(gripper, opening, blocks.at[:, 2].set(height)))


def _carried(
    world: World, kept: Bool[Array, " 4"], direction: Float[Array, " 3"]
) -> Float[Array, " 3"]:
    """Where the gripper gets, with what it holds."""
    low, high = jnp.asarray(_LOW), jnp.asarray(_HIGH)
    target = jnp.clip(world.gripper + STEP * direction, low, high)
    block = kept @ world.blocks
    offset = block - world.gripper

    def top(plane: Float[Array, " 2"]) -> Float[Array, ""]:
        """Of what the held block would be over there."""
        apart = jnp.abs(world.blocks[:, :2] - (plane + offset[:2]))
        below = jnp.all(apart < SIDE - _SLACK, axis=-1) & ~kept
        return jnp.max(below * (world.blocks[:, 2] + SIDE / 2))

    free = block[2] - SIDE / 2 >= top(target[:2]) - _SLACK
    plane = jnp.where(free, target[:2], world.gripper[:2])
    height = jnp.maximum(target[2], top(plane) + SIDE / 2 - offset[2])
    return jnp.where(jnp.any(kept), jnp.append(plane, height), target)


@struct.dataclass
class EnvState(environment.EnvState):
    """The number of steps so far, and the state as 16 numbers."""

    time: Any
    observation: Any


@struct.dataclass
class EnvParams(environment.EnvParams):
    """Which of the 12 constraints are wanted and which unwanted, and how long an episode is."""

    wanted: Any = tuple(PAIRS.index((0, 1)) == number for number in range(len(PAIRS)))
    unwanted: Any = (False,) * len(PAIRS)
    max_steps_in_episode: Any = STEPS


class BlockStacking(VectorEnvironment):
    """The world; a return is whether all is as asked in the end, less whether it was at first."""

    action_size, observation_size = 4, 16

    @property
    def default_params(self) -> EnvParams:
        """Block 0 on block 1."""
        return EnvParams(wanted=pair(0, 1))

    def start(self, key: PRNGKeyArray, params: EnvParams) -> EnvState:  # noqa: ARG002
        """All blocks on the table, apart from each other, and the open gripper in the air."""
        return EnvState(time=jnp.int32(0), observation=laid_out(key)[0])

    def move(
        self,
        key: PRNGKeyArray,  # noqa: ARG002
        state: EnvState,
        action: Float[Array, " 4"],
        params: EnvParams,
    ) -> tuple[EnvState, Float[Array, ""]]:
        """One step; the reward is 1 where all comes to be as wanted, −1 where it ceases to."""
        after = move(state.observation, action)
        asked = jnp.asarray(params.wanted), jnp.asarray(params.unwanted)
        reward = obeyed(after, *asked).astype(float) - obeyed(state.observation, *asked)
        return state.replace(observation=after), reward

    def see(self, state: EnvState, params: EnvParams) -> Float[Array, " 16"]:  # noqa: ARG002
        """The state."""
        return state.observation


def laid_out(key: PRNGKeyArray) -> tuple[Float[Array, " 16"], Float[Array, " 2"]]:
    """A state with all blocks on the table, each in a cell of its own.

    Args:
        key: Key.

    Returns:
        (the state, a place on the table with room for another block).
    """
    of_cells, of_jitter, of_gripper = jax.random.split(key, 3)
    order = jax.random.permutation(of_cells, CELLS_PER_SIDE**2)[: BLOCKS + 1]
    cells = jnp.stack([order % CELLS_PER_SIDE, order // CELLS_PER_SIDE], axis=-1)
    jitter = jax.random.uniform(of_jitter, cells.shape, minval=-JITTER, maxval=JITTER)
    places = CELL * (cells - (CELLS_PER_SIDE - 1) / 2) + jitter
    blocks = jnp.pad(places[:BLOCKS], ((0, 0), (0, 1)), constant_values=SIDE / 2)
    low, high = jnp.asarray(_LOW).at[2].set(0.5), jnp.asarray(_HIGH)
    gripper = jax.random.uniform(of_gripper, (3,), minval=low, maxval=high)
    return pack(World(gripper, jnp.ones(()), blocks)), places[BLOCKS]


def block_stacking(
    wanted: Float[Array | np.ndarray, " 12"] | None = None,
    unwanted: Float[Array | np.ndarray, " 12"] | None = None,
) -> Control:
    """The problem of making constraints hold.

    Args:
        wanted: 1 for each constraint that must hold; None for block 0 on block 1.
        unwanted: 1 for each that must not; None for none.

    Returns:
        The problem.
    """
    wanted = pair(0, 1) if wanted is None else wanted
    unwanted = np.zeros(len(PAIRS), np.float32) if unwanted is None else unwanted
    params = EnvParams(wanted=jnp.asarray(wanted), unwanted=jnp.asarray(unwanted))
    return Control("block-stacking", BlockStacking(), params)
