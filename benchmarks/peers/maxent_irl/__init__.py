"""MaxEnt IRL: its inner loop, the soft solve and the visitation, against `imitation` and `econirl`.

Every gradient step of maximum causal entropy IRL solves the soft Bellman equation for the current
reward and then asks how often the resulting policy visits each state. Both peers have this pair of
functions, so this pair is what is compared, on a gridworld of 32×32 cells with five actions, a
random reward in every cell and a uniform start, in float64; on all cores, and on one. Against
`econirl` actions slip as well. To `imitation`, whose arrays are dense, a slip makes no difference.
"""

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.peers.comparison import Comparison, Side
from benchmarks.peers.environment import Requirements

ALGORITHM = "maxent_irl"
TOLERANCE = 1e-8

_SIZE = 32
_SLIP = 0.1
_HORIZON = 100
_FOLDER = Path(__file__).parent

IMITATION = Requirements(
    packages=(
        "gymnasium==1.4.0",
        "matplotlib==3.11.2",
        "numpy==2.4.6",
        "pandas==3.1.1",
        "sacred==0.8.7",
        "scipy==1.17.1",
        "torch==2.13.0",
    ),
    # imitation's own pins exclude the gymnasium and stable-baselines3 that work with today's
    # NumPy, and name a dozen packages which its tabular algorithm never imports.
    alone=("imitation==1.0.1", "seals==0.2.1", "stable-baselines3==2.7.0"),
)

ECONIRL = Requirements(
    packages=(
        "econirl==0.1.1",
        "equinox==0.13.8",
        "jax==0.10.2",
        "jaxlib==0.10.2",
        "lineax==0.1.1",
        "numpy==2.4.6",
        "optimistix==0.1.0",
        "pandas==3.1.1",
        "scipy==1.17.1",
    )
)


def gridworld(slip: float | None = None) -> Mapping[str, np.ndarray]:
    """Make the problem's arrays: dense probabilities for the peers, a next-state table for us."""
    from rlsuite.envs.gridworld import neighbours

    next_states = neighbours(np.zeros((_SIZE, _SIZE), bool), stay=True)
    states, actions = next_states.shape
    moves = np.zeros((states, actions, states))
    np.put_along_axis(moves, next_states[..., None].astype(np.int64), 1.0, axis=-1)
    slipping = {} if slip is None else {"slip": np.asarray(slip)}
    share = slip or 0.0
    return {
        "next_states": next_states,
        **slipping,
        "probabilities": (1 - share) * moves + share * moves.mean(axis=1, keepdims=True),
        "reward": np.random.default_rng(0).normal(size=states),
        "initial": np.full(states, 1 / states),
        "discount": np.asarray(0.99),
        "horizon": np.asarray(_HORIZON),
        "tolerance": np.asarray(TOLERANCE),
    }


def _ours(name: str, case: str) -> Side:
    return Side(name, _FOLDER / "ours.py", case)


def _against_imitation(*, one_core: bool) -> Comparison:
    return Comparison(
        algorithm=ALGORITHM,
        problem="soft solve and visitation, gridworld 32x32, horizon 100",
        ours=_ours("backward induction", "finite"),
        peer=Side("imitation", _FOLDER / "imitation.py", "finite", IMITATION),
        inputs=gridworld,
        tolerance=TOLERANCE,
        bar=100.0,
        one_core=one_core,
    )


def _against_econirl(
    ours: str, our_case: str, peer: str, peer_case: str, *, one_core: bool
) -> Comparison:
    return Comparison(
        algorithm=ALGORITHM,
        problem="soft solve and visitation, gridworld 32x32 with slip, discount 0.99",
        ours=_ours(ours, our_case),
        peer=Side(f"econirl's {peer}", _FOLDER / "econirl.py", peer_case, ECONIRL),
        inputs=functools.partial(gridworld, _SLIP),
        tolerance=TOLERANCE,
        bar=10.0,
        one_core=one_core,
    )


def _on(*, one_core: bool) -> tuple[Comparison, ...]:
    iterate, newton = ("value iteration", "iterate"), ("Newton", "newton")
    return (
        _against_imitation(one_core=one_core),
        _against_econirl(*iterate, "value iteration", "value_iteration", one_core=one_core),
        _against_econirl(*newton, "hybrid solver", "hybrid", one_core=one_core),
    )


COMPARISONS = (*_on(one_core=False), *_on(one_core=True))
"""The comparisons that ``python -m benchmarks peers maxent_irl`` runs.

All cores are how the libraries come. On one core no thread waits for another, so that ratio is
hardly disturbed by other programs.
"""
