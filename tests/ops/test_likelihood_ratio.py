"""Derivatives of the surrogates against an expected return that is enumerated."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled

from rlsuite.ops.likelihood_ratio import log_likelihood, surrogate

HORIZON = 3
REWARDS = np.random.default_rng(0).normal(size=(HORIZON, 2, 2))
BASELINE = np.random.default_rng(1).normal(size=(HORIZON, 2))
THETA = np.asarray([0.3, -0.8])
ACTIONS = np.asarray(list(itertools.product([0, 1], repeat=HORIZON)))
STATES = np.concatenate([np.zeros((len(ACTIONS), 1), int), ACTIONS[:, :-1]], axis=1)
"""The state is the last action; its policy's logit is one of two parameters."""

_COLLECTED = REWARDS[np.arange(HORIZON), STATES, ACTIONS]
_AHEAD = np.cumsum(_COLLECTED[:, ::-1], axis=1)[:, ::-1]
ADVANTAGES = _AHEAD - BASELINE[np.arange(HORIZON), STATES]


def log_probs(theta):
    logits = jnp.asarray(theta)[STATES]
    return jax.nn.log_sigmoid(jnp.where(jnp.asarray(ACTIONS) == 1, logits, -logits))


@compiled
def derivatives(theta):
    """Those of the log probabilities, of the first and of the second order, and these."""
    return jax.jacobian(log_probs)(theta), jax.hessian(log_probs)(theta), log_probs(theta)


def expected_return(theta):
    return jnp.exp(log_probs(theta).sum(axis=1)) @ jnp.asarray(_COLLECTED.sum(axis=1))


slope_of_return = compiled(jax.grad(expected_return))
bend_of_return = compiled(jax.hessian(expected_return))


def expectation(estimator):
    """The expectation over trajectories, whose probabilities are constants as in sampling."""

    def mean(theta):
        weights = jax.lax.stop_gradient(jnp.exp(log_probs(theta).sum(axis=1)))
        return weights @ estimator(log_probs(theta), jnp.asarray(ADVANTAGES))

    return mean


def with_memory(memory):
    return lambda log_probs, advantages: surrogate(log_probs, advantages, memory=memory)


ESTIMATORS = {
    "dice": with_memory(1.0),
    "half": with_memory(0.5),
    "none": with_memory(0.0),
    "log": log_likelihood,
}


def same(one, other):
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_value_is_zero_and_the_gradient_that_of_the_expected_return(name):
    estimate = expectation(ESTIMATORS[name])
    same(compiled(estimate)(THETA), 0.0)
    same(compiled(jax.grad(estimate))(THETA), slope_of_return(THETA))


def test_with_full_memory_derivatives_of_every_order_are_those_of_the_expected_return():
    estimate = expectation(ESTIMATORS["dice"])
    same(jax.jit(jax.hessian(estimate))(THETA), bend_of_return(THETA))
    third = jax.jit(jax.jacfwd(jax.hessian(expected_return)))(THETA)
    same(jax.jit(jax.jacfwd(jax.hessian(estimate)))(THETA), third)
    assert np.abs(third).max() > 0.1


@pytest.mark.parametrize(("name", "memory"), [("dice", 1.0), ("half", 0.5), ("none", 0.0)])
def test_the_second_derivative_is_that_of_the_documentation(name, memory):
    slope, bend, known = derivatives(THETA)
    probability = np.exp(known.sum(axis=1))
    total = np.zeros((2, 2))
    for n, t in itertools.product(range(len(ACTIONS)), range(HORIZON)):
        past = sum((memory ** (t - s) * slope[n, s] for s in range(t)), np.zeros(2))
        cross = np.outer(slope[n, t], past)
        here = bend[n, t] + np.outer(slope[n, t], slope[n, t]) + cross + cross.T
        total += probability[n] * ADVANTAGES[n, t] * here
    same(jax.jit(jax.hessian(expectation(ESTIMATORS[name])))(THETA), total)


def test_the_log_likelihood_misses_what_is_drawn():
    _, bend, known = derivatives(THETA)
    probability = np.exp(known.sum(axis=1))
    missing = np.einsum("n,nt,ntij->ij", probability, ADVANTAGES, bend)
    found = compiled(jax.hessian(expectation(log_likelihood)))(THETA)
    same(found, missing)
    assert np.abs(found - bend_of_return(THETA)).max() > 0.1


def test_steps_after_an_end_do_not_count():
    ended = np.where(np.arange(HORIZON) < 1, ADVANTAGES, 0.0)
    known = derivatives(THETA)[-1]
    for estimator in ESTIMATORS.values():
        slope = compiled(jax.grad(lambda x, y, f=estimator: f(x, y).sum()))
        whole, first = slope(known, ended), slope(known[:, :1], ended[:, :1])
        same(whole[:, :1], first)
        same(whole[:, 1:], 0.0)
