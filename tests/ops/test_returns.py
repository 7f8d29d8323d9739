"""Returns against their definitions as explicit sums, and against rlax."""

import inspect

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import rlax

from rlsuite.ops import returns as ops

lambda_returns, generalized_advantage, vtrace = (
    jax.jit(function, static_argnames="method")
    for function in (ops.lambda_returns, ops.generalized_advantage, ops.vtrace)
)
n_step_returns = jax.jit(ops.n_step_returns, static_argnums=3)

TIME = 9
GAMMA = 0.9
METHODS = ("scan", "associative")


class Trajectory:
    """Three episodes: one terminates after 2, one is truncated after 5, the arrays end in a third.

    The state that a transition leads to is the next one's state only inside an episode.
    """

    def __init__(self, seed=0):
        draw = np.random.default_rng(seed)
        self.rewards, self.values, self.next_values = draw.normal(size=(3, TIME))
        self.ends = np.isin(np.arange(TIME), [2, 5])
        inside = ~self.ends[:-1]
        self.next_values[:-1][inside] = self.values[1:][inside]
        # Probabilities of going on that are neither 0 nor 1, as a world model predicts.
        self.discounts = GAMMA * draw.uniform(0.6, 1.0, TIME)
        self.discounts[2] = 0.0
        self.log_ratios = draw.normal(size=TIME)
        self.lambdas = draw.uniform(0.2, 0.9, TIME)

    def left(self, t):
        """How many transitions the episode of t still has, t included."""
        return next(k for k in range(t, TIME) if self.ends[k] or k == TIME - 1) - t + 1

    def n_step(self, t, n):
        """Σ_{k<n} (Π_{j<k} d_{t+j}) r_{t+k} + (Π_{j<n} d_{t+j}) V(s_{t+n})."""
        reach = [np.prod(self.discounts[t : t + k]) for k in range(n + 1)]
        rewards = sum(reach[k] * self.rewards[t + k] for k in range(n))
        return rewards + reach[n] * self.next_values[t + n - 1]

    def lambda_return(self, t, lambdas):
        """Σ_n (1 − λ_{t+n−1}) (Π_{j<n−1} λ_{t+j}) g^n, and what weight is left on the last."""
        left = self.left(t)
        kept = [np.prod(lambdas[t : t + k]) for k in range(left)]
        early = sum(
            kept[n - 1] * (1 - lambdas[t + n - 1]) * self.n_step(t, n) for n in range(1, left)
        )
        return early + kept[-1] * self.n_step(t, left)

    def errors(self):
        return self.rewards + self.discounts * self.next_values - self.values

    def advantage(self, t, lambdas):
        """Σ_k (Π_{j<k} d_{t+j} λ_{t+j}) δ_{t+k}."""
        decay = self.discounts * lambdas
        return sum(np.prod(decay[t : t + k]) * self.errors()[t + k] for k in range(self.left(t)))


def all_steps(function, *arguments):
    return np.asarray([function(t, *arguments) for t in range(TIME)])


@pytest.fixture
def data():
    return Trajectory()


def same(one, other, tolerance=1e-12):
    np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)


LAMBDAS = {"zero": np.zeros(TIME), "one": np.ones(TIME), "some": np.full(TIME, 0.7)}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", [*LAMBDAS, "each"])
def test_lambda_returns_are_the_mean_of_n_step_returns(data, name, method):
    lambdas = LAMBDAS.get(name, data.lambdas)
    given = jnp.asarray(lambdas) if name == "each" else float(lambdas[0])
    found = lambda_returns(
        data.rewards, data.discounts, data.next_values, given, ends=data.ends, method=method
    )
    same(found, all_steps(data.lambda_return, lambdas))


def test_lambda_zero_is_one_step_and_lambda_one_goes_to_the_end(data):
    arrays = data.rewards, data.discounts, data.next_values
    one_step, whole = (n_step_returns(*arrays, n, ends=data.ends) for n in (1, 1000))
    same(one_step, data.rewards + data.discounts * data.next_values)
    same(lambda_returns(*arrays, 0.0, ends=data.ends), one_step)
    same(lambda_returns(*arrays, 1.0, ends=data.ends), whole)


@pytest.mark.parametrize("n", [1, 2, 3, 4, TIME, TIME + 1])
def test_n_step_returns_are_sums_of_n_rewards_and_a_bootstrap(data, n):
    found = n_step_returns(data.rewards, data.discounts, data.next_values, n, ends=data.ends)
    same(found, all_steps(lambda t: data.n_step(t, min(n, data.left(t)))))


@pytest.mark.parametrize("method", METHODS)
def test_generalized_advantages_are_sums_of_errors(data, method):
    arrays = data.rewards, data.discounts, data.values, data.next_values
    found = generalized_advantage(*arrays, jnp.asarray(data.lambdas), ends=data.ends, method=method)
    same(found, all_steps(data.advantage, data.lambdas))
    returns = lambda_returns(
        data.rewards, data.discounts, data.next_values, jnp.asarray(data.lambdas), ends=data.ends
    )
    same(found, returns - data.values)


@pytest.mark.parametrize("method", METHODS)
def test_vtrace_is_the_sum_of_its_definition(data, method):
    clip_rho, clip_c, clip_policy_rho, lambda_ = 1.3, 0.8, 1.7, 0.9
    ratios = np.exp(data.log_ratios)
    errors = np.minimum(clip_rho, ratios) * data.errors()
    decay = data.discounts * lambda_ * np.minimum(clip_c, ratios)

    def correction(t):
        return sum(np.prod(decay[t : t + k]) * errors[t + k] for k in range(data.left(t)))

    def advantage(t):
        ahead = data.next_values[t]
        if data.left(t) > 1:
            ahead = ahead + lambda_ * correction(t + 1)
        target = data.rewards[t] + data.discounts[t] * ahead
        return min(clip_policy_rho, ratios[t]) * (target - data.values[t])

    found = vtrace(
        data.rewards,
        data.discounts,
        data.values,
        data.next_values,
        data.log_ratios,
        lambda_=lambda_,
        clip_rho=clip_rho,
        clip_c=clip_c,
        clip_policy_rho=clip_policy_rho,
        ends=data.ends,
        method=method,
    )
    same(found.targets, data.values + all_steps(correction))
    same(found.advantages, all_steps(advantage))


def test_on_policy_vtrace_is_lambda_returns_and_generalized_advantages(data):
    found = vtrace(
        data.rewards,
        data.discounts,
        data.values,
        data.next_values,
        np.zeros(TIME),
        lambda_=0.8,
        ends=data.ends,
    )
    returns = lambda_returns(data.rewards, data.discounts, data.next_values, 0.8, ends=data.ends)
    same(found.targets, returns)
    same(found.advantages, returns - data.values)


def test_rlax_agrees_on_a_trajectory_in_one_piece():
    data = Trajectory(1)
    rewards, discounts, lambdas, log_ratios = map(
        jnp.asarray, (data.rewards, data.discounts, data.lambdas, data.log_ratios)
    )
    values = jnp.asarray(np.append(data.values, 0.4))
    now, after = values[:-1], values[1:]
    with jax.numpy_dtype_promotion("standard"):
        same(
            lambda_returns(rewards, discounts, after, lambdas),
            rlax.lambda_returns(rewards, discounts, after, lambdas),
        )
        for n in (1, 3):
            same(
                n_step_returns(rewards, discounts, after, n),
                rlax.n_step_bootstrapped_returns(rewards, discounts, after, n),
            )
        same(
            generalized_advantage(rewards, discounts, now, after, 0.95),
            rlax.truncated_generalized_advantage_estimation(rewards, discounts, 0.95, values),
        )
        theirs = rlax.vtrace_td_error_and_advantage(
            now, after, rewards, discounts, jnp.exp(log_ratios), lambda_=lambdas
        )
    ours = vtrace(rewards, discounts, now, after, log_ratios, lambda_=lambdas)
    same(ours.targets - now, theirs.errors)
    same(ours.advantages, theirs.pg_advantage)


@pytest.mark.parametrize("shifted", ["rewards", "discounts", "next_values", "ends"])
@pytest.mark.parametrize("by", [-1, 1])
def test_an_input_one_step_off_shows(data, shifted, by):
    arrays = {name: getattr(data, name) for name in ("rewards", "discounts", "next_values")}
    arrays |= {"ends": data.ends}
    right = lambda_returns(**arrays, lambda_=0.7)
    wrong = lambda_returns(**arrays | {shifted: np.roll(arrays[shifted], by)}, lambda_=0.7)
    same(right, all_steps(data.lambda_return, np.full(TIME, 0.7)))
    assert np.abs(right - wrong).max() > 0.1


def test_the_bootstrap_by_hand():
    """A step off, the first return would be 1.5 or 5.5 rather than 6.5."""
    found = lambda_returns(np.asarray([1.0, 2.0]), np.full(2, 0.5), np.asarray([10.0, 20.0]), 0.5)
    same(found, [6.5, 12.0])


def test_termination_takes_no_value_and_truncation_that_of_the_final_observation(data):
    """Only the final observation's value tells the two apart; the next episode's never enters."""

    def returns(next_values):
        return lambda_returns(data.rewards, data.discounts, next_values, 0.7, ends=data.ends)

    slopes = jax.jacobian(returns)(jnp.asarray(data.next_values))
    same(slopes[:, 2], 0.0)
    same(slopes[5, 5], data.discounts[5])
    assert np.all(slopes[3:6, 5] > 0)

    by_reward = jax.jacobian(
        lambda rewards: lambda_returns(
            rewards, data.discounts, data.next_values, 0.7, ends=data.ends
        )
    )(jnp.asarray(data.rewards))
    episode = np.cumsum(np.append(0, data.ends[:-1]))
    reaches = (episode[:, None] == episode) & np.triu(np.ones((TIME, TIME), bool))
    np.testing.assert_array_equal(np.asarray(by_reward) != 0, reaches)


def test_episodes_together_are_episodes_apart(data):
    together = lambda_returns(data.rewards, data.discounts, data.next_values, 0.7, ends=data.ends)
    parts = [slice(0, 3), slice(3, 6), slice(6, TIME)]
    apart = [
        lambda_returns(data.rewards[p], data.discounts[p], data.next_values[p], 0.7) for p in parts
    ]
    same(together, np.concatenate(apart))


def objective(method, inputs):
    """A number that depends on everything."""
    rewards, discounts, values, next_values, log_ratios, lambdas = inputs
    ends = jnp.arange(len(rewards)) % 11 == 6
    rest = {"ends": ends, "method": method}
    weights = jnp.cos(jnp.arange(len(rewards)).astype(rewards.dtype))
    found = (
        lambda_returns(rewards, discounts, next_values, lambdas, **rest),
        generalized_advantage(rewards, discounts, values, next_values, lambdas, **rest),
        *vtrace(
            rewards, discounts, values, next_values, log_ratios, lambda_=lambdas, clip_c=2.0, **rest
        ),
    )
    return sum(weights @ (k * each + each**2) for k, each in zip((1, 2, 3, 4), found, strict=True))


def random_inputs(time, batch=()):
    draw = np.random.default_rng(3)
    arrays = list(draw.normal(size=(6, *batch, time)))
    arrays[1], arrays[5] = draw.uniform(0.5, 1.0, (2, *batch, time))
    return tuple(map(jnp.asarray, arrays))


def test_both_methods_agree_with_their_gradients_under_jit_and_vmap():
    inputs = random_inputs(33, (4,))
    (one, one_slopes), (other, other_slopes) = (
        jax.jit(jax.vmap(jax.value_and_grad(lambda x, m=method: objective(m, x))))(inputs)
        for method in METHODS
    )
    np.testing.assert_allclose(one, other, rtol=1e-12)
    for x, y in zip(one_slopes, other_slopes, strict=True):
        same(x, y, 1e-12 * max(1.0, float(jnp.abs(x).max())))
        assert np.abs(x).max() > 0.1


@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_those_of_finite_differences(method):
    jax.test_util.check_grads(
        lambda x: objective(method, x), (random_inputs(6),), order=1, modes=["rev"], rtol=1e-6
    )


def test_gradients_of_n_step_returns_are_those_of_finite_differences(data):
    def total(*arrays):
        return n_step_returns(*arrays, 3, ends=data.ends) @ jnp.cos(jnp.arange(TIME, dtype=float))

    arrays = tuple(map(jnp.asarray, (data.rewards, data.discounts, data.next_values)))
    jax.test_util.check_grads(total, arrays, order=1, modes=["rev"], rtol=1e-6)


def test_what_is_wrong_is_named():
    three, four = jnp.ones(3), jnp.ones(4)
    returns = inspect.unwrap(ops.lambda_returns)
    with pytest.raises(ValueError, match=r"rewards has the shape \(1, 3\); allowed: one axis"):
        returns(three[None], three[None], three[None], 0.9)
    with pytest.raises(ValueError, match=r"discounts has the shape \(4,\)"):
        returns(three, four, three, 0.9)
    with pytest.raises(ValueError, match=r"ends has the shape \(1,\)"):
        returns(three, three, three, 0.9, ends=jnp.ones(1, bool))
    with pytest.raises(ValueError, match=r"lambda_ has the shape \(4,\)"):
        returns(three, three, three, four)
    with pytest.raises(ValueError, match=r"method is 'loop'; allowed: 'scan', 'associative'"):
        returns(three, three, three, 0.9, method="loop")
    with pytest.raises(ValueError, match="n is 0; allowed: a whole number at least 1"):
        ops.n_step_returns(three, three, three, 0)
    with pytest.raises(ValueError, match=r"values has the shape \(4,\)"):
        inspect.unwrap(ops.generalized_advantage)(three, three, four, three, 0.9)
    with pytest.raises(ValueError, match=r"log_ratios has the shape \(4,\)"):
        inspect.unwrap(ops.vtrace)(three, three, three, three, four)
