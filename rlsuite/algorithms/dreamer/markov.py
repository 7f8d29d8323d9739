r"""World models whose state is the observation: a learned Markov model, and the true environment.

The Markov model predicts, from the observation o (a vector) and the action,

    o' ~ N(o + μ_k(o, a), diag σ_k(o, a)²),    r, c ~ heads of (o, a, o'),

with k drawn anew for every prediction from an ensemble of such models: a mixture, whose mean is
that of the members' means. Each is fitted by maximum likelihood to all transitions within episodes.

References:
    Chua et al. 2018: Deep reinforcement learning in a handful of trials using probabilistic
    dynamics models, arXiv:1805.12114 (ensembles; their TS1 draws members as it is done here).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, PRNGKeyArray

from rlsuite.algorithms.dreamer import observations
from rlsuite.algorithms.dreamer.config import Model
from rlsuite.algorithms.dreamer.dynamics import Dynamics, Outcome, Real, environment_dynamics
from rlsuite.algorithms.dreamer.world import Inferred, WorldModel, head, head_size, likely
from rlsuite.envs.control import Control, Spec, Timestep
from rlsuite.nets.layers import MLP
from rlsuite.ops.distributions import Bernoulli, DiagonalNormal, symlog
from rlsuite.ops.pytrees import pytree

_MIN_STD = 1e-3


@pytree()
@dataclasses.dataclass(frozen=True)
class Mixture:
    """What several models say, one of which is as likely to be right as another.

    Attributes:
        members: Leaves ``[member, …]``.
    """

    members: DiagonalNormal

    def sample(self, key: PRNGKeyArray) -> Array:
        """What a random member says might be, differentiable in its parameters."""
        of_member, of_value = jax.random.split(key)
        count, *shape, _ = self.members.loc.shape
        who = jax.random.randint(of_member, (1, *shape, 1), 0, count)
        chosen = jax.tree.map(lambda x: jnp.take_along_axis(x, who, axis=0)[0], self.members)
        return chosen.sample(of_value)

    def mean(self) -> Array:
        """The mean of the members' means."""
        return jnp.mean(self.members.mean(), axis=0)

    def mode(self) -> Array:
        """The mean: where members differ, the most probable value has no closed form."""
        return self.mean()


class _Markov:
    """The networks of the Markov model, and what is computed with them."""

    def __init__(self, spec: Spec, model: Model) -> None:
        """Make the networks; nothing has parameters yet."""
        self.model, self.shown = model, spec.timestep.observation
        self.parts = observations.parts_of(self.shown)
        if any(part.kind != "vector" for part in self.parts):
            raise ValueError(
                f"model kind is 'markov' and observations have shapes "
                f"{[part.shape for part in self.parts]}; allowed: vectors"
            )
        layers, units = model.layers, model.units
        size, self.action_size = sum(part.size for part in self.parts), spec.actions.size
        self.initial, self.sizes = jnp.zeros(size), spec.actions.sizes
        zero = 0.0 if model.heads == "twohot" else 1.0
        self.step: Any = MLP(layers, units, 2 * size, 0.1)
        self.heads: dict[str, Any] = {
            "reward": MLP(layers, units, head_size(model), zero),
            "continuation": MLP(layers, units, 1),
        }
        if spec.timestep.mask is not None:
            self.heads["mask"] = MLP(layers, units, self.action_size)

    def features(self, params: Any, state: Array) -> Array:
        del params
        return symlog(state) if self.model.symlog else state

    def init(self, key: PRNGKeyArray) -> Any:
        of_step, *keys = jax.random.split(key, 1 + len(self.heads))
        size = self.initial.size
        each = jax.random.split(of_step, self.model.members)
        params = {
            "step": jax.vmap(self.step.init, (0, None))(each, jnp.zeros(size + self.action_size))
        }
        for (name, network), key in zip(self.heads.items(), keys, strict=True):
            inputs = jnp.zeros(size if name == "mask" else 2 * size + self.action_size)
            params[name] = network.init(key, inputs)
        return params

    def members(self, params: Any, state: Array, action: Array) -> DiagonalNormal:
        """What every member predicts, ``[member, …]``."""
        inputs = jnp.concatenate([self.features(params, state), action], axis=-1)
        outputs = jax.vmap(self.step.apply, (0, None))(params["step"], inputs)
        moved, raw = jnp.split(outputs, 2, axis=-1)
        return DiagonalNormal(state + moved, nn.softplus(raw) + _MIN_STD)

    def transition(
        self, params: Any, key: PRNGKeyArray, state: Array, action: Array
    ) -> DiagonalNormal | Mixture:
        del key
        said = self.members(params, state, action)
        if self.model.members == 1:
            return jax.tree.map(lambda x: x[0], said)
        return Mixture(said)

    def outcome(self, params: Any, state: Array, action: Array, after: Array) -> Outcome:
        now, then = self.features(params, state), self.features(params, after)
        inputs = jnp.concatenate([now, action, then], axis=-1)
        reward, continuation = (
            self.heads[name].apply(params[name], inputs) for name in ("reward", "continuation")
        )
        return Outcome(head(self.model, reward), Bernoulli(continuation[..., 0]))

    def observe(
        self,
        params: Any,
        key: PRNGKeyArray | None,
        state: Array,
        action: Array,
        timestep: Timestep,
        inner: Any,
    ) -> Array:
        del params, key, state, action, inner
        return observations.vector_of(timestep.observation, self.parts)

    def infer(
        self,
        params: Any,
        key: PRNGKeyArray,
        before: Array,
        actions: Array,
        timesteps: Timestep,
        stored: Any,
    ) -> Inferred:
        del key, stored
        after = observations.vector_of(timesteps.observation, self.parts)
        state = jnp.concatenate([before[:, None], after[:, :-1]], axis=1)
        found = self.outcome(params, state, actions, after)
        of_members = jax.vmap(lambda member: member.log_prob(after))
        log_probs = {
            "transition": jnp.sum(of_members(self.members(params, state, actions)), axis=0),
            "reward": found.reward.log_prob(timesteps.reward),
            "continuation": found.continuation.log_prob(1.0 - timesteps.is_terminal),
        }
        if timesteps.mask is not None:
            allowed = Bernoulli(self.mask_logits(params, after))
            log_probs["mask"] = jnp.sum(allowed.log_prob(1.0 * timesteps.mask), axis=-1)
        within = 1.0 - timesteps.is_first
        count = jnp.maximum(jnp.sum(within), 1)
        losses = {name: -jnp.sum(within * x) / count for name, x in log_probs.items()}
        return Inferred(jnp.sum(jnp.stack([*losses.values()])), after, losses)

    def mask_logits(self, params: Any, state: Array) -> Array:
        """Logits of which entries of an action are allowed."""
        return self.heads["mask"].apply(params["mask"], self.features(params, state))

    def mask(self, params: Any, state: Array) -> Array:
        return likely(self.mask_logits(params, state), self.sizes)

    def decode(self, params: Any, state: Array) -> Any:
        del params
        return observations.split(state, self.shown, self.parts)


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
    own = _Markov(spec, model)
    mask = own.mask if "mask" in own.heads else None
    dynamics = Dynamics(own.transition, own.outcome, own.features, mask)
    return WorldModel(own.init, own.initial, own.observe, own.infer, dynamics, own.decode)


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

    initial = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), Real(spec.inner, spec.timestep)
    )

    def observe(
        params: Any,
        key: PRNGKeyArray | None,
        state: Real,
        action: Array,
        timestep: Timestep,
        inner: Any,
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
    return WorldModel(lambda _: {}, initial, observe, infer, dynamics, decode)
