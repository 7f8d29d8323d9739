r"""A car that is to drive to a place, seen from above: SOLAR's second experiment.

The true state is (x, y, θ, v, φ): place, heading, speed and the angle of the front wheels. An
action changes the speed and the wheels, u a being at most 2 units or radians a second:

    x' = x + h v cos θ,  y' = y + h v sin θ,  θ' = θ + h v tan φ,  v' = v + h u a₁,  φ' = φ + h u a₂

with h = 0.1 and a wheelbase of 1. Place, speed and wheels stay within ±2.3, ±1 and ±π/4, where
they are clipped; a wall stops the car along one axis, and turns nothing. The car starts near
(1.5, −1.5), heading up, and is to come to (−2, 2), which is behind it on the left. The cost is
‖p − g‖² + ½·10⁻⁸ ‖u a‖².

In the picture, the car is blue with a dark nose, its front wheel is black, and the goal is red.
One picture shows x, y, θ and φ, but not v.

Dynamics, bounds, start and goal are those of the authors' library parasol (``SimpleCar``), the
weight is that of the released configuration. There, actions have no limits, and the episode's
length is left to the experiment: the limit and the 100 steps are ours. A car at full speed needs
at least 50.

References:
    Zhang et al.: SOLAR. ICML 2019; https://github.com/sharadmv/parasol.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.envs.pixels import building, shapes, world

REACH = 2.7
"""The picture shows ±2.7 in either direction."""

START, GOAL = (1.5, -1.5), (-2.0, 2.0)

_BOUNDS = (2.3, 2.3, jnp.inf, 1.0, jnp.pi / 4)
_PAPER, _BODY, _NOSE = (1.0, 1.0, 1.0), (0.16, 0.39, 0.92), (0.05, 0.12, 0.35)
_WHEEL, _TARGET = (0.0, 0.0, 0.0), (0.85, 0.15, 0.15)
_LENGTH, _WIDTH, _AXLE, _WHEEL_LENGTH = 0.5, 0.25, 0.45, 0.2
_GOAL_RADIUS = 0.22


@struct.dataclass
class CarParams(world.PixelParams):
    """The world's numbers."""

    seconds: Any = 0.1
    strength: Any = 2.0
    action_weight: Any = 0.5e-8
    spread: Any = 0.1
    goal: Any = GOAL
    random_goal: Any = 0.0
    goal_radius: Any = 0.3
    max_steps_in_episode: Any = 100


class Car(world.PixelEnvironment):
    """The car."""

    action_size, state_size, channels = 2, 5, 3

    @property
    def default_params(self) -> CarParams:
        """SOLAR's."""
        return CarParams()

    def first(
        self, key: PRNGKeyArray, params: CarParams
    ) -> tuple[Float[Array, " 5"], Float[Array, " 2"]]:
        """Near (1.5, −1.5), nearly heading up, at rest."""
        of_state, of_goal = jax.random.split(key)
        mean = jnp.asarray([*START, jnp.pi / 2, 0.0, 0.0])
        scatter = jnp.pad(jax.random.normal(of_state, (3,)), (0, 2))
        drawn = jax.random.uniform(of_goal, (2,), minval=-2.0, maxval=2.0)
        goal = jnp.where(params.random_goal > 0, drawn, jnp.asarray(params.goal))
        return mean + params.spread * scatter, goal

    def advance(
        self, x: Float[Array, " 5"], action: Float[Array, " 2"], params: CarParams
    ) -> Float[Array, " 5"]:
        """One step of Euler's, then the bounds."""
        _, _, heading, speed, wheel = x
        change = params.strength * action
        rates = [speed * jnp.cos(heading), speed * jnp.sin(heading), speed * jnp.tan(wheel)]
        return _bounded(x + params.seconds * jnp.concatenate([jnp.stack(rates), change]))

    def allowed(
        self,
        x: Float[Array, " 5"],
        calm: Float[Array, " 5"],  # noqa: ARG002
        params: CarParams,  # noqa: ARG002
    ) -> Float[Array, " 5"]:
        """The bounds again."""
        return _bounded(x)

    def cost(
        self,
        x: Float[Array, " 5"],
        action: Float[Array, " 2"],
        goal: Float[Array, " 2"],
        params: CarParams,
    ) -> Float[Array, ""]:
        """‖p − g‖² + ½·10⁻⁸ ‖u a‖²."""
        far, change = x[:2] - goal, params.strength * action
        return far @ far + params.action_weight * (change @ change)

    def draw(
        self,
        x: Float[Array, " 5"],
        goal: Float[Array, " 2"],
        params: CarParams,  # noqa: ARG002
    ) -> Float[Array, "side side 3"]:
        """The goal, the car over it, its nose and its front wheel."""
        canvas = shapes.Canvas.of(self.side, REACH)
        place, heading, wheel = x[:2], x[2], x[4]
        ahead, turned = _direction(heading), _direction(heading + wheel)
        axle = place + _AXLE * ahead
        forms = (
            (shapes.disc(canvas, goal, _GOAL_RADIUS), _TARGET),
            (shapes.box(canvas, place, (_LENGTH, _WIDTH), heading), _BODY),
            (shapes.box(canvas, place + 0.3 * ahead, (0.2, _WIDTH), heading), _NOSE),
            (
                shapes.capsule(
                    canvas, axle - _WHEEL_LENGTH * turned, axle + 2 * _WHEEL_LENGTH * turned, 0.09
                ),
                _WHEEL,
            ),
        )
        return shapes.paint([(shapes.covered(d, canvas), colour) for d, colour in forms], _PAPER)

    def arrived(
        self, x: Float[Array, " 5"], goal: Float[Array, " 2"], params: CarParams
    ) -> Bool[Array, ""]:
        """The car's middle is near to the goal."""
        return jnp.sum((x[:2] - goal) ** 2) <= params.goal_radius**2

    def wanted(self, goal: Float[Array, " 2"], params: CarParams) -> Float[Array, " 5"]:  # noqa: ARG002
        """At the goal, at rest, heading away from the start: any heading would do."""
        way = goal - jnp.asarray(START)
        return jnp.stack([*goal, jnp.arctan2(way[1], way[0]), jnp.zeros(()), jnp.zeros(())])


def _bounded(x: Float[Array, " 5"]) -> Float[Array, " 5"]:
    bounds = jnp.asarray(_BOUNDS)
    return jnp.clip(x, -bounds, bounds)


def _direction(angle: Float[Array, ""]) -> Float[Array, " 2"]:
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)])


def pixel_car(
    *,
    side: int = 64,
    frames: int = 1,
    goal: tuple[float, float] | None = GOAL,
    noise: float = 0.0,
    steps: int = 100,
) -> Control:
    """The problem of driving to a place.

    Args:
        side: How many pixels a side of the picture has.
        frames: How many states an observation shows.
        goal: Where to; None for another place in each episode.
        noise: The standard deviation of what is added to each number of a state.
        steps: An episode's.

    Returns:
        The problem.

    Raises:
        ValueError: If a value is not allowed.

    Example:
        >>> pixel_car(frames=2).spec.timestep.observation.shape
        (64, 64, 6)
    """
    params = CarParams(
        goal=building.point("goal", GOAL if goal is None else goal),
        random_goal=float(goal is None),
        noise=noise,
        max_steps_in_episode=steps,
    )
    return building.problem("pixel-car", Car(side, frames), params)
