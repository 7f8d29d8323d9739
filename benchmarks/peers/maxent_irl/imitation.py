"""The side of `imitation` 1.0.1: its tabular, finite-horizon maximum causal entropy IRL.

Timed are its two public functions, ``mce_partition_fh`` and ``mce_occupancy_measures``, on its own
environment class. Two defects of the library are corrected, from its own functions and outputs:

* Its training calls the occupancy function without a policy, and then the policy is computed
  without the discount that weighs the visits. Here the policy is computed with the discount and
  passed on, which is what the function's documentation suggests; this costs nothing.
* Its cumulative occupancy sums the visits at times 0 … H, although only H rewards are collected.
  The total of the times 0 … H−1 is taken from the occupancy at each time that it also returns,
  outside of the clock.
"""

# The peer is installed in an environment of its own.
# mypy: disable-error-code="import-not-found"
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from imitation.algorithms.mce_irl import mce_occupancy_measures, mce_partition_fh
from seals.base_envs import TabularModelMDP

PACKAGES = ("imitation", "numpy", "scipy", "torch")


def finite(
    inputs: Mapping[str, np.ndarray],
) -> tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]:
    """Partition function and occupancy measures over the horizon."""
    discount, horizon = float(inputs["discount"]), int(inputs["horizon"])
    environment = TabularModelMDP(
        transition_matrix=inputs["probabilities"],
        reward_matrix=inputs["reward"],
        horizon=horizon,
        initial_state_dist=inputs["initial"],
    )

    def run() -> Any:
        values, _, policy = mce_partition_fh(environment, discount=discount)
        visits, _ = mce_occupancy_measures(environment, pi=policy, discount=discount)
        return values, policy, visits

    def result(output: Any) -> dict[str, np.ndarray]:
        values, policy, visits = output
        discounted = visits * discount ** np.arange(horizon + 1)[:, None]
        return {
            "values": values,
            "policy": policy,
            "visits": discounted,
            "total_visits": discounted[:-1].sum(axis=0),
        }

    return run, result
