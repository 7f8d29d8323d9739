r"""Distributions as pytrees: what world models predict and policies choose from.

Each is a frozen dataclass of arrays, whose leading axes are batch axes. ``sample`` carries
gradients to the parameters: by reparameterisation where the sample is continuous, and *straight
through* where it is discrete, whose value is the draw and whose derivative is that of the
probabilities. A distribution of a vector sums ``log_prob`` and ``entropy`` over the last axis;
one of a number sums over nothing. Targets are not stopped: callers stop them.

Discrete samples are one-hot. With *unimix*, a share u of the probability is spread evenly over the
classes, p = (1 − u) softmax(l) + u / n, so that no class is ever impossible and KL divergences stay
finite.

References:
    Hafner, Lillicrap, Ba, Norouzi: Dream to control: learning behaviors by latent imagination.
    ICLR 2020, arXiv:1912.01603.
    Hafner, Lillicrap, Norouzi, Ba: Mastering Atari with discrete world models. ICLR 2021,
    arXiv:2010.02193.
    Hafner, Pasukonis, Ba, Lillicrap: Mastering diverse domains through world models. 2023,
    arXiv:2301.04104.
    Bengio, Léonard, Courville: Estimating or propagating gradients through stochastic neurons for
    conditional computation. 2013, arXiv:1308.3432.
"""

import dataclasses
import math
from dataclasses import InitVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

_IMPOSSIBLE = -1e30
"""The logit of a masked class: its probability is exactly 0, and 0 times it is 0, not NaN."""

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
    return jnp.sign(x) * jnp.log1p(jnp.abs(x))


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
    return jnp.sign(x) * jnp.expm1(jnp.abs(x))


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
    uniform = allowed / jnp.sum(allowed, axis=-1, keepdims=True)
    mixed = (1.0 - share) * jax.nn.softmax(logits) + share * uniform.astype(logits.dtype)
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


@jax.tree_util.register_dataclass
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

    logits: Float[Array, "... classes"]
    unimix: InitVar[float | Float[Array, ""]] = 0.0

    def __post_init__(self, unimix: float | Float[Array, ""]) -> None:
        # No field, so that a pytree that is rebuilt is not mixed twice.
        if not (isinstance(unimix, float | int) and unimix == 0):
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


@jax.tree_util.register_dataclass
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

    logits: tuple[Float[Array, "..."], ...]
    unimix: InitVar[float | Float[Array, ""]] = 0.0

    def __post_init__(self, unimix: float | Float[Array, ""]) -> None:
        mixed = tuple(OneHotCategorical(logits, unimix).logits for logits in self.logits)
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


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Bernoulli:
    """Yes (1) or no (0): whether an episode goes on.

    Attributes:
        logits: log p/(1 − p), ``[...]``.

    Example:
        >>> float(Bernoulli(jnp.array(0.0)).mean())
        0.5
    """

    logits: Float[Array, "..."]

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


@jax.tree_util.register_dataclass
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

    logits: Float[Array, "... bins"]

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

        Bins of opposite sign are paired, so that evenly spread probabilities give exactly 0: summed
        from left to right, rounding of the outer bins would leave a large number.
        """
        n = self.logits.shape[-1]
        probs = jax.nn.softmax(self.logits)
        upper = probs[..., -(n // 2) :]
        lower = probs[..., : n // 2][..., ::-1]
        return jnp.sum((upper - lower) * self.bins[-(n // 2) :], axis=-1)

    def mode(self) -> Float[Array, "..."]:
        """The value of the likeliest bin."""
        return self.bins[jnp.argmax(self.logits, axis=-1)]

    def log_prob(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The cross entropy Σ twohot(x) log p, negated as a loss: a score, not a density."""
        return jnp.sum(twohot(x, self.bins) * jax.nn.log_softmax(self.logits), axis=-1)


@jax.tree_util.register_dataclass
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

    loc: Float[Array, "... dimension"]
    scale: Float[Array, "... dimension"]

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
    min_std: float = 0.1,
    max_std: float = 1.0,
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


@jax.tree_util.register_dataclass
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

    loc: Float[Array, "... dimension"]
    scale: Float[Array, "... dimension"]

    @property
    def base(self) -> DiagonalNormal:
        """The distribution before the tangent."""
        return DiagonalNormal(self.loc, self.scale)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "... dimension"]:
        """A draw, tanh(loc + scale ε)."""
        return jnp.tanh(self.base.sample(key))

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

    def _expectation(self, function: Any) -> Float[Array, "... dimension"]:
        """E f(u) of each normal number u."""
        points = jnp.linspace(-8.5, 8.5, 128, dtype=self.loc.dtype)
        weights = jax.nn.softmax(-0.5 * jnp.square(points))
        return function(self.loc[..., None] + self.scale[..., None] * points) @ weights


def tanh_normal(
    raw_mean: Float[Array, "... dimension"],
    raw_std: Float[Array, "... dimension"],
    *,
    init_std: float = 5.0,
    min_std: float = 1e-4,
    mean_scale: float = 5.0,
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


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SquaredError:
    """A prediction scored by its squared error: images.

    Attributes:
        prediction: ``[..., *event]``.
        event_axes: How many of the last axes are one event: 3 for an image.

    Example:
        >>> SquaredError(jnp.zeros((2, 3, 4, 1)), 3).log_prob(jnp.ones((2, 3, 4, 1)))
        Array([-12., -12.], dtype=float32)

    Reference:
        Hafner et al. 2023, its published code: without the ½ and the constant of a density.
    """

    prediction: Float[Array, "..."]
    event_axes: int = dataclasses.field(default=1, metadata={"static": True})

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


@jax.tree_util.register_dataclass
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

    prediction: Float[Array, "... dimension"]

    def mean(self) -> Float[Array, "... dimension"]:
        """symexp(prediction)."""
        return symexp(self.prediction)

    def mode(self) -> Float[Array, "... dimension"]:
        """symexp(prediction)."""
        return symexp(self.prediction)

    def log_prob(self, x: Float[Array, "... dimension"]) -> Float[Array, "..."]:
        """− Σ (prediction − symlog(x))² over the last axis."""
        return -jnp.sum(jnp.square(self.prediction - symlog(x)), axis=-1)


@jax.tree_util.register_dataclass
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


def kl(
    p: OneHotCategorical | DiagonalNormal, q: OneHotCategorical | DiagonalNormal
) -> Float[Array, "..."]:
    """KL(p ‖ q) of each latent: of classes ``[...]``, of normal numbers ``[..., dimension]``.

    Sum over the latents, and only then apply ``free_nats``.

    Args:
        p: The distribution that the expectation is over.
        q: Another of the same kind.

    Returns:
        Nats, at least 0 up to rounding.

    Raises:
        ValueError: If they are not two ``OneHotCategorical`` or two ``DiagonalNormal``.

    Example:
        >>> fair, biased = OneHotCategorical(jnp.zeros(2)), OneHotCategorical(jnp.array([0.0, 2.0]))
        >>> round(float(kl(fair, biased)), 4)
        0.4338
    """
    if isinstance(p, OneHotCategorical) and isinstance(q, OneHotCategorical):
        difference = jax.nn.log_softmax(p.logits) - jax.nn.log_softmax(q.logits)
        return jnp.sum(p.probs * difference, axis=-1)
    if isinstance(p, DiagonalNormal) and isinstance(q, DiagonalNormal):
        ratio = p.scale / q.scale
        distance = (p.loc - q.loc) / q.scale
        return 0.5 * (jnp.square(ratio) + jnp.square(distance) - 1.0) - jnp.log(ratio)
    raise ValueError(
        f"p and q are {type(p).__name__} and {type(q).__name__}; "
        "allowed: two OneHotCategorical or two DiagonalNormal"
    )


def free_nats(divergence: Float[Array, "..."], nats: float) -> Float[Array, "..."]:
    """max(KL, nats): no gradient where the divergence is small already.

    Args:
        divergence: KL, summed over the latents.
        nats: What is free.

    Returns:
        At least ``nats``.

    Example:
        >>> free_nats(jnp.array([0.2, 3.0]), 1.0)
        Array([1., 3.], dtype=float32)

    Reference:
        Hafner et al. 2023, eq. 5.
    """
    return jnp.maximum(divergence, nats)


def _straight_through(
    value: Float[Array, "..."], probs: Float[Array, "..."]
) -> Float[Array, "..."]:
    """The value to the last bit, with the gradient of the probabilities."""
    return jax.lax.stop_gradient(value) + (probs - jax.lax.stop_gradient(probs))


def _log_slope(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(1 − tanh² x), where the logarithm's argument would round to 0."""
    return 2.0 * (math.log(2.0) - x - jax.nn.softplus(-2.0 * x))
