r"""A causal transformer as a memory: what it remembers are the keys and values of an episode.

Layers are h ← h + Attention(norm h), h ← h + MLP(norm h), and a norm at the end. A query at
position p attends to the keys of its own episode at positions p − context + 1 … p. Positions enter
by rotation: coordinates (i, i + d/2) of queries and keys are turned by p · 10000^{−2i/d}, so that
scores depend on the distance alone, and nothing in the network has seen how long an episode is.

A carry has a ring of the last keys and values of each layer: the slot of position p is p modulo the
context. One step looks at the ring and at itself; a whole sequence is one masked attention.

References:
    Vaswani et al.: Attention is all you need. NeurIPS 2017, arXiv:1706.03762.
    Su et al.: RoFormer: enhanced transformer with rotary position embedding. 2021,
    arXiv:2104.09864.
    Parisotto et al.: Stabilizing transformers for reinforcement learning. ICML 2020,
    arXiv:1910.06764: norms before the layers.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rlsuite.nets.network import Params
from rlsuite.nets.recurrent import Carry, Cell

_FAR = -1e30


class Ring(NamedTuple):
    """What is remembered of an episode.

    Attributes:
        keys: Rotated keys, ``[*batch, layer, slot, head, d]``.
        values: ``[*batch, layer, slot, head, d]``.
        positions: Of the slots, ``[*batch, slot]``; −1 where one is empty.
        steps: How many the episode has had, ``[*batch]``.
    """

    keys: Float[Array, "..."]
    values: Float[Array, "..."]
    positions: Int[Array, "..."]
    steps: Int[Array, "..."]


class _Places(NamedTuple):
    """Where the steps of a sequence are.

    Attributes:
        positions: In their episodes, ``[batch, time]``.
        sees_ring: Which slots a step may look at, ``[batch, time, slot]``.
        sees_steps: Which steps, ``[batch, time, time]``.
    """

    positions: Int[Array, "batch time"]
    sees_ring: Bool[Array, "batch time slot"]
    sees_steps: Bool[Array, "batch time time"]


def causal_transformer(size: int, *, layers: int = 2, heads: int = 4, context: int = 128) -> Cell:
    """A causal transformer.

    Args:
        size: The width; each head has an even share of it.
        layers: How many, at least 1.
        heads: How many, at least 1.
        context: How many steps back attention reaches, its own included, at least 1.

    Returns:
        The cell; its carry is a ``Ring``.

    Raises:
        ValueError: If a number is out of range, or a head's share is not even.

    Example:
        >>> cell = causal_transformer(8, heads=2, context=16)
        >>> params = cell.init(jax.random.key(0), jnp.zeros(3))
        >>> ring, outputs = cell.apply(params, cell.initial((5,)), jnp.zeros((5, 3)))
        >>> outputs.shape, ring.positions[0, :3].tolist()
        ((5, 8), [0, -1, -1])
    """
    for name, value in (("size", size), ("layers", layers), ("heads", heads), ("context", context)):
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed: a whole number at least 1")
    if size % (2 * heads):
        raise ValueError(f"size is {size}; allowed: a multiple of 2 * heads, {2 * heads}")

    def init(key: PRNGKeyArray, inputs: Any) -> Params:
        of_input, *of_layers = jax.random.split(key, layers + 1)
        return {
            "input": _kernel(of_input, jnp.shape(inputs)[-1], size),
            "layers": [_layer(of_layer, size, layers) for of_layer in of_layers],
            "gain": jnp.ones(size),
        }

    def initial(batch: tuple[int, ...]) -> Ring:
        empty = jnp.zeros((*batch, layers, context, heads, size // heads))
        positions = jnp.full((*batch, context), -1, jnp.int32)
        return Ring(empty, empty, positions, jnp.zeros(batch, jnp.int32))

    def walk(params: Params, carry: Carry, inputs: Any, is_first: Any) -> tuple[Carry, Any]:
        length, *batch = is_first.shape
        # XLA would compute the masks of a ring that is known to be empty while it compiles, slowly.
        carry = jax.lax.optimization_barrier(carry)
        ring = jax.tree.map(lambda x: x.reshape(-1, *x.shape[len(batch) :]), carry)
        x = jnp.moveaxis(inputs.reshape(length, -1, inputs.shape[-1]), 0, 1) @ params["input"]
        begins = is_first.reshape(length, -1).T
        where = _places(ring, begins)

        def through(params: Params, x: Any, ring: Ring | None) -> tuple[Array, Array, Array]:
            keys, values = [], []
            for index, layer in enumerate(params["layers"]):
                old = None if ring is None else (ring.keys[:, index], ring.values[:, index])
                x, key, value = _through(layer, x, old, where, heads)
                keys.append(key)
                values.append(value)
            return x, jnp.stack(keys, 1), jnp.stack(values, 1)

        # Most training begins with episodes: the ring, often the greater part, then says nothing.
        goes_on = ~begins[:, 0] & jnp.any(ring.positions >= 0, axis=1)
        x, keys, values = jax.lax.cond(
            jnp.any(goes_on),
            through,
            lambda params, x, _: through(params, x, None),
            params,
            x,
            ring,
        )
        ring = _remember(ring, keys, values, where)
        outputs = jnp.moveaxis(_norm(x, params["gain"]), 1, 0).reshape(length, *batch, size)
        return jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), ring), outputs

    def apply(params: Params, carry: Carry, inputs: Any) -> tuple[Carry, Any]:
        nowhere = jnp.zeros((1, *inputs.shape[:-1]), bool)
        carry, outputs = walk(params, carry, inputs[None], nowhere)
        return carry, outputs[0]

    return Cell(init, apply, initial, walk)


def _places(ring: Ring, begins: Bool[Array, "batch time"]) -> _Places:
    """What each step may look at: its own episode, no further back than the context."""
    time = jnp.arange(begins.shape[1], dtype=jnp.int32)
    context = ring.positions.shape[-1]
    # Where a step's episode began, counted from the sequence's first step.
    marks = jnp.where(begins, time, -ring.steps[:, None])
    start = jax.lax.cummax(marks, axis=1)
    positions = time - start
    carried = (jnp.cumsum(begins, axis=1) == 0)[..., None]
    slots = ring.positions[:, None]
    near = positions[..., None] - slots < context
    distance = time[:, None] - time
    own = (distance >= 0) & (distance < context) & (time >= start[..., None])
    return _Places(positions, carried & (slots >= 0) & near, own)


def _through(
    layer: Params,
    x: Float[Array, "batch time size"],
    remembered: tuple[Array, Array] | None,
    where: _Places,
    heads: int,
) -> tuple[Array, Array, Array]:
    """(outputs, keys, values) of one layer, with keys and values of the ring or without."""
    normed = _norm(x, layer["gain"])
    shape = (*x.shape[:2], heads, x.shape[-1] // heads)
    query, key, value = ((normed @ layer[name]).reshape(shape) for name in ("q", "k", "v"))
    query, key = _rotate(query, where.positions), _rotate(key, where.positions)
    query = query * shape[-1] ** -0.5
    everything, everywhere, seen = key, value, where.sees_steps
    if remembered is not None:
        everything = jnp.concatenate([remembered[0], key], axis=1)
        everywhere = jnp.concatenate([remembered[1], value], axis=1)
        seen = jnp.concatenate([where.sees_ring, seen], axis=-1)
    scores = jnp.einsum("bthd,bshd->bhts", query, everything)
    weights = jax.nn.softmax(jnp.where(seen[:, None], scores, _FAR))
    mixed = jnp.einsum("bhts,bshd->bthd", weights, everywhere).reshape(x.shape)
    x = x + mixed @ layer["out"]
    hidden = jax.nn.gelu(_norm(x, layer["mlp_gain"]) @ layer["up"] + layer["up_bias"])
    return x + hidden @ layer["down"], key, value


def _remember(
    ring: Ring,
    keys: Float[Array, "batch layer time head d"],
    values: Float[Array, "batch layer time head d"],
    where: _Places,
) -> Ring:
    """The ring after the last step: in each slot the latest position that belongs there."""
    context, length = ring.positions.shape[-1], keys.shape[2]
    last = where.positions[:, -1:]
    slots = jnp.arange(context, dtype=jnp.int32)
    wanted = last - (last - slots) % context
    place = length - 1 - (last - wanted)  # In the sequence; before it, the ring has the position.

    def pick(new: Array, old: Array) -> Array:
        index = jnp.clip(place, 0, length - 1)[:, None, :, None, None]
        taken = jnp.take_along_axis(new, index, axis=2)
        kept = jnp.where((place >= 0)[:, None, :, None, None], taken, old)
        return jnp.where((wanted >= 0)[:, None, :, None, None], kept, 0.0)

    positions = jnp.where(wanted >= 0, wanted, -1)
    return Ring(pick(keys, ring.keys), pick(values, ring.values), positions, last[:, 0] + 1)


def _rotate(
    x: Float[Array, "batch time head d"], positions: Int[Array, "batch time"]
) -> Float[Array, "batch time head d"]:
    half = x.shape[-1] // 2
    speeds = 10_000.0 ** (-jnp.arange(half) / half)
    angles = positions[..., None, None] * speeds
    one, other = x[..., :half], x[..., half:]
    cosine, sine = jnp.cos(angles), jnp.sin(angles)
    return jnp.concatenate([one * cosine - other * sine, one * sine + other * cosine], axis=-1)


def _norm(x: Float[Array, "*batch size"], gain: Float[Array, " size"]) -> Float[Array, "..."]:
    return x * jax.lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-6) * gain


def _kernel(key: PRNGKeyArray, inputs: int, outputs: int, scale: float = 1.0) -> Array:
    return scale * jax.nn.initializers.lecun_normal()(key, (inputs, outputs))


def _layer(key: PRNGKeyArray, size: int, layers: int) -> Params:
    keys = jax.random.split(key, 6)
    small = (2 * layers) ** -0.5  # What is added up over layers starts with a variance of 1.
    return {
        "gain": jnp.ones(size),
        "q": _kernel(keys[0], size, size),
        "k": _kernel(keys[1], size, size),
        "v": _kernel(keys[2], size, size),
        "out": _kernel(keys[3], size, size, small),
        "mlp_gain": jnp.ones(size),
        "up": _kernel(keys[4], size, 2 * size),
        "up_bias": jnp.zeros(2 * size),
        "down": _kernel(keys[5], 2 * size, size, small),
    }
