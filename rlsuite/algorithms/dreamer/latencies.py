"""What a real-time run did, and how late its actions were."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rlsuite.algorithms.dreamer.agent import Learner
from rlsuite.data.replay import Replay


class RealTime(NamedTuple):
    """What happened.

    Attributes:
        learner: What is learned.
        replay: What is remembered.
        rate: Ticks a second.
        ticks: The tick of every action.
        latencies: From the time step's arrival to the action, in seconds.
        missed: How many ticks were skipped.
        updates: When each update was done, in seconds after the first tick.
        returns: Returns of the episodes that ended.
    """

    learner: Learner
    replay: Replay
    rate: float
    ticks: Int[np.ndarray, " action"]
    latencies: Float[np.ndarray, " action"]
    missed: int
    updates: Float[np.ndarray, " update"]
    returns: Float[np.ndarray, " episode"]


def summary(result: RealTime) -> dict[str, float]:
    """Latencies in milliseconds, and counts.

    Args:
        result: What happened.

    Returns:
        Median, 95th and 99th percentile and maximum of the latencies; how many actions, missed
        ticks and updates there were.
    """
    median, p95, p99, most = np.percentile(1e3 * result.latencies, [50, 95, 99, 100])
    return {
        "median_ms": float(median),
        "p95_ms": float(p95),
        "p99_ms": float(p99),
        "max_ms": float(most),
        "actions": len(result.latencies),
        "missed": result.missed,
        "updates": len(result.updates),
    }


def figure(results: Mapping[str, RealTime]) -> Any:
    """Latencies of one or more runs: how they are distributed, and when they occurred.

    Args:
        results: The runs by name, all of one rate.

    Returns:
        A matplotlib figure; dashed lines are the time between two ticks.
    """
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(9, 3), layout="constrained")
    spread, line = drawn.subplots(1, 2)
    every = np.concatenate([1e3 * result.latencies for result in results.values()])
    bins = np.geomspace(every.min(), every.max() * 1.01, 40)
    for name, result in results.items():
        latencies = 1e3 * result.latencies
        spread.hist(latencies, bins, histtype="step", label=name)
        line.plot(result.ticks / result.rate, latencies, ".", markersize=3, label=name)
        spread.axvline(1e3 / result.rate, color="#98a2b3", linestyle="--", linewidth=0.8)
        line.axhline(1e3 / result.rate, color="#98a2b3", linestyle="--", linewidth=0.8)
    spread.set(xscale="log", xlabel="latency (ms)", ylabel="actions")
    line.set(yscale="log", xlabel="time (s)", ylabel="latency (ms)")
    spread.legend(frameon=False)
    for axes in (spread, line):
        axes.spines[["top", "right"]].set_visible(False)
    return drawn
