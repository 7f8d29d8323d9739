r"""Families of predictive laws: their densities, and the divergence of one member from another.

Two divergences have no closed form; they are integrals over one bounded variable, whose integrand
is smooth, by Gauss and Legendre's rule:

* Lomax, density (a/b) (1 + x/b)^{−a−1}, from (a, b) to (c, d) with r = b/d:

      KL = log(a/c) − log r + (c − a)/a + (c + 1) J,    J = −(1 − r) ∫_0^1 v^a / (r + (1 − r) v) dv;

* Student's t: z = √ν tan φ has the density cos^{ν−1} φ, up to a constant.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln, xlogy
from jaxtyping import Array, Float

_LOG_2PI = float(np.log(2 * np.pi))
_NODES = 128
_RULE = np.polynomial.legendre.leggauss(_NODES)
"""Nodes and weights on [−1, 1]; errors fall geometrically with their number."""


class Family(NamedTuple):
    """Laws of one kind.

    Attributes:
        size: How many numbers a head has.
        log_density: ``(head, x) -> log p(x)``; of a class, its log probability.
        divergence: ``(head of p, head of q) -> KL(p ‖ q)`` in nats.
        means: ``head -> E x``, or the probabilities of all classes, ``[..., n]``; what two heads
            are compared by where their numbers mean nothing.
    """

    size: int
    log_density: Callable[[Array, Array], Array]
    divergence: Callable[[Array, Array], Array]
    means: Callable[[Array], Array]


def categorical(size: int) -> Family:
    """Classes 0 … size − 1; the head has their logits.

    Args:
        size: The number of classes, at least 2.

    Returns:
        The family.

    Raises:
        ValueError: If there are fewer than two classes.

    Example:
        >>> family = categorical(2)
        >>> float(family.log_density(jnp.log(jnp.array([0.25, 0.75])), jnp.array(0)))
        -1.3862943649291992
    """
    if size < 2:
        raise ValueError(f"size is {size}; allowed: a whole number at least 2")
    return Family(size, _log_probability, _categorical_kl, jax.nn.softmax)


def _log_probability(logits: Float[Array, "... n"], x: Array) -> Float[Array, "..."]:
    logs = jax.nn.log_softmax(logits)
    return jnp.sum(logs * jax.nn.one_hot(x, logits.shape[-1], dtype=logs.dtype), axis=-1)


def _categorical_kl(p: Float[Array, "... n"], q: Float[Array, "... n"]) -> Float[Array, "..."]:
    logs = jax.nn.log_softmax(p)
    return jnp.sum(jnp.exp(logs) * (logs - jax.nn.log_softmax(q)), axis=-1)


def _bernoulli_log_probability(head: Float[Array, "... 1"], x: Array) -> Float[Array, "..."]:
    signs = 2 * jnp.asarray(x, head.dtype) - 1
    return jax.nn.log_sigmoid(signs * head[..., 0])


def _bernoulli_kl(p: Float[Array, "... 1"], q: Float[Array, "... 1"]) -> Float[Array, "..."]:
    def pair(head: Array) -> Array:
        return jnp.concatenate([jnp.zeros_like(head), head], axis=-1)

    return _categorical_kl(pair(p), pair(q))


def _bernoulli_means(head: Float[Array, "... 1"]) -> Float[Array, "... 2"]:
    return jnp.concatenate([jax.nn.sigmoid(-head), jax.nn.sigmoid(head)], axis=-1)


def _normal_log_density(head: Float[Array, "... 2"], x: Array) -> Float[Array, "..."]:
    mean, log_deviation = head[..., 0], head[..., 1]
    return -0.5 * jnp.square((x - mean) * jnp.exp(-log_deviation)) - log_deviation - _LOG_2PI / 2


def _normal_kl(p: Float[Array, "... 2"], q: Float[Array, "... 2"]) -> Float[Array, "..."]:
    wider = q[..., 1] - p[..., 1]
    distance = (p[..., 0] - q[..., 0]) * jnp.exp(-q[..., 1])
    return wider + 0.5 * (jnp.expm1(-2 * wider) + jnp.square(distance))


def _lomax_log_density(head: Float[Array, "... 2"], x: Array) -> Float[Array, "..."]:
    log_shape, log_scale = head[..., 0], head[..., 1]
    tail = jnp.log1p(x * jnp.exp(-log_scale))
    return log_shape - log_scale - (jnp.exp(log_shape) + 1) * tail


def _lomax_kl(p: Float[Array, "... 2"], q: Float[Array, "... 2"]) -> Float[Array, "..."]:
    log_ratio = p[..., 1] - q[..., 1]
    a, c, r = jnp.exp(p[..., 0]), jnp.exp(q[..., 0]), jnp.exp(log_ratio)
    nodes, weights = (jnp.asarray(x, p.dtype) for x in _RULE)
    root = (nodes + 1) / 2
    integrand = root ** (2 * a[..., None] + 1) / (r[..., None] + (1 - r[..., None]) * root**2)
    mean = -(1 - r) * jnp.sum(weights * integrand, axis=-1)  # dv = 2 √v d√v; half of [−1, 1].
    return p[..., 0] - q[..., 0] - log_ratio + (c - a) / a + (c + 1) * mean


def _lomax_means(head: Float[Array, "... 2"]) -> Float[Array, "... 1"]:
    """The median, b (2^{1/a} − 1): the mean may be infinite."""
    return (jnp.exp(head[..., 1]) * jnp.expm1(jnp.log(2.0) * jnp.exp(-head[..., 0])))[..., None]


def _student_log_density(head: Float[Array, "... 3"], x: Array) -> Float[Array, "..."]:
    location, log_scale, freedom = head[..., 0], head[..., 1], jnp.exp(head[..., 2])
    squares = jnp.square((x - location) * jnp.exp(-log_scale)) / freedom
    return _student_peak(head) - (freedom + 1) / 2 * jnp.log1p(squares)


def _student_peak(head: Float[Array, "... 3"]) -> Float[Array, "..."]:
    freedom = jnp.exp(head[..., 2])
    constant = gammaln((freedom + 1) / 2) - gammaln(freedom / 2)
    return constant - 0.5 * (head[..., 2] + np.log(np.pi)) - head[..., 1]


def _student_kl(p: Float[Array, "... 3"], q: Float[Array, "... 3"]) -> Float[Array, "..."]:
    freedom, other = jnp.exp(p[..., 2]), jnp.exp(q[..., 2])
    nodes, weights = (jnp.asarray(x, p.dtype) for x in _RULE)
    sine, cosine = jnp.sin(np.pi / 2 * nodes), jnp.cos(np.pi / 2 * nodes)
    density = weights * jnp.exp(xlogy(freedom[..., None] - 1, cosine))
    density = density / jnp.sum(density, axis=-1, keepdims=True)
    narrow = jnp.exp(-q[..., 1]) / jnp.sqrt(other)
    shift = (p[..., 0] - q[..., 0]) * narrow
    width = jnp.exp(p[..., 1]) * jnp.sqrt(freedom) * narrow
    squares = cosine**2 + jnp.square(shift[..., None] * cosine + width[..., None] * sine)
    # log(1 + x²) = log(cos² (1 + x²)) − 2 log cos; the second part has a closed form.
    own = digamma((freedom + 1) / 2) - digamma(freedom / 2)
    theirs = own + jnp.sum(density * jnp.log(squares), axis=-1)
    constants = _student_peak(p) - _student_peak(q)
    return constants - (freedom + 1) / 2 * own + (other + 1) / 2 * theirs


def _first(head: Float[Array, "... n"]) -> Float[Array, "... 1"]:
    return head[..., :1]


BERNOULLI = Family(1, _bernoulli_log_probability, _bernoulli_kl, _bernoulli_means)
"""0 or 1; the head has the logit of 1."""

NORMAL = Family(2, _normal_log_density, _normal_kl, _first)
"""Mean, and logarithm of the standard deviation."""

LOMAX = Family(2, _lomax_log_density, _lomax_kl, _lomax_means)
"""Logarithms of shape and scale; ``means`` gives the median."""

STUDENT = Family(3, _student_log_density, _student_kl, _first)
"""Location, and logarithms of the scale and of the degrees of freedom."""
