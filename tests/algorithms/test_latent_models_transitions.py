"""Transitions of latent models: their matrices, and their derivatives against differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.algorithms import latent_models as lm
from rlsuite.ops import mniw
from rlsuite.ops.gaussian import Moments

KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def exact():
    with jax.enable_x64(True):
        yield


ANY = {
    "linear": lm.linear(2, 1),
    "mniw-steps": lm.mniw(2, 1, steps=4),
    "e2c": lm.e2c(2, 1, hidden_sizes=(5,)),
    "full": lm.full(2, 1, hidden_sizes=(5,)),
    "dvbf": lm.dvbf(2, 1, bases=3, hidden_sizes=(5,)),
    "rssm": lm.rssm(2, 1, memory=3, hidden_sizes=(5,)),
}


@functools.cache
def somewhere(name):
    """θ at random, in double precision."""
    transition = ANY[name]
    with jax.enable_x64(True):
        theta = jax.jit(transition.init)(KEY)
        if transition.conjugate is not None:
            return jax.jit(transition.conjugate.draw)(KEY, theta)
        leaves, structure = jax.tree.flatten(theta)
        rng = np.random.default_rng(0)
        moved = [jnp.asarray(np.asarray(x) + 0.4 * rng.normal(size=x.shape)) for x in leaves]
        return jax.tree.unflatten(structure, moved)


@pytest.mark.parametrize("name", ANY)
def test_linearisations_against_finite_differences(name):
    transition, width = ANY[name], 1e-6
    states = jnp.asarray([[0.3, -0.7], [0.1, 0.2], [-0.4, 0.5]])
    actions = jnp.asarray([[0.5], [-0.2], [0.9]])

    @jax.jit
    def compute(theta):
        carry = transition.begin(theta)
        for state, action in zip(states[:-1], actions[:-1], strict=True):
            carry, _ = transition.step(theta, carry, state, action)
        after, law = transition.step(theta, carry, states[-1], actions[-1])
        x = lm.packed(states[-1], carry)
        move = lm.mean_motion(transition, theta, carry)
        both = jnp.concatenate([x, actions[-1]])

        def differ(apart):
            ahead, behind = (move(z[: len(x)], z[len(x) :]) for z in (both + apart, both - apart))
            return (ahead - behind) / (2 * width)

        slopes = jax.vmap(differ, out_axes=1)(width * jnp.eye(len(both)))
        along = lm.linearize_along(transition, theta, states, actions)
        matrices = None
        if transition.local is not None:
            matrices = transition.local(theta, carry, states[-1], actions[-1])[1]
        found = jax.tree.map(lambda leaf: leaf[-1], along)
        return found, slopes, x, lm.packed(law.mean, after), law, matrices

    found, slopes, x, then, law, matrices = compute(somewhere(name))
    n = len(x)
    assert n == (5 if name == "rssm" else 2)
    np.testing.assert_allclose(found.state, slopes[:, :n], atol=1e-8)
    np.testing.assert_allclose(found.action, slopes[:, n:], atol=1e-8)
    there = found.state @ x + found.action @ actions[-1] + found.offset
    np.testing.assert_allclose(there, then, atol=1e-12)
    np.testing.assert_allclose(found.noise[:2, :2], law.covariance, atol=1e-14)
    assert np.all(found.noise[2:] == 0)
    assert np.all(np.linalg.eigvalsh(law.covariance) > 0)
    if matrices is not None:
        mean = matrices.state @ states[-1] + matrices.action @ actions[-1] + matrices.offset
        np.testing.assert_allclose(mean, law.mean, atol=1e-12)
    if transition.linear:
        np.testing.assert_allclose(found.state, matrices.state, atol=1e-14)


def test_the_matrices_are_those_of_the_papers():
    state, action = jnp.asarray([0.3, -0.7]), jnp.asarray([0.5])
    theta = somewhere("e2c")
    outputs = 0.1 * np.asarray(_perceptron(theta.network, state, np.tanh))
    _, found = ANY["e2c"].local(theta, (), state, action)
    np.testing.assert_allclose(found.state, np.eye(2) + np.outer(outputs[:2], outputs[2:4]))
    np.testing.assert_allclose(found.offset, outputs[4:6])
    np.testing.assert_allclose(found.action[:, 0], outputs[6:])
    theta = somewhere("dvbf")
    weights = jax.nn.softmax(_perceptron(theta.network, jnp.asarray([0.3, -0.7, 0.5]), jax.nn.relu))
    _, found = ANY["dvbf"].local(theta, (), state, action)
    np.testing.assert_allclose(
        found.state, sum(w * a for w, a in zip(weights, theta.state, strict=True))
    )
    np.testing.assert_allclose(
        found.action, sum(w * b for w, b in zip(weights, theta.action, strict=True))
    )
    scale = weights @ jnp.exp(theta.log_deviation)
    np.testing.assert_allclose(found.noise, np.diag(scale**2))


def _perceptron(params, x, activation):
    layers = [params["params"][name] for name in sorted(params["params"])]
    hidden = activation(x @ layers[0]["kernel"] + layers[0]["bias"])
    return hidden @ layers[1]["kernel"] + layers[1]["bias"]


def test_a_configs_prior_is_that_of_the_transition():
    configs = [lm.Config(transition=name, prior_noise=0.3) for name in ("mniw", "mniw-steps")]

    @jax.jit
    def begun(configs):
        found = [lm.transition_of(config, 1, 3).init(KEY) for config in configs]
        return *found, mniw.to_natural(mniw.prior(4, 2, psi=configs[0].prior_noise))

    known, timed, wanted = begun(configs)
    assert float(wanted.yy[0, 0]) > 0
    for one, each, leaf in zip(known, timed, wanted, strict=True):
        np.testing.assert_array_equal(one, leaf)
        np.testing.assert_array_equal(each, np.broadcast_to(leaf, (3, *leaf.shape)))


def test_what_does_not_fit_is_refused():
    start = Moments(jnp.zeros(2), jnp.eye(2))
    with pytest.raises(ValueError, match="not linear"):
        lm.chain_of(ANY["e2c"], somewhere("e2c"), start, jnp.zeros((2, 1)))
    with pytest.raises(ValueError, match="bases is 0"):
        lm.dvbf(2, 1, bases=0)
