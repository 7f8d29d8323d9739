"""Dreamer: one update at the published size of a million parameters, against other libraries.

Timed is one gradient step of everything, world model, critic and policy, on a fixed batch of 16
random sequences of 64 time steps (and one before them), with 15 imagined steps from each of the
1024, in float32: without environment, replay or logging. With 4 numbers to see and 2 discrete
actions there are 637,381 parameters, with 24 numbers and 6 continuous actions 640,867.

`sheeprl` has DreamerV3 twice. Its `dreamer_v3_5` is the version of 2025, whose size `1M` is ours to
the last parameter, which both sides report and the harness compares. Its `dreamer_v3` is the
version of 2023; its smallest size, `XS`, is larger, so that its ratio is not one of like and like.
`dreamerv3` is the authors' own package, also the version of 2023, in JAX; its networks are made
about as large as ours.
Compiled by ``torch.compile``, which is an option of its configuration, `sheeprl` did not finish its
first update within ten minutes, and is not compared.
Both sides draw random numbers of their own: what they learn cannot be compared number by number.
"""

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.peers.comparison import Comparison, Side
from benchmarks.peers.environment import Requirements

ALGORITHM = "dreamer"

_BATCH, _LENGTH, _HORIZON = 16, 64, 15
_FOLDER = Path(__file__).parent
_SIZES = {True: (4, 2), False: (24, 6)}
_NAMES = {True: "4 numbers, 2 actions", False: "24 numbers, 6 continuous actions"}

SHEEPRL = Requirements(
    packages=(
        "gymnasium==1.4.0",
        "hydra-core==1.3.8",
        "lightning==2.6.6",
        "numpy==2.4.6",
        "opencv-python-headless==5.0.0.93",
        "python-dotenv==1.2.4",
        "rich==15.0.0",
        "tensorboard==2.21.0",
        "torch==2.13.0",
        "torchmetrics==1.9.0",
    ),
    # What it declares beyond these is for recording videos.
    alone=("sheeprl==0.8.4",),
)

AUTHORS = Requirements(
    packages=(
        "cloudpickle==3.1.2",
        "jax==0.10.2",
        "numpy==2.4.6",
        "optax==0.2.8",
        "rich==15.0.0",
        "ruamel.yaml==0.19.1",
        "tfp-nightly==0.26.0.dev20261027",
    ),
    # What it declares beyond these is for its environments and its loop.
    alone=("dreamerv3==1.5.0",),
)


def sequences(*, discrete: bool, same_size: bool) -> Mapping[str, np.ndarray]:
    """Make the batch: random observations, actions and rewards, an episode begun in each sequence.

    Args:
        discrete: Whether actions are categories.
        same_size: Whether both sides have the same networks, and report how many parameters.

    Returns:
        The arrays; the first time step only gives the state before the second.
    """
    rng = np.random.default_rng(0)
    seen, actions = _SIZES[discrete]
    shape = (_BATCH, _LENGTH + 1)
    is_first = np.zeros(shape, bool)
    is_first[:, 0] = True
    action = rng.uniform(-1, 1, size=(*shape, actions))
    if discrete:
        action = np.eye(actions)[np.argmax(action, axis=-1)]
    return {
        "observation": rng.normal(size=(*shape, seen)).astype(np.float32),
        "action": action.astype(np.float32),
        "reward": rng.normal(size=shape).astype(np.float32),
        "is_first": is_first,
        "horizon": np.asarray(_HORIZON),
        "discrete": np.asarray(discrete),
        "same_size": np.asarray(same_size),
    }


def _against(
    peer: str, case: str, bar: float, *, discrete: bool = True, one_core: bool = False
) -> Comparison:
    same_size = case.startswith("nature")
    script, needs = ("authors", AUTHORS) if case == "update" else ("sheeprl", SHEEPRL)
    return Comparison(
        algorithm=ALGORITHM,
        problem=f"update, size1m, {_BATCH}x{_LENGTH}, horizon {_HORIZON}, {_NAMES[discrete]}",
        ours=Side("dreamer", _FOLDER / "ours.py", "update"),
        peer=Side(peer, _FOLDER / f"{script}.py", case, needs),
        inputs=functools.partial(sequences, discrete=discrete, same_size=same_size),
        tolerance=0.0,
        bar=bar,
        one_core=one_core,
    )


def _on(*, one_core: bool) -> tuple[Comparison, ...]:
    return (
        _against("sheeprl's 2025, 1M", "nature", 3.0, one_core=one_core),
        _against("sheeprl's 2025, 1M", "nature", 3.0, discrete=False, one_core=one_core),
        _against("sheeprl's 2023, XS, 3.16M parameters", "xs", 3.0, one_core=one_core),
        _against("the authors' 2023, .63M parameters", "update", 1.0, one_core=one_core),
    )


COMPARISONS = (*_on(one_core=False), *_on(one_core=True))
"""The comparisons that ``python -m benchmarks peers dreamer`` runs.

All cores are how the libraries come. On one core no thread waits for another, so that ratio is
hardly disturbed by other programs.
"""
