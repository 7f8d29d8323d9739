r"""Linear transitions: with numbers that are learned by gradients, or with a law of them.

    s' ~ N(F [s; a; 1], Σ),

with one (F, Σ) for all time steps, or one for each.

References:
    Zhang et al.: SOLAR: deep structured representations for model-based reinforcement learning.
    ICML 2019, arXiv:1808.09105.
    Johnson et al.: Composing graphical models with neural networks for structured representations
    and fast inference. NeurIPS 2016, arXiv:1603.06277.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.latent_models.transition import Conjugate, Transition, from_local
from rlsuite.ops import mniw as laws
from rlsuite.ops import structured_inference as inference
from rlsuite.ops.gaussian import Moments, Smoothed
from rlsuite.ops.lqr import Dynamics
from rlsuite.ops.mniw import MNIW, Natural, Regression


class LinearParams(NamedTuple):
    """F and Σ of a linear transition.

    Attributes:
        matrix: F, ``[n, n+m+1]``.
        log_scale: log of the diagonal of Σ's lower triangular factor, ``[n]``.
        below: Its other entries, of which those below the diagonal count, ``[n, n]``.
    """

    matrix: Float[Array, "n nm1"]
    log_scale: Float[Array, " n"]
    below: Float[Array, "n n"]


def linear(size: int, actions: int, *, deviation: float = 0.5) -> Transition:
    """F and Σ are learned by gradients.

    Args:
        size: n, of a state.
        actions: m, of an action.
        deviation: The noise's at first.

    Returns:
        The transition; at first it stays where it is.
    """

    def init(key: PRNGKeyArray) -> LinearParams:
        del key
        stay = jnp.eye(size, size + actions + 1)
        log_scale = jnp.log(jnp.full(size, deviation, float))
        return LinearParams(stay, log_scale, jnp.zeros((size, size)))

    def local(params: LinearParams, carry: Any, state: Array, action: Array) -> Any:
        del state, action
        factor = jnp.tril(params.below, -1) + jnp.diag(jnp.exp(params.log_scale))
        return carry, dynamics(Regression(params.matrix, factor @ factor.T))

    return from_local(init, local, linear=True)


def mniw(
    size: int, actions: int, *, steps: int | None = None, prior: MNIW | None = None
) -> Transition:
    """SOLAR's: a matrix-normal inverse-Wishart law of (F, Σ), learned by natural gradients.

    Args:
        size: n, of a state.
        actions: m, of an action.
        steps: How many time steps have an (F, Σ) of their own; None: all have the same.
        prior: p(F, Σ), of every one of them; by default that of SOLAR's release.

    Returns:
        The transition. Its q is a ``Natural``, its θ a ``Regression``.
    """
    before = laws.prior(size, actions + 1) if prior is None else prior
    if steps is not None:
        before = jax.tree.map(lambda x: jnp.broadcast_to(x, (steps, *x.shape)), before)
    start = laws.to_natural(before)

    def local(params: Regression, carry: Any, state: Array, action: Array) -> Any:
        del state, action
        if steps is None:
            return carry, dynamics(params)
        now = jax.tree.map(lambda x: x[jnp.minimum(carry, steps - 1)], params)
        return carry + 1, dynamics(now)

    return from_local(
        lambda _: jax.tree.map(jnp.copy, start),
        local,
        begin=lambda _: jnp.int32(0) if steps is not None else (),
        linear=True,
        conjugate=_conjugate(before, timed=steps is not None),
    )


def dynamics(known: Regression) -> Dynamics:
    """A, B, b and W.

    Args:
        known: F of [s; a; 1], and Σ.

    Returns:
        F's parts, and Σ.
    """
    n = known.matrix.shape[-2]
    A, B, b = jnp.split(known.matrix, [n, known.matrix.shape[-1] - 1], axis=-1)
    return Dynamics(A, B, b[..., 0], known.covariance)


def _conjugate(before: MNIW, *, timed: bool) -> Conjugate:
    def chain(known: Natural, initial: Moments, actions: Array) -> inference.StateChain:
        expected = laws.expected(laws.to_moments(known))
        if timed:
            expected = jax.tree.map(lambda x: x[: len(actions)], expected)
        return inference.chain(initial, expected, actions)

    def update(known: Natural, states: Smoothed, actions: Array, rate: Any, episodes: Any) -> Any:
        told = jax.vmap(inference.step_statistics)(states, actions)
        total = jax.tree.map(lambda x: jnp.mean(x if timed else jnp.sum(x, 1), axis=0), told)
        return laws.natural_step(known, laws.to_natural(before), total, rate, episodes)

    def draw(key: PRNGKeyArray, known: Natural) -> Regression:
        return laws.sample(key, laws.to_moments(known))

    return Conjugate(
        chain,
        update,
        lambda known: laws.mean(laws.to_moments(known)),
        draw,
        lambda known: jnp.sum(laws.kl(laws.to_moments(known), before)),
    )
