r"""A point in the plane, and two constraints that together leave a ring.

The point moves by s' = s + STEP·a, |a_i| ≤ 1. A path of 50 states obeys

    constraint 0:  ‖s_t‖ ≤ R = 1  at all times (within the disc),
    constraint 1:  ‖s_t‖ ≥ r = 0.7  at all times (outside the hole).

Demonstrations are asked to obey one of them, and say which; none says that it obeys both, though a
third of either kind does by chance (``both=False`` leaves these out). A path is drawn in polar
coordinates,

    ρ_t = F⁻¹(Φ(z_t)),    θ_t = θ_0 + Σ_{i<t} ω_i,    z, ω smooth Gaussian processes.

The two kinds differ in the law F of the distance alone: uniform over the area of the disc ρ ≤ 0.95
for the first, uniform over 0.75 ≤ ρ ≤ 1.3 for the second; each keeps a margin of 0.05 from the
circle that it obeys. So both spend 37 % of their time in the ring 0.75 ≤ ρ ≤ 0.95, nearly evenly
spread over it, and pass through it along the same arcs, clockwise and counterclockwise: there they
cannot be told apart, while elsewhere one of the two never is. Where p₀ and p₁ are their densities,
the composed density p₀ p₁ / ½(p₀ + p₁) therefore is that of either kind within that ring, and
nothing without.

How long z remembers (``memory``) tells how hard that is to find. With 100 steps a path has nearly
one distance, and 1 in 3 is within the ring as a whole; with 8 it wanders in and out, and 3 in 100
are.

Ajay et al., 2023, Is Conditional Generative Modeling all you need for Decision-Making?, Appendix A,
has a linear robot, two constraints and these radii; how its demonstrations move is not said.

Example:
    >>> import jax
    >>> paths = demonstrations(jax.random.key(0), 10, both=False)
    >>> paths.lengths.tolist(), paths.labels[:2].tolist()
    ([49, 49, 49, 49, 49, 49, 49, 49, 49, 49], [[1.0, 0.0], [0.0, 1.0]])
    >>> satisfied(paths.observations.reshape(10, 49, 2)).tolist()[:2]
    [[True, False], [False, True]]
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.envs.episodes import Episode, Episodes, join
from rlsuite.envs.pictures import gif
from rlsuite.envs.vectors import VectorEnvironment

OUTER = 1.0
"""R, the disc's radius."""

INNER = 0.7
"""r, the hole's radius."""

STEP = 0.2
"""How far an action of 1 moves the point along its axis."""

STATES = 50
"""The number of states of a path."""

MARGIN = 0.05
"""How far demonstrations keep from the circle that they obey."""

_FAR = 1.3  # As far beyond the ring as gives both kinds the same share of time within it.
_INNERMOST, _OUTERMOST = INNER + MARGIN, OUTER - MARGIN
_TURNING, _TURN = 20.0, 0.07  # How long turns are remembered, in steps; radians a step.


def satisfied(
    states: Float[Array, "*batch time 2"],
) -> Bool[Array, "*batch 2"]:
    """Which constraints a path obeys.

    Args:
        states: Where it goes.

    Returns:
        (whether it stays within the disc, whether it stays outside the hole); it stays within the
        ring where both are true.
    """
    distance = jnp.linalg.norm(states, axis=-1)
    return jnp.stack([jnp.all(distance <= OUTER, -1), jnp.all(distance >= INNER, -1)], axis=-1)


_satisfied = jax.jit(satisfied)


@struct.dataclass
class EnvState(environment.EnvState):
    """The number of steps so far, and where the point is."""

    time: Any
    position: Any


@struct.dataclass
class EnvParams(environment.EnvParams):
    """The number of steps after which an episode is cut off."""

    max_steps_in_episode: Any = STATES - 1


class Ring(VectorEnvironment):
    """The point; it starts in the ring, off its borders, and earns 1 for a step that ends there."""

    action_size, observation_size = 2, 2

    @property
    def default_params(self) -> EnvParams:
        """A path of 50 states."""
        return EnvParams()

    def start(self, key: PRNGKeyArray, params: EnvParams) -> EnvState:  # noqa: ARG002
        """Evenly over the area of the ring within the margins."""
        of_square, of_angle = jax.random.split(key)
        square = jax.random.uniform(of_square, minval=_INNERMOST**2, maxval=_OUTERMOST**2)
        angle = jax.random.uniform(of_angle, maxval=2 * jnp.pi)
        return EnvState(time=jnp.int32(0), position=_plane(jnp.sqrt(square), angle))

    def move(
        self,
        key: PRNGKeyArray,  # noqa: ARG002
        state: EnvState,
        action: Float[Array, " 2"],
        params: EnvParams,  # noqa: ARG002
    ) -> tuple[EnvState, Float[Array, ""]]:
        """Add the step."""
        position = state.position + STEP * action
        reward = jnp.all(satisfied(position[None])).astype(float)
        return state.replace(position=position), reward

    def see(self, state: EnvState, params: EnvParams) -> Float[Array, " 2"]:  # noqa: ARG002
        """The position."""
        return state.position


def ring() -> Control:
    """The problem of staying within the ring; its best return is 49.

    Returns:
        The problem.
    """
    return Control("ring", Ring(), EnvParams())


def demonstrations(
    key: PRNGKeyArray, num_episodes: int = 1000, *, memory: float = 100.0, both: bool = True
) -> Episodes:
    """Paths that are to obey one constraint each, the two by turns.

    Args:
        key: Key.
        num_episodes: How many, at least 2.
        memory: For how many steps the distance from the middle is remembered, above 0.
        both: Whether a path may by chance obey both; else it must break the other constraint.

    Returns:
        The paths; labels are (1, 0) for the disc and (0, 1) for outside the hole.

    Raises:
        ValueError: If ``num_episodes`` is below 2, or ``memory`` not above 0 or so short that
            hardly any path can be walked.
    """
    if num_episodes < 2:
        raise ValueError(f"num_episodes is {num_episodes}; allowed: at least 2")
    if not memory > 0:
        raise ValueError(f"memory is {memory}; allowed: a number above 0")
    each = (num_episodes + 1) // 2
    kinds = [
        _accepted(of_kind, each, kind, memory, both)
        for kind, of_kind in enumerate(jax.random.split(key))
    ]
    episodes = []
    for number in range(num_episodes):
        states = kinds[number % 2][number // 2]
        inside = np.asarray(np.linalg.norm(states[1:], axis=-1))
        rewards = ((inside >= INNER) & (inside <= OUTER)).astype(np.float32)
        labels = np.eye(2, dtype=np.float32)[number % 2]
        episodes.append(Episode(states, np.diff(states, axis=0) / STEP, rewards, labels=labels))
    return join(episodes)


def _accepted(
    key: PRNGKeyArray, count: int, kind: int, memory: float, both: bool
) -> Float[np.ndarray, "count time 2"]:
    """The first of many random paths that are as they should be."""
    # With a memory of some steps, four in ten are refused at most.
    keys = jax.random.split(key, 3 * count + 32)
    states, obeys = jax.device_get(_paths(keys, kind, _root(memory), _root(_TURNING)))
    possible = np.all(np.abs(np.diff(states, axis=1)) <= STEP, axis=(1, 2))
    found = states[obeys[:, kind] & possible & (both | ~obeys[:, 1 - kind])][:count]
    if len(found) < count:
        raise ValueError(
            f"memory is {memory}; allowed: so long that most paths take no step beyond {STEP}"
        )
    return found


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, None, None, None))
def _paths(
    key: PRNGKeyArray,
    kind: ArrayLike,
    memory: Float[ArrayLike, "time time"],
    turning: Float[ArrayLike, "time time"],
) -> tuple[Float[Array, "time 2"], Bool[Array, "2"]]:
    """A random path of one kind, and what it obeys; see the module."""
    of_distance, of_turns, of_angle = jax.random.split(key, 3)
    share = jax.scipy.stats.norm.cdf(_smooth(of_distance, memory))
    near, far = _OUTERMOST * jnp.sqrt(share), _INNERMOST + (_FAR - _INNERMOST) * share
    turns = _TURN * _smooth(of_turns, turning)
    angle = jax.random.uniform(of_angle, maxval=2 * jnp.pi) + jnp.cumsum(turns)
    states = _plane(jnp.where(kind == 0, near, far), angle)
    return states, satisfied(states)


def _root(memory: float) -> Float[np.ndarray, "time time"]:
    """Of the covariance exp(−½ (Δt / memory)²)."""
    times = np.arange(STATES)
    covariance = np.exp(-0.5 * ((times[:, None] - times) / memory) ** 2)
    return np.linalg.cholesky(covariance + 1e-5 * np.eye(STATES)).astype(np.float32)


def _smooth(key: PRNGKeyArray, root: Float[ArrayLike, "time time"]) -> Float[Array, " time"]:
    """A Gaussian process of unit variance, from its covariance's root."""
    return jnp.asarray(root) @ jax.random.normal(key, (STATES,), jnp.float32)


def _plane(distance: Float[Array, "*n"], angle: Float[Array, "*n"]) -> Float[Array, "*n 2"]:
    return distance[..., None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)


def draw(states: Float[np.ndarray, "path time 2"], title: str = "") -> Any:
    """Paths between the two circles; those that stay within the ring are green.

    Args:
        states: Where they go.
        title: What the picture is to be called.

    Returns:
        The figure.
    """
    figure = _figure()
    draw_on(figure.subplots(), states, title)
    return figure


def draw_on(axes: Any, states: Float[np.ndarray, "path time 2"], title: str = "") -> None:
    """The same within another figure.

    Args:
        axes: Where to.
        states: Where the paths go.
        title: What the picture is to be called.
    """
    _circles(axes, title)
    for path, colour in zip(states, _colours(states), strict=True):
        axes.plot(*path.T, color=colour, linewidth=0.9, alpha=0.8)
        axes.plot(*path[0], "o", color=colour, markersize=2.5)


def animate(states: Float[np.ndarray, "path time 2"], title: str = "") -> bytes:
    """The same, as it is walked.

    Args:
        states: Where the paths go.
        title: What the picture is to be called.

    Returns:
        A GIF.
    """
    figure = _figure()
    figure.set_dpi(70)
    axes = figure.subplots()
    _circles(axes, title)
    lines = [axes.plot([], [], color=c, linewidth=1, alpha=0.7)[0] for c in _colours(states)]
    dots = axes.plot([], [], "o", color="0.1", markersize=3)[0]

    def update(time: int) -> None:
        for line, path in zip(lines, states, strict=True):
            line.set_data(*path[: time + 1].T)
        dots.set_data(*states[:, time].T)

    return gif(figure, update, states.shape[1])


def _figure() -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(3.6, 3.6), layout="constrained")


def _circles(axes: Any, title: str) -> None:
    """What lies below the paths."""
    from matplotlib.patches import Circle

    axes.add_patch(Circle((0, 0), OUTER, facecolor="#ecfdf3", edgecolor="0.4", linewidth=0.8))
    axes.add_patch(Circle((0, 0), INNER, facecolor="white", edgecolor="0.4", linewidth=0.8))
    axes.set(xlim=(-1.45, 1.45), ylim=(-1.45, 1.45), aspect="equal", xticks=(-1, 0, 1))
    axes.set(yticks=(-1, 0, 1), title=title)
    axes.spines[["top", "right"]].set_visible(False)


def _colours(states: Float[np.ndarray, "path time 2"]) -> list[str]:
    """Green for both constraints, blue and orange for one, red for none."""
    names = {(True, True): "#059669", (True, False): "#2563eb", (False, True): "#dc6803"}
    obeyed = np.asarray(_satisfied(states)).tolist()
    return [names.get(tuple(pair), "#d92d20") for pair in obeyed]
