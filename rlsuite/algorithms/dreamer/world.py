r"""World models: what is inferred about the past, and what is predicted from it.

A world model turns a sequence of time steps into states s_t and predicts from them; its
``dynamics`` are what policies learn in. Three come with the library: the recurrent one here, the
Markov one and the true environment in ``rlsuite.algorithms.dreamer.markov``.

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
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
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
from rlsuite.ops.pytrees import pytree

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
            Without a key, the most probable one.
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
    observe: Callable[[Params, PRNGKeyArray | None, State, Array, Timestep, Any], State]
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


@pytree()
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
        if isinstance(self.stoch, OneHotCategorical):
            return self._latent(self.stoch.probs)
        return self._latent(self.stoch.mean())

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


def likely(
    logits: Float[Array, "*batch action"], sizes: Sequence[int]
) -> Bool[Array, "*batch action"]:
    """Which entries of an action are allowed, as predicted.

    Args:
        logits: Of each being allowed.
        sizes: How many categories each part of an action has.

    Returns:
        These; of a part of which none seems to be, all.
    """
    parts = jnp.split(logits > 0, np.cumsum(sizes)[:-1], axis=-1)
    return jnp.concatenate([x | ~jnp.any(x, axis=-1, keepdims=True) for x in parts], axis=-1)


class _Recurrent:
    """The networks of the recurrent model, and what is computed with them."""

    def __init__(self, spec: Spec, model: Model) -> None:
        """Make the networks; nothing has parameters yet."""
        self.model, self.shown = model, spec.timestep.observation
        self.action_size, self.sizes = spec.actions.size, spec.actions.sizes
        self.parts = observations.parts_of(self.shown)
        layers, units, depth = model.layers, model.units, model.depth
        zero = 0.0 if model.heads == "twohot" else 1.0
        rssm = RSSM(model.deter, model.stoch, model.classes, model.hidden, model.blocks)
        self.initial = Latent(jnp.zeros(model.deter), jnp.zeros(rssm.stoch_size))
        self.networks: dict[str, Any] = {
            "rssm": rssm,
            "encoder": observations.Encoder(self.parts, layers, units, depth, model.symlog),
            "decoder": observations.Decoder(
                self.parts, layers, units, depth, model.blocks, model.symlog
            ),
            "reward": MLP(1, units, head_size(model), zero),
            "continuation": MLP(1, units, 1),
        }
        if spec.timestep.mask is not None:
            self.networks["mask"] = MLP(1, units, self.action_size)

    def apply(self, params: Params, name: str, *inputs: Any, method: str | None = None) -> Any:
        return self.networks[name].apply(params[name], *inputs, method=method)

    def init(self, key: PRNGKeyArray) -> Params:
        seen = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self.shown)
        of_encoder, *keys = jax.random.split(key, len(self.networks))
        params = {"encoder": self.networks["encoder"].init(of_encoder, seen)}
        tokens = self.apply(params, "encoder", seen)
        inputs: dict[str, Any] = dict.fromkeys(self.networks, (features(self.initial),))
        inputs["rssm"] = (self.initial, jnp.zeros(self.action_size), tokens)
        inputs["decoder"] = (self.initial,)
        rest = [name for name in self.networks if name != "encoder"]
        for name, key in zip(rest, keys, strict=True):
            params[name] = self.networks[name].init(key, *inputs[name])
        return params

    def latent_of(self, parameters: Array) -> Any:
        return latent_distribution(parameters, self.model.classes, self.model.unimix)

    def update(
        self,
        params: Params,
        key: PRNGKeyArray | None,
        before: Latent,
        action: Array,
        tokens: Array,
        is_first: Array,
    ) -> tuple[Latent, Array]:
        """The next latent, drawn from the posterior or its mode, and the posterior's parameters."""
        before, action = clear(is_first, (before, action))
        deter = self.apply(params, "rssm", before, action, method="recur")
        posterior = self.apply(params, "rssm", deter, tokens, method="posterior")
        found = LatentDistribution(deter, self.latent_of(posterior))
        return found.mode() if key is None else found.sample(key), posterior

    def observe(
        self,
        params: Params,
        key: PRNGKeyArray | None,
        state: Latent,
        action: Array,
        timestep: Timestep,
        inner: Any,
    ) -> Latent:
        del inner
        tokens = self.apply(params, "encoder", timestep.observation)
        return self.update(params, key, state, action, tokens, timestep.is_first)[0]

    def infer(
        self,
        params: Params,
        key: PRNGKeyArray,
        before: Latent,
        actions: Array,
        timesteps: Timestep,
        stored: Latent,
    ) -> Inferred:
        del stored
        tokens = self.apply(params, "encoder", timesteps.observation)

        def step(before: Latent, inputs: Any) -> tuple[Latent, tuple[Latent, Array]]:
            key, *seen = inputs
            latent, posterior = self.update(params, key, before, *seen)
            return latent, (latent, posterior)

        along = _swapped((actions, tokens, timesteps.is_first))
        keys = jax.random.split(key, along[1].shape[0])
        latents, posteriors = _swapped(jax.lax.scan(step, before, (keys, *along))[1])
        priors = self.apply(params, "rssm", latents.deter, method="prior")
        losses = {
            **divergences(self.model, self.latent_of(posteriors), self.latent_of(priors)),
            **self.predicted(params, latents, timesteps),
        }
        return Inferred(jnp.sum(jnp.stack([*losses.values()])), latents, losses)

    def predicted(
        self, params: Params, latents: Latent, timesteps: Timestep
    ) -> dict[str, Float[Array, ""]]:
        """The losses of decoder and heads."""
        decoded = self.apply(params, "decoder", latents)
        found = self.outcome(params, None, None, latents)
        log_probs = {
            "reconstruction": observations.log_prob(decoded, timesteps.observation, self.parts),
            "reward": found.reward.log_prob(timesteps.reward),
            "continuation": found.continuation.log_prob(1.0 - timesteps.is_terminal),
        }
        if timesteps.mask is not None:
            allowed = Bernoulli(self.apply(params, "mask", features(latents)))
            log_probs["mask"] = jnp.sum(allowed.log_prob(1.0 * timesteps.mask), axis=-1)
        return {name: -jnp.mean(log_prob) for name, log_prob in log_probs.items()}

    def transition(self, params: Params, key: PRNGKeyArray, state: Latent, action: Array) -> Any:
        del key
        deter = self.apply(params, "rssm", state, action, method="recur")
        prior = self.apply(params, "rssm", deter, method="prior")
        return LatentDistribution(deter, self.latent_of(prior))

    def outcome(self, params: Params, state: Any, action: Any, after: Latent) -> Outcome:
        del state, action
        inputs = features(after)
        return Outcome(
            head(self.model, self.apply(params, "reward", inputs)),
            Bernoulli(self.apply(params, "continuation", inputs)[..., 0]),
        )

    def mask(self, params: Params, latent: Latent) -> Array:
        return likely(self.apply(params, "mask", features(latent)), self.sizes)

    def decode(self, params: Params, latent: Latent) -> Any:
        decoded = self.apply(params, "decoder", latent)
        return observations.mean(decoded, self.shown, self.parts)


def _swapped(tree: Any) -> Any:
    """Time first, or sequence first again."""
    return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), tree)


def rssm_world(spec: Spec, model: Model) -> WorldModel:
    """DreamerV3's world model.

    Args:
        spec: What there is to see and to do.
        model: Its hyperparameters.

    Returns:
        The model; its states are ``Latent``s.

    Raises:
        ValueError: If observations have a shape that is not allowed.
    """
    own = _Recurrent(spec, model)
    mask = own.mask if "mask" in own.networks else None
    dynamics = Dynamics(own.transition, own.outcome, lambda _, latent: features(latent), mask)
    return WorldModel(own.init, own.initial, own.observe, own.infer, dynamics, own.decode)
