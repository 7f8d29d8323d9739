"""Hyperparameters, and what both kinds of training share."""

from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from rlsuite.configuration import config, setting
from rlsuite.nets import causal_transformer, gru, linear_recurrence, lstm, rnn
from rlsuite.nets.recurrent import Cell

Rule = Callable[[Any, Any], optax.GradientTransformation]
"""From a learning rate, or a schedule, and the greatest norm of a gradient, to an optimiser."""

Memory = Literal["lstm", "gru", "rnn", "linear", "transformer"]


@config
class Config:
    """Hyperparameters.

    Attributes:
        learning_rate: Of the optimiser, at the beginning.
        max_gradient_norm: To which the gradient's norm is clipped.
        entropy_weight: c_h, at the beginning; it falls to 0 on a line over ``annealing_steps``.
        value_weight: c_v; policy and value share all layers but the last, and returns vary by far
            more than what choices make of them.
        discount: γ.
        lambda_: λ of the V-trace targets.
        clip_rho: ρ̄, also of the policy's weights.
        clip_c: c̄.
        annealing_steps: After how many updates the learning rate has fallen to 0, on a cosine;
            None keeps it, and the entropy's weight.
        batch_size: How many sequences, or environments side by side.
        memory: What remembers: "lstm", "gru", "rnn", "linear" (a linear recurrence) or
            "transformer".
        memory_size: How many units it has, and the layer before it; for a transformer a multiple
            of 8.
        layers: Of the linear recurrence and the transformer.
        context: How far back the transformer looks.
        rollout_length: Time steps of each environment in an update (a whole bandit's episode of T
            pulls has T + 1).
        lag: How many updates the policy that acts is behind the one that learns.
        evaluation_episodes: How many episodes or sequences an evaluation has.
    """

    learning_rate: float = setting(default=3e-3, above=0)
    max_gradient_norm: float = setting(default=1.0, above=0)
    entropy_weight: float = setting(default=0.01, at_least=0)
    value_weight: float = setting(default=0.05, at_least=0)
    discount: float = setting(default=1.0, at_least=0, at_most=1)
    lambda_: float = setting(default=0.9, at_least=0, at_most=1)
    clip_rho: float = setting(default=1.0, above=0)
    clip_c: float = setting(default=1.0, above=0)
    annealing_steps: int | None = setting(default=None, at_least=1)
    batch_size: int = setting(default=128, at_least=1)
    memory: Memory = "lstm"
    memory_size: int = setting(default=32, at_least=1)
    layers: int = setting(default=2, at_least=1)
    context: int = setting(default=128, at_least=1)
    rollout_length: int = setting(default=21, at_least=1)
    lag: int = setting(default=0, at_least=0)
    evaluation_episodes: int = setting(default=1000, at_least=1)

    def __post_init__(self) -> None:
        if self.memory == "transformer" and self.memory_size % 8:
            raise ValueError(
                f"config field 'memory_size' is {self.memory_size}; allowed for a transformer: a "
                f"multiple of 8"
            )


def cell(config: Config) -> Cell:
    """The memory that a config asks for.

    Args:
        config: The hyperparameters.

    Returns:
        The cell.
    """
    size = config.memory_size
    if config.memory == "linear":
        return linear_recurrence(size, layers=config.layers)
    if config.memory == "transformer":
        return causal_transformer(size, layers=config.layers, context=config.context)
    return {"lstm": lstm, "gru": gru, "rnn": rnn}[config.memory](size)


def clipped_adam(rate: Any, max_norm: Any) -> optax.GradientTransformation:
    """Adam along gradients whose norm is clipped; all parameters are one vector, as CPUs like it.

    Args:
        rate: The learning rate, or a schedule of it.
        max_norm: The greatest norm.

    Returns:
        The optimiser.
    """
    return optax.flatten(optax.chain(optax.clip_by_global_norm(max_norm), optax.adam(rate)))


def schedule(config: Config) -> Any:
    """The learning rate, or a cosine of it over updates.

    Args:
        config: The hyperparameters.

    Returns:
        What optax takes for a learning rate.
    """
    steps = config.annealing_steps
    if steps is None:
        return config.learning_rate

    def annealed(count: Array) -> Float[Array, ""]:
        share = jnp.minimum(count / steps, 1.0)
        return config.learning_rate * 0.5 * (1.0 + jnp.cos(jnp.pi * share))

    return annealed
