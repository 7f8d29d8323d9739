r"""An arm of two links that is to bring its tip to a place: SOLAR's third experiment.

The arm lies in the plane, seen from above, without gravity. The true state is (φ, φ̇): the angles
of the two links themselves, clockwise from the picture's upward direction, and their velocities. A
motor in each joint turns it with a torque u a_i, and friction takes d times the joint's velocity
(``mechanics``); a step is one of Runge and Kutta's over h = 0.02 seconds.
The cost is smooth where the tip t is at the goal g, and elsewhere nearly ‖t − g‖ + ‖a‖²:

    √(‖t − g‖² + ε²) − ε + ‖a‖²,    ε = 0.01.

In the picture, the first link is dark blue, the second light blue with a green tip; the goal is
red. It shows no velocities.

Lengths of 0.1 and 0.11, u = 200, d = 1, rotors of inertia 1 and h are those of MuJoCo's reacher in
Gym and in the authors' parasol, as are the start (stretched out to the right, velocities within
±0.005), the goal at (−0.1, −0.1) and 50 steps. The rotors weigh so much that the joints hardly
feel each other; with ``rotor=0`` they do. Ours are: thin rods of 0.036 and 0.04 kg instead of
capsules; a second joint without stops (±3 there); random goals anywhere within reach; and ε.

References:
    Zhang et al.: SOLAR. ICML 2019; https://github.com/sharadmv/parasol.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.envs.pixels import building, mechanics, shapes, world

LENGTHS = (0.1, 0.11)
"""Of the links, in metres."""

REACH = 0.25
"""The picture shows ±0.25 in either direction."""

GOAL = (-0.1, -0.1)

_PAPER, _TARGET, _TIP = (1.0, 1.0, 1.0), (0.86, 0.15, 0.15), (0.02, 0.59, 0.41)
_LINKS = ((0.09, 0.2, 0.55), (0.3, 0.55, 0.95))
_RADIUS, _TIP_RADIUS, _GOAL_RADIUS = 0.013, 0.018, 0.018


@struct.dataclass
class ReacherParams(world.PixelParams):
    """The world's numbers, in SI units."""

    masses: Any = (0.036, 0.04)
    lengths: Any = LENGTHS
    rotor: Any = 1.0
    damping: Any = 1.0
    strength: Any = 200.0
    seconds: Any = 0.02
    smoothing: Any = 0.01
    action_weight: Any = 1.0
    goal: Any = GOAL
    random_goal: Any = 0.0
    goal_radius: Any = 0.02


class Reacher(world.PixelEnvironment):
    """The arm."""

    action_size, state_size, channels = 2, 4, 3

    @property
    def default_params(self) -> ReacherParams:
        """SOLAR's."""
        return ReacherParams()

    def chain(self, params: ReacherParams) -> mechanics.Chain:
        """The links' mechanics.

        Args:
            params: Parameters.

        Returns:
            The chain.
        """
        return mechanics.Chain.of_rods(params.masses, params.lengths, rotor=params.rotor)

    def tip(self, x: Float[Array, " 4"], params: ReacherParams) -> Float[Array, " 2"]:
        """Where the tip is.

        Args:
            x: A true state.
            params: Parameters.

        Returns:
            (x, y), from the first joint.
        """
        return mechanics.joints_of(x[:2], params.lengths)[-1]

    def first(
        self, key: PRNGKeyArray, params: ReacherParams
    ) -> tuple[Float[Array, " 4"], Float[Array, " 2"]]:
        """Stretched out to the right, nearly at rest."""
        of_state, of_distance, of_angle = jax.random.split(key, 3)
        velocities = jax.random.uniform(of_state, (2,), minval=-0.005, maxval=0.005)
        far = jnp.sum(jnp.asarray(params.lengths))
        distance = far * jnp.sqrt(jax.random.uniform(of_distance, minval=0.01, maxval=0.9))
        angle = 2 * jnp.pi * jax.random.uniform(of_angle)
        drawn = distance * jnp.stack([jnp.sin(angle), jnp.cos(angle)])
        goal = jnp.where(params.random_goal > 0, drawn, jnp.asarray(params.goal))
        return jnp.concatenate([jnp.full(2, jnp.pi / 2), velocities]), goal

    def advance(
        self, x: Float[Array, " 4"], action: Float[Array, " 2"], params: ReacherParams
    ) -> Float[Array, " 4"]:
        """Lagrange's equations with friction."""
        chain = self.chain(params)

        def derivative(x: Float[Array, " 4"]) -> Float[Array, " 4"]:
            angles, velocities = jnp.split(x, 2)
            friction = params.damping * mechanics.of_joints(velocities)
            torques = params.strength * action - friction
            change = chain.accelerations(angles, velocities, torques)
            return jnp.concatenate([velocities, change])

        return mechanics.runge_kutta(derivative, x, params.seconds)

    def cost(
        self,
        x: Float[Array, " 4"],
        action: Float[Array, " 2"],
        goal: Float[Array, " 2"],
        params: ReacherParams,
    ) -> Float[Array, ""]:
        """√(‖t − g‖² + ε²) − ε + ‖a‖²."""
        far, smoothing = self.tip(x, params) - goal, params.smoothing
        distance = jnp.sqrt(far @ far + smoothing**2) - smoothing
        return distance + params.action_weight * (action @ action)

    def draw(
        self, x: Float[Array, " 4"], goal: Float[Array, " 2"], params: ReacherParams
    ) -> Float[Array, "side side 3"]:
        """The goal, and the arm over it."""
        canvas = shapes.Canvas.of(self.side, REACH)
        base, elbow, tip = mechanics.joints_of(x[:2], params.lengths)
        forms = (
            (shapes.disc(canvas, goal, _GOAL_RADIUS), _TARGET),
            (shapes.capsule(canvas, base, elbow, _RADIUS), _LINKS[0]),
            (shapes.capsule(canvas, elbow, tip, _RADIUS), _LINKS[1]),
            (shapes.disc(canvas, tip, _TIP_RADIUS), _TIP),
        )
        return shapes.paint([(shapes.covered(d, canvas), colour) for d, colour in forms], _PAPER)

    def arrived(
        self, x: Float[Array, " 4"], goal: Float[Array, " 2"], params: ReacherParams
    ) -> Bool[Array, ""]:
        """The tip is near to the goal."""
        return jnp.sum((self.tip(x, params) - goal) ** 2) <= params.goal_radius**2

    def wanted(self, goal: Float[Array, " 2"], params: ReacherParams) -> Float[Array, " 4"]:
        """The tip at the goal, at rest; one of the two ways to bend the elbow."""
        return jnp.concatenate([mechanics.reaching(goal, params.lengths), jnp.zeros(2)])


def pixel_reacher(
    *,
    side: int = 64,
    frames: int = 1,
    goal: tuple[float, float] | None = GOAL,
    noise: float = 0.0,
    steps: int = 50,
) -> Control:
    """The problem of bringing the tip to a place.

    Args:
        side: How many pixels a side of the picture has.
        frames: How many states an observation shows.
        goal: Where to, from the first joint, within 0.01 and 0.21; None for another place in
            each episode.
        noise: The standard deviation of what is added to each number of a state.
        steps: An episode's.

    Returns:
        The problem.

    Raises:
        ValueError: If a value is not allowed.

    Example:
        >>> pixel_reacher(frames=2).spec.timestep.observation.shape
        (64, 64, 6)
    """
    place = building.point("goal", GOAL if goal is None else goal)
    near, far = abs(LENGTHS[0] - LENGTHS[1]), sum(LENGTHS)
    building.check("goal", goal, near < np.hypot(*place) < far, f"within {near:.2f} and {far:.2f}")
    params = ReacherParams(
        goal=place,
        random_goal=float(goal is None),
        noise=noise,
        max_steps_in_episode=steps,
    )
    return building.problem("pixel-reacher", Reacher(side, frames), params)
