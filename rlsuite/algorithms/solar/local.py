r"""From local dynamics to a policy, and from a policy to episodes.

The last episodes' states and the dynamics of each step are inferred together, with q(F, Σ) of the
whole model as the prior of all steps, worth so many pairs (empirical Bayes):

    q(s) given q(F_t, Σ_t),  then  q(F_t, Σ_t) ∝ p(F, Σ) exp Σ_episodes E log N(s_{t+1}; F x_t, Σ),

by turns; each raises the bound of the evidence. The policy then is the best within a divergence of
the last one under the mean dynamics and E[Σ_t], with the learned cost (``lqr.constrained``).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops import lqr, mniw
from rlsuite.ops import structured_inference as inference
from rlsuite.ops.gaussian import Moments, Potential, Smoothed
from rlsuite.ops.mniw import MNIW


class Local(NamedTuple):
    """Local dynamics around the last episodes.

    Attributes:
        dynamics: q(F_t, Σ_t), one for each step.
        start: The law of s_0.
        states: The means of the episodes' states.
        bounds: The bound after each round.
    """

    dynamics: MNIW
    start: Moments
    states: Float[Array, "episode time n"]
    bounds: Float[Array, " round"]


def weakened(law: MNIW, pairs: float | Float[Array, ""]) -> MNIW:
    """The same means, worth so many pairs of data.

    Args:
        law: q(F, Σ).
        pairs: How many.

    Returns:
        A prior: M, Ψ / ν and V as of so many pairs.
    """
    n = law.mean.shape[-2]
    share = jnp.minimum(pairs / law.nu, 1.0)
    nu = jnp.maximum(law.nu * share, n + 2.0)
    psi = law.psi * ((nu - n - 1) / (law.nu - n - 1))[..., None, None]
    return MNIW(psi, nu, law.mean, law.column_covariance / share[..., None, None])


def fit(
    prior: MNIW,
    start: Moments,
    potentials: Potential,
    actions: Float[Array, "episode steps m"],
    rounds: int,
    *,
    structured: bool = True,
) -> Local:
    """Infer states and local dynamics by turns.

    Args:
        prior: Of every step's (F, Σ), or with a leading axis of each.
        start: The law of s_0.
        potentials: What pictures tell, ``[episode, time]``.
        actions: a_t.
        rounds: How often.
        structured: Whether states depend on each other; if not, pictures alone place them.

    Returns:
        The local dynamics.
    """
    steps, n = actions.shape[1], prior.mean.shape[-2]
    timed = prior.mean.ndim == 3
    every = (
        prior if timed else jax.tree.map(lambda x: jnp.broadcast_to(x, (steps, *x.shape)), prior)
    )
    told = mniw.to_natural(every)

    def states(law: MNIW) -> Smoothed:
        if not structured:
            return jax.vmap(inference.alone)(potentials)
        known = mniw.expected(law)
        along = jax.vmap(lambda a: inference.chain(start, known, a))(actions)
        return jax.vmap(inference.smoothed)(along, potentials)

    def round_(law: MNIW, _: None) -> tuple[MNIW, Array]:
        found = states(law)
        counted = jax.vmap(inference.step_statistics)(found, actions)
        total = jax.tree.map(lambda x: jnp.sum(x, axis=0), counted)
        bound = jnp.sum(found.log_evidence) - jnp.sum(mniw.kl(law, every))
        return mniw.to_moments(mniw.posterior(told, total)), bound

    law, bounds = jax.lax.scan(round_, every, length=rounds)
    found = states(law)
    first = jax.tree.map(lambda x: x[:, 0], found.states)
    mean = jnp.mean(first.mean, axis=0)
    apart = first.mean - mean
    covariance = jnp.mean(first.covariance + apart[:, :, None] * apart[:, None, :], axis=0)
    covariance = covariance + 1e-6 * jnp.eye(n)
    return Local(law, Moments(mean, covariance), found.states.mean, bounds)


def mean_dynamics(law: MNIW) -> lqr.Dynamics:
    """Mean dynamics and mean noise of each step.

    Args:
        law: q(F_t, Σ_t).

    Returns:
        A, B, c and W.
    """
    n = law.mean.shape[-2]
    m = law.mean.shape[-1] - n - 1
    noise = law.psi / (law.nu - n - 1)[..., None, None]
    return lqr.Dynamics(law.mean[..., :n], law.mean[..., n : n + m], law.mean[..., n + m], noise)


def refitted(
    states: Float[Array, "episode time n"],
    actions: Float[Array, "episode steps m"],
    variance: float | Float[Array, ""],
    pairs: float = 4.0,
) -> lqr.Policy:
    """The policy that was followed, in the states as they are seen now.

    Args:
        states: Means of states.
        actions: What was done.
        variance: The actions' prior variance, worth ``pairs`` pairs.
        pairs: How many.

    Returns:
        u ~ N(K s + k, S) at each step: the most likely regression under a weak prior about zero.
    """
    n, m = states.shape[-1], actions.shape[-1]
    x = jnp.concatenate([states[:, :-1], jnp.ones((*actions.shape[:2], 1))], axis=-1)
    x, u = (jnp.moveaxis(value, 0, 1) for value in (x, actions))
    prior = MNIW(
        jnp.eye(m) * variance * pairs,
        jnp.asarray(pairs + m + 1.0),
        jnp.zeros((m, n + 1)),
        jnp.eye(n + 1) * 10.0,
    )
    every = jax.tree.map(lambda a: jnp.broadcast_to(a, (len(x), *a.shape)), prior)
    law = mniw.to_moments(mniw.posterior(mniw.to_natural(every), mniw.statistics(x, u)))
    return lqr.Policy(
        law.mean[..., :n], law.mean[..., n], law.psi / (law.nu - m - 1)[:, None, None]
    )


def fitted_cost(
    found: Smoothed,
    actions: Float[Array, "episode steps m"],
    costs: Float[Array, "episode steps"],
    weights: Float[Array, " episode"],
) -> lqr.Quadratic:
    """The cost of [s; a] from what was paid, convex.

    Args:
        found: The states of episodes.
        actions: What was done.
        costs: What was paid.
        weights: How much an episode counts.

    Returns:
        The fit.
    """
    m, steps = actions.shape[-1], actions.shape[1]
    mean, covariance = jax.tree.map(lambda x: x[:, :-1], found.states)
    points = lqr.Gaussian(
        jnp.concatenate([mean, actions], axis=-1),
        jnp.pad(covariance, ((0, 0), (0, 0), (0, m), (0, m))),
    )
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), points)
    return lqr.fit_quadratic(flat, costs.ravel(), weights=jnp.repeat(weights, steps))


def improved(
    local: Local, cost: lqr.Quadratic, old: lqr.Policy, bound: Any, temperature: Any
) -> lqr.Constrained:
    """The best policy within a divergence of the old one.

    Args:
        local: Local dynamics.
        cost: Of [s; a], the same at each step; the last state costs nothing.
        old: The policy that was followed.
        bound: How far from it, in nats for the whole episode.
        temperature: What a nat of entropy is worth.

    Returns:
        The policy, and what it is expected to cost.
    """
    steps, n = old.gain.shape[0], local.start.mean.shape[-1]
    every = jax.tree.map(lambda x: jnp.broadcast_to(x, (steps, *x.shape)), cost)
    none = lqr.Quadratic(jnp.zeros((n, n)), jnp.zeros(n), jnp.zeros(()))
    problem = lqr.Problem(mean_dynamics(local.dynamics), every, none)
    start = lqr.Gaussian(local.start.mean, local.start.covariance)
    return lqr.constrained(problem, old, start, bound, temperature=temperature)
