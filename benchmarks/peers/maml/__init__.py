"""MAML: its meta-gradient, against `torchopt`, `torch.func` and `higher`.

Each outer step of MAML needs the gradient, with respect to the initial weights, of the tasks' mean
query loss after each task's own steps of gradient descent. That gradient and the loss, on the
sinusoids of Finn et al. 2017, are what is compared: 25 tasks of 10 support and 10 query points,
five inner steps at rate 0.01, a network of two hidden layers of 40 rectified linear units, second
order, in float32; on all cores, and on one. Every side is given the same weights and points.
"""

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.peers.comparison import Comparison, Side
from benchmarks.peers.environment import Requirements

ALGORITHM = "maml"
TOLERANCE = 1e-5

_TASKS, _SHOTS, _STEPS, _RATE = 25, 10, 5, 0.01
_WIDTHS = (1, 40, 40, 1)
_FOLDER = Path(__file__).parent

# One environment serves them all: they are small, PyTorch is not.
PYTORCH = Requirements(
    packages=("higher==0.2.1", "numpy==2.4.6", "torch==2.13.0", "torchopt==0.7.3")
)


def sinusoids() -> Mapping[str, np.ndarray]:
    """Make the problem's arrays: the tasks' points, the initial weights, and the inner loop."""
    rng = np.random.default_rng(0)
    amplitudes = rng.uniform(0.1, 5.0, size=(_TASKS, 1, 1))
    phases = rng.uniform(0.0, np.pi, size=(_TASKS, 1, 1))
    points = {}
    for name in "support", "query":
        x = rng.uniform(-5.0, 5.0, size=(_TASKS, _SHOTS, 1))
        points[f"{name}_x"] = x
        points[f"{name}_y"] = amplitudes * np.sin(x - phases)
    weights = {}
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(_WIDTHS)):
        limit = fan_in**-0.5
        weights[f"kernel_{layer}"] = rng.uniform(-limit, limit, size=(fan_in, fan_out))
        weights[f"bias_{layer}"] = rng.uniform(-limit, limit, size=fan_out)
    floats = {name: array.astype(np.float32) for name, array in {**points, **weights}.items()}
    return {**floats, "num_steps": np.asarray(_STEPS), "rate": np.asarray(_RATE)}


def _against(peer: str, case: str, bar: float, *, one_core: bool) -> Comparison:
    return Comparison(
        algorithm=ALGORITHM,
        problem=f"meta-gradient of {_TASKS} sinusoids, {_SHOTS} shots, {_STEPS} steps",
        ours=Side("meta_gradient", _FOLDER / "ours.py", "sinusoids"),
        peer=Side(peer, _FOLDER / "pytorch.py", case, PYTORCH),
        inputs=sinusoids,
        tolerance=TOLERANCE,
        bar=bar,
        one_core=one_core,
    )


def _on(*, one_core: bool) -> tuple[Comparison, ...]:
    return (
        _against("torchopt", "torchopt", 50.0, one_core=one_core),
        _against("torch.func", "torch_func", 10.0, one_core=one_core),
        _against("higher", "higher", 200.0, one_core=one_core),
    )


def _compiled() -> tuple[Comparison, ...]:
    """Return the comparison with `torch.func` compiled, if there is the C++ compiler it needs."""
    if shutil.which("g++") is None:
        return ()
    return (_against("torch.func, compiled", "torch_func_compiled", 1.0, one_core=True),)


COMPARISONS = (*_on(one_core=False), *_on(one_core=True), *_compiled())
"""The comparisons that ``python -m benchmarks peers maml`` runs.

All cores are how the libraries come. On one core no thread waits for another, so that ratio is
hardly disturbed by other programs.
"""
