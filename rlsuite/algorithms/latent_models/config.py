"""What a run is told: the model, how it is trained and tested, and how it plans."""

from typing import Literal

from rlsuite.algorithms.latent_models.posterior import Posterior
from rlsuite.configuration import config, setting

Kind = Literal["mniw", "mniw-steps", "linear", "e2c", "dvbf", "full", "rssm"]
"""The transitions that have a name."""

Sight = Literal["plain", "convolutional", "whitened", "moving"]
"""The ways of seeing pictures that have a name."""


@config
class Config:
    """Everything; the defaults are for a point that moves in a small picture.

    Attributes:
        transition: "mniw" (SOLAR's), "mniw-steps" (with dynamics of each time step), "linear",
            "e2c", "dvbf", "full" or "rssm".
        objective: What training follows: "elbo"; "iwae", the importance-weighted bound; or "e2c",
            embed to control's own. Transitions of which a law is known have the first alone, and
            those without matrices of a state alone not the last.
        how: How states are inferred in training and by the bounds: "smoothed" where the transition
            is linear, or "steps".
        sight: How the default model sees pictures. "plain": networks that know nothing at first and
            look for the places of things. "convolutional": convolutions and a hidden layer,
            which also see how long things are turned. "whitened": SOLAR's, whose states begin as
            the principal components of where things are. "moving": the same, after what stands
            still is taken out. Vectors: "plain" alone.
        size: n, how many numbers a state has.
        hidden_sizes: Of the transition's perceptron.
        bases: How many matrices "dvbf" mixes.
        memory: How many numbers "rssm" remembers.
        batch_size: Episodes in an update.
        chunk_length: How many actions of an episode an update looks at, from anywhere on: shorter
            ones of more episodes tell more of how states follow each other, but the law of s_0 is
            then that of all states. None: whole episodes, as "mniw-steps" must.
        pictures: Of each of them, how many observations are decoded, at random; with "iwae", all.
        paths: Of each of them, how many paths "iwae" draws.
        learning_rate: Of all that gradients move (Adam).
        adam_epsilon: Adam's ε: slopes that are much smaller than this move little. With a large
            one, those that are but rounding do not become steps of full length.
        natural_rate: Of q(θ), where there is one.
        prior_noise: A priori Ψ of "mniw" and "mniw-steps" is this times I.
        clip: The greatest norm of a gradient.
        temper: β of the first update: how much more divergences weigh then.
        temper_updates: After so many updates it has fallen by e, to 1 in the end.
        picture_weight: What observations' likelihoods are multiplied by in training.
        consistency: λ of "e2c".
        evaluation_episodes: How many of the held-out episodes an evaluation looks at.
        evaluation_samples: Paths of each, for bounds and predictions.
        horizon: How many steps predictions look ahead.
        planner: "cross-entropy" or "gradients".
        plan_length: How many actions a plan has.
        plan_iterations: How often it is improved.
        plan_samples: Plans that "cross-entropy" draws each time.
        plan_elites: How many of them count.
        plan_deviation: Of actions, at first; and their least one a tenth of it.
        plan_momentum: Of the law that plans are drawn from.
        plan_rate: Of "gradients" (Adam).
    """

    transition: Kind = "mniw"
    objective: Literal["elbo", "iwae", "e2c"] = "elbo"
    how: Posterior = "smoothed"
    sight: Sight = "plain"
    size: int = setting(default=4, at_least=1)
    hidden_sizes: tuple[int, ...] = setting(default=(64,), at_least=1)
    bases: int = setting(default=16, at_least=1)
    memory: int = setting(default=64, at_least=1)
    batch_size: int = setting(default=10, at_least=1)
    chunk_length: int | None = setting(default=None, at_least=1)
    pictures: int = setting(default=10, at_least=1)
    paths: int = setting(default=8, at_least=1)
    learning_rate: float = setting(default=1e-3, above=0)
    adam_epsilon: float = setting(default=1e-8, above=0)
    natural_rate: float = setting(default=0.05, above=0, at_most=1)
    prior_noise: float = setting(default=0.02, above=0)
    clip: float = setting(default=100.0, above=0)
    temper: float = setting(default=30.0, above=0)
    temper_updates: float = setting(default=300.0, above=0)
    picture_weight: float = setting(default=1.0, above=0)
    consistency: float = setting(default=1.0, at_least=0)
    evaluation_episodes: int = setting(default=10, at_least=1)
    evaluation_samples: int = setting(default=16, at_least=1)
    horizon: int = setting(default=10, at_least=1)
    planner: Literal["cross-entropy", "gradients"] = "cross-entropy"
    plan_length: int = setting(default=12, at_least=1)
    plan_iterations: int = setting(default=10, at_least=1)
    plan_samples: int = setting(default=200, at_least=1)
    plan_elites: int = setting(default=20, at_least=1)
    plan_deviation: float = setting(default=0.5, above=0)
    plan_momentum: float = setting(default=0.1, at_least=0, below=1)
    plan_rate: float = setting(default=0.1, above=0)

    def __post_init__(self) -> None:
        """Check what no field's own range says."""
        if self.plan_elites > self.plan_samples:
            raise ValueError(
                f"config field 'plan_elites' is {self.plan_elites}; allowed with plan_samples "
                f"{self.plan_samples}: no more"
            )
        if self.chunk_length is not None and self.transition == "mniw-steps":
            raise ValueError(
                f"config field 'chunk_length' is {self.chunk_length}; allowed with transition "
                f"'mniw-steps': None"
            )
