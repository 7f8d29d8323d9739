r"""A pole on a cart that is to be balanced, as in PC3's experiments.

The true state is (x, φ, ẋ, φ̇): the cart's place and the pole's angle from upright, clockwise. A
force u a pushes the cart. With the cart's mass M, the pole's m and its half length ℓ, Lagrange's
equations are

    (M + m) ẍ + m ℓ cos φ φ̈ = u a + m ℓ sin φ φ̇²,    m ℓ cos φ ẍ + (4/3) m ℓ² φ̈ = m g ℓ sin φ,

which a step of Runge and Kutta follows for h = 0.02 seconds; then the velocities are clipped to ±6
and ±2π. The cost is w_x x² + 2 (1 − cos φ) + w_v (ẋ² + φ̇²) + w_a (u a)², and the goal is that the
pole is within π/10 of upright, wherever the cart is. An episode starts at rest in the middle, the
pole within ±π/8.

In the picture, cart and pole are white on black; what is 2.4 from the middle is near the edge, and
a cart that goes beyond leaves the picture. ``frames=2`` shows velocities too.

All numbers but the cost's are those of the authors' program PC3-pytorch of VinAIResearch.

Example:
    >>> pixel_cart_pole().spec.timestep.observation.shape
    (80, 80, 2)
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.envs.pixels import building, mechanics, shapes, world

_SIDE = 80.0  # The picture's side in the source, in pixels, in which the following is measured.
_HALF_CART, _BASE, _POLE, _POLE_RADIUS = (8.0, 4.0), 10.0, 52.0, 3.0
_PER_METRE = 32.0 / 2.4


@struct.dataclass
class CartPoleParams(world.PixelParams):
    """The world's numbers; ``length`` is half of the pole's, ``tilt`` the greatest at first."""

    cart_mass: Any = 1.0
    pole_mass: Any = 0.1
    length: Any = 0.5
    gravity: Any = 9.81
    seconds: Any = 0.02
    strength: Any = 10.0
    fastest: Any = (6.0, 2 * np.pi)
    tilt: Any = np.pi / 8
    place_weight: Any = 0.1
    velocity_weight: Any = 0.01
    force_weight: Any = 0.001
    goal_angle: Any = np.pi / 10


class CartPole(world.PixelEnvironment):
    """The cart and its pole."""

    action_size, state_size, channels = 1, 4, 1

    @property
    def default_params(self) -> CartPoleParams:
        """PC3's."""
        return CartPoleParams()

    def first(
        self, key: PRNGKeyArray, params: CartPoleParams
    ) -> tuple[Float[Array, " 4"], Float[Array, " 0"]]:
        """In the middle, tilted, at rest."""
        angle = params.tilt * jax.random.uniform(key, minval=-1.0, maxval=1.0)
        return jnp.zeros(4).at[1].set(angle), jnp.zeros(0)

    def advance(
        self, x: Float[Array, " 4"], action: Float[Array, " 1"], params: CartPoleParams
    ) -> Float[Array, " 4"]:
        """Lagrange's equations, then the limits of velocities."""

        def derivative(x: Float[Array, " 4"]) -> Float[Array, " 4"]:
            return jnp.concatenate([x[2:], accelerations(x, params.strength * action[0], params)])

        after = mechanics.runge_kutta(derivative, x, params.seconds)
        fastest = jnp.asarray(params.fastest)
        return jnp.concatenate([after[:2], jnp.clip(after[2:], -fastest, fastest)])

    def cost(
        self,
        x: Float[Array, " 4"],
        action: Float[Array, " 1"],
        goal: Float[Array, " 0"],  # noqa: ARG002
        params: CartPoleParams,
    ) -> Float[Array, ""]:
        """w_x x² + 2 (1 − cos φ) + w_v (ẋ² + φ̇²) + w_a (u a)²."""
        place, angle = x[:2]
        moving = params.velocity_weight * (x[2:] @ x[2:])
        pushing = params.force_weight * jnp.sum((params.strength * action) ** 2)
        return params.place_weight * place**2 + 2 * (1 - jnp.cos(angle)) + moving + pushing

    def draw(
        self,
        x: Float[Array, " 4"],
        goal: Float[Array, " 0"],  # noqa: ARG002
        params: CartPoleParams,  # noqa: ARG002
    ) -> Float[Array, "side side 1"]:
        """The cart and the pole."""
        canvas = shapes.Canvas.of(self.side, _SIDE / 2, (0.0, _SIDE / 2))
        base = jnp.stack([_PER_METRE * x[0], jnp.asarray(_BASE)])
        end = base + _POLE * jnp.stack([jnp.sin(x[1]), jnp.cos(x[1])])
        pole = shapes.capsule(canvas, base, end, _POLE_RADIUS)
        cart = shapes.box(canvas, base, _HALF_CART)
        return shapes.covered(jnp.minimum(pole, cart), canvas)[..., None]

    def arrived(
        self,
        x: Float[Array, " 4"],
        goal: Float[Array, " 0"],  # noqa: ARG002
        params: CartPoleParams,
    ) -> Bool[Array, ""]:
        """The pole is nearly upright."""
        return jnp.cos(x[1]) >= jnp.cos(params.goal_angle)

    def wanted(self, goal: Float[Array, " 0"], params: CartPoleParams) -> Float[Array, " 4"]:  # noqa: ARG002
        """Upright, in the middle."""
        return jnp.zeros(4)


def mass_matrix(angle: Float[Array, ""], params: CartPoleParams) -> Float[Array, "2 2"]:
    """What multiplies (ẍ, φ̈).

    Args:
        angle: φ.
        params: Parameters.

    Returns:
        The matrix.
    """
    both = params.cart_mass + params.pole_mass
    moment = params.pole_mass * params.length
    shared = moment * jnp.cos(angle)
    rows = [[both, shared], [shared, 4 / 3 * moment * params.length]]
    return jnp.stack([jnp.stack([jnp.asarray(entry) for entry in row]) for row in rows])


def accelerations(
    x: Float[Array, " 4"], force: Float[Array, ""], params: CartPoleParams
) -> Float[Array, " 2"]:
    """Lagrange's equations, solved.

    Args:
        x: The true state.
        force: On the cart, in newtons.
        params: Parameters.

    Returns:
        (ẍ, φ̈).
    """
    angle, turning = x[1], x[3]
    moment = params.pole_mass * params.length * jnp.sin(angle)
    forces = jnp.stack([force + moment * turning**2, params.gravity * moment])
    return mechanics.solve(mass_matrix(angle, params), forces)


def energy(x: Float[Array, " 4"], params: CartPoleParams) -> Float[Array, ""]:
    """The kinetic and potential energy.

    Args:
        x: The true state.
        params: Parameters.

    Returns:
        It, in joules.
    """
    height = params.pole_mass * params.length * jnp.cos(x[1])
    return x[2:] @ mass_matrix(x[1], params) @ x[2:] / 2 + params.gravity * height


def pixel_cart_pole(
    *,
    side: int = 80,
    frames: int = 2,
    tilt: float = np.pi / 8,
    noise: float = 0.0,
    steps: int = 50,
) -> Control:
    """The problem of a pole that is to be balanced on a cart.

    Args:
        side: How many pixels a side of the picture has.
        frames: How many states an observation shows.
        tilt: By how much, in radians, the pole may be off at the start either way.
        noise: The standard deviation of what is added to each number of a state.
        steps: An episode's.

    Returns:
        The problem.

    Raises:
        ValueError: If a value is not allowed.
    """
    building.check("tilt", tilt, tilt >= 0, "at least 0")
    params = CartPoleParams(tilt=tilt, noise=noise, max_steps_in_episode=steps)
    return building.problem("pixel-cart-pole", CartPole(side, frames), params)
