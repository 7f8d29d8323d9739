"""IQL: updates a second, against PyTorch in the manner of CORL.

CORL is a set of single files, one an algorithm, and not in the package registry; its IQL is
repeated here after its published hyperparameters: perceptrons of two layers of 256, batches of 256,
Adam at 3e-4. Both sides are given the same transitions, of a locomotion task's sizes (11 numbers
observed, 3 of an action). In a *training* each draws its own batches; what must agree is how many
updates were made. In *the same updates*, both begin with the same weights and get the same batches;
what must agree are values, advantage weights and actions after fifty updates.
"""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.peers.comparison import Comparison, Side
from benchmarks.peers.environment import Requirements

ALGORITHM = "iql"

_OBSERVED, _ACTED, _WIDTH, _BATCH = 11, 3, 256, 256
_FOLDER = Path(__file__).parent
_PYTORCH = Requirements(packages=("numpy==2.4.6", "torch==2.13.0"))


def transitions(num_updates: int) -> Callable[[], Mapping[str, np.ndarray]]:
    """Make the problem's arrays: transitions, initial weights, batches.

    Args:
        num_updates: How many updates a run has.
    """

    def inputs() -> Mapping[str, np.ndarray]:
        rng = np.random.default_rng(0)
        floats = {
            "states": rng.normal(size=(20_001, _OBSERVED)),
            "rewards": rng.normal(size=20_000),
        }
        floats["actions"] = np.tanh(rng.normal(size=(20_000, _ACTED)))
        sizes = {"policy": (_OBSERVED, _ACTED), "value": (_OBSERVED, 1)}
        sizes |= {f"critic_{i}": (_OBSERVED + _ACTED, 1) for i in range(2)}
        for name, (inputs, outputs) in sizes.items():
            widths = itertools.pairwise((inputs, _WIDTH, _WIDTH, outputs))
            for layer, (fan_in, fan_out) in enumerate(widths):
                limit = fan_in**-0.5
                shape = (fan_in, fan_out)
                floats[f"{name}_kernel_{layer}"] = rng.uniform(-limit, limit, size=shape)
                floats[f"{name}_bias_{layer}"] = rng.uniform(-limit, limit, size=fan_out)
        batches = rng.integers(20_000, size=(num_updates, _BATCH))
        return {name: x.astype(np.float32) for name, x in floats.items()} | {"batches": batches}

    return inputs


def _against(
    case: str, num_updates: int, tolerance: float, bar: float, one_core: bool
) -> Comparison:
    words = {"training": "a training of", "updates": "the same"}[case]
    return Comparison(
        algorithm=ALGORITHM,
        problem=f"{words} {num_updates} updates, batches of {_BATCH}, layers of {_WIDTH}",
        ours=Side("rlsuite", _FOLDER / "ours.py", case),
        peer=Side("PyTorch as in CORL", _FOLDER / "pytorch.py", case, _PYTORCH),
        inputs=transitions(num_updates),
        tolerance=tolerance,
        bar=bar,
        one_core=one_core,
    )


COMPARISONS = (
    _against("training", 200, 0.0, 1.0, one_core=True),
    _against("training", 200, 0.0, 1.0, one_core=False),
    _against("updates", 50, 1e-3, 1.0, one_core=True),
)
"""The comparisons that ``python -m benchmarks peers iql`` runs."""
