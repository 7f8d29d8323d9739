r"""A ball that is pushed through a maze: the equations that MuJoCo solves for PointMaze.

A state is its observation, (x, y, velocity along x, along y); cells have sides of 1, see
:mod:`rlsuite.envs.waypoints`. In one step of h = 0.01, with the velocity v clipped to ±5 along each
axis, a ball of mass m (radius 0.1, density 1000), damping d = 1 and force 100 a accelerates by

    a₀ = (100 a − d v) / m,
    v̇  = argmin_u  ½ m ‖u − a₀‖² + Σ_i ½ D_i min(0, n_i·u − r_i)²,
    v' = v + h m / (m + h d) v̇,      x' = x + h v'.

The sum is over the walls nearer to the ball than 0.004: n_i is the direction from the wall's
nearest point to the ball's middle, δ_i the distance of their surfaces less 0.004, and

    r_i = −b n_i·v − k ι_i δ_i,    D_i = m ι_i / (1 − ι_i),    b = 2 / (ι̂ τ),    k = 1 / (ι̂ τ)²

are MuJoCo's soft constraints with its default numbers: τ = 0.02, ι̂ = 0.95, and the impedance ι_i
grows from 0.9 to ι̂ within 0.001 of depth. The minimum is found by Newton's method; the function is
quadratic between kinks, so that a few steps are exact.

Over 18 000 random steps in the three mazes, 6900 of them in contact, the largest difference from
MuJoCo 3.17.0 after one step was 9e-16 in free space and 3e-14 at walls and corners (once 2e-7, as
far as MuJoCo solves its own equations) in double precision, and 5e-7 and 9e-5 in single precision,
where 100 steps on end differed by 1e-6 in the median, 3e-3 at most.

The reward is 1 for each step that ends within 0.5 of the maze's goal, which never moves; an episode
starts at rest anywhere, up to 0.25 off the middle of a cell along each axis, and is cut off.

References:
    Fu, Kumar, Nachum, Tucker, Levine: D4RL: datasets for deep data-driven reinforcement learning.
    2020, arXiv:2004.07219 (maze2d).
    Todorov: Convex and analytically-invertible dynamics with contacts and constraints. ICRA 2014.
    de Lazcano, Andreas, Tai, Lee, Terry: Gymnasium robotics. 2024 (the mazes and the ball).

Example:
    >>> import jax
    >>> problem = point_maze("umaze")
    >>> state, first = problem.reset(jax.random.key(0))
    >>> first.observation.shape, problem.actions.size
    ((4,), 2)
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs import waypoints
from rlsuite.envs.control import Control
from rlsuite.envs.vectors import VectorEnvironment

RADIUS, REACH = 0.1, 0.5
"""The ball's radius, and how near the goal is near enough."""

_STEP, _FASTEST, _FORCE, _DAMPING = 0.01, 5.0, 100.0, 1.0
_MASS = 1000 * 4 / 3 * math.pi * RADIUS**3
_MARGIN, _DEPTH, _TIME = 0.004, 0.001, 0.02
_SOFT, _HARD = 0.9, 0.95
_NEWTON_STEPS = 4


class Maze(NamedTuple):
    """What is said of a maze.

    Attributes:
        rows: Its cells, the top row first; ``#`` is wall.
        goal: (row, column) of the cell in whose middle the goal is, D4RL's.
        length: After so many steps an episode is cut off, gymnasium-robotics'.
    """

    rows: tuple[str, ...]
    goal: tuple[int, int]
    length: int

    @property
    def walls(self) -> Bool[np.ndarray, "row column"]:
        """Where walls are."""
        return np.asarray([list(row) for row in self.rows]) == "#"


_UMAZE = ("#####", "#   #", "### #", "#   #", "#####")
_MEDIUM = (
    "########",
    "#  ##  #",
    "#  #   #",
    "##   ###",
    "#  #   #",
    "# #  # #",
    "#   #  #",
    "########",
)
_LARGE = (
    "############",
    "#    #     #",
    "# ## # # # #",
    "#      #   #",
    "# #### ### #",
    "#  # #     #",
    "## # # # ###",
    "#  #   #   #",
    "############",
)
MAZES = {
    "umaze": Maze(_UMAZE, (1, 1), 300),
    "medium": Maze(_MEDIUM, (6, 6), 600),
    "large": Maze(_LARGE, (7, 9), 800),
}


class _Contacts(NamedTuple):
    """Of the ball with the nine cells around it.

    Attributes:
        normals: From each wall to the ball.
        wanted: r_i.
        stiffness: D_i; 0 where there is no contact.
    """

    normals: Float[Array, "9 2"]
    wanted: Float[Array, " 9"]
    stiffness: Float[Array, " 9"]


def _around(
    walls: Bool[Array, "row column"], position: Float[Array, " 2"]
) -> tuple[Bool[Array, " 9"], Float[Array, "9 2"]]:
    """Which of the nine cells around a point are walls, and their middles."""
    cells = waypoints.cell_of(walls.shape, position) + np.argwhere(np.ones((3, 3))) - 1
    row, column = cells.T
    rows, columns = walls.shape
    middles = jnp.stack([column + 0.5 - columns / 2, rows / 2 - row - 0.5], axis=-1)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    return walls[row, column] | ~inside, middles


def _gaps(
    walls: Bool[Array, "row column"], position: Float[Array, " 2"]
) -> tuple[Float[Array, " 9"], Float[Array, "9 2"]]:
    """The ball's distance from each wall around it, and the direction from there."""
    there, middles = _around(walls, position)
    away = position - jnp.clip(position, middles - 0.5, middles + 0.5)
    square = jnp.sum(away**2, axis=-1)
    distance = jnp.sqrt(jnp.where(square > 0, square, 1.0))
    gap = jnp.where(square > 0, distance, 0.0) - RADIUS
    return jnp.where(there, gap, jnp.inf), away / distance[:, None]


def _contacts(
    walls: Bool[Array, "row column"], position: Float[Array, " 2"], velocity: Float[Array, " 2"]
) -> _Contacts:
    """What the walls ask for."""
    gap, normals = _gaps(walls, position)
    depth = jnp.where(gap < _MARGIN, gap - _MARGIN, 0.0)
    share = jnp.minimum(-depth / _DEPTH, 1.0)
    share = jnp.where(share < 0.5, 2 * share**2, 1 - 2 * (1 - share) ** 2)
    impedance = _SOFT + (_HARD - _SOFT) * share
    damping, stiffness = 2 / (_HARD * _TIME), 1 / (_HARD * _TIME) ** 2
    wanted = -damping * (normals @ velocity) - stiffness * impedance * depth
    weight = jnp.where(gap < _MARGIN, _MASS * impedance / (1 - impedance), 0.0)
    return _Contacts(normals, wanted, weight)


def _accelerated(free: Float[Array, " 2"], contacts: _Contacts) -> Float[Array, " 2"]:
    """The acceleration with contacts, from that without: Newton's method in the plane."""
    now = free
    for _ in range(_NEWTON_STEPS):
        short = contacts.normals @ now - contacts.wanted
        weight = jnp.where(short < 0, contacts.stiffness, 0.0)
        slope = _MASS * (now - free) + contacts.normals.T @ (weight * short)
        ((a, b), (_, c)) = contacts.normals.T @ (weight[:, None] * contacts.normals)
        a, c = a + _MASS, c + _MASS
        step = jnp.stack([c * slope[0] - b * slope[1], a * slope[1] - b * slope[0]])
        now = now - step / (a * c - b * b)
    return now


def move(
    walls: Bool[Array, "row column"], state: Float[Array, " 4"], action: Float[Array, " 2"]
) -> Float[Array, " 4"]:
    """One step of the ball; see the module.

    Args:
        walls: The maze; its border is wall.
        state: (x, y, velocity along x, along y).
        action: The force along each axis, as a share of the greatest; within [−1, 1].

    Returns:
        The next state.
    """
    position, velocity = state[:2], jnp.clip(state[2:], -_FASTEST, _FASTEST)
    free = (_FORCE * action - _DAMPING * velocity) / _MASS
    acceleration = _accelerated(free, _contacts(walls, position, velocity))
    # Damping is taken at the end of the step, as MuJoCo's Euler integrator does.
    velocity = velocity + _STEP * _MASS / (_MASS + _STEP * _DAMPING) * acceleration
    return jnp.concatenate([position + _STEP * velocity, velocity])


def clear(
    walls: Bool[Array, "row column"], states: Float[Array, "*batch n"], slack: float = 0.07
) -> Bool[Array, "*batch"]:
    """Whether the ball is in no wall.

    Args:
        walls: The maze.
        states: Their first two numbers are x and y.
        slack: As deep it may be: walls give way a little, by 0.07 at corners and full speed.

    Returns:
        Whether it is so.
    """
    positions = jnp.reshape(states[..., :2], (-1, 2))
    least = jax.vmap(lambda position: jnp.min(_gaps(walls, position)[0]))(positions)
    return jnp.reshape(least >= -slack, states.shape[:-1])


@struct.dataclass
class EnvState(environment.EnvState):
    """The number of steps so far, and (x, y, velocity along x, along y)."""

    time: Any
    observation: Any


@struct.dataclass
class EnvParams(environment.EnvParams):
    """The walls ``[row, column]``, the goal ``[2]``, and when an episode is cut off."""

    walls: Any = None
    goal: Any = None
    max_steps_in_episode: Any = 300


class PointMaze(VectorEnvironment):
    """The ball; the maze is in the parameters."""

    action_size, observation_size = 2, 4

    @property
    def default_params(self) -> EnvParams:
        """The U-shaped maze."""
        return _params(MAZES["umaze"])

    def start(self, key: PRNGKeyArray, params: EnvParams) -> EnvState:
        """At rest, near the middle of any cell."""
        position = anywhere(key, params.walls)
        return EnvState(time=jnp.int32(0), observation=jnp.append(position, jnp.zeros(2)))

    def move(
        self,
        key: PRNGKeyArray,  # noqa: ARG002
        state: EnvState,
        action: Float[Array, " 2"],
        params: EnvParams,
    ) -> tuple[EnvState, Float[Array, ""]]:
        """Push the ball."""
        after = move(params.walls, state.observation, action)
        near = jnp.linalg.norm(after[:2] - params.goal) <= REACH
        return state.replace(observation=after), near.astype(float)

    def see(self, state: EnvState, params: EnvParams) -> Float[Array, " 4"]:  # noqa: ARG002
        """The state."""
        return state.observation


def anywhere(key: PRNGKeyArray, walls: Bool[Array, "row column"]) -> Float[Array, " 2"]:
    """A place in the maze, up to 0.25 off the middle of a cell along each axis.

    Args:
        key: Key.
        walls: The maze.

    Returns:
        (x, y).
    """
    of_cell, of_offset = jax.random.split(key)
    chances = jnp.where(walls.reshape(-1), -jnp.inf, 0.0)
    rows, columns = walls.shape
    row, column = jnp.divmod(jax.random.categorical(of_cell, chances), columns)
    middle = jnp.stack([column + 0.5 - columns / 2, rows / 2 - row - 0.5])
    return middle + jax.random.uniform(of_offset, (2,), minval=-0.25, maxval=0.25)


def _params(maze: Maze) -> EnvParams:
    goal = waypoints.centre(maze.walls.shape, maze.goal)
    return EnvParams(
        walls=jnp.asarray(maze.walls),
        goal=jnp.asarray(goal, jnp.float32),
        max_steps_in_episode=maze.length,
    )


def point_maze(name: str) -> Control:
    """The problem of getting to a maze's goal, and staying there.

    Args:
        name: Of a maze in ``MAZES``.

    Returns:
        The problem.

    Raises:
        ValueError: If there is no such maze.
    """
    if name not in MAZES:
        raise ValueError(f"name is {name!r}; allowed: {', '.join(MAZES)}")
    return Control(f"point-maze-{name}", PointMaze(), _params(MAZES[name]))
