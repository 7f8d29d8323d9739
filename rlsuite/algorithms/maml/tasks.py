r"""Distributions of tasks: what the algorithm asks of one, and two of regression.

A distribution of one's own is any class with the two methods and the property of :class:`Tasks`,
registered with JAX as a pytree whose arrays are its data.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.ops.pytrees import pytree

Params = Any
Apply = Callable[[Params, Any], Any]
Range = tuple[Any, Any]  # two numbers, which may be traced


class Task(NamedTuple):
    """What is given of one task.

    Attributes:
        support: What the inner loop sees; any pytree of arrays.
        query: What the outer loss is taken on.
    """

    support: Any
    query: Any


@runtime_checkable
class Tasks(Protocol):
    """A distribution of tasks, and what is to be small on each."""

    @property
    def inputs(self) -> Any:
        """Inputs to the network; only their shapes and types matter."""

    def sample(self, key: PRNGKeyArray) -> Task:
        """Draw a task."""

    def loss(self, apply: Apply, params: Params, data: Any, key: PRNGKeyArray) -> Float[Array, ""]:
        """The loss of a network on a task's support or query.

        Args:
            apply: The network, ``(params, inputs) -> outputs``.
            params: Its parameters.
            data: The support or the query.
            key: For losses that draw samples; others leave it alone.
        """


class Points(NamedTuple):
    """Points of a function.

    Attributes:
        inputs: x, ``[point, input]``.
        targets: y, ``[point]``.
    """

    inputs: Float[Array, "*task point input"]
    targets: Float[Array, "*task point"]


def squared_error(apply: Apply, params: Params, data: Points) -> Float[Array, ""]:
    """The mean over points of (f(x) − y)²."""
    return jnp.mean((apply(params, data.inputs) - data.targets) ** 2)


@pytree()
@dataclasses.dataclass(frozen=True)
class Sinusoids:
    r"""Waves y = A sin(x − φ) of any amplitude and phase (Finn et al. 2017, sec. 5.1).

    A ~ U[0.1, 5], φ ~ U[0, π], x ~ U[−5, 5]; the loss is the mean squared error.

    Attributes:
        shots: How many points the support has, and the query.
        informed: Whether A and φ are further inputs: the oracle's view.
        amplitudes: The range of A.
        phases: The range of φ.
        interval: The range of x.

    Example:
        >>> task = Sinusoids(shots=5).sample(jax.random.key(0))
        >>> task.support.inputs.shape, task.support.targets.shape
        ((5, 1), (5,))
    """

    shots: int = dataclasses.field(default=10, metadata={"static": True})
    informed: bool = dataclasses.field(default=False, metadata={"static": True})
    amplitudes: Range = (0.1, 5.0)
    phases: Range = (0.0, jnp.pi)
    interval: Range = (-5.0, 5.0)

    @property
    def inputs(self) -> Float[Array, "point input"]:
        """A point: x, and A and φ where they are told."""
        return jnp.zeros((1, 3 if self.informed else 1))

    def wave(self, key: PRNGKeyArray) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Draw an amplitude and a phase."""
        of_amplitude, of_phase = jax.random.split(key)
        return _uniform(of_amplitude, self.amplitudes), _uniform(of_phase, self.phases)

    def points(self, amplitude: Any, phase: Any, x: Float[Array, " point"]) -> Points:
        """Points of a wave, as the network is given them."""
        inputs = x[:, None]
        if self.informed:
            told = jnp.stack([jnp.asarray(amplitude), jnp.asarray(phase)])
            inputs = jnp.concatenate([inputs, jnp.broadcast_to(told, (x.size, 2))], axis=1)
        return Points(inputs, amplitude * jnp.sin(x - phase))

    def sample(self, key: PRNGKeyArray) -> Task:
        """Draw a wave, and points on it."""
        of_wave, of_points = jax.random.split(key)
        x = _uniform(of_points, self.interval, (2, self.shots))
        wave = self.wave(of_wave)
        return Task(*(self.points(*wave, row) for row in x))

    def loss(
        self, apply: Apply, params: Params, data: Points, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """The mean squared error."""
        del key
        return squared_error(apply, params, data)


@pytree()
@dataclasses.dataclass(frozen=True)
class LinearRegressions:
    r"""Linear functions y = wᵀ x on fixed points, w_j ~ N(m_j, σ²): everything in closed form.

    On the points √(d a_j) e_j, where d is their number, the loss of a linear network is
    Σ_j a_j (θ_j − w_j)². After K steps of gradient descent at rate α its expectation,

        Σ_j a_j (1 − 2 α a_j)^{2K} ((θ_j − m_j)² + σ²),

    is least at θ = m, whatever α and K are.

    Attributes:
        mean: m, ``[input]``.
        curvature: a, ``[input]``.
        deviation: σ.

    Example:
        >>> tasks = LinearRegressions(mean=jnp.ones(2), curvature=jnp.asarray([1.0, 0.5]))
        >>> float(tasks.expected_loss(jnp.ones(2), rate=0.0, num_steps=0))
        1.5
    """

    mean: Float[Array, " input"]
    curvature: Float[Array, " input"]
    deviation: float | Float[Array, ""] = 1.0

    @property
    def inputs(self) -> Float[Array, "point input"]:
        """The points."""
        return jnp.diag(jnp.sqrt(self.curvature * self.curvature.size))

    def sample(self, key: PRNGKeyArray) -> Task:
        """Draw w; the support and the query are one."""
        weights = self.mean + self.deviation * jax.random.normal(key, self.mean.shape)
        points = Points(self.inputs, self.inputs @ weights)
        return Task(points, points)

    def loss(
        self, apply: Apply, params: Params, data: Points, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """The mean squared error."""
        del key
        return squared_error(apply, params, data)

    def expected_loss(
        self, params: Float[Array, " input"], *, rate: float, num_steps: int
    ) -> Float[Array, ""]:
        """The expectation over tasks of the loss after steps of gradient descent from θ."""
        spread = (params - self.mean) ** 2 + self.deviation**2
        left = (1 - 2 * rate * self.curvature) ** (2 * num_steps)
        return jnp.sum(self.curvature * left * spread)


def _uniform(key: PRNGKeyArray, bounds: Range, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
    return jax.random.uniform(key, shape, minval=bounds[0], maxval=bounds[1])
