r"""Walking through episodes with a memory, and the pieces that V-trace asks for.

Environments are walked through as :mod:`rlsuite.envs.control` has it: an episode of L actions is
L + 1 time steps, and the action at the last one is ignored. A rollout has N transitions t → t + 1
between time steps 0 … N, of which those that leave an episode's last step are no transitions::

    time step      0        1             L       0'      1'
    observation   o_0      o_1    …      o_L     o'_0    o'_1
    action        a_0      a_1          (none)   a'_0
    reward                 r_1           r_L      0      r'_1       of transition t: reward of t + 1
    is_valid      True     True   …      False   True
    ends          False    …     True (t = L − 1, and at L)

So the value of the observation at which an episode was cut off is computed with the memory of that
episode, it can be bootstrapped from, and nothing flows from one episode into another.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.algorithms.memory_meta.networks import Agent
from rlsuite.envs.control import Control, State, Timestep
from rlsuite.nets.network import Params
from rlsuite.nets.recurrent import Carry


class Walkers(NamedTuple):
    """Where the environments stand; every array has an axis of environments.

    Attributes:
        state: The environments' own states.
        timestep: What is seen.
        carry: What the policy remembers from before it.
        episode_return: The rewards of the episode so far.
    """

    state: State
    timestep: Timestep
    carry: Carry
    episode_return: Float[Array, " environment"]


class Rollout(NamedTuple):
    """Time steps 0 … N, and what was done at 0 … N − 1.

    Attributes:
        timesteps: ``[time + 1, environment, …]``.
        carry: What was remembered before the first; it is not used where an episode begins there.
        actions: As vectors, ``[time, environment, action]``.
        log_probs: Their log probabilities under the policy that acted.
        episode_returns: The rewards of the episode up to time steps 1 … N.
    """

    timesteps: Timestep
    carry: Carry
    actions: Float[Array, "time environment action"]
    log_probs: Float[Array, "time environment"]
    episode_returns: Float[Array, "time environment"]

    @property
    def is_valid(self) -> Bool[Array, "time environment"]:
        """Whether t → t + 1 is a transition."""
        return ~self.timesteps.is_last[:-1]

    @property
    def ends(self) -> Bool[Array, "time environment"]:
        """Whether another episode begins after transition t."""
        return self.timesteps.is_last[1:] | self.timesteps.is_last[:-1]


def start(problem: Control, network: Agent, key: PRNGKeyArray, count: int) -> Walkers:
    """Begin an episode in each environment.

    Args:
        problem: The environment.
        network: Whose memory is to be empty.
        key: Key.
        count: How many.

    Returns:
        Where they stand.
    """
    state, first = jax.vmap(problem.reset)(jax.random.split(key, count))
    return Walkers(state, first, network.initial((count,)), jnp.zeros(count))


def choose(
    network: Agent,
    params: Params,
    key: PRNGKeyArray | None,
    carry: Carry,
    timestep: Timestep,
) -> tuple[Carry, Float[Array, "environment action"], Float[Array, " environment"]]:
    """Choose an action in each environment.

    Args:
        network: The agent: logits of the actions, and a value.
        params: Its parameters.
        key: Key of what is drawn; None takes the likeliest action.
        carry: What is remembered.
        timestep: What is seen.

    Returns:
        (what is remembered, actions as one-hot vectors, their log probabilities).
    """
    now = timestep.observation[None], timestep.is_first[None]
    carry, heads = network.apply(params, carry, *now)
    logs = jax.nn.log_softmax(heads[0, :, :-1])
    picked = jnp.argmax(logs, axis=-1)
    if key is not None:
        picked = jax.random.categorical(key, logs)
    actions = jax.nn.one_hot(picked, logs.shape[-1])
    return carry, actions, jnp.sum(actions * logs, axis=-1)


def collect(
    problem: Control,
    network: Agent,
    params: Params,
    key: PRNGKeyArray,
    walkers: Walkers,
    length: int,
) -> tuple[Walkers, Rollout]:
    """Walk on with one policy.

    Args:
        problem: The environment.
        network: The agent.
        params: Its parameters.
        key: Key.
        walkers: Where the environments stand.
        length: N.

    Returns:
        (where they stand then, what happened).
    """

    def step(now: Walkers, keys: Any) -> tuple[Walkers, Any]:
        of_action, of_step = keys
        carry, actions, logs = choose(network, params, of_action, now.carry, now.timestep)
        state, seen = jax.vmap(problem.step)(of_step, now.state, actions)
        earned = jnp.where(seen.is_first, 0.0, now.episode_return + seen.reward)
        then = Walkers(state, seen, carry, earned)
        return then, (now.timestep, actions, logs, earned)

    of_actions, of_steps = jax.random.split(key)
    # Keys are drawn all at once, which is faster than one by one within the loop.
    each = jax.random.split(of_steps, (length, walkers.episode_return.shape[0]))
    then, (timesteps, *done) = jax.lax.scan(
        step, walkers, (jax.random.split(of_actions, length), each)
    )
    timesteps = jax.tree.map(
        lambda early, last: jnp.concatenate([early, last[None]]), timesteps, then.timestep
    )
    return then, Rollout(timesteps, walkers.carry, *done)
