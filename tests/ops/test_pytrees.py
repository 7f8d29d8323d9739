"""Dataclasses as pytrees, told apart by their class."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import pytest

from rlsuite.ops import distributions
from rlsuite.ops.pytrees import pytree


@pytree(static=("name",))
@dataclasses.dataclass(frozen=True)
class Named:
    name: str
    values: dict[str, float]
    size: int = dataclasses.field(default=0, metadata={"static": True})

    def __post_init__(self):
        if not self.values:
            raise ValueError("values are empty")


def test_data_are_leaves_and_the_rest_is_structure():
    one = Named("one", {"a": 1.0, "b": 2.0}, 3)
    assert jax.tree.leaves(one) == [1.0, 2.0]
    assert jax.tree.map(lambda x: 2 * x, one) == Named("one", {"a": 2.0, "b": 4.0}, 3)
    structure = jax.tree.structure(one)
    assert structure == jax.tree.structure(Named("one", {"a": 0, "b": 0}, 3))
    assert structure != jax.tree.structure(Named("other", {"a": 0, "b": 0}, 3))
    assert structure != jax.tree.structure(Named("one", {"a": 0, "b": 0}, 4))
    # Rebuilding checks nothing: JAX puts anything in the places of leaves.
    assert jax.tree.unflatten(structure, [None, None]).values == {"a": None, "b": None}
    hollow = jax.tree.map(lambda _: {}, one, is_leaf=lambda x: isinstance(x, dict))
    assert hollow.values == {}
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(one)]
    assert paths == [".values['a']", ".values['b']"]


def test_classes_are_told_apart():
    """Those of ``register_dataclass`` are equal, and ``jit`` may mistake the one for the other."""
    logits = jnp.zeros(3)
    found = [
        jax.tree.structure(kind(logits))
        for kind in (
            distributions.Bernoulli,
            distributions.OneHotCategorical,
            distributions.SquaredError,
            distributions.SymlogSquaredError,
            distributions.Deterministic,
        )
    ]
    assert all(one != other for one, other in itertools.combinations(found, 2))


def test_a_static_field_has_to_be_one():
    with pytest.raises(ValueError, match=r"static has \['nmae'\]; allowed: fields of Named"):
        pytree(static=("nmae",))(Named)
