"""Mathematics is tested in float64, with no dtype promoted silently."""

import jax
import pytest


@pytest.fixture(autouse=True)
def exact():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        yield
