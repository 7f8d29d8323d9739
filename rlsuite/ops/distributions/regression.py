"""Numbers, vectors and images predicted at any scale: symlog, two-hot bins, squared errors."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.ops.pytrees import pytree

_BINS_END = 20.0
"""The bins of ``SymexpTwoHot`` reach from symexp(−20) to symexp(20), ±4.9e8."""


def symlog(x: float | Float[Array, "..."]) -> Float[Array, "..."]:
    """sign(x) log(1 + |x|): the identity near 0, logarithmic far from it.

    Args:
        x: Any numbers.

    Returns:
        Numbers of the same shape.

    Example:
        >>> round(float(symlog(-1000.0)), 4)
        -6.9088

    Reference:
        Hafner et al. 2023, eq. 9.
    """
    sign = _sign(x)
    return sign * jnp.log1p(sign * x)


def symexp(x: float | Float[Array, "..."]) -> Float[Array, "..."]:
    """sign(x) (exp|x| − 1): the inverse of ``symlog``.

    Args:
        x: Any numbers.

    Returns:
        Numbers of the same shape.

    Example:
        >>> round(float(symexp(symlog(-10.0))), 4)
        -10.0

    Reference:
        Hafner et al. 2023, eq. 9.
    """
    sign = _sign(x)
    return sign * jnp.expm1(sign * x)


def twohot(x: Float[Array, "*batch"], bins: Float[Array, " bins"]) -> Float[Array, "*batch bins"]:
    """Weights of the two bins beside x, whose weighted mean is x.

    Args:
        x: Numbers; beyond the bins, the nearest bin gets all.
        bins: Increasing numbers.

    Returns:
        Weights that sum to 1.

    Example:
        >>> twohot(jnp.array([0.25, 9.0]), jnp.array([-1.0, 0.0, 1.0]))
        Array([[0.  , 0.75, 0.25],
               [0.  , 0.  , 1.  ]], dtype=float32)

    Reference:
        Hafner et al. 2023, eq. 10.
    """
    # How much of each interval lies above x: 0 below it, 1 beyond.
    ahead = jnp.clip((bins[1:] - x[..., None]) / jnp.diff(bins), 0.0, 1.0)
    return jnp.diff(ahead, prepend=0.0, append=1.0)


@pytree()
@dataclasses.dataclass(frozen=True)
class SymexpTwoHot:
    """A number of any scale, as a distribution over bins that are exponentially far apart.

    The bins are symexp of evenly spaced numbers from −20 to 20. A target is the two bins beside it,
    weighted so that their mean is the target: the mean is learned at every scale, by a loss whose
    gradients do not depend on the scale.

    Attributes:
        logits: ``[..., bins]``.

    Example:
        >>> head = SymexpTwoHot(jnp.zeros(255))
        >>> float(head.mean()), round(float(head.log_prob(jnp.array(3.0))), 4)
        (0.0, -5.5413)

    Reference:
        Hafner et al. 2023, eq. 8 to 10.
    """

    logits: Any

    @property
    def bins(self) -> Float[Array, " bins"]:
        """The values of the bins, symmetric to the last bit."""
        n = self.logits.shape[-1]
        upper = symexp(jnp.linspace(-_BINS_END, _BINS_END, n, dtype=self.logits.dtype)[-(n // 2) :])
        centre = jnp.zeros(n % 2, self.logits.dtype)
        return jnp.concatenate([-upper[::-1], centre, upper])

    def sample(self, key: PRNGKeyArray) -> Float[Array, "..."]:
        """The value of a bin that is drawn; no gradient."""
        return self.bins[jax.random.categorical(key, self.logits)]

    def mean(self) -> Float[Array, "..."]:
        """The mean of the bins.

        Each bin is paired with that of opposite sign, so that evenly spread probabilities give
        exactly 0. In another order, rounding of the outer bins, ±5e8, leaves numbers like 1.
        """
        probs = jax.nn.softmax(self.logits)
        return 0.5 * jnp.sum((probs - probs[..., ::-1]) * self.bins, axis=-1)

    def mode(self) -> Float[Array, "..."]:
        """The value of the likeliest bin."""
        return self.bins[jnp.argmax(self.logits, axis=-1)]

    def log_prob(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The cross entropy Σ twohot(x) log p, negated as a loss: a score, not a density."""
        return jnp.sum(twohot(x, self.bins) * jax.nn.log_softmax(self.logits), axis=-1)


@pytree()
@dataclasses.dataclass(frozen=True)
class SquaredError:
    """A prediction scored by its squared error: images, actions that are not drawn.

    Attributes:
        prediction: ``[..., *event]``.
        event_axes: How many of the last axes are one event: 3 for an image.

    Example:
        >>> SquaredError(jnp.zeros((2, 3, 4, 1)), 3).log_prob(jnp.ones((2, 3, 4, 1)))
        Array([-12., -12.], dtype=float32)

    Reference:
        Hafner et al. 2023, its published code: without the ½ and the constant of a density.
    """

    prediction: Any
    event_axes: int = dataclasses.field(default=1, metadata={"static": True})

    def sample(self, key: PRNGKeyArray) -> Float[Array, "..."]:
        """The prediction."""
        del key
        return self.prediction

    def mean(self) -> Float[Array, "..."]:
        """The prediction."""
        return self.prediction

    def mode(self) -> Float[Array, "..."]:
        """The prediction."""
        return self.prediction

    def log_prob(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """− Σ (prediction − x)² over the event."""
        axes = tuple(range(-self.event_axes, 0))
        return -jnp.sum(jnp.square(self.prediction - x), axis=axes)


@pytree()
@dataclasses.dataclass(frozen=True)
class SymlogSquaredError:
    """A vector's symlog predicted, scored by the squared error there.

    Attributes:
        prediction: Of symlog(x), ``[..., dimension]``.

    Example:
        >>> float(SymlogSquaredError(jnp.zeros(2)).log_prob(symexp(jnp.array([1.0, -2.0]))))
        -5.0

    Reference:
        Hafner et al. 2023, eq. 9; without the ½ and the constant of a density.
    """

    prediction: Any

    def mean(self) -> Float[Array, "... dimension"]:
        """symexp(prediction)."""
        return symexp(self.prediction)

    def mode(self) -> Float[Array, "... dimension"]:
        """symexp(prediction)."""
        return symexp(self.prediction)

    def log_prob(self, x: Float[Array, "... dimension"]) -> Float[Array, "..."]:
        """− Σ (prediction − symlog(x))² over the last axis."""
        return -jnp.sum(jnp.square(self.prediction - symlog(x)), axis=-1)


@pytree()
@dataclasses.dataclass(frozen=True)
class Deterministic:
    """What is known for certain: the next state of a deterministic environment.

    Attributes:
        value: Any pytree.

    Example:
        >>> Deterministic({"position": 1.0}).sample(jax.random.key(0))
        {'position': 1.0}
    """

    value: Any

    def sample(self, key: PRNGKeyArray) -> Any:
        """The value."""
        del key
        return self.value

    def mean(self) -> Any:
        """The value."""
        return self.value

    def mode(self) -> Any:
        """The value."""
        return self.value


def _sign(x: float | Float[Array, "..."]) -> Float[Array, "..."]:
    """±1, so that derivatives at 0, where a head that starts at zero is, are 1 and not 0."""
    return jnp.where(jnp.asarray(x) < 0, -1.0, 1.0).astype(jnp.result_type(x))
