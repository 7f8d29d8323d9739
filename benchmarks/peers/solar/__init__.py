"""SOLAR's two engines: smoothing sequences of states, against dynamax; LQR, against diffilqrax.

Smoothed are 64 sequences of 100 states of eight numbers, each told of by a diagonal potential, as
an encoder does: means, covariances, cross-covariances and the evidence, in float32, on one core;
and the gradient of a sum of all of these by the potentials, F and Q. dynamax runs with jax 0.9.2:
with 0.10.2 its gradient, through LAPACK in a loop, may not come to an end on several cores.

LQR is that of eight states and two actions, with affine and cross terms: 64 problems of 100 steps,
and one of 10,000, whose best states and actions are compared. diffilqrax is the maintained library
of the registry that has both cross terms and offsets; trajax is not there.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.peers.comparison import Comparison, Side
from benchmarks.peers.environment import Requirements

ALGORITHM = "solar"

_FOLDER = Path(__file__).parent

DYNAMAX = Requirements(packages=("dynamax==1.0.3", "jax==0.9.2", "jaxlib==0.9.2", "numpy==2.4.6"))
DIFFILQRAX = Requirements(
    packages=("diffilqrax==1.0.0", "jax==0.10.2", "jaxlib==0.10.2", "numpy==2.4.6")
)


def sequences(batch: int = 64, steps: int = 100, n: int = 8) -> Mapping[str, np.ndarray]:
    """Make the arrays: a stable system, and what is told of each state."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(n, n)))[0]
    noise = 0.1 * np.eye(n) + 0.02 * np.ones((n, n))
    told = rng.normal(size=(batch, steps, n))
    arrays = {
        "transition": 0.95 * turn,
        "noise": noise,
        "offset": 0.1 * rng.normal(size=(batch, steps - 1, n)),
        "mean": told,
        "variance": np.exp(rng.normal(size=told.shape)),
    }
    return {name: value.astype(np.float32) for name, value in arrays.items()}


def control(batch: int, steps: int, n: int = 8, m: int = 2) -> Mapping[str, np.ndarray]:
    """Make the arrays: dynamics, and costs with all terms, of one problem and all starts."""
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(n, n)))[0]
    root = rng.normal(size=(batch, steps, n + m, n + m)) / (n + m)
    arrays = {
        "A": np.broadcast_to(0.98 * turn, (batch, steps, n, n)),
        "B": 0.5 * rng.normal(size=(batch, steps, n, m)),
        "c": 0.1 * rng.normal(size=(batch, steps, n)),
        "hessian": np.eye(n + m) + np.swapaxes(root, -1, -2) @ root,
        "gradient": 0.1 * rng.normal(size=(batch, steps, n + m)),
        "start": rng.normal(size=(batch, n)),
    }
    return {name: np.array(value, np.float32) for name, value in arrays.items()}


def _smoothing(case: str, problem: str, bar: float) -> Comparison:
    return Comparison(
        algorithm=ALGORITHM,
        problem=problem,
        ours=Side("rlsuite", _FOLDER / "ours.py", case),
        peer=Side("dynamax", _FOLDER / "dynamax.py", case, DYNAMAX),
        inputs=sequences,
        tolerance=2e-2 if case == "gradients" else 1e-3,
        bar=bar,
        one_core=True,
    )


def _regulators(batch: int, steps: int, bar: float) -> Comparison:
    many = f"{batch} problems" if batch > 1 else "one problem"
    return Comparison(
        algorithm=ALGORITHM,
        problem=f"LQR, {many} of {steps:,} steps",
        ours=Side("rlsuite", _FOLDER / "ours.py", "regulators"),
        peer=Side("diffilqrax", _FOLDER / "diffilqrax.py", "regulators", DIFFILQRAX),
        inputs=partial(control, batch, steps),
        tolerance=1e-3,
        bar=bar,
        one_core=True,
    )


COMPARISONS = (
    _smoothing("smoothed", "smoothing 64 sequences of 100 states of 8 numbers", 2.0),
    _smoothing("gradients", "the gradient of all that smoothing gives", 3.0),
    _regulators(64, 100, 1.4),
    _regulators(1, 10_000, 2.5),
)
"""The comparisons that ``python -m benchmarks peers solar`` runs."""
