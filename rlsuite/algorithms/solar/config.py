"""What SOLAR is told."""

from typing import Literal

from rlsuite.configuration import config, setting

Representation = Literal["structured", "independent", "components"]
"""How states come from pictures."""


@config
class Config:
    """Everything; the defaults are for a point that moves in a small picture.

    Attributes:
        size: n, how many numbers a state has.
        velocities: Whether the second half of a state are the first half's velocities: pictures
            tell and show the first half alone, and a priori A = [[I, I/10], [0, I]]. For worlds in
            which forces act, whose velocities no single picture shows.
        length: T, how many actions an episode has.
        first_rollouts: Episodes of random actions before anything is learned.
        rollouts: Episodes of the policy in each step of the algorithm.
        capacity: How many episodes are kept; the oldest go.
        as_bytes: Whether their pictures are kept as bytes; as numbers, they take four times the
            memory, and a policy's smallest changes are seen.
        first_updates: Updates of the model in the first step.
        updates: Updates of the model in each later step; 0: it is not trained again.
        batch_size: Episodes in an update.
        pictures: Of each of them, how many pictures are decoded, at random.
        learning_rate: Of encoder, decoder and cost (Adam).
        natural_rate: ρ, of q(F, Σ).
        prior_noise: A priori Ψ is this times I, in the states' units: a tenth of what a state
            varies by, squared, times the number of pairs would drown what data say.
        clip: The greatest norm of a gradient.
        full: Whether the natural gradient has the term that the authors' program drops.
        timed: Whether each step of an episode has an (F, Σ) of its own in the model, too.
        background: Whether what does not move is taken out of pictures before the encoder sees
            them, and given to the decoder (``before_background``): for pictures that show much
            beside what moves.
        representation: "structured": states are inferred from whole episodes, by pictures and
            dynamics. "independent": each from its picture alone, by a variational autoencoder, and
            dynamics are fitted to them (the paper's ablation). "components": the principal
            components of pictures, with nothing learned.
        exploration: The deviation of random actions.
        data_strength: How many pairs the whole model counts for in local dynamics.
        cost_episodes: To how many of the latest episodes the cost is fitted.
        cost_strength: Where costs are far from quadratic: how many pairs say that the cost is the
            same function at all steps, whose slope at each step the last episodes' costs change
            (``lqr.fit_slopes``). None: it is the same.
        rounds: Of local inference.
        bound: How far a policy goes from the last one, in nats per step.
        adjust: Whether the bound grows where steps brought what they promised, and shrinks where
            they did not (``adjusted``).
        temperature: What a nat of a policy's entropy is worth.
        evaluation_episodes: How many episodes an evaluation has.
    """

    size: int = setting(default=4, at_least=1)
    velocities: bool = False
    length: int = setting(default=50, at_least=1)
    first_rollouts: int = setting(default=100, at_least=1)
    rollouts: int = setting(default=10, at_least=1)
    capacity: int = setting(default=200, at_least=1)
    as_bytes: bool = True
    first_updates: int = setting(default=2000, at_least=1)
    updates: int = setting(default=200, at_least=0)
    batch_size: int = setting(default=6, at_least=1)
    pictures: int = setting(default=4, at_least=1)
    learning_rate: float = setting(default=3e-3, above=0)
    natural_rate: float = setting(default=0.05, above=0, at_most=1)
    prior_noise: float = setting(default=0.02, above=0)
    clip: float = setting(default=100.0, above=0)
    full: bool = False
    timed: bool = False
    background: bool = False
    representation: Representation = "structured"
    exploration: float = setting(default=0.3, above=0)
    data_strength: float = setting(default=50.0, above=0)
    cost_episodes: int = setting(default=50, at_least=1)
    cost_strength: float | None = setting(default=None, above=0)
    rounds: int = setting(default=20, at_least=1)
    bound: float = setting(default=2.0, above=0)
    adjust: bool = True
    temperature: float = setting(default=1e-3, at_least=0)
    evaluation_episodes: int = setting(default=10, at_least=1)
