r"""The optimiser of DreamerV3, as gradient transformations of optax.

A parameter tensor's gradient g is clipped relative to the tensor θ that it moves, divided by its
own root mean square, and only then averaged over time:

    g ← g min(1, c max(p, ‖θ‖) / ‖g‖)                           (adaptive gradient clipping)
    ν ← β₂ ν + (1 − β₂) g²,    u = g / (√(ν / (1 − β₂ᵗ)) + ε)    (root mean square)
    μ ← β₁ μ + (1 − β₁) u,     θ ← θ − η μ / (1 − β₁ᵗ)           (momentum: LaProp)

Adam averages first and divides by the latest root mean square: after a sudden large gradient, old
momentum is divided by a number that does not belong to it. What LaProp averages is normalised
already, so β₁ and β₂ can be chosen apart.

References:
    Ziyin, Wang, Ueda: LaProp: separating momentum and adaptivity in Adam. 2020, arXiv:2002.04839.
    Brock, De, Smith, Simonyan: High-performance large-scale image recognition without
    normalization. ICML 2021, arXiv:2102.06171.
    Hafner, Pasukonis, Ba, Lillicrap: Mastering diverse domains through world models. 2023,
    arXiv:2301.04104.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

Scalar = float | Float[Array, ""]


class LaPropState(NamedTuple):
    """What LaProp remembers.

    Attributes:
        steps: The updates so far.
        square: ν, the mean of squared gradients, like the parameters.
        momentum: μ, the mean of normalised gradients, like the parameters.
    """

    steps: Int[Array, ""]
    square: Any
    momentum: Any


def adaptive_gradient_clip(
    clipping: Scalar = 0.3, minimum: Scalar = 1e-3
) -> optax.GradientTransformation:
    """Scale each tensor's update down to at most a share of the tensor's norm.

    The norms are those of whole tensors, as in DreamerV3. Brock et al. take them for each output
    unit, and so does ``optax.adaptive_grad_clip``, which guesses from the number of axes which
    ones a unit's are: wrongly for block-diagonal kernels and for parameters stacked by a vmap.

    Args:
        clipping: c, the largest norm of an update, in norms of its tensor.
        minimum: p, the least norm that a tensor counts with: one that starts at 0 has to move.

    Returns:
        A transformation without state; its ``update`` needs the parameters.

    Example:
        >>> clip = adaptive_gradient_clip(0.5)
        >>> params = jnp.array([3.0, 4.0])
        >>> clip.update(jnp.array([0.0, 10.0]), clip.init(params), params)[0]
        Array([0. , 2.5], dtype=float32)

    Reference:
        Brock et al. 2021, eq. 3, with whole tensors for units; Hafner et al. 2023.
    """

    def clip(update: Array, param: Array) -> Array:
        largest = clipping * jnp.maximum(minimum, jnp.linalg.norm(param.ravel()))
        return update / jnp.maximum(1.0, jnp.linalg.norm(update.ravel()) / largest)

    return optax.stateless(lambda updates, params: jax.tree.map(clip, updates, params))


def scale_by_laprop(
    b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-20
) -> optax.GradientTransformation:
    """Divide by the root mean square, then average over time; both without bias.

    The result does not depend on the gradients' scale as long as their root mean square is far
    above ε and their squares do not underflow (10⁻¹⁹ in float32).

    Args:
        b1: β₁, the decay of the momentum.
        b2: β₂, the decay of the mean square.
        eps: ε, added to the root mean square.

    Returns:
        A transformation; its first result is the gradient's sign.

    Example:
        >>> scale = scale_by_laprop()
        >>> gradient = jnp.array([-3.0, 0.0, 0.001])
        >>> scale.update(gradient, scale.init(gradient))[0].round(3)
        Array([-1.,  0.,  1.], dtype=float32)

    Reference:
        Ziyin et al. 2020, algorithm 1.
    """

    def init(params: Any) -> LaPropState:
        # Twice, not once: an array that stands in two places cannot be donated.
        square, momentum = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        return LaPropState(jnp.zeros((), jnp.int32), square, momentum)

    def update(updates: Any, state: LaPropState, params: Any = None) -> tuple[Any, LaPropState]:
        del params
        steps = optax.safe_increment(state.steps)

        square = _average(b2, state.square, jax.tree.map(jnp.square, updates))
        mean_square = _unbiased(b2, square, steps)
        scaled = jax.tree.map(lambda g, nu: g / (jnp.sqrt(nu) + eps), updates, mean_square)
        momentum = _average(b1, state.momentum, scaled)
        return _unbiased(b1, momentum, steps), LaPropState(steps, square, momentum)

    return optax.GradientTransformation(init, update)


def laprop(
    learning_rate: Scalar,
    *,
    clipping: Scalar = 0.3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-20,
    warmup_steps: int = 1000,
) -> optax.GradientTransformation:
    """Adaptive gradient clipping, LaProp, and a rate that grows linearly at first.

    The t-th update, t = 1, 2, …, has the rate η min(1, t / ``warmup_steps``). (DreamerV3 counts
    from 0, so that its first update is none.)

    Args:
        learning_rate: η; may be traced, so that rates can be vmapped.
        clipping: c of ``adaptive_gradient_clip``.
        b1: β₁, the decay of the momentum.
        b2: β₂, the decay of the mean square.
        eps: ε, added to the root mean square.
        warmup_steps: Updates until the whole rate; 0 or 1 for none.

    Returns:
        The transformation; its ``update`` needs the parameters.

    Example:
        >>> optimizer = laprop(0.5, warmup_steps=2)
        >>> params = jnp.array([3.0, 4.0])
        >>> state = optimizer.init(params)
        >>> updates, state = optimizer.update(params, state, params)
        >>> optax.apply_updates(params, updates)
        Array([2.75, 3.75], dtype=float32)

    Reference:
        Hafner et al. 2023, with its c, β₁, β₂ and ε.
    """

    def rate(count: Int[Array, ""]) -> Float[Array, ""]:
        whole = jnp.asarray(learning_rate)
        updates = (count + 1).astype(whole.dtype)
        return -whole * jnp.minimum(1.0, updates / max(warmup_steps, 1))

    return optax.chain(
        adaptive_gradient_clip(clipping),
        scale_by_laprop(b1, b2, eps),
        optax.scale_by_schedule(rate),
    )


def _average(decay: Scalar, past: Any, now: Any) -> Any:
    """Decay · past + (1 − decay) · now."""

    def average(old: Array, new: Array) -> Array:
        # In its own precision, 1 − decay is the same number here and in the first correction.
        rate = jnp.asarray(decay, old.dtype)
        return rate * old + (1.0 - rate) * new

    return jax.tree.map(average, past, now)


def _unbiased(decay: Scalar, average: Any, steps: Int[Array, ""]) -> Any:
    """An average that began at zero, divided by the weights that it gave so far."""
    given = {
        dtype: 1.0 - jnp.asarray(decay, dtype) ** steps.astype(dtype)
        for dtype in {x.dtype for x in jax.tree.leaves(average)}
    }
    return jax.tree.map(lambda x: x / given[x.dtype], average)
