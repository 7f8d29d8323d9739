r"""Whether a memory and the sufficient statistics are the same machine, by maps both ways.

Of two machines that read the same sequences, N's states n_t and M's states m_t, a perceptron f is
trained to map n_t to m_t ("N → M"). On sequences that it has not seen,

    D_s = E ‖f(n_t) − m_t‖² / E ‖m_t − E m‖²,
    D_o = E KL(output of N at n_t ‖ output of M at f(n_t)).

**A small D_s of "RNN → Bayes" proves nothing**: an untrained memory keeps its inputs too, and it
passes.
So beside every number stands that of the untrained agent; beside D_s of "Bayes → RNN" its *floor*,
the variance of memories among histories with the same statistics over all variance, which no map
undercuts. The closed loop iterates s ← f(RNN(g(s), x)), both maps and the memory's own transition,
from the prior on, without ever looking at the true statistics.
"""

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from rlsuite.algorithms import memory_meta
from rlsuite.envs.bandits import Bandits
from rlsuite.envs.prediction import Prediction
from rlsuite.nets import mlp
from rlsuite.ops import bandits as ops
from rlsuite.studies.summaries import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTHS = (128, 128)


class Map(NamedTuple):
    """A learned map, with the scales of both sides.

    Attributes:
        params: Of the perceptron.
        source: (mean, deviation) of what is mapped.
        target: (mean, deviation) of what it is mapped to.
    """

    params: Any
    source: tuple[Array, Array]
    target: tuple[Array, Array]

    def __call__(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch m"]:
        """Map."""
        y = mlp(_WIDTHS, self.target[0].shape[0]).apply(
            self.params, (x - self.source[0]) / self.source[1]
        )
        return y * self.target[1] + self.target[0]


class Structure(NamedTuple):
    """How alike two machines are; see the module.

    Attributes:
        to_bayes: (D_s, D_o) of "RNN → Bayes".
        to_memory: (D_s, D_o) of "Bayes → RNN".
        floor: The least D_s that "Bayes → RNN" could have.
        drift: Of the closed loop, the KL of its predictions from Bayes at each step.
    """

    to_bayes: tuple[float, float]
    to_memory: tuple[float, float]
    floor: float
    drift: np.ndarray


def fit(
    source: Float[Array, "pair n"], target: Float[Array, "pair m"], num_steps: int, seed: int = 0
) -> Map:
    """Train a perceptron by least squares, each side's coordinates scaled.

    Args:
        source: What is mapped.
        target: What it is mapped to.
        num_steps: Of Adam, on 512 pairs each, its rate falling from 2e-3 on a cosine.
        seed: Of everything that is drawn.

    Returns:
        The map.
    """
    scales = [(jnp.mean(x, axis=0), jnp.std(x, axis=0) + 1e-6) for x in (source, target)]
    return Map(*_fitted(source, target, scales[0], scales[1], seed, num_steps=num_steps), *scales)


@functools.partial(jax.jit, static_argnames="num_steps")
def _fitted(
    source: Any, target: Any, of_source: Any, of_target: Any, seed: Any, *, num_steps: int
) -> Any:
    network = mlp(_WIDTHS, target.shape[1])
    inputs = (source - of_source[0]) / of_source[1]
    # One scale for all coordinates weighs them as D_s does.
    weight = of_target[1] / jnp.sqrt(jnp.mean(of_target[1] ** 2))
    wanted = (target - of_target[0]) / of_target[1]
    optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, num_steps))
    of_params, of_steps = jax.random.split(jax.random.key(seed))
    params = network.init(of_params, inputs[:1])

    def step(learned: Any, key: Any) -> Any:
        params, state = learned
        chosen = jax.random.randint(key, (512,), 0, len(inputs))

        def loss(params: Any) -> Any:
            errors = weight * (network.apply(params, inputs[chosen]) - wanted[chosen])
            return jnp.mean(errors**2)

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    start = params, optimizer.init(params)
    (params, _), _ = jax.lax.scan(step, start, jax.random.split(of_steps, num_steps))
    return (params,)


def dissimilarity(found: Float[Array, "pair n"], true: Float[Array, "pair n"]) -> float:
    """D_s.

    Args:
        found: f(n_t).
        true: m_t.

    Returns:
        Squared errors over all variance.

    Example:
        >>> dissimilarity(jnp.array([[0.0], [0.0]]), jnp.array([[1.0], [-1.0]]))
        1.0
    """
    return float(jnp.sum((found - true) ** 2) / jnp.sum((true - jnp.mean(true, axis=0)) ** 2))


def floor(states: Float[np.ndarray, "pair n"], statistics: Float[np.ndarray, "pair m"]) -> float:
    """The share of the variance of states that is left among equal statistics, without bias.

    Args:
        states: States.
        statistics: Statistics; equal rows make a group, and groups of one do not count.

    Returns:
        The within-group variance over the whole.

    Example:
        >>> floor(np.array([[0.0], [2.0], [4.0], [6.0]]), np.array([[0.0], [0.0], [1.0], [1.0]]))
        0.3
    """
    _, group = np.unique(np.round(statistics, 4), axis=0, return_inverse=True)
    group = group.ravel()
    sizes = np.bincount(group)
    sums = np.stack([np.bincount(group, column) for column in np.asarray(states, float).T], axis=1)
    errors = (states - (sums / sizes[:, None])[group]) ** 2
    counted = (sizes > 1)[group]
    freedom = counted.sum() - np.sum(sizes > 1)
    # Groups of one have unknown variance; they are taken to have the others'.
    within = errors[counted].sum() / max(freedom, 1)
    whole = np.sum((states - states.mean(axis=0)) ** 2) / (len(states) - 1)
    if freedom == 0:
        return float("nan")
    return round(float(within / whole), 12)


def read(network: memory_meta.Agent, params: Any, memories: Float[Array, "pair n"]) -> Array:
    """The heads of an agent whose memory's output is the last array of its carry.

    Args:
        network: An LSTM, a GRU or a plain recurrent network.
        params: Its parameters.
        memories: Carries, as vectors.

    Returns:
        The heads.
    """
    output = jax.tree.leaves(memory_meta.unflat(network, memories))[-1]
    return output @ params["head"]["kernel"] + params["head"]["bias"]


def compare(
    problem: Prediction,
    network: memory_meta.Agent,
    params: Any,
    *,
    num_sequences: int,
    num_steps: int,
) -> Structure:
    """Map both ways, measure on new sequences, and iterate.

    Args:
        problem: The sequences.
        network: The agent.
        params: Its parameters.
        num_sequences: To train maps on; as many measure them.
        num_steps: Of training of each map.

    Returns:
        How alike they are.
    """
    x = problem.samples(jax.random.key(5), 2 * num_sequences)
    memories, heads = jax.jit(lambda p: memory_meta.trace(network, p, problem.inputs(x)))(params)
    statistics = _statistics(problem, x)
    family = problem.model.family

    def pairs(values: Array, part: int) -> Array:
        chosen = values[:, part * num_sequences : (part + 1) * num_sequences]
        return chosen.reshape(-1, values.shape[-1])

    to_bayes = fit(pairs(memories, 0), pairs(statistics, 0), num_steps)
    to_memory = fit(pairs(statistics, 0), pairs(memories, 0), num_steps)
    n, s, said = (pairs(values, 1) for values in (memories, statistics, heads))
    mapped = to_bayes(n)
    there = problem.model.predictive(_possible(problem, mapped))
    back = to_memory(s)
    best = problem.model.predictive(s)
    drift = _closed(problem, network, params, to_bayes, to_memory, x[:, num_sequences:])
    return Structure(
        (dissimilarity(mapped, s), float(jnp.mean(family.divergence(said, there)))),
        (
            dissimilarity(back, n),
            float(jnp.mean(family.divergence(best, read(network, params, back)))),
        ),
        floor(np.asarray(n), np.asarray(s)),
        np.asarray(drift),
    )


def _statistics(problem: Prediction, x: Array) -> Array:
    from rlsuite.ops.conjugate import walk

    return walk(problem.model, x)[1][:-1]


def _possible(problem: Prediction, statistics: Array) -> Array:
    """Counts are at least the prior's: a map may leave what is possible by a little."""
    return jnp.maximum(statistics, 0.5 * problem.model.initial)


def _closed(
    problem: Prediction, network: Any, params: Any, to_bayes: Map, to_memory: Map, x: Array
) -> Array:
    """KL of Bayes from the predictions of s ← f(RNN(g(s), x))."""
    model = problem.model
    start = jnp.broadcast_to(model.initial, (x.shape[1], *model.initial.shape))
    inputs = problem.inputs(x)

    @jax.jit
    def walk(params: Any) -> Array:
        def step(statistics: Array, codes: Array) -> tuple[Array, Array]:
            carry = memory_meta.unflat(network, to_memory(statistics))
            nowhere = jnp.zeros((1, len(codes)), bool)
            carry, _ = network.apply(params, carry, codes[None], nowhere)
            statistics = _possible(problem, to_bayes(memory_meta.flat(carry)))
            return statistics, model.predictive(statistics)

        return jax.lax.scan(step, start, inputs[1:])[1]

    return jnp.mean(model.family.divergence(problem.best(x)[1:], walk(params)), axis=1)


def bandit_value(
    problem: Bandits,
    network: memory_meta.Agent,
    params: Any,
    *,
    num_episodes: int,
    num_steps: int,
) -> tuple[float, float]:
    """What is lost, exactly, by pulling as the agent would with the memory that counts map to.

    Args:
        problem: The bandits.
        network: The agent.
        params: Its parameters.
        num_episodes: To train the map on.
        num_steps: Of its training.

    Returns:
        (with actions drawn, with the likeliest).
    """
    played = jax.jit(
        lambda p: memory_meta.play(problem, network, p, jax.random.key(5), num_episodes)
    )(params)
    memories, _ = jax.jit(lambda p: memory_meta.trace(network, p, played.inputs))(params)
    times = jnp.asarray(problem.states.times)
    counts = jax.lax.map(lambda t: jnp.concatenate(problem.states.pulls(t), axis=1), times)
    counts = counts.astype(float)
    seen = counts[times[:, None], played.numbers]
    to_memory = fit(
        seen.reshape(-1, seen.shape[-1]), memories.reshape(-1, memories.shape[-1]), num_steps
    )
    logits = jax.lax.map(lambda c: read(network, params, to_memory(c))[:, :-1], counts)
    arms = problem.control.params.arms
    greedy = jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1])
    found = [
        float(problem.best - ops.evaluate(arms, problem.states, policy)[0, 0])
        for policy in (jax.nn.softmax(logits), greedy)
    ]
    return found[0], found[1]


def draw(
    problem: Prediction, network: memory_meta.Agent, params: Any, num_sequences: int = 300
) -> "Figure":
    """Principal components of memories and of statistics, coloured by the last class's chance.

    Args:
        problem: The sequences.
        network: The agent.
        params: Its parameters.
        num_sequences: How many.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    x = problem.samples(jax.random.key(6), num_sequences)
    memories, heads = memory_meta.trace(network, params, problem.inputs(x))
    means = problem.model.family.means
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for axes, states, colours, title in zip(
        figure.subplots(1, 2),
        (memories, _statistics(problem, x)),
        (means(heads), means(problem.best(x))),
        ("memory", "sufficient statistics"),
        strict=True,
    ):
        flat = np.asarray(states, float).reshape(-1, states.shape[-1])
        centre = flat.mean(axis=0)
        directions = np.linalg.svd(flat - centre, full_matrices=False)[2][:2]
        points = (np.asarray(states, float) - centre) @ directions.T
        axes.scatter(
            *points.reshape(-1, 2).T, c=np.asarray(colours[..., -1]).ravel(), s=2, cmap="viridis"
        )
        for episode in range(3):
            axes.plot(*points[:, episode].T, linewidth=0.8, color="#dc6803")
        axes.set(title=title, xlabel="first component", ylabel="second")
        plain(axes)
    return figure
