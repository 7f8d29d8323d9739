"""SOLAR's parts against closed forms: messages, bounds, natural gradients, beliefs, ablations."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.scipy.stats import multivariate_normal

from rlsuite.algorithms import solar
from rlsuite.data.pictures import PictureEpisodes
from rlsuite.nets.network import Network
from rlsuite.nets.sights import components_encoder, principal_components
from rlsuite.ops import gaussian, lqr, mniw, structured_inference
from rlsuite.ops.gaussian import Moments

N, M, STEPS = 2, 1, 6
FORWARD = jnp.asarray([[0.9, 0.2, 0.1, 0.3], [-0.1, 0.8, 0.5, -0.2]])
NOISE = jnp.asarray([[0.1, 0.02], [0.02, 0.05]])


@pytest.fixture(autouse=True)
def _doubles():
    with jax.enable_x64(True):
        yield


def doubles(tree):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), tree)


def start():
    return doubles(Moments(jnp.asarray([0.3, -0.2]), jnp.asarray([[0.5, 0.1], [0.1, 0.4]])))


def actions(key=1, *batch):
    return jax.random.normal(jax.random.key(key), (*batch, STEPS, M))


def told(key=2, *batch):
    mean = jax.random.normal(jax.random.key(key), (*batch, STEPS + 1, N))
    return gaussian.diagonal(mean, jnp.full_like(mean, 0.3) + 0.2 * jnp.abs(jnp.sin(9 * mean)))


def known_system():
    """The expected statistics of a system that is known."""
    forward, noise = doubles((FORWARD, NOISE))
    precision = jnp.linalg.inv(noise)
    return mniw.Expected(
        precision,
        precision @ forward,
        forward.T @ precision @ forward,
        jnp.linalg.slogdet(noise)[1],
    )


def unknown_system():
    """A law of systems of which data say something."""
    x, y = jax.random.normal(jax.random.key(5), (2, 12, N + M + 1))
    prior = doubles(mniw.to_natural(mniw.prior(N, M + 1)))
    return mniw.to_moments(mniw.posterior(prior, mniw.statistics(x, y[:, :N])))


def exact_evidence(potentials, done):
    """Log ∫ p(s) Π ψ ds by one Gaussian over all states."""
    forward, noise = doubles((FORWARD, NOISE))
    size, first = (STEPS + 1) * N, start()
    linear, shift, spread = jnp.zeros((size, size)), jnp.zeros(size), jnp.zeros((size, size))
    spread = spread.at[:N, :N].set(first.covariance)
    shift = shift.at[:N].set(first.mean)
    for t in range(STEPS):
        rows = slice((t + 1) * N, (t + 2) * N)
        linear = linear.at[rows, t * N : (t + 1) * N].set(forward[:, :N])
        shift = shift.at[rows].set(forward[:, N:] @ jnp.append(done[t], 1.0))
        spread = spread.at[rows, rows].set(noise)
    solved = jnp.linalg.inv(jnp.eye(size) - linear)
    mean, covariance = solved @ shift, solved @ spread @ solved.T
    precision = jax.scipy.linalg.block_diag(*potentials.precision)
    variance = jnp.linalg.inv(precision)
    centre = variance @ potentials.shift.ravel()
    density = multivariate_normal.logpdf(centre, mean, covariance + variance)
    # The potentials as densities of their centres, and what they are more.
    whole = jnp.sum(potentials.constant) + centre @ precision @ centre / 2
    return density + whole + size * jnp.log(2 * jnp.pi) / 2 + jnp.linalg.slogdet(variance)[1] / 2


def test_a_known_system_and_exact_potentials_give_the_evidence():
    potentials, done = told(), actions()
    along = structured_inference.chain(start(), known_system(), done)
    law = structured_inference.smoothed(along, potentials)
    np.testing.assert_allclose(law.log_evidence, exact_evidence(potentials, done), rtol=1e-10)
    found = jax.jit(structured_inference.infer)(jax.random.key(0), along, potentials)
    likelihood = jnp.sum(structured_inference.expected_value(potentials, found.smoothed.states))
    np.testing.assert_allclose(likelihood - found.divergence, law.log_evidence, rtol=1e-10)


def test_messages_are_expectations_and_not_those_of_the_mean():
    law, done = unknown_system(), actions()
    along = structured_inference.chain(start(), mniw.expected(law), done)
    path = jax.random.normal(jax.random.key(7), (STEPS + 1, N))
    inputs = structured_inference.inputs_of(path[:-1], done)
    expected = mniw.expected_log_likelihood(law, mniw.statistics(inputs, path[1:]))
    moved = jnp.einsum("tij,tj->ti", along.model.transition, path[:-1]) + along.model.offset
    steps = jax.vmap(multivariate_normal.logpdf)(path[1:], moved, along.model.noise)
    excess = jax.vmap(gaussian.information.log_value)(along.excess, path[:-1])
    np.testing.assert_allclose(jnp.sum(steps + excess), expected, rtol=1e-10)
    assert float(jnp.abs(excess).max()) > 0.1


def test_a_draw_has_the_law_that_is_inferred():
    along = structured_inference.chain(start(), mniw.expected(unknown_system()), actions())
    draw = jax.jit(jax.vmap(lambda key: structured_inference.infer(key, along, told()).path))
    paths = draw(jax.random.split(jax.random.key(3), 20_000))
    law = structured_inference.smoothed(along, told()).states
    np.testing.assert_allclose(paths.mean(0), law.mean, atol=0.02)
    centred = paths - paths.mean(0)
    spread = jnp.einsum("kti,ktj->tij", centred, centred) / len(paths)
    np.testing.assert_allclose(spread, law.covariance, atol=0.02)


def test_each_round_of_local_inference_raises_the_bound():
    local = jax.jit(solar.fit, static_argnums=4)(
        unknown_system(), start(), told(4, 5), actions(3, 5), 12
    )
    rises = np.diff(local.bounds)
    assert np.all(rises > 0)
    assert rises[0] > 1
    assert rises[-1] < 1e-2 * rises[0]


def test_of_states_that_are_known_local_dynamics_are_the_posterior():
    paths = jax.random.normal(jax.random.key(6), (5, STEPS + 1, N))
    sure = gaussian.diagonal(paths, jnp.full_like(paths, 1e-8))
    law, done = unknown_system(), actions(3, 5)
    fit = jax.jit(solar.fit, static_argnums=4, static_argnames="structured")
    local = fit(law, start(), sure, done, 3)
    for t in range(STEPS):
        inputs = structured_inference.inputs_of(paths[:, t], done[:, t])
        pairs = mniw.statistics(inputs, paths[:, t + 1])
        wanted = mniw.to_moments(mniw.posterior(mniw.to_natural(law), pairs))
        for one, other in zip(local.dynamics, wanted, strict=True):
            np.testing.assert_allclose(one[t], other, rtol=1e-5, atol=1e-6)
    alone = fit(law, start(), sure, done, 1, structured=False)
    np.testing.assert_allclose(alone.dynamics.mean, local.dynamics.mean, atol=1e-5)


CONFIG = solar.Config(size=N, length=STEPS, batch_size=3, pictures=STEPS + 1, natural_rate=1.0)


def linear_networks():
    """Pictures of 3×3 pixels; means and logits are linear in them and in states."""
    weights = jax.random.normal(jax.random.key(8), (9, 2 * N)) * 0.5

    def see(params, images):
        mean, log_precision = jnp.split(images.reshape(*images.shape[:-3], 9) @ params, 2, axis=-1)
        return mean, log_precision

    def show(params, states):
        return (states @ params).reshape(*states.shape[:-1], 3, 3, 1)

    return solar.Networks(
        Network(lambda *_: weights, see),
        Network(lambda *_: weights.T[:N], show),
        "bernoulli",
    )


def some_episodes(count=3):
    images = jax.random.randint(jax.random.key(9), (count, STEPS + 1, 3, 3, 1), 0, 256)
    costs = jax.random.normal(jax.random.key(10), (count, STEPS))
    return PictureEpisodes(images.astype(jnp.uint8), actions(11, count), costs)


def learner(config):
    fresh = solar.start_learning(
        linear_networks(), optax.sgd(0.0), config, some_episodes(), jax.random.key(0)
    )
    return doubles(fresh._replace(updates=jnp.int32(0)))._replace(updates=jnp.int32(0))


@pytest.mark.parametrize("timed", [False, True])
def test_a_natural_step_of_one_on_all_episodes_is_the_posterior(timed):
    config = dataclasses.replace(CONFIG, timed=timed)
    before, episodes = learner(config), some_episodes()
    after, _ = jax.jit(solar.update, static_argnums=(0, 1, 2))(
        linear_networks(), optax.sgd(0.0), config, before, episodes, jnp.int32(3), jax.random.key(1)
    )
    known = mniw.expected(mniw.to_moments(before.known))
    nets = linear_networks()

    def counted(episode):
        law = solar.states_of(nets, before.params, known, episode, config)
        return structured_inference.step_statistics(law, episode.actions)

    total = jax.tree.map(lambda x: x.sum(axis=0), jax.jit(jax.vmap(counted))(episodes))
    if not timed:
        total = jax.tree.map(lambda x: x.sum(axis=0), total)
    wanted = mniw.posterior(solar.learning_prior(config, M), total)
    for one, other in zip(after.known, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_the_full_natural_gradient_is_that_of_the_bound():
    """Of the bound as a function of η: the ordinary gradient is A″(η) times the natural one."""
    config = dataclasses.replace(CONFIG, full=True, natural_rate=0.5)
    now, episodes, nets = learner(config), some_episodes(), linear_networks()
    now = now._replace(known=mniw.to_natural(unknown_system()))
    before, key = solar.learning_prior(config, M), jax.random.key(1)
    keys = jax.random.split(key, 3)

    def bound(natural):
        law = mniw.to_moments(natural)
        known = mniw.expected(law)
        parts, _ = jax.vmap(
            lambda key, one: solar.bound(nets, now.params, known, key, one, config)
        )(keys, episodes)
        total = jnp.sum(parts.pictures + parts.costs - parts.divergence)
        return total - mniw.kl(law, mniw.to_moments(before))

    def after(config):
        moved, _ = jax.jit(solar.update, static_argnums=(0, 1, 2))(
            nets, optax.sgd(0.0), config, now, episodes, jnp.int32(3), key
        )
        return jax.tree.map(lambda one, other: 2 * (one - other), moved.known, now.known)

    def symmetric(direction):
        halves = [
            (x + x.mT) / 2 if x.ndim == 2 and x.shape[0] == x.shape[1] else x for x in direction
        ]
        return mniw.Natural(*halves)

    natural_gradient = symmetric(after(config))
    _, curvature = jax.jit(lambda *at: jax.jvp(jax.grad(mniw.log_normalizer), *at))(
        (now.known,), (natural_gradient,)
    )
    slope = jax.jit(jax.grad(bound))(now.known)
    for one, other in zip(symmetric(curvature), symmetric(slope), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    dropped = symmetric(after(dataclasses.replace(config, full=False)))
    apart = [float(jnp.abs(x - y).max()) for x, y in zip(dropped, natural_gradient, strict=True)]
    assert max(apart) > 0.1


def test_a_belief_is_the_kalman_filters():
    done, potentials = actions(), told()
    gain = jnp.asarray([[[0.4, -0.3]]] * STEPS)
    policy = lqr.Policy(gain, jnp.full((STEPS, M), 0.1), jnp.zeros((STEPS, M, M)))
    forward, noise = doubles((FORWARD, NOISE))
    split = (forward[:, :N], forward[:, N : N + M], forward[:, N + M], noise)
    dynamics = lqr.Dynamics(*(jnp.broadcast_to(x, (STEPS, *x.shape)) for x in split))
    controller = solar.Controller(policy, dynamics, start())
    belief, taken = solar.first_belief(controller), []
    for t in range(STEPS):
        seen = jax.tree.map(lambda x, t=t: x[t], potentials)
        action, belief = solar.respond(controller, None, belief, seen)
        taken.append(action)
    done = jnp.stack(taken)
    along = structured_inference.chain(start(), known_system(), done)
    filtered = gaussian.filter(along.model, potentials)
    means = filtered.updated.mean[:STEPS]
    wanted = jnp.einsum("tij,tj->ti", gain, means) + 0.1
    np.testing.assert_allclose(done, jnp.clip(wanted, -1, 1), atol=1e-9)


def test_a_policy_is_found_again_from_what_it_did():
    states = jax.random.normal(jax.random.key(1), (4000, STEPS + 1, N))
    gain = jnp.asarray([[0.4, -0.3]])
    noise = 0.1 * jax.random.normal(jax.random.key(2), (4000, STEPS, M))
    done = states[:, :-1] @ gain.T + 0.2 + noise
    start = (jnp.zeros((STEPS, M, N)), jnp.zeros((STEPS, M)), 0.25 * jnp.ones((STEPS, M, M)))
    found = solar.refitted(lqr.Policy(*start), states, done)
    np.testing.assert_allclose(found.gain, jnp.broadcast_to(gain, (STEPS, M, N)), atol=0.01)
    np.testing.assert_allclose(found.offset, jnp.full((STEPS, M), 0.2), atol=0.01)
    np.testing.assert_allclose(found.covariance, jnp.full((STEPS, M, M), 0.01), atol=2e-3)


def test_of_few_alike_episodes_a_policy_keeps_its_gains():
    states = 1.0 + 0.01 * jax.random.normal(jax.random.key(1), (5, STEPS + 1, N))
    gain = jnp.broadcast_to(jnp.asarray([[0.4, -0.3]]), (STEPS, M, N))
    old = lqr.Policy(gain, jnp.zeros((STEPS, M)), 0.01 * jnp.ones((STEPS, M, M)))
    # States are seen one to the right of where they were: the same actions, another offset.
    done = jnp.einsum("tij,etj->eti", gain, states[:, :-1] - 1.0)
    found = solar.refitted(old, states, done)
    # What was −0.1 too much is shared by what hardly differs: two numbers near 1, and the constant.
    np.testing.assert_allclose(found.gain, gain - 0.1 / 3, atol=2e-3)
    acted = jnp.einsum("tij,etj->eti", found.gain, states[:, :-1]) + found.offset
    np.testing.assert_allclose(acted, done, atol=0.01)


def test_the_bound_follows_what_became_of_promises():
    def factor(promised, turned_out, before=1.0):
        return float(
            solar.adjusted(jnp.asarray(1.0), jnp.asarray(promised), jnp.asarray(turned_out))
        )

    assert factor([10.0, 6.0], 6.0) == 5.0  # Kept: as long as may be.
    assert factor([10.0, 6.0], 8.0) == 1.0  # Half of it: the step was the best one.
    assert factor([10.0, 6.0], 10.0) == 0.5  # Nothing came of it.
    np.testing.assert_allclose(factor([10.0, 6.0], 20.0), 4 / 28)
    assert (
        float(solar.adjusted(jnp.asarray(9.0), jnp.asarray([2.0, 1.0]), jnp.asarray(1.0))) == 10.0
    )


def test_a_weakened_law_has_the_same_means():
    law = unknown_system()
    weak = solar.weakened(law, 5.0)
    np.testing.assert_allclose(weak.nu, 5.0)
    np.testing.assert_allclose(weak.mean, law.mean)
    for one, other in zip(mniw.mean(weak), mniw.mean(law), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    strong = solar.weakened(law, 1e6)
    for one, other in zip(strong, law, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_costs_are_fitted_to_states_and_actions():
    root = jax.random.normal(jax.random.key(2), (N + M, N + M))
    cost = lqr.Quadratic(root @ root.T, jnp.arange(1.0, N + M + 1), jnp.asarray(0.5))
    paths, done = jax.random.normal(jax.random.key(6), (8, STEPS + 1, N)), actions(3, 8)
    at = jnp.concatenate([paths[:, :-1], done], axis=-1)
    paid = lqr.evaluate(cost, at)
    sure = jax.vmap(structured_inference.alone)(gaussian.diagonal(paths, jnp.ones_like(paths)))
    weights = jnp.asarray([0.0, *7 * [1.0]])
    found = solar.fitted_cost(sure, done, paid.at[0].set(99.0), weights)
    np.testing.assert_allclose(found.hessian, cost.hessian, atol=1e-4)
    np.testing.assert_allclose(found.gradient, cost.gradient, atol=1e-4)


def test_principal_components_are_those_of_numpy():
    images = jax.random.normal(jax.random.key(0), (60, 4, 4, 1)) * jnp.arange(1.0, 5.0)[:, None]
    found = principal_components(images, 3)
    flat = np.asarray(images.reshape(60, 16))
    flat = flat - flat.mean(axis=0)
    _, sizes, rows = np.linalg.svd(flat / np.sqrt(60), full_matrices=False)
    mean, log_precision = components_encoder(3).apply(found, images)
    wanted = flat @ (rows[:3].T / sizes[:3])
    np.testing.assert_allclose(np.abs(mean), np.abs(wanted), atol=1e-8)
    np.testing.assert_allclose(mean.std(axis=0), 1.0, atol=1e-8)
    assert np.all(log_precision > 5)
