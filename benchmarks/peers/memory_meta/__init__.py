"""Memory-based meta-learning: updates of an LSTM that learns to predict, against PyTorch's.

Timed are twenty updates on given sequences of twenty throws of three-sided dice: a layer of 32
units, an LSTM of 32, a linear head, log-loss, Adam at rate 3e-3; batches of 128 sequences, in
float32, on all cores and on one. Both sides begin with the same weights and end with the same loss.
PyTorch's LSTM is its fused one, ``torch.nn.LSTM`` over whole sequences.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.peers.comparison import Comparison, Side
from benchmarks.peers.environment import Requirements

ALGORITHM = "memory_meta"
TOLERANCE = 1e-4

_UPDATES, _TIME, _BATCH, _SYMBOLS, _UNITS = 20, 20, 128, 3, 32
_FOLDER = Path(__file__).parent

PYTORCH = Requirements(packages=("numpy==2.4.6", "torch==2.13.0"))


def dice() -> Mapping[str, np.ndarray]:
    """Make the arrays: throws, and the initial weights (gates in the order i, f, g, o)."""
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(_SYMBOLS), size=(_UPDATES, 1, _BATCH))
    throws = (rng.random((_UPDATES, _TIME, _BATCH, 1)) > chances.cumsum(-1)[..., :-1]).sum(-1)

    def weights(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) * shape[0] ** -0.5).astype(np.float32)

    return {
        "throws": throws,
        "layer": weights(_SYMBOLS, _UNITS),
        "into": weights(_UNITS, 4 * _UNITS),
        "within": weights(_UNITS, 4 * _UNITS),
        "head": weights(_UNITS, _SYMBOLS),
        "rate": np.asarray(3e-3),
    }


def _comparison(*, one_core: bool) -> Comparison:
    return Comparison(
        algorithm=ALGORITHM,
        problem=f"{_UPDATES} updates on {_BATCH} sequences of {_TIME} throws",
        ours=Side("rlsuite", _FOLDER / "ours.py", "updates"),
        peer=Side("torch.nn.LSTM", _FOLDER / "pytorch.py", "updates", PYTORCH),
        inputs=dice,
        tolerance=TOLERANCE,
        bar=1.0,
        one_core=one_core,
    )


COMPARISONS = (_comparison(one_core=False), _comparison(one_core=True))
"""The comparisons that ``python -m benchmarks peers memory_meta`` runs."""
