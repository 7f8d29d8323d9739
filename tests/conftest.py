"""Fixtures shared by all tests, and how their programs are compiled."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest

# Three quarters of the tests' time was XLA's compiling. With these it takes less than half as long,
# and what is compiled runs as fast. Users' own settings, everything by default, are what the
# benchmarks run with. XLA ends a process that gives it a flag which it does not know.
COMPILING = ["--xla_backend_optimization_level=1", "--xla_cpu_parallel_codegen_split_count=1"]
if jax.__version_info__ < (0, 11):
    COMPILING.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([*COMPILING, os.environ.get("XLA_FLAGS", "")]).strip()

MAPPINGS = Path("/proc/self/maps")
MOST_MAPPINGS = 20_000


@pytest.fixture(autouse=True, scope="module")
def _forget_programs():
    """Drop compiled programs after a file if there are many.

    Each takes some six mappings of memory, of which Linux allows a process 65,530; beyond that XLA
    crashes while it compiles.
    """
    yield
    if MAPPINGS.exists() and MAPPINGS.read_bytes().count(b"\n") > MOST_MAPPINGS:
        jax.clear_caches()


@pytest.fixture
def assert_trees_equal():
    """Compare two pytrees bitwise."""

    def check(one, other):
        assert jax.tree.structure(one) == jax.tree.structure(other)
        for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_array_equal(np.asarray(x), np.asarray(y))

    return check
