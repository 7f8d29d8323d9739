"""What a model is, and the walk of its statistics through a sequence."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.ops.conjugate.families import Family


@runtime_checkable
class Model(Protocol):
    """A law of sequences whose predictions are known; a pytree of the prior's parameters."""

    @property
    def family(self) -> Family:
        """The kind of law that is predicted."""

    @property
    def outcomes(self) -> int | None:
        """How many classes an observation may be, or None if it is a number."""

    @property
    def initial(self) -> Float[Array, " statistic"]:
        """The statistics before anything was seen."""

    def update(self, statistics: Float[Array, "*batch statistic"], x: Array) -> Array:
        """The statistics after one more observation, ``[*batch]``."""

    def predictive(self, statistics: Float[Array, "*batch statistic"]) -> Array:
        """The head of the law of the next observation."""

    def sample(self, key: PRNGKeyArray, length: int) -> Array:
        """Draw a law, and a sequence from it."""

    def encode(self, x: Array) -> Array:
        """An observation as a network is shown it, ``[*batch, feature]``."""


def walk(model: Model, x: Array) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The statistics along a sequence, and the predictions before each observation.

    Args:
        model: The model.
        x: Observations x_1 … x_T, ``[time, *batch]``.

    Returns:
        (heads of p(x_{t+1} | x_1 … x_t) for t = 0 … T − 1, ``[time, *batch, head]``; statistics
        s_0 … s_T, ``[time + 1, *batch, statistic]``).
    """

    def step(statistics: Array, now: Array) -> tuple[Array, Array]:
        after = model.update(statistics, now)
        return after, after

    first = jnp.broadcast_to(model.initial, (*x.shape[1:], *model.initial.shape))
    _, rest = jax.lax.scan(step, first, x)
    statistics = jnp.concatenate([first[None], rest])
    return model.predictive(statistics[:-1]), statistics


def urn(
    model: Model, drawn: Float[Array, " time"], choose: Callable[[Array, Array], Array]
) -> Array:
    """A sequence whose law is drawn, without drawing the law: each x from what is predicted.

    Histories have the same probabilities as if θ had been drawn first, and no sampler of the prior
    is needed (Pólya's urn).

    Args:
        model: The model.
        drawn: Uniform numbers, one for each observation.
        choose: From the statistics and a uniform number to an observation.

    Returns:
        The sequence.
    """

    def step(statistics: Array, u: Array) -> tuple[Array, Array]:
        x = choose(statistics, u)
        return model.update(statistics, x), x

    return jax.lax.scan(step, model.initial, drawn)[1]


def refuse(name: str, value: Any, least: float) -> None:
    """Refuse a parameter that is not above a bound; what is traced is not looked at.

    Args:
        name: Its name.
        value: Its value, a number or an array.
        least: The bound.

    Raises:
        ValueError: If any of it is not a finite number above the bound.
    """
    if isinstance(value, jax.core.Tracer):
        return
    values = np.asarray(value)
    if not (np.all(np.isfinite(values)) and np.all(values > least)):
        raise ValueError(f"{name} is {value}; allowed: finite numbers above {least:g}")


def numbers(*values: Any) -> Float[Array, " n"]:
    """Numbers side by side, as floats."""
    arrays = [jnp.asarray(value, jnp.result_type(float, value)) for value in values]
    kind = jnp.result_type(*arrays)
    return jnp.stack([array.astype(kind) for array in arrays])
