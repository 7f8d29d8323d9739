r"""Maps of data to a scale that networks like, column by column, and back.

With the mean μ and the deviation σ of a column, its least value a and its greatest b, and its
empirical distribution function F,

    Gaussian   (x − μ)/σ,        Limits   2 (x − a)/(b − a) − 1,        Cdf   2 F(x) − 1.

F is a table of quantiles, a line between two of them, so that it can be inverted. Beyond the data,
``Cdf`` is cut off at ±1, and back at a and b; the other two go on as lines. A column that is
constant is shifted by that constant and nothing else.

Example:
    >>> values = jnp.asarray([[0.0, 7.0], [2.0, 7.0], [4.0, 7.0]])
    >>> scale = Limits.fit(values)
    >>> scale.normalize(values).tolist()
    [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
    >>> scale.denormalize(jnp.asarray([0.5, 0.0])).tolist()
    [3.0, 7.0]
"""

from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_TINY = 1e-6
"""A column that varies by less than this share of its size is taken for a constant."""


@runtime_checkable
class Normalizer(Protocol):
    """What every one of them can do, a pytree."""

    def normalize(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """To the scale that networks like."""

    def denormalize(self, y: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """And back."""


class Gaussian(NamedTuple):
    """Mean 0 and deviation 1.

    Attributes:
        mean: μ.
        deviation: σ; 1 for a constant.
    """

    mean: Float[Array, " n"]
    deviation: Float[Array, " n"]

    @classmethod
    def fit(cls, values: Float[Array, "sample n"]) -> "Gaussian":
        """From data.

        Args:
            values: Samples.

        Returns:
            The map.
        """
        return cls(jnp.mean(values, axis=0), _varying(jnp.std(values, axis=0), values))

    def normalize(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """(x − μ)/σ."""
        return (x - self.mean) / self.deviation

    def denormalize(self, y: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """μ + σ y."""
        return self.mean + self.deviation * y


class Limits(NamedTuple):
    """From −1 to 1.

    Attributes:
        centre: (a + b)/2.
        radius: (b − a)/2; 1 for a constant.
    """

    centre: Float[Array, " n"]
    radius: Float[Array, " n"]

    @classmethod
    def fit(cls, values: Float[Array, "sample n"]) -> "Limits":
        """From data.

        Args:
            values: Samples.

        Returns:
            The map.
        """
        low, high = jnp.min(values, axis=0), jnp.max(values, axis=0)
        return cls((low + high) / 2, _varying((high - low) / 2, values))

    def normalize(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """2 (x − a)/(b − a) − 1."""
        return (x - self.centre) / self.radius

    def denormalize(self, y: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """Inverse of ``normalize``."""
        return self.centre + self.radius * y


class Cdf(NamedTuple):
    """Uniform from −1 to 1.

    Attributes:
        values: Quantiles of each column, ascending.
        levels: 2 F − 1 at each; values that occur often share the middle of their levels, except
            that the least is at −1 and the greatest at 1.
        constant: Whether the column is a constant, but for rounding.
    """

    values: Float[Array, "n quantile"]
    levels: Float[Array, "n quantile"]
    constant: Bool[Array, " n"]

    @classmethod
    def fit(cls, values: Float[Array, "sample n"], num_quantiles: int = 1000) -> "Cdf":
        """From data.

        Args:
            values: Samples.
            num_quantiles: Into how many parts, of equal numbers of samples, the data are divided.

        Returns:
            The map.

        Raises:
            ValueError: If there are fewer than two quantiles.
        """
        if num_quantiles < 2:
            raise ValueError(f"num_quantiles is {num_quantiles}; allowed: at least 2")
        shares = jnp.linspace(0.0, 1.0, num_quantiles)
        # The nearest samples: a mean of two equal ones might be rounded away from them.
        table = jnp.quantile(values, shares, axis=0, method="nearest").T

        def level(column: Float[Array, " quantile"]) -> Float[Array, " quantile"]:
            # A value that fills several quantiles has one level, or it could not be inverted.
            first = jnp.searchsorted(column, column, side="left")
            last = jnp.searchsorted(column, column, side="right") - 1
            middle = (shares[first] + shares[last]) / 2
            middle = jnp.where(first == 0, 0.0, jnp.where(last == num_quantiles - 1, 1.0, middle))
            return 2.0 * middle - 1.0

        width = table[:, -1] - table[:, 0]
        constant = width <= _TINY * jnp.max(jnp.abs(table), axis=1)
        return cls(table, jax.vmap(level)(table), constant)

    def normalize(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """2 F(x) − 1."""
        moved = x - self.values[:, 0]
        return jnp.where(self.constant, moved, self._columns(x, self.values, self.levels))

    def denormalize(self, y: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """F⁻¹((y + 1)/2)."""
        moved = y + self.values[:, 0]
        return jnp.where(self.constant, moved, self._columns(y, self.levels, self.values))

    def _columns(self, x: Array, xs: Array, ys: Array) -> Array:
        flat = x.reshape(-1, x.shape[-1])
        return jax.vmap(jnp.interp, (1, 0, 0), 1)(flat, xs, ys).reshape(x.shape)


def _varying(width: Float[Array, " n"], values: Float[Array, "sample n"]) -> Float[Array, " n"]:
    """The widths, 1 where there is nothing but rounding."""
    size = jnp.max(jnp.abs(values), axis=0)
    return jnp.where(width > _TINY * size, width, jnp.ones_like(width))
