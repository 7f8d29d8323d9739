"""The networks that a config names, and how noise grows."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

from rlsuite.algorithms.decision_diffuser.config import Config
from rlsuite.data.offline import Offline
from rlsuite.nets.diffusion_transformer import DiffusionTransformer
from rlsuite.nets.temporal_mlp import TemporalMLP
from rlsuite.nets.temporal_residual import TemporalResidual
from rlsuite.nets.temporal_unet import InverseDynamics, TemporalUNet
from rlsuite.ops import diffusion

Params = Any


def schedule_of(config: Config) -> diffusion.Schedule:
    """How noise grows.

    Args:
        config: The hyperparameters.

    Returns:
        The schedule.
    """
    if config.model.schedule == "cosine":
        return diffusion.cosine(config.model.diffusion_steps)
    return diffusion.linear(config.model.diffusion_steps)


class Denoiser(NamedTuple):
    """A network that takes noise off, as two pure functions.

    Attributes:
        init: ``(key, x, k, y, present) -> params``.
        apply: ``(params, x, k, y, present) -> prediction``.
    """

    init: Callable[..., Params]
    apply: Callable[..., Any]


def default_network(config: Config) -> Denoiser:
    """The network that takes noise off, where none is given.

    Args:
        config: The hyperparameters.

    Returns:
        The network.
    """
    channels, multiples = config.model.channels, config.model.multiples
    modules: dict[str, Callable[[], Any]] = {
        "unet": lambda: TemporalUNet(channels, multiples),
        "transformer": lambda: DiffusionTransformer(channels, len(multiples)),
        "mlp": lambda: TemporalMLP(channels, len(multiples)),
        "residual": lambda: TemporalResidual(channels, len(multiples), config.model.places),
    }
    module = modules[config.model.kind]()
    return Denoiser(module.init, module.apply)


class Inverse(NamedTuple):
    """The inverse dynamics, as two pure functions of states and of how many steps lie between.

    Attributes:
        init: ``(key, s, s', steps) -> params``.
        apply: ``(params, s, s', steps) -> action``.
    """

    init: Callable[..., Params]
    apply: Callable[..., Any]


def inverse_dynamics(problem: Offline, config: Config) -> Inverse:
    """The network that tells actions.

    Args:
        problem: What it is trained on.
        config: The hyperparameters; where planned states follow each other at every time step, it
            is not told how many lie between.

    Returns:
        The network.
    """
    module = InverseDynamics(problem.episodes.actions.shape[-1], config.model.inverse_units)

    def share(steps: Int[Array, "*batch"]) -> Float[Array, "*batch"] | None:
        return steps / config.stride if config.stride > 1 else None

    return Inverse(
        lambda key, before, after, steps: module.init(key, before, after, share(steps)),
        lambda params, before, after, steps: module.apply(params, before, after, share(steps)),
    )
