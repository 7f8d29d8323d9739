"""Which axis is sharded over how many devices, and what is traced of a problem."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite import placement
from rlsuite.placement import Batch


class Device:
    def __init__(self, number):
        self.id = number


@pytest.mark.parametrize(
    ("batch", "axis", "count"),
    [
        (Batch(None, None, None), None, 1),
        (Batch(None, None, 8), "seed", 8),
        (Batch(None, None, 5), "seed", 5),
        (Batch(None, None, 10), "seed", 5),
        (Batch(None, None, 11), None, 1),
        (Batch(None, 16, 3), "config", 8),
        (Batch(7, None, 8), "seed", 8),
        (Batch(6, 4, 5), "problem", 6),
        (Batch(8, 8, 8), "seed", 8),
    ],
)
def test_the_axis_that_uses_most_devices_is_sharded(batch, axis, count, monkeypatch):
    made = {}

    def mesh(devices, names, axis_types):
        made["count"] = len(devices)
        return "mesh"

    monkeypatch.setattr(placement.jax, "devices", lambda: [Device(i) for i in range(8)])
    monkeypatch.setattr(placement, "Mesh", mesh)
    planned = placement.plan(batch)
    assert planned.axis == axis
    assert made.get("count", 1) == count


def test_a_mesh_that_fits_nothing_is_refused():
    mesh = jax.make_mesh((1, 1), ("a", "b"))
    with pytest.raises(ValueError, match=r"mesh has the axes .*; allowed: one axis"):
        placement.plan(Batch(None, None, 2), mesh)


def test_only_arrays_are_traced():
    problem = {"a": jnp.ones(2), "b": np.float32(3.0), "name": "maze", "size": 4, "none": None}
    arrays, structure = placement.split(problem)
    assert len(arrays) == 2
    rebuilt = structure.rebuild((10, 20))
    assert rebuilt == {"a": 10, "b": 20, "name": "maze", "size": 4, "none": None}
    assert hash(structure) == hash(placement.split(problem)[1])


def test_what_cannot_be_static_is_named():
    class Strange:
        __hash__ = None

    with pytest.raises(ValueError, match="neither an array nor hashable"):
        placement.split({"a": Strange()})


def test_names_of_runs():
    assert Batch(2, None, 3).name((1, 2)) == "problem 1, seed 2"
    assert Batch(None, None, None).name(()) == ""
