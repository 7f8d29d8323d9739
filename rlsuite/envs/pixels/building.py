"""Problems of environments of pictures, and what their builders refuse."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from rlsuite.envs.control import Control
from rlsuite.envs.pixels.world import PixelEnvironment, PixelParams

LEAST_SIDE = 8
"""No picture has fewer pixels a side."""


def problem(name: str, environment: PixelEnvironment, params: PixelParams) -> Control:
    """An environment of pictures as a problem.

    Args:
        name: What it is called.
        environment: The environment.
        params: Its parameters; numbers and tuples of Python's become arrays.

    Returns:
        The problem.

    Raises:
        ValueError: If pictures are too small, or a number is out of range.
    """
    check("side", environment.side, environment.side >= LEAST_SIDE, f"at least {LEAST_SIDE}")
    check("frames", environment.frames, environment.frames >= 1, "at least 1")
    steps, noise = params.max_steps_in_episode, params.noise
    check("max_steps_in_episode", steps, steps >= 1 and steps == int(steps), "whole, at least 1")
    check("noise", noise, noise >= 0, "at least 0")
    told = {key: value for key, value in vars(params).items() if value is not None}
    arrays = {key: jnp.asarray(value, float) for key, value in told.items()}
    arrays["max_steps_in_episode"] = jnp.int32(steps)
    return Control(name, environment, params.replace(**arrays))


def scattered(problem: Control, low: Any, high: Any, *, moving: bool = True) -> Control:
    """A world of pictures whose episodes begin anywhere, as those do from which PC3's models learn.

    Args:
        problem: The world.
        low: The least of each number of the first true state.
        high: The greatest.
        moving: Whether of the first observation's frames the first shows such a state and later
            ones how it goes on without an action, so that pictures say which way things move;
            else all show the same, as where the world itself begins.

    Returns:
        The world. Where it does not allow a state, as within an obstacle, the episode begins as it
        usually does.

    Raises:
        ValueError: If a bound has not as many finite numbers as a true state, or ``low`` is above
            ``high``.

    Example:
        >>> from rlsuite.envs.pixels import pixel_pendulum
        >>> anywhere = scattered(pixel_pendulum(), (-3.0, -9.0), (3.0, 9.0))
        >>> [bound.tolist() for bound in anywhere.params.scatter]
        [[-3.0, -9.0], [3.0, 9.0]]
    """
    size = problem.environment.state_size
    bounds = []
    for name, value in (("low", low), ("high", high)):
        numbers = np.asarray(value, float)
        fine = numbers.shape == (size,) and bool(np.isfinite(numbers).all())
        check(name, value, fine, f"{size} finite numbers, as a true state has")
        bounds.append(numbers)
    check("low", low, np.all(bounds[0] <= bounds[1]), f"at most high, {high!r}")
    scatter = tuple(jnp.asarray(bound, float) for bound in bounds)
    params = problem.params.replace(scatter=scatter, moving=jnp.asarray(moving, float))
    return dataclasses.replace(problem, params=params)


def check(name: str, value: Any, fine: Any, allowed: str) -> None:
    """Refuse what is not allowed.

    Args:
        name: The argument's name.
        value: Its value.
        fine: Whether it is allowed.
        allowed: What is.

    Raises:
        ValueError: If it is not.
    """
    if not fine:
        raise ValueError(f"{name} is {value!r}; allowed: {allowed}")


def point(name: str, value: Any) -> tuple[float, float]:
    """A place in the plane.

    Args:
        name: The argument's name.
        value: Its value.

    Returns:
        (x, y).

    Raises:
        ValueError: If it is not two finite numbers.
    """
    numbers = np.asarray(value, float)
    fine = numbers.shape == (2,) and bool(np.isfinite(numbers).all())
    check(name, value, fine, "two finite numbers")
    return float(numbers[0]), float(numbers[1])
