"""Errors at the boundary: what is wrong with a decision process or an argument, in one line.

Shapes are checked always, values only where they are concrete: a tracer passes.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.ops.tabular.mdp import MDP
from rlsuite.ops.tabular.transitions import Dense, Gather

_ROUNDING = 1e-5  # of a sum of float32 probabilities


def check(mdp: MDP, *, horizon: Literal["infinite", "finite"] = "infinite") -> None:
    """Raise an error that says what is wrong with a decision process, if anything is.

    The solvers check structure only, so that they can be compiled; call this once on what comes
    from outside. Values that are tracers pass unchecked.

    Args:
        mdp: The decision process, not stacked.
        horizon: "finite" allows a discount of one.

    Raises:
        ValueError: Naming the field, what is wrong with it, and what is allowed: shapes that do
            not fit the transition; probabilities that are negative or do not sum to one; next
            states out of range; a transition function that is not linear or not an expectation; a
            slip outside [0, 1]; rewards that are not finite; a discount outside [0, 1); masks that
            are not Boolean; a state that is not terminal and allows no action.

    Example:
        >>> import jax.numpy as jnp
        >>> from rlsuite.ops import tabular
        >>> ring = tabular.Gather(jnp.array([[0, 1], [1, 2], [2, 3]]))
        >>> tabular.check(tabular.MDP(ring, jnp.zeros(3), jnp.ones(3) / 3, discount=0.5))
        Traceback (most recent call last):
        ...
        ValueError: next_states[2, 1] is 3; allowed: 0 to 2
    """
    _check_transition(mdp.transition)
    check_structure(mdp)
    _check_finite("reward", mdp.reward)
    _check_distributions("initial", mdp.initial)
    check_discount(mdp, horizon)
    _check_allowed(mdp)


def check_structure(mdp: MDP) -> None:
    """Raise ValueError if a field's shape does not fit the transition's, or a mask is none."""
    states, actions = mdp.num_states, mdp.num_actions
    shapes: dict[str, list[tuple[int, ...]]] = {
        "reward": [(states,), (states, actions), (states, actions, states)],
        "initial": [(states,)],
        "discount": [()],
        "terminal": [(states,)],
        "actions": [(states, actions)],
    }
    for name, allowed in shapes.items():
        value = getattr(mdp, name)
        if value is not None:
            check_shape(name, value, *allowed)
    for name in ("terminal", "actions"):
        mask = getattr(mdp, name)
        if mask is not None and not jnp.issubdtype(jnp.result_type(mask), jnp.bool_):
            raise ValueError(f"{name} is {jnp.result_type(mask)}; allowed: Booleans")


def check_shape(name: str, value: Any, *allowed: tuple[int, ...]) -> None:
    """Raise ValueError if an argument has none of the allowed shapes."""
    if np.shape(value) not in allowed:
        raise ValueError(
            f"{name} has shape {np.shape(value)}; allowed: {' or '.join(map(str, allowed))}"
        )


def check_choice(name: str, value: Any, *allowed: str) -> None:
    """Raise ValueError if an argument is none of the allowed words."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed: {' or '.join(map(repr, allowed))}")


def check_at_least(name: str, value: Any, least: int) -> None:
    """Raise ValueError if a concrete argument is less than an integer."""
    if _concrete(value) and not np.asarray(value) >= least:
        raise ValueError(f"{name} is {value}; allowed: at least {least}")


def check_positive(name: str, value: Any) -> None:
    """Raise ValueError if a concrete argument is not a positive number."""
    if _concrete(value) and not (np.asarray(value) > 0 and np.isfinite(value)):
        raise ValueError(f"{name} is {value}; allowed: a positive number")


def check_discount(mdp: MDP, horizon: Literal["infinite", "finite"]) -> None:
    """Raise ValueError if a concrete discount is out of range."""
    check_choice("horizon", horizon, "infinite", "finite")
    if not _concrete(mdp.discount):
        return
    discount = float(mdp.discount)
    if not (0 <= discount < 1 or (horizon == "finite" and discount == 1)):
        allowed = "0 to 1" if horizon == "finite" else "0 to 1, 1 excluded (on an infinite horizon)"
        raise ValueError(f"discount is {discount}; allowed: {allowed}")


def check_temperature(temperature: Any, entropy: str = "causal") -> None:
    """Raise ValueError if a temperature is not positive, or missing where it is needed."""
    check_choice("entropy", entropy, "causal", "trajectory")
    if temperature is not None:
        check_positive("temperature", temperature)
    elif entropy == "trajectory":
        raise ValueError("temperature is None; allowed with entropy 'trajectory': a number")


def _concrete(value: Any) -> bool:
    return not isinstance(value, jax.core.Tracer)


def _check_transition(transition: Any) -> None:
    if isinstance(transition, Dense):
        shape = np.shape(transition.probabilities)
        if len(shape) != 3 or shape[0] != shape[2]:
            raise ValueError(f"probabilities has shape {shape}; allowed: [state, action, state]")
        _check_distributions("probabilities", transition.probabilities)
    elif isinstance(transition, Gather):
        _check_table(transition)
    else:
        _check_expectation(transition)


def _check_table(transition: Gather) -> None:
    table = transition.next_states
    if np.ndim(table) != 2 or not jnp.issubdtype(table.dtype, jnp.integer):
        raise ValueError(
            f"next_states is {table.dtype} of shape {np.shape(table)}; "
            "allowed: integers [state, action]"
        )
    if _concrete(table):
        table = np.asarray(table)
        _raise_first(
            "next_states", table, (table < 0) | (table >= len(table)), f"0 to {len(table) - 1}"
        )
    if transition.slip is not None:
        check_shape("slip", transition.slip, ())
        if _concrete(transition.slip) and not 0 <= float(transition.slip) <= 1:
            raise ValueError(f"slip is {float(transition.slip)}; allowed: 0 to 1")


def _check_expectation(transition: Any) -> None:
    """Probe a function of the user's: it must be linear, and average what it is given."""
    shape = (transition.num_states, transition.num_actions)
    probe = jax.random.uniform(jax.random.key(0), (2, transition.num_states))
    first, second = (transition.expect(values) for values in probe)
    check_shape("the transition's expect(values)", first, shape)
    if not _concrete(first):
        return
    both = transition.expect(probe[0] + probe[1])
    if not np.allclose(both, np.add(first, second), rtol=_ROUNDING):
        raise ValueError("the transition's expect is not additive; allowed: a linear function")
    outside = (first < jnp.min(probe[0])) | (first > jnp.max(probe[0]))
    _raise_first("the transition's expect(values)", first, outside, "an average of the values")
    ones = transition.expect(jnp.ones(transition.num_states))
    wrong = ~np.isclose(ones, 1, rtol=_ROUNDING)
    _raise_first("the transition's expect(ones)", ones, wrong, "1, the sum of probabilities")


def _check_distributions(name: str, probabilities: Any) -> None:
    if not _concrete(probabilities):
        return
    array = np.asarray(probabilities)
    _raise_first(name, array, ~(array >= 0), "at least 0")
    total = array.sum(axis=-1)
    wrong = ~np.isclose(total, 1, rtol=_ROUNDING)
    _raise_first(f"the sum of {name}", total, wrong, "1")


def _check_finite(name: str, value: Any) -> None:
    if _concrete(value):
        array = np.asarray(value)
        _raise_first(name, array, ~np.isfinite(array), "finite numbers")


def _check_allowed(mdp: MDP) -> None:
    if mdp.actions is None or not (_concrete(mdp.actions) and _concrete(mdp.terminal)):
        return
    stuck = ~np.any(np.asarray(mdp.actions), axis=1)
    if mdp.terminal is not None:
        stuck &= ~np.asarray(mdp.terminal)
    if np.any(stuck):
        raise ValueError(
            f"actions allows none in state {int(np.argmax(stuck))}; "
            "allowed: at least one in every state that is not terminal"
        )


def _raise_first(name: str, values: Any, wrong: Any, allowed: str) -> None:
    """Name the first wrong entry, if there is one."""
    if np.any(wrong):
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = f"[{', '.join(map(str, index))}]" if index else ""
        raise ValueError(f"{name}{where} is {np.asarray(values)[index]:g}; allowed: {allowed}")
