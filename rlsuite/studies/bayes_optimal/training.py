"""Runs that leave their parameters at steps spread evenly over the logarithm of time."""

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from rlsuite.algorithms import memory_meta
from rlsuite.configuration import to_json
from rlsuite.envs.bandits import Bandits
from rlsuite.envs.prediction import Prediction
from rlsuite.io.stages import Stages


class Runs(NamedTuple):
    """What runs have left; every array of ``params`` is NumPy's, ``[checkpoint, seed, …]``.

    Attributes:
        steps: After how many updates, beginning with 0.
        params: The agents' parameters then.
    """

    steps: np.ndarray
    params: Any

    def at(self, checkpoint: int, seed: int) -> Any:
        """The parameters of one run at one time."""
        return jax.tree.map(lambda leaf: leaf[checkpoint, seed], self.params)

    @property
    def last(self) -> Any:
        """The parameters of all seeds in the end."""
        return jax.tree.map(lambda leaf: leaf[-1], self.params)

    @property
    def flat(self) -> Any:
        """All parameters along one axis: those of all seeds at the first checkpoint come first."""
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), self.params)


def spread(num_steps: int, count: int) -> np.ndarray:
    """Zero, and numbers of updates at about even distances of their logarithms.

    Args:
        num_steps: The last.
        count: How many at most, at least 2; fewer where they coincide.

    Returns:
        The numbers.

    Example:
        >>> spread(1000, 5).tolist(), spread(1000, 2).tolist()
        ([0, 1, 10, 100, 1000], [0, 1000])
    """
    return np.unique([0, *np.round(np.geomspace(num_steps, 1, count - 1)).astype(int)])


def train(
    name: str,
    problem: Prediction | Bandits,
    config: memory_meta.Config,
    num_steps: int,
    num_seeds: int,
    num_checkpoints: int,
    stages: Stages,
) -> Runs:
    """Train all seeds in one program, unless it is done already.

    Seeds are shared out over all devices, each of which trains its own as a batch, or, on a CPU,
    where a batch of small matrix products takes longer, one after the other.

    Args:
        name: The stage's name.
        problem: Sequences to predict, or bandits.
        config: The hyperparameters.
        num_steps: How many updates.
        num_seeds: How many seeds.
        num_checkpoints: How often parameters are kept.
        stages: Keeps what is done.

    Returns:
        The runs.
    """
    steps = spread(num_steps, num_checkpoints)
    algorithm = memory_meta.make(problem, config)
    of_start, of_steps = _keys(num_seeds)

    def of_seed(state: Any, key: Any, start: Any, stop: Any) -> Any:
        def update(n: Any, state: Any) -> Any:
            return algorithm.step(jax.random.fold_in(key, n), state)[0]

        return jax.lax.fori_loop(start, stop, update, state)

    go_on = jax.jit(_beside(of_seed, num_seeds))

    def compute() -> dict[str, Any]:
        states = jax.jit(jax.vmap(algorithm.init))(of_start)
        kept = [jax.tree.map(np.asarray, states.params)]
        for start, stop in itertools.pairwise(steps):
            states = go_on(states, of_steps, int(start), int(stop))
            kept.append(jax.tree.map(np.asarray, states.params))
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *kept)
        return {f"leaf {n}": leaf for n, leaf in enumerate(jax.tree.leaves(stacked))}

    # A problem enters by its arrays: what is static in one may be written by its place in memory.
    length = problem.length if isinstance(problem, Prediction) else None
    identity = problem, length, to_json(config), steps, num_seeds
    arrays = stages(name, identity, compute)
    shapes, structure = jax.tree.flatten(jax.eval_shape(algorithm.init, of_start[0]).params)
    leaves = [arrays[f"leaf {n}"] for n in range(len(shapes))]
    return Runs(steps, jax.tree.unflatten(structure, leaves))


def _beside(of_seed: Callable[..., Any], num_seeds: int) -> Callable[..., Any]:
    """``of_seed(state, key, start, stop)`` for states and keys with a leading axis of seeds."""
    devices = jax.devices()
    each = -(-num_seeds // len(devices))
    used = -(-num_seeds // each)
    axis_types = (jax.sharding.AxisType.Auto,)
    mesh = jax.sharding.Mesh(np.asarray(devices[:used]), ("seed",), axis_types=axis_types)
    seeds, all_of_it = jax.sharding.PartitionSpec("seed"), jax.sharding.PartitionSpec()

    def of_device(states: Any, keys: Any, start: Any, stop: Any) -> Any:
        def one(seed: Any) -> Any:
            return of_seed(*seed, start, stop)

        if jax.default_backend() == "cpu":
            return jax.lax.map(one, (states, keys))
        return jax.vmap(one)((states, keys))

    shared = jax.shard_map(
        of_device,
        mesh=mesh,
        in_specs=(seeds, seeds, all_of_it, all_of_it),
        out_specs=seeds,
        check_vma=False,
    )

    def of_all(states: Any, keys: Any, start: Any, stop: Any) -> Any:
        # Devices have as many seeds each: the last one is done again where these are too few.
        chosen = np.minimum(np.arange(each * used), num_seeds - 1)
        states, keys = jax.tree.map(lambda x: x[chosen], (states, keys))
        found = shared(states, keys, jnp.asarray(start), jnp.asarray(stop))
        return jax.tree.map(lambda x: x[:num_seeds], found)

    return of_all


@functools.partial(jax.jit, static_argnums=0)
def _keys(num_seeds: int) -> tuple[Key[Array, " seed"], Key[Array, " seed"]]:
    """Of each seed's start, and of its steps."""
    keys = jax.vmap(lambda n: jax.random.split(jax.random.fold_in(jax.random.key(0), n)))(
        jnp.arange(num_seeds)
    )
    return keys[:, 0], keys[:, 1]
