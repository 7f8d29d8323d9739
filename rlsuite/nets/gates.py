"""Walks of gated memories: the gates' weights lie side by side before the first step.

Flax's cells lay them so at every step, and take their gradients apart at every step back. The walk
of an LSTM also has its gradient by hand: what the weights' is made of, the gradients dg_t before
the gates' nonlinearities and what came in, (x_t, y_{t−1}), is kept along the walk, and

    ∇W = Σ_t (x_t, y_{t−1})ᵀ dg_t

is one product after it, in place of one a step. JAX differentiates it in reverse, as often as one
likes, but not forwards.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from rlsuite.nets.network import Params

Pair = tuple[Array, Array]


def walk_gru(params: Params, carry: Array, inputs: Array, is_first: Array) -> Pair:
    """``unroll`` of :func:`rlsuite.nets.gru`."""
    own = params["params"]
    into, bias = _beside(own, "ir iz in", "kernel"), _beside(own, "ir iz in", "bias")
    within, inner_bias = _beside(own, "hr hz hn", "kernel"), own["hn"]["bias"]

    def step(y: Array, now: Pair) -> Pair:
        x, begins = now
        y = jnp.where(begins[..., None], 0.0, y)
        r, z, n = jnp.split(x @ into + bias, 3, axis=-1)
        of_r, of_z, of_n = jnp.split(y @ within, 3, axis=-1)
        r, z = jax.nn.sigmoid(r + of_r), jax.nn.sigmoid(z + of_z)
        y = (1.0 - z) * jnp.tanh(n + r * (of_n + inner_bias)) + z * y
        return y, y

    return jax.lax.scan(step, carry, (inputs, is_first))


def walk_lstm(params: Params, carry: Pair, inputs: Array, is_first: Array) -> tuple[Pair, Array]:
    """``unroll`` of :func:`rlsuite.nets.lstm`."""
    own = params["params"]
    into, within = _beside(own, "ii if ig io", "kernel"), _beside(own, "hi hf hg ho", "kernel")
    return _lstm(into, within, _beside(own, "hi hf hg ho", "bias"), carry, inputs, is_first)


def _beside(params: Params, names: str, what: str) -> Array:
    return jnp.concatenate([params[name][what] for name in names.split()], axis=-1)


@jax.custom_vjp
def _lstm(
    into: Array, within: Array, bias: Array, carry: Pair, inputs: Array, is_first: Array
) -> tuple[Pair, Array]:
    return _forward(into, within, bias, carry, inputs, is_first)[0]


def _forward(
    into: Array, within: Array, bias: Array, carry: Pair, inputs: Array, is_first: Array
) -> tuple[tuple[Pair, Array], Any]:
    """((the last carry, outputs), what the way back needs)."""

    def step(carry: Pair, now: Pair) -> tuple[Pair, Any]:
        x, begins = now
        c, y = (jnp.where(begins[..., None], 0.0, part) for part in carry)
        i, f, g, o = jnp.split(x @ into + y @ within + bias, 4, axis=-1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        new = f * c + i * g
        squashed = jnp.tanh(new)
        return (new, o * squashed), (o * squashed, y, (c, i, f, g, o, squashed))

    last, (outputs, before, gates) = jax.lax.scan(step, carry, (inputs, is_first))
    return (last, outputs), (into, within, inputs, is_first, before, gates)


def _backward(kept: Any, gradients: tuple[Pair, Array]) -> tuple[Any, ...]:
    into, within, inputs, is_first, before, gates = kept

    def step(later: Pair, now: Any) -> tuple[Pair, Array]:
        dy, begins, (c, i, f, g, o, squashed) = now
        dc, dy = later[0], later[1] + dy
        dc = dc + dy * o * (1.0 - squashed * squashed)
        parts = dc * g * i * (1.0 - i), dc * c * f * (1.0 - f), dc * i * (1.0 - g * g)
        dg = jnp.concatenate([*parts, dy * squashed * o * (1.0 - o)], axis=-1)
        earlier = dc * f, dg @ within.T
        dc, dy = (jnp.where(begins[..., None], 0.0, part) for part in earlier)
        return (dc, dy), dg

    first, dgs = jax.lax.scan(step, gradients[0], (gradients[1], is_first, gates), reverse=True)
    flat = dgs.reshape(-1, dgs.shape[-1])
    came = jnp.concatenate([inputs, before], axis=-1)
    of_weights = came.reshape(-1, came.shape[-1]).T @ flat
    of_into, of_within = jnp.split(of_weights, [inputs.shape[-1]])
    of_inputs = (flat @ into.T).reshape(inputs.shape)
    return of_into, of_within, jnp.sum(flat, axis=0), first, of_inputs, None


_lstm.defvjp(_forward, _backward)
