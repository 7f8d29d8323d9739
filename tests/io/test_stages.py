"""Stages of a study: computed once, read back only where they are the same."""

import numpy as np
import pytest

from rlsuite.io.stages import FOLDER, Stages


def counted():
    """A computation that knows how often it was made."""
    calls = []

    def compute():
        calls.append(len(calls))
        return {"x": np.arange(3.0), "call": np.asarray(len(calls))}

    return calls, compute


def test_a_resumed_stage_is_read_back(tmp_path):
    calls, compute = counted()
    first = Stages(tmp_path)("a part", {"rate": 0.1}, compute)
    again = Stages(tmp_path, resume=True)("a part", {"rate": 0.1}, compute)
    assert len(calls) == 1
    assert set(first) == set(again) == {"x", "call"}
    np.testing.assert_array_equal(first["x"], again["x"])


@pytest.mark.parametrize("change", [{"rate": 0.2}, {"rate": 0.1, "steps": 3}])
def test_another_identity_computes_anew(tmp_path, change):
    calls, compute = counted()
    Stages(tmp_path)("a part", {"rate": 0.1}, compute)
    result = Stages(tmp_path, resume=True)("a part", change, compute)
    assert len(calls) == 2
    assert result["call"] == 2


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"", lambda data: b"x"])
def test_a_damaged_stage_is_computed_anew(tmp_path, damage):
    calls, compute = counted()
    Stages(tmp_path)("a part", 1, compute)
    (path,) = (tmp_path / FOLDER).glob("*.npz")
    path.write_bytes(damage(path.read_bytes()))
    Stages(tmp_path, resume=True)("a part", 1, compute)
    assert len(calls) == 2


def test_saved_stages_are_not_overwritten_unasked(tmp_path):
    _, compute = counted()
    Stages(tmp_path)("a part", 1, compute)
    with pytest.raises(ValueError, match="holds stages of a study; allowed: --resume"):
        Stages(tmp_path)
