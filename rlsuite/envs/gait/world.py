r"""Four legs on a body: gaits as skills.

A state is its observation, 13 numbers: the angles q of the legs from straight down, forwards
positive, in the order front left, front right, hind left, hind right; their velocities; the body's
forward speed v; pitch ϑ and roll φ, and their rates. Actions are the angles that servos draw the
legs to. With ς = σ(−q̇), how much of a leg stands (legs stand on their way back), per second

    q̈ = 400 (0.6 a − q) − 30 q̇,
    v̇ = 8 mean_i ς_i (−ℓ q̇_i − v) − 0.5 v,                    ℓ = 0.3 m,
    ϑ̈ = 60 (mean_front ς − mean_hind ς) − 100 ϑ − 10 ϑ̇,
    φ̈ = 60 (mean_left ς − mean_right ς) − 100 φ − 10 φ̇,

in steps of 0.02 s: first velocities, then angles. The body pitches as its ends are carried by
turns, and rolls as its sides are. The reward of a step is the way gone, in metres.

A gait says which legs move together, and which against each other. All four gaits of two beats,

    pronk (+ + + +),  bound (+ + − −),  pace (+ − + −),  trot (+ − − +),

are an orthogonal basis: with z_i = q_i − i q̇_i / ω, the state of a leg as a turning arrow (ω at
2.5 strides a second), any motion of the legs splits into shares that add to 1,

    share_g = Σ_t |Σ_i s_gi z_ti|² / (4 Σ_t Σ_i |z_ti|²),

over a window of about half a stride around each frame. A motion that is one gait has a share of
nearly 1, one between two gaits has shares between: that is the classifier of frames here, and
nothing needs to be learned for it.

How it relates to the paper: Ajay et al., 2023, Is Conditional Generative Modeling all you need for
Decision-Making?, learn from 2500 trajectories of a simulated Unitree quadruped that bounds, paces
and trots (controllers of Margolis and Agrawal, 2022, Walk these ways), condition on one-hot skills,
compose pairs, and have a classifier say what each frame shows. Labels, number, skills, composition
and what is measured are the same here; the robot, its physics, and the classifier are not.

Example:
    >>> import jax
    >>> episodes = demonstrations(jax.random.key(0), 3)
    >>> shares = gait_shares(episodes.observations.reshape(3, STEPS, 13))
    >>> [GAITS[number] for number in shares.mean(axis=1).argmax(axis=1)]
    ['bound', 'pace', 'trot']
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.envs.episodes import Episode, Episodes, join
from rlsuite.envs.vectors import VectorEnvironment

GAITS = ("bound", "pace", "trot", "pronk")
SKILLS = GAITS[:3]
STEPS = 250

SIGNS = np.asarray([(1, 1, -1, -1), (1, -1, 1, -1), (1, -1, -1, 1), (1, 1, 1, 1)], np.float32)
"""Which legs go together, for each of ``GAITS``: front left, front right, hind left, hind right."""

LEG, REACH = 0.3, 0.6
"""The length of a leg in metres, and the angle that an action of 1 asks for."""

_STEP = 0.02
_TURN = 2 * np.pi * 2.5  # ω.
_STRIDES, _SIZES = (2.0, 3.0), (0.7, 1.0)  # A second; of the expert's actions.
_NOISE = 0.1
_SIDES, _ENDS = SIGNS[1] / 2, SIGNS[0] / 2


def standing(state: Float[Array, "*batch 13"]) -> Float[Array, "*batch 4"]:
    """How much each leg carries.

    Args:
        state: A state.

    Returns:
        From 0, in the air, to 1.
    """
    return jax.nn.sigmoid(-state[..., 4:8])


def move(state: Float[Array, " 13"], action: Float[Array, " 4"]) -> Float[Array, " 13"]:
    """One step; see the module.

    Args:
        state: A state.
        action: Where each leg is drawn to, from −1 to 1.

    Returns:
        The next state.
    """
    angles, turns, speed, tilts, rates = jnp.split(state, [4, 8, 9, 11])
    turns = turns + _STEP * (400 * (REACH * action - angles) - 30 * turns)
    stands = jax.nn.sigmoid(-turns)
    speed = speed + _STEP * (8 * jnp.mean(stands * (-LEG * turns - speed)) - 0.5 * speed)
    sway = jnp.stack([stands @ _ENDS, stands @ _SIDES])
    rates = rates + _STEP * (60 * sway - 100 * tilts - 10 * rates)
    return jnp.concatenate([angles + _STEP * turns, turns, speed, tilts + _STEP * rates, rates])


def gait_shares(
    states: Float[Array, "*batch time 13"], window: int = 11
) -> Float[Array, "*batch time 4"]:
    """How much of the legs' motion each gait makes up, around each frame; see the module.

    Args:
        states: Of an episode or a plan.
        window: Over how many frames; an odd number.

    Returns:
        The shares, in the order of ``GAITS``; they add to 1.

    Raises:
        ValueError: If ``window`` is even or below 1.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window is {window}; allowed: an odd number at least 1")
    arrows = jnp.stack([states[..., :4], states[..., 4:8] / _TURN], axis=-1)
    together = jnp.einsum("gl,...tlp->...tgp", jnp.asarray(SIGNS), arrows)
    energy = jnp.sum(together**2, axis=-1)
    time = np.arange(energy.shape[-2])
    near = np.abs(time[:, None] - time) <= window // 2
    around = jnp.asarray(near, energy.dtype) @ energy
    return around / jnp.maximum(jnp.sum(around, axis=-1, keepdims=True), 1e-9)


@struct.dataclass
class EnvState(environment.EnvState):
    """The number of steps so far, and the state as 13 numbers."""

    time: Any
    observation: Any


@struct.dataclass
class EnvParams(environment.EnvParams):
    """After how many steps an episode is cut off."""

    max_steps_in_episode: Any = STEPS


class Gait(VectorEnvironment):
    """The body; it starts at rest, its legs nearly straight down."""

    action_size, observation_size = 4, 13

    @property
    def default_params(self) -> EnvParams:
        """Five seconds."""
        return EnvParams()

    def start(self, key: PRNGKeyArray, params: EnvParams) -> EnvState:  # noqa: ARG002
        """At rest."""
        return EnvState(time=jnp.int32(0), observation=_start(key))

    def move(
        self,
        key: PRNGKeyArray,  # noqa: ARG002
        state: EnvState,
        action: Float[Array, " 4"],
        params: EnvParams,  # noqa: ARG002
    ) -> tuple[EnvState, Float[Array, ""]]:
        """Move the legs."""
        after = move(state.observation, action)
        return state.replace(observation=after), _STEP * after[8]

    def see(self, state: EnvState, params: EnvParams) -> Float[Array, " 13"]:  # noqa: ARG002
        """The state."""
        return state.observation


def _start(key: PRNGKeyArray) -> Float[Array, " 13"]:
    return jnp.zeros(13).at[:4].set(jax.random.uniform(key, (4,), minval=-0.2, maxval=0.2))


def gait() -> Control:
    """The problem of walking as far as one can in five seconds.

    Returns:
        The problem.
    """
    return Control("gait", Gait(), EnvParams())


def demonstrations(key: PRNGKeyArray, num_episodes: int = 2500) -> Episodes:
    """Bounding, pacing and trotting, by turns.

    Legs are drawn along sines, a_i = A s_gi sin(2π (f t + u)), with normal noise of deviation 0.1;
    f between 2 and 3 a second, A between 0.7 and 1, and u are drawn for each episode.

    Args:
        key: Key.
        num_episodes: How many, at least 1.

    Returns:
        The episodes; labels are one-hot, in the order of ``SKILLS``.

    Raises:
        ValueError: If ``num_episodes`` is below 1.
    """
    if num_episodes < 1:
        raise ValueError(f"num_episodes is {num_episodes}; allowed: at least 1")
    skills = np.arange(num_episodes) % len(SKILLS)
    walked = _walk(jax.random.split(key, num_episodes), jnp.asarray(skills))
    states, actions = map(np.asarray, walked)
    return join(
        [
            Episode(states[n], actions[n], _STEP * states[n, 1:, 8], labels=np.eye(3)[skill])
            for n, skill in enumerate(skills)
        ]
    )


@jax.jit
@jax.vmap
def _walk(
    key: PRNGKeyArray, skill: Int[Array, ""]
) -> tuple[Float[Array, "states 13"], Float[Array, "steps 4"]]:
    """One demonstration."""
    of_start, of_rhythm, of_noise = jax.random.split(key, 3)
    low, high = jnp.asarray([_STRIDES, _SIZES, (0.0, 1.0)]).T
    strides, size, offset = jax.random.uniform(of_rhythm, (3,), minval=low, maxval=high)
    beat = jnp.sin(2 * jnp.pi * (strides * _STEP * jnp.arange(STEPS) + offset))
    wanted = size * beat[:, None] * jnp.asarray(SIGNS)[skill]
    actions = jnp.clip(wanted + _NOISE * jax.random.normal(of_noise, wanted.shape), -1.0, 1.0)
    start = _start(of_start)
    _, states = jax.lax.scan(lambda now, action: (move(now, action),) * 2, start, actions)
    return jnp.concatenate([start[None], states]), actions
