"""Configs: what is traced, what is checked, grids."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite import config, grid, setting
from rlsuite.configuration import from_json, stacked_size, to_json


@config
class Inner:
    momentum: float = setting(default=0.9, at_least=0, below=1)


@config
class Config:
    rate: float = setting(default=1e-3, above=0)
    bound: float | None = setting(default=None, above=0)
    sizes: tuple[int, ...] = setting(default=(64, 64), at_least=1)
    layers: int = setting(default=2, at_least=1)
    kind: Literal["adam", "sgd"] = "adam"
    nesterov: bool = False
    inner: Inner = Inner()
    steps: int | None = None

    def __post_init__(self):
        if self.nesterov and self.kind == "adam":
            raise ValueError("config field 'nesterov' is True with kind 'adam'; allowed: False")


def test_floats_are_leaves_and_the_rest_is_structure():
    assert jax.tree.leaves(Config(bound=0.5)) == [1e-3, 0.5, 0.9]
    assert jax.tree.structure(Config(rate=0.1)) == jax.tree.structure(Config(rate=0.2))
    assert jax.tree.structure(Config(layers=3)) != jax.tree.structure(Config())


def test_a_float_compiles_once_and_a_static_field_again():
    traces = []

    @jax.jit
    def f(config):
        traces.append(config.layers)
        return config.rate * config.layers

    assert f(Config(rate=0.5)) == 1.0
    assert f(Config(rate=2.0)) == 4.0
    assert f(Config(layers=3)) == pytest.approx(3e-3)
    assert traces == [2, 3]


def test_gradient_and_vmap_go_through_a_float():
    def loss(config):
        return config.rate**2 + config.inner.momentum

    gradient = jax.grad(loss)(Config(rate=3.0))
    assert gradient.rate == pytest.approx(6.0)
    assert gradient.inner.momentum == pytest.approx(1.0)
    stacked = grid(Config(), rate=[1.0, 2.0])
    axes = jax.tree.map(lambda x: 0 if np.ndim(x) else None, stacked)
    np.testing.assert_allclose(jax.vmap(loss, in_axes=(axes,))(stacked), [1.9, 4.9], rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 0.0}, "config field 'rate' is 0.0; allowed: a number above 0"),
        ({"rate": float("nan")}, "config field 'rate' is nan; allowed: a number above 0"),
        ({"rate": float("inf")}, "config field 'rate' is inf; allowed: a number above 0"),
        ({"rate": "fast"}, "config field 'rate' is 'fast'; allowed: a number above 0"),
        ({"rate": True}, "config field 'rate' is True; allowed: a number above 0"),
        ({"rate": np.asarray([0.1, -0.1])}, "config field 'rate'"),
        ({"bound": -1.0}, "config field 'bound' is -1.0; allowed: a number above 0 or None"),
        ({"sizes": [64]}, r"config field 'sizes' is \[64\]; allowed: a tuple of ints at least 1"),
        ({"sizes": (64, 0)}, r"config field 'sizes' is \(64, 0\); allowed: a tuple of ints"),
        ({"layers": 1.5}, "config field 'layers' is 1.5; allowed: a whole number at least 1"),
        ({"layers": True}, "config field 'layers' is True; allowed: a whole number at least 1"),
        ({"kind": "lion"}, "config field 'kind' is 'lion'; allowed: 'adam' or 'sgd'"),
        ({"nesterov": 1}, "config field 'nesterov' is 1; allowed: True or False"),
        ({"nesterov": True}, "config field 'nesterov' is True with kind 'adam'"),
        ({"inner": 0.9}, "config field 'inner' is 0.9; allowed: a Inner"),
        ({"steps": -0.5}, "config field 'steps' is -0.5; allowed: a whole number or None"),
    ],
)
def test_a_bad_value_names_field_value_and_what_is_allowed(values, message):
    with pytest.raises(ValueError, match=message):
        Config(**values)


def test_a_config_that_inherits_is_checked_by_what_it_inherits():
    @config
    class Heir(Config):
        threads: int = setting(default=1, at_least=1)

        def __post_init__(self):
            if self.threads > self.layers:
                raise ValueError(f"config field 'threads' is {self.threads}; allowed: no more")

    with pytest.raises(ValueError, match="config field 'nesterov' is True with kind 'adam'"):
        Heir(nesterov=True)
    with pytest.raises(ValueError, match="config field 'threads' is 3"):
        Heir(threads=3)
    assert Heir(threads=2, kind="sgd", nesterov=True).layers == 2


def test_what_is_allowed_passes():
    Config(rate=1, bound=None, sizes=(), layers=np.int64(3), steps=None)
    Config(rate=jnp.asarray([0.1, 0.2]), kind="sgd", nesterov=True)


def test_transformations_may_put_anything_in():
    mapped = jax.tree.map(lambda x: f"<{x}>", Config())
    assert mapped.rate == "<0.001>"
    assert jax.eval_shape(lambda c: c, Config()).rate.shape == ()


def test_configs_are_frozen_and_compare():
    assert Config() == Config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().rate = 1.0


def test_grid_is_the_product_with_the_last_fastest():
    stacked = grid(Config(), rate=[1.0, 2.0, 3.0], bound=[0.1, 0.2])
    np.testing.assert_array_equal(stacked.rate, [1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(stacked.bound, [0.1, 0.2, 0.1, 0.2, 0.1, 0.2])
    assert stacked.layers == 2
    assert stacked_size(stacked) == 6
    assert stacked_size(Config()) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layers": [1, 2]}, "grid field 'layers' is not a float field"),
        ({"speed": [1.0]}, "grid field 'speed' is not a float field"),
        ({"rate": []}, "grid field 'rate' has no values"),
        ({"rate": [0.1, -0.1]}, "config field 'rate'"),
    ],
)
def test_a_bad_grid_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        grid(Config(), **values)


def test_stacks_of_different_sizes_are_refused():
    mixed = Config(rate=np.asarray([0.1, 0.2]), bound=np.asarray([0.1, 0.2, 0.3]))
    with pytest.raises(ValueError, match="allowed: scalars or one shape"):
        stacked_size(mixed)


def test_json_round_trip():
    one = Config(rate=0.1, sizes=(3,), kind="sgd", inner=Inner(momentum=0.5), steps=4)
    assert from_json(Config, to_json(one)) == one
    with pytest.raises(ValueError, match=r"config fields \['speed'\] do not exist"):
        from_json(Config, {"speed": 1.0})
    with pytest.raises(ValueError, match="config field 'rate' is -1"):
        from_json(Config, {"rate": -1.0})
