"""Whole rounds of SOLAR, in all its variants, where the best cost is known; and what is refused."""

import dataclasses

import jax
import numpy as np
import pytest

from rlsuite import run
from rlsuite.algorithms import solar
from rlsuite.envs.lamps import lamps
from rlsuite.problems.solar import ENTRY

PROBE = ENTRY.problems["lamps"]


@pytest.mark.parametrize(
    "changes",
    [
        {"representation": "independent"},
        {"representation": "components", "prior_noise": 0.1},
        {"full": True, "as_bytes": True, "cost_strength": 4.0},
        {"timed": True, "first_rollouts": 60, "capacity": 90, "exploration": 0.6},
        {"updates": 0, "adjust": True},
    ],
    ids=lambda changes: "-".join(map(str, next(iter(changes.items())))),
)
def test_every_variant_finds_the_best_policy_of_what_is_linear(changes):
    problem, config = PROBE.build(), dataclasses.replace(PROBE.config, **changes)
    networks = {} if "components" in changes.values() else PROBE.callables
    known = PROBE.baselines(problem)

    def make(problem, config):
        return solar.make(problem, config, **networks)

    result = run(make, problem, config, jax.random.key(1), 4, num_seeds=3, progress=False)
    score = float(np.mean(result.evaluations.score[:, -1]))
    assert (score - known["random"]) / (known["optimal"] - known["random"]) > 0.95
    assert np.all(np.isfinite(result.metrics.evidence))
    assert np.all(result.metrics.policy_divergence <= 1.001 * result.metrics.bound)
    assert np.all(result.metrics.bound[:, 0] == np.float32(config.bound * config.length))
    assert np.any(result.metrics.bound[:, 1:] != result.metrics.bound[:, :1]) == config.adjust
    kept = result.state.episodes.images.dtype
    assert kept == (np.uint8 if config.as_bytes else np.float32)


def test_what_is_refused():
    with pytest.raises(ValueError, match="config field 'length' is 9; allowed: at most 8"):
        solar.make(lamps(), dataclasses.replace(PROBE.config, length=9))
    with pytest.raises(ValueError, match=r"'capacity' is 20; allowed: at least first_rollouts"):
        solar.make(lamps(), dataclasses.replace(PROBE.config, capacity=20))
    with pytest.raises(ValueError, match="'size' is 3; allowed with velocities: even"):
        solar.make(lamps(), dataclasses.replace(PROBE.config, velocities=True, size=3))
    with pytest.raises(ValueError, match="'rollouts' is 8; allowed: at most first_rollouts, 7"):
        solar.make(lamps(), dataclasses.replace(PROBE.config, first_rollouts=7))
    changed = dataclasses.replace(PROBE.config, full=True, representation="independent")
    with pytest.raises(ValueError, match="'representation' is 'independent'; allowed with full"):
        solar.make(lamps(), changed)
    changed = dataclasses.replace(PROBE.config, velocities=True, representation="independent")
    with pytest.raises(ValueError, match="'representation' is 'independent'; allowed with veloc"):
        solar.make(lamps(), changed)
