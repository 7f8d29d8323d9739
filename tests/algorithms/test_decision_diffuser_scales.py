"""Units, averages and bounds of the Decision Diffuser, with networks that say one number."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compiled import compiled

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.algorithms.decision_diffuser import acting, networks, planning, symmetry, training
from rlsuite.algorithms.decision_diffuser.online import with_room
from rlsuite.data.normalizers import Gaussian
from rlsuite.data.offline import offline
from rlsuite.envs.episodes import Episode, join
from rlsuite.ops import diffusion
from rlsuite.problems.episodes import corridor

KEY = jax.random.key(0)
MEAN, DEVIATION = np.asarray([3.0, -1.0], np.float32), np.asarray([2.0, 0.5], np.float32)
SCALE = Gaussian(MEAN, DEVIATION)


def episodes():
    """The last step earns most."""
    rng = np.random.default_rng(0)
    found = []
    for length in (6, 9):
        states, actions = rng.normal(50, 2, (length + 1, 2)), rng.uniform(-1, 1, (length, 1))
        found.append(Episode(states, actions, np.append(rng.normal(size=length - 1), 7.0)))
    return join(found)


def says(params, x, step, told, present):
    """x̂ is what is told, times a parameter, and 10 where nothing is."""
    if told is None:
        return params * x
    return params * jnp.where(present, told, 10.0) * jnp.ones_like(x)


ONE = dd.Denoiser(lambda key, x, *rest: jnp.full((), 0.5), says)
CONFIG = dd.Config(
    horizon=3,
    free=0.5,
    conditions=("state",),
    model=dd.Model(prediction="data", diffusion_steps=4),
    planning=dd.Planning(sampler="ddim", sampling_steps=1, temperature=0.0, clip=False),
)


def state_of(average, bound=(np.inf, np.inf), **others):
    """A state whose networks that plan are averages; those that are trained are far away."""
    computed = dd.Statistics(SCALE, jnp.asarray(bound, jnp.float32), *5 * [jnp.zeros(1)])
    params = jax.tree.map(lambda x: x - 100.0, average)
    return dd.State(params, average, None, jnp.zeros((), int), computed)._replace(**others)


def drawn(config, state, asked, weights, known=None):
    request = dd.Request(jnp.asarray(asked, jnp.float32), jnp.asarray(weights, jnp.float32))

    @compiled
    def plans(state, known):
        return dd.plans(config, state, KEY, request, 2, known=known, network=ONE)

    return plans(state, known)


def test_plans_are_asked_for_known_and_returned_in_the_data_s_units():
    """Half of the normalised state, by the average's parameter; 5 is half of nothing told."""
    average = dd.Parameters(jnp.full((), 0.5), None)
    asked = np.asarray([[7.0, 1.0], [-1.0, -2.0]])
    scaled = (asked - MEAN) / DEVIATION
    known = diffusion.first_known(jnp.asarray([[4.0, 0.2]]), 3)
    found = drawn(CONFIG, state_of(average), asked, [1.5, -0.25], known)
    half = 5 + 1.5 * (scaled[0] / 2 - 5) - 0.25 * (scaled[1] / 2 - 5)
    np.testing.assert_allclose(found[:, 0], [[4.0, 0.2]] * 2, rtol=1e-5)
    np.testing.assert_allclose(found[:, 1:], np.tile(MEAN + DEVIATION * half, (2, 2, 1)), rtol=1e-4)


@pytest.mark.parametrize("clip", [False, True])
def test_plans_are_kept_within_what_the_data_have_if_they_are_to_be(clip):
    config = dataclasses.replace(CONFIG, planning=dataclasses.replace(CONFIG.planning, clip=clip))
    state = state_of(dd.Parameters(jnp.full((), 1.0), None), bound=(0.5, 3.0))
    found = drawn(config, state, MEAN[None] + 2 * DEVIATION, [1.0])
    wanted = np.asarray([0.5, 2.0] if clip else [2.0, 2.0])
    np.testing.assert_allclose(found, np.tile(MEAN + DEVIATION * wanted, (2, 3, 1)), rtol=1e-5)


def test_the_value_that_guides_is_an_average_too():
    """J is the mean of 3 x, over six numbers: its slope is ½; one step from k = T to the data."""
    config = dataclasses.replace(
        CONFIG,
        conditions=(),
        model=dataclasses.replace(CONFIG.model, value=True),
        planning=dataclasses.replace(CONFIG.planning, value_guidance=0.01),
    )
    state = state_of(dd.Parameters(jnp.zeros(()), None, jnp.full((), 3.0)))
    found = drawn(config, state, np.zeros((0, 0)), [])
    signal = dd.schedule_of(config).signal[-1]
    wanted = 0.01 * 0.5 * (1 - signal) / np.sqrt(signal)
    np.testing.assert_allclose((found - MEAN) / DEVIATION, wanted, rtol=1e-4)


def test_temperatures_scale_variances_or_deviations():
    schedule = diffusion.cosine(5)
    for of, wanted in (("variance", 0.5), ("deviation", 0.25)):
        sampler = dd.sampler_of(schedule, dd.Planning(temperature=0.25, temperature_of=of))
        np.testing.assert_allclose(sampler.noise, wanted * diffusion.ancestral(schedule).noise)
        assert sampler.start == wanted


def test_averages_start_late_and_move_by_their_share():
    """Every step takes a tenth off; two go before the average."""

    def steady(rate):
        same = optax.stateless(lambda updates, _: jax.tree.map(jnp.ones_like, updates))
        return optax.chain(same, optax.sgd(rate))

    config = dataclasses.replace(
        CONFIG, learning_rate=0.1, average_after=2, average_rate=0.25, batch_size=1, transitions=1
    )
    request = dd.always(np.zeros((1, 2)), 1.0)
    problem = offline("some", episodes())
    made = dd.make(problem, config, network=ONE, optimizer=steady, request=request)

    @compiled
    def train(key):
        def step(state, key):
            state, _ = made.step(key, state)
            return state, (state.params.denoiser, state.average.denoiser)

        state, path = jax.lax.scan(step, made.init(key), jax.random.split(key, 5))
        before, after = jnp.zeros(2), jnp.ones(2)
        apply, steps = networks.inverse_dynamics(problem, config).apply, jnp.ones((), int)
        told = [apply(part.inverse, before, after, steps) for part in (state.average, state.params)]
        planner = dd.planner_of(problem, config, state, network=ONE, request=request)
        return path, planner.act(before, after, steps), told

    (params, average), done, (wanted, other) = train(KEY)
    np.testing.assert_allclose(params, [0.4, 0.3, 0.2, 0.1, 0.0], atol=1e-6)
    third = 0.75 * 0.3 + 0.25 * 0.2
    fourth = 0.75 * third + 0.25 * 0.1
    np.testing.assert_allclose(average, [0.4, 0.3, third, fourth, 0.75 * fourth], atol=1e-6)
    np.testing.assert_allclose(done, wanted, rtol=1e-6)
    assert np.abs(wanted - other) > 1e-4


# Acting.


def scripted(plan, action, goal=None):
    """A planner that always plans the same, and always does the same."""

    def draw(key, known, request, guess):
        return known.put(plan(known))

    return acting.Planner(draw, lambda *given: action, SCALE, lambda seen: None, goal)


def test_goals_are_in_the_data_s_units_and_actions_within_their_bounds():
    config = dd.Config(horizon=4, goal=True, conditions=())
    goal = jnp.asarray([9.0, 2.0])
    planner = scripted(lambda known: known.values, jnp.asarray([3.0, -0.2, -7.0]), lambda _: goal)
    seen = jnp.asarray([5.0, -1.0])
    action, plan = compiled(lambda: acting.first_action(config, planner, KEY, seen))()
    np.testing.assert_allclose(action, [1.0, -0.2, -1.0])
    np.testing.assert_allclose(plan.states[0], (seen - MEAN) / DEVIATION, rtol=1e-6)
    np.testing.assert_allclose(plan.states[-1], (goal - MEAN) / DEVIATION, rtol=1e-6)


def walked(action, length):
    """Two episodes in the corridor of four cells, of which the last ends it."""
    config = dd.Config(horizon=4, conditions=(), evaluation_length=length)
    one = Gaussian(np.zeros(4, np.float32), np.ones(4, np.float32))
    planner = scripted(lambda known: known.values, jnp.asarray(action))._replace(normalizer=one)
    return compiled(lambda: acting.walk(config, planner, corridor(), KEY, 2))()


def test_a_walk_earns_up_to_the_end_and_tells_whether_it_was_for_good():
    found = walked([0.0, 1.0], 5)
    np.testing.assert_allclose(found.rewards, [[-0.1, -0.1, 0.9, 0, 0]] * 2, rtol=1e-5)
    np.testing.assert_array_equal(found.real, [[True] * 3 + [False] * 2] * 2)
    np.testing.assert_array_equal(found.terminals, [[False] * 2 + [True] + [False] * 2] * 2)
    np.testing.assert_array_equal(found.observations[0, :4], np.eye(4))
    np.testing.assert_array_equal(found.actions[0, :3], [[0.0, 1.0]] * 3)


def test_a_walk_that_is_cut_off_did_not_end_for_good():
    found = walked([1.0, 0.0], 10)
    np.testing.assert_allclose(found.rewards, [[-0.1] * 8 + [0.0] * 2] * 2, rtol=1e-5)
    np.testing.assert_array_equal(found.real, [[True] * 8 + [False] * 2] * 2)
    assert not found.terminals.any()
    assert found.observations.shape == (2, 11, 4)


# Training.


def test_as_many_first_states_are_known_as_may_be_and_each_number_as_often():
    """The network is off by how many it sees, and 2 more where the goal is one of them."""
    data = 5.0 + jnp.arange(8.0)[:, None]

    def apply(params, x, step, told, present):
        return data + jnp.sum(jnp.cumprod(x[:, 0] == data[:, 0]))

    config = dd.Config(horizon=8, history=3, conditions=(), model=dd.Model(prediction="data"))
    segment = training.Example(data, jnp.zeros(0), jnp.zeros(()))
    schedule = dd.schedule_of(config)

    @compiled
    @jax.vmap
    def losses(key):
        return training.denoising_loss(config, schedule, apply, None, key, segment)

    counts = np.bincount(np.sqrt(losses(jax.random.split(KEY, 3000))).round().astype(int))
    np.testing.assert_allclose(counts / 3000, [0, 1 / 3, 1 / 3, 1 / 3], atol=0.04)


@pytest.mark.parametrize(("history", "known"), [(0, 0), (1, 1), (3, 1)])
def test_a_value_is_told_of_segments_whose_first_state_is_known(history, known):
    data = 5.0 + jnp.arange(8.0)[:, None]

    def apply(params, x, step, told, present):
        return jnp.sum(jnp.cumprod(x[:, 0] == data[:, 0])) * jnp.ones_like(x)

    config = dd.Config(horizon=8, history=history, conditions=())
    segment = training.Example(data, jnp.zeros(0), jnp.asarray(0.25))
    schedule = dd.schedule_of(config)
    loss = compiled(lambda: training.value_loss(config, schedule, apply, None, KEY, segment))
    assert float(loss()) == pytest.approx((known - 0.25) ** 2)


def test_the_state_that_is_told_lies_as_far_ahead_as_is_said():
    """The third of nine states is the first of the segment, whose last is the last of all."""
    recorded = join([Episode(np.arange(18.0).reshape(9, 2), np.zeros((8, 1)), np.zeros(8))])
    places = {None: 8, 1: 3, 5: 7, 11: 8}

    @compiled
    def told():
        config = dataclasses.replace(CONFIG, stride=3)
        computed = training.statistics(config, recorded, normalizer=SCALE)
        changed = [dataclasses.replace(config, reach=reach) for reach in places]
        return [training.example(one, recorded, computed, jnp.asarray(2)) for one in changed]

    for found, place in zip(told(), places.values(), strict=True):
        wanted = (np.asarray([2.0 * place, 2.0 * place + 1]) - MEAN) / DEVIATION
        np.testing.assert_allclose(found.condition, wanted, rtol=1e-5)


def test_bounds_and_returns_are_those_of_what_was_walked():
    """States are far from zero, which stands in the room that is kept."""
    config = dataclasses.replace(CONFIG, horizon=5, conditions=("return",), discount=0.9)

    @compiled
    def statistics(episodes):
        return training.statistics(config, episodes, normalizer=Gaussian.fit(first.observations))

    first = episodes()
    plain, roomy = statistics(first), statistics(with_room(first, 3, 4))
    states = np.concatenate([first.observations, np.asarray(first.next_observations)])
    deviations = np.abs((states - plain.normalizer.mean) / plain.normalizer.deviation)
    np.testing.assert_allclose(plain.bound, deviations.max(axis=0), rtol=1e-4)
    for one, other in zip(plain[1:5], roomy[1:5], strict=True):
        np.testing.assert_allclose(one, other[: len(one)] if one.shape else other, rtol=1e-6)
    begins = [0, 1, 2, 6, 7, 8, 9, 10, 11]  # Five states are four steps, of six and of nine.
    assert (plain.low, plain.high) == (plain.returns[begins].min(), plain.returns[begins].max())
    assert plain.low < plain.high < plain.returns.max()


def test_a_warm_start_is_noised_as_its_first_step_expects():
    """Of what is behind the first x, the network says nothing but x itself."""
    seen = []

    def apply(params, x, step, told, present):
        seen.append((x, step))
        return x

    config = dataclasses.replace(
        CONFIG,
        conditions=(),
        planning=dataclasses.replace(
            CONFIG.planning, sampler="ancestral", warm_steps=2, temperature=1.0
        ),
    )
    schedule = dd.schedule_of(config)
    guess, free = jnp.full((3, 2), 40.0), diffusion.first_known(jnp.zeros((0, 2)), 3)
    nothing = dd.Request(jnp.zeros((0, 0)), jnp.zeros(0))
    with jax.disable_jit():
        planning.draw_plan(config, schedule, apply, None, KEY, free, nothing, guess)
    assert [int(step) for _, step in seen] == [2, 1]
    np.testing.assert_allclose(seen[0][0], 40 * np.sqrt(schedule.signal[2]), atol=3.0)


def test_numbers_change_their_places_before_their_signs():
    """A quarter turn: (x, y) becomes (y, −x)."""
    turn = dd.Symmetry(*map(np.asarray, ([[1, 0]], [[1, -1]], [[1, 0]], [0, 0])))
    states, told = jnp.asarray([[2.0, 5.0], [-3.0, 7.0]]), jnp.asarray([1.0, 0.0])
    found = compiled(lambda key: symmetry.changed(turn, key, states, told))(KEY)
    np.testing.assert_array_equal(found[0], [[5, -2], [7, 3]])
    np.testing.assert_array_equal(found[1], [0, 1])
