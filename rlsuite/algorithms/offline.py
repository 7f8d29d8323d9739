"""What learning from recorded transitions shares: batches, steps of optimisers, acting, evaluation.

Observations are shifted and scaled to mean 0 and deviation 1 of what was recorded, and so are those
that a policy acts on; rewards may be scaled and shifted.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.data import offline
from rlsuite.data.normalizers import Gaussian
from rlsuite.data.offline import Offline
from rlsuite.data.transitions import Transitions, draw
from rlsuite.envs.control import Timestep
from rlsuite.nets import Network

_Parts = TypeVar("_Parts", bound=tuple[Any, ...])

Rule = Callable[[Any], optax.GradientTransformation]
"""From a learning rate, or a schedule of it, to an optimiser."""


class Evaluation(NamedTuple):
    """Means over new episodes of the likeliest actions.

    Attributes:
        episode_return: Undiscounted.
        score: Normalised, as the problem says.
    """

    episode_return: Float[Array, ""]
    score: Float[Array, ""]


def require_vectors(problem: Offline) -> None:
    """Refuse an environment whose actions are categories.

    Args:
        problem: The problem.

    Raises:
        ValueError: If they are.
    """
    if problem.control is not None and problem.control.actions.is_discrete:
        raise ValueError(
            f"problem {problem.name!r} has actions that are categories; allowed: vectors"
        )


def scaling(problem: Offline, *, normalize: bool) -> Gaussian:
    """The scale at which networks see observations.

    Args:
        problem: The problem.
        normalize: Whether it is another than the environment's own.

    Returns:
        The scale.
    """
    observations = problem.episodes.observations
    if normalize:
        return Gaussian.fit(observations)
    return Gaussian(jnp.zeros(observations.shape[1]), jnp.ones(observations.shape[1]))


def sample(
    key: PRNGKeyArray,
    problem: Offline,
    scale: Gaussian,
    number: int,
    *,
    reward_scale: float | Float[Array, ""] = 1.0,
    reward_shift: float | Float[Array, ""] = 0.0,
) -> Transitions:
    """Draw transitions, as networks see them.

    Args:
        key: Key.
        problem: The problem.
        scale: Of observations.
        number: How many.
        reward_scale: By what rewards are multiplied.
        reward_shift: What is added to them then.

    Returns:
        The transitions.
    """
    drawn = draw(key, problem.episodes, number)
    return drawn._replace(
        observations=scale.normalize(drawn.observations),
        next_observations=scale.normalize(drawn.next_observations),
        rewards=reward_scale * drawn.rewards + reward_shift,
    )


def descend(
    optimizers: tuple[optax.GradientTransformation, ...],
    gradients: _Parts,
    states: tuple[Any, ...],
    params: _Parts,
) -> tuple[_Parts, tuple[Any, ...]]:
    """A step of every optimiser, each on the part that is its own.

    Args:
        optimizers: One for each part.
        gradients: A named tuple of parts.
        states: The optimisers'.
        params: What moves.

    Returns:
        (params, states).
    """
    parts, kept = [], []
    for optimizer, gradient, state, part in zip(optimizers, gradients, states, params, strict=True):
        updates, state = optimizer.update(gradient, state, part)
        parts.append(optax.apply_updates(part, updates))
        kept.append(state)
    return type(params)(*parts), tuple(kept)


def acting(policy: Network) -> Callable[..., Any]:
    """How an algorithm acts whose state has ``params.policy`` and a ``scale``.

    Args:
        policy: From observations to a distribution over actions.

    Returns:
        ``(key, state, observation, carry) -> (action, carry)``, as ``Algorithm.act`` has it: of an
        observation, or a whole ``Timestep``; with a key of None the likeliest action. Nothing is
        remembered.
    """

    def act(key: PRNGKeyArray | None, state: Any, observation: Any, carry: Any) -> tuple[Any, Any]:
        seen = observation.observation if isinstance(observation, Timestep) else observation
        chosen = policy.apply(state.params.policy, state.scale.normalize(seen)[None])
        action = chosen.mode() if key is None else chosen.sample(key)
        return jnp.clip(action[0], -1.0, 1.0), carry

    return act


def evaluation(
    problem: Offline, act: Callable[..., Any], num_episodes: int, length: int
) -> Callable[[PRNGKeyArray, Any], Evaluation] | None:
    """How an algorithm is evaluated.

    Args:
        problem: The problem.
        act: The algorithm's.
        num_episodes: How many episodes.
        length: After so many actions an episode is left.

    Returns:
        ``(key, state) -> Evaluation``, as ``Algorithm.evaluate`` has it; None without an
        environment.
    """
    control = problem.control
    if control is None:
        return None

    def evaluate(key: PRNGKeyArray, state: Any) -> Evaluation:
        def greedy(key: PRNGKeyArray, observation: Any, carry: Any) -> tuple[Any, Any]:
            del key
            return act(None, state, observation, carry)

        earned = jnp.mean(offline.evaluate(control, greedy, key, num_episodes, length))
        return Evaluation(earned, problem.score(earned))

    return evaluate
