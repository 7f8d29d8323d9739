"""The recurrent state-space model, against plain NumPy, and DreamerV3's sizes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dreamer_worlds import DISCRETE, spec_of

from rlsuite.algorithms import dreamer
from rlsuite.envs.control import Actions
from rlsuite.nets.layers import MLP, BlockDense, RMSNorm
from rlsuite.nets.rssm import RSSM, Latent, latent_distribution

KEY = jax.random.key(0)


def norm(x, gain):
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-4) * gain


def silu(x):
    return x / (1 + np.exp(-x))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_the_recurrence_is_the_papers():
    """Block by block, gate by gate."""
    rssm = RSSM(deter=6, stoch=2, classes=3, hidden=4, blocks=2)
    rng = np.random.default_rng(0)
    deter, stoch, action = (rng.normal(size=(5, n)).astype(np.float32) for n in (6, 6, 2))
    action[0] = [3.0, -0.5]
    latent = Latent(jnp.asarray(deter), jnp.asarray(stoch))
    params = jax.jit(rssm.init)(KEY, latent, jnp.asarray(action), jnp.zeros((5, 3)))
    params = jax.tree.map(
        lambda x: np.asarray(x) + 0.1 * rng.normal(size=x.shape).astype(np.float32), params
    )
    recur = jax.jit(functools.partial(rssm.apply, method="recur"))
    out, p = np.asarray(recur(params, latent, jnp.asarray(action))), params["params"]
    scaled = action / np.maximum(1, np.abs(action))
    shared = []
    for i, x in enumerate((deter, stoch, scaled)):
        layer = p[f"project_{i}"]
        y = x @ layer["Dense_0"]["kernel"] + layer["Dense_0"]["bias"]
        shared.append(silu(norm(y, layer["RMSNorm_0"]["gain"])))
    shared = np.concatenate(shared, axis=-1)
    mixed = np.concatenate(
        [
            np.concatenate([deter[:, 3 * b : 3 * b + 3], shared], axis=-1) @ p["mix"]["kernel"][b]
            for b in range(2)
        ],
        axis=-1,
    )
    mixed = silu(norm(mixed + p["mix"]["bias"], p["mix_norm"]["gain"]))
    for b in range(2):
        own = slice(3 * b, 3 * b + 3)
        gates = (p[f"gates_{i}"] for i in range(3))
        reset, candidate, update = (
            mixed[:, own] @ gate["kernel"][b] + gate["bias"][own] for gate in gates
        )
        candidate = np.tanh(sigmoid(reset) * candidate)
        update = sigmoid(update - 1)
        expected = update * candidate + (1 - update) * deter[:, own]
        np.testing.assert_allclose(out[:, own], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "actions", "expected"),
    [(24, Actions(low=-1.0, high=1.0, shape=(6,)), 640_867), (4, DISCRETE, 637_381)],
)
def test_size1m_has_as_many_parameters_as_upstream(size, actions, expected):
    agent = dreamer.agent(spec_of(size, actions), dreamer.v3("1m"))
    learner = jax.eval_shape(agent.init, KEY)
    assert sum(leaf.size for leaf in jax.tree.leaves(learner.weights)) == expected


@pytest.mark.parametrize("size", ["1m", "25m", "400m"])
def test_published_sizes_keep_their_proportions(size):
    """Upstream, units are an eighth of h, and classes and depth a sixteenth of units."""
    model = dreamer.v3(size).model
    assert model.deter == 8 * model.units == 128 * model.depth == 128 * model.classes


def test_blocks_do_not_mix_and_share_what_is_shared():
    layer = BlockDense(6, 3)
    own, shared = jnp.arange(9.0), jnp.ones(2)

    @jax.jit
    def jacobians():
        params = layer.init(KEY, own, shared)
        return jax.jacobian(lambda *given: layer.apply(params, *given), (0, 1))(own, shared)

    slopes, of_shared = jax.tree.map(np.asarray, jacobians())
    blocks = np.kron(np.eye(3), np.ones((2, 3))) > 0
    np.testing.assert_array_equal(slopes != 0, blocks)
    assert np.all(of_shared != 0)


def test_layers():
    x = jnp.asarray([[3.0, 4.0]])
    normed = RMSNorm(epsilon=0.0).apply({"params": {"gain": jnp.asarray([1.0, 2.0])}}, x)
    np.testing.assert_allclose(normed, [[3 / np.sqrt(12.5), 8 / np.sqrt(12.5)]], rtol=1e-6)
    params = jax.jit(MLP(1, 400, 300).init)(KEY, jnp.zeros(200))["params"]
    for layer, inputs in ("Dense_0", 200), ("Dense_1", 400):
        kernel = np.asarray(params[layer]["kernel"])
        np.testing.assert_allclose(kernel.std(), inputs**-0.5, rtol=0.02)
        # Truncated at two deviations of the normal it is cut from.
        assert np.abs(kernel).max() < 2.28 * inputs**-0.5
    last = jax.jit(MLP(0, 1, 3, 0.0).init)(KEY, jnp.ones(2))["params"]["Dense_0"]
    assert not np.any(last["kernel"])


def test_latents_are_categories_or_normal():
    outputs = jnp.asarray([[0.0, np.log(3.0), 5.0, 5.0]])
    categories = latent_distribution(outputs, 2, unimix=0.1)
    np.testing.assert_allclose(categories.probs, [[[0.275, 0.725], [0.5, 0.5]]], rtol=1e-5)
    normal = latent_distribution(outputs, 0)
    np.testing.assert_allclose(normal.loc, [[0, np.log(3.0)]], rtol=1e-6)
    np.testing.assert_allclose(normal.scale, np.log1p(np.exp([[5.0, 5.0]])) + 0.1, rtol=1e-6)
