"""Control problems: an environment, its parameters, and one way to walk through episodes.

Any gymnax environment becomes a problem, a pytree whose arrays are the environment's parameters:

* observations are arrays of floats (categories become one-hot vectors; images stay bytes), or
  dictionaries of them;
* actions are vectors: within [−1, 1] and scaled to the environment's bounds where they are
  continuous, one-hot where they are categories, the one-hot vectors side by side where an action
  has several parts (a ``Tuple`` of ``Discrete``);
* an environment that has ``action_mask(observation, params)`` tells which categories are allowed.

An episode of L actions is L + 1 time steps, and the action after the last one is ignored: it
starts the next episode. No observation is lost at the end, and none is paired with another
episode's action::

    time step       0          1               L          0
    observation    o_0        o_1    …        o_L        o'_0    …
    reward          0         r_1    …        r_L         0      …      r_t came with o_t
    is_first       True      False   …       False       True    …
    is_last        False     False   …        True       False   …
    is_terminal    False     False   …       True if it ended for good, False if it was cut off
    action         a_0        a_1    …      (ignored)    a'_0    …      a_t is taken at o_t
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.ops.pytrees import pytree


class Timestep(NamedTuple):
    """What an agent is told; see the module's table.

    Attributes:
        observation: An array of floats, or a dictionary of them.
        reward: The reward that came with it.
        is_first: Whether an episode begins here.
        is_last: Whether it ends here, for good or cut off.
        is_terminal: Whether it ends here for good: nothing more could have been earned.
        mask: Which entries of the action are allowed; None if all always are.
    """

    observation: Any
    reward: Float[Array, "*batch"]
    is_first: Bool[Array, "*batch"]
    is_last: Bool[Array, "*batch"]
    is_terminal: Bool[Array, "*batch"]
    mask: Bool[Array, "*batch action"] | None = None


class State(NamedTuple):
    """Where an episode stands.

    Attributes:
        inner: The environment's own state.
        is_last: Whether the next step starts a new episode.
    """

    inner: Any
    is_last: Bool[Array, ""]


class Actions(NamedTuple):
    """What actions there are.

    Attributes:
        sizes: The number of categories of each part of an action; empty if it is continuous.
        low: The least value of each entry of a continuous action, in the environment's units.
        high: The greatest.
        shape: The shape of a continuous action.
        single: Whether the environment takes one category rather than a tuple of them.
    """

    sizes: tuple[int, ...] = ()
    low: Any = ()
    high: Any = ()
    shape: tuple[int, ...] = ()
    single: bool = False

    @property
    def is_discrete(self) -> bool:
        """Whether actions are categories."""
        return bool(self.sizes)

    @property
    def size(self) -> int:
        """The length of an action as a vector."""
        return sum(self.sizes) if self.sizes else math.prod(self.shape)

    def encode(self, action: Any) -> Float[Array, " action"]:
        """The environment's action as a vector.

        Args:
            action: A category, a tuple of them, or an array within the bounds.

        Returns:
            One-hot vectors, or numbers within [−1, 1].
        """
        if self.is_discrete:
            parts = (action,) if self.single else tuple(action)
            pairs = zip(parts, self.sizes, strict=True)
            return jnp.concatenate([jax.nn.one_hot(part, size) for part, size in pairs], axis=-1)
        share = (jnp.asarray(action) - self.low) / (self.high - self.low)
        return jnp.reshape(2 * share - 1, -1)

    def decode(self, vector: Float[Array, " action"]) -> Any:
        """The vector as the environment's action; inverse of ``encode``.

        Args:
            vector: One-hot vectors (the largest entry counts), or numbers, clipped to [−1, 1].

        Returns:
            A category, a tuple of them, or an array within the bounds.
        """
        if self.is_discrete:
            edges = np.cumsum(self.sizes)[:-1].tolist()
            parts = tuple(jnp.argmax(part, axis=-1) for part in jnp.split(vector, edges, axis=-1))
            return parts[0] if self.single else parts
        share = (jnp.clip(jnp.reshape(vector, self.shape), -1, 1) + 1) / 2
        return self.low + share * (self.high - self.low)

    def uniform(
        self, key: PRNGKeyArray, mask: Bool[Array, " action"] | None = None
    ) -> Float[Array, " action"]:
        """A random action as a vector, uniform over what is allowed.

        Args:
            key: Key.
            mask: Which entries are allowed; None for all.

        Returns:
            The vector.
        """
        if not self.is_discrete:
            return jax.random.uniform(key, (self.size,), minval=-1.0, maxval=1.0)
        # Gumbel's trick: the largest of as many independent equal draws is each with equal chance.
        scores = jax.random.gumbel(key, (self.size,))
        scores = scores if mask is None else jnp.where(mask, scores, -jnp.inf)
        return self.encode(self.decode(scores))


class Spec(NamedTuple):
    """What an agent must know before it sees anything.

    Attributes:
        timestep: The shapes of one time step.
        inner: The shapes of the environment's own state; None where it is not known.
        actions: What actions there are.
    """

    timestep: Timestep
    inner: Any
    actions: Actions


@pytree(
    static=(
        "name",
        "environment",
    )
)
@dataclasses.dataclass(frozen=True)
class Control:
    """An environment as a problem; get one from :func:`control` or build it from your own.

    Attributes:
        name: What it is called.
        environment: A gymnax environment; its methods must be pure.
        params: Its parameters, a pytree.

    Example:
        >>> problem = control("CartPole-v1")
        >>> state, timestep = problem.reset(jax.random.key(0))
        >>> left = problem.actions.encode(0)
        >>> state, timestep = problem.step(jax.random.key(1), state, left)
        >>> timestep.observation.shape, float(timestep.reward), bool(timestep.is_last)
        ((4,), 1.0, False)
    """

    name: str
    environment: Any
    params: Any

    @property
    def actions(self) -> Actions:
        """What actions there are.

        Raises:
            ValueError: If the environment's space of actions is of another kind, or unbounded.
        """
        from gymnax.environments import spaces

        space = self.environment.action_space(self.params)
        if isinstance(space, spaces.Discrete):
            return Actions(sizes=(int(space.n),), single=True)
        if isinstance(space, spaces.Tuple) and all(
            isinstance(part, spaces.Discrete) for part in space.spaces
        ):
            return Actions(sizes=tuple(int(part.n) for part in space.spaces))
        if isinstance(space, spaces.Box):
            low, high = (jnp.broadcast_to(x, space.shape) for x in (space.low, space.high))
            return Actions(low=low, high=high, shape=tuple(space.shape))
        raise ValueError(
            f"environment {self.name!r} has actions {space}; allowed: Discrete, a Tuple of "
            f"Discrete, or a Box"
        )

    @property
    def spec(self) -> Spec:
        """Shapes of what it shows, and its actions."""
        state, timestep = jax.eval_shape(self.reset, jax.random.key(0))
        return Spec(timestep, state.inner, self.actions)

    def reset(self, key: PRNGKeyArray) -> tuple[State, Timestep]:
        """Start an episode.

        Args:
            key: Key.

        Returns:
            (state, first time step).
        """
        observation, inner = self.environment.reset_env(key, self.params)
        return State(inner, jnp.zeros((), bool)), self.timestep(observation, is_first=True)

    def step(
        self, key: PRNGKeyArray, state: State, action: Float[Array, " action"]
    ) -> tuple[State, Timestep]:
        """Act; or start the next episode, where the last one has ended.

        Args:
            key: Key.
            state: Where the episode stands.
            action: A vector; ignored where a new episode starts.

        Returns:
            (state, time step).
        """
        of_step, of_reset = jax.random.split(key)
        went = self.transition(of_step, state.inner, action)
        fresh = self.reset(of_reset)
        return jax.tree.map(lambda new, old: jnp.where(state.is_last, new, old), fresh, went)

    def transition(
        self, key: PRNGKeyArray, inner: Any, action: Float[Array, " action"]
    ) -> tuple[State, Timestep]:
        """Act, whether or not the episode is over.

        Args:
            key: Key.
            inner: The environment's own state.
            action: A vector.

        Returns:
            (state, time step).
        """
        observation, inner, reward, terminated, _ = self.environment.step_env(
            key, inner, self.actions.decode(action), self.params
        )
        terminated = jnp.asarray(terminated, bool)
        last = terminated | self.environment.is_truncated(inner, self.params)
        timestep = self.timestep(observation, reward=reward, is_last=last, is_terminal=terminated)
        return State(inner, last), timestep

    def timestep(
        self,
        observation: Any,
        *,
        reward: Any = 0.0,
        is_first: Any = False,
        is_last: Any = False,
        is_terminal: Any = False,
    ) -> Timestep:
        """What an agent is told of one of the environment's own observations.

        Args:
            observation: As the environment gives it.
            reward: What came with it.
            is_first: Whether an episode begins there.
            is_last: Whether it ends there.
            is_terminal: Whether it ends there for good.

        Returns:
            The time step.
        """
        mask = None
        if hasattr(self.environment, "action_mask"):
            mask = self.environment.action_mask(observation, self.params)
        return Timestep(
            self._floats(observation),
            jnp.asarray(reward, float),
            jnp.asarray(is_first, bool),
            jnp.asarray(is_last, bool),
            jnp.asarray(is_terminal, bool),
            mask,
        )

    def _floats(self, observation: Any) -> Any:
        from gymnax.environments import spaces

        space = self.environment.observation_space(self.params)
        if isinstance(space, spaces.Discrete):
            return jax.nn.one_hot(observation, space.n)
        return jax.tree.map(_plain, observation)


def _plain(leaf: Any) -> Array:
    leaf = jnp.atleast_1d(leaf)
    return leaf if leaf.dtype == jnp.uint8 else leaf.astype(float)


@functools.cache
def _environment(name: str) -> tuple[Any, Any]:
    """One environment a name, so that equal problems share their compiled programs."""
    import gymnax

    return gymnax.make(name)


def control(name: str, **params: Any) -> Control:
    """A registered gymnax environment as a problem.

    Args:
        name: Its name, such as ``"CartPole-v1"``.
        **params: Parameters that are to differ from its defaults.

    Returns:
        The problem.

    Raises:
        ValueError: If there is no environment of that name, or no such parameter.
    """
    import gymnax

    if name not in gymnax.registered_envs:
        raise ValueError(
            f"name is {name!r}; allowed: {', '.join(gymnax.registered_envs)}, or build a Control"
        )
    environment, defaults = _environment(name)
    fields = [field.name for field in dataclasses.fields(defaults)]
    unknown = sorted(set(params) - set(fields))
    if unknown:
        raise ValueError(f"params {unknown} do not exist in {name}; allowed: {', '.join(fields)}")
    return Control(name, environment, dataclasses.replace(defaults, **params))
