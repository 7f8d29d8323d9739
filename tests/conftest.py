"""Fixtures shared by all tests, and how their programs are compiled."""

import gc
import os

import jax
import numpy as np
import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled programs on the disk, for many tests, and processes they start, share them."""
    if not config.pluginmanager.has_plugin("cacheprovider"):
        return
    kept = {
        "jax_compilation_cache_dir": str(config.cache.mkdir("jax")),
        "jax_persistent_cache_min_compile_time_secs": 0,
    }
    for name, value in kept.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)


def pytest_sessionstart() -> None:
    """Three quarters of the tests' time was XLA's compiling. Benchmarks have XLA's own settings."""
    from rlsuite.programs import compile_soon

    compile_soon(level=0)


def pytest_collection_finish() -> None:
    """What is imported stays: looking for garbage in it would take longer with every test."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(autouse=True, scope="module")
def _forget_programs():
    """Drop compiled programs after a file if there are many."""
    yield
    from rlsuite.programs import make_room

    make_room(20_000)


@pytest.fixture
def long_running(monkeypatch):
    """Runs that take longer than compiling them are compiled with more of LLVM."""
    from rlsuite import programs

    monkeypatch.setitem(programs.compiler_options, "xla_backend_optimization_level", 1)


@pytest.fixture
def assert_trees_equal():
    """Compare two pytrees bitwise."""

    def check(one, other):
        assert jax.tree.structure(one) == jax.tree.structure(other)
        for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_array_equal(np.asarray(x), np.asarray(y))

    return check
