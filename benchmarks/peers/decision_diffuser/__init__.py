"""Decision Diffuser: training, denoising and planning with the small U-Net, against PyTorch.

The network has 32 channels times (1, 2, 4), 1,035,787 parameters on 100 states of 11 numbers with
one number as the condition; both sides are given the same weights and report how many they are.
Timed on one core each are

* a training step: 32 trajectories, noise predicted, Adam;
* ten denoising steps, the network and a step of the reverse chain each, for 1, 10 and 64
  trajectories;
* a plan from the state at hand to the action: 100 steps of the reverse chain in both; and 10 steps
  of DPM-Solver++ that start from the plan before, against PyTorch's 100 and against our own.

Losses, gradients and denoised trajectories must agree to 1e-5. Plans are random; of them only the
sizes and the known first state must. Nothing else was found that could be compared: CleanDiffuser
requires PyTorch before 2.3, and the authors' code has no licence.
"""

import functools
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from benchmarks.peers.comparison import Comparison, Side
from benchmarks.peers.environment import Requirements
from rlsuite.nets.temporal_unet import InverseDynamics, TemporalUNet
from rlsuite.ops import diffusion

ALGORITHM = "decision_diffuser"
TOLERANCE = 1e-5

_LENGTH, _SIZE, _ACTIONS, _STEPS, _WALKED, _GUIDANCE = 100, 11, 3, 100, 10, 1.2
_FOLDER = Path(__file__).parent

PYTORCH = Requirements(packages=("numpy==2.4.6", "torch==2.13.0"))


def _weights() -> dict[str, np.ndarray]:
    """Both networks' initial weights, by their paths."""
    state = jnp.zeros(_SIZE)
    network, inverse = TemporalUNet(32, (1, 2, 4)), InverseDynamics(_ACTIONS)
    of_network, of_inverse = jax.random.split(jax.random.key(0))
    step, condition = jnp.zeros((), jnp.int32), jnp.zeros(1)
    drawn = {
        "network": jax.jit(network.init)(of_network, jnp.zeros((_LENGTH, _SIZE)), step, condition)[
            "params"
        ],
        "inverse": jax.jit(inverse.init)(of_inverse, state, state)["params"],
    }
    return {path: np.asarray(leaf) for path, leaf in flatten_dict(drawn, sep="/").items()}


def trajectories(batch: int) -> Mapping[str, np.ndarray]:
    """Make the inputs of a training or denoising step.

    Args:
        batch: How many trajectories.
    """
    rng = np.random.default_rng(0)
    numbers = {
        "x": rng.normal(size=(batch, _LENGTH, _SIZE)),
        "noise": rng.normal(size=(_WALKED, batch, _LENGTH, _SIZE)),
        "condition": rng.uniform(size=(batch, 1)),
        "table": _table()[_STEPS // 2 :][:_WALKED],
    }
    floats = {name: np.asarray(value, np.float32) for name, value in numbers.items()}
    return {**_weights(), **floats, "step": np.full(batch, _STEPS // 2)}


def _table() -> np.ndarray:
    """For each step of the reverse chain k, √ᾱ, √(1 − ᾱ), and the sampler's numbers."""
    schedule = diffusion.cosine(_STEPS)
    sampler = diffusion.ancestral(schedule)
    signal = schedule.signal[sampler.steps]
    columns = (np.sqrt(signal), np.sqrt(1 - signal), sampler.carry, sampler.data, sampler.noise)
    return np.stack([sampler.steps, *columns], axis=1).astype(np.float32)


def situation() -> Mapping[str, np.ndarray]:
    """Make the inputs of a plan."""
    return {
        **_weights(),
        "table": _table(),
        "state": np.linspace(-1, 1, _SIZE, dtype=np.float32),
        "weight": np.asarray(_GUIDANCE, np.float32),
        "length": np.asarray(_LENGTH),
        "num_steps": np.asarray(_STEPS),
    }


def _step(problem: str, case: str, batch: int, bar: float) -> Comparison:
    return Comparison(
        algorithm=ALGORITHM,
        problem=problem,
        ours=Side("rlsuite", _FOLDER / "ours.py", case),
        peer=Side("PyTorch", _FOLDER / "pytorch.py", case, PYTORCH),
        inputs=functools.partial(trajectories, batch),
        tolerance=TOLERANCE,
        bar=bar,
        one_core=True,
    )


def _plan(problem: str, case: str, peer: Side, bar: float) -> Comparison:
    return Comparison(
        algorithm=ALGORITHM,
        problem=problem,
        ours=Side("rlsuite", _FOLDER / "ours.py", case),
        peer=peer,
        inputs=situation,
        tolerance=TOLERANCE,
        bar=bar,
        one_core=True,
    )


_THEIRS = Side("PyTorch, 100 steps", _FOLDER / "pytorch.py", "plan", PYTORCH)
_OURS = Side("rlsuite, 100 steps", _FOLDER / "ours.py", "plan")

COMPARISONS = (
    _step("training step, 32 trajectories", "training", 32, 1.1),
    _step("ten denoising steps, 1 trajectory", "denoising", 1, 3.0),
    _step("ten denoising steps, 10 trajectories", "denoising", 10, 1.3),
    _step("ten denoising steps, 64 trajectories", "denoising", 64, 1.0),
    _plan("plan, 100 steps", "plan", _THEIRS, 1.0),
    _plan("plan, 10 steps, warm", "warm", _THEIRS, 10.0),
    _plan("plan, 10 steps, warm", "warm", _OURS, 8.0),
)
"""The comparisons that ``python -m benchmarks peers decision_diffuser`` runs."""
