"""What `diffusers` 0.42 says of schedules and samplers, kept for ``tests/ops``.

Run as ``python diffusers_golden.py FOLDER`` where ``torch==2.13.0`` and ``diffusers==0.42.1`` are
installed: it writes ``diffusers_samplers.json`` there. The library fixes float32 for its tables by
name; so that it can be compared to rounding, both names stand for float64 here while it computes.

Samplers take noise off the numbers of ``start`` with ``sin(2x + k/10)`` for a network, k counted
from 1, and the numbers of ``noise`` where they are random. Steps trail. For DDIM their number
divides that of the schedule: else the library steps to places that are not on its own grid.
"""

# The peer is installed in an environment of its own.
# mypy: disable-error-code="import-not-found"
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

STEPS = 100
SCHEDULES: dict[str, dict[str, Any]] = {
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "linear": {"beta_schedule": "linear", "beta_start": 1e-3, "beta_end": 0.2},
}
PREDICTIONS = {"noise": "epsilon", "data": "sample", "velocity": "v_prediction"}
SAMPLERS = (("ddim", 10, 0.0), ("ddim", 5, 0.7), ("ddim", 100, 1.0), ("dpm_solver", 10, 0.0))
LONG = (("dpm_solver", 2, 0.0), ("dpm_solver", 7, 0.0), ("dpm_solver", 20, 0.0))


def signal(schedule: str, steps: int) -> list[float]:
    """ᾱ_1 … ᾱ_T."""
    scheduler = DDPMScheduler(steps, **SCHEDULES[schedule])
    return scheduler.alphas_cumprod.tolist()


def sample(schedule: str, name: str, steps: int, eta: float, prediction: str) -> dict[str, Any]:
    """The steps, and all that is passed through on the way to the data."""
    options = {
        **SCHEDULES[schedule],
        "num_train_timesteps": STEPS,
        "prediction_type": PREDICTIONS[prediction],
        "timestep_spacing": "trailing",
    }
    if name == "ddim":
        scheduler: Any = DDIMScheduler(**options, clip_sample=False)
    else:
        scheduler = DPMSolverMultistepScheduler(**options, solver_order=2)
    scheduler.set_timesteps(steps)
    rng = np.random.default_rng(0)
    x, noise = (torch.tensor(rng.normal(size=shape)) for shape in ((3,), (steps, 3)))
    path = []
    for k, z in zip(scheduler.timesteps, noise, strict=True):
        said = torch.sin(2 * x + (k + 1) / 10)
        more = {"eta": eta, "variance_noise": z} if eta else {}
        x = scheduler.step(said, k, x, **more).prev_sample
        path.append(x.tolist())
    return {
        "schedule": schedule,
        "sampler": name,
        "num_steps": steps,
        "eta": eta,
        "prediction": prediction,
        "steps": (scheduler.timesteps + 1).tolist(),
        "path": path,
    }


def main(folder: Path) -> None:
    """Write the file."""
    torch.set_default_dtype(torch.float64)
    libraries: tuple[Any, ...] = (torch, np)
    for library in libraries:
        library.float32 = library.float64
    numbers = {
        "versions": {"diffusers": "0.42.1", "torch": torch.__version__},
        "signal": [
            {"schedule": name, "num_steps": steps, "signal": signal(name, steps)}
            for name in SCHEDULES
            for steps in (10, STEPS)
        ],
        "samples": [
            sample("cosine", *sampler, prediction)
            for sampler in SAMPLERS
            for prediction in PREDICTIONS
        ]
        + [sample("linear", *sampler, "noise") for sampler in SAMPLERS + LONG],
    }
    (folder / "diffusers_samplers.json").write_text(json.dumps(numbers) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
