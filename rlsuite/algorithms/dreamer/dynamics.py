r"""Forward dynamics, and imagination in them.

Dynamics are a joint distribution over what follows an action, in two factors:

    f:  p(s' | s, a)   and   p(r, c | s, a, s'),

the next state, the reward, and whether the episode continues. A learned recurrent model, a learned
Markov model and the true environment all fit; ``imagine`` walks in any of them::

    state          s_0 ──a_0──▶ s_1 ──a_1──▶ s_2   …   s_H
    transition          0            1           …          t: from s_t to s_{t+1}
    rewards            r_0          r_1                     r_t is paid for (s_t, a_t)
    continuations      c_0          c_1                     c_t: the probability that s_{t+1}
                                                            is not the end

References:
    Hafner et al. 2020: Dream to control, arXiv:1912.01603, sec. 3.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control, Timestep
from rlsuite.ops.distributions import Deterministic

Params = Any
State = Any
Noise = Literal["all", "state", "none"]


class Outcome(NamedTuple):
    """What comes with the next state.

    Attributes:
        reward: Distribution of the reward.
        continuation: Distribution of whether the episode goes on, 0 or 1.
    """

    reward: Any
    continuation: Any


class Dynamics(NamedTuple):
    """A forward model; all functions take states with any leading axes.

    Attributes:
        transition: ``(params, key, state, action) -> distribution of the next state``. The key is
            for what is drawn to make the distribution, such as an environment's own noise.
        outcome: ``(params, state, action, next_state) -> Outcome``.
        features: ``(params, state) -> [*batch, feature]``, what a policy and a critic see.
        mask: ``(params, state) -> which entries of an action are allowed``, or None: all are.
    """

    transition: Callable[[Params, PRNGKeyArray, State, Array], Any]
    outcome: Callable[[Params, State, Array, State], Outcome]
    features: Callable[[Params, State], Array]
    mask: Callable[[Params, State], Array] | None = None


class Imagined(NamedTuple):
    """What was imagined from a batch of states.

    Attributes:
        states: s_0 … s_H, leaves ``[time + 1, *batch, …]``.
        features: What the policy saw of them.
        masks: Which entries of an action were allowed there; None: all.
        actions: a_0 … a_{H−1}.
        rewards: r_0 … r_{H−1}.
        continuations: c_0 … c_{H−1}, probabilities.
    """

    states: Any
    features: Float[Array, "steps *batch feature"]
    masks: Bool[Array, "steps *batch action"] | None
    actions: Float[Array, "time *batch action"]
    rewards: Float[Array, "time ..."]
    continuations: Float[Array, "time ..."]


def imagine(
    dynamics: Dynamics,
    params: Params,
    policy: Callable[[PRNGKeyArray, Array, Array | None], Array],
    key: PRNGKeyArray,
    starts: State,
    horizon: int,
    *,
    noise: Noise = "state",
) -> Imagined:
    """Let a policy act in a model.

    Args:
        dynamics: The model.
        params: Its parameters.
        policy: ``(key, features, mask) -> action``.
        key: Key.
        starts: s_0, leaves ``[*batch, …]``.
        horizon: H, how many actions.
        noise: What is sampled: next states ("state"; rewards are their means), rewards, too
            ("all"), or neither ("none": the most probable next state follows).

    Returns:
        The trajectories; differentiable in the parameters of model and policy.

    Raises:
        ValueError: If the horizon is below 1, or the noise is unknown.
    """
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}; allowed: a whole number at least 1")
    if noise not in ("all", "state", "none"):
        raise ValueError(f"noise is {noise!r}; allowed: 'all', 'state', 'none'")

    def seen(state: State) -> tuple[Array, Array | None]:
        mask = dynamics.mask(params, state) if dynamics.mask else None
        return dynamics.features(params, state), mask

    def step(state: State, key: PRNGKeyArray) -> tuple[State, Any]:
        of_policy, of_model, of_state, of_reward = jax.random.split(key, 4)
        features, mask = seen(state)
        action = policy(of_policy, features, mask)
        following = dynamics.transition(params, of_model, state, action)
        after = following.mode() if noise == "none" else following.sample(of_state)
        reward, continuation = dynamics.outcome(params, state, action, after)
        paid = reward.sample(of_reward) if noise == "all" else reward.mean()
        return after, ((state, features, mask), (action, paid, continuation.mean()))

    last, (before, outcomes) = jax.lax.scan(step, starts, jax.random.split(key, horizon))
    along = jax.tree.map(lambda xs, x: jnp.concatenate([xs, x[None]]), before, (last, *seen(last)))
    return Imagined(*along, *outcomes)


class Real(NamedTuple):
    """A state of the true environment, with what came with it.

    Attributes:
        inner: The environment's own state.
        timestep: What it shows there.
    """

    inner: Any
    timestep: Timestep


def environment_dynamics(problem: Control, features: Callable[[Any], Array]) -> Dynamics:
    """The true environment as a forward model, differentiable where the environment is.

    An episode that would be cut off goes on, as far as the model is concerned.

    Args:
        problem: The environment.
        features: From an observation to what a policy sees.

    Returns:
        The dynamics of ``Real`` states; they have no parameters.
    """
    environment = problem.environment
    if environment.supports_transition_gradients:
        problem = dataclasses.replace(problem, environment=environment.with_transition_gradients())

    def transition(params: Params, key: PRNGKeyArray, state: Real, action: Array) -> Deterministic:
        del params
        batch = action.shape[:-1]
        keys = jax.random.split(key, batch)
        step = problem.transition
        for _ in batch:
            step = jax.vmap(step)
        after, timestep = step(keys, state.inner, action)
        return Deterministic(Real(after.inner, timestep))

    def outcome(params: Params, state: Real, action: Array, after: Real) -> Outcome:
        del params, state, action
        alive = 1.0 - after.timestep.is_terminal
        return Outcome(Deterministic(after.timestep.reward), Deterministic(alive))

    return Dynamics(
        transition,
        outcome,
        lambda _, state: features(state.timestep.observation),
        (lambda _, state: state.timestep.mask) if hasattr(environment, "action_mask") else None,
    )
