"""Dreamer's hyperparameters, and the published settings."""

import dataclasses
from typing import Any, Literal

from rlsuite.configuration import config, setting


@config
class Model:
    """The world model.

    Attributes:
        kind: "rssm", a recurrent model with latents; "markov", a model of the observation itself
            (or an ensemble of them); "environment", the true dynamics, nothing being learned.
        deter: Size of the deterministic state.
        stoch: Number of random variables.
        classes: Categories of each; 0 makes them normal (V1).
        blocks: Blocks of the GRU.
        hidden: Width of the recurrent model's projections.
        units: Width of the perceptrons: encoder, decoder, heads, policy and critic.
        layers: Hidden layers of encoder, decoder and Markov models.
        depth: Scale of the numbers of convolutional channels.
        members: Size of the ensemble of Markov models.
        heads: "twohot", distributions over 255 exponentially spaced bins (V3), or "normal", squared
            errors (V1's, but for the half), for reward and value.
        symlog: Whether vectors go through symlog.
        unimix: Share of a uniform distribution in the categorical latents.
        free_nats: Below so many nats a divergence is not reduced further.
        dynamics_scale: Weight of the divergence that trains the prior.
        representation_scale: Weight of the one that trains the posterior.
    """

    kind: Literal["rssm", "markov", "environment"] = "rssm"
    deter: int = setting(default=512, at_least=1)
    stoch: int = setting(default=32, at_least=1)
    classes: int = setting(default=4, at_least=0)
    blocks: int = setting(default=8, at_least=1)
    hidden: int = setting(default=64, at_least=1)
    units: int = setting(default=64, at_least=1)
    layers: int = setting(default=3, at_least=1)
    depth: int = setting(default=4, at_least=1)
    members: int = setting(default=1, at_least=1)
    heads: Literal["twohot", "normal"] = "twohot"
    symlog: bool = True
    unimix: float = setting(default=0.01, at_least=0, below=1)
    free_nats: float = setting(default=1.0, at_least=0)
    dynamics_scale: float = setting(default=1.0, at_least=0)
    representation_scale: float = setting(default=0.1, at_least=0)

    def __post_init__(self) -> None:
        """Refuse a state that the blocks do not divide."""
        if self.deter % self.blocks:
            raise ValueError(
                f"config field 'deter' is {self.deter}; allowed: a multiple of 'blocks', "
                f"{self.blocks}"
            )


@config
class Behaviour:
    """What is learned in imagination.

    Attributes:
        gradient: How the policy learns: "dynamics", along the gradient of the return through the
            model (V1); "reinforce", by the score function (V3); "mix", by both.
        mix: Weight of the score function in "mix" (V2).
        horizon: H, how many steps are imagined.
        reach: Only so many of them count, as if H were smaller; None: all. (It is traced, so that
            horizons can be compared in one program.)
        discount: γ.
        lambda_: λ of the returns.
        entropy: Weight of the policy's entropy.
        policy_layers: Hidden layers of policy and critic.
        policy: Continuous actions are normal with a mean within [−1, 1] ("bounded", V3) or
            squashed by tanh ("tanh", V1).
        min_std: Least standard deviation of continuous actions.
        max_std: Greatest, where they are bounded.
        policy_unimix: Share of a uniform distribution in categorical actions.
        normalize_returns: Whether returns are divided by their range in the policy's loss.
        range_rate: How fast the range follows.
        range_floor: It counts as at least this.
        slow_rate: How fast the slow critic follows.
        slow_scale: Weight of the pull of the critic to the slow one.
        slow_target: Whether returns bootstrap from the slow critic.
        replay_value_scale: Weight of the critic's loss on replayed returns.
        starts: From how many of the replayed states to imagine; 0 is all.
    """

    gradient: Literal["dynamics", "reinforce", "mix"] = "reinforce"
    mix: float = setting(default=0.1, at_least=0, at_most=1)
    horizon: int = setting(default=15, at_least=1)
    reach: float | None = setting(default=None, at_least=1)
    discount: float = setting(default=1 - 1 / 333, at_least=0, below=1)
    lambda_: float = setting(default=0.95, at_least=0, at_most=1)
    entropy: float = setting(default=3e-4, at_least=0)
    policy_layers: int = setting(default=3, at_least=1)
    policy: Literal["bounded", "tanh"] = "bounded"
    min_std: float = setting(default=0.1, above=0)
    max_std: float = setting(default=1.0, above=0)
    policy_unimix: float = setting(default=0.01, at_least=0, below=1)
    normalize_returns: bool = True
    range_rate: float = setting(default=0.01, above=0, at_most=1)
    range_floor: float = setting(default=1.0, above=0)
    slow_rate: float = setting(default=0.02, above=0, at_most=1)
    slow_scale: float = setting(default=1.0, at_least=0)
    slow_target: bool = False
    replay_value_scale: float = setting(default=0.3, at_least=0)
    starts: int = setting(default=0, at_least=0)


@config
class Config:
    """Everything that Dreamer is told.

    One step of the algorithm acts ``steps_per_update`` times in each environment and then updates
    ``updates`` times; see ``train_ratio``.

    Attributes:
        learning_rate: Of the model, and of policy and critic where these have none of their own.
        policy_learning_rate: Of the policy.
        value_learning_rate: Of the critic.
        clipping: An update is at most this share of its parameter's norm.
        warmup: Over so many updates the rates grow from 0.
        batch_size: Sequences in an update.
        sequence_length: Their length, apart from one more step that gives the first latent.
        num_environments: How many environments are acted in at once.
        steps_per_update: Actions in each, in a step of the algorithm.
        updates: Updates in a step.
        replay_size: How many time steps are kept, of all environments together.
        prefill: Random actions in each environment before anything is learned.
        online: Whether fresh sequences come first in a batch, once each.
        evaluation_episodes: How many episodes an evaluation has.
        evaluation_length: How long each may be.
        model: The world model.
        behaviour: What is learned in it.
    """

    learning_rate: float = setting(default=4e-5, at_least=0)
    policy_learning_rate: float | None = setting(default=None, at_least=0)
    value_learning_rate: float | None = setting(default=None, at_least=0)
    clipping: float = setting(default=0.3, above=0)
    warmup: int = setting(default=1000, at_least=0)
    batch_size: int = setting(default=16, at_least=1)
    sequence_length: int = setting(default=64, at_least=2)
    num_environments: int = setting(default=1, at_least=1)
    steps_per_update: int = setting(default=2, at_least=1)
    updates: int = setting(default=1, at_least=0)
    replay_size: int = setting(default=100_000, at_least=1)
    prefill: int = setting(default=1024, at_least=1)
    online: bool = True
    evaluation_episodes: int = setting(default=10, at_least=1)
    evaluation_length: int = setting(default=1000, at_least=1)
    model: Model = Model()
    behaviour: Behaviour = Behaviour()

    def __post_init__(self) -> None:
        """Refuse a replay that cannot hold, or be prefilled with, a sequence."""
        needed = self.sequence_length + 1
        if self.prefill < needed:
            raise ValueError(
                f"config field 'prefill' is {self.prefill}; allowed: at least sequence_length + 1, "
                f"{needed}"
            )
        if self.capacity < needed:
            raise ValueError(
                f"config field 'replay_size' is {self.replay_size}; allowed: at least "
                f"{needed * self.num_environments}, a sequence of each environment"
            )

    @property
    def capacity(self) -> int:
        """How many time steps of one environment are kept."""
        return self.replay_size // self.num_environments

    @property
    def train_ratio(self) -> float:
        """How many replayed time steps are trained on for each one acted."""
        replayed = self.updates * self.batch_size * self.sequence_length
        return replayed / (self.num_environments * self.steps_per_update)


def v1(**changes: Any) -> Config:
    """The behaviour learning of the first Dreamer: gradients through the model, normal latents.

    Args:
        **changes: Fields of ``Config`` that differ.

    Returns:
        The config. Its optimiser is Adam in the paper; pass one to ``make``.
    """
    model = Model(
        deter=200,
        stoch=30,
        classes=0,
        blocks=1,
        hidden=200,
        units=300,
        depth=32,
        heads="normal",
        symlog=False,
        free_nats=3.0,
        representation_scale=1.0,
    )
    behaviour = Behaviour(
        gradient="dynamics",
        discount=0.99,
        entropy=0.0,
        policy="tanh",
        min_std=1e-4,
        normalize_returns=False,
        slow_scale=0.0,
        replay_value_scale=0.0,
    )
    return dataclasses.replace(
        Config(
            learning_rate=6e-4,
            policy_learning_rate=8e-5,
            value_learning_rate=8e-5,
            warmup=0,
            batch_size=50,
            sequence_length=50,
            steps_per_update=1000,
            updates=100,
            prefill=5000,
            online=False,
            model=model,
            behaviour=behaviour,
        ),
        **changes,
    )


_SIZES = {
    "1m": (512, 64, 4),
    "12m": (2048, 256, 16),
    "25m": (3072, 384, 24),
    "50m": (4096, 512, 32),
    "100m": (6144, 768, 48),
    "200m": (8192, 1024, 64),
    "400m": (12288, 1536, 96),
}


def v3(
    size: Literal["1m", "12m", "25m", "50m", "100m", "200m", "400m"] = "1m", **changes: Any
) -> Config:
    """DreamerV3 at one of its published sizes.

    Args:
        size: Roughly how many parameters, with images.
        **changes: Fields of ``Config`` that differ.

    Returns:
        The config.

    Raises:
        ValueError: If there is no such size.

    Example:
        >>> v3("12m").model.deter
        2048
    """
    if size not in _SIZES:
        raise ValueError(f"size is {size!r}; allowed: {', '.join(_SIZES)}")
    deter, units, depth = _SIZES[size]
    model = Model(deter=deter, hidden=units, units=units, classes=depth, depth=depth)
    return dataclasses.replace(Config(model=model), **changes)
