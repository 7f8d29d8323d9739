"""Environments that run on the host: gymnasium's and dm_control's, in the form of ``Control``'s.

A host environment is a few environments of one kind side by side. It gives NumPy time steps with a
leading axis for them, which follow the table of :mod:`rlsuite.envs.control`: an episode of L
actions is L + 1 time steps, the step after the last one starts the next episode whatever the
action, and an end for good is told from a time limit. Actions are the vectors of
:class:`~rlsuite.envs.control.Actions`.

================  ==============================================  ================================
what              gymnasium                                       dm_control
================  ==============================================  ================================
observations      ``Box``, ``Discrete`` (one-hot), ``Dict``       arrays, or a dictionary of them
actions           ``Discrete``, ``MultiDiscrete``, ``Box``        bounded or discrete arrays
ended for good    ``terminated``                                  last, with a discount of 0
cut off           ``truncated``                                   last, with another discount
allowed actions   ``info["action_mask"]``, if there is one        all
================  ==============================================  ================================
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from rlsuite.envs.control import Actions, Control, Spec, State, Timestep

if TYPE_CHECKING:
    import gymnasium

Vectors = Float[np.ndarray, "environment action"]


@runtime_checkable
class HostEnvironment(Protocol):
    """Environments of one kind, side by side on the host.

    Attributes:
        spec: What one of them shows and takes; ``inner`` is None.
        num_environments: How many there are.
    """

    spec: Spec
    num_environments: int

    def reset(self, seed: int) -> Timestep:
        """Start episodes; equal seeds start equal ones."""

    def step(self, action: Vectors) -> Timestep:
        """Act in each; or start its next episode, where the last one has ended."""


@runtime_checkable
class _Member(Protocol):
    """One environment of a suite."""

    actions: Actions

    def start(self, seed: int | None) -> Timestep:
        """Start an episode; None goes on with the random numbers there are."""

    def act(self, parts: Any) -> Timestep:
        """Act: categories from 0, or an array within the bounds."""


class _Several:
    """Members side by side."""

    def __init__(self, members: Sequence[_Member]) -> None:
        shown = members[0].start(0)
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), shown)
        self.spec = Spec(shapes, None, members[0].actions)
        self.num_environments = len(members)
        self._members = members
        self._ended = np.zeros(len(members), bool)

    def reset(self, seed: int) -> Timestep:
        """Start episodes, member i's from ``seed + i``."""
        return self._stack([member.start(seed + i) for i, member in enumerate(self._members)])

    def step(self, action: Vectors) -> Timestep:
        """Act, or start the next episode."""
        return self._stack(
            [
                member.start(None) if ended else member.act(_decode(self.spec.actions, vector))
                for member, ended, vector in zip(self._members, self._ended, action, strict=True)
            ]
        )

    def _stack(self, timesteps: list[Timestep]) -> Timestep:
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *timesteps)
        self._ended = stacked.is_last
        return stacked


def _check(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; allowed: a whole number at least 1")


def _members(make: Callable[[int], _Member], num_environments: int) -> HostEnvironment:
    _check("num_environments", num_environments)
    return _Several([make(i) for i in range(num_environments)])


def _decode(actions: Actions, vector: Float[np.ndarray, " action"]) -> Any:
    """``Actions.decode`` in NumPy: a dispatch to a device costs more than the arithmetic."""
    if actions.is_discrete:
        edges = np.cumsum(actions.sizes)[:-1].tolist()
        return [int(np.argmax(part)) for part in np.split(vector, edges)]
    share = (np.clip(vector.reshape(actions.shape), -1, 1) + 1) / 2
    return actions.low + share * (actions.high - actions.low)


def _timestep(
    observation: Any,
    mask: Any,
    *,
    reward: Any = 0.0,
    is_first: bool = False,
    is_last: bool = False,
    is_terminal: bool = False,
) -> Timestep:
    leaves = np.float32(reward), np.bool_(is_first), np.bool_(is_last), np.bool_(is_terminal)
    return Timestep._make((observation, *leaves, mask))


def _plain(leaf: Any) -> np.ndarray:
    """Bytes as they are, anything else as float32; a single number as a vector of one."""
    leaf = np.atleast_1d(leaf)
    return leaf if leaf.dtype == np.uint8 else leaf.astype(np.float32)


def _bounded(name: str, space: Any, low: Any, high: Any, shape: tuple[int, ...]) -> Actions:
    low, high = (np.broadcast_to(np.asarray(x, np.float32), shape) for x in (low, high))
    if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high))):
        raise ValueError(f"{name} has actions {space}; allowed: bounds on both sides")
    return Actions(low=low, high=high, shape=shape)


class _Gymnasium:
    """One of gymnasium's environments."""

    def __init__(self, environment: "gymnasium.Env") -> None:
        import gymnasium

        if not isinstance(environment, gymnasium.Env):
            raise ValueError(f"make returned {environment!r}; allowed: a single gymnasium.Env")
        self._environment = environment
        self.actions, self._start = self._actions(environment.action_space)

    def _actions(self, space: Any) -> tuple[Actions, Any]:
        """What actions there are, and what the first category is called."""
        from gymnasium import spaces

        if isinstance(space, spaces.Discrete):
            return Actions(sizes=(int(space.n),), single=True), space.start
        if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
            return Actions(sizes=tuple(space.nvec.tolist())), space.start
        if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
            name = f"environment {self._environment}"
            return _bounded(name, space, space.low, space.high, space.shape), 0
        raise ValueError(
            f"environment {self._environment} has actions {space}; allowed: Discrete, "
            f"MultiDiscrete with one axis, or a Box of floats"
        )

    def start(self, seed: int | None) -> Timestep:
        observation, info = self._environment.reset(seed=seed)
        return _timestep(self._shown(observation), self._mask(info), is_first=True)

    def act(self, parts: Any) -> Timestep:
        parts = parts[0] if self.actions.single else np.asarray(parts)
        action = np.asarray(self._start + parts, self._environment.action_space.dtype)
        observation, reward, terminated, truncated, info = self._environment.step(action)
        return _timestep(
            self._shown(observation),
            self._mask(info),
            reward=reward,
            is_last=bool(terminated or truncated),
            is_terminal=bool(terminated),
        )

    def _mask(self, info: Mapping[str, Any]) -> Any:
        if "action_mask" not in info:
            return None
        mask = info["action_mask"]
        parts = mask if isinstance(mask, tuple) else (mask,)
        return np.concatenate([np.ravel(part) for part in parts]).astype(bool)

    def _shown(self, observation: Any, space: Any = None) -> Any:
        from gymnasium import spaces

        space = self._environment.observation_space if space is None else space
        if isinstance(space, spaces.Dict):
            return {name: self._shown(observation[name], part) for name, part in space.items()}
        if isinstance(space, spaces.Discrete):
            return (np.arange(int(space.n)) == observation - space.start).astype(np.float32)
        if isinstance(space, spaces.Box):
            return _pictured(_plain(observation), space)
        raise ValueError(
            f"environment {self._environment} has observations {space}; allowed: Box, Discrete, "
            f"or a Dict of them"
        )


def _pictured(observation: np.ndarray, space: Any) -> np.ndarray:
    """A picture as one with channels; and a table of numbers that is none, laid flat."""
    if observation.ndim < 2 or (np.min(space.low) >= 0 and np.max(space.high) <= 1):
        return observation
    if observation.dtype != np.uint8:
        return observation.reshape(-1)
    return observation[..., None] if observation.ndim == 2 else observation


def from_gymnasium(
    make: Callable[[], "gymnasium.Env"], num_environments: int = 1
) -> HostEnvironment:
    """Environments of gymnasium.

    Args:
        make: Makes one; called once for each.
        num_environments: How many.

    Returns:
        All of them, side by side.

    Raises:
        ValueError: If its actions or observations are of a kind that is not allowed.

    Example:
        >>> import gymnasium
        >>> environment = from_gymnasium(lambda: gymnasium.make("CartPole-v1"), 2)
        >>> environment.reset(seed=0).observation.shape
        (2, 4)
        >>> right = np.asarray([[0.0, 1.0], [0.0, 1.0]])
        >>> environment.step(right).reward
        array([1., 1.], dtype=float32)
    """
    return _members(lambda _: _Gymnasium(make()), num_environments)


class _DmEnv:
    """One environment with dm_env's interface."""

    def __init__(self, make: Callable[[int], Any], seed: int, repeat: int) -> None:
        self._make, self._repeat = make, repeat
        self._environment = make(seed)
        spec = self._environment.action_spec()
        if hasattr(spec, "num_values"):
            self.actions = Actions(sizes=(int(spec.num_values),), single=True)
        elif hasattr(spec, "minimum"):
            bounds = spec.minimum, spec.maximum
            self.actions = _bounded("environment", spec, *bounds, tuple(spec.shape))
        else:
            raise ValueError(
                f"environment has actions {spec}; allowed: a BoundedArray or a DiscreteArray"
            )

    def start(self, seed: int | None) -> Timestep:
        if seed is not None:
            self._environment = self._make(seed)
        return self._timestep(self._environment.reset(), is_first=True)

    def act(self, parts: Any) -> Timestep:
        action, reward = parts[0] if self.actions.is_discrete else parts, 0.0
        for _ in range(self._repeat):
            went = self._environment.step(action)
            reward += went.reward
            if went.last():
                break
        ended = went.last()
        terminal = ended and went.discount == 0
        return self._timestep(went, reward=reward, is_last=ended, is_terminal=terminal)

    def _timestep(self, went: Any, **told: Any) -> Timestep:
        shown = went.observation
        if isinstance(shown, Mapping):
            return _timestep({name: _plain(part) for name, part in shown.items()}, None, **told)
        return _timestep(_plain(shown), None, **told)


def from_dm_control(
    make: Callable[[int], Any], num_environments: int = 1, *, repeat: int = 1
) -> HostEnvironment:
    """Environments of dm_control, or of anything else with dm_env's interface.

    Args:
        make: Makes one from a seed, such as
            ``lambda seed: suite.load("cartpole", "swingup", task_kwargs={"random": seed})``; it
            is called again for every ``reset``, because these environments are seeded once only.
        num_environments: How many.
        repeat: How often each action is repeated; the rewards are summed.

    Returns:
        All of them, side by side.

    Raises:
        ValueError: If its actions are of a kind that is not allowed, or ``repeat`` is below 1.
    """
    _check("repeat", repeat)
    return _members(lambda seed: _DmEnv(make, seed, repeat), num_environments)


class _Simulated:
    """An environment that JAX runs, stepped from the host."""

    def __init__(self, problem: Control, num_environments: int) -> None:
        self.spec = problem.spec._replace(inner=None)
        self.num_environments = num_environments
        self._problem = problem

    def reset(self, seed: int) -> Timestep:
        """Start episodes."""
        self._key, self._time = jax.random.key(seed), 0
        self._state, timestep = _starts(self._problem, self._key, self.num_environments)
        return jax.device_get(timestep)

    def step(self, action: Vectors) -> Timestep:
        """Act, or start the next episode."""
        self._time += 1
        self._state, timestep = _steps(self._problem, self._key, self._time, self._state, action)
        return jax.device_get(timestep)


@functools.partial(jax.jit, static_argnums=2)
def _starts(problem: Control, key: PRNGKeyArray, num_environments: int) -> tuple[State, Timestep]:
    return jax.vmap(problem.reset)(jax.random.split(key, num_environments))


@jax.jit
def _steps(
    problem: Control, key: PRNGKeyArray, time: Any, state: State, action: Any
) -> tuple[State, Timestep]:
    keys = jax.random.split(jax.random.fold_in(key, time), action.shape[0])
    return jax.vmap(problem.step)(keys, state, action)


def from_control(problem: Control, num_environments: int = 1) -> HostEnvironment:
    """An environment that JAX can run, as if it ran on the host.

    Args:
        problem: The environment.
        num_environments: How many.

    Returns:
        All of them, side by side.

    Raises:
        ValueError: If ``num_environments`` is below 1.
    """
    _check("num_environments", num_environments)
    return _Simulated(problem, num_environments)
