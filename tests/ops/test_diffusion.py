"""Schedules, samplers and guidance against closed forms and against the laws of Gaussian chains."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled, optimized

from rlsuite.ops import diffusion, gaussian_diffusion
from rlsuite.ops.gaussian_diffusion import Gaussian

COSINE, LINEAR = diffusion.cosine(100), diffusion.linear(100)
SIZE = 3


def gaussian(seed, size=SIZE, spread=0.5):
    rng = np.random.default_rng(seed)
    root = spread * rng.normal(size=(size, size)) / np.sqrt(size)
    return Gaussian(rng.normal(size=size), root @ root.T + 0.05 * np.eye(size))


DATA, OTHER, THIRD = gaussian(0), gaussian(1), gaussian(2)


def shifted(data, by):
    return data._replace(mean=data.mean + by)


def test_schedules_are_those_of_their_formulas():
    def f(k):
        return np.cos((k / 100 + 0.008) / 1.008 * np.pi / 2) ** 2

    signal = np.asarray([f(k) / f(0) for k in range(101)])
    np.testing.assert_allclose(COSINE.signal[:-1], signal[:-1], rtol=1e-12)
    assert COSINE.signal[-1] == pytest.approx(1e-3 * signal[-2], rel=1e-9)  # β is at its bound

    betas = 1 - LINEAR.signal[1:] / LINEAR.signal[:-1]
    np.testing.assert_allclose(betas, np.linspace(1e-3, 0.2, 100), rtol=1e-12)


def test_each_prediction_leads_back_to_the_data():
    data = np.random.default_rng(0).normal(size=(4, 2))

    @compiled
    def back(key, data):
        noised, found = diffusion.noised(LINEAR, key, data), []
        for prediction in ("noise", "data", "velocity"):
            said = diffusion.target(LINEAR, prediction, data, noised)
            found.append(diffusion.to_data(LINEAR, prediction, noised.inputs, noised.step, said))
        return noised.step, found

    for seed in range(5):
        step, every = back(jax.random.key(seed), data)
        assert 1 <= int(step) <= 100
        for found in every:
            np.testing.assert_allclose(found, data, rtol=1e-9, atol=1e-9)


def test_steps_and_noise_are_drawn_as_the_schedule_says():
    data = jnp.full(1, 2.0)
    keys = jax.random.split(jax.random.key(0), 200_000)
    draw = compiled(jax.vmap(lambda key: diffusion.noised(diffusion.linear(4), key, data)))
    drawn = draw(keys)
    counts = np.bincount(drawn.step, minlength=5)
    assert counts[0] == 0
    np.testing.assert_allclose(counts[1:] / len(keys), 0.25, atol=0.005)
    signal = diffusion.linear(4).signal
    for k in range(1, 5):
        seen = drawn.inputs[drawn.step == k]
        assert seen.mean() == pytest.approx(2 * np.sqrt(signal[k]), abs=0.02)
        assert seen.var() == pytest.approx(1 - signal[k], abs=0.02)


def test_the_reverse_chain_is_bayes_rule():
    """One ancestral step against q(x_{k−1} | x_k, x_0) from the product of two Gaussians."""
    sampler = diffusion.ancestral(LINEAR)
    for i, k in enumerate(sampler.steps[:-1]):
        beta = 1 - LINEAR.signal[k] / LINEAR.signal[k - 1]
        forward, prior = (1 - beta) / beta, 1 / (1 - LINEAR.signal[k - 1])
        variance = 1 / (forward + prior)
        assert sampler.noise[i] ** 2 == pytest.approx(variance, rel=1e-10)
        assert sampler.carry[i] == pytest.approx(variance * np.sqrt(1 - beta) / beta, rel=1e-9)
        assert sampler.data[i] == pytest.approx(
            variance * prior * np.sqrt(LINEAR.signal[k - 1]), rel=1e-9
        )
    assert (sampler.carry[-1], sampler.data[-1], sampler.noise[-1]) == pytest.approx((0, 1, 0))
    forward = diffusion.ancestral(LINEAR, variance="forward")
    np.testing.assert_array_equal(forward.carry, sampler.carry)
    betas = 1 - LINEAR.signal[1:] / LINEAR.signal[:-1]
    np.testing.assert_allclose(forward.noise[:-1] ** 2, betas[:0:-1], rtol=1e-10)


def test_ddim_keeps_the_marginals_whatever_eta():
    """If x_k has the right marginal and x̂ is right, so has x_j."""
    for eta in (0.0, 0.4, 1.0):
        sampler = diffusion.ddim(COSINE, 7, eta=eta)
        ends = np.append(sampler.steps[1:], 0)
        here, there = COSINE.signal[sampler.steps], COSINE.signal[ends]
        mean = sampler.carry * np.sqrt(here) + sampler.data
        variance = sampler.carry**2 * (1 - here) + sampler.noise**2
        np.testing.assert_allclose(mean, np.sqrt(there), rtol=1e-12)
        np.testing.assert_allclose(variance, 1 - there, atol=1e-12)


def test_trailing_steps_begin_at_the_end():
    assert diffusion.ddim(COSINE, 10).steps.tolist() == list(range(100, 0, -10))
    assert diffusion.ddim(COSINE, 3).steps.tolist() == [100, 67, 33]
    assert diffusion.ddim(COSINE).steps.tolist() == list(range(100, 0, -1))


@pytest.mark.parametrize(
    ("make", "order"), [(diffusion.ddim, 1), (diffusion.dpm_solver, 2)], ids=["ddim", "dpm"]
)
def test_deterministic_samplers_converge_at_their_order(make, order):
    """To the probability flow, which leaves a Gaussian's deviation what it is."""
    fine, data = diffusion.cosine(65_536), Gaussian(np.asarray([0.7]), np.asarray([[0.3]]))

    def error(num_steps):
        found = gaussian_diffusion.law(fine, make(fine, num_steps), data)
        return abs(np.sqrt(found.covariance[0, 0]) - np.sqrt(0.3))

    rate = np.log2(error(16) / error(256)) / 4
    assert rate == pytest.approx(order, abs=0.15)


def test_second_order_is_closer_with_the_same_number_of_steps():
    data = gaussian(4)
    for num_steps in (10, 20, 40):
        first, second = (
            gaussian_diffusion.audit(COSINE, make(COSINE, num_steps), data).distance
            for make in (diffusion.ddim, diffusion.dpm_solver)
        )
        assert second < 0.5 * first


def test_many_steps_lead_to_the_law_of_the_data():
    fine = diffusion.cosine(2000)
    for sampler in (diffusion.ancestral(fine), diffusion.ddim(fine), diffusion.ddim(fine, eta=0.5)):
        assert gaussian_diffusion.audit(fine, sampler, DATA).distance < 5e-3


def exact(schedule, conditions=(), weights=(), data=DATA):
    """The best prediction as a function of arrays, guided as a network would be."""
    tables = [
        [gaussian_diffusion.prediction(schedule, law, k) for k in range(schedule.num_steps + 1)]
        for law in (data, *conditions)
    ]
    matrices, offsets = (
        jnp.asarray([[getattr(one, name) for one in table] for table in tables])
        for name in ("matrix", "offset")
    )

    def predict(x, k):
        said = matrices[:, k] @ x.reshape(-1) + offsets[:, k]
        found = diffusion.guided(said[0], said[1:], jnp.asarray(weights).reshape(-1))
        return found.reshape(x.shape)

    return predict


def first_is_known():
    return diffusion.first_known(jnp.asarray([0.4]), SIZE)


CASES = {
    "ancestral": (diffusion.ancestral(LINEAR), (), ()),
    "forward variance": (diffusion.ancestral(LINEAR, variance="forward"), (), ()),
    "ddim": (diffusion.ddim(COSINE, 9, eta=0.3), (), ()),
    "dpm": (diffusion.dpm_solver(COSINE, 8), (), ()),
    "cool": (diffusion.cooled(diffusion.ancestral(LINEAR), 0.5), (), ()),
    "guided": (diffusion.ddim(LINEAR, 20, eta=1.0), (OTHER,), (1.6,)),
    "composed": (diffusion.dpm_solver(LINEAR, 12), (OTHER, THIRD), (1.2, -0.4)),
    "known": (diffusion.ancestral(LINEAR), (OTHER,), (1.2,)),
    "known, second order": (diffusion.dpm_solver(LINEAR, 10), (), ()),
}


def settings(case):
    """(schedule, what is known, what predicts) of a case."""
    _, conditions, weights = CASES[case]
    known = first_is_known() if case.startswith("known") else None
    schedule = COSINE if case in ("ddim", "dpm") else LINEAR
    return schedule, known, exact(schedule, conditions, weights)


def affine(case):
    """The end of a walk as a function of its start and of what is drawn on its way."""
    sampler = CASES[case][0]
    _, known, predict = settings(case)

    def end(start, noise):
        def step(carry, now):
            (x, before), (k, of_x, of_data, of_before, of_noise, drawn) = carry, now
            x = x if known is None else known.put(x)
            data = predict(x, k)
            x = of_x * x + of_data * data + of_before * before
            return (x + of_noise * drawn, data), None

        rates = (sampler.carry, sampler.data, sampler.before, sampler.noise)
        (x, _), _ = jax.lax.scan(step, (start, jnp.zeros(SIZE)), (sampler.steps, *rates, noise))
        return x if known is None else known.put(x)

    return end


@pytest.mark.parametrize("case", CASES)
def test_a_walk_is_that_affine_function_of_its_draws(case):
    sampler = CASES[case][0]
    _, known, predict = settings(case)

    @compiled
    def both(key):
        of_start, of_walk = jax.random.split(key)
        start = sampler.start * jax.random.normal(of_start, (SIZE,))
        keys = jax.random.split(of_walk, sampler.num_steps)
        noise = jax.vmap(lambda key: jax.random.normal(key, (SIZE,)))(keys)
        walked = diffusion.walk(sampler, predict, of_walk, start, known=known)
        return walked, affine(case)(start, noise)

    for seed in range(3):
        walked, wanted = both(jax.random.key(seed))
        np.testing.assert_allclose(walked, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_the_law_is_that_of_the_walk(case):
    """The walk is affine in its noise: its exact moments from unit vectors in place of draws."""
    sampler, conditions, weights = CASES[case]
    schedule, known, _ = settings(case)
    found = gaussian_diffusion.law(schedule, sampler, DATA, conditions, weights, known)
    end = compiled(jax.vmap(affine(case)))
    inputs = SIZE * (1 + sampler.num_steps)
    units = np.concatenate([np.zeros((1, inputs)), np.eye(inputs)])
    starts = sampler.start * units[:, :SIZE]
    ends = end(starts, units[:, SIZE:].reshape(-1, sampler.num_steps, SIZE))
    linear = ends[1:] - ends[0]
    np.testing.assert_allclose(found.mean, ends[0], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(found.covariance, linear.T @ linear, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("case", ["ancestral", "dpm", "known"])
def test_walks_have_the_moments_of_their_law(case):
    sampler, conditions, weights = CASES[case]
    schedule, known, predict = settings(case)
    found = gaussian_diffusion.law(schedule, sampler, DATA, conditions, weights, known)

    @optimized
    @jax.vmap
    def draw(key):
        of_start, of_walk = jax.random.split(key)
        start = sampler.start * jax.random.normal(of_start, (SIZE,))
        return diffusion.walk(sampler, predict, of_walk, start, known=known)

    count = 50_000
    drawn = draw(jax.random.split(jax.random.key(1), count))
    error = np.sqrt(np.diag(found.covariance) / count)
    assert np.all(np.abs(drawn.mean(axis=0) - found.mean) <= 5 * error + 1e-12)
    np.testing.assert_allclose(np.cov(drawn.T), found.covariance, rtol=0.05, atol=0.01)
    if known is not None:
        np.testing.assert_array_equal(drawn[:, 0], 0.4)


def test_guidance_samples_the_sharpened_product_only_of_equal_covariances():
    fine = diffusion.cosine(1000)
    sampler = diffusion.ancestral(fine)
    equal = gaussian_diffusion.audit(fine, sampler, DATA, [shifted(DATA, 0.3)], [1.6])
    np.testing.assert_allclose(equal.meant.mean, DATA.mean + 1.6 * 0.3, rtol=1e-9)
    assert equal.distance < 0.02
    unequal = gaussian_diffusion.audit(fine, sampler, DATA, [OTHER], [0.5])
    assert unequal.distance > 0.05


def test_composition_adds_the_shifts_of_all_conditions():
    conditions = [shifted(DATA, np.asarray([1.0, 0, 0])), shifted(DATA, np.asarray([0, 1.0, 0]))]
    fine = diffusion.cosine(1000)
    found = gaussian_diffusion.law(fine, diffusion.ddim(fine), DATA, conditions, [1.5, -0.5])
    np.testing.assert_allclose(found.mean - DATA.mean, [1.5, -0.5, 0.0], atol=0.01)


def test_inpainting_is_not_conditioning():
    """It shifts the others less than Bayes' rule does: noise hides at first what is known."""
    fine = diffusion.cosine(1000)
    found = gaussian_diffusion.audit(fine, diffusion.ancestral(fine), DATA, known=first_is_known())
    assert found.law.mean[0] == found.meant.mean[0] == 0.4
    np.testing.assert_allclose(found.law.covariance[0], 0.0, atol=1e-12)
    gain = DATA.covariance[1:, 0] / DATA.covariance[0, 0]
    np.testing.assert_allclose(
        found.meant.mean[1:], DATA.mean[1:] + gain * (0.4 - DATA.mean[0]), rtol=1e-9
    )
    assert found.distance > 0.02


def test_temperatures():
    sampler = diffusion.ancestral(COSINE)
    cool = diffusion.cooled(sampler, 0.5)
    np.testing.assert_allclose(cool.noise**2, 0.5 * sampler.noise**2)
    assert cool.start**2 == pytest.approx(0.5)
    narrow = diffusion.cooled(sampler, 0.5, of="deviation")
    np.testing.assert_allclose(narrow.noise, 0.5 * sampler.noise)
    frozen = gaussian_diffusion.law(COSINE, diffusion.cooled(sampler, 0.0), DATA)
    np.testing.assert_allclose(frozen.covariance, 0.0, atol=1e-15)
    np.testing.assert_allclose(frozen.mean, DATA.mean, atol=1e-4)


def test_a_shortened_sampler_from_the_noised_data_ends_at_their_law():
    sampler = diffusion.shortened(diffusion.ancestral(COSINE), 20)
    assert sampler.steps.tolist() == list(range(20, 0, -1))
    data = jnp.asarray(DATA.mean)
    noise_to = compiled(jax.vmap(lambda key: diffusion.noise_to(COSINE, key, data, 20)))
    x = noise_to(jax.random.split(jax.random.key(0), 40_000))
    signal = COSINE.signal[20]
    np.testing.assert_allclose(x.mean(axis=0), np.sqrt(signal) * data, atol=0.01)
    np.testing.assert_allclose(x.var(axis=0), 1 - signal, rtol=0.03)
    two = diffusion.shortened(diffusion.dpm_solver(COSINE, 6), 3)
    whole = diffusion.dpm_solver(COSINE, 6)
    assert two.before[0] == 0
    assert two.data[0] == pytest.approx(whole.data[3] + whole.before[3])


def test_predictions_may_be_bounded():
    sampler = diffusion.ddim(COSINE, 5)
    found = diffusion.walk(
        sampler, lambda x, k: 10 * jnp.ones_like(x), jax.random.key(0), jnp.zeros(2), bound=1.0
    )
    np.testing.assert_allclose(found, 1.0)


def test_guidance_is_the_same_on_noise_data_and_velocity():
    rng = np.random.default_rng(3)
    x, plain, other = (jnp.asarray(rng.normal(size=(5, 2))) for _ in range(3))
    step, weight = jnp.asarray(40), jnp.asarray([1.7])
    for prediction in ("noise", "velocity"):
        convert = functools.partial(diffusion.to_data, COSINE, prediction, x, step)
        np.testing.assert_allclose(
            convert(diffusion.guided(plain, other[None], weight)),
            diffusion.guided(convert(plain), convert(other)[None], weight),
            rtol=1e-10,
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: diffusion.cosine(0), "num_steps is 0; allowed: at least 1"),
        (lambda: diffusion.linear(5, last=1.5), "last is 1.5; allowed: between 0 and 1"),
        (lambda: diffusion.ddim(COSINE, 101), "num_steps is 101; allowed: 1 to 100"),
        (lambda: diffusion.ddim(COSINE, 10, eta=3.0), "eta is 3.0; allowed"),
        (lambda: diffusion.cooled(diffusion.ddim(COSINE), -1.0), "temperature is -1.0"),
        (lambda: diffusion.shortened(diffusion.ddim(COSINE, 5), 6), "num_steps is 6; allowed: 1"),
        (lambda: diffusion.first_known(jnp.zeros((4, 1)), 3), "values has 4 entries"),
        (
            lambda: gaussian_diffusion.law(COSINE, diffusion.ddim(COSINE), DATA, [DATA], []),
            "weights has 0 entries",
        ),
        (
            lambda: gaussian_diffusion.product(DATA, [gaussian(5, spread=3.0)], [40.0]),
            "the least precision is",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
