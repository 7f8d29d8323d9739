"""The Decision Diffuser: segments, losses, plans against exact laws, and how plans are followed."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.algorithms.decision_diffuser import planning, training
from rlsuite.configuration import substitute
from rlsuite.core import run
from rlsuite.data.offline import offline
from rlsuite.envs.episodes import Episode, join
from rlsuite.ops import diffusion
from rlsuite.ops import gaussian_diffusion as exact
from rlsuite.problems.decision_diffuser import ENTRY
from rlsuite.problems.episodes import play

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
LENGTHS = (3, 9, 6, 12)


def some_episodes():
    return join(
        [
            Episode(
                RNG.normal(size=(length + 1, 2)),
                RNG.uniform(-1, 1, size=(length, 1)),
                RNG.normal(size=length),
                bool(number % 2),
                (float(number),),
            )
            for number, length in enumerate(LENGTHS)
        ]
    )


EPISODES = some_episodes()
NO_STATE = dd.State(*[dd.Parameters(None, None)] * 2, None, jnp.zeros((), int), None)
SMALL = dd.Config(horizon=4, stride=2, discount=0.9, conditions=("return", "label", "state"))


def starts(horizon, stride, overhang):
    """Where segments may begin, one by one."""
    found, before = [], 0
    for length in LENGTHS:
        for t in range(length):
            inside = sum(t + i * stride <= length for i in range(horizon))
            if inside >= horizon - overhang:
                found.append(before + t)
        before += length
    return found


@pytest.mark.parametrize(("stride", "overhang"), [(1, 0), (2, 0), (2, 1)])
def test_segments_begin_wherever_they_fit_and_equally_often(stride, overhang):
    config = dataclasses.replace(SMALL, stride=stride, overhang=overhang)

    @jax.jit
    def drawn():
        computed = training.statistics(config, EPISODES)
        draw = functools.partial(training.draw, config, EPISODES, computed)
        first = jax.vmap(draw)(jax.random.split(KEY, 4000)).states[:, 0]
        return computed.counts, first, computed.normalizer.normalize(EPISODES.observations)

    counts, first, normalized = jax.tree.map(np.asarray, drawn())
    allowed = starts(config.horizon, stride, overhang)
    np.testing.assert_array_equal(np.flatnonzero(np.diff(counts, prepend=0)), allowed)
    distance = np.abs(first[:, None] - normalized[np.asarray(allowed)]).sum(-1)
    assert distance.min(axis=1).max() < 1e-6
    share = np.bincount(distance.argmin(axis=1), minlength=len(allowed)) / 4000
    np.testing.assert_allclose(share, 1 / len(allowed), atol=4 * np.sqrt(1 / len(allowed) / 4000))


def test_a_segment_is_told_its_return_its_labels_and_where_it_leads():
    step = 12  # The first of the third episode, which has six.

    @functools.partial(jax.jit, static_argnums=0)
    def example(config):
        computed = training.statistics(config, EPISODES)
        return training.example(config, EPISODES, computed, jnp.asarray(step))

    drawn, episodes = jax.tree.map(np.asarray, (example(SMALL), EPISODES))
    seen = np.concatenate(
        [episodes.observations[step : step + 6 : 2], episodes.next_observations[17:18]]
    )
    ends = np.cumsum(LENGTHS) - 1
    every = np.concatenate([episodes.observations, episodes.next_observations[ends]])
    mean, deviation = every.mean(0), every.std(0)
    np.testing.assert_allclose(drawn.states, (seen - mean) / deviation, atol=1e-5)
    returns = {
        t: sum(0.9**i * float(episodes.rewards[t + i]) for i in range(int(episodes.ends[t]) - t))
        for t in starts(4, 2, 0)
    }
    low, high = min(returns.values()), max(returns.values())
    assert float(drawn.condition[0]) == pytest.approx(
        (returns[step] - low) / (high - low), abs=1e-5
    )
    assert float(drawn.condition[1]) == 2.0
    np.testing.assert_allclose(drawn.condition[2:], drawn.states[-1], atol=1e-6)
    scaled = dataclasses.replace(SMALL, return_scale=400.0)
    assert float(example(scaled).condition[0]) == pytest.approx(returns[step] / 400, abs=1e-6)


@pytest.mark.parametrize("prediction", ["noise", "data", "velocity"])
@pytest.mark.parametrize("goal", [False, True])
def test_a_network_that_knows_the_data_has_no_loss(prediction, goal):
    """It sees clean known states, and what it says of them does not count."""
    config = dd.Config(
        horizon=8, history=3, goal=goal, conditions=(), model=dd.Model(prediction=prediction)
    )
    schedule, data = dd.schedule_of(config), jax.random.normal(KEY, (8, 2))

    def apply(params, x, step, condition, present):
        del params, condition, present
        signal = jnp.asarray(schedule.signal)[step]
        noise = (x - jnp.sqrt(signal) * data) / jnp.sqrt(1 - signal)
        velocity = jnp.sqrt(signal) * noise - jnp.sqrt(1 - signal) * data
        said = {"noise": noise, "data": data, "velocity": velocity}[prediction]
        clean = jnp.all(x == data, axis=-1)
        ends = clean[0] & (clean[-1] | (not goal))
        return jnp.where(clean[:, None], 1e6, said) + jnp.where(ends, 0.0, jnp.inf)

    example = training.Example(data, jnp.zeros(0), jnp.zeros(()))
    loss = functools.partial(training.denoising_loss, config, schedule, apply, None)
    losses = jax.jit(jax.vmap(lambda key: loss(key, example)))(jax.random.split(KEY, 200))
    assert float(losses.max()) < 1e-4


def test_conditions_are_dropped_as_often_as_told():
    config = dd.Config(horizon=4, conditions=("return",), dropout=0.25)
    schedule = dd.schedule_of(config)

    def apply(params, x, step, condition, present):
        return jnp.where(present, 0.0, 1e3) * jnp.ones_like(x)

    example = training.Example(jnp.zeros((4, 1)), jnp.ones(1), jnp.zeros(()))
    loss = functools.partial(training.denoising_loss, config, schedule, apply, None)
    losses = jax.jit(jax.vmap(lambda key: loss(key, example)))(jax.random.split(KEY, 2000))
    assert np.mean(np.asarray(losses) > 1e4) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("free", [0.0, 0.4])
def test_no_state_is_known_as_often_as_told(free):
    config = dd.Config(horizon=8, history=3, free=free, conditions=())
    data = jnp.arange(8.0)[:, None]

    def apply(params, x, step, condition, present):
        return jnp.where(x[0] == data[0], 0.0, 1e3) * jnp.ones_like(x)

    example = training.Example(data, jnp.zeros(0), jnp.zeros(()))
    loss = functools.partial(training.denoising_loss, config, dd.schedule_of(config), apply, None)
    losses = jax.jit(jax.vmap(lambda key: loss(key, example)))(jax.random.split(KEY, 2000))
    assert np.mean(np.asarray(losses) > 1e4) == pytest.approx(free, abs=0.03)


def gaussian(mean, spread):
    matrix = spread * RNG.normal(size=(6, 6))
    return exact.Gaussian(np.asarray(mean, float), matrix @ matrix.T + 0.1 * np.eye(6))


LAWS = [gaussian(np.zeros(6), 0.5), gaussian(np.ones(6), 0.3), gaussian(-np.ones(6), 0.3)]


def best(schedule):
    """The best network for trajectories of three times two numbers, and laws told by a number."""

    def apply(params, x, step, condition, present):
        del params
        steps = range(schedule.num_steps + 1)
        tables = [[exact.prediction(schedule, law, k) for k in steps] for law in LAWS]
        matrices, offsets = (
            jnp.asarray([[getattr(affine, name) for affine in table] for table in tables])
            for name in ("matrix", "offset")
        )
        which = 0 if condition is None else jnp.where(present, condition[0], 0.0).astype(int)
        data = matrices[which, step] @ x.reshape(-1) + offsets[which, step]
        signal = jnp.asarray(schedule.signal)[step]
        noise = (x.reshape(-1) - jnp.sqrt(signal) * data) / jnp.sqrt(1 - signal)
        return noise.reshape(x.shape)

    return apply


@pytest.mark.parametrize(
    ("sampler", "temperature", "num_known"),
    [("ancestral", 1.0, 0), ("ddim", 0.5, 1), ("dpm-solver", 1.0, 1)],
)
def test_plans_have_the_law_that_the_audit_computes(sampler, temperature, num_known):
    """Two conditions at once, one of them negated, and known states."""
    config = dd.Config(
        horizon=3,
        history=1,
        conditions=("label",),
        model=dd.Model(diffusion_steps=20),
        planning=dd.Planning(sampler=sampler, sampling_steps=8, eta=0.5, temperature=temperature),
    )
    schedule = dd.schedule_of(config)
    weights = jnp.asarray([1.3, -0.4])
    request = dd.Request(jnp.asarray([[1.0], [2.0]]), weights)
    known = diffusion.first_known(0.7 * jnp.ones((num_known, 2)), 3)

    @jax.jit
    @jax.vmap
    def draw(key):
        return dd.draw_plan(config, schedule, best(schedule), None, key, known, request)

    count = 20_000
    plans = np.asarray(draw(jax.random.split(KEY, count))).reshape(count, 6)
    law = exact.law(
        schedule,
        planning.sampler_of(schedule, config.planning),
        LAWS[0],
        LAWS[1:],
        weights.tolist(),
        known,
    )
    spread = np.sqrt(np.diag(law.covariance))
    np.testing.assert_allclose(
        plans.mean(0), law.mean, atol=float(4.5 * spread.max() / np.sqrt(count)) + 1e-4
    )
    np.testing.assert_allclose(
        np.cov(plans.T), law.covariance, atol=float(0.06 * spread.max() ** 2) + 1e-5
    )


def test_a_value_tilts_the_law():
    """For Gaussian data and J = c·x the weighted law is N(μ + w Σ c, Σ)."""
    weight, c = 0.7, RNG.normal(size=6)
    config = dd.Config(
        horizon=3,
        conditions=(),
        model=dd.Model(diffusion_steps=200, value=True),
        planning=dd.Planning(temperature=1.0, value_guidance=weight),
    )
    schedule, nothing = dd.schedule_of(config), dd.Request(jnp.zeros((0, 0)), jnp.zeros(0))
    free = diffusion.first_known(jnp.zeros((0, 2)), 3)
    steps = range(schedule.num_steps + 1)
    tables = [exact.prediction(schedule, LAWS[0], k) for k in steps]
    matrices = jnp.asarray([table.matrix for table in tables])

    def value(x, step):
        return jnp.asarray(c) @ matrices[step] @ x.reshape(-1)

    @jax.jit
    @jax.vmap
    def draw(key):
        return dd.draw_plan(config, schedule, best(schedule), None, key, free, nothing, value=value)

    count = 8000
    plans = np.asarray(draw(jax.random.split(KEY, count))).reshape(count, 6)
    covariance = LAWS[0].covariance
    shift = weight * covariance @ c
    assert np.abs(shift).max() > 0.3
    np.testing.assert_allclose(plans.mean(0), LAWS[0].mean + shift, atol=0.06)
    np.testing.assert_allclose(np.cov(plans.T), covariance, atol=0.1 * covariance.max())


def test_a_warm_start_keeps_what_a_good_plan_has():
    """A few last steps from a draw of the law give the law, from a wrong guess they do not."""
    config = dd.Config(
        horizon=3,
        conditions=(),
        model=dd.Model(diffusion_steps=20),
        planning=dd.Planning(temperature=1.0, warm_steps=4),
    )
    schedule, nothing = dd.schedule_of(config), dd.Request(jnp.zeros((1, 1)), jnp.zeros(1))
    free = diffusion.first_known(jnp.zeros((0, 2)), 3)

    @jax.jit
    @jax.vmap
    def draw(key, guess):
        return dd.draw_plan(config, schedule, best(schedule), None, key, free, nothing, guess)

    count = 8000
    guesses = RNG.multivariate_normal(LAWS[0].mean, LAWS[0].covariance, count).reshape(count, 3, 2)
    keys = jax.random.split(KEY, count)
    good = np.asarray(draw(keys, jnp.asarray(guesses, jnp.float32))).reshape(count, 6)
    np.testing.assert_allclose(
        np.cov(good.T), LAWS[0].covariance, atol=0.1 * LAWS[0].covariance.max()
    )
    wrong = np.asarray(draw(keys, jnp.full((count, 3, 2), 30.0))).reshape(count, 6)
    assert np.abs(wrong.mean(0)).min() > 5


def test_a_goal_ends_the_plan():
    config = dd.Config(horizon=5, goal=True, conditions=())
    plan = planning.begin(config, jnp.asarray([1.0]))
    known = planning.what_is_known(config, plan, jnp.asarray([7.0]))
    np.testing.assert_array_equal(known.where[:, 0], [True, False, False, False, True])
    np.testing.assert_array_equal(np.asarray(known.values)[np.asarray(known.where)], [1.0, 7.0])


def test_states_are_asked_for_in_the_data_s_units():
    """Of a return, a label and a state, only the state is put on the network's scale."""
    computed = training.statistics(SMALL, EPISODES)
    state = NO_STATE._replace(statistics=computed)
    asked = dd.Request(jnp.asarray([[1.0, 7.0, 0.5, -2.0], [0.0, 3.0, 1.0, 4.0]]), jnp.ones(2))
    for conditions, order in ((SMALL.conditions, [0, 1, 2, 3]), (("state", "label"), [2, 3, 1])):
        config = dataclasses.replace(SMALL, conditions=conditions)
        request = asked._replace(conditions=asked.conditions[:, jnp.asarray(order)])
        always = dd.always(*request)
        planner = dd.planner_of(offline("some", EPISODES), config, state, request=always)
        wanted = np.array(request.conditions)
        place = slice(2, 4) if len(order) == 4 else slice(0, 2)
        wanted[:, place] = computed.normalizer.normalize(jnp.asarray(wanted[:, place]))
        np.testing.assert_allclose(planner.request(None).conditions, wanted, rtol=1e-6)


PROBE = ENTRY.problems[ENTRY.probe]


@pytest.fixture(scope="module")
def probe():
    problem = PROBE.build()
    result = run(
        ENTRY.make, problem, PROBE.config, KEY, PROBE.num_steps, chunk_length=100, progress=False
    )
    return problem, result


def test_the_probe_is_solved_by_asking_for_the_best_return(probe):
    """Demonstrations go left or right by chance; what is asked for is what comes."""
    problem, result = probe
    assert float(result.evaluations.score[-1]) > 95

    @jax.jit
    @jax.vmap
    def score(wanted, guidance):
        asked = substitute(PROBE.config.planning, target_return=wanted, guidance=guidance)
        config = dataclasses.replace(PROBE.config, planning=asked)
        return dd.make(problem, config).evaluate(KEY, result.state).score

    asked = jnp.asarray([0.0, 0.5, 1.0, 1.0]), jnp.asarray([1.2, 1.2, 1.2, 0.0])
    worst, middle, best, unguided = score(*asked).tolist()
    assert worst < middle < -50 < 95 < best
    assert unguided < 80


def test_acting_step_by_step_is_what_an_evaluation_does(probe):
    problem, result = probe
    episode = play(problem.control, dd.make(problem, PROBE.config).act, result.state)
    assert float(problem.score(jnp.sum(jnp.asarray(episode.rewards)))) > 90


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"history": 4}, "'history' is 4; allowed: fewer known states than 'horizon', 4"),
        ({"history": 2, "stride": 2}, "'stride' is 2; allowed with a history of 2 states: 1"),
        ({"overhang": 3}, "'overhang' is 3; allowed: at most 'horizon' - 2, 2"),
        ({"conditions": ("label", "label")}, "allowed: each at most once"),
        (
            {"planning": dd.Planning(sampler="ddim", sampling_steps=101)},
            "'sampling_steps' is 101; allowed: at most 'diffusion_steps', 100",
        ),
        ({"planning": dd.Planning(warm_steps=101)}, "'warm_steps' is 101; allowed: at most 100"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(dd.Config(horizon=4), **changes)


def test_what_is_missing_is_named():
    problem = offline("some", EPISODES)
    with pytest.raises(ValueError, match="request is None; allowed with the conditions"):
        dd.make(problem, dd.Config(horizon=4, conditions=("label",)))
    with pytest.raises(ValueError, match="goal is None, and the config field 'goal' is True"):
        dd.make(problem, dd.Config(horizon=4, goal=True))
    guided = dd.Config(horizon=4, planning=dd.Planning(value_guidance=1.0))
    with pytest.raises(ValueError, match=r"'value_guidance' is .*; allowed without 'value': 0"):
        dd.make(problem, guided)
    with pytest.raises(ValueError, match="horizon"):
        dd.make(problem, dd.Config(horizon=14))
    with pytest.raises(ValueError, match="known is None; allowed with a history of 1 and 'free' 0"):
        dd.plans(dd.Config(), NO_STATE, KEY, dd.Request(jnp.zeros((1, 1)), jnp.ones(1)), 3)


def test_published_settings():
    """The paper's and the code's differ where the documentation says so."""
    paper, code = dd.paper(), dd.released()
    assert (paper.model.diffusion_steps, code.model.diffusion_steps) == (100, 200)
    assert paper.planning.temperature_of == "variance"
    assert code.planning.temperature_of == "deviation"
    assert (paper.planning.target_return, code.planning.target_return) == (1.0, 0.9)
    assert (paper.history, code.history) == (20, 1)
    assert (paper.return_scale, code.return_scale) == (None, 400)
    net = dd.default_network(code)
    shapes = jax.eval_shape(
        net.init, KEY, jnp.zeros((100, 11)), jnp.zeros((), int), jnp.zeros(1), True
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 59_732_491
