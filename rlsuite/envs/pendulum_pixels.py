r"""gymnax's pendulum, seen as a small picture.

A red rod hangs from the middle of the picture, counterclockwise by θ from upright, and a blue bar
at the lower edge shows the last torque. How fast the rod turns is in no single picture: whoever
predicts the next one must remember.

A pixel at p shows as much of the rod as its distance from the rod's line, from 0 to e, says:

    share = clip((w - |p - clip(p·e / e·e, 0, 1) e|) / pixel + 1/2, 0, 1),
    e = ℓ (-sin θ, cos θ).

Example:
    >>> import jax
    >>> environment, params = make()
    >>> image, state = environment.reset(jax.random.key(0), params)
    >>> image.shape, image.dtype.name
    ((32, 32, 3), 'uint8')
"""

from typing import Any

import jax.numpy as jnp
from gymnax.environments import spaces
from gymnax.environments.classic_control.pendulum import EnvParams, EnvState, Pendulum
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

LENGTH = 0.7
WIDTH = 0.11
"""The rod's length and half its width; the picture reaches from -1 to 1."""

_PAPER, _ROD, _AXLE, _BAR = (255, 255, 255), (204, 77, 77), (30, 30, 34), (37, 99, 235)
_BAR_TOP, _BAR_REACH, _AXLE_RADIUS = -0.87, 0.9, 0.08


def render(
    theta: Float[Array, ""], torque: Float[Array, ""], side: int = 32
) -> UInt8[Array, "side side 3"]:
    """Draw the pendulum.

    Args:
        theta: The angle from upright, counterclockwise, in radians.
        torque: The torque, as a share of the greatest, from -1 to 1.
        side: How many pixels a side has.

    Returns:
        The picture; its first row is the top.
    """
    pixel = 2 / side
    centres = (jnp.arange(side) + 0.5) * pixel - 1
    x, y = jnp.meshgrid(centres, -centres)
    end_x, end_y = -LENGTH * jnp.sin(theta), LENGTH * jnp.cos(theta)
    along = jnp.clip((x * end_x + y * end_y) / LENGTH**2, 0, 1)
    layers = (
        (_ROD, WIDTH - jnp.hypot(x - along * end_x, y - along * end_y)),
        (_AXLE, _AXLE_RADIUS - jnp.hypot(x, y)),
        (_BAR, jnp.minimum(_BAR_TOP - y, _reach(x, _BAR_REACH * torque))),
    )
    image = jnp.broadcast_to(jnp.asarray(_PAPER, jnp.float32), (side, side, 3))
    for colour, inside in layers:
        share = jnp.clip(inside / pixel + 0.5, 0, 1)[..., None]
        image = image + share * (jnp.asarray(colour, jnp.float32) - image)
    return jnp.round(image).astype(jnp.uint8)


def _reach(x: Float[Array, "side side"], end: Float[Array, ""]) -> Float[Array, "side side"]:
    """How far x lies within the bar from 0 to ``end``; a bar of no length shows nothing."""
    half = jnp.abs(end) / 2
    inside = half - jnp.abs(x - end / 2)
    return jnp.where(half > 0, inside, -jnp.inf)


class PendulumPixels(Pendulum):
    """gymnax's pendulum with pictures for observations; get it from :func:`make`."""

    _supports_transition_gradients = False

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.obs_shape = (side, side, 3)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PendulumPixels) and other.side == self.side

    def __hash__(self) -> int:
        return hash((PendulumPixels, self.side))

    @property
    def name(self) -> str:
        """The environment's name."""
        return "PendulumPixels"

    def get_obs(
        self,
        state: EnvState,
        params: EnvParams | None = None,
        key: PRNGKeyArray | None = None,  # noqa: ARG002
    ) -> UInt8[Array, "side side 3"]:
        """The picture of a state."""
        greatest = (params or self.default_params).max_torque
        return render(state.theta, state.last_u / greatest, self.side)

    def observation_space(self, params: EnvParams | None = None) -> spaces.Box:  # noqa: ARG002
        """Bytes."""
        return spaces.Box(0, 255, self.obs_shape, jnp.uint8)


def make(side: int = 32, **params: Any) -> tuple[PendulumPixels, EnvParams]:
    """Make the environment.

    Args:
        side: How many pixels a side of the picture has, at least 8.
        **params: gymnax's parameters of the pendulum that are to differ from its defaults.

    Returns:
        The environment, and the parameters to pass to its methods.

    Raises:
        ValueError: If ``side`` is below 8.
    """
    if side < 8:
        raise ValueError(f"side is {side}; allowed: a whole number at least 8")
    return PendulumPixels(side), EnvParams(**params)
