"""Replay of sequences, preallocated on the device.

A replay holds the last rows of a few environments, each in its own ring; a row is any pytree, one
time step of one environment. Sequences are drawn uniformly over all stretches of consecutive rows,
episodes' ends included: rows say themselves where an episode begins. Rows may be written back,
which keeps what was inferred about them (a model's latents) fresh.

An online queue hands every fresh stretch out once, as soon as it is complete, in the first places
of a batch; the rest of the batch is uniform.

Example:
    >>> replay = create({"x": jnp.zeros(())}, capacity=100, num_environments=1)
    >>> for x in range(8):
    ...     replay = add(replay, {"x": jnp.full((1,), float(x))})
    >>> replay, drawn = sample(jax.random.key(0), replay, num_sequences=2, length=3)
    >>> sequences = rows(replay, drawn)
    >>> jnp.diff(sequences["x"]).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

Row = Any


class Replay(NamedTuple):
    """The rings of all environments, filled in step.

    Attributes:
        rows: Leaves ``[capacity, environment, …]``.
        written: How many rows each environment has ever had.
        online: The number of the row at which an environment's next fresh stretch begins.
    """

    rows: Row
    written: Int[Array, ""]
    online: Int[Array, " environment"]

    @property
    def capacity(self) -> int:
        """How many rows of an environment are kept."""
        return jax.tree.leaves(self.rows)[0].shape[0]


class Drawn(NamedTuple):
    """Where sequences lie.

    Attributes:
        places: In the rings, ``[sequence, time]``.
        environments: Whose, ``[sequence]``.
    """

    places: Int[Array, "sequence time"]
    environments: Int[Array, " sequence"]

    def rest(self, start: int) -> "Drawn":
        """The same sequences without their first ``start`` rows."""
        return Drawn(self.places[:, start:], self.environments)


def create(row: Row, capacity: int, num_environments: int) -> Replay:
    """An empty replay.

    Args:
        row: One environment's row, or its shapes; values do not matter.
        capacity: How many rows of each environment are kept, at least 1.
        num_environments: How many environments.

    Returns:
        The replay.
    """
    shape = (capacity, num_environments)
    empty = jax.tree.map(lambda leaf: jnp.zeros((*shape, *leaf.shape), leaf.dtype), row)
    return Replay(empty, jnp.zeros((), jnp.int32), jnp.zeros(num_environments, jnp.int32))


def add(replay: Replay, row: Row) -> Replay:
    """Add a row of every environment; the oldest gives way.

    Args:
        replay: The replay.
        row: Leaves ``[environment, …]``.

    Returns:
        The replay with it.
    """
    place = replay.written % replay.capacity
    kept = jax.tree.map(lambda ring, new: ring.at[place].set(new), replay.rows, row)
    return replay._replace(rows=kept, written=replay.written + 1)


def sample(
    key: PRNGKeyArray,
    replay: Replay,
    *,
    num_sequences: int,
    length: int,
    overlap: int = 0,
    online: bool = False,
) -> tuple[Replay, Drawn]:
    """Draw sequences, uniformly over where they may start.

    Args:
        key: Key.
        replay: The replay, with at least ``length`` rows.
        num_sequences: How many.
        length: How many rows each.
        overlap: How many rows of a fresh stretch are the last ones of the stretch before it.
        online: Whether fresh stretches come first, one an environment and call at most.

    Returns:
        (replay, where the sequences lie): fresh stretches are marked as handed out.
    """
    of_start, of_environment = jax.random.split(key)
    num_environments = replay.online.shape[0]
    oldest = jnp.maximum(replay.written - replay.capacity, 0)
    starts = jax.random.randint(of_start, (num_sequences,), oldest, replay.written - length + 1)
    whose = jax.random.randint(of_environment, (num_sequences,), 0, num_environments)
    if online:
        waiting = jnp.maximum(replay.online, oldest)
        most, order = jax.lax.top_k(-waiting, min(num_sequences, num_environments))
        fresh = replay.written + most >= length
        starts = starts.at[: len(order)].set(jnp.where(fresh, -most, starts[: len(order)]))
        whose = whose.at[: len(order)].set(jnp.where(fresh, order, whose[: len(order)]))
        replay = replay._replace(online=waiting.at[order].add(fresh * (length - overlap)))
    places = (starts[:, None] + jnp.arange(length)) % replay.capacity
    return replay, Drawn(places, whose)


def rows(replay: Replay, drawn: Drawn) -> Row:
    """The rows of sequences.

    Args:
        replay: The replay they were drawn from.
        drawn: Where they lie.

    Returns:
        Leaves ``[sequence, time, …]``.
    """
    return jax.tree.map(lambda ring: ring[drawn.places, drawn.environments[:, None]], replay.rows)


def write(ring: Any, drawn: Drawn, values: Any) -> Any:
    """Write something back into the rows of sequences; where some overlap, the last one's.

    Args:
        ring: Part of the replay's rows, leaves ``[capacity, environment, …]``.
        drawn: Where the sequences lie.
        values: What to write, leaves ``[sequence, time, …]``.

    Returns:
        The part, with it.
    """
    capacity = len(jax.tree.leaves(ring)[0])
    places = jnp.where(_written_later(drawn, capacity), capacity, drawn.places)
    where = places, drawn.environments[:, None]
    return jax.tree.map(lambda old, new: old.at[where].set(new, mode="drop"), ring, values)


def _written_later(drawn: Drawn, capacity: int) -> Bool[Array, "sequence time"]:
    """Whether a later sequence holds the row, too.

    Which of two writes to one row comes last depends on the device: there is to be but one.
    """
    places, whose = drawn
    count, length = places.shape
    from_there = (places[:, None] - places[:, :1]) % capacity  # [sequence, other, time]
    same = (whose[:, None] == whose) & (jnp.arange(count)[:, None] < jnp.arange(count))
    return jnp.any(same[..., None] & (from_there < length), axis=1)
