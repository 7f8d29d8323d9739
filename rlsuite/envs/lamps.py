r"""Two lamps that are to shine equally: the least world seen as a picture, its best cost bounded.

The state x is how brightly each lamp shines; an action turns both, x' = x + u a. The left half of
the picture shows the first lamp's light and the right half the second's, so that a linear map of
the picture is the state. The cost is w ‖x − ½‖² + ‖a‖². An episode starts near (0.8, 0.3).

Example:
    >>> lamps().spec.timestep.observation.shape
    (8, 8, 1)
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.envs.vectors import VectorEnvironment
from rlsuite.ops import lqr

_SIDE, _MIDDLE = 8, 0.5


@struct.dataclass
class EnvState(environment.EnvState):
    """How brightly both lamps shine."""

    time: Any
    light: Any


@struct.dataclass
class EnvParams(environment.EnvParams):
    """The world's numbers."""

    strength: Any = 0.15
    weight: Any = 50.0
    start: Any = (0.8, 0.3)
    spread: Any = 0.02
    max_steps_in_episode: Any = 8


class Lamps(VectorEnvironment):
    """The lamps."""

    action_size, observation_size = 2, _SIDE * _SIDE

    @property
    def default_params(self) -> EnvParams:
        """The usual ones."""
        return EnvParams()

    def start(self, key: PRNGKeyArray, params: EnvParams) -> EnvState:
        """Near the start."""
        light = jnp.asarray(params.start) + params.spread * jax.random.normal(key, (2,))
        return EnvState(time=jnp.int32(0), light=jnp.clip(light, 0, 1))

    def move(
        self,
        key: PRNGKeyArray,  # noqa: ARG002
        state: EnvState,
        action: Float[Array, " 2"],
        params: EnvParams,
    ) -> tuple[EnvState, Float[Array, ""]]:
        """Turn both; no lamp shines less than not at all, or more than it can."""
        apart = state.light - _MIDDLE
        cost = params.weight * (apart @ apart) + action @ action
        light = jnp.clip(state.light + params.strength * action, 0, 1)
        return state.replace(light=light), -cost

    def observation_space(self, params: Any = None) -> spaces.Box:  # noqa: ARG002
        """Shares of light."""
        return spaces.Box(0.0, 1.0, (_SIDE, _SIDE, 1), jnp.float32)

    def see(self, state: EnvState, params: EnvParams) -> Float[Array, "side side 1"]:  # noqa: ARG002
        """The picture."""
        row = jnp.repeat(state.light, _SIDE // 2)
        return jnp.broadcast_to(row[None, :, None], (_SIDE, _SIDE, 1))


def lamps() -> Control:
    """The problem of making both lamps shine equally.

    Returns:
        The problem.
    """
    environment = Lamps()
    params = jax.tree.map(lambda x: jnp.asarray(x, float), environment.default_params)
    return Control("lamps", environment, params.replace(max_steps_in_episode=jnp.int32(8)))


def best_return(problem: Control) -> float:
    """What linear-quadratic control would earn if actions had no limits.

    Its first action is 1.28 for the first lamp, where 1 is the most: what can be earned is less, by
    about a fiftieth.

    Args:
        problem: Of ``lamps``.

    Returns:
        The expected return.
    """
    steps = int(problem.params.max_steps_in_episode)
    return -float(jax.jit(_best_cost, static_argnums=1)(problem.params, steps))


def _best_cost(params: EnvParams, steps: int) -> Float[Array, ""]:
    eye = jnp.eye(2)

    def each(x: Array) -> Array:
        return jnp.broadcast_to(x, (steps, *x.shape))

    none = lqr.Quadratic(jnp.zeros((2, 2)), jnp.zeros(2), jnp.zeros(()))
    hessian = jnp.diag(2 * jnp.concatenate([jnp.full(2, params.weight), jnp.ones(2)]))
    moved = lqr.Dynamics(eye, params.strength * eye, jnp.zeros(2), jnp.zeros((2, 2)))
    cost = lqr.Quadratic(hessian, jnp.zeros(4), jnp.zeros(()))
    solved = lqr.Problem(jax.tree.map(each, moved), jax.tree.map(each, cost), none)
    begin = lqr.Gaussian(jnp.stack(params.start) - _MIDDLE, params.spread**2 * eye)
    policy = lqr.solve(solved).policy
    return lqr.expected_cost(solved, lqr.law(solved.dynamics, policy, begin))
