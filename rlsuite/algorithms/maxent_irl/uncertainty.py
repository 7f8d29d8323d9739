r"""How well demonstrations determine a reward: standard errors, and what no demonstration shows.

Near the maximum of the likelihood the estimate θ̂ from N demonstrations is normal with covariance

    H⁻¹ Σ H⁻¹ / N,   H = ∇²L,   Σ = Σ_t γ^{2t} E[g gᵀ],   g(s, a) = ∇_θ log π(a|s),

because the score of a trajectory, Σ_t γ^t g(s_t, a_t), is a sum of martingale differences. Without
a discount Σ = H, and the formula is the inverse of the Fisher information; with one, the naive
H⁻¹/N counts late steps as if they were certain. H comes from Hessian-vector products through the
implicitly differentiated fixed point.

A policy does not show everything of a reward. A direction of θ along which log π does not change
is invisible in any number of demonstrations: a potential's shaping γ E[Φ(s')] − Φ(s) (constants
among them where nothing is terminal), features that add nothing, and rewards of states that
cannot be reached.

References:
    White: Maximum likelihood estimation of misspecified models. Econometrica 1982, eq. 3.3.
    Ng, Harada, Russell: Policy invariance under reward transformations. ICML 1999, theorem 1.
    Cao, Cohen, Szpruch: Identifiability in inverse reinforcement learning. NeurIPS 2021,
    theorem 1.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from rlsuite.algorithms.maxent_irl.algorithm import reward_network
from rlsuite.algorithms.maxent_irl.demonstrations import Demonstrations
from rlsuite.algorithms.maxent_irl.likelihood import (
    Config,
    Problem,
    Reward,
    loss_of_reward,
    solve,
)
from rlsuite.nets import Network
from rlsuite.ops import tabular

_MOST_PARAMETERS = 4096


class Uncertainty(NamedTuple):
    """Standard errors of a reward found from N demonstrations.

    Attributes:
        params: The standard error of each parameter, in the structure of the parameters; infinite
            where a parameter is not identified.
        rewards: The standard error of each reward, in the identified directions.
        covariance: The covariance of the raveled parameters in the identified directions,
            ``[parameter, parameter]``.
    """

    params: Any
    rewards: Reward
    covariance: Float[Array, "parameter parameter"]


class Identifiability(NamedTuple):
    """What demonstrations can and cannot show of a reward.

    Attributes:
        dimension: The number of parameters.
        identified: How many directions of them change the policy.
        redundant: How many change no reward of a state that can be reached.
        shaping: How many change the reward by a potential's shaping only.
        constant: Whether a constant added to every reward is among these.
        directions: An orthonormal basis of all directions that do not change the policy,
            ``[parameter, direction]``.
    """

    dimension: int
    identified: int
    redundant: int
    shaping: int
    constant: bool
    directions: np.ndarray

    def __str__(self) -> str:
        return (
            f"{self.identified} of {self.dimension} directions of the reward's parameters are "
            f"identified. Invisible in any demonstrations are {self.shaping} of potential shaping"
            f"{' (a constant among them)' if self.constant else ''} and {self.redundant} that "
            f"change no reward of a state that can be reached."
        )


def uncertainty(
    problem: Problem, config: Config, params: Any, *, reward: Network | None = None
) -> Uncertainty:
    """Standard errors at the parameters that training found.

    Args:
        problem: The problem; ``problem.demonstrations.number`` is N.
        config: The config it was trained with; its penalties are left out of H.
        params: θ̂.
        reward: The reward network, where the config's own was not used.

    Returns:
        The standard errors.

    Raises:
        ValueError: If there are too many parameters for a dense covariance, or N is infinite.

    Example:
        >>> from rlsuite.algorithms.maxent_irl import build_problem, from_expert
        >>> from rlsuite.envs.random_mdp import random_mdp
        >>> mdp = random_mdp(0, num_states=5, num_actions=2, discount=0.9)
        >>> expert = from_expert(mdp, temperature=1.0)._replace(number=jnp.asarray(100.0))
        >>> problem = build_problem(mdp, jnp.eye(5)[:, :2], expert)
        >>> uncertainty(problem, Config(), jnp.zeros(2)).params.shape
        (2,)
    """
    number = float(problem.demonstrations.number)
    if not np.isfinite(number):
        raise ValueError(f"demonstrations.number is {number}; allowed: a finite number")
    _check_size(params)
    return _errors(problem.mdp, problem.features, problem.demonstrations, config, params, reward)


@partial(jax.jit, static_argnames="reward")
def _errors(
    mdp: tabular.MDP,
    features: Any,
    demonstrations: Demonstrations,
    config: Config,
    params: Any,
    reward: Network | None,
) -> Uncertainty:
    flat, rewards, unravel = _by_ravelled(features, config, params, reward)

    def loss(flat: Array) -> Array:
        return loss_of_reward(rewards(flat), mdp, demonstrations, config)

    def hessian_vector_product(vector: Array) -> Array:
        return jax.jvp(jax.grad(loss), (flat,), (vector,))[1]

    hessian = jax.lax.map(hessian_vector_product, jnp.eye(flat.size, dtype=flat.dtype))
    eigenvalues, vectors = jnp.linalg.eigh((hessian + hessian.T) / 2)
    seen = eigenvalues > _tolerance(flat.dtype) * jnp.max(eigenvalues)
    inverse = (vectors * jnp.where(seen, 1 / jnp.where(seen, eigenvalues, 1), 0)) @ vectors.T
    scores = _score_covariance(flat, rewards, mdp, config)
    covariance = inverse @ scores @ inverse / demonstrations.number
    unseen = jnp.sum(jnp.where(seen, 0, vectors**2), axis=1)
    deviations = jnp.sqrt(jnp.diagonal(covariance))
    to_rewards = jax.jacobian(rewards)(flat)
    variances = jnp.einsum("...i,ij,...j->...", to_rewards, covariance, to_rewards)
    return Uncertainty(
        params=unravel(jnp.where(unseen > _tolerance(flat.dtype), jnp.inf, deviations)),
        rewards=jnp.sqrt(jnp.maximum(variances, 0)),
        covariance=covariance,
    )


def _score_covariance(flat: Array, rewards: Any, mdp: tabular.MDP, config: Config) -> Array:
    """Σ_t γ^{2t} E[g gᵀ] under the policy of the parameters."""

    def log_policy(flat: Array) -> tuple[Array, Array]:
        found = solve(mdp.replace(reward=rewards(flat)), config).log_policy
        return _finite(found), found

    scores, policy = jax.jacfwd(log_policy, has_aux=True)(flat)
    squared = mdp.replace(discount=mdp.discount**2)
    visitation = tabular.visitation if config.horizon is None else tabular.finite_visitation
    weights = visitation(squared, policy).state_actions
    return jnp.einsum("...,...i,...j->ij", weights, scores, scores)


def identifiability(
    problem: Problem, config: Config, params: Any, *, reward: Network | None = None
) -> Identifiability:
    """Count the directions of the parameters that demonstrations can and cannot show.

    Args:
        problem: The problem.
        config: Gives temperature, entropy and horizon.
        params: Where to look; the answer is the same almost everywhere.
        reward: The reward network, where the config's own was not used.

    Returns:
        The report; ``print`` it for a sentence.

    Raises:
        ValueError: If there are too many parameters.

    Example:
        >>> from rlsuite.algorithms.maxent_irl import build_problem, from_expert
        >>> from rlsuite.envs.random_mdp import random_mdp
        >>> mdp = random_mdp(0, num_states=5, num_actions=2, discount=0.9)
        >>> problem = build_problem(mdp, jnp.eye(5), from_expert(mdp, temperature=1.0))
        >>> report = identifiability(problem, Config(), jnp.zeros(5))
        >>> report.identified, report.shaping, report.constant
        (4, 1, True)
    """
    _check_size(params)
    mdp = problem.mdp
    slopes = _slopes(mdp, problem.features, config, params, reward)
    to_policy, to_rewards = (np.asarray(slope, np.float64) for slope in slopes)
    dimension = to_rewards.shape[-1]

    rows = _reachable(mdp)
    acting = rows if mdp.terminal is None else rows & ~np.asarray(mdp.terminal)[:, None]
    to_policy = to_policy.reshape(-1, *rows.shape, dimension)[:, acting].reshape(-1, dimension)
    is_state_reward = to_rewards.ndim == 2
    if is_state_reward:
        to_rewards = np.repeat(to_rewards[:, None], mdp.num_actions, axis=1)
    to_rewards = to_rewards[rows if is_state_reward else acting]
    shaping = _shaping(mdp, rows, acting, is_state_reward)

    tolerance = _tolerance(slopes[0].dtype)
    directions = _null_space(to_policy, tolerance)
    beyond = to_rewards - shaping @ np.linalg.lstsq(shaping, to_rewards, rcond=None)[0]
    redundant = _null_space(to_rewards, tolerance).shape[1]
    return Identifiability(
        dimension=dimension,
        identified=dimension - directions.shape[1],
        redundant=redundant,
        shaping=_null_space(beyond @ directions, tolerance).shape[1] - redundant,
        constant=_spans(to_rewards @ directions, np.ones(len(to_rewards)), tolerance),
        directions=directions,
    )


@partial(jax.jit, static_argnames="reward")
def _slopes(
    mdp: tabular.MDP, features: Any, config: Config, params: Any, reward: Network | None
) -> tuple[Array, Array]:
    """The derivatives of log π and of the rewards in the ravelled parameters."""
    flat, rewards, _ = _by_ravelled(features, config, params, reward)

    def log_policy(flat: Array) -> Array:
        return _finite(solve(mdp.replace(reward=rewards(flat)), config).log_policy)

    return jax.jacfwd(log_policy)(flat), jax.jacobian(rewards)(flat)


def _shaping(
    mdp: tabular.MDP, rows: np.ndarray, acting: np.ndarray, is_state_reward: bool
) -> np.ndarray:
    """The rewards γ E[Φ(s')] − Φ(s) of unit potentials Φ, ``[reward, potential]``.

    A terminal state's own reward is its value, so shaping takes Φ from it; with rewards of
    state-actions its value is 0, and so must its potential be.
    """
    identity = jnp.eye(mdp.num_states)
    expect = jax.jit(jax.vmap(mdp.transition.expect, out_axes=-1))
    future = np.asarray(expect(identity), np.float64)
    table = float(mdp.discount) * future - np.eye(mdp.num_states)[:, None]
    if mdp.terminal is None:
        return table[rows]
    terminal = np.asarray(mdp.terminal)
    if is_state_reward:
        table[terminal] = -np.eye(mdp.num_states)[terminal][:, None]
        return table[rows]
    return table[acting][:, ~terminal]


_push = jax.jit(tabular.push)


def _reachable(mdp: tabular.MDP) -> np.ndarray:
    """Which state-actions can occur, ``[state, action]``; a terminal state counts whole."""
    shape = (mdp.num_states, mdp.num_actions)
    allowed = np.ones(shape, bool) if mdp.actions is None else np.array(mdp.actions)
    terminal = np.zeros(shape[0], bool) if mdp.terminal is None else np.asarray(mdp.terminal)
    allowed[terminal] = True
    reached = np.asarray(mdp.initial) > 0
    while True:
        flow = allowed & (reached & ~terminal)[:, None]
        ahead = np.asarray(_push(mdp.transition, flow.astype(float))) > 0
        if not np.any(ahead & ~reached):
            return allowed & reached[:, None]
        reached = reached | ahead


def _null_space(matrix: np.ndarray, tolerance: float) -> np.ndarray:
    """An orthonormal basis of what the matrix takes to (nearly) nothing, ``[column, k]``."""
    _, values, vectors = np.linalg.svd(matrix, full_matrices=True)
    largest = values.max(initial=0.0)
    rank = int(np.sum(values > tolerance * largest)) if largest > tolerance else 0
    return vectors[rank:].T


def _spans(matrix: np.ndarray, vector: np.ndarray, tolerance: float) -> bool:
    """Whether the vector is a combination of the matrix's columns."""
    if matrix.shape[1] == 0:
        return False
    solution = np.linalg.lstsq(matrix, vector, rcond=None)[0]
    return bool(np.linalg.norm(matrix @ solution - vector) <= tolerance * np.linalg.norm(vector))


def _finite(log_policy: Array) -> Array:
    """Zero where an action is not allowed: constants have no score."""
    return jnp.where(jnp.isfinite(log_policy), log_policy, 0.0)


def _tolerance(dtype: Any) -> float:
    """Relative singular values below this count as zero."""
    return float(jnp.finfo(dtype).eps) ** 0.5


def _by_ravelled(
    features: Any, config: Config, params: Any, reward: Network | None
) -> tuple[Array, Callable[[Array], Reward], Callable[[Array], Any]]:
    """(the parameters as a vector, the rewards of one, and the parameters that one stands for)."""
    flat, unravel = ravel_pytree(params)
    network = reward or reward_network(config)
    return flat, lambda flat: network.apply(unravel(flat), features), unravel


def _check_size(params: Any) -> None:
    size = sum(np.size(leaf) for leaf in jax.tree.leaves(params))
    if size > _MOST_PARAMETERS:
        raise ValueError(
            f"params has {size} entries; allowed: at most {_MOST_PARAMETERS} (a covariance of "
            f"more is not formed; look at the rewards themselves with one-hot features)"
        )
