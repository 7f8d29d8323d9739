r"""A robot in a square with six round obstacles, as in PC3's experiments.

The true state is the robot's place p = (down, right), in the 40 pixels of the sources' picture. An
action moves it by u a, u = 3 pixels, within 1.5 pixels of the walls. A move that would bring it to
where the middle of an obstacle is within the square of half side 1.5 around it is refused, and it
stays where it is. The cost is

    (10 ‖p − g‖² + ‖u a‖²) / 1600,

the weights of the sources' cost of latent states. An episode starts evenly within the square from
(3, 3) to (7, 7) and lasts 40 steps; its goal is one of three corners. The robot is in the goal
within 2 pixels of it.

A robot that goes straight to the goal at its greatest speed, through all obstacles, is in the goal
in 75.9 % of the states x_1 … x_40 (:func:`straight_line`; the paper's 76.0).

In the picture, robot and obstacles are white on black. The goal is in no picture: plan with
``goal_image``, as the sources do. Places, sizes, starts, goals and steps are those of the authors'
program PC3-pytorch of VinAIResearch. Its test of the goal is |Σ_i (p − g)_i| ≤ 2, evidently for the
distance, which ours is; its noise is uniform and positive, ours is normal. Noise that would bring
the robot into an obstacle does not happen.

Example:
    >>> problem = pixel_planar()
    >>> problem.spec.timestep.observation.shape, problem.spec.inner.states.shape
    ((40, 40, 1), (1, 2))
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.envs.pixels import building, shapes, world

SIZE = 40.0
"""The square's side."""

GOALS = ((37.0, 37.0), (37.0, 3.0), (3.0, 37.0))

OBSTACLES = ((20.5, 5.5), (20.5, 13.5), (20.5, 27.5), (20.5, 35.5), (10.5, 20.5), (30.5, 20.5))
"""Where the middles of the obstacles are, (down, right)."""

MARGIN = 1.5
"""How near to a wall or an obstacle the robot's middle comes."""

_ROBOT, _OBSTACLE = 1.5, 2.5


@struct.dataclass
class PlanarParams(world.PixelParams):
    """The world's numbers; a goal is drawn from the rows of ``goals``."""

    strength: Any = 3.0
    place_weight: Any = 10 / 1600
    move_weight: Any = 1 / 1600
    low: Any = (3.0, 3.0)
    high: Any = (7.0, 7.0)
    goals: Any = GOALS
    obstacles: Any = OBSTACLES
    goal_radius: Any = 2.0
    max_steps_in_episode: Any = 40


class Planar(world.PixelEnvironment):
    """The robot."""

    action_size, state_size, channels = 2, 2, 1

    @property
    def default_params(self) -> PlanarParams:
        """PC3's."""
        return PlanarParams()

    def first(
        self, key: PRNGKeyArray, params: PlanarParams
    ) -> tuple[Float[Array, " 2"], Float[Array, " 2"]]:
        """In the first corner; the goal is one of the rows."""
        of_place, of_goal = jax.random.split(key)
        low, high = jnp.asarray(params.low), jnp.asarray(params.high)
        place = low + (high - low) * jax.random.uniform(of_place, (2,))
        return place, jax.random.choice(of_goal, jnp.asarray(params.goals))

    def advance(
        self, x: Float[Array, " 2"], action: Float[Array, " 2"], params: PlanarParams
    ) -> Float[Array, " 2"]:
        """The move, or none."""
        return self.allowed(x + params.strength * action, x, params)

    def allowed(
        self, x: Float[Array, " 2"], calm: Float[Array, " 2"], params: PlanarParams
    ) -> Float[Array, " 2"]:
        """What is off the walls and the obstacles."""
        inside = jnp.clip(x, MARGIN, SIZE - MARGIN)
        apart = jnp.abs(jnp.asarray(params.obstacles) - inside)
        hit = jnp.any(jnp.all(apart <= MARGIN, axis=-1))
        return jnp.where(hit, calm, inside)

    def cost(
        self,
        x: Float[Array, " 2"],
        action: Float[Array, " 2"],
        goal: Float[Array, " 2"],
        params: PlanarParams,
    ) -> Float[Array, ""]:
        """(10 ‖p − g‖² + ‖u a‖²) / 1600."""
        far, move = x - goal, params.strength * action
        return params.place_weight * (far @ far) + params.move_weight * (move @ move)

    def draw(
        self,
        x: Float[Array, " 2"],
        goal: Float[Array, " 2"],  # noqa: ARG002
        params: PlanarParams,
    ) -> Float[Array, "side side 1"]:
        """The obstacles and the robot."""
        canvas = shapes.Canvas.of(self.side, SIZE / 2, (SIZE / 2, SIZE / 2))
        robot = shapes.box(canvas, _seen(x), (_ROBOT, _ROBOT))
        discs = [
            shapes.disc(canvas, _seen(place), _OBSTACLE) for place in jnp.asarray(params.obstacles)
        ]
        nearest = jnp.min(jnp.stack([robot, *discs]), axis=0)
        return shapes.covered(nearest, canvas)[..., None]

    def arrived(
        self, x: Float[Array, " 2"], goal: Float[Array, " 2"], params: PlanarParams
    ) -> Bool[Array, ""]:
        """The robot is near to the goal."""
        return jnp.sum((x - goal) ** 2) <= params.goal_radius**2

    def wanted(self, goal: Float[Array, " 2"], params: PlanarParams) -> Float[Array, " 2"]:  # noqa: ARG002
        """At the goal."""
        return goal


def _seen(place: Float[Array, " 2"]) -> Float[Array, " 2"]:
    """A place as (x, y) of the picture."""
    return jnp.stack([place[1], SIZE - place[0]])


def straight_line(
    x: Float[Array, " 2"], goal: Float[Array, " 2"], params: PlanarParams
) -> Float[Array, " 2"]:
    """The action that goes straight to the goal, as fast as can be.

    Args:
        x: A true state.
        goal: Where to.
        params: Parameters.

    Returns:
        The action; through obstacles only if there are none in ``params``.
    """
    far = (goal - x) / params.strength
    return far / jnp.maximum(jnp.max(jnp.abs(far)), 1.0)


def pixel_planar(
    *,
    side: int = 40,
    frames: int = 1,
    goal: tuple[float, float] | None = None,
    obstacles: Any = OBSTACLES,
    noise: float = 0.0,
    steps: int = 40,
) -> Control:
    """The problem of passing between obstacles.

    Args:
        side: How many pixels a side of the picture has.
        frames: How many states an observation shows.
        goal: Where to, (down, right); None for one of ``GOALS`` in each episode.
        obstacles: Where the middles of the obstacles are, (down, right); may be empty.
        noise: The standard deviation of what is added to each number of a state, in pixels.
        steps: An episode's.

    Returns:
        The problem.

    Raises:
        ValueError: If a value is not allowed.
    """
    places = np.asarray(obstacles, float)
    places = places if places.size else np.zeros((0, 2))
    pairs = places.ndim == 2 and places.shape[1] == 2 and bool(np.isfinite(places).all())
    building.check("obstacles", obstacles, pairs, "pairs of finite numbers")
    goals = GOALS if goal is None else (building.point("goal", goal),)
    inside = all(MARGIN <= number <= SIZE - MARGIN for place in goals for number in place)
    building.check("goal", goal, inside, f"from {MARGIN} to {SIZE - MARGIN}")
    params = PlanarParams(goals=goals, obstacles=places, noise=noise, max_steps_in_episode=steps)
    return building.problem("pixel-planar", Planar(side, frames), params)
