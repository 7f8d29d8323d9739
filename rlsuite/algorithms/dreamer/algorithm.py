r"""Dreamer: acting, remembering, modelling and dreaming, in one compiled program.

One step of the algorithm:

1. act ``steps_per_update`` times in every environment, inferring each state from the one before;
   every time step goes into the replay, with its action and its inferred state;
2. ``updates`` times: draw sequences, infer their states anew from the stored state before them,
   improve model, critic and policy (each by the gradient of its own loss), let the slow critic
   follow, and write the states back.

The row t of the replay is (time step t, the action taken at it, the state inferred at it).

References:
    Hafner et al. 2020: Dream to control: learning behaviors by latent imagination, arXiv:1912.01603.
    Hafner et al. 2023: Mastering diverse domains through world models, arXiv:2301.04104.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.dreamer import behaviour as behaviours
from rlsuite.algorithms.dreamer.behaviour import Heads, Range
from rlsuite.algorithms.dreamer.config import Config, Model
from rlsuite.algorithms.dreamer.markov import environment_world, markov_world
from rlsuite.algorithms.dreamer.world import WorldModel, rssm_world
from rlsuite.core import Algorithm
from rlsuite.data import replay as replays
from rlsuite.data.replay import Replay
from rlsuite.envs.control import Actions, Control, Spec, Timestep
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


class Actor(NamedTuple):
    """Where acting stands, an entry for each environment.

    Attributes:
        environment: The environments' states.
        timestep: What is seen.
        state: What is inferred from it.
        score: The return of the episode so far.
        last_score: The return of the last episode that ended.
        episodes: How many have ended.
    """

    environment: Any
    timestep: Timestep
    state: Any
    score: Float[Array, " environment"]
    last_score: Float[Array, " environment"]
    episodes: Int[Array, " environment"]


class State(NamedTuple):
    """The state of a run.

    Attributes:
        learner: What is learned.
        actor: Where acting stands.
        replay: What is remembered: ``Row``s.
    """

    learner: Learner
    actor: Actor
    replay: Replay


class Metrics(NamedTuple):
    """Of one step of the algorithm; losses are means over its updates.

    Attributes:
        environment_steps: Time steps acted so far, of all environments, the random ones included.
        episode_return: Mean return of the last episode of every environment (0 before the first).
        world_loss: The model's loss.
        policy_loss: The policy's.
        value_loss: The critic's.
        imagined_return: Mean λ-return of imagined trajectories.
        return_range: Range by which returns are divided, before its floor.
        entropy: The policy's.
        world: The parts of the model's loss, by name.
    """

    environment_steps: Int[Array, ""]
    episode_return: Float[Array, ""]
    world_loss: Float[Array, ""]
    policy_loss: Float[Array, ""]
    value_loss: Float[Array, ""]
    imagined_return: Float[Array, ""]
    return_range: Float[Array, ""]
    entropy: Float[Array, ""]
    world: dict[str, Float[Array, ""]]


class Evaluation(NamedTuple):
    """Of the most probable actions, in new episodes.

    Attributes:
        episode_return: Mean return.
        worst: The least.
        length: Mean number of actions.
    """

    episode_return: Float[Array, ""]
    worst: Float[Array, ""]
    length: Float[Array, ""]


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
            a carry is (inferred state, last action).
    """

    world: WorldModel
    networks: Heads
    actions: Actions
    init: Callable[[PRNGKeyArray], Learner]
    update: Callable[..., tuple[Learner, Any, "Update"]]
    choose: Callable[..., Array]
    act: Callable[..., tuple[Array, tuple[Any, Array]]]


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
        weights: Weights, key: PRNGKeyArray, state: Any, mask: Any, *, greedy: bool = False
    ) -> Array:
        seen = model.dynamics.features(weights.world, state)
        outputs = networks.policy.apply(weights.policy, seen)
        chances = behaviours.distribution(outputs, mask, spec.actions, config.behaviour)
        return chances.mode() if greedy else chances.sample(key)

    def act(
        weights: Weights, key: PRNGKeyArray, timestep: Timestep, carry: Any, *, greedy: bool = False
    ) -> tuple[Array, tuple[Any, Array]]:
        of_state, of_action = jax.random.split(key)
        state = model.observe(weights.world, of_state, *carry, timestep, None)
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


def _world_of(problem: Control, model: Model) -> WorldModel:
    """The world model that the config names."""
    if model.kind == "environment":
        return environment_world(problem, model)
    return (rssm_world if model.kind == "rssm" else markov_world)(problem.spec, model)


def make(
    problem: Control,
    config: Config = Config(),  # noqa: B008
    *,
    world: Callable[[Spec, Model], WorldModel] | None = None,
    networks: Heads | None = None,
    optimizer: Rule | None = None,
) -> Algorithm:
    """Dreamer in an environment that JAX can run.

    Args:
        problem: The environment.
        config: The hyperparameters.
        world: Makes the world model from (spec, ``config.model``), in place of ``config.model.kind``.
        networks: Policy and critic.
        optimizer: From a learning rate to an optax transformation.

    Returns:
        The algorithm: ``step`` returns ``Metrics``, ``evaluate`` an ``Evaluation``, and ``act``
        takes the most probable action; its carry is (inferred state, last action).

    Raises:
        ValueError: If the environment's actions or observations are of a kind that is not allowed.
    """
    build = world or (lambda spec, model: _world_of(problem, model))
    learned = agent(problem.spec, config, world=build, networks=networks, optimizer=optimizer)
    model, actions = learned.world, problem.actions
    count = config.num_environments

    def begin(key: PRNGKeyArray, num: int) -> Actor:
        environment, timestep = jax.vmap(problem.reset)(jax.random.split(key, num))
        zeros = jnp.zeros(num)
        state = jax.tree.map(lambda x: jnp.broadcast_to(x, (num, *x.shape)), model.initial)
        return Actor(environment, timestep, state, zeros, zeros, zeros.astype(jnp.int32))

    def infer(params: Params, key: PRNGKeyArray, actor: Actor, action: Array) -> Actor:
        inner = actor.environment.inner
        state = model.observe(params, key, actor.state, action, actor.timestep, inner)
        return actor._replace(state=state)

    def move(params: Params, key: PRNGKeyArray, actor: Actor, action: Array) -> Actor:
        of_steps, of_state = jax.random.split(key)
        keys = jax.random.split(of_steps, action.shape[0])
        environment, timestep = jax.vmap(problem.step)(keys, actor.environment, action)
        score = jnp.where(timestep.is_first, 0.0, actor.score) + timestep.reward
        moved = Actor(
            environment,
            timestep,
            actor.state,
            score,
            jnp.where(timestep.is_last, score, actor.last_score),
            actor.episodes + timestep.is_last,
        )
        return infer(params, of_state, moved, action)

    def remember(
        choose: Callable[[PRNGKeyArray, Actor], Array], params: Params
    ) -> Callable[..., tuple[tuple[Actor, Replay], None]]:
        def step(carry: tuple[Actor, Replay], key: PRNGKeyArray) -> tuple[tuple[Actor, Replay], None]:
            actor, replay = carry
            of_action, of_move = jax.random.split(key)
            action = choose(of_action, actor)
            replay = replays.add(replay, Row(actor.timestep, action, actor.state))
            return (move(params, of_move, actor, action), replay), None

        return step

    def at_random(key: PRNGKeyArray, actor: Actor) -> Array:
        keys = jax.random.split(key, count)
        return jax.vmap(actions.uniform)(keys, actor.timestep.mask)

    def init(key: PRNGKeyArray) -> State:
        of_learner, of_start, of_state, of_prefill = jax.random.split(key, 4)
        learner = learned.init(of_learner)
        params = learner.weights.world
        actor = begin(of_start, count)
        none = jnp.zeros((count, actions.size))
        actor = infer(params, of_state, actor, none)
        example = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype),
            Row(actor.timestep, none, actor.state),
        )
        replay = replays.create(example, config.capacity, count)
        keys = jax.random.split(of_prefill, config.prefill)
        (actor, replay), _ = jax.lax.scan(remember(at_random, params), (actor, replay), keys)
        return State(learner, actor, replay)

    def learn(carry: tuple[Learner, Replay], key: PRNGKeyArray) -> tuple[Any, Update]:
        learner, replay = carry
        of_rows, of_update = jax.random.split(key)
        replay, drawn = replays.sample(
            of_rows,
            replay,
            num_sequences=config.batch_size,
            length=config.sequence_length + 1,
            overlap=1,
            online=config.online,
        )
        learner, states, told = learned.update(of_update, learner, replays.rows(replay, drawn))
        fresh = replays.write(replay.rows.state, drawn.rest(1), states)
        return (learner, replay._replace(rows=replay.rows._replace(state=fresh))), told

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        of_acting, of_learning = jax.random.split(key)
        weights = state.learner.weights

        def policy(key: PRNGKeyArray, actor: Actor) -> Array:
            return learned.choose(weights, key, actor.state, actor.timestep.mask)

        keys = jax.random.split(of_acting, config.steps_per_update)
        (actor, replay), _ = jax.lax.scan(
            remember(policy, weights.world), (state.actor, state.replay), keys
        )
        keys = jax.random.split(of_learning, config.updates)
        (learner, replay), told = jax.lax.scan(learn, (state.learner, replay), keys)
        told = jax.tree.map(lambda x: jnp.mean(x, axis=0), told)
        spread = learner.range.high - learner.range.low
        metrics = Metrics(
            environment_steps=count * replay.count,
            episode_return=jnp.mean(actor.last_score),
            world_loss=told.world_loss,
            policy_loss=told.losses.policy,
            value_loss=told.losses.value,
            imagined_return=told.losses.imagined_return,
            return_range=spread,
            entropy=told.losses.entropy,
            world=told.world,
        )
        return State(learner, actor, replay), metrics

    def evaluate(key: PRNGKeyArray, state: State) -> Evaluation:
        of_start, of_state, of_steps = jax.random.split(key, 3)
        weights = state.learner.weights
        actor = begin(of_start, config.evaluation_episodes)
        none = jnp.zeros((config.evaluation_episodes, actions.size))

        def walk(carry: tuple[Actor, Array], key: PRNGKeyArray) -> tuple[tuple[Actor, Array], None]:
            actor, length = carry
            of_action, of_move = jax.random.split(key)
            mask = actor.timestep.mask
            action = learned.choose(weights, of_action, actor.state, mask, greedy=True)
            length += actor.episodes == 0
            moved = move(weights.world, of_move, actor, action)
            over = actor.episodes > 0
            kept = moved._replace(
                last_score=jnp.where(over, actor.last_score, moved.last_score),
                episodes=jnp.where(over, actor.episodes, moved.episodes),
            )
            return (kept, length), None

        start = (infer(weights.world, of_state, actor, none), jnp.zeros_like(actor.episodes))
        keys = jax.random.split(of_steps, config.evaluation_length)
        (actor, length), _ = jax.lax.scan(walk, start, keys)
        scores = jnp.where(actor.episodes > 0, actor.last_score, actor.score)
        return Evaluation(jnp.mean(scores), jnp.min(scores), jnp.mean(length * 1.0))

    def act(key: PRNGKeyArray, state: State, observation: Any, carry: Any) -> tuple[Any, Any]:
        first = carry is None
        timestep = problem.timestep(observation, is_first=jnp.asarray(first))
        before = (model.initial, jnp.zeros(actions.size)) if first else carry
        vector, carry = learned.act(state.learner.weights, key, timestep, before, greedy=True)
        return actions.decode(vector), carry

    images = any(leaf.dtype == jnp.uint8 for leaf in jax.tree.leaves(problem.spec.timestep))
    return Algorithm(init, step, act, evaluate, 1 if images else 100)
