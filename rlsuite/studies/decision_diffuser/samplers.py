"""How a network's plans are drawn, by the names that tables have."""

from typing import Any

_TEN: dict[str, Any] = {"sampler": "dpm-solver", "sampling_steps": 10}

SAMPLERS: dict[str, dict[str, Any]] = {
    "ancestral, 100 steps": {"sampler": "ancestral"},
    "ancestral, 20 from the last plan": {"sampler": "ancestral", "warm_steps": 20},
    "DDIM with η = 1, 50 steps": {"sampler": "ddim", "sampling_steps": 50, "eta": 1.0},
    "DDIM, 50 steps": {"sampler": "ddim", "sampling_steps": 50},
    "DDIM, 10 steps": {"sampler": "ddim", "sampling_steps": 10},
    "DPM-Solver++, 25 steps": {"sampler": "dpm-solver", "sampling_steps": 25},
    "DPM-Solver++, 10 steps": _TEN,
    "DPM-Solver++, 2 of 10 from the last plan": _TEN | {"warm_steps": 2},
    "DPM-Solver++, 5 steps": {"sampler": "dpm-solver", "sampling_steps": 5},
}
"""Fields of ``Planning``."""
