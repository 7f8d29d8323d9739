"""PPO: transitions a second on CartPole, against purejaxrl's design and `stable-baselines3`.

A whole training, environments included, with the hyperparameters that purejaxrl publishes for
CartPole: rate 2.5e-4 falling to 0, γ = 0.99, λ = 0.95, ε = 0.2, two networks of two layers of 64
tanh units, four epochs of four minibatches; four environments of 128 transitions, and, as a program
that is all arithmetic, 2048 environments. What must agree is how many transitions were learned
from; how well they were used is in the suite ``scores``.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.peers.comparison import Comparison, Side
from benchmarks.peers.environment import Requirements

ALGORITHM = "ppo"

_FOLDER = Path(__file__).parent
_STABLE_BASELINES = Requirements(
    packages=("gymnasium==1.3.0", "numpy==2.4.6", "stable_baselines3==2.9.2", "torch==2.13.0")
)


def training(total: int, num_envs: int) -> Callable[[], Mapping[str, np.ndarray]]:
    """Make the inputs of a training.

    Args:
        total: How many transitions.
        num_envs: Of how many environments.
    """

    def inputs() -> Mapping[str, np.ndarray]:
        numbers = {"total": total, "num_envs": num_envs, "num_steps": 128, "rate": 2.5e-4}
        return {name: np.asarray(value) for name, value in numbers.items()}

    return inputs


def _against(peer: Side, total: int, num_envs: int, bar: float) -> Comparison:
    return Comparison(
        algorithm=ALGORITHM,
        problem=f"{total:,} transitions of CartPole, {num_envs} environments",
        ours=Side("rlsuite", _FOLDER / "ours.py", "cartpole"),
        peer=peer,
        inputs=training(total, num_envs),
        tolerance=0.0,
        bar=bar,
    )


_PUREJAXRL = Side("purejaxrl's design", _FOLDER / "purejaxrl.py", "cartpole")
_SB3 = Side("stable-baselines3", _FOLDER / "stable_baselines3.py", "cartpole", _STABLE_BASELINES)

COMPARISONS = (
    _against(_PUREJAXRL, 499_712, 4, 1.0),
    _against(_PUREJAXRL, 1_048_576, 2048, 1.0),
    _against(_SB3, 20_480, 4, 5.0),
)
"""The comparisons that ``python -m benchmarks peers ppo`` runs."""
