"""Maps between the states of two machines: how they are learned, how far they err, and at least."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from rlsuite.nets import mlp

_WIDTHS = (128, 128)


class Map(NamedTuple):
    """A learned map, with the scales of both sides.

    Attributes:
        params: Of the perceptron.
        source: (mean, deviation) of what is mapped.
        target: (mean, deviation) of what it is mapped to.
    """

    params: Any
    source: tuple[Array, Array]
    target: tuple[Array, Array]

    def __call__(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch m"]:
        """Map."""
        y = mlp(_WIDTHS, self.target[0].shape[0]).apply(
            self.params, (x - self.source[0]) / self.source[1]
        )
        return y * self.target[1] + self.target[0]


def fit(
    source: Float[Array, "pair n"], target: Float[Array, "pair m"], num_steps: int, seed: int = 0
) -> Map:
    """Train a perceptron by least squares, each side's coordinates scaled.

    Args:
        source: What is mapped.
        target: What it is mapped to.
        num_steps: Of Adam, on 512 pairs each, its rate falling from 2e-3 on a cosine.
        seed: Of everything that is drawn.

    Returns:
        The map.
    """
    return _fitted(source, target, seed, num_steps=num_steps)


@functools.partial(jax.jit, static_argnames="num_steps")
def _fitted(source: Any, target: Any, seed: Any, *, num_steps: int) -> Map:
    of_source, of_target = (
        (jnp.mean(x, axis=0), jnp.std(x, axis=0) + 1e-6) for x in (source, target)
    )
    network = mlp(_WIDTHS, target.shape[1])
    inputs = (source - of_source[0]) / of_source[1]
    # One scale for all coordinates weighs them as D_s does.
    weight = of_target[1] / jnp.sqrt(jnp.mean(of_target[1] ** 2))
    wanted = (target - of_target[0]) / of_target[1]
    optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, num_steps))
    of_params, of_steps = jax.random.split(jax.random.key(seed))
    params = network.init(of_params, inputs[:1])

    def step(learned: Any, key: Any) -> Any:
        params, state = learned
        chosen = jax.random.randint(key, (512,), 0, len(inputs))

        def loss(params: Any) -> Any:
            errors = weight * (network.apply(params, inputs[chosen]) - wanted[chosen])
            return jnp.mean(errors**2)

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    start = params, optimizer.init(params)
    (params, _), _ = jax.lax.scan(step, start, jax.random.split(of_steps, num_steps))
    return Map(params, of_source, of_target)


def dissimilarity(found: Float[Array, "pair n"], true: Float[Array, "pair n"]) -> Float[Array, ""]:
    """D_s.

    Args:
        found: f(n_t).
        true: m_t.

    Returns:
        Squared errors over all variance.

    Example:
        >>> float(dissimilarity(jnp.array([[0.0], [0.0]]), jnp.array([[1.0], [-1.0]])))
        1.0
    """
    return jnp.sum((found - true) ** 2) / jnp.sum((true - jnp.mean(true, axis=0)) ** 2)


def floor(states: Float[np.ndarray, "pair n"], statistics: Float[np.ndarray, "pair m"]) -> float:
    """The share of the variance of states that is left among equal statistics, without bias.

    Args:
        states: States.
        statistics: Statistics; equal rows make a group, and groups of one do not count.

    Returns:
        The within-group variance over the whole; NaN if all groups are of one.

    Example:
        >>> floor(np.array([[0.0], [2.0], [4.0], [6.0]]), np.array([[0.0], [0.0], [1.0], [1.0]]))
        0.3
    """
    _, group = np.unique(np.round(statistics, 4), axis=0, return_inverse=True)
    group = group.ravel()
    sizes = np.bincount(group)
    sums = np.stack([np.bincount(group, column) for column in np.asarray(states, float).T], axis=1)
    errors = (states - (sums / sizes[:, None])[group]) ** 2
    counted = (sizes > 1)[group]
    freedom = counted.sum() - np.sum(sizes > 1)
    if freedom == 0:
        return float("nan")
    # Groups of one have unknown variance; they are taken to have the others'.
    within = errors[counted].sum() / freedom
    whole = np.sum((states - states.mean(axis=0)) ** 2) / (len(states) - 1)
    return round(float(within / whole), 12)
