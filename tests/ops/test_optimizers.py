"""LaProp and its clipping against loops in NumPy, and what they promise."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rlsuite.ops.optimizers import adaptive_gradient_clip, laprop, scale_by_laprop

_DRAW = np.random.default_rng(0)
PARAMS = {
    "kernel": _DRAW.normal(size=(3, 2, 2)),
    "bias": np.zeros(4),
    "scale": np.asarray(2.0),
}
STEPS = 12
GRADIENTS = {
    name: 10.0 ** _DRAW.uniform(-4, 2, (STEPS,) + (1,) * x.ndim)
    * _DRAW.normal(size=(STEPS, *x.shape))
    for name, x in PARAMS.items()
}
"""From far below to far above the parameters, ``[steps, ...]`` of each."""


def clipped(gradient, param, clipping, minimum):
    largest = clipping * max(minimum, np.sqrt(np.sum(param**2)))
    norm = np.sqrt(np.sum(gradient**2))
    return gradient * min(1.0, largest / norm)


def by_hand(param, gradients, rate, *, clipping, b1, b2, eps, warmup_steps):
    """The published algorithm, of one tensor: the parameters after every step."""
    square, momentum, after = np.zeros_like(param), np.zeros_like(param), []
    for t, gradient in enumerate(gradients, start=1):
        g = clipped(gradient, param, clipping, 1e-3)
        square = b2 * square + (1 - b2) * g**2
        normalised = g / (np.sqrt(square / (1 - b2**t)) + eps)
        momentum = b1 * momentum + (1 - b1) * normalised
        param = param - rate * min(1.0, t / warmup_steps) * momentum / (1 - b1**t)
        after.append(param)
    return np.asarray(after)


def follow(optimizer, params, gradients):
    """The parameters after every step, in one compiled loop."""

    def step(carry, gradient):
        params, state = carry
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    params = jax.tree.map(jnp.asarray, params)
    return jax.lax.scan(step, (params, optimizer.init(params)), gradients)[1]


def same(one, other, tolerance=1e-12):
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def test_laprop_follows_the_published_algorithm():
    numbers = {"clipping": 0.2, "b1": 0.8, "b2": 0.95, "eps": 1e-3, "warmup_steps": 5}
    found = jax.jit(lambda g: follow(laprop(0.01, **numbers), PARAMS, g))(GRADIENTS)
    same(found, {name: by_hand(x, GRADIENTS[name], 0.01, **numbers) for name, x in PARAMS.items()})


def test_the_rate_can_be_mapped():
    rates = np.asarray([0.01, 0.1])
    numbers = {"clipping": 0.3, "b1": 0.9, "b2": 0.999, "eps": 1e-20, "warmup_steps": 1000}
    found = jax.jit(jax.vmap(lambda rate: follow(laprop(rate), PARAMS, GRADIENTS)))(rates)
    for k, rate in enumerate(rates):
        expected = {n: by_hand(x, GRADIENTS[n], rate, **numbers) for n, x in PARAMS.items()}
        same({name: x[k] for name, x in found.items()}, expected)


@pytest.mark.parametrize(("share", "factor"), [(0.1, 1.0), (0.5, 1.0), (3.0, 1 / 6)])
def test_clipping_bounds_an_update_by_its_tensor(share, factor):
    param = jnp.asarray(PARAMS["kernel"])
    update = jnp.asarray(GRADIENTS["kernel"][0])
    update = share * update * jnp.linalg.norm(param.ravel()) / jnp.linalg.norm(update.ravel())
    clip = adaptive_gradient_clip(0.5)
    found, _ = clip.update(update, clip.init(param), param)
    same(found, factor * update)


def test_clipping_lets_a_tensor_at_zero_move_and_leaves_no_gradient_alone():
    clip = adaptive_gradient_clip(0.5, minimum=0.1)
    zeros, ones = jnp.zeros(4), jnp.ones(4)
    same(clip.update(ones, clip.init(zeros), zeros)[0], 0.025 * ones)
    same(clip.update(zeros, clip.init(zeros), zeros)[0], zeros)


def test_clipping_takes_the_norm_of_whole_tensors():
    """Optax takes it of units: of two columns, it cuts only the large one."""
    param, update = jnp.ones((3, 2)), jnp.ones((3, 2)) * jnp.asarray([0.01, 1.0])
    ours = adaptive_gradient_clip(0.3)
    theirs = optax.adaptive_grad_clip(0.3)
    one = ours.update(update, ours.init(param), param)[0]
    other = theirs.update(update, theirs.init(param), param)[0]
    assert np.ptp(one / update) < 1e-12
    assert np.ptp(other / update) > 0.5


def test_the_first_step_is_the_rate_in_the_gradients_direction():
    params = {"w": jnp.asarray([5.0, -5.0, 5.0], jnp.float32)}
    gradient = {"w": jnp.asarray([1e-9, -30.0, 0.0], jnp.float32)}
    optimizer = laprop(0.5, warmup_steps=0)
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    same(updates, {"w": np.asarray([-0.5, 0.5, 0.0])}, 1e-6)
    halfway = laprop(0.5, warmup_steps=2)
    updates, _ = halfway.update(gradient, halfway.init(params), params)
    same(updates, {"w": np.asarray([-0.25, 0.25, 0.0])}, 1e-6)


def test_steps_do_not_depend_on_the_gradients_scale():
    optimizer = scale_by_laprop()
    one, other = (
        follow(optimizer, PARAMS, jax.tree.map(lambda g, k=k: k * g, GRADIENTS))
        for k in (1e-6, 1e6)
    )
    same(one, other)


def test_momentum_averages_normalised_gradients():
    """After a gradient 1e6 times too large, Adam's momentum holds nothing else."""
    gradients = {"w": jnp.asarray([[1.0], [1.0], [1e6], [1.0]])}
    params = {"w": jnp.zeros(1)}
    steps = jnp.diff(follow(scale_by_laprop(b1=0.9, b2=0.5), params, gradients)["w"][:, 0])
    outlier = 1e6 / np.sqrt((0.5 * 1e12 + 0.25 + 0.125) / 0.875)
    normalised = np.asarray([1.0, 1.0, outlier, 1.0 / np.sqrt((0.5 + 0.25e12) / 0.9375)])
    weights = 0.1 * 0.9 ** np.arange(4)[::-1]
    same(steps[-1], weights @ normalised / (1 - 0.9**4), 1e-9)


def test_it_minimises():
    """A quadratic of condition 1e4, which plain gradients of any rate do not get down in 300."""
    curvatures = jnp.asarray([1e-2, 1.0, 1e2])

    def step(carry, t):
        params, state = carry
        updates, state = optimizer.update(curvatures * params, state, params)
        return (optax.apply_updates(params, updates), state), None

    optimizer = laprop(0.02, warmup_steps=10)
    params = jnp.ones(3)
    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), jnp.arange(300))
    assert np.abs(params).max() < 0.05


def test_its_state_can_be_donated():
    """No array stands in two places, so that an update may reuse them all."""
    rule = scale_by_laprop()
    params = {"w": jnp.ones(3)}
    step = jax.jit(rule.update, donate_argnums=1)
    updates, state = step({"w": jnp.ones(3)}, rule.init(params))
    np.testing.assert_allclose(updates["w"], 1, rtol=1e-6)
    assert int(state.steps) == 1
