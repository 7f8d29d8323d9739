r"""Rods that are to stand upright, one or three of them, as in PC3's experiments.

A chain of n rods (``mechanics``) hangs on an axle in the middle of the
picture; a motor in each joint turns it with a torque u a_i. The true state is (φ, φ̇): the angles
of the rods themselves from upright, clockwise, and their velocities. A step is one of Runge and
Kutta's over h = 0.02 seconds, after which the joints' velocities are clipped to what is fastest.
Angles are not wrapped: all that is drawn, measured and paid for depends on their sines and cosines.
The cost is

    Σ_i 2 (1 − cos φ_i) + w_v ‖φ̇‖² + w_a ‖u a‖²,

near upright ‖φ‖² + …, and the goal is that every rod is within π/6 of upright.

The rods are white on black, and their drawn lengths differ from their lengths. With ``frames=2``,
the default here and in the sources, the picture shows velocities too.

From the authors' programs (PCC-pytorch and PC3-pytorch, of VinAIResearch) we have: masses of 0.1
kg, lengths of 0.5 m, h, limits of torques and velocities, pictures' sizes, starts, goals and
numbers of steps. Ours are: the cost, which they have none of (they measure the time in the goal,
and plan with a cost of latent states); and for three rods, that h is the same in and off the goal
(theirs is 0.05 off it) and that joints turn without stops.

- The pendulum there has the inertia of an even rod, m ℓ²/3, and the weight of a mass at its end,
  m g ℓ: that is an even rod's motion under twice the gravity, as it is written here.
- Balancing starts exactly upright. Without noise, doing nothing is best: ask for noise, or a tilt.

Example:
    >>> pixel_pendulum("swing-up").spec.timestep.observation.shape
    (48, 48, 2)
    >>> pixel_three_link().environment.state_size
    6
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.envs.pixels import building, mechanics, shapes, world

TASKS = ("balance", "swing-up")
"""Of the pendulum."""

FOLDED = (0.95 * np.pi, 1.6 * np.pi, 1.93 * np.pi)
"""How the three rods start: the joints are bent by 0.95, 0.65 and 0.33 π."""


@struct.dataclass
class PolesParams(world.PixelParams):
    """The world's numbers: of rods, of starts (least and greatest angles), of costs, of pictures.

    ``drawn`` and ``radius`` are the length and half the width of a rod in pixels.
    """

    masses: Any = (0.1,)
    lengths: Any = (0.5,)
    gravity: Any = 2 * 9.81
    seconds: Any = 0.02
    strength: Any = 0.65
    fastest: Any = 3 * np.pi
    low: Any = (0.0,)
    high: Any = (0.0,)
    velocity_weight: Any = 0.01
    torque_weight: Any = 0.1
    goal_angle: Any = np.pi / 6
    drawn: Any = 22.0
    radius: Any = 2.0
    max_steps_in_episode: Any = 100


class Poles(world.PixelEnvironment):
    """The rods.

    Attributes:
        rods: How many there are.
    """

    channels = 1

    def __init__(self, rods: int, side: int, frames: int) -> None:
        self.rods, self.action_size, self.state_size = rods, rods, 2 * rods
        super().__init__(side, frames)

    @property
    def default_params(self) -> PolesParams:
        """A pendulum that is to be balanced, or three rods that are to be unfolded."""
        if self.rods == 1:
            return PolesParams()
        return PolesParams(
            masses=(0.1,) * self.rods,
            lengths=(0.5,) * self.rods,
            gravity=9.81,
            strength=1.0,
            fastest=np.pi / 2,
            low=FOLDED[: self.rods],
            high=FOLDED[: self.rods],
            torque_weight=0.01,
            drawn=80 / 6 - 2,
            radius=2.5,
            max_steps_in_episode=400,
        )

    def chain(self, params: PolesParams) -> mechanics.Chain:
        """The rods' mechanics.

        Args:
            params: Parameters.

        Returns:
            The chain.
        """
        return mechanics.Chain.of_rods(params.masses, params.lengths, gravity=params.gravity)

    def first(
        self, key: PRNGKeyArray, params: PolesParams
    ) -> tuple[Float[Array, " n"], Float[Array, " 0"]]:
        """Evenly between the least and the greatest angles, at rest."""
        low, high = jnp.asarray(params.low), jnp.asarray(params.high)
        angles = low + (high - low) * jax.random.uniform(key, (self.rods,))
        return jnp.concatenate([angles, jnp.zeros(self.rods)]), jnp.zeros(0)

    def advance(
        self, x: Float[Array, " n"], action: Float[Array, " m"], params: PolesParams
    ) -> Float[Array, " n"]:
        """Lagrange's equations, then the limit of velocities."""
        chain, torques = self.chain(params), params.strength * action

        def derivative(x: Float[Array, " n"]) -> Float[Array, " n"]:
            angles, velocities = jnp.split(x, 2)
            change = chain.accelerations(angles, velocities, torques)
            return jnp.concatenate([velocities, change])

        angles, velocities = jnp.split(mechanics.runge_kutta(derivative, x, params.seconds), 2)
        return jnp.concatenate([angles, mechanics.limited(velocities, params.fastest)])

    def cost(
        self,
        x: Float[Array, " n"],
        action: Float[Array, " m"],
        goal: Float[Array, " 0"],  # noqa: ARG002
        params: PolesParams,
    ) -> Float[Array, ""]:
        """Σ 2 (1 − cos φ_i) + w_v ‖φ̇‖² + w_a ‖u a‖²."""
        angles, velocities = jnp.split(x, 2)
        torques = params.strength * action
        moving = params.velocity_weight * (velocities @ velocities)
        turning = params.torque_weight * (torques @ torques)
        return 2 * jnp.sum(1 - jnp.cos(angles)) + moving + turning

    def draw(
        self,
        x: Float[Array, " n"],
        goal: Float[Array, " 0"],  # noqa: ARG002
        params: PolesParams,
    ) -> Float[Array, "side side 1"]:
        """The rods."""
        canvas = shapes.Canvas.of(self.side, _SIDES[self.rods] / 2)
        joints = mechanics.joints_of(x[: self.rods], (params.drawn,) * self.rods)
        rods = [
            shapes.capsule(canvas, near, far, params.radius)
            for near, far in itertools.pairwise(joints)
        ]
        nearest = jnp.min(jnp.stack(rods), axis=0)
        return shapes.covered(nearest, canvas)[..., None]

    def arrived(
        self,
        x: Float[Array, " n"],
        goal: Float[Array, " 0"],  # noqa: ARG002
        params: PolesParams,
    ) -> Bool[Array, ""]:
        """Every rod is nearly upright."""
        return jnp.all(jnp.cos(x[: self.rods]) >= jnp.cos(params.goal_angle))

    def wanted(self, goal: Float[Array, " 0"], params: PolesParams) -> Float[Array, " n"]:  # noqa: ARG002
        """Upright."""
        return jnp.zeros(self.state_size)


_SIDES = {1: 48.0, 3: 80.0}  # The pictures' sides in the sources, in which rods are measured.


def pixel_pendulum(
    task: str = "balance",
    *,
    side: int = 48,
    frames: int = 2,
    tilt: float = 0.0,
    noise: float = 0.0,
    steps: int = 100,
) -> Control:
    """The problem of a pendulum that is to stand upright.

    Args:
        task: ``"balance"`` from upright, or ``"swing-up"`` from 0.90 to 0.95 π.
        side: How many pixels a side of the picture has.
        frames: How many states an observation shows.
        tilt: By how much, in radians, the start may be off either way.
        noise: The standard deviation of what is added to each number of a state.
        steps: An episode's.

    Returns:
        The problem.

    Raises:
        ValueError: If a value is not allowed.
    """
    building.check("task", task, task in TASKS, f"one of {', '.join(TASKS)}")
    building.check("tilt", tilt, tilt >= 0, "at least 0")
    low, high = (0.0, 0.0) if task == "balance" else (0.9 * np.pi, 0.95 * np.pi)
    params = PolesParams(
        low=(low - tilt,),
        high=(high + tilt,),
        noise=noise,
        max_steps_in_episode=steps,
    )
    return building.problem(f"pixel-pendulum-{task}", Poles(1, side, frames), params)


def pixel_three_link(
    *, side: int = 80, frames: int = 2, tilt: float = 0.0, noise: float = 0.0, steps: int = 400
) -> Control:
    """The problem of three rods that are to be unfolded upwards.

    Args:
        side: How many pixels a side of the picture has.
        frames: How many states an observation shows.
        tilt: By how much, in radians, each rod may be off at the start either way.
        noise: The standard deviation of what is added to each number of a state.
        steps: An episode's.

    Returns:
        The problem.

    Raises:
        ValueError: If a value is not allowed.
    """
    building.check("tilt", tilt, tilt >= 0, "at least 0")
    environment = Poles(3, side, frames)
    params = environment.default_params.replace(
        low=np.asarray(FOLDED) - tilt,
        high=np.asarray(FOLDED) + tilt,
        noise=noise,
        max_steps_in_episode=steps,
    )
    return building.problem("pixel-three-link", environment, params)
