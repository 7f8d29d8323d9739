r"""A point in the plane that is to find a goal: linear, with a quadratic cost, seen as a picture.

Of order 1, an action a ∈ [−1, 1]² moves the point; of order 2 it pushes it, for h seconds:

    p' = p + u a;        p' = p + h v + ½ h² u a,    v' = v + h u a;

the cost is ‖p − g‖² + w_v ‖v‖² + w_a ‖a‖². The true state is p, or (p, v). The weight w_a is such
that the best controller, which is linear, stays within the limits from all usual starts, so that
LQR on the true system is optimal in the environment too. There are no walls: the picture shows
what is within ±3 of the origin.

In the picture, the point is white and the goal grey, on black. It is SOLAR's first experiment
(Zhang et al. 2019), whose numbers are not known to us: ours start like its car, and end at the
origin.

Example:
    >>> nav = pixel_navigation(order=2)
    >>> nav.spec.timestep.observation.shape
    (32, 32, 1)
    >>> A, B = nav.environment.transition(nav.params)
    >>> A.round(3)[0].tolist() == [1.0, 0.0, jnp.float32(0.1), 0.0]
    True
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.envs.pixels import building, shapes, world

REACH = 3.0
"""The picture shows ±3 in either direction."""

RADIUS = 0.25
"""The point's; the goal is 0.2."""

_GOAL_RADIUS, _GOAL_LIGHT = 0.2, 0.45


@struct.dataclass
class NavigationParams(world.PixelParams):
    """The world's numbers; of order 1, ``seconds`` and ``velocity_weight`` say nothing."""

    seconds: Any = 0.1
    strength: Any = 0.25
    velocity_weight: Any = 0.1
    action_weight: Any = 3.0
    start: Any = (1.5, -1.5)
    spread: Any = 0.1
    goal: Any = (0.0, 0.0)
    random_goal: Any = 0.0
    goal_reach: Any = 1.2
    goal_radius: Any = 0.2


class Navigation(world.PixelEnvironment):
    """The point.

    Attributes:
        order: 1 if actions move it, 2 if they push it.
    """

    action_size, channels = 2, 1

    def __init__(self, order: int, side: int, frames: int) -> None:
        self.order, self.state_size = order, 2 * order
        super().__init__(side, frames)

    @property
    def default_params(self) -> NavigationParams:
        """Of this order."""
        return NavigationParams() if self.order == 1 else NavigationParams(strength=4.0)

    def transition(
        self, params: NavigationParams
    ) -> tuple[Float[Array, "n n"], Float[Array, "n 2"]]:
        """The world's matrices.

        Args:
            params: Parameters.

        Returns:
            (A, B) of x' = A x + B a; the noise's W is σ² I.
        """
        plane, u, h = jnp.eye(2), params.strength, params.seconds
        if self.order == 1:
            return plane, u * plane
        moved = jnp.stack([jnp.asarray([1.0, h]), jnp.asarray([0.0, 1.0])])
        return jnp.kron(moved, plane), jnp.kron(u * jnp.asarray([[h**2 / 2], [h]]), plane)

    def first(
        self, key: PRNGKeyArray, params: NavigationParams
    ) -> tuple[Float[Array, " n"], Float[Array, " 2"]]:
        """Near the start, in all numbers of a state; the goal is fixed, or anywhere in a square."""
        of_state, of_goal = jax.random.split(key)
        start = jnp.pad(jnp.asarray(params.start), (0, self.state_size - 2))
        drawn = jax.random.uniform(of_goal, (2,), minval=-1.0, maxval=1.0) * params.goal_reach
        goal = jnp.where(params.random_goal > 0, drawn, jnp.asarray(params.goal))
        return start + params.spread * jax.random.normal(of_state, start.shape), goal

    def advance(
        self, x: Float[Array, " n"], action: Float[Array, " 2"], params: NavigationParams
    ) -> Float[Array, " n"]:
        """A x + B a."""
        A, B = self.transition(params)
        return A @ x + B @ action

    def cost(
        self,
        x: Float[Array, " n"],
        action: Float[Array, " 2"],
        goal: Float[Array, " 2"],
        params: NavigationParams,
    ) -> Float[Array, ""]:
        """‖p − g‖² + w_v ‖v‖² + w_a ‖a‖²."""
        far, velocity = x[:2] - goal, x[2:]
        moving = params.velocity_weight * (velocity @ velocity)
        return far @ far + moving + params.action_weight * (action @ action)

    def draw(
        self,
        x: Float[Array, " n"],
        goal: Float[Array, " 2"],
        params: NavigationParams,  # noqa: ARG002
    ) -> Float[Array, "side side 1"]:
        """The goal, and the point over it."""
        canvas = shapes.Canvas.of(self.side, REACH)
        target = shapes.covered(shapes.disc(canvas, goal, _GOAL_RADIUS), canvas)
        point = shapes.covered(shapes.disc(canvas, x[:2], RADIUS), canvas)
        return shapes.paint([(target, (_GOAL_LIGHT,)), (point, (1.0,))], paper=(0.0,))

    def arrived(
        self, x: Float[Array, " n"], goal: Float[Array, " 2"], params: NavigationParams
    ) -> Bool[Array, ""]:
        """The point is near to the goal."""
        return jnp.sum((x[:2] - goal) ** 2) <= params.goal_radius**2

    def wanted(self, goal: Float[Array, " 2"], params: NavigationParams) -> Float[Array, " n"]:  # noqa: ARG002
        """At the goal."""
        return jnp.pad(goal, (0, self.state_size - 2))


def pixel_navigation(
    order: int = 1,
    *,
    side: int = 32,
    frames: int = 1,
    goal: tuple[float, float] | None = (0.0, 0.0),
    noise: float = 0.0,
    steps: int = 50,
) -> Control:
    """The problem of finding the goal.

    Args:
        order: 1 for a point that actions move, 2 for one that they push.
        side: How many pixels a side of the picture has; 32 or 64 are usual.
        frames: How many states an observation shows.
        goal: Where the goal is, from the middle; None for another place in each episode.
        noise: The standard deviation of what is added to each number of a state.
        steps: An episode's.

    Returns:
        The problem.

    Raises:
        ValueError: If a value is not allowed.
    """
    building.check("order", order, order in (1, 2), "1 or 2")
    environment = Navigation(order, side, frames)
    params = environment.default_params.replace(
        goal=building.point("goal", (0.0, 0.0) if goal is None else goal),
        random_goal=float(goal is None),
        noise=noise,
        max_steps_in_episode=steps,
    )
    return building.problem(f"pixel-navigation-{order}", environment, params)
