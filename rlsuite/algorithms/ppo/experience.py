r"""Walking through many environments at once, and what a policy learns from it.

Environments start anew by themselves: transition t leads from o_t to ``next_observations[t]``, and
where the episode ended there, o_{t+1} already belongs to the next one::

    observations        o_0        o_1        o_2 = o_L     →  o'_0 (reset)
    actions             a_0        a_1
    next_observations   o_1        o_2
    ends                False      True
    is_terminal         False      True if it ended for good, False if it was cut off

So the value of the state in which an episode was *cut off* is there to be bootstrapped from, and no
value leaks from one episode into another.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.algorithms.ppo.networks import ActorCritic, distribution
from rlsuite.algorithms.ppo.normalization import normalize
from rlsuite.envs.control import Actions, Control, Timestep
from rlsuite.nets.network import Params
from rlsuite.nets.recurrent import Carry
from rlsuite.ops.returns import generalized_advantage


class Walkers(NamedTuple):
    """Where the environments stand; every array has an axis of environments.

    Attributes:
        inner: The environments' own states.
        observation: What is seen.
        mask: Which actions are allowed; None if all always are.
        is_first: Whether an episode begins here.
        carry: What the policy remembers.
        episode_return: The rewards of the episode so far.
        episode_length: Its transitions so far.
    """

    inner: Any
    observation: Any
    mask: Bool[Array, "environment action"] | None
    is_first: Bool[Array, " environment"]
    carry: Carry
    episode_return: Float[Array, " environment"]
    episode_length: Float[Array, " environment"]


class Experience(NamedTuple):
    """Transitions, ``[time, environment]``; see the module's table.

    Attributes:
        observations: o_t.
        masks: Which actions were allowed; None if all always are.
        is_first: Whether an episode began with o_t.
        carries: What was remembered before o_t.
        actions: a_t.
        log_probs: log π(a_t | o_t) of the policy that acted.
        rewards: r_t, of the environment.
        is_terminal: Whether the episode ended for good.
        ends: Whether it ended.
        next_observations: Where transition t led, before any reset.
        episode_returns: The rewards of the episode up to r_t.
        episode_lengths: Its transitions up to t.
    """

    observations: Any
    masks: Bool[Array, "time environment action"] | None
    is_first: Bool[Array, "time environment"]
    carries: Carry
    actions: Float[Array, "time environment action"]
    log_probs: Float[Array, "time environment"]
    rewards: Float[Array, "time environment"]
    is_terminal: Bool[Array, "time environment"]
    ends: Bool[Array, "time environment"]
    next_observations: Any
    episode_returns: Float[Array, "time environment"]
    episode_lengths: Float[Array, "time environment"]


def start(problem: Control, network: ActorCritic, key: PRNGKeyArray, num_envs: int) -> Walkers:
    """Begin an episode in each environment.

    Args:
        problem: The environment.
        network: Whose memory is to be empty.
        key: Key.
        num_envs: How many.

    Returns:
        Where they stand.
    """
    state, first = jax.vmap(problem.reset)(jax.random.split(key, num_envs))
    return Walkers(
        inner=state.inner,
        observation=first.observation,
        mask=first.mask,
        is_first=first.is_first,
        carry=network.initial((num_envs,)),
        episode_return=jnp.zeros(num_envs),
        episode_length=jnp.zeros(num_envs),
    )


def act(
    actions: Actions,
    network: ActorCritic,
    params: Params,
    seen: Any,
    key: PRNGKeyArray | None,
    walkers: Walkers,
) -> tuple[Carry, Float[Array, "environment action"], Float[Array, " environment"]]:
    """Choose an action in each environment.

    Args:
        actions: What actions there are.
        network: The policy.
        params: Its parameters.
        seen: Moments by which observations are normalised; None for none.
        key: Key of what is drawn; None takes the likeliest action.
        walkers: Where the environments stand.

    Returns:
        (what is remembered, actions, their log probabilities).
    """
    observation = normalize(seen, walkers.observation)
    now = jax.tree.map(lambda leaf: leaf[None], (observation, walkers.is_first))
    carry, outputs = network.apply(params, walkers.carry, *now)
    choice = distribution(actions, outputs.head[0], walkers.mask)
    vectors = choice.mode() if key is None else choice.sample(key)
    return carry, vectors, choice.log_prob(vectors)


def move(
    problem: Control,
    keys: tuple[Array, Array],
    walkers: Walkers,
    actions: Float[Array, "environment action"],
) -> tuple[Walkers, Timestep]:
    """Act in each environment, and begin the next episode where one has ended.

    Args:
        problem: The environment.
        keys: Two keys for each environment, of its transition and of its next beginning.
        walkers: Where the environments stand.
        actions: Their actions.

    Returns:
        (where they stand then, the time steps that were reached, before any reset).
    """
    of_step, of_reset = keys
    went, reached = jax.vmap(problem.transition)(of_step, walkers.inner, actions)
    fresh = jax.vmap(problem.reset)(of_reset)
    ends = reached.is_last

    def select(new: Array, old: Array) -> Array:
        return jnp.where(ends.reshape(ends.shape + (1,) * (old.ndim - 1)), new, old)

    state, seen = jax.tree.map(select, fresh, (went, reached))
    return Walkers(
        inner=state.inner,
        observation=seen.observation,
        mask=seen.mask,
        is_first=seen.is_first,
        carry=walkers.carry,
        episode_return=jnp.where(ends, 0.0, walkers.episode_return + reached.reward),
        episode_length=jnp.where(ends, 0.0, walkers.episode_length + 1),
    ), reached


def collect(
    problem: Control,
    network: ActorCritic,
    params: Params,
    seen: Any,
    key: PRNGKeyArray,
    walkers: Walkers,
    length: int,
) -> tuple[Walkers, Experience]:
    """Walk on with one policy.

    Args:
        problem: The environment.
        network: The policy.
        params: Its parameters.
        seen: Moments by which observations are normalised for it; None for none.
        key: Key.
        walkers: Where the environments stand.
        length: How many transitions of each.

    Returns:
        (where they stand then, what happened, as the environments gave it).
    """
    policy = functools.partial(act, problem.actions, network, params, seen)

    def step(now: Walkers, keys: Any) -> tuple[Walkers, Experience]:
        of_action, *of_environments = keys
        carry, actions, log_probs = policy(of_action, now)
        then, reached = move(problem, tuple(of_environments), now._replace(carry=carry), actions)
        return then, Experience(
            observations=now.observation,
            masks=now.mask,
            is_first=now.is_first,
            carries=now.carry,
            actions=actions,
            log_probs=log_probs,
            rewards=reached.reward,
            is_terminal=reached.is_terminal,
            ends=reached.is_last,
            next_observations=reached.observation,
            episode_returns=now.episode_return + reached.reward,
            episode_lengths=now.episode_length + 1,
        )

    # Keys are drawn all at once, which is faster than one by one within the loop.
    of_actions, of_steps, of_resets = jax.random.split(key, 3)
    each = (length, walkers.is_first.shape[0])
    keys = (
        jax.random.split(of_actions, length),
        jax.random.split(of_steps, each),
        jax.random.split(of_resets, each),
    )
    return jax.lax.scan(step, walkers, keys)


def episodes(
    problem: Control,
    network: ActorCritic,
    policy: Callable[[PRNGKeyArray, Walkers], tuple[Carry, Any, Any]],
    key: PRNGKeyArray,
    count: int,
) -> tuple[Float[Array, " episode"], Float[Array, " episode"]]:
    """Walk through whole episodes side by side.

    Args:
        problem: The environment; its episodes must end.
        network: Whose memory is empty at the beginning.
        policy: From a key and the walkers to what ``act`` returns.
        key: Key.
        count: How many episodes.

    Returns:
        (undiscounted returns, numbers of transitions).
    """
    of_start, of_steps = jax.random.split(key)

    def goes_on(loop: Any) -> Bool[Array, ""]:
        _, _, ended = loop
        return ~jnp.all(ended)

    def step(loop: Any) -> Any:
        time, now, ended = loop
        of_policy, of_step = jax.random.split(jax.random.fold_in(of_steps, time))
        carry, actions, _ = policy(of_policy, now)
        keys = jax.random.split(of_step, count)
        state, reached = jax.vmap(problem.transition)(keys, now.inner, actions)
        then = Walkers(
            inner=state.inner,
            observation=reached.observation,
            mask=reached.mask,
            is_first=reached.is_first,
            carry=carry,
            episode_return=now.episode_return + jnp.where(ended, 0.0, reached.reward),
            episode_length=now.episode_length + ~ended,
        )
        return time + 1, then, ended | reached.is_last

    first = start(problem, network, of_start, count)
    _, last, _ = jax.lax.while_loop(goes_on, step, (0, first, jnp.zeros(count, bool)))
    return last.episode_return, last.episode_length


def estimate(
    network: ActorCritic,
    params: Params,
    experience: Experience,
    last_carry: Carry,
    *,
    discount: float | Float[Array, ""],
    lambda_: float | Float[Array, ""],
) -> tuple[Float[Array, "time environment"], Float[Array, "time environment"]]:
    """Values, and generalised advantages.

    Args:
        network: The value function.
        params: Its parameters.
        experience: What happened, its observations and rewards normalised if they are to be.
        last_carry: What is remembered at its end.
        discount: γ.
        lambda_: λ.

    Returns:
        (V(o_t), advantages). An advantage bootstraps from the value of ``next_observations``
        where the arrays end or an episode was cut off, and from nothing where it ended for good.

    Reference:
        Schulman et al. 2016, eq. 16.
    """

    def values(carries: Carry, observations: Any, is_first: Any) -> Float[Array, "time sequence"]:
        flat = jax.tree.map(
            lambda leaf: leaf.reshape(1, -1, *leaf.shape[2:]), (observations, is_first)
        )
        carries = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), carries)
        _, outputs = network.apply(params, carries, *flat)
        return outputs.value.reshape(is_first.shape)

    here = values(experience.carries, experience.observations, experience.is_first)
    there = _following(values, experience, last_carry, here)
    discounts = discount * (1.0 - experience.is_terminal)

    def of_environment(r: Array, d: Array, v: Array, v_next: Array, ends: Array) -> Array:
        return generalized_advantage(r, d, v, v_next, lambda_, ends=ends)

    advantages = jax.vmap(of_environment, in_axes=1, out_axes=1)(
        experience.rewards, discounts, here, there, experience.ends
    )
    return here, advantages


def _following(
    values: Callable[[Carry, Any, Array], Array],
    experience: Experience,
    last_carry: Carry,
    here: Float[Array, "time environment"],
) -> Float[Array, "time environment"]:
    """V(``next_observations``): of o_{t+1}, which is known, as long as no episode was cut off."""
    nowhere = jnp.zeros_like(experience.is_first)

    def last() -> Array:
        reached = jax.tree.map(lambda leaf: leaf[-1:], experience.next_observations)
        carries = jax.tree.map(lambda leaf: leaf[None], last_carry)
        return jnp.concatenate([here[1:], values(carries, reached, nowhere[-1:])])

    def every() -> Array:
        # What is remembered after o_t, before an episode that begins there makes it be forgotten.
        after = jax.tree.map(
            lambda carries, last: jnp.concatenate([carries[1:], last[None]]),
            experience.carries,
            last_carry,
        )
        return values(after, experience.next_observations, nowhere)

    cut_off = jnp.any(experience.ends & ~experience.is_terminal)
    return jax.lax.cond(cut_off, every, last)
