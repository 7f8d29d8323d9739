"""What PPO is told, and what it keeps and reports."""

from typing import Any, Literal, NamedTuple

from jaxtyping import Array, Float

from rlsuite.algorithms.ppo.experience import Walkers
from rlsuite.algorithms.ppo.learning import Losses
from rlsuite.algorithms.ppo.normalization import Rewards
from rlsuite.configuration import config, setting
from rlsuite.nets.network import Params


@config
class Config:
    """Hyperparameters; the defaults are purejaxrl's.

    Attributes:
        learning_rate: Of the optimiser, at the beginning.
        discount: γ.
        lambda_: λ of the advantages.
        clip: ε, by how much a ratio may leave 1.
        entropy_weight: c_h.
        value_weight: c_v.
        max_gradient_norm: To which the gradient's norm is clipped.
        num_envs: How many environments are walked in at once.
        rollout_length: Transitions of each in one step.
        num_epochs: Passes over them.
        num_minibatches: Parts of a pass. They divide all transitions, or, with memory, the
            environments, whose sequences stay whole.
        annealing_steps: After how many steps the learning rate has fallen to 0, on a line; None
            keeps it.
        clip_values: Whether values are clipped as ratios are.
        normalize_observations: Whether observations are shifted and scaled by what was seen.
        normalize_rewards: Whether rewards are scaled by the deviation of discounted returns.
        hidden_sizes: The widths of the hidden layers, at least one.
        memory: What remembers: "none", "gru" or "lstm".
        memory_size: How many units remember.
        evaluation_episodes: How many episodes an evaluation has.
    """

    learning_rate: float = setting(default=2.5e-4, above=0)
    discount: float = setting(default=0.99, at_least=0, at_most=1)
    lambda_: float = setting(default=0.95, at_least=0, at_most=1)
    clip: float = setting(default=0.2, above=0)
    entropy_weight: float = setting(default=0.01, at_least=0)
    value_weight: float = setting(default=0.5, at_least=0)
    max_gradient_norm: float = setting(default=0.5, above=0)
    num_envs: int = setting(default=4, at_least=1)
    rollout_length: int = setting(default=128, at_least=1)
    num_epochs: int = setting(default=4, at_least=1)
    num_minibatches: int = setting(default=4, at_least=1)
    annealing_steps: int | None = setting(default=None, at_least=1)
    clip_values: bool = True
    normalize_observations: bool = False
    normalize_rewards: bool = False
    hidden_sizes: tuple[int, ...] = setting(default=(64, 64), at_least=1)
    memory: Literal["none", "gru", "lstm"] = "none"
    memory_size: int = setting(default=64, at_least=1)
    evaluation_episodes: int = setting(default=20, at_least=1)

    def __post_init__(self) -> None:
        if not self.hidden_sizes:
            raise ValueError("config field 'hidden_sizes' is (); allowed: at least one width")
        name, count = "num_envs * rollout_length", self.num_envs * self.rollout_length
        if self.memory != "none":
            name, count = "num_envs", self.num_envs
        if count % self.num_minibatches:
            raise ValueError(
                f"config field 'num_minibatches' is {self.num_minibatches}; allowed: a divisor of "
                f"{name}, {count}"
            )


class State(NamedTuple):
    """What training leaves.

    Attributes:
        params: Of the actor-critic.
        optimizer: The optimiser's state.
        walkers: Where the environments stand.
        last: The mean return and length of the episodes that ended in the last step in which
            one did; 0 before.
        observations: ``Moments`` of each array of an observation; None without normalisation.
        rewards: What was seen of rewards; None without normalisation.
    """

    params: Params
    optimizer: Any
    walkers: Walkers
    last: Float[Array, " 2"]
    observations: Any
    rewards: Rewards | None


class Metrics(NamedTuple):
    """Of one step; the losses are means over its minibatches, each before its update.

    Attributes:
        losses: See ``Losses``.
        explained_variance: 1 − var(g − V)/var(g) of the rollout; 0 where all returns are equal.
        episode_return: Mean over the episodes that ended in this step, or in the last in which one
            did; 0 before. Actions are drawn, rewards neither discounted nor scaled.
        episode_length: Likewise.
    """

    losses: Losses
    explained_variance: Float[Array, ""]
    episode_return: Float[Array, ""]
    episode_length: Float[Array, ""]


class Evaluation(NamedTuple):
    """Means over new episodes in which the likeliest action is taken.

    Attributes:
        episode_return: Undiscounted.
        episode_length: Transitions.
    """

    episode_return: Float[Array, ""]
    episode_length: Float[Array, ""]
