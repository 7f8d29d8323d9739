r"""Whether a memory and the sufficient statistics are the same machine, by maps both ways.

Of two machines that read the same sequences, N's states n_t and M's states m_t, a perceptron f is
trained to map n_t to m_t ("N → M"). On sequences that it has not seen,

    D_s = E ‖f(n_t) − m_t‖² / E ‖m_t − E m‖²,
    D_o = E KL(output of N at n_t ‖ output of M at f(n_t)).

**A small D_s of "RNN → Bayes" proves nothing**: an untrained memory keeps its inputs too, and it
passes. So beside every number stands that of the untrained agent; beside D_s of "Bayes → RNN" its
*floor*, the variance of memories among histories with the same statistics over all variance, which
no map undercuts. The closed loop iterates s ← f(RNN(g(s), x)), both maps and the memory's own
transition, from the prior on, without ever looking at the true statistics.
"""

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rlsuite.algorithms import memory_meta
from rlsuite.envs.bandits import Bandits
from rlsuite.envs.prediction import Prediction
from rlsuite.ops import bandits as ops
from rlsuite.ops.conjugate import walk
from rlsuite.studies.bayes_optimal.maps import Map, dissimilarity, fit, floor
from rlsuite.studies.summaries import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    n, s, new = _experience(problem, network, params, num_sequences)
    maps = fit(n, s, num_steps), fit(s, n, num_steps)
    (to_bayes, to_memory, drift), states = _measured(problem, network, params, maps, new)
    return Structure(
        (float(to_bayes[0]), float(to_bayes[1])),
        (float(to_memory[0]), float(to_memory[1])),
        floor(*map(np.asarray, states)),
        np.asarray(drift),
    )


@functools.partial(jax.jit, static_argnames=("network", "num_sequences"))
def _experience(
    problem: Prediction, network: memory_meta.Agent, params: Any, num_sequences: int
) -> tuple[Array, Array, Array]:
    """(memories, statistics, as many sequences that neither has read)."""
    x = problem.samples(jax.random.key(5), 2 * num_sequences)
    known, new = x[:, :num_sequences], x[:, num_sequences:]
    memories, _ = memory_meta.trace(network, params, problem.inputs(known))
    return _pairs(memories), _pairs(_statistics(problem, known)), new


@functools.partial(jax.jit, static_argnames="network")
def _measured(
    problem: Prediction, network: memory_meta.Agent, params: Any, maps: tuple[Map, Map], x: Array
) -> Any:
    """(((D_s, D_o) of both maps, the closed loop's drift), memories and statistics)."""
    to_bayes, to_memory = maps
    memories, heads = memory_meta.trace(network, params, problem.inputs(x))
    n, s = _pairs(memories), _pairs(_statistics(problem, x))
    divergence, predictive = problem.model.family.divergence, problem.model.predictive
    mapped, back = to_bayes(n), to_memory(s)
    there = predictive(_possible(problem, mapped))
    errors = (
        (dissimilarity(mapped, s), jnp.mean(divergence(_pairs(heads), there))),
        (dissimilarity(back, n), jnp.mean(divergence(predictive(s), read(network, params, back)))),
    )
    return (*errors, _closed(problem, network, params, maps, x)), (n, s)


def _pairs(values: Float[Array, "time sequence n"]) -> Float[Array, "pair n"]:
    return values.reshape(-1, values.shape[-1])


def _statistics(problem: Prediction, x: Array) -> Array:
    return walk(problem.model, x)[1][:-1]


def _possible(problem: Prediction, statistics: Array) -> Array:
    """Counts are at least the prior's: a map may leave what is possible by a little."""
    return jnp.maximum(statistics, 0.5 * problem.model.initial)


def _closed(
    problem: Prediction, network: Any, params: Any, maps: tuple[Map, Map], x: Array
) -> Float[Array, " time"]:
    """KL of Bayes from the predictions of s ← f(RNN(g(s), x))."""
    to_bayes, to_memory = maps
    model = problem.model

    def step(statistics: Array, codes: Array) -> tuple[Array, Array]:
        carry = memory_meta.unflat(network, to_memory(statistics))
        nowhere = jnp.zeros((1, len(codes)), bool)
        carry, _ = network.apply(params, carry, codes[None], nowhere)
        statistics = _possible(problem, to_bayes(memory_meta.flat(carry)))
        return statistics, model.predictive(statistics)

    start = jnp.broadcast_to(model.initial, (x.shape[1], *model.initial.shape))
    _, said = jax.lax.scan(step, start, problem.inputs(x)[1:])
    return jnp.mean(model.family.divergence(problem.best(x)[1:], said), axis=1)


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
    seen, memories, counts = _played(problem, network, params, num_episodes)
    to_memory = fit(seen, memories, num_steps)
    drawn, likeliest = _lost(problem, network, params, to_memory, counts)
    return float(drawn), float(likeliest)


@functools.partial(jax.jit, static_argnames=("network", "num_episodes"))
def _played(
    problem: Bandits, network: memory_meta.Agent, params: Any, num_episodes: int
) -> tuple[Array, Array, Array]:
    """(counts on the way, memories there, the counts of every state at every time)."""
    played = memory_meta.play(problem, network, params, jax.random.key(5), num_episodes)
    memories, _ = memory_meta.trace(network, params, played.inputs)
    times = jnp.asarray(problem.states.times)
    counts = jax.lax.map(lambda t: jnp.concatenate(problem.states.pulls(t), axis=1), times)
    counts = counts.astype(float)
    return _pairs(counts[times[:, None], played.numbers]), _pairs(memories), counts


@functools.partial(jax.jit, static_argnames="network")
def _lost(
    problem: Bandits,
    network: memory_meta.Agent,
    params: Any,
    to_memory: Map,
    counts: Float[Array, "time state count"],
) -> tuple[Array, ...]:
    logits = jax.lax.map(lambda c: read(network, params, to_memory(c))[:, :-1], counts)
    arms = problem.control.params.arms
    greedy = jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1])
    return tuple(
        problem.best - ops.evaluate(arms, problem.states, policy)[0, 0]
        for policy in (jax.nn.softmax(logits), greedy)
    )


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

    @jax.jit
    def both(params: Any) -> list[tuple[Array, Array]]:
        x = problem.samples(jax.random.key(6), num_sequences)
        memories, heads = memory_meta.trace(network, params, problem.inputs(x))
        machines = (memories, heads), (_statistics(problem, x), problem.best(x))
        return [(states, problem.model.family.means(said)[..., -1]) for states, said in machines]

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for axes, (states, colours), title in zip(
        figure.subplots(1, 2), both(params), ("memory", "sufficient statistics"), strict=True
    ):
        flat = np.asarray(states, float).reshape(-1, states.shape[-1])
        centre = flat.mean(axis=0)
        directions = np.linalg.svd(flat - centre, full_matrices=False)[2][:2]
        points = (np.asarray(states, float) - centre) @ directions.T
        axes.scatter(*points.reshape(-1, 2).T, c=np.asarray(colours).ravel(), s=2, cmap="viridis")
        for episode in range(3):
            axes.plot(*points[:, episode].T, linewidth=0.8, color="#dc6803")
        axes.set(title=title, xlabel="first component", ylabel="second")
        plain(axes)
    return figure
