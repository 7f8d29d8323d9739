"""Classes: one-hot samples with straight-through gradients, unimix and masks."""

import dataclasses
from dataclasses import InitVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.ops.pytrees import pytree

_IMPOSSIBLE = -1e30
"""The logit of a masked class: its probability is exactly 0, and 0 times it is 0, not NaN."""


def mix_uniform(
    logits: Float[Array, "... classes"], share: float | Float[Array, ""]
) -> Float[Array, "... classes"]:
    """Logarithms of (1 − u) softmax(logits) + u / n over the n classes that are not masked.

    Args:
        logits: Any, or of ``mask_logits``.
        share: u, from 0 to 1.

    Returns:
        Logarithms of the probabilities; masked classes stay masked.

    Example:
        >>> jnp.exp(mix_uniform(jnp.array([0.0, -100.0]), 0.01))
        Array([0.995, 0.005], dtype=float32)

    Reference:
        Hafner et al. 2023, sec. "World model learning".
    """
    allowed = logits - jnp.max(logits, axis=-1, keepdims=True) > _IMPOSSIBLE / 2
    counts = allowed.astype(logits.dtype)
    uniform = counts / jnp.sum(counts, axis=-1, keepdims=True)
    mixed = (1.0 - share) * jax.nn.softmax(logits) + share * uniform
    return jnp.where(allowed, jnp.log(jnp.where(allowed, mixed, 1.0)), _IMPOSSIBLE)


def mask_logits(
    logits: Float[Array, "... classes"], mask: Bool[Array, "... classes"]
) -> Float[Array, "... classes"]:
    """Make classes impossible: probability exactly 0, with unimix too, and finite gradients.

    Args:
        logits: Any.
        mask: True where the class is allowed. Where none is, all are equally likely.

    Returns:
        Logits for ``OneHotCategorical`` and ``MultiCategorical``.

    Example:
        >>> masked = mask_logits(jnp.zeros(3), jnp.array([True, False, True]))
        >>> OneHotCategorical(masked, unimix=0.01).probs
        Array([0.5, 0. , 0.5], dtype=float32)
    """
    return jnp.where(mask, logits, _IMPOSSIBLE)


@pytree()
@dataclasses.dataclass(frozen=True)
class OneHotCategorical:
    """One of several classes, as a one-hot vector.

    Attributes:
        logits: ``[..., classes]``; unimix is mixed in already.

    Args:
        logits: ``[..., classes]``.
        unimix: The share of the uniform distribution; may be traced.

    Example:
        >>> coin = OneHotCategorical(jnp.log(jnp.array([0.25, 0.75])))
        >>> coin.mode()
        Array([0., 1.], dtype=float32)
        >>> round(float(coin.log_prob(jnp.array([1.0, 0.0]))), 4)
        -1.3863

    Reference:
        Hafner et al. 2021, algorithm 1, for the gradient of a sample.
    """

    logits: Any
    unimix: InitVar[float | Float[Array, ""]] = 0.0

    def __post_init__(self, unimix: float | Float[Array, ""]) -> None:
        # No field, so that a pytree that is rebuilt is not mixed twice.
        if not _is_zero(unimix):
            object.__setattr__(self, "logits", mix_uniform(self.logits, unimix))

    @property
    def probs(self) -> Float[Array, "... classes"]:
        """The probabilities."""
        return jax.nn.softmax(self.logits)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "... classes"]:
        """A one-hot draw, with the gradient of the probabilities."""
        return self._one_hot(jax.random.categorical(key, self.logits))

    def mode(self) -> Float[Array, "... classes"]:
        """The likeliest class, with the gradient of the probabilities."""
        return self._one_hot(jnp.argmax(self.logits, axis=-1))

    def log_prob(self, x: Float[Array, "... classes"]) -> Float[Array, "..."]:
        """The log probability of one-hot vectors."""
        return jnp.sum(x * jax.nn.log_softmax(self.logits), axis=-1)

    def entropy(self) -> Float[Array, "..."]:
        """− Σ p log p."""
        return -jnp.sum(self.probs * jax.nn.log_softmax(self.logits), axis=-1)

    def _one_hot(self, index: Array) -> Float[Array, "... classes"]:
        one_hot = jax.nn.one_hot(index, self.logits.shape[-1], dtype=self.logits.dtype)
        return _straight_through(one_hot, self.probs)


@pytree()
@dataclasses.dataclass(frozen=True)
class MultiCategorical:
    """Independent classes, as one-hot vectors one after the other: discrete actions.

    Attributes:
        logits: One ``[..., classes]`` for each factor; unimix is mixed in already.

    Args:
        logits: One ``[..., classes]`` for each factor, of ``mask_logits`` if some are not allowed.
        unimix: The share of the uniform distribution; may be traced.

    Example:
        >>> pair = MultiCategorical((jnp.zeros(2), jnp.array([0.0, 0.0, 9.0])))
        >>> pair.mode()
        Array([1., 0., 0., 0., 1.], dtype=float32)
    """

    logits: Any
    unimix: InitVar[float | Float[Array, ""]] = 0.0

    def __post_init__(self, unimix: float | Float[Array, ""]) -> None:
        if not _is_zero(unimix):
            mixed = tuple(mix_uniform(logits, unimix) for logits in self.logits)
            object.__setattr__(self, "logits", mixed)

    @property
    def factors(self) -> tuple[OneHotCategorical, ...]:
        """The distributions of the single classes."""
        return tuple(OneHotCategorical(logits) for logits in self.logits)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "... all_classes"]:
        """Concatenated one-hot draws, with the gradient of the probabilities."""
        keys = jax.random.split(key, len(self.logits))
        draws = [factor.sample(k) for factor, k in zip(self.factors, keys, strict=True)]
        return jnp.concatenate(draws, axis=-1)

    def mode(self) -> Float[Array, "... all_classes"]:
        """The likeliest classes, with the gradient of the probabilities."""
        return jnp.concatenate([factor.mode() for factor in self.factors], axis=-1)

    def log_prob(self, x: Float[Array, "... all_classes"]) -> Float[Array, "..."]:
        """The log probability of concatenated one-hot vectors."""
        ends = np.cumsum([logits.shape[-1] for logits in self.logits])
        parts = jnp.split(x, ends[:-1], axis=-1)
        terms = [f.log_prob(part) for f, part in zip(self.factors, parts, strict=True)]
        return jnp.sum(jnp.stack(terms), axis=0)

    def entropy(self) -> Float[Array, "..."]:
        """The sum of the factors' entropies."""
        return jnp.sum(jnp.stack([factor.entropy() for factor in self.factors]), axis=0)


@pytree()
@dataclasses.dataclass(frozen=True)
class Bernoulli:
    """Yes (1) or no (0): whether an episode goes on.

    Attributes:
        logits: log p/(1 − p), ``[...]``.

    Example:
        >>> float(Bernoulli(jnp.array(0.0)).mean())
        0.5
    """

    logits: Any

    def sample(self, key: PRNGKeyArray) -> Float[Array, "..."]:
        """0 or 1, with the gradient of the probability."""
        draw = jax.random.bernoulli(key, self.mean()).astype(self.logits.dtype)
        return _straight_through(draw, self.mean())

    def mean(self) -> Float[Array, "..."]:
        """The probability of 1."""
        return jax.nn.sigmoid(self.logits)

    def mode(self) -> Float[Array, "..."]:
        """1 where it is likelier than 0."""
        return (self.logits > 0).astype(self.logits.dtype)

    def log_prob(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The cross entropy x log p + (1 − x) log(1 − p), for x from 0 to 1."""
        return x * jax.nn.log_sigmoid(self.logits) + (1.0 - x) * jax.nn.log_sigmoid(-self.logits)

    def entropy(self) -> Float[Array, "..."]:
        """− p log p − (1 − p) log(1 − p)."""
        return -self.log_prob(self.mean())


def _straight_through(
    value: Float[Array, "..."], probs: Float[Array, "..."]
) -> Float[Array, "..."]:
    """The value to the last bit, with the gradient of the probabilities."""
    return jax.lax.stop_gradient(value) + (probs - jax.lax.stop_gradient(probs))


def _is_zero(share: float | Float[Array, ""]) -> bool:
    """Whether it is known before tracing that there is nothing to mix."""
    return isinstance(share, float | int) and share == 0
