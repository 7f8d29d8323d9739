"""The batch a run trains at once, and where on the devices it lies.

A run's leaves carry the axes (problem, config, seed), each only if asked for. The mapped axes
are nested ``vmap``s; over several devices one of them is sharded, and XLA splits the program
along it with no communication.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PRNGKeyArray

from rlsuite.configuration import stacked_size

_MESH_AXIS = "runs"


class Batch(NamedTuple):
    """How many problems, configs and seeds are trained; None where an axis is absent."""

    problem: int | None
    config: int | None
    seed: int | None

    @property
    def axes(self) -> dict[str, int]:
        """The axes that are present, outermost first, with their sizes."""
        return {name: size for name, size in self._asdict().items() if size is not None}

    def over(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Map ``function(start, problem, config, key, *carried)`` over the batch."""

        def mapped(start: Any, problem: Any, config: Any, key: Any, *carried: Any) -> Any:
            rest = (0,) * len(carried)
            f = function
            if self.seed is not None:
                f = jax.vmap(f, (None, None, None, 0, *rest))
            if self.config is not None:
                f = jax.vmap(f, (None, None, 0, None, *rest))
            if self.problem is not None:
                f = jax.vmap(f, (None, 0, None, None, *rest))
            return f(start, problem, config, key, *carried)

        return mapped

    def name(self, index: tuple[int, ...]) -> str:
        """A run of the batch in words: ``'config 2, seed 0'``; empty for a single run."""
        return ", ".join(f"{name} {i}" for name, i in zip(self.axes, index, strict=True))


class Arguments(NamedTuple):
    """The traced inputs of a run: the problem's arrays, the config, the keys ``[seed]``."""

    problem: Any
    config: Any
    key: PRNGKeyArray


class Structure(NamedTuple):
    """The static rest of a problem: what is not an array in it, and how it fits together."""

    tree: Any
    static: tuple[Any, ...]

    def rebuild(self, arrays: tuple[Any, ...]) -> Any:
        """The problem again, with ``arrays`` in the places of its arrays."""
        rest = iter(arrays)
        leaves = [next(rest) if leaf is _ARRAY else leaf for leaf in self.static]
        return jax.tree.unflatten(self.tree, leaves)


class _Array:
    """Marks an array's place among a problem's static leaves."""


_ARRAY = _Array()


def split(problem: Any) -> tuple[tuple[Any, ...], Structure]:
    """A problem's arrays, and the static rest.

    Args:
        problem: A pytree; leaves that are JAX or NumPy arrays are traced, all others static.

    Returns:
        (arrays, structure), with ``structure.rebuild(arrays)`` the problem again.

    Raises:
        ValueError: If a leaf that is no array cannot be hashed.

    Example:
        >>> arrays, structure = split({"name": "maze", "reward": np.ones(2)})
        >>> structure.rebuild(arrays)["name"]
        'maze'
    """
    leaves, tree = jax.tree.flatten(problem)
    arrays = tuple(leaf for leaf in leaves if _is_array(leaf))
    static = tuple(_ARRAY if _is_array(leaf) else leaf for leaf in leaves)
    try:
        hash((tree, static))
    except TypeError as error:
        raise ValueError(
            f"problem has a leaf that is neither an array nor hashable: {error}"
        ) from error
    return arrays, Structure(tree, static)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def batch_of(
    arrays: tuple[Any, ...], config: Any, num_problems: int | None, num_seeds: int | None
) -> Batch:
    """The batch that ``run``'s arguments ask for.

    Args:
        arrays: The problem's arrays.
        config: The config, stacked or not.
        num_problems: How many problems are stacked, or None.
        num_seeds: How many seeds, or None.

    Returns:
        The batch.

    Raises:
        ValueError: If a count is below 1, or an array lacks the axis of stacked problems.
    """
    for name, count in (("num_seeds", num_seeds), ("num_problems", num_problems)):
        if count is not None and count < 1:
            raise ValueError(f"{name} is {count}; allowed: a whole number at least 1, or None")
    if num_problems is not None:
        for array in arrays:
            if np.shape(array)[:1] != (num_problems,):
                raise ValueError(
                    f"num_problems is {num_problems}, but an array of the problem has shape "
                    f"{np.shape(array)}; allowed: every array's first axis of that length"
                )
    return Batch(num_problems, stacked_size(config), num_seeds)


def traced_arguments(
    arrays: tuple[Any, ...], config: Any, key: PRNGKeyArray, batch: Batch
) -> Arguments:
    """The inputs of the compiled programs, each with its batch axis."""

    def stack(leaf: Any) -> jax.Array:
        leaf = jnp.asarray(leaf, dtype=jnp.result_type(float))
        return leaf if batch.config is None else jnp.broadcast_to(leaf, (batch.config,))

    if batch.seed is not None:
        key = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(batch.seed))
    return Arguments(arrays, jax.tree.map(stack, config), key)


class Placement(NamedTuple):
    """Which axis of the batch is sharded over which devices; neither on a single device."""

    batch: Batch
    mesh: Mesh | None
    axis: str | None

    def sharding(self, *axes: str) -> NamedSharding | None:
        """Where an array whose first axes are the named batch axes lies."""
        if self.mesh is None:
            return None
        spec = [_MESH_AXIS if name == self.axis else None for name in axes]
        return NamedSharding(self.mesh, PartitionSpec(*spec))

    def of_runs(self) -> NamedSharding | None:
        """Where states and metrics lie: arrays that have all of the batch's axes."""
        return self.sharding(*self.batch.axes)

    def put(self, arguments: Arguments) -> Arguments:
        """Move a run's inputs to their devices."""
        if self.mesh is None:
            return arguments

        def put(axis: str, tree: Any) -> Any:
            sharding = self.sharding(*([axis] if axis in self.batch.axes else []))
            return jax.tree.map(lambda leaf: _put(leaf, sharding), tree)

        return Arguments(
            put("problem", arguments.problem),
            put("config", arguments.config),
            put("seed", arguments.key),
        )

    def annotate(self, shapes: Any) -> Any:
        """Shapes of a state with the shardings that its arrays will have."""
        sharding = self.of_runs() or jnp.zeros(()).sharding
        return jax.tree.map(
            lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sharding), shapes
        )


def _put(leaf: Any, sharding: NamedSharding | None) -> jax.Array:
    """Place one array; a process gives only host values to a mesh that spans several."""
    if jax.process_count() == 1:
        return jax.device_put(leaf, sharding)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = jax.device_put(np.asarray(jax.random.key_data(leaf)), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    return jax.device_put(np.asarray(leaf), sharding)


def plan(batch: Batch, mesh: Mesh | None = None) -> Placement:
    """Choose the axis to shard, and over how many devices.

    Each axis of n runs can use the largest number of devices that divides n; the axis that uses
    most is sharded, seeds before configs before problems.

    Args:
        batch: What is trained.
        mesh: A mesh of one axis to use whole; by default all devices that JAX sees.

    Returns:
        The placement.

    Raises:
        ValueError: If ``mesh`` has several axes, or divides none of the batch's axes.
    """
    devices = jax.devices() if mesh is None else list(mesh.devices.flat)
    if mesh is not None and mesh.devices.ndim != 1:
        raise ValueError(f"mesh has the axes {mesh.axis_names}; allowed: one axis")
    usable = {
        name: max(d for d in range(1, len(devices) + 1) if size % d == 0)
        for name, size in reversed(batch.axes.items())
    }
    axis = max(usable, key=lambda name: usable[name], default=None)
    count = 1 if axis is None else usable[axis]
    if mesh is not None and count < len(devices):
        raise ValueError(
            f"mesh has {len(devices)} devices, which divide no axis of the batch {batch.axes}"
        )
    if count == 1 and jax.process_count() == 1:
        return Placement(batch, None, None)
    if jax.process_count() > 1 and count < len(devices):
        raise ValueError(
            f"{jax.process_count()} processes hold {len(devices)} devices, which divide no axis "
            f"of the batch {batch.axes}; allowed: a multiple of {len(devices)} seeds"
        )
    chosen = Mesh(np.asarray(devices[:count]), (_MESH_AXIS,), axis_types=(AxisType.Auto,))
    return Placement(batch, chosen, axis)


def gather(tree: Any) -> Any:
    """A pytree of device arrays as whole NumPy arrays on every process."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)
