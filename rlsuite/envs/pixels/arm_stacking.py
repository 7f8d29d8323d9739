r"""An arm that is to put the block it holds onto another one: in place of SOLAR's Sawyer and Lego.

The world is a vertical plane with a table at height 0. Two links of 0.8 m hang on a shoulder at
(−0.8, 0.6). A suction cup at the tip holds a block of side 0.24 below it, which a wrist keeps
level; as in SOLAR's experiment, the block is held from the first step to the last. The other
block stands on the table, its middle at (0.45, 0.12). The true state is (φ, φ̇): the links' angles
from upright, clockwise, and their velocities. Servos follow an action, the wanted velocities:

    φ̇' = φ̇ + κ (u a − φ̇),    φ' = φ + h φ̇',

with κ = 0.5, u = 0.8 rad/s, h = 0.1 s: linear, and only what is seen and paid for is not. A step
that would bring the held block into the table or into the other block is refused: the arm stays
and stops. With p the middle of the held block and g what it is to be, 0.01 above the other block,

    cost = ‖p − g‖² + w_v ‖φ̇‖² + w_a ‖a‖²,

and the goal is that p is within 0.05 of g. Letting go is no part of the task.

There are three starts, of rising difficulty:

- ``"above"``: the block is above the goal;
- ``"far"``: it is far to the left, and the arm folded;
- ``"beside"``: it is low beside the other block, which is in the way of a straight line.

In the picture, the held block is blue, the other one orange, the arm dark.

Reference:
    Zhang et al.: SOLAR. ICML 2019, whose Sawyer stacks Lego blocks from three positions.

Example:
    >>> problem = pixel_arm_stacking("beside")
    >>> problem.spec.timestep.observation.shape, problem.spec.actions.size
    ((64, 64, 3), 2)
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.envs.pixels import building, mechanics, shapes, world

STARTS = {"above": (0.45, 0.8), "far": (-0.35, 0.75), "beside": (0.05, 0.2)}
"""Where the middle of the held block is at first."""

SHOULDER, LENGTHS = (-0.8, 0.6), (0.8, 0.8)

HALF = 0.12
"""Half of a block's side."""

OTHER = (0.45, HALF)
"""Where the middle of the other block is."""

GOAL = (0.45, 3 * HALF + 0.01)

_REACH, _MIDDLE = 1.1, (-0.05, 0.95)
_PAPER, _TABLE, _ARM, _JOINT = (1.0, 1.0, 1.0), (0.75, 0.75, 0.75), (0.25, 0.27, 0.3), (0.5,) * 3
_HELD, _OTHER = (0.15, 0.39, 0.92), (0.93, 0.48, 0.05)
_RADIUS, _JOINT_RADIUS = 0.055, 0.09


@struct.dataclass
class ArmStackingParams(world.PixelParams):
    """The world's numbers; ``start`` is where the held block is."""

    seconds: Any = 0.1
    following: Any = 0.5
    strength: Any = 0.8
    velocity_weight: Any = 0.01
    action_weight: Any = 0.01
    start: Any = STARTS["above"]
    spread: Any = 0.01
    goal_radius: Any = 0.05


class ArmStacking(world.PixelEnvironment):
    """The arm and its two blocks."""

    action_size, state_size, channels = 2, 4, 3

    @property
    def default_params(self) -> ArmStackingParams:
        """From above the goal."""
        return ArmStackingParams()

    def first(
        self, key: PRNGKeyArray, params: ArmStackingParams
    ) -> tuple[Float[Array, " 4"], Float[Array, " 2"]]:
        """The angles are near those of the start, the arm at rest."""
        angles = _angles(jnp.asarray(params.start))
        scattered = angles + params.spread * jax.random.normal(key, (2,))
        return jnp.concatenate([scattered, jnp.zeros(2)]), jnp.asarray(GOAL)

    def advance(
        self, x: Float[Array, " 4"], action: Float[Array, " 2"], params: ArmStackingParams
    ) -> Float[Array, " 4"]:
        """The servos' step, or a stop."""
        angles, velocities = jnp.split(x, 2)
        after = velocities + params.following * (params.strength * action - velocities)
        moved = jnp.concatenate([angles + params.seconds * after, after])
        stopped = jnp.concatenate([angles, jnp.zeros(2)])
        return self.allowed(moved, stopped, params)

    def allowed(
        self,
        x: Float[Array, " 4"],
        calm: Float[Array, " 4"],
        params: ArmStackingParams,  # noqa: ARG002
    ) -> Float[Array, " 4"]:
        """What has the held block off the table and off the other block."""
        middle = held(x)
        apart = jnp.abs(middle - jnp.asarray(OTHER))
        hit = (middle[1] < HALF) | jnp.all(apart < 2 * HALF)
        return jnp.where(hit, calm, x)

    def cost(
        self,
        x: Float[Array, " 4"],
        action: Float[Array, " 2"],
        goal: Float[Array, " 2"],
        params: ArmStackingParams,
    ) -> Float[Array, ""]:
        """‖p − g‖² + w_v ‖φ̇‖² + w_a ‖a‖²."""
        far, velocities = held(x) - goal, x[2:]
        moving = params.velocity_weight * (velocities @ velocities)
        return far @ far + moving + params.action_weight * (action @ action)

    def draw(
        self,
        x: Float[Array, " 4"],
        goal: Float[Array, " 2"],  # noqa: ARG002
        params: ArmStackingParams,  # noqa: ARG002
    ) -> Float[Array, "side side 3"]:
        """The table, the blocks, and the arm over them."""
        canvas = shapes.Canvas.of(self.side, _REACH, _MIDDLE)
        shoulder, elbow, tip = _joints(x)
        forms = (
            (canvas.y, _TABLE),
            (shapes.box(canvas, jnp.asarray(OTHER), (HALF, HALF)), _OTHER),
            (shapes.box(canvas, held(x), (HALF, HALF)), _HELD),
            (shapes.capsule(canvas, shoulder, elbow, _RADIUS), _ARM),
            (shapes.capsule(canvas, elbow, tip, _RADIUS), _ARM),
            (shapes.disc(canvas, shoulder, _JOINT_RADIUS), _JOINT),
            (shapes.disc(canvas, elbow, _JOINT_RADIUS), _JOINT),
        )
        return shapes.paint([(shapes.covered(d, canvas), colour) for d, colour in forms], _PAPER)

    def arrived(
        self, x: Float[Array, " 4"], goal: Float[Array, " 2"], params: ArmStackingParams
    ) -> Bool[Array, ""]:
        """The held block is all but on the other one."""
        return jnp.sum((held(x) - goal) ** 2) <= params.goal_radius**2

    def wanted(self, goal: Float[Array, " 2"], params: ArmStackingParams) -> Float[Array, " 4"]:  # noqa: ARG002
        """On the other block, at rest, the elbow above."""
        return jnp.concatenate([_angles(goal), jnp.zeros(2)])


def held(x: Float[Array, " 4"]) -> Float[Array, " 2"]:
    """p: where the middle of the held block is.

    Args:
        x: A true state.

    Returns:
        (x, y) in metres.
    """
    return _joints(x)[-1] - jnp.asarray([0.0, HALF])


def _joints(x: Float[Array, " 4"]) -> Float[Array, "3 2"]:
    return jnp.asarray(SHOULDER) + mechanics.joints_of(x[:2], LENGTHS)


def _angles(middle: Float[Array, " 2"]) -> Float[Array, " 2"]:
    """The links' angles when the held block is there; inverse of ``held``."""
    tip = middle + jnp.asarray([0.0, HALF])
    return mechanics.reaching(tip - jnp.asarray(SHOULDER), LENGTHS)


def pixel_arm_stacking(
    start: str = "above",
    *,
    side: int = 64,
    frames: int = 1,
    noise: float = 0.0,
    steps: int = 50,
) -> Control:
    """The problem of putting a block onto another one.

    Args:
        start: One of ``STARTS``.
        side: How many pixels a side of the picture has.
        frames: How many states an observation shows.
        noise: The standard deviation of what is added to each number of a state.
        steps: An episode's.

    Returns:
        The problem.

    Raises:
        ValueError: If a value is not allowed.
    """
    building.check("start", start, start in STARTS, f"one of {', '.join(STARTS)}")
    params = ArmStackingParams(start=STARTS[start], noise=noise, max_steps_in_episode=steps)
    return building.problem(f"pixel-arm-stacking-{start}", ArmStacking(side, frames), params)
