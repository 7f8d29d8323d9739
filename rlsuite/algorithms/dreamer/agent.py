"""The agent: everything of Dreamer that learns and chooses, apart from an environment."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.dreamer import behaviour as behaviours
from rlsuite.algorithms.dreamer.behaviour import Heads, Range
from rlsuite.algorithms.dreamer.config import Config, Model
from rlsuite.algorithms.dreamer.world import WorldModel, rssm_world
from rlsuite.envs.control import Actions, Spec, Timestep
from rlsuite.ops.optimizers import laprop

Params = Any
Rule = Callable[[Any], optax.GradientTransformation]


class Weights(NamedTuple):
    """What is learned by gradients.

    Attributes:
        world: The model's parameters.
        policy: The policy's.
        value: The critic's.
    """

    world: Params
    policy: Params
    value: Params


class Learner(NamedTuple):
    """What an update changes.

    Attributes:
        weights: The parameters.
        slow: The slow critic's parameters.
        optimizer: The optimisers' states, one for each of ``weights``.
        range: The percentiles of the returns.
    """

    weights: Weights
    slow: Params
    optimizer: Weights
    range: Range


class Row(NamedTuple):
    """What is replayed of one time step.

    Attributes:
        timestep: What was seen.
        action: What was done then.
        state: What was inferred then.
    """

    timestep: Timestep
    action: Float[Array, "*batch action"]
    state: Any


class Update(NamedTuple):
    """What one update has to tell.

    Attributes:
        world_loss: The model's loss.
        losses: Of policy and critic.
        world: The parts of the model's loss.
    """

    world_loss: Float[Array, ""]
    losses: behaviours.Losses
    world: dict[str, Float[Array, ""]]


class Agent(NamedTuple):
    """Everything that learns and acts, apart from an environment.

    Attributes:
        world: The world model.
        networks: Policy and critic.
        actions: What actions there are.
        init: ``key -> Learner``.
        update: ``(key, learner, rows) -> (learner, states, Update)``: one update on sequences of
            ``Row``s, the first of which only gives the state before; ``states`` are those of the
            others, inferred anew.
        choose: ``(weights, key, state, mask, greedy=False) -> action``.
        act: ``(weights, key, timestep, carry, greedy=False) -> (action, carry)``: infer and choose;
            a carry is (inferred state, last action). Without a key, both are the most probable.
    """

    world: WorldModel
    networks: Heads
    actions: Actions
    init: Callable[[PRNGKeyArray], Learner]
    update: Callable[..., tuple[Learner, Any, Update]]
    choose: Callable[..., Array]
    act: Callable[..., tuple[Array, tuple[Any, Array]]]


def agent(
    spec: Spec,
    config: Config,
    *,
    world: Callable[[Spec, Model], WorldModel] = rssm_world,
    networks: Heads | None = None,
    optimizer: Rule | None = None,
) -> Agent:
    """A learner for an environment of which only the shapes are known.

    Args:
        spec: What there is to see and to do.
        config: The hyperparameters.
        world: Makes the world model.
        networks: Policy and critic; by default ``heads(spec.actions, config)``.
        optimizer: From a learning rate to an optax transformation; by default ``laprop`` with the
            config's clipping and warm-up.

    Returns:
        The agent.
    """
    model = world(spec, config.model)
    networks = networks or behaviours.heads(spec.actions, config)
    rule = optimizer or (
        lambda rate: laprop(rate, clipping=config.clipping, warmup_steps=config.warmup)
    )
    rates = (config.learning_rate, config.policy_learning_rate, config.value_learning_rate)
    rules = Weights(*(rule(rates[0] if rate is None else rate) for rate in rates))

    def init(key: PRNGKeyArray) -> Learner:
        of_world, of_policy, of_value = jax.random.split(key, 3)
        params = model.init(of_world)
        seen = model.dynamics.features(params, model.initial)
        weights = Weights(
            params, networks.policy.init(of_policy, seen), networks.value.init(of_value, seen)
        )
        states = Weights(*(rule.init(part) for rule, part in zip(rules, weights, strict=True)))
        zero = jnp.zeros(())
        # A copy: the two are donated apart.
        slow = jax.tree.map(jnp.copy, weights.value)
        return Learner(weights, slow, states, Range(zero, zero))

    def choose(
        weights: Weights, key: PRNGKeyArray | None, state: Any, mask: Any, *, greedy: bool = False
    ) -> Array:
        seen = model.dynamics.features(weights.world, state)
        outputs = networks.policy.apply(weights.policy, seen)
        chances = behaviours.distribution(outputs, mask, spec.actions, config.behaviour)
        return chances.mode() if greedy or key is None else chances.sample(key)

    def act(
        weights: Weights,
        key: PRNGKeyArray | None,
        timestep: Timestep,
        carry: Any,
        *,
        greedy: bool = False,
    ) -> tuple[Array, tuple[Any, Array]]:
        of_state, of_action = (None, None) if key is None else jax.random.split(key)
        before, last_action = carry
        state = model.observe(weights.world, of_state, before, last_action, timestep, None)
        action = choose(weights, of_action, state, timestep.mask, greedy=greedy)
        return action, (state, action)

    def update(key: PRNGKeyArray, learner: Learner, rows: Row) -> tuple[Learner, Any, Update]:
        of_world, of_dreams = jax.random.split(key)
        first, rest = (jax.tree.map(lambda x, s=s: x[:, s], rows) for s in (0, slice(1, None)))

        def loss(weights: Weights) -> tuple[Array, tuple[Any, Update]]:
            inferred = model.infer(
                weights.world,
                of_world,
                first.state,
                rows.action[:, :-1],
                rest.timestep,
                rest.state,
            )
            found = behaviours.losses(
                weights.policy,
                weights.value,
                learner.slow,
                weights.world,
                learner.range,
                of_dreams,
                inferred.states,
                rest.timestep,
                dynamics=model.dynamics,
                networks=networks,
                actions=spec.actions,
                config=config,
            )
            total = inferred.loss + found.policy + found.value
            return total, (inferred.states, Update(inferred.loss, found, inferred.losses))

        gradients, (states, told) = jax.grad(loss, has_aux=True)(learner.weights)
        changed = [
            rule.update(gradient, state, part)
            for rule, gradient, state, part in zip(
                rules, gradients, learner.optimizer, learner.weights, strict=True
            )
        ]
        steps, optimizer_states = (Weights(*parts) for parts in zip(*changed, strict=True))
        weights = optax.apply_updates(learner.weights, steps)
        slow = optax.incremental_update(weights.value, learner.slow, config.behaviour.slow_rate)
        return Learner(weights, slow, optimizer_states, told.losses.range), states, told

    return Agent(model, networks, spec.actions, init, update, choose, act)
