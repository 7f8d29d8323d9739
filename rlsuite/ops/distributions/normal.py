"""Normal vectors: plain, of bounded deviation, and squashed by the hyperbolic tangent."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.ops.pytrees import pytree


@pytree()
@dataclasses.dataclass(frozen=True)
class DiagonalNormal:
    """A vector of independent normal numbers.

    Attributes:
        loc: Means, ``[..., dimension]``.
        scale: Standard deviations, ``[..., dimension]``.

    Example:
        >>> round(float(DiagonalNormal(jnp.zeros(2), jnp.ones(2)).log_prob(jnp.zeros(2))), 4)
        -1.8379
    """

    loc: Any
    scale: Any

    def sample(self, key: PRNGKeyArray) -> Float[Array, "... dimension"]:
        """A draw, loc + scale ε."""
        return self.loc + self.scale * jax.random.normal(key, self.loc.shape, self.loc.dtype)

    def mean(self) -> Float[Array, "... dimension"]:
        """The mean, loc."""
        return self.loc

    def mode(self) -> Float[Array, "... dimension"]:
        """The mean, loc."""
        return self.loc

    def log_prob(self, x: Float[Array, "... dimension"]) -> Float[Array, "..."]:
        """The log density, summed over the last axis."""
        squares = jnp.square((x - self.loc) / self.scale)
        return -jnp.sum(0.5 * (squares + math.log(2 * math.pi)) + jnp.log(self.scale), axis=-1)

    def entropy(self) -> Float[Array, "..."]:
        """½ log(2πe σ²), summed over the last axis."""
        return jnp.sum(jnp.log(self.scale) + 0.5 * math.log(2 * math.pi * math.e), axis=-1)


def bounded_normal(
    raw_mean: Float[Array, "... dimension"],
    raw_std: Float[Array, "... dimension"],
    *,
    min_std: float | Array = 0.1,
    max_std: float | Array = 1.0,
) -> DiagonalNormal:
    """A normal policy for actions from −1 to 1: mean tanh(m), deviation between two bounds.

    σ = σ_min + (σ_max − σ_min) sigmoid(s + 2). Samples may lie outside; the environment clips them,
    and ``log_prob`` and ``entropy`` are those before clipping.

    Args:
        raw_mean: m, of a network.
        raw_std: s, of a network.
        min_std: σ_min.
        max_std: σ_max.

    Returns:
        The distribution.

    Example:
        >>> round(float(bounded_normal(jnp.zeros(1), jnp.full(1, -2.0)).scale[0]), 4)
        0.55

    Reference:
        Hafner et al. 2023, its published code.
    """
    scale = min_std + (max_std - min_std) * jax.nn.sigmoid(raw_std + 2.0)
    return DiagonalNormal(jnp.tanh(raw_mean), scale)


@pytree()
@dataclasses.dataclass(frozen=True)
class TanhNormal:
    """The hyperbolic tangent of a vector of independent normal numbers.

    Attributes:
        loc: Means before the tangent, ``[..., dimension]``.
        scale: Standard deviations before the tangent, ``[..., dimension]``.

    Example:
        >>> round(float(TanhNormal(jnp.zeros(1), jnp.ones(1)).log_prob(jnp.zeros(1))), 4)
        -0.9189
    """

    loc: Any
    scale: Any

    @property
    def base(self) -> DiagonalNormal:
        """The distribution before the tangent."""
        return DiagonalNormal(self.loc, self.scale)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "... dimension"]:
        """A draw, tanh(loc + scale ε)."""
        return jnp.tanh(self.base.sample(key))

    def sample_with_log_prob(
        self, key: PRNGKeyArray
    ) -> tuple[Float[Array, "... dimension"], Float[Array, "..."]]:
        """A draw and its log density, which is exact where the tangent rounds to ±1."""
        before = self.base.sample(key)
        log_prob = self.base.log_prob(before) - jnp.sum(_log_slope(before), axis=-1)
        return jnp.tanh(before), log_prob

    def mean(self) -> Float[Array, "... dimension"]:
        """The mean, by quadrature as in ``entropy``."""
        return self._expectation(jnp.tanh)

    def mode(self) -> Float[Array, "... dimension"]:
        """The median tanh(loc), to act without noise; the density may peak elsewhere."""
        return jnp.tanh(self.loc)

    def log_prob(self, x: Float[Array, "... dimension"]) -> Float[Array, "..."]:
        """The log density, summed over the last axis.

        ±1, which a sample may round to, counts as the number nearest to it inside.
        """
        end = 1.0 - jnp.finfo(x.dtype).epsneg
        before = jnp.arctanh(jnp.clip(x, -end, end))
        return self.base.log_prob(before) - jnp.sum(_log_slope(before), axis=-1)

    def entropy(self) -> Float[Array, "..."]:
        """The normal's entropy and E log(1 − tanh²), summed over the last axis.

        The expectation has no closed form. It is a sum over 128 evenly spaced points within ±8.5
        deviations, whose error is below 1e-6 for deviations up to 5. Unlike a mean of samples it
        needs no key and has no variance.
        """
        return self.base.entropy() + jnp.sum(self._expectation(_log_slope), axis=-1)

    def _expectation(self, function: Callable[[Array], Array]) -> Float[Array, "... dimension"]:
        """E f(u) of each normal number u."""
        points = jnp.linspace(-8.5, 8.5, 128, dtype=self.loc.dtype)
        weights = jax.nn.softmax(-0.5 * jnp.square(points))
        return function(self.loc[..., None] + self.scale[..., None] * points) @ weights


def tanh_normal(
    raw_mean: Float[Array, "... dimension"],
    raw_std: Float[Array, "... dimension"],
    *,
    init_std: float | Array = 5.0,
    min_std: float | Array = 1e-4,
    mean_scale: float | Array = 5.0,
) -> TanhNormal:
    """The policy of Dreamer's first version: mean c tanh(m/c), then a tangent of the sample.

    σ = σ_min + softplus(s + softplus⁻¹(σ_0)).

    Args:
        raw_mean: m, of a network.
        raw_std: s, of a network.
        init_std: σ_0, the deviation where s is 0, above 0.
        min_std: σ_min.
        mean_scale: c, the bound of the mean before the tangent.

    Returns:
        The distribution.

    Example:
        >>> tanh_normal(jnp.zeros(1), jnp.zeros(1)).scale
        Array([5.0001], dtype=float32)

    Reference:
        Hafner et al. 2020, appendix A.
    """
    offset = math.log(math.expm1(init_std))
    loc = mean_scale * jnp.tanh(raw_mean / mean_scale)
    return TanhNormal(loc, jax.nn.softplus(raw_std + offset) + min_std)


def _log_slope(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(1 − tanh² x), where the logarithm's argument would round to 0."""
    return 2.0 * (math.log(2.0) - x - jax.nn.softplus(-2.0 * x))
