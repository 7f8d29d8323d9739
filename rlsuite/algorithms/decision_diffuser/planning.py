r"""Plans: segments of states drawn from the network, and what is done to follow them.

A plan begins with up to K states that were seen, the last of which is the present one, and may end
with a goal; these are written over the segment at every step of the sampler. It is asked for by
conditions y_1 … y_c with weights w_i,

    ε̂ = ε_θ(x_k, k, ∅) + Σ_i w_i (ε_θ(x_k, k, y_i) − ε_θ(x_k, k, ∅)),

all of them of the one kind that the network was trained with: one return with w = ω; several labels
with weights ω to ask for all of them, with a negative weight to ask for the contrary of one. A plan
is followed by a_t = f_φ(s_t, ŝ_{t+j}, j), the next planned state being j time steps away.

Where a value J(x_k, k) was learned, x̂_0 is moved by w (1 − ᾱ_k)/√ᾱ_k ∇J (Diffuser's guidance).

Reference:
    Ajay et al. 2023, arXiv:2211.15657, algorithm 1, eqs. 8, 10 and 11.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.decision_diffuser import training
from rlsuite.algorithms.decision_diffuser.config import Config, Planning
from rlsuite.ops import diffusion

Params = Any
Apply = Callable[..., Any]
Value = Callable[[Float[Array, "horizon n"], Int[Array, ""]], Float[Array, ""]]


class Request(NamedTuple):
    """What is asked of a plan.

    Attributes:
        conditions: y_i; the parts that ``Config.conditions`` names, one after another, states in
            the data's units.
        weights: w_i; ω for one that is to hold.
    """

    conditions: Float[Array, "request condition"]
    weights: Float[Array, " request"]


def always(conditions: ArrayLike, weights: ArrayLike) -> Callable[[Any], Request]:
    """The same request, whatever is seen.

    Args:
        conditions: y_i, ``[request, condition]``.
        weights: w_i, ``[request]``, or one number for all.

    Returns:
        For ``make``: from an observation to the request.

    Example:
        >>> both = always(jnp.eye(2), 1.5)
        >>> both(None).weights.tolist()
        [1.5, 1.5]
    """

    def request(observation: Any) -> Request:
        del observation
        asked = jnp.asarray(conditions, float)
        return Request(asked, jnp.broadcast_to(jnp.asarray(weights, float), asked.shape[:1]))

    return request


class Plan(NamedTuple):
    """What an agent remembers between actions; states are normalised.

    Attributes:
        states: The plan.
        seen: The last states that were seen, the present one last.
        num_seen: How many of these there are.
        origin: The time of the plan's first state.
        time: The time of the present state.
    """

    states: Float[Array, "horizon n"]
    seen: Float[Array, "history n"]
    num_seen: Int[Array, ""]
    origin: Int[Array, ""]
    time: Int[Array, ""]


def sampler_of(schedule: diffusion.Schedule, planning: Planning) -> diffusion.Sampler:
    """The sampler that a config names.

    Args:
        schedule: How noise grows.
        planning: The settings.

    Returns:
        The sampler, cooled.
    """
    made = {
        "ancestral": lambda: diffusion.ancestral(schedule),
        "ddim": lambda: diffusion.ddim(schedule, planning.sampling_steps, eta=planning.eta),
        "dpm-solver": lambda: diffusion.dpm_solver(schedule, planning.sampling_steps),
    }[planning.sampler]()
    return diffusion.cooled(made, planning.temperature, of=planning.temperature_of)


def predictor(
    config: Config,
    schedule: diffusion.Schedule,
    apply: Apply,
    params: Params,
    request: Request,
    value: Value | None = None,
) -> Callable[[Float[Array, "horizon n"], Int[Array, ""]], Float[Array, "horizon n"]]:
    """What a sampler asks: the data that are behind x_k, as requested.

    Args:
        config: The hyperparameters.
        schedule: How noise grows.
        apply: ``(params, x, k, y, whether y is seen)`` to a prediction.
        params: Parameters.
        request: What is asked for.
        value: J, by whose gradient plans are guided.

    Returns:
        ``(x_k, k) -> x̂_0``.
    """
    kind = config.model.prediction
    size = request.conditions.shape[-1]
    told = jnp.concatenate([jnp.zeros((1, size)), request.conditions])
    present = jnp.arange(len(told)) > 0

    def requested(x: Float[Array, "horizon n"], step: Int[Array, ""]) -> Float[Array, "horizon n"]:
        if size == 0:
            return diffusion.to_data(schedule, kind, x, step, apply(params, x, step, None, True))
        all_ = jax.vmap(lambda y, seen: apply(params, x, step, y, seen))(told, present)
        combined = diffusion.guided(all_[0], all_[1:], request.weights)
        return diffusion.to_data(schedule, kind, x, step, combined)

    def predict(x: Float[Array, "horizon n"], step: Int[Array, ""]) -> Float[Array, "horizon n"]:
        data = requested(x, step)
        if value is None:
            return data
        slope = config.planning.value_guidance * jax.grad(value)(x, step)
        return diffusion.tilted(schedule, data, step, slope)

    return predict


def draw_plan(
    config: Config,
    schedule: diffusion.Schedule,
    apply: Apply,
    params: Params,
    key: PRNGKeyArray,
    known: diffusion.Known,
    request: Request,
    guess: Float[Array, "horizon n"] | None = None,
    *,
    value: Value | None = None,
    bound: Float[Array, " n"] | None = None,
) -> Float[Array, "horizon n"]:
    """Draw a plan.

    Args:
        config: The hyperparameters.
        schedule: How noise grows.
        apply: ``(params, x, k, y, whether y is seen)`` to a prediction.
        params: Parameters.
        key: Key.
        known: The states that are known, normalised.
        request: What is asked for.
        guess: A plan that is nearly right, from which only ``warm_steps`` are walked.
        value: J, by whose gradient plans are guided.
        bound: Predicted states are kept within ± this.

    Returns:
        The plan, normalised.
    """
    of_start, of_walk = jax.random.split(key)
    sampler = sampler_of(schedule, config.planning)
    if guess is None:
        start = sampler.start * jax.random.normal(of_start, known.values.shape)
    else:
        sampler = diffusion.shortened(sampler, config.planning.warm_steps)
        start = diffusion.noise_to(schedule, of_start, guess, int(sampler.steps[0]))
    predict = predictor(config, schedule, apply, params, request, value)
    return diffusion.walk(sampler, predict, of_walk, start, known=known, bound=bound)


def begin(config: Config, state: Float[Array, " n"]) -> Plan:
    """Remember an episode's first state; there is no plan yet.

    Args:
        config: The hyperparameters.
        state: The state, normalised.

    Returns:
        What is remembered.
    """
    now, length = jnp.zeros((), jnp.int32), max(config.history, 1)
    seen = jnp.broadcast_to(state, (length, *state.shape))
    states = jnp.broadcast_to(state, (config.horizon, *state.shape))
    return Plan(states, seen, now + 1, now, now)


def look(config: Config, plan: Plan, state: Float[Array, " n"]) -> Plan:
    """Remember the next state.

    Args:
        config: The hyperparameters.
        plan: What is remembered.
        state: The state, normalised.

    Returns:
        What is remembered then.
    """
    seen = jnp.concatenate([plan.seen[1:], state[None]])
    num_seen = jnp.minimum(plan.num_seen + 1, max(config.history, 1))
    return plan._replace(seen=seen, num_seen=num_seen, time=plan.time + 1)


def what_is_known(config: Config, plan: Plan, goal: Float[Array, " n"] | None) -> diffusion.Known:
    """The beginning, and perhaps the end, of the next plan.

    Args:
        config: The hyperparameters.
        plan: What is remembered.
        goal: The state, normalised, that the plan is to end with.

    Returns:
        What is known.
    """
    first = jnp.roll(plan.seen, plan.num_seen, axis=0)  # The oldest one first.
    values = jnp.zeros_like(plan.states).at[: len(first)].set(first)
    if goal is not None:
        values = values.at[-1].set(goal)
    return training.known(config, plan.num_seen if config.history else 0, values)


def shifted(config: Config, plan: Plan) -> Float[Array, "horizon n"]:
    """The old plan as a guess at the next one: what is over is left out, the last state repeated.

    Args:
        config: The hyperparameters.
        plan: What is remembered.

    Returns:
        The guess.
    """
    passed = (plan.time - plan.num_seen + 1 - plan.origin) // config.stride
    index = jnp.minimum(jnp.arange(config.horizon) + passed, config.horizon - 1)
    return plan.states[index]


def aim(config: Config, plan: Plan) -> tuple[Float[Array, " n"], Int[Array, ""]]:
    """The planned state that is next, and how many time steps there are until then.

    Args:
        config: The hyperparameters.
        plan: What is remembered.

    Returns:
        (the state, normalised, past the plan's end its last one; the time steps, 1 to the stride).
    """
    passed = plan.time - plan.origin
    place = passed // config.stride + 1
    return plan.states[jnp.minimum(place, config.horizon - 1)], place * config.stride - passed
