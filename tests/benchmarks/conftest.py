from typing import Any

import pytest

from benchmarks.results import Row


@pytest.fixture
def row():
    """Make a row of a known machine; fields can be changed."""

    def make(**fields: Any) -> Row:
        defaults = {
            "suite": "quick",
            "algorithm": "toy",
            "problem": "number",
            "metric": "error",
            "value": 0.25,
            "device": "cpu",
            "versions": {"python": "3.11.7", "jax": "0.10.2"},
        }
        return Row(**{**defaults, **fields})

    return make
