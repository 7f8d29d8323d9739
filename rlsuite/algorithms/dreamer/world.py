r"""World models: what is inferred about the past, and what is predicted from it.

A world model turns a sequence of time steps into states s_t and predicts from them; its
``dynamics`` are what policies learn in. Three come with the library: the recurrent one here, the
Markov one and the true environment in :mod:`~rlsuite.algorithms.dreamer.markov`.

The recurrent model's loss, for z_t ~ q(z_t | h_t, o_t), with sg the stopped gradient and at least
n free nats in each divergence:

    L_t = − ln p(o_t | s_t) − ln p(r_t | s_t) − ln p(c_t | s_t)
          + β_dyn max(n, KL[sg q(z_t | h_t, o_t) ‖ p(z_t | h_t)])
          + β_rep max(n, KL[q(z_t | h_t, o_t) ‖ sg p(z_t | h_t)])

r_t came with o_t, and c_t is 0 where the episode ended for good with it: heads read the state that
they belong to. At an episode's first step, the state and the action before it count as zeros.

References:
    Hafner et al. 2023, arXiv:2301.04104, eqs. 3 to 5.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.algorithms.dreamer import observations
from rlsuite.algorithms.dreamer.config import Model
from rlsuite.algorithms.dreamer.dynamics import Dynamics, Outcome
from rlsuite.envs.control import Spec, Timestep
from rlsuite.nets.layers import MLP
from rlsuite.nets.rssm import RSSM, Latent, latent_distribution
from rlsuite.ops.distributions import (
    Bernoulli,
    DiagonalNormal,
    OneHotCategorical,
    SquaredError,
    SymexpTwoHot,
    free_nats,
    kl,
)

Params = Any
State = Any
BINS = 255


class Inferred(NamedTuple):
    """What a model makes of a batch of sequences.

    Attributes:
        loss: Its loss, the mean over all time steps.
        states: s_t of every time step, leaves ``[sequence, time, …]``.
        losses: The parts of the loss, by name.
    """

    loss: Float[Array, ""]
    states: State
    losses: dict[str, Float[Array, ""]]


class WorldModel(NamedTuple):
    """A world model as pure functions.

    Attributes:
        init: ``key -> params``.
        initial: The state before an episode begins, of one environment.
        observe: ``(params, key, state, action, timestep, inner) -> state``: infer the state from
            the one before, the action between them and what is seen now, with any batch axes.
            ``inner`` is the environment's own state, or None where it is not known.
        infer: ``(params, key, before, actions, timesteps, stored) -> Inferred`` for sequences
            ``[sequence, time, …]``: ``before`` are the states before their first time steps,
            ``actions`` the actions before every time step, and ``stored`` the states that were
            inferred when the sequences were recorded, or last replayed.
        dynamics: The forward model.
        decode: ``(params, states) -> observation``, the predicted mean; None if a state is no
            prediction.
    """

    init: Callable[[PRNGKeyArray], Params]
    initial: State
    observe: Callable[[Params, PRNGKeyArray, State, Array, Timestep, Any], State]
    infer: Callable[[Params, PRNGKeyArray, State, Array, Timestep, State], Inferred]
    dynamics: Dynamics
    decode: Callable[[Params, State], Any] | None = None


def head(model: Model, outputs: Float[Array, "*batch outputs"]) -> SymexpTwoHot | SquaredError:
    """The distribution of a reward or a value.

    Args:
        model: Says which kind.
        outputs: A network's, of length ``head_size(model)``.

    Returns:
        The distribution.
    """
    return SymexpTwoHot(outputs) if model.heads == "twohot" else SquaredError(outputs[..., 0], 0)


def head_size(model: Model) -> int:
    """How many outputs ``head`` reads."""
    return BINS if model.heads == "twohot" else 1


def clear(is_first: Bool[Array, "*batch"], previous: State, initial: State | None = None) -> State:
    """Forget what was before an episode's first step.

    Args:
        is_first: Where an episode begins.
        previous: What was before, leaves ``[*batch, …]``.
        initial: What to put in its place; None for zeros.

    Returns:
        ``previous`` where no episode begins.
    """
    initial = jax.tree.map(jnp.zeros_like, previous) if initial is None else initial

    def choose(fresh: Array, old: Array) -> Array:
        where = is_first.reshape(*is_first.shape, *(1,) * (old.ndim - is_first.ndim))
        return jnp.where(where, fresh, old)

    return jax.tree.map(choose, initial, previous)


def features(latent: Latent) -> Float[Array, "*batch feature"]:
    """What heads see of a latent: both parts, side by side."""
    return jnp.concatenate([latent.deter, latent.stoch], axis=-1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LatentDistribution:
    """The distribution of the next latent: h is certain, z is not.

    Attributes:
        deter: h.
        stoch: The distribution of z, before it is laid flat.
    """

    deter: Float[Array, "*batch deter"]
    stoch: OneHotCategorical | DiagonalNormal

    def sample(self, key: PRNGKeyArray) -> Latent:
        """Draw a latent."""
        return self._latent(self.stoch.sample(key))

    def mean(self) -> Latent:
        """The mean; of categories, their probabilities."""
        categorical = isinstance(self.stoch, OneHotCategorical)
        return self._latent(self.stoch.probs if categorical else self.stoch.mean())

    def mode(self) -> Latent:
        """The most probable latent."""
        return self._latent(self.stoch.mode())

    def _latent(self, stoch: Array) -> Latent:
        return Latent(self.deter, stoch.reshape(*self.deter.shape[:-1], -1))


def divergences(
    model: Model,
    posterior: OneHotCategorical | DiagonalNormal,
    prior: OneHotCategorical | DiagonalNormal,
) -> dict[str, Float[Array, ""]]:
    """The two weighted divergences of the loss.

    Args:
        model: The weights and the free nats.
        posterior: q.
        prior: p.

    Returns:
        Means over all time steps.
    """
    stopped = jax.lax.stop_gradient
    pairs = {
        "dynamics": (model.dynamics_scale, stopped(posterior), prior),
        "representation": (model.representation_scale, posterior, stopped(prior)),
    }
    return {
        name: scale * jnp.mean(free_nats(jnp.sum(kl(q, p), axis=-1), model.free_nats))
        for name, (scale, q, p) in pairs.items()
    }


def likely(logits: Float[Array, "*batch action"]) -> Bool[Array, "*batch action"]:
    """Which entries of an action are allowed, as predicted; all of them where none seems to be."""
    allowed = logits > 0
    return allowed | ~jnp.any(allowed, axis=-1, keepdims=True)


def rssm_world(spec: Spec, model: Model) -> WorldModel:
    """DreamerV3's world model.

    Args:
        spec: What there is to see and to do.
        model: Its hyperparameters.

    Returns:
        The model; its states are ``Latent``s.
    """
    example, action_size = spec.timestep, spec.actions.size
    parts = observations.parts_of(example.observation)
    rssm = RSSM(model.deter, model.stoch, model.classes, model.hidden, model.blocks)
    encoder = observations.Encoder(parts, model.layers, model.units, model.depth, model.symlog)
    decoder = observations.Decoder(
        parts, model.layers, model.units, model.depth, model.blocks, model.symlog
    )
    zero = 0.0 if model.heads == "twohot" else 1.0
    reward = MLP(1, model.units, head_size(model), zero)
    continuation = MLP(1, model.units, 1)
    masked = None if example.mask is None else MLP(1, model.units, action_size)
    initial = Latent(jnp.zeros(model.deter), jnp.zeros(rssm.stoch_size))

    def init(key: PRNGKeyArray) -> Params:
        keys = iter(jax.random.split(key, 6))
        seen = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), example.observation)
        params = {"encoder": encoder.init(next(keys), seen)}
        tokens = encoder.apply(params["encoder"], seen)
        params["rssm"] = rssm.init(next(keys), initial, jnp.zeros(action_size), tokens)
        params["decoder"] = decoder.init(next(keys), initial)
        params["reward"] = reward.init(next(keys), features(initial))
        params["continuation"] = continuation.init(next(keys), features(initial))
        if masked is not None:
            params["mask"] = masked.init(next(keys), features(initial))
        return params

    def latent_of(parameters: Array) -> Any:
        return latent_distribution(parameters, model.classes, model.unimix)

    def recur(params: Params, latent: Latent, action: Array) -> Array:
        return rssm.apply(params["rssm"], latent, action, method="recur")

    def update(
        params: Params,
        key: PRNGKeyArray,
        before: Latent,
        action: Array,
        tokens: Array,
        first: Array,
    ) -> tuple[Latent, Array]:
        before, action = clear(first, (before, action))
        deter = recur(params, before, action)
        posterior = rssm.apply(params["rssm"], deter, tokens, method="posterior")
        return LatentDistribution(deter, latent_of(posterior)).sample(key), posterior

    def observe(
        params: Params,
        key: PRNGKeyArray,
        state: Latent,
        action: Array,
        timestep: Timestep,
        inner: Any,
    ) -> Latent:
        del inner
        tokens = encoder.apply(params["encoder"], timestep.observation)
        return update(params, key, state, action, tokens, timestep.is_first)[0]

    def infer(
        params: Params,
        key: PRNGKeyArray,
        before: Latent,
        actions: Array,
        timesteps: Timestep,
        stored: Latent,
    ) -> Inferred:
        del stored
        tokens = encoder.apply(params["encoder"], timesteps.observation)

        def step(before: Latent, inputs: Any) -> tuple[Latent, tuple[Latent, Array]]:
            key, action, tokens, first = inputs
            latent, posterior = update(params, key, before, action, tokens, first)
            return latent, (latent, posterior)

        along = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), (actions, tokens, timesteps.is_first))
        keys = jax.random.split(key, along[1].shape[0])
        _, outputs = jax.lax.scan(step, before, (keys, *along))
        latents, posteriors = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), outputs)
        priors = rssm.apply(params["rssm"], latents.deter, method="prior")
        apart = divergences(model, latent_of(posteriors), latent_of(priors))
        losses = {**apart, **predicted(params, latents, timesteps)}
        return Inferred(jnp.sum(jnp.stack([*losses.values()])), latents, losses)

    def predicted(params: Params, latents: Latent, timesteps: Timestep) -> dict[str, Array]:
        decoded = decoder.apply(params["decoder"], latents)
        seen = observations.log_prob(decoded, timesteps.observation, parts)
        found = outcome(params, None, None, latents)
        losses = {
            "reconstruction": -jnp.mean(seen),
            "reward": -jnp.mean(found.reward.log_prob(timesteps.reward)),
            "continuation": -jnp.mean(found.continuation.log_prob(1.0 - timesteps.is_terminal)),
        }
        if masked is not None:
            allowed = Bernoulli(masked.apply(params["mask"], features(latents)))
            told = jnp.sum(allowed.log_prob(timesteps.mask * 1.0), axis=-1)
            losses["mask"] = -jnp.mean(told)
        return losses

    def transition(params: Params, key: PRNGKeyArray, state: Latent, action: Array) -> Any:
        del key
        deter = recur(params, state, action)
        prior = rssm.apply(params["rssm"], deter, method="prior")
        return LatentDistribution(deter, latent_of(prior))

    def outcome(params: Params, state: Any, action: Any, after: Latent) -> Outcome:
        del state, action
        inputs = features(after)
        return Outcome(
            head(model, reward.apply(params["reward"], inputs)),
            Bernoulli(continuation.apply(params["continuation"], inputs)[..., 0]),
        )

    def mask(params: Params, latent: Latent) -> Array:
        return likely(masked.apply(params["mask"], features(latent)))

    def decode(params: Params, latent: Latent) -> Any:
        decoded = decoder.apply(params["decoder"], latent)
        return observations.mean(decoded, example.observation, parts)

    dynamics = Dynamics(
        transition, outcome, lambda _, latent: features(latent), mask if masked else None
    )
    return WorldModel(init, initial, observe, infer, dynamics, decode)
