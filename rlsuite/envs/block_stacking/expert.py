"""A script that stacks one block on another, and the demonstrations that it gives.

A demonstration moves two blocks, by turns in this order and the other: one of them onto another
block, which is the constraint it is labelled with, and any one that is free to a free place on the
table. So each constraint is seen with blocks having been moved before, and with blocks being moved
after: what a plan for two constraints at once consists of. Never is a block put onto one that
stands on another, and at the end of each demonstration one constraint holds and no other.

Blocks are carried above any tower of three and let go from there: onto whatever is below them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rlsuite.envs.block_stacking import world
from rlsuite.envs.episodes import Episode, Episodes, join

CARRY = 0.75
"""The height of the gripper when it carries a block."""

_NOISE = 0.05  # Of the expert's motions, as a share of the greatest.
_CLOSE = 0.02
_REST = 8  # Steps after the work is done.
_OVER, _DOWN, _GRASP, _UP, _ACROSS, _LET_GO = range(6)


class Work(NamedTuple):
    """What a demonstration does, one entry for either move.

    Attributes:
        block: Which block is moved.
        onto: Onto which block; -1 for the table.
        place: Where on the table.
    """

    block: Int[Array, " move"]
    onto: Int[Array, " move"]
    place: Float[Array, "move 2"]


class Progress(NamedTuple):
    """How far the work is.

    Attributes:
        move: Which move is being made.
        phase: Over the block, down, grasp, up, across, let go.
    """

    move: Int[Array, ""]
    phase: Int[Array, ""]


def expert(
    observation: Float[Array, " 16"], work: Work, progress: Progress
) -> tuple[Float[Array, " 4"], Progress]:
    """The script's next action.

    Args:
        observation: The state.
        work: What is to be done.
        progress: How far it is.

    Returns:
        (action, how far the work is then).
    """
    now = world.unpack(observation)
    number = jnp.minimum(progress.move, len(work.block) - 1)
    block, onto = work.block[number], work.onto[number]
    there = jnp.where(onto >= 0, now.blocks[onto, :2], work.place[number])
    target = jnp.stack(
        [
            now.blocks[block].at[2].set(CARRY),
            now.blocks[block],
            now.blocks[block],
            now.gripper.at[2].set(CARRY),
            jnp.append(there, CARRY),
            now.gripper,
        ]
    )[progress.phase]
    closing = (progress.phase >= _GRASP) & (progress.phase <= _ACROSS)
    arrived = jnp.max(jnp.abs(target - now.gripper)) <= _CLOSE
    over = jnp.where(
        progress.phase == _GRASP,
        world.held(observation)[block],
        jnp.where(progress.phase == _LET_GO, now.opening >= 1, arrived),
    )
    done = progress.move >= len(work.block)
    phase = jnp.where(done, _LET_GO, progress.phase + over)
    later = Progress(progress.move + (phase > _LET_GO), phase % (_LET_GO + 1))
    motion = jnp.clip((target - now.gripper) / world.STEP, -1, 1)
    action = jnp.append(motion, jnp.where(closing, -1.0, 1.0))
    return jnp.where(done, jnp.zeros(4).at[3].set(1.0), action), later


def work_of(
    key: PRNGKeyArray,
    constraint: Int[Array, ""],
    stack_first: Bool[Array, ""],
    place: Float[Array, " 2"],
) -> Work:
    """The moves of a demonstration.

    Args:
        key: Key.
        constraint: Which of ``PAIRS`` it is of.
        stack_first: Whether the stacking comes before the other move.
        place: Where on the table the other move puts its block.

    Returns:
        The moves.
    """
    i, j = jnp.asarray(world.PAIRS)[constraint]
    # Once i stands on j, either is not to be moved.
    chances = jnp.ones(world.BLOCKS)
    chances = jnp.where(stack_first, chances.at[jnp.stack([i, j])].set(0.0), chances)
    other = jax.random.categorical(key, jnp.log(chances))
    block, onto = jnp.stack([i, other]), jnp.stack([j, -1])
    order = jnp.where(stack_first, jnp.arange(2), jnp.arange(2)[::-1])
    return Work(block[order], onto[order], jnp.broadcast_to(place, (2, 2)))


class _Run(NamedTuple):
    states: Float[Array, "states 16"]
    actions: Float[Array, "steps 4"]
    length: Int[Array, ""]


@jax.jit
@jax.vmap
def _run(key: PRNGKeyArray, constraint: Int[Array, ""], stack_first: Bool[Array, ""]) -> _Run:
    """A demonstration, from its start to the end of an episode."""
    of_start, of_block, of_noise = jax.random.split(key, 3)
    start, place = world.laid_out(of_start)
    work = work_of(of_block, constraint, stack_first, place)

    def step(
        carry: tuple[Array, Progress], of_step: PRNGKeyArray
    ) -> tuple[tuple[Array, Progress], tuple[Array, Array, Array]]:
        observation, progress = carry
        action, later = expert(observation, work, progress)
        moving = progress.move < len(work.block)
        noise = moving * _NOISE * jax.random.normal(of_step, (3,))
        action = jnp.clip(action.at[:3].add(noise), -1, 1)
        after = world.move(observation, action)
        return (after, later), (after, action, moving)

    carry = start, Progress(jnp.int32(0), jnp.int32(_OVER))
    steps = jax.random.split(of_noise, world.STATES - 1)
    _, (states, actions, moving) = jax.lax.scan(step, carry, steps)
    length = jnp.minimum(jnp.sum(moving) + _REST, world.STATES - 1)
    return _Run(jnp.concatenate([start[None], states]), actions, length)


def demonstrations(key: PRNGKeyArray, num_episodes: int = 2400) -> Episodes:
    """Single stackings, the 12 constraints by turns.

    Args:
        key: Key.
        num_episodes: How many, at least 1.

    Returns:
        The episodes, each as long as the work and 8 steps of rest; labels are one-hot, in the order
        of ``PAIRS``. Rewards are those of the constraint.

    Raises:
        ValueError: If ``num_episodes`` is below 1.
    """
    if num_episodes < 1:
        raise ValueError(f"num_episodes is {num_episodes}; allowed: at least 1")
    number = np.arange(num_episodes)
    constraint = number % len(world.PAIRS)
    stack_first = number // len(world.PAIRS) % 2 == 1
    runs = _run(jax.random.split(key, num_episodes), jnp.asarray(constraint), stack_first)
    held = np.asarray(jax.jit(world.holds)(runs.states), np.float32)
    runs = jax.tree.map(np.asarray, runs)
    return join(
        [
            Episode(
                runs.states[n, : length + 1],
                runs.actions[n, :length],
                np.diff(held[n, : length + 1, constraint[n]]),
                labels=np.eye(len(world.PAIRS))[constraint[n]],
            )
            for n, length in enumerate(runs.length)
        ]
    )
