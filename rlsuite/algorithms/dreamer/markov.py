r"""World models whose state is the observation: a learned Markov model, and the true environment.

The Markov model predicts, from the observation o (a vector) and the action,

    o' ~ N(o + μ_k(o, a), diag σ_k(o, a)²),    r, c ~ heads of (o, a, o'),

with k drawn anew for every prediction from an ensemble of such models. Each is fitted by maximum
likelihood to all transitions within episodes.

References:
    Chua et al. 2018: Deep reinforcement learning in a handful of trials using probabilistic
    dynamics models, arXiv:1805.12114 (ensembles; their TS1 draws members as it is done here).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.dreamer import observations
from rlsuite.algorithms.dreamer.config import Model
from rlsuite.algorithms.dreamer.dynamics import Dynamics, Outcome, Real, environment_dynamics
from rlsuite.algorithms.dreamer.world import Inferred, WorldModel, head, head_size, likely
from rlsuite.envs.control import Control, Spec, Timestep
from rlsuite.nets.layers import MLP
from rlsuite.ops.distributions import Bernoulli, DiagonalNormal, symlog

_MIN_STD = 1e-3


def markov_world(spec: Spec, model: Model) -> WorldModel:
    """A model, or an ensemble of models, of the observation itself.

    Args:
        spec: What there is to see and to do; observations must be vectors.
        model: Its hyperparameters: ``members``, ``layers``, ``units``, ``heads``, ``symlog``.

    Returns:
        The model; its states are observations as vectors.

    Raises:
        ValueError: If an observation has pictures.
    """
    parts = observations.parts_of(spec.timestep.observation)
    if any(part.kind != "vector" for part in parts):
        raise ValueError(
            f"model kind is 'markov' and observations have shapes {[p.shape for p in parts]}; "
            f"allowed: vectors"
        )
    initial = jnp.zeros(sum(part.size for part in parts))
    size, action_size = initial.shape[0], spec.actions.size
    step = MLP(model.layers, model.units, 2 * size, 0.1)
    zero = 0.0 if model.heads == "twohot" else 1.0
    reward = MLP(model.layers, model.units, head_size(model), zero)
    continuation = MLP(model.layers, model.units, 1)
    masked = None if spec.timestep.mask is None else MLP(1, model.units, action_size)

    def features(params: Any, state: Array) -> Array:
        del params
        return symlog(state) if model.symlog else state

    def init(key: PRNGKeyArray) -> Any:
        keys = jax.random.split(key, 4)
        now, pair = jnp.zeros(size + action_size), jnp.zeros(2 * size + action_size)
        params = {
            "step": jax.vmap(step.init, (0, None))(jax.random.split(keys[0], model.members), now),
            "reward": reward.init(keys[1], pair),
            "continuation": continuation.init(keys[2], pair),
        }
        if masked is not None:
            params["mask"] = masked.init(keys[3], initial)
        return params

    def members(params: Any, state: Array, action: Array) -> DiagonalNormal:
        inputs = jnp.concatenate([features(None, state), action], axis=-1)
        moved, raw = jnp.split(jax.vmap(step.apply, (0, None))(params["step"], inputs), 2, axis=-1)
        return DiagonalNormal(state + moved, nn.softplus(raw) + _MIN_STD)

    def transition(params: Any, key: PRNGKeyArray, state: Array, action: Array) -> DiagonalNormal:
        who = jax.random.randint(key, state.shape[:-1], 0, model.members)
        pick = lambda x: jnp.take_along_axis(x, who[None, ..., None], axis=0)[0]  # noqa: E731
        return jax.tree.map(pick, members(params, state, action))

    def outcome(params: Any, state: Array, action: Array, after: Array) -> Outcome:
        inputs = jnp.concatenate([features(None, state), action, features(None, after)], axis=-1)
        return Outcome(
            head(model, reward.apply(params["reward"], inputs)),
            Bernoulli(continuation.apply(params["continuation"], inputs)[..., 0]),
        )

    def observe(
        params: Any, key: PRNGKeyArray, state: Array, action: Array, timestep: Timestep, inner: Any
    ) -> Array:
        del params, key, state, action, inner
        return observations.vector_of(timestep.observation, parts)

    def infer(
        params: Any,
        key: PRNGKeyArray,
        before: Array,
        actions: Array,
        timesteps: Timestep,
        stored: Any,
    ) -> Inferred:
        del key, stored
        after = observations.vector_of(timesteps.observation, parts)
        state = jnp.concatenate([before[:, None], after[:, :-1]], axis=1)
        within = 1.0 - timesteps.is_first

        def mean(log_prob: Float[Array, "*batch"]) -> Float[Array, ""]:
            return -jnp.sum(within * log_prob) / jnp.maximum(jnp.sum(within), 1)

        found = outcome(params, state, actions, after)
        of_members = jax.vmap(lambda p: p.log_prob(after))(members(params, state, actions))
        losses = {
            "transition": mean(jnp.sum(of_members, axis=0)),
            "reward": mean(found.reward.log_prob(timesteps.reward)),
            "continuation": mean(found.continuation.log_prob(1.0 - timesteps.is_terminal)),
        }
        if masked is not None:
            allowed = Bernoulli(masked.apply(params["mask"], features(None, after)))
            told = jnp.sum(allowed.log_prob(timesteps.mask * 1.0), axis=-1)
            losses["mask"] = -jnp.mean(told)
        return Inferred(jnp.sum(jnp.stack([*losses.values()])), after, losses)

    def mask(params: Any, state: Array) -> Array:
        return likely(masked.apply(params["mask"], features(params, state)))

    def decode(params: Any, state: Array) -> Any:
        del params
        return observations.split(state, spec.timestep.observation, parts)

    dynamics = Dynamics(transition, outcome, features, mask if masked else None)
    return WorldModel(init, initial, observe, infer, dynamics, decode)


def environment_world(problem: Control, model: Model) -> WorldModel:
    """The true environment in the place of a model; there is nothing to learn about it.

    Args:
        problem: The environment; differentiable, if policies are to learn along its gradient.
        model: Says whether observations go through symlog.

    Returns:
        The model; its states are ``Real``.
    """
    spec = problem.spec
    parts = observations.parts_of(spec.timestep.observation)

    def features(observation: Any) -> Array:
        vector = observations.vector_of(observation, parts)
        return symlog(vector) if model.symlog else vector

    blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), spec)
    initial = Real(blank.inner, blank.timestep)

    def observe(
        params: Any, key: PRNGKeyArray, state: Real, action: Array, timestep: Timestep, inner: Any
    ) -> Real:
        del params, key, state, action
        return Real(inner, timestep)

    def infer(
        params: Any,
        key: PRNGKeyArray,
        before: Real,
        actions: Array,
        timesteps: Timestep,
        stored: Real,
    ) -> Inferred:
        del params, key, before, actions, timesteps
        return Inferred(jnp.zeros(()), stored, {})

    def decode(params: Any, state: Real) -> Any:
        del params
        return state.timestep.observation

    dynamics = environment_dynamics(problem, features)
    return WorldModel(lambda key: {}, initial, observe, infer, dynamics, decode)
