r"""The states of an episode, given pictures' potentials and what is known of the dynamics.

The dynamics are s_{t+1} = F x_t + e_t with x_t = [s_t; a_t; 1] and e_t ~ N(0, Σ), and of (F, Σ) a
law q(F, Σ) is known, through its expected statistics alone. The best law of the states is

    q(s_{0:T}) ∝ p(s_0) Π_t exp E_q[log N(s_{t+1}; F x_t, Σ)] Π_t ψ_t(s_t),

a linear-Gaussian chain again: with P = E[Σ⁻¹] and M = P⁻¹ E[Σ⁻¹ F] each step's factor is

    N(s'; M x, P⁻¹) exp(−½ xᵀ (E[Fᵀ Σ⁻¹ F] − Mᵀ P M) x + ½ E log |Σ⁻¹| − ½ log |P|),

so that what is not known of F appears as one potential more of each state that is left.

Reference:
    Johnson et al.: Composing graphical models with neural networks for structured representations
    and fast inference. NeurIPS 2016, arXiv:1603.06277.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.ops import gaussian, positive_definite
from rlsuite.ops.gaussian import LinearGaussian, Moments, Potential, Smoothed, information
from rlsuite.ops.matrices import product
from rlsuite.ops.mniw import Expected, Natural


class StateChain(NamedTuple):
    """The law of an episode's states before its pictures are seen, not normalised.

    Attributes:
        model: The linear-Gaussian chain.
        excess: The potentials of s_0 … s_{T−1} that stand for what is not known of F.
    """

    model: LinearGaussian
    excess: Potential


class InferredStates(NamedTuple):
    """The states of an episode, given its pictures.

    Attributes:
        smoothed: Their law.
        path: One draw of them.
        divergence: KL(q(s) ‖ p(s | F, Σ)) on average over q(F, Σ), in nats.
    """

    smoothed: Smoothed
    path: Float[Array, "states n"]
    divergence: Float[Array, ""]


def inputs_of(
    states: Float[Array, "*batch n"], actions: Float[Array, "*batch m"]
) -> Float[Array, "*batch nm1"]:
    """X = [s; a; 1].

    Args:
        states: s.
        actions: a.

    Returns:
        x.
    """
    one = jnp.ones((*states.shape[:-1], 1), states.dtype)
    return jnp.concatenate([states, actions, one], axis=-1)


def chain(initial: Moments, known: Expected, actions: Float[Array, "steps m"]) -> StateChain:
    """The chain along an episode's actions.

    Args:
        initial: The law of s_0.
        known: Expected statistics: of all steps, or with a leading axis of each.
        actions: a_t.

    Returns:
        The chain.
    """
    steps, n = len(actions), initial.mean.shape[-1]
    if known.precision.ndim == 2:
        known = jax.tree.map(lambda x: jnp.broadcast_to(x, (steps, *x.shape)), known)
    factor = positive_definite.cholesky(known.precision)
    mean_map = positive_definite.solve(factor, known.precision_map)
    noise = positive_definite.inverse(factor)
    fixed = inputs_of(jnp.zeros((steps, n), actions.dtype), actions)[:, n:]
    offset = jnp.einsum("tij,tj->ti", mean_map[..., n:], fixed)
    # Its value is exact, its slopes are those of what it follows from; see ``mniw.Expected``.
    follows = known.quadratic - product(known.precision_map.mT, mean_map)
    unknown = jax.lax.stop_gradient(known.spread - follows) + follows
    excess = Potential(
        unknown[..., :n, :n],
        -jnp.einsum("tij,tj->ti", unknown[..., :n, n:], fixed),
        -jnp.einsum("ti,tij,tj->t", fixed, unknown[..., n:, n:], fixed) / 2
        - (known.log_determinant + positive_definite.log_determinant(factor)) / 2,
    )
    return StateChain(LinearGaussian(initial, mean_map[..., :n], offset, noise), excess)


def smoothed(along: StateChain, potentials: Potential) -> Smoothed:
    """The law of the states.

    Args:
        along: The chain.
        potentials: ψ_0 … ψ_T.

    Returns:
        Moments, and the log of the normaliser.
    """
    return gaussian.smooth(along.model, _told(along, potentials))


def infer(key: PRNGKeyArray, along: StateChain, potentials: Potential) -> InferredStates:
    """The law of the states, a draw, and how far it is from what was known before.

    Args:
        key: Key.
        along: The chain.
        potentials: ψ_0 … ψ_T.

    Returns:
        What was inferred, differentiable in everything.
    """
    told = _told(along, potentials)
    found = gaussian.filter(along.model, told)
    law = gaussian.rts(along.model, found)
    path = gaussian.sample(key, along.model, found)
    seen = jnp.sum(expected_value(potentials, law.states))
    return InferredStates(law, path, seen - law.log_evidence)


def alone(potentials: Potential) -> Smoothed:
    """The states as their own pictures place them, and no doubt about these places.

    Args:
        potentials: ψ_0 … ψ_T, each with independent numbers.

    Returns:
        Means, and covariances of zero; of no evidence.
    """
    mean = potentials.shift / jnp.diagonal(potentials.precision, axis1=-2, axis2=-1)
    nothing = jnp.zeros_like(potentials.precision)
    return Smoothed(Moments(mean, nothing), nothing[1:], jnp.zeros((), mean.dtype))


def infer_alone(key: PRNGKeyArray, potentials: Potential) -> InferredStates:
    """Each state given its picture, as if nothing moved: q(s_t) ∝ ψ_t(s_t), a priori N(0, I).

    Args:
        key: Key.
        potentials: ψ_0 … ψ_T, each with independent numbers.

    Returns:
        What was inferred; ``smoothed`` has means alone, to which dynamics are fitted.
    """
    placed = alone(potentials)
    mean, precision = placed.states.mean, jnp.diagonal(potentials.precision, axis1=-2, axis2=-1)
    path = mean + jax.random.normal(key, mean.shape, mean.dtype) / jnp.sqrt(precision)
    divergence = jnp.sum(1 / precision + jnp.square(mean) - 1 + jnp.log(precision)) / 2
    return InferredStates(placed, path, divergence)


def expected_value(potential: Potential, law: Moments) -> Float[Array, "*batch"]:
    """E log φ(x) under a normal law.

    Args:
        potential: φ.
        law: Of x.

    Returns:
        Nats.
    """
    traces = jnp.sum(potential.precision * law.covariance, axis=(-1, -2))
    return information.log_value(potential, law.mean) - traces / 2


def step_statistics(law: Smoothed, actions: Float[Array, "steps m"]) -> Natural:
    """E of (s' s'ᵀ, s' xᵀ, x xᵀ, 1) at each step.

    Args:
        law: Of the states.
        actions: a_t.

    Returns:
        Statistics, with a leading axis of steps.
    """
    mean, covariance = law.states
    return _statistics(law.states, actions, mean[1:], covariance[1:], law.cross.mT)


def residual_statistics(
    law: Smoothed, actions: Float[Array, "steps m"], maps: Float[Array, "steps n d"]
) -> Natural:
    """E of (e eᵀ, e xᵀ, x xᵀ, 1) at each step, with e = s' − F x: see ``mniw.given_residuals``.

    Args:
        law: Of the states.
        actions: a_t.
        maps: F of each step, for x = [s; a; 1].

    Returns:
        Statistics, with a leading axis of steps.
    """
    mean, covariance = law.states
    moved = maps[..., : mean.shape[-1]]
    off = mean[1:] - product(maps, inputs_of(mean[:-1], actions)[..., None])[..., 0]
    with_state = law.cross.mT - product(moved, covariance[:-1])
    spread = covariance[1:] - product(moved, law.cross) - product(with_state, moved.mT)
    return _statistics(law.states, actions, off, (spread + spread.mT) / 2, with_state)


def _statistics(
    states: Moments,
    actions: Float[Array, "steps m"],
    mean: Float[Array, "steps n"],
    covariance: Float[Array, "steps n n"],
    with_state: Float[Array, "steps n n"],
) -> Natural:
    """Of y with this mean and covariance, and its covariance with s, and of x = [s; a; 1]."""
    x, more = inputs_of(states.mean[:-1], actions), actions.shape[-1] + 1
    spread = jnp.pad(states.covariance[:-1], ((0, 0), (0, more), (0, more)))
    return Natural(
        covariance + mean[:, :, None] * mean[:, None, :],
        jnp.pad(with_state, ((0, 0), (0, 0), (0, more))) + mean[:, :, None] * x[:, None, :],
        spread + x[:, :, None] * x[:, None, :],
        jnp.ones(len(actions), states.mean.dtype),
    )


def _told(along: StateChain, potentials: Potential) -> Potential:
    """All that is told of each state."""
    return jax.tree.map(
        lambda seen, more: jnp.concatenate([seen[:-1] + more, seen[-1:]]), potentials, along.excess
    )
