r"""From local dynamics to a policy, and from a policy to episodes.

The last episodes' states and the dynamics of each step are inferred together, with q(F, Σ) of the
whole model as the prior of all steps, worth so many pairs (empirical Bayes):

    q(s) given q(F_t, Σ_t),  then  q(F_t, Σ_t) ∝ p(F, Σ) exp Σ_episodes E log N(s_{t+1}; F x_t, Σ),

by turns; each raises the bound of the evidence. The policy then is the best within a divergence of
the last one under the mean dynamics and E[Σ_t], with the learned cost (``lqr.constrained``).
"""

from typing import NamedTuple

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

    def states(law: MNIW) -> Smoothed:
        if not structured:
            return jax.vmap(inference.alone)(potentials)
        known = mniw.expected(law)
        along = jax.vmap(lambda a: inference.chain(start, known, a))(actions)
        return jax.vmap(inference.smoothed)(along, potentials)

    def round_(law: MNIW, _: None) -> tuple[MNIW, Array]:
        found = states(law)
        counted = jax.vmap(inference.residual_statistics, (0, 0, None))(found, actions, every.mean)
        total = jax.tree.map(lambda x: jnp.sum(x, axis=0), counted)
        bound = jnp.sum(found.log_evidence) - jnp.sum(mniw.kl(law, every))
        return mniw.given_residuals(every, total), bound

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
    old: lqr.Policy,
    states: Float[Array, "episode time n"],
    actions: Float[Array, "episode steps m"],
    pairs: float = 4.0,
) -> lqr.Policy:
    """The policy that was followed, in the states as they are seen now.

    In a few episodes, the states of one time step differ little: they tell where the policy's
    actions are, hardly its gains. These stay as they were where nothing is told.

    Args:
        old: The policy in the states as they were seen then.
        states: Means of states.
        actions: What was done.
        pairs: How many pairs the old covariance counts for.

    Returns:
        u ~ N(K s + k, S) at each step, by a conjugate regression around the old one.
    """
    steps, m = actions.shape[1:]
    n = states.shape[-1]
    x = jnp.concatenate([states[:, :-1], jnp.ones((*actions.shape[:2], 1))], axis=-1)
    x, u = (jnp.moveaxis(value, 0, 1) for value in (x, actions))
    prior = MNIW(
        old.covariance * pairs,
        jnp.full(steps, pairs + m + 1.0),
        jnp.concatenate([old.gain, old.offset[..., None]], axis=-1),
        jnp.broadcast_to(10 * jnp.eye(n + 1), (steps, n + 1, n + 1)),
    )
    law = mniw.given_residuals(prior, mniw.statistics(x, u - x @ prior.mean.mT))
    found = mniw.mean(law)
    return lqr.Policy(law.mean[..., :n], law.mean[..., n], found.covariance)


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


def local_cost(
    cost: lqr.Quadratic,
    local: Local,
    actions: Float[Array, "episode steps m"],
    costs: Float[Array, "episode steps"],
    strength: float | Float[Array, ""],
) -> lqr.Quadratic:
    """The cost at each step, as the last episodes paid it there (``lqr.fit_slopes``).

    Args:
        cost: Of [s; a], for all steps.
        local: Local dynamics, and the states of these episodes.
        actions: What was done.
        costs: What was paid.
        strength: How many points say that the cost is right as it is.

    Returns:
        A cost for each step.
    """
    mean = jnp.concatenate([local.states[:, :-1], actions], axis=-1)
    sure = lqr.Gaussian(mean, jnp.zeros((*mean.shape, mean.shape[-1]), mean.dtype))
    return lqr.fit_slopes(cost, sure, costs, strength=strength)


def local_problem(local: Local, cost: lqr.Quadratic) -> tuple[lqr.Problem, lqr.Gaussian]:
    """Control around the last episodes, by mean dynamics and mean noise.

    Args:
        local: Local dynamics.
        cost: Of [s; a], the same at each step or with an axis of steps; the last state costs
            nothing.

    Returns:
        (the problem, the law of its first state).
    """
    dynamics, n = mean_dynamics(local.dynamics), local.start.mean.shape[-1]
    every = cost
    if cost.constant.ndim == 0:
        every = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(dynamics.offset), *x.shape)), cost)
    none = lqr.Quadratic(jnp.zeros((n, n)), jnp.zeros(n), jnp.zeros(()))
    start = lqr.Gaussian(local.start.mean, local.start.covariance)
    return lqr.Problem(dynamics, every, none), start


def adjusted(
    multiplier: Float[Array, ""],
    promised: Float[Array, " 2"],
    turned_out: Float[Array, ""],
) -> Float[Array, ""]:
    """How much the bound of a policy's step is multiplied by from now on.

    Of a quadratic model of what a longer step does, the best step is p / (2 (p − r)) times the
    last one, p being the improvement that was promised and r the one that came (Levine and Abbeel
    2014, as in the release: within 0.1 and 5, in all within 0.1 and 10). All costs are those that
    local models expect, of which the last one has seen what happened: those that were paid in a few
    episodes would be too noisy.

    Args:
        multiplier: Until now.
        promised: What the last local model expected of the policy before the step and after it.
        turned_out: What the model after it expects of the latter.

    Returns:
        The multiplier.
    """
    improvement, real = promised[0] - promised[1], promised[0] - turned_out
    ratio = improvement / (2 * jnp.maximum(1e-4, improvement - real))
    return jnp.clip(multiplier * jnp.clip(ratio, 0.1, 5.0), 0.1, 10.0)
