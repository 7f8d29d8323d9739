r"""Linear recurrent units: memories that are linear in themselves, computed for all times at once.

A block maps a sequence u to one of the same width, with complex states h and a gated output,

    h_t = λ h_{t−1} + √(1 − |λ|²) B u_t,    y_t = Re(C h_t) + D u_t,
    v_t = u_t + (W_1 g_t) σ(W_2 g_t),       g_t = gelu(y_t),

where λ = exp(−exp a + i exp b) is diagonal and never leaves the unit disk. All that is not linear
lies between blocks. Where an episode begins, λ is 0: nothing crosses. Prefixes of the maps
h ↦ λ_t h + b_t, which compose to such maps, are found in 2 log₂ T parallel steps; on CPUs, where
these are more work than they save, one after the other.

References:
    Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu, De: Resurrecting recurrent neural networks for
    long sequences. ICML 2023, arXiv:2303.06349.
    Lu, Schroecker, Gu, Parisotto, Foerster, Singh, Behbahani: Structured state space models for
    in-context reinforcement learning. NeurIPS 2023, arXiv:2303.03982: resets within a scan.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, PRNGKeyArray

from rlsuite.nets.network import Params, dense
from rlsuite.nets.recurrent import Carry, Cell


def linear_recurrence(
    size: int, *, layers: int = 2, slowest: float = 0.999, fastest: float = 0.5
) -> Cell:
    """Linear recurrent units.

    Args:
        size: The width, and the number of complex states of each layer, at least 1.
        layers: How many blocks, at least 1.
        slowest: The largest |λ| at the start, above ``fastest`` and below 1.
        fastest: The least, at least 0.

    Returns:
        The cell; its carry has the states' real and imaginary parts, ``[..., layer, size, 2]``.

    Raises:
        ValueError: If a number is out of range.

    Example:
        >>> cell = linear_recurrence(8)
        >>> params = cell.init(jax.random.key(0), jnp.zeros(3))
        >>> carry, outputs = cell.apply(params, cell.initial((5,)), jnp.zeros((5, 3)))
        >>> carry.shape, outputs.shape
        ((5, 2, 8, 2), (5, 8))
    """
    for name, value in (("size", size), ("layers", layers)):
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed: a whole number at least 1")
    if not 0 <= fastest < slowest < 1:
        raise ValueError(
            f"fastest is {fastest} and slowest {slowest}; allowed: 0 <= fastest < slowest < 1"
        )

    def init(key: PRNGKeyArray, inputs: Any) -> Params:
        of_input, *of_blocks = jax.random.split(key, layers + 1)
        return {
            "input": dense(of_input, jnp.shape(inputs)[-1], size),
            "blocks": [_block(of_block, size, fastest, slowest) for of_block in of_blocks],
        }

    def walk(params: Params, carry: Carry, inputs: Any, is_first: Any) -> tuple[Carry, Any]:
        u = inputs @ params["input"]["kernel"] + params["input"]["bias"]
        states = []
        for layer, block in enumerate(params["blocks"]):
            before = jax.lax.complex(carry[..., layer, :, 0], carry[..., layer, :, 1])
            hidden, u = _through(block, before, u, is_first)
            states.append(hidden[-1])
        last = jnp.stack(states, axis=-2)
        return jnp.stack([last.real, last.imag], axis=-1), u

    def apply(params: Params, carry: Carry, inputs: Any) -> tuple[Carry, Any]:
        nowhere = jnp.zeros((1, *inputs.shape[:-1]), bool)
        carry, outputs = walk(params, carry, inputs[None], nowhere)
        return carry, outputs[0]

    return Cell(init, apply, lambda batch: jnp.zeros((*batch, layers, size, 2)), walk)


def _through(
    block: Params,
    before: Complex[Array, "*batch size"],
    u: Float[Array, "time *batch size"],
    is_first: Bool[Array, "time ..."],
) -> tuple[Complex[Array, "time *batch size"], Float[Array, "time *batch size"]]:
    """(hidden states, outputs) of one block."""
    log_decay = -jnp.exp(block["log_decay"])
    rate = jnp.exp(jax.lax.complex(log_decay, jnp.exp(block["log_phase"])))
    scale = jnp.sqrt(-jnp.expm1(2 * log_decay))
    driven = jax.lax.complex(u @ block["to_real"], u @ block["to_imaginary"]) * scale
    rates = jnp.where(is_first[..., None], 0, rate)
    driven = driven.at[0].add(rates[0] * before)
    on_cpu = jax.default_backend() == "cpu"
    hidden = (_sequential if on_cpu else _parallel)(rates, driven)
    y = hidden.real @ block["from_real"] - hidden.imag @ block["from_imaginary"]
    g = jax.nn.gelu(y + block["direct"] * u)
    return hidden, u + (g @ block["value"]) * jax.nn.sigmoid(g @ block["gate"])


def _sequential(rates: Complex[Array, "..."], driven: Complex[Array, "..."]) -> Array:
    def step(before: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        state = now[0] * before + now[1]
        return state, state

    return jax.lax.scan(step, jnp.zeros_like(driven[0]), (rates, driven))[1]


def _parallel(rates: Complex[Array, "..."], driven: Complex[Array, "..."]) -> Array:
    if len(driven) == 1:
        return driven
    return jax.lax.associative_scan(_compose, (rates, driven))[1]


def _compose(earlier: tuple[Array, Array], later: tuple[Array, Array]) -> tuple[Array, Array]:
    return later[0] * earlier[0], later[1] + later[0] * earlier[1]


def _block(key: PRNGKeyArray, size: int, fastest: float, slowest: float) -> Params:
    of_decay, of_phase, of_direct, *of_maps = jax.random.split(key, 9)
    # |λ|² is uniform, so that λ is uniform on a ring.
    squares = jax.random.uniform(of_decay, (size,), minval=fastest**2, maxval=slowest**2)
    phase = jax.random.uniform(of_phase, (size,), minval=1e-3, maxval=np.pi / 10)
    names = ("to_real", "to_imaginary", "from_real", "from_imaginary", "value", "gate")
    return {
        "log_decay": jnp.log(-0.5 * jnp.log(squares)),
        "log_phase": jnp.log(phase),
        "direct": jax.random.normal(of_direct, (size,)),
        **{
            name: jax.nn.initializers.lecun_normal()(key, (size, size))
            for name, key in zip(names, of_maps, strict=True)
        },
    }
