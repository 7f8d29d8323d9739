"""Dreamer without acting: pretraining from a replay's file, and learning in dreams alone.

``save_replay`` and ``load_replay`` keep what was remembered in a file, with the states that were
inferred. ``make_offline`` is an algorithm like any other whose steps only learn: the model, the
critic and the policy from what others have done; or, with ``dream_only``, critic and policy in the
imagination of a model that stays as it is. What one run has learned can start the next one::

    pretrained = run(make_offline, Dataset(spec, replay), config, key, 1000)
    dataset = Dataset(spec, replay, learner=pretrained.state.learner)
    run(functools.partial(make_offline, dream_only=True), dataset, config, key, 1000)
"""

import dataclasses
import os
import pathlib
import zipfile
import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.dreamer.agent import Agent, Learner, Row, Rule, Update, agent
from rlsuite.algorithms.dreamer.algorithm import State as OnlineState
from rlsuite.algorithms.dreamer.algorithm import chunk_length, learned_world, make, updates
from rlsuite.algorithms.dreamer.behaviour import Heads
from rlsuite.algorithms.dreamer.config import Config
from rlsuite.algorithms.dreamer.programs import World
from rlsuite.core import Algorithm
from rlsuite.data import replay as replays
from rlsuite.data.replay import Replay
from rlsuite.envs.control import Control, Spec
from rlsuite.ops.pytrees import pytree


@pytree(static=("rows",))
@dataclasses.dataclass(frozen=True)
class Dataset:
    """What there is to learn from; a problem.

    Attributes:
        spec: What the agent sees and does.
        replay: What was remembered.
        environment: Where to evaluate; None evaluates nothing.
        learner: What to go on from; None begins anew.
        rows: How many rows of each environment there are, as it was known when this was made.
    """

    spec: Spec
    replay: Replay
    environment: Control | None = None
    learner: Learner | None = None
    rows: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Count rows: in a program, nobody can."""
        rows = np.minimum(np.min(self.replay.written), self.replay.capacity)
        object.__setattr__(self, "rows", int(rows))


class State(NamedTuple):
    """The state of a run. What was seen and done stays in the dataset, shared by all seeds.

    Attributes:
        learner: What is learned.
        states: What is inferred of the replay's rows.
        online: As in ``Replay``.
    """

    learner: Learner
    states: Any
    online: Int[Array, " environment"]


class Metrics(NamedTuple):
    """Means over a step's updates.

    Attributes:
        world_loss: The model's loss.
        policy_loss: The policy's.
        value_loss: The critic's.
        imagined_return: Mean λ-return of imagined trajectories.
        entropy: The policy's.
        world: The parts of the model's loss, by name.
    """

    world_loss: Float[Array, ""]
    policy_loss: Float[Array, ""]
    value_loss: Float[Array, ""]
    imagined_return: Float[Array, ""]
    entropy: Float[Array, ""]
    world: dict[str, Float[Array, ""]]


def make_offline(
    dataset: Dataset,
    config: Config = Config(),  # noqa: B008
    *,
    dream_only: bool = False,
    world: World = learned_world,
    networks: Heads | None = None,
    optimizer: Rule | None = None,
) -> Algorithm:
    """Dreamer that learns from a replay and never acts, except to be evaluated.

    Args:
        dataset: What to learn from.
        config: The hyperparameters; one step is ``config.updates`` updates.
        dream_only: Whether the world model stays as it is, and only critic and policy learn.
        world: Makes the world model from (spec, ``config.model``).
        networks: Policy and critic.
        optimizer: From a learning rate to an optax transformation.

    Returns:
        The algorithm: ``step`` returns ``Metrics``; with an environment there are ``evaluate`` and
        ``act``, those of :func:`~rlsuite.algorithms.dreamer.make`.

    Raises:
        ValueError: If the replay is too short for a sequence, or ``dream_only`` comes without a
            learner: the dreams of an untrained model teach nothing.
    """
    _check(dataset, config, dream_only)
    if dream_only:
        config = _dreaming(config)
    learned = agent(dataset.spec, config, world=world, networks=networks, optimizer=optimizer)
    if dream_only:
        learned = _frozen(learned)

    def init(key: PRNGKeyArray) -> State:
        learner = learned.init(key) if dataset.learner is None else dataset.learner
        return State(learner, dataset.replay.rows.state, dataset.replay.online)

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        rows = dataset.replay.rows._replace(state=state.states)
        replay = dataset.replay._replace(rows=rows, online=state.online)
        learner, replay, told = updates(learned, config, key, state.learner, replay)
        metrics = Metrics(
            world_loss=told.world_loss,
            policy_loss=told.losses.policy,
            value_loss=told.losses.value,
            imagined_return=told.losses.imagined_return,
            entropy=told.losses.entropy,
            world=told.world,
        )
        return State(learner, replay.rows.state, replay.online), metrics

    if dataset.environment is None:
        return Algorithm(init, step, chunk_length=chunk_length(dataset.spec))
    online = make(dataset.environment, config, world=world, networks=networks, optimizer=optimizer)

    def evaluate(key: PRNGKeyArray, state: State) -> Any:
        assert online.evaluate is not None
        return online.evaluate(key, _learner_only(state))

    def act(key: Any, state: State, observation: Any, carry: Any) -> tuple[Any, Any]:
        assert online.act is not None
        return online.act(key, _learner_only(state), observation, carry)

    return Algorithm(init, step, act, evaluate, online.chunk_length)


def _learner_only(state: State) -> Any:
    """The state as the algorithm in an environment knows it; to choose, it needs no more."""
    return OnlineState(state.learner, None, None)  # type: ignore[arg-type]


def _check(dataset: Dataset, config: Config, dream_only: bool) -> None:
    if dream_only and dataset.learner is None:
        raise ValueError("dream_only is True and the dataset has no learner; allowed: with one")
    needed = config.sequence_length + 1
    if dataset.rows < needed:
        raise ValueError(
            f"replay has {dataset.rows} rows of each environment; allowed: at least "
            f"sequence_length + 1, {needed}"
        )


def _dreaming(config: Config) -> Config:
    """A config, any of whose numbers may be traced, whose critic learns nothing of the replay."""

    def changed(path: Any, value: Any) -> Any:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        return 0.0 * value if name == "behaviour.replay_value_scale" else value

    return jax.tree_util.tree_map_with_path(changed, config)


def _frozen(learned: Agent) -> Agent:
    """The agent, its updates leaving the world model and its optimiser as they are."""

    def update(key: PRNGKeyArray, learner: Learner, rows: Row) -> tuple[Learner, Any, Update]:
        changed, states, told = learned.update(key, learner, rows)
        kept = changed._replace(
            weights=changed.weights._replace(world=learner.weights.world),
            optimizer=changed.optimizer._replace(world=learner.optimizer.world),
        )
        return kept, states, told

    return learned._replace(update=update)


def save_replay(path: str | os.PathLike[str], replay: Replay) -> None:
    """Write a replay of ``Row``s to a file, compressed, and without its empty places.

    Args:
        path: The file, an ``.npz``; written beside it first, then renamed.
        replay: The replay.

    Raises:
        ValueError: If it is several replays, such as those of several seeds.
    """
    path = pathlib.Path(path)
    replay = jax.device_get(replay)
    if np.ndim(replay.written):
        raise ValueError(f"replay has axes {np.shape(replay.written)} of runs; allowed: one replay")
    filled = min(int(replay.written), replay.capacity)
    arrays = _named(replay._replace(rows=jax.tree.map(lambda ring: ring[:filled], replay.rows)))
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        np.savez_compressed(file, capacity=np.asarray(replay.capacity), **arrays)
    temporary.replace(path)


def load_replay(
    path: str | os.PathLike[str],
    spec: Spec,
    config: Config,
    *,
    world: World = learned_world,
    blank_states: bool = False,
) -> Replay:
    """Read a replay that ``save_replay`` wrote.

    Args:
        path: The file.
        spec: What the agent sees and does.
        config: The hyperparameters; ``config.model`` says what a state is.
        world: Makes the world model from (spec, ``config.model``).
        blank_states: Whether to leave out the states that are in the file, which a model of
            another shape inferred; updates then infer them anew. A Markov model's are what was
            seen.

    Returns:
        The replay.

    Raises:
        ValueError: If the file cannot be read, lacks something, or does not suit spec and config.
    """
    arrays = _read(path)
    model = world(spec, config.model)
    row = Row(spec.timestep, jnp.zeros(spec.actions.size), model.initial)
    written, capacity, count = _sizes(path, arrays)
    empty = jax.eval_shape(lambda: replays.create(row, capacity, count))
    filled = min(written, capacity)
    leaves: list[Any] = []
    for name, shape in _named(empty).items():
        if blank_states and name.startswith("rows/state"):
            leaves.append(jnp.zeros(shape.shape, shape.dtype))
            continue
        ring = name.startswith("rows/")
        expected = (filled, *shape.shape[1:]) if ring else shape.shape
        array = _checked(path, arrays, name, expected, shape.dtype)
        rest = capacity - filled if ring else 0
        leaves.append(np.pad(array, [(0, rest)] + [(0, 0)] * (array.ndim - 1)) if ring else array)
    replay: Replay = jax.tree.map(
        jnp.asarray, jax.tree.unflatten(jax.tree.structure(empty), leaves)
    )
    if blank_states and config.model.kind == "markov":
        rows = replay.rows
        seen = model.observe({}, jax.random.key(0), rows.state, rows.action, rows.timestep, None)
        replay = replay._replace(rows=rows._replace(state=seen))
    return replay


def _named(replay: Any) -> dict[str, Any]:
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(replay)
    }


def _read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    try:
        with pathlib.Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise ValueError(f"replay {str(path)!r} does not exist") from None
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"replay {str(path)!r} cannot be read ({error}); give a whole file that save_replay "
            f"wrote"
        ) from error


def _sizes(path: Any, arrays: dict[str, np.ndarray]) -> tuple[int, int, int]:
    """How many rows were written, how many are kept, and of how many environments."""
    whole = np.int32
    written = int(_checked(path, arrays, "written", (), whole))
    capacity = int(_checked(path, arrays, "capacity", (), None))
    if written < 1 or capacity < 1:
        raise ValueError(
            f"replay {str(path)!r} has written {written}, capacity {capacity}; allowed: at least 1"
        )
    online = arrays.get("online", np.zeros(0, whole))
    return written, capacity, int(np.size(online))


def _checked(
    path: Any, arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...], kind: Any
) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"replay {str(path)!r} lacks {name!r}; it has {', '.join(arrays)}")
    array = arrays[name]
    if array.shape != shape or (kind is not None and array.dtype != kind):
        wanted = f"{np.dtype(kind)}{list(shape)}" if kind is not None else f"a number{list(shape)}"
        raise ValueError(
            f"replay {str(path)!r} has {name!r} of {array.dtype}{list(array.shape)}; allowed here: "
            f"{wanted}"
        )
    if np.issubdtype(array.dtype, np.floating) and not np.all(np.isfinite(array)):
        raise ValueError(
            f"replay {str(path)!r} has {name!r} with NaN or infinity; allowed: neither"
        )
    return array
