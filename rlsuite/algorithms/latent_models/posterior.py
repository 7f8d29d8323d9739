r"""The states of an episode, given its observations: products of what is expected and what is seen.

**Step by step**, with any transition, a path is drawn as

    q(s_t | s_{t−1}, a_{t−1}, o_t) = p(s_t | s_{t−1}, a_{t−1}) ψ_t(s_t) / Z_t;

**smoothed**, with a linear one, from q(s_{0:T}) = p(s_{0:T} | a) Π_t ψ_t(s_t) / Z, which knows of
later observations too. Either way

    log p(s_{0:T} | a) − log q(s_{0:T}) = log Z − Σ_t log ψ_t(s_t),      log Z = Σ_t log Z_t.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.latent_models.transition import Transition, chain_of
from rlsuite.ops import gaussian
from rlsuite.ops import structured_inference as inference
from rlsuite.ops.gaussian import Moments, Potential, Smoothed, information
from rlsuite.ops.gaussian.steps import tell

Posterior = Literal["smoothed", "steps"]
"""How states are inferred: smoothed where the transition is linear, or step by step."""


class Path(NamedTuple):
    """States drawn from q(s).

    Attributes:
        states: s_0 … s_T.
        divergence: KL(q(s) ‖ p(s | a)) in nats; step by step, the sum along the path of those of
            each step, whose mean it is.
        log_ratio: log p(s | a) − log q(s) at the path.
        law: The whole law; None step by step.
    """

    states: Float[Array, "states n"]
    divergence: Float[Array, ""]
    log_ratio: Float[Array, ""]
    law: Smoothed | None


def infer(
    key: PRNGKeyArray,
    transition: Transition,
    params: Any,
    start: Moments,
    potentials: Potential,
    actions: Float[Array, "steps m"],
    how: Posterior = "smoothed",
) -> Path:
    """Draw states, given all observations or those up to each.

    Args:
        key: Key.
        transition: The transition.
        params: θ.
        start: The law of s_0.
        potentials: ψ_0 … ψ_T.
        actions: a_0 … a_{T−1}.
        how: "smoothed", which a transition that is not linear takes for "steps".

    Returns:
        The path, differentiable in everything.
    """
    draw = _smoothed if how == "smoothed" and transition.linear else _by_steps
    return draw(key, transition, params, start, potentials, actions)


def expected_path(
    key: PRNGKeyArray,
    transition: Transition,
    known: Any,
    start: Moments,
    potentials: Potential,
    actions: Float[Array, "steps m"],
) -> Path:
    """Draw states where a law q(θ) is known: from the best q(s) beside it.

    Args:
        key: Key.
        transition: A conjugate transition.
        known: The parameters of q(θ).
        start: The law of s_0.
        potentials: ψ_0 … ψ_T.
        actions: a_0 … a_{T−1}.

    Returns:
        The path, whose divergence is KL(q(s) ‖ p(s | θ, a)) on average over q(θ); its log ratio is
        that of the chain of expected log densities.

    Raises:
        ValueError: If the transition is not conjugate.
    """
    if transition.conjugate is None:
        raise ValueError("transition is not conjugate; allowed: one with conjugate, such as mniw")
    along = transition.conjugate.chain(known, start, actions)
    found = inference.infer(key, along, potentials)
    drawn = jnp.sum(information.log_value(potentials, found.path))
    ratio = found.smoothed.log_evidence - drawn
    return Path(found.path, found.divergence, ratio, found.smoothed)


def _by_steps(
    key: PRNGKeyArray,
    transition: Transition,
    params: Any,
    start: Moments,
    potentials: Potential,
    actions: Array,
) -> Path:
    """Each state given the last one and its observation, by any transition."""
    keys = jax.random.split(key, len(actions) + 1)

    def see(key: PRNGKeyArray, law: Moments, potential: Potential) -> tuple[Array, Array, Array]:
        told = tell(law, potential)
        state = information.sample(key, told.law)
        apart = inference.expected_value(potential, told.law) - told.log_integral
        return state, apart, told.log_integral - information.log_value(potential, state)

    def step(now: tuple[Any, Array], given: tuple[Any, Array, Potential]) -> tuple[Any, Any]:
        key, action, potential = given
        carry, law = transition.step(params, *now, action)
        found = see(key, law, potential)
        return (carry, found[0]), found

    later = jax.tree.map(lambda x: x[1:], potentials)
    begun = see(keys[0], start, jax.tree.map(lambda x: x[0], potentials))
    now = (transition.begin(params), begun[0])
    _, steps = jax.lax.scan(step, now, (keys[1:], actions, later))
    states, apart, ratio = (
        jnp.concatenate([x[None], y]) for x, y in zip(begun, steps, strict=True)
    )
    return Path(states, jnp.sum(apart), jnp.sum(ratio), None)


def _smoothed(
    key: PRNGKeyArray,
    transition: Transition,
    params: Any,
    start: Moments,
    potentials: Potential,
    actions: Array,
) -> Path:
    """All states from the whole episode's law, by a linear transition."""
    model = chain_of(transition, params, start, actions)
    found = gaussian.filter(model, potentials)
    law = gaussian.rts(model, found)
    states = gaussian.sample(key, model, found)
    seen = jnp.sum(inference.expected_value(potentials, law.states))
    drawn = jnp.sum(information.log_value(potentials, states))
    return Path(states, seen - law.log_evidence, law.log_evidence - drawn, law)
