"""Fixtures shared by all tests."""

import jax
import numpy as np
import pytest


@pytest.fixture
def assert_trees_equal():
    """Compare two pytrees bitwise."""

    def check(one, other):
        assert jax.tree.structure(one) == jax.tree.structure(other)
        for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_array_equal(np.asarray(x), np.asarray(y))

    return check
