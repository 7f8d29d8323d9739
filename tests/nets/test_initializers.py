"""Initial weights are JAX's, without what stops a machine of two cores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.nets import gru, lstm, rnn
from rlsuite.nets.initializers import orthogonal


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9)])
def test_initial_weights_are_jaxs(shape):
    ours = orthogonal(1.5)(jax.random.key(3), shape)
    theirs = jax.nn.initializers.orthogonal(1.5)(jax.random.key(3), shape)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("cell", [gru, lstm, rnn])
def test_memories_of_several_seeds_begin_without_lapack(cell):
    begin = jax.vmap(lambda key: cell(4).init(key, jnp.zeros(3)))
    assert "lapack" not in jax.jit(begin).lower(jax.random.split(jax.random.key(0), 8)).as_text()
