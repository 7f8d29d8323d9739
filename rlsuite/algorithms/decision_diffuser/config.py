"""The Decision Diffuser's hyperparameters."""

import dataclasses
from typing import Any, Literal

from rlsuite.configuration import config, setting

Condition = Literal["return", "label", "state"]
"""What a segment can be told to be like: its return, its episode's labels, a state after it."""


@config
class Model:
    """The networks, and how they are trained.

    Attributes:
        kind: "unet", over time; "transformer"; or, for plans of a few states, "mlp" and "residual",
            a perceptron and a deeper one that copies what does not change.
        channels: Of the U-Net's first level, or the width of the others.
        multiples: Channels of the U-Net's levels as multiples; the others have as many layers.
        places: Of "residual": which numbers of a state are the first of two that say where a thing
            is. Such a network may say that a thing is where another one is; it says the data.
        inverse_units: Width of the inverse dynamics.
        prediction: What the network says: the "noise", the "data", or the "velocity".
        schedule: How noise grows.
        diffusion_steps: T.
        normalizer: The scale of states: "gaussian", or "cdf" or "limits", within [−1, 1].
        value: Whether a second network of the same kind learns returns, for ``value_guidance``.
    """

    kind: Literal["unet", "transformer", "mlp", "residual"] = "unet"
    channels: int = setting(default=32, at_least=8)
    multiples: tuple[int, ...] = (1, 2, 4)
    places: tuple[int, ...] = ()
    inverse_units: int = setting(default=256, at_least=1)
    prediction: Literal["noise", "data", "velocity"] = "noise"
    schedule: Literal["cosine", "linear"] = "cosine"
    diffusion_steps: int = setting(default=100, at_least=1)
    normalizer: Literal["gaussian", "cdf", "limits"] = "gaussian"
    value: bool = False

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if self.places and (self.kind, self.prediction) != ("residual", "data"):
            raise ValueError(
                f"config field 'places' is {self.places}; allowed with kind {self.kind!r} and "
                f"prediction {self.prediction!r}: (), they need 'residual' and 'data'"
            )


@config
class Planning:
    """How plans are drawn and followed.

    Attributes:
        sampler: "ancestral", all T steps; or so many steps of "ddim" or "dpm-solver".
        sampling_steps: How many, but for "ancestral".
        eta: η of "ddim".
        temperature: α.
        temperature_of: Whether α scales variances (the paper) or standard deviations (the code).
        guidance: ω.
        target_return: What return is asked for; 1 is the best of the data.
        value_guidance: Weight of the learned value's gradient (Diffuser); needs ``value``.
        clip: Whether predicted states are kept within the greatest size that the data's have. (A
            small error of the noise at k = T is a large one of the states.)
        replan_every: Time steps between plans.
        warm_steps: From the second plan on, only the last so many steps of the sampler are walked,
            from the last plan, on which there is noise as at that step, whatever the temperature;
            0: a new start each time.
    """

    sampler: Literal["ancestral", "ddim", "dpm-solver"] = "ancestral"
    sampling_steps: int = setting(default=10, at_least=1)
    eta: float = setting(default=0.0, at_least=0)
    temperature: float = setting(default=0.5, at_least=0)
    temperature_of: Literal["variance", "deviation"] = "variance"
    guidance: float = setting(default=1.2, at_least=0)
    target_return: float = 1.0
    value_guidance: float = setting(default=0.0, at_least=0)
    clip: bool = True
    replan_every: int = setting(default=1, at_least=1)
    warm_steps: int = setting(default=0, at_least=0)


@config
class Config:
    """Everything that the Decision Diffuser is told.

    Attributes:
        learning_rate: Of both networks.
        batch_size: Segments in an update.
        transitions: Transitions in an update of the inverse dynamics.
        blur: How far the later state may be off that the inverse dynamics is shown in training, in
            deviations, a uniform share of it: plans are not exact either.
        horizon: H, states in a segment.
        stride: Time steps between two of them.
        overhang: How many of them may be repetitions of an episode's last state.
        history: K, of how many states at most the beginning is known; 0: of none.
        free: With a history: how often none of it is known in training, so that plans may also be
            drawn that begin anywhere.
        goal: Whether the last state is known.
        conditions: What the network is told of a segment.
        dropout: How often it is not told.
        discount: γ of the return.
        return_scale: Returns are divided by this; None: the data's are mapped to [0, 1].
        reach: The state that is told lies so many time steps after the segment's first; None: at
            its end.
        average_rate: The networks that plan are averages that move this share each update.
        average_after: So many updates go before the average, which then starts from the networks.
        evaluation_episodes: How many episodes an evaluation has.
        evaluation_length: How long each may be.
        model: The networks.
        planning: How they are used.
    """

    learning_rate: float = setting(default=2e-4, at_least=0)
    batch_size: int = setting(default=32, at_least=1)
    transitions: int = setting(default=256, at_least=1)
    blur: float = setting(default=0.0, at_least=0)
    horizon: int = setting(default=100, at_least=2)
    stride: int = setting(default=1, at_least=1)
    overhang: int = setting(default=0, at_least=0)
    history: int = setting(default=1, at_least=0)
    free: float = setting(default=0.0, at_least=0, at_most=1)
    goal: bool = False
    conditions: tuple[Condition, ...] = ("return",)
    dropout: float = setting(default=0.25, at_least=0, at_most=1)
    discount: float = setting(default=0.99, at_least=0, at_most=1)
    return_scale: float | None = setting(default=None, above=0)
    reach: int | None = setting(default=None, at_least=1)
    average_rate: float = setting(default=0.005, above=0, at_most=1)
    average_after: int = setting(default=500, at_least=0)
    evaluation_episodes: int = setting(default=10, at_least=1)
    evaluation_length: int = setting(default=1000, at_least=1)
    model: Model = Model()
    planning: Planning = Planning()

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if not self.history + self.goal < self.horizon:
            raise ValueError(
                f"config field 'history' is {self.history}; allowed: fewer known states than "
                f"'horizon', {self.horizon}"
            )
        if self.history > 1 and self.stride > 1:
            raise ValueError(
                f"config field 'stride' is {self.stride}; allowed with a history of "
                f"{self.history} states: 1"
            )
        if self.overhang > self.horizon - 2:
            raise ValueError(
                f"config field 'overhang' is {self.overhang}; allowed: at most 'horizon' - 2, "
                f"{self.horizon - 2}"
            )
        if len(set(self.conditions)) < len(self.conditions):
            raise ValueError(
                f"config field 'conditions' is {self.conditions}; allowed: each at most once"
            )
        steps = self.model.diffusion_steps
        planned = self.planning
        if planned.sampler != "ancestral":
            if planned.sampling_steps > steps:
                raise ValueError(
                    f"config field 'sampling_steps' is {planned.sampling_steps}; allowed: at most "
                    f"'diffusion_steps', {steps}"
                )
            steps = planned.sampling_steps
        if planned.warm_steps > steps:
            raise ValueError(
                f"config field 'warm_steps' is {planned.warm_steps}; allowed: at most {steps}, "
                "those of the sampler"
            )

    @property
    def duration(self) -> int:
        """Time steps from a segment's first state to its last."""
        return (self.horizon - 1) * self.stride


def paper(**changes: Any) -> Config:
    """The settings of the paper for locomotion: the network of 59.7 million parameters.

    Args:
        **changes: Fields of ``Config`` that differ.

    Returns:
        The config.
    """
    large = Model(channels=128, multiples=(1, 4, 8), inverse_units=512)
    return dataclasses.replace(Config(horizon=100, history=20, model=large), **changes)


def released(**changes: Any) -> Config:
    """The settings of the authors' code, where they are not the paper's.

    Args:
        **changes: Fields of ``Config`` that differ.

    Returns:
        The config: 200 steps, deviations scaled by .5, returns divided by 400 and .9 asked for, one
        known state, narrower inverse dynamics.
    """
    large = Model(channels=128, multiples=(1, 4, 8), diffusion_steps=200, normalizer="cdf")
    planning = Planning(temperature_of="deviation", target_return=0.9)
    config = Config(return_scale=400.0, model=large, planning=planning)
    return dataclasses.replace(config, **changes)
