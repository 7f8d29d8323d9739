"""SOLAR's parts against closed forms: messages, bounds, natural gradients, beliefs, ablations."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg
import scipy.stats
from compiled import compiled
from jax.scipy.stats import multivariate_normal

from rlsuite.algorithms import solar
from rlsuite.data.pictures import PictureEpisodes
from rlsuite.nets.network import Network
from rlsuite.ops import gaussian, lqr, mniw, structured_inference
from rlsuite.ops.gaussian import Moments

N, M, STEPS = 2, 1, 6
FORWARD = np.asarray([[0.9, 0.2, 0.1, 0.3], [-0.1, 0.8, 0.5, -0.2]])
NOISE = np.asarray([[0.1, 0.02], [0.02, 0.05]])
STILL = optax.sgd(0.0)

fit = compiled(solar.fit, static_argnums=4, static_argnames="structured")
update = compiled(solar.update, static_argnums=(0, 1, 2))
chain, smoothed, diagonal, refitted = map(
    compiled,
    (
        structured_inference.chain,
        structured_inference.smoothed,
        gaussian.diagonal,
        solar.refitted,
    ),
)


@pytest.fixture(autouse=True)
def _doubles():
    with jax.enable_x64(True):
        yield


def doubles(tree):
    return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


def normal(key, *shape):
    return np.asarray(jax.random.normal(jax.random.key(key), shape))


def start():
    return Moments(np.asarray([0.3, -0.2]), np.asarray([[0.5, 0.1], [0.1, 0.4]]))


def actions(key=1, *batch):
    return normal(key, *batch, STEPS, M)


def told(key=2, *batch):
    mean = normal(key, *batch, STEPS + 1, N)
    return diagonal(mean, np.full_like(mean, 0.3) + 0.2 * np.abs(np.sin(9 * mean)))


def known_system():
    """The expected statistics of a system that is known."""
    precision = np.linalg.inv(NOISE)
    return mniw.Expected(
        precision,
        precision @ FORWARD,
        FORWARD.T @ precision @ FORWARD,
        np.linalg.slogdet(NOISE)[1],
        np.zeros((N + M + 1, N + M + 1)),
    )


@functools.cache
@compiled
def unknown_system():
    """A law of systems of which data say something."""
    x, y = jax.random.normal(jax.random.key(5), (2, 12, N + M + 1))
    prior = mniw.to_natural(mniw.prior(N, M + 1))
    return mniw.to_moments(mniw.posterior(prior, mniw.statistics(x, y[:, :N])))


def exact_evidence(potentials, done):
    """Log ∫ p(s) Π ψ ds by one Gaussian over all states."""
    size, first = (STEPS + 1) * N, start()
    linear, shift, spread = np.zeros((size, size)), np.zeros(size), np.zeros((size, size))
    spread[:N, :N], shift[:N] = first.covariance, first.mean
    for t in range(STEPS):
        rows = slice((t + 1) * N, (t + 2) * N)
        linear[rows, t * N : (t + 1) * N] = FORWARD[:, :N]
        shift[rows] = FORWARD[:, N:] @ np.append(done[t], 1.0)
        spread[rows, rows] = NOISE
    solved = np.linalg.inv(np.eye(size) - linear)
    mean, covariance = solved @ shift, solved @ spread @ solved.T
    precision = scipy.linalg.block_diag(*potentials.precision)
    variance = np.linalg.inv(precision)
    centre = variance @ potentials.shift.ravel()
    density = scipy.stats.multivariate_normal.logpdf(centre, mean, covariance + variance)
    # The potentials as densities of their centres, and what they are more.
    whole = np.sum(potentials.constant) + centre @ precision @ centre / 2
    return density + whole + size * np.log(2 * np.pi) / 2 + np.linalg.slogdet(variance)[1] / 2


def test_a_known_system_and_exact_potentials_give_the_evidence():
    potentials, done = told(), actions()

    @compiled
    def evidences(first, system, done, potentials):
        along = structured_inference.chain(first, system, done)
        law = structured_inference.smoothed(along, potentials)
        found = structured_inference.infer(jax.random.key(0), along, potentials)
        likelihood = structured_inference.expected_value(potentials, found.smoothed.states)
        return law.log_evidence, jnp.sum(likelihood) - found.divergence

    evidence, bound = evidences(start(), known_system(), done, potentials)
    np.testing.assert_allclose(evidence, exact_evidence(potentials, done), rtol=1e-10)
    np.testing.assert_allclose(bound, evidence, rtol=1e-10)


def test_messages_are_expectations_and_not_those_of_the_mean():
    @compiled
    def along_a_path(first, law, done, path):
        along = structured_inference.chain(first, mniw.expected(law), done)
        inputs = structured_inference.inputs_of(path[:-1], done)
        expected = mniw.expected_log_likelihood(law, mniw.statistics(inputs, path[1:]))
        moved = jnp.einsum("tij,tj->ti", along.model.transition, path[:-1]) + along.model.offset
        steps = jax.vmap(multivariate_normal.logpdf)(path[1:], moved, along.model.noise)
        return expected, steps, jax.vmap(gaussian.information.log_value)(along.excess, path[:-1])

    path = normal(7, STEPS + 1, N)
    expected, steps, excess = along_a_path(start(), unknown_system(), actions(), path)
    np.testing.assert_allclose(np.sum(steps + excess), expected, rtol=1e-10)
    assert float(np.abs(excess).max()) > 0.1


def test_a_draw_has_the_law_that_is_inferred():
    along = chain(start(), compiled(mniw.expected)(unknown_system()), actions())
    infer = functools.partial(jax.vmap, in_axes=(0, None, None))(structured_inference.infer)
    draw = compiled(lambda *given: infer(*given).path)
    paths = draw(jax.random.split(jax.random.key(3), 20_000), along, told())
    law = smoothed(along, told()).states
    np.testing.assert_allclose(paths.mean(0), law.mean, atol=0.02)
    centred = paths - paths.mean(0)
    spread = np.einsum("kti,ktj->tij", centred, centred) / len(paths)
    np.testing.assert_allclose(spread, law.covariance, atol=0.02)


def test_each_round_of_local_inference_raises_the_bound():
    local = fit(unknown_system(), start(), told(4, 5), actions(3, 5), 12)
    rises = np.diff(local.bounds)
    assert np.all(rises > 0)
    assert rises[0] > 1
    assert rises[-1] < 1e-2 * rises[0]


def test_of_states_that_are_known_local_dynamics_are_the_posterior():
    paths = normal(6, 5, STEPS + 1, N)
    sure = diagonal(paths, np.full_like(paths, 1e-8))
    law, done = unknown_system(), actions(3, 5)
    local = fit(law, start(), sure, done, 3)

    @compiled
    def posterior(law, now, done, later):
        pairs = mniw.statistics(structured_inference.inputs_of(now, done), later)
        return mniw.to_moments(mniw.posterior(mniw.to_natural(law), pairs))

    for t in range(STEPS):
        wanted = posterior(law, paths[:, t], done[:, t], paths[:, t + 1])
        for one, other in zip(local.dynamics, wanted, strict=True):
            np.testing.assert_allclose(one[t], other, rtol=1e-5, atol=1e-6)
    alone = fit(law, start(), sure, done, 1, structured=False)
    np.testing.assert_allclose(alone.dynamics.mean, local.dynamics.mean, atol=1e-5)


CONFIG = solar.Config(size=N, length=STEPS, batch_size=3, pictures=STEPS + 1, natural_rate=1.0)


@functools.cache
def linear_networks():
    """Pictures of 3×3 pixels; means and logits are linear in them and in states."""
    weights = normal(8, 9, 2 * N) * 0.5

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
    costs = normal(10, count, STEPS)
    return PictureEpisodes(np.asarray(images, np.uint8), actions(11, count), costs)


def learner(config):
    episodes = jax.device_put(some_episodes())
    fresh = solar.start_learning(linear_networks(), STILL, config, episodes, jax.random.key(0))
    return doubles(fresh)._replace(updates=np.int32(0))


@pytest.mark.parametrize("timed", [False, True])
def test_a_natural_step_of_one_on_all_episodes_is_the_posterior(timed):
    config = dataclasses.replace(CONFIG, timed=timed)
    before, episodes = learner(config), some_episodes()
    nets = linear_networks()
    after, _ = update(nets, STILL, config, before, episodes, np.int32(3), jax.random.key(1))

    @compiled
    def posterior(before, episodes):
        known = mniw.expected(mniw.to_moments(before.known))

        def counted(episode):
            law = solar.states_of(nets, before.params, known, episode, config)
            return structured_inference.step_statistics(law, episode.actions)

        axes = 0 if timed else (0, 1)
        total = jax.tree.map(lambda x: x.sum(axis=axes), jax.vmap(counted)(episodes))
        return mniw.posterior(solar.learning_prior(config, M), total)

    for one, other in zip(after.known, posterior(before, episodes), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_the_full_natural_gradient_is_that_of_the_bound():
    """Of the bound as a function of η: the ordinary gradient is A″(η) times the natural one."""
    config = dataclasses.replace(CONFIG, full=True, natural_rate=0.5)
    now, episodes, nets = learner(config), some_episodes(), linear_networks()
    now = now._replace(known=compiled(mniw.to_natural)(unknown_system()))
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
        moved, _ = update(nets, STILL, config, now, episodes, np.int32(3), key)
        return jax.tree.map(lambda one, other: 2 * (one - other), moved.known, now.known)

    def symmetric(direction):
        halves = [
            (x + x.mT) / 2 if x.ndim == 2 and x.shape[0] == x.shape[1] else x for x in direction
        ]
        return mniw.Natural(*halves)

    natural_gradient = symmetric(after(config))
    _, curvature = compiled(lambda *at: jax.jvp(jax.grad(mniw.log_normalizer), *at))(
        (now.known,), (natural_gradient,)
    )
    slope = compiled(jax.grad(bound))(now.known)
    for one, other in zip(symmetric(curvature), symmetric(slope), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    dropped = symmetric(after(dataclasses.replace(config, full=False)))
    apart = [float(np.abs(x - y).max()) for x, y in zip(dropped, natural_gradient, strict=True)]
    assert max(apart) > 0.1


def test_a_belief_is_the_kalman_filters():
    done, potentials = actions(), told()
    gain = np.asarray([[[0.4, -0.3]]] * STEPS)
    policy = lqr.Policy(gain, np.full((STEPS, M), 0.1), np.zeros((STEPS, M, M)))
    split = (FORWARD[:, :N], FORWARD[:, N : N + M], FORWARD[:, N + M], NOISE)
    dynamics = lqr.Dynamics(*(np.broadcast_to(x, (STEPS, *x.shape)) for x in split))
    controller = solar.Controller(policy, dynamics, start())
    belief, taken, respond = solar.first_belief(controller), [], compiled(solar.respond)
    for t in range(STEPS):
        seen = jax.tree.map(lambda x, t=t: x[t], potentials)
        action, belief = respond(controller, None, belief, seen)
        taken.append(action)
    done = np.stack(taken)
    along = chain(start(), known_system(), done)
    filtered = compiled(gaussian.filter)(along.model, potentials)
    means = filtered.updated.mean[:STEPS]
    wanted = np.einsum("tij,tj->ti", gain, means) + 0.1
    np.testing.assert_allclose(done, np.clip(wanted, -1, 1), atol=1e-9)


def test_a_policy_is_found_again_from_what_it_did():
    states = normal(1, 4000, STEPS + 1, N)
    gain = np.asarray([[0.4, -0.3]])
    noise = 0.1 * normal(2, 4000, STEPS, M)
    done = states[:, :-1] @ gain.T + 0.2 + noise
    start = (np.zeros((STEPS, M, N)), np.zeros((STEPS, M)), 0.25 * np.ones((STEPS, M, M)))
    found = refitted(lqr.Policy(*start), states, done)
    np.testing.assert_allclose(found.gain, np.broadcast_to(gain, (STEPS, M, N)), atol=0.01)
    np.testing.assert_allclose(found.offset, np.full((STEPS, M), 0.2), atol=0.01)
    np.testing.assert_allclose(found.covariance, np.full((STEPS, M, M), 0.01), atol=2e-3)


def test_of_few_alike_episodes_a_policy_keeps_its_gains():
    states = 1.0 + 0.01 * normal(1, 5, STEPS + 1, N)
    gain = np.broadcast_to(np.asarray([[0.4, -0.3]]), (STEPS, M, N))
    old = lqr.Policy(gain, np.zeros((STEPS, M)), 0.01 * np.ones((STEPS, M, M)))
    # States are seen one to the right of where they were: the same actions, another offset.
    done = np.einsum("tij,etj->eti", gain, states[:, :-1] - 1.0)
    found = refitted(old, states, done)
    # What was −0.1 too much is shared by what hardly differs: two numbers near 1, and the constant.
    np.testing.assert_allclose(found.gain, gain - 0.1 / 3, atol=2e-3)
    acted = np.einsum("tij,etj->eti", found.gain, states[:, :-1]) + found.offset
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
    root = normal(2, N + M, N + M)
    cost = lqr.Quadratic(root @ root.T, np.arange(1.0, N + M + 1), np.asarray(0.5))
    paths, done = normal(6, 8, STEPS + 1, N), actions(3, 8)

    @compiled
    def fitted(cost, paths, done):
        paid = lqr.evaluate(cost, jnp.concatenate([paths[:, :-1], done], axis=-1))
        sure = jax.vmap(structured_inference.alone)(gaussian.diagonal(paths, jnp.ones_like(paths)))
        weights = jnp.asarray([0.0, *7 * [1.0]])
        return solar.fitted_cost(sure, done, paid.at[0].set(99.0), weights)

    found = fitted(cost, paths, done)
    np.testing.assert_allclose(found.hessian, cost.hessian, atol=1e-4)
    np.testing.assert_allclose(found.gradient, cost.gradient, atol=1e-4)
