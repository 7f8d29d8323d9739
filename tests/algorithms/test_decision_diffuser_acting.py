"""Following plans: when they are made anew, what is known then, and many episodes at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.algorithms.decision_diffuser import acting

KEY = jax.random.key(0)


class _Identity:
    """A scale of 1."""

    def normalize(self, x):
        return x

    def denormalize(self, y):
        return y


def scripted(config, told):
    """A planner whose plans go up from the last known state by a slope that each draw tells."""

    def draw(key, known, request, guess):
        del key, request
        count = known.where[:, 0].sum() - config.goal
        last = known.values[count - 1]
        slope = told(known, guess)
        rest = last + slope * (jnp.arange(config.horizon) - count + 1)[:, None]
        return known.put(jnp.where(known.where, 0.0, rest))

    def act(state, later, ahead):
        return (later - state) / ahead

    return acting.Planner(draw, act, _Identity(), lambda _: None, None)


def follow(config, planner, first, num_steps):
    """Actions and states where s' = s + a; whatever is seen can be told apart from any plan."""
    start = jax.jit(lambda now: acting.first_action(config, planner, KEY, now))
    go_on = jax.jit(lambda now, plan: acting.next_action(config, planner, KEY, now, plan))
    action, plan = start(jnp.asarray([first]))
    seen, actions = [first], []
    for _ in range(num_steps):
        actions.append(float(action[0]))
        seen.append(seen[-1] + actions[-1] + 0.01)
        action, plan = go_on(jnp.asarray([seen[-1]]), plan)
    return np.asarray(seen), np.asarray(actions), plan


def test_a_plan_is_followed_until_it_is_time_for_the_next():
    """The slope of a plan is its first state over ten: it tells which states were known."""
    config = dd.Config(horizon=8, conditions=(), planning=dd.Planning(replan_every=3))
    planner = scripted(config, lambda known, _: known.values[0, 0] / 10)
    seen, actions, _ = follow(config, planner, 1.0, 7)
    # Planned at 0, 3 and 6; in between the next state of the old plan is aimed at.
    for start in (0, 3):
        slope = seen[start] / 10
        for i in range(3):
            aim = seen[start] + slope * (i + 1)
            assert actions[start + i] == pytest.approx(aim - seen[start + i], abs=1e-5)
    assert actions[6] == pytest.approx(seen[6] / 10, abs=1e-5)


@pytest.mark.parametrize(("warm", "history"), [(0, 1), (2, 1), (0, 3)])
def test_episodes_together_are_each_alone(warm, history):
    planned = dd.Planning(replan_every=3, warm_steps=warm)
    config = dd.Config(horizon=8, history=history, conditions=(), planning=planned)

    def told(known, guess):
        return known.values[0, 0] / 10 + (0.0 if guess is None else guess[1, 0])

    planner = scripted(config, told)
    act = jax.jit(lambda seen, plan: dd.act_together(config, planner, KEY, seen, plan))
    starts = np.asarray([1.0, -2.0, 0.3])
    seen, plan, done = starts, None, []
    for _ in range(7):
        actions, plan = act(jnp.asarray(seen)[:, None], plan)
        done.append(np.asarray(actions)[:, 0])
        seen = seen + done[-1] + 0.01
    alone = [follow(config, planner, start, 7)[1] for start in starts]
    np.testing.assert_allclose(np.stack(done, axis=1), alone, atol=1e-5)


def test_episodes_together_have_noise_of_their_own():
    config = dd.Config(horizon=8, conditions=(), planning=dd.Planning(replan_every=3))

    def draw(key, known, request, guess):
        del request, guess
        return known.put(0.1 * jax.random.normal(key, known.values.shape))

    planner = scripted(config, None)._replace(draw=draw)
    seen = jnp.zeros((4, 1))
    first, plan = dd.act_together(config, planner, KEY, seen, None)
    again, _ = dd.act_together(config, planner, KEY, seen, None)
    assert len(np.unique(first)) == 4
    np.testing.assert_array_equal(first, again)
    _, later = dd.act_together(config, planner, KEY, seen, plan)
    np.testing.assert_array_equal(later.states, plan.states)
    assert later.time == 1


def test_the_next_planned_state_is_aimed_at_in_the_steps_that_are_left():
    """Planned are 0, 0.8, 1.6 and 2.4, four steps apart; past its end the plan stays there."""
    config = dd.Config(horizon=4, stride=4, conditions=(), planning=dd.Planning(replan_every=100))
    planner = scripted(config, lambda *_: 0.8)
    seen, actions, _ = follow(config, planner, 0.0, 14)
    aims, left = np.repeat([0.8, 1.6, 2.4, 2.4], 4)[:14], np.tile([4, 3, 2, 1], 4)[:14]
    np.testing.assert_allclose(actions, (aims - seen[:14]) / left, atol=1e-5)


def test_the_history_is_what_was_seen_last_and_the_guess_the_rest_of_the_old_plan():
    config = dd.Config(
        horizon=6, history=3, conditions=(), planning=dd.Planning(replan_every=1, warm_steps=2)
    )
    known_states, guesses = [], []

    def told(known, guess):
        known_states.append(np.asarray(known.values[:, 0])[np.asarray(known.where[:, 0])])
        guesses.append(None if guess is None else np.asarray(guess[:, 0]))
        return 0.1

    with jax.disable_jit():
        seen, _, plan = follow(config, scripted(config, told), 1.0, 4)
    for time, states in enumerate(known_states):
        np.testing.assert_allclose(states, seen[max(0, time - 2) : time + 1], atol=1e-6)
    assert guesses[0] is None
    old = np.concatenate([known_states[3], known_states[3][-1] + 0.1 * np.arange(1, 4)])
    np.testing.assert_allclose(guesses[4], np.append(old[1:], old[-1]), atol=1e-5)
    assert int(plan.origin) == 2
