"""Environments seen as pictures whose true states, dynamics and costs are known.

``world`` is what they have in common, ``shapes`` draws, ``mechanics`` moves chains of rods. Each
``pixel_…`` builds a problem; its environment has ``true_state``, ``render``, ``in_goal`` and
``goal_image`` of a state, and ``advance``, ``cost``, ``draw`` and ``linear_quadratic`` of a true
state.
"""

from rlsuite.envs.pixels.arm_stacking import (
    ArmStacking,
    ArmStackingParams,
    pixel_arm_stacking,
)
from rlsuite.envs.pixels.building import scattered
from rlsuite.envs.pixels.car import Car, CarParams, pixel_car
from rlsuite.envs.pixels.cart_pole import CartPole, CartPoleParams, pixel_cart_pole
from rlsuite.envs.pixels.expansion import LinearQuadratic
from rlsuite.envs.pixels.film import animate
from rlsuite.envs.pixels.mechanics import Chain
from rlsuite.envs.pixels.navigation import Navigation, NavigationParams, pixel_navigation
from rlsuite.envs.pixels.planar import Planar, PlanarParams, pixel_planar, straight_line
from rlsuite.envs.pixels.poles import TASKS, Poles, PolesParams, pixel_pendulum, pixel_three_link
from rlsuite.envs.pixels.reacher import Reacher, ReacherParams, pixel_reacher
from rlsuite.envs.pixels.world import EnvState, PixelEnvironment, PixelParams

__all__ = [
    "TASKS",
    "ArmStacking",
    "ArmStackingParams",
    "Car",
    "CarParams",
    "CartPole",
    "CartPoleParams",
    "Chain",
    "EnvState",
    "LinearQuadratic",
    "Navigation",
    "NavigationParams",
    "PixelEnvironment",
    "PixelParams",
    "Planar",
    "PlanarParams",
    "Poles",
    "PolesParams",
    "Reacher",
    "ReacherParams",
    "animate",
    "pixel_arm_stacking",
    "pixel_car",
    "pixel_cart_pole",
    "pixel_navigation",
    "pixel_pendulum",
    "pixel_planar",
    "pixel_reacher",
    "pixel_three_link",
    "scattered",
    "straight_line",
]
