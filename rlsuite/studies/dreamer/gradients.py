r"""Gradients of a policy: through a model, or by the score function, against the true ones.

For J_h(θ) = E Σ_{t<h} γ^t r_t from the environment's starts, with θ a policy that has learned
nothing yet, two estimators from one trajectory:

    dynamics     ∇ Σ_{t<h} γ^t r_t, all actions and states being functions of θ and of noise;
    REINFORCE    Σ_{t<h} ∇ ln π(a_t | s_t) (G_t − b_t),    G_t = Σ_{t≤k<h} γ^k r_k,

b_t being the mean of G_t over the other trajectories from the same start. The true gradient is the
mean of the first in the environment itself, which is differentiable.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.dreamer import behaviour
from rlsuite.algorithms.dreamer.algorithm import world_of
from rlsuite.algorithms.dreamer.dynamics import Dynamics, Real, environment_dynamics, imagine
from rlsuite.configuration import to_json
from rlsuite.io.reports import Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import Table, number, table
from rlsuite.studies.dreamer import exploitation, models
from rlsuite.studies.dreamer.exploitation import CONFIG, Fitted
from rlsuite.studies.summaries import BLUE, GREEN, GREY, ORANGE, band, plain, text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HORIZONS = (1, 2, 3, 5, 8, 12, 16, 20, 25, 30)
STARTS = 8
ROLLOUTS = 4
"""A batch has four trajectories from each of eight starts."""

ESTIMATORS = ("dynamics", "REINFORCE")
_SHOWN = (5, 16, 30)
_REFERENCE = 4  # times as many batches make the true gradient


class Estimate(NamedTuple):
    """What batches of trajectories estimate.

    Attributes:
        means: Of each batch, ``[batch, horizon, parameter]``.
        squares: Mean squared norm of a single trajectory's gradient, ``[batch, horizon]``.
    """

    means: Float[Array, "batch horizon parameter"]
    squares: Float[Array, "batch horizon"]

    def variance(self) -> Float[Array, " horizon"]:
        """Of a single trajectory's gradient, summed over parameters."""
        mean = jnp.mean(self.means, axis=0)
        return jnp.mean(self.squares, axis=0) - jnp.sum(jnp.square(mean), axis=-1)


def cosine(
    a: Float[Array, "*batch parameter"], b: Float[Array, "*batch parameter"]
) -> Float[Array, "*batch"]:
    """The cosine of the angle between vectors.

    Example:
        >>> float(cosine(jnp.asarray([1.0, 0.0]), jnp.asarray([2.0, 0.0])))
        1.0
    """
    norms = jnp.linalg.norm(a, axis=-1) * jnp.linalg.norm(b, axis=-1)
    return jnp.sum(a * b, axis=-1) / jnp.maximum(norms, 1e-30)


def estimate(
    dynamics: Dynamics,
    policy: Callable[[Any, Array], Any],
    params: Any,
    starts: Callable[[PRNGKeyArray], Any],
    key: PRNGKeyArray,
    *,
    estimator: str,
    num_batches: int,
    discount: float | Array,
    horizons: Sequence[int] = HORIZONS,
) -> Estimate:
    """Estimate gradients of all horizons from the same trajectories.

    Args:
        dynamics: The model, without parameters.
        policy: ``(params, features) -> distribution of actions``.
        params: θ.
        starts: ``key -> state``.
        key: Key.
        estimator: "dynamics" or "REINFORCE".
        num_batches: How many batches of ``STARTS * ROLLOUTS`` trajectories.
        discount: γ.
        horizons: h.

    Returns:
        The estimates.
    """
    flat, unravel = ravel_pytree(params)
    longest = max(horizons)
    counted = jnp.arange(longest) < jnp.asarray(horizons)[:, None]
    paid = discount ** jnp.arange(longest)

    def walk(flat: Array, key: PRNGKeyArray, start: Any) -> Any:
        def act(key: PRNGKeyArray, seen: Array, _: Any) -> Any:
            return policy(unravel(flat), seen).sample(key)

        return imagine(dynamics, {}, act, key, start, longest)

    def pathwise(keys: Array, at: Any) -> Array:
        def returns(flat: Array, key: PRNGKeyArray) -> Array:
            return counted @ (paid * walk(flat, key, at).rewards)

        return jax.vmap(jax.jacrev(returns), (None, 0))(flat, keys)

    def by_score(keys: Array, at: Any) -> Array:
        walks = jax.vmap(walk, (None, 0, None))(flat, keys, at)
        rewards = counted * (paid * walks.rewards)[:, None]
        to_go = jnp.cumsum(rewards[..., ::-1], axis=-1)[..., ::-1]
        others = (jnp.sum(to_go, axis=0) - to_go) / (ROLLOUTS - 1)
        advantages = counted * (to_go - others)

        def surrogates(flat: Array, seen: Array, actions: Array, advantages: Array) -> Array:
            return advantages @ policy(unravel(flat), seen).log_prob(actions)

        gradients = jax.vmap(jax.jacrev(surrogates), (None, 0, 0, 0))
        return gradients(flat, walks.features[:, :-1], walks.actions, advantages)

    def batch(key: PRNGKeyArray) -> Estimate:
        of_start, of_walks = jax.random.split(key)
        at = jax.vmap(starts)(jax.random.split(of_start, STARTS))
        keys = jax.random.split(of_walks, (STARTS, ROLLOUTS))
        single = {"dynamics": pathwise, "REINFORCE": by_score}[estimator]
        gradients = jax.vmap(single)(keys, at).reshape(-1, len(horizons), flat.size)
        squares = jnp.sum(jnp.square(gradients), axis=-1)
        return Estimate(jnp.mean(gradients, axis=0), jnp.mean(squares, axis=0))

    found: Estimate = jax.lax.map(batch, jax.random.split(key, num_batches))
    return found


class Measured(NamedTuple):
    """Of estimators in several worlds; all arrays are ``[world, estimator, seed, horizon]``.

    Attributes:
        variance: Of a trajectory's gradient, over the true gradient's squared norm.
        batch: Mean cosine of a batch's gradient to the true one.
        whole: Cosine of the mean of all batches' gradients to the true one.
    """

    variance: np.ndarray
    batch: np.ndarray
    whole: np.ndarray


def measure(found: Fitted, chosen: Sequence[int], num_batches: int) -> Measured:
    """Compare gradients in the environment, and in models of some amounts of data.

    Args:
        found: The models.
        chosen: Which amounts, by their index.
        num_batches: How many batches of trajectories for each.

    Returns:
        The measures; the environment comes first.
    """
    problem, config = exploitation.pendulum(), found.config
    networks = behaviour.heads(problem.actions, config)
    learned = world_of(problem, config.model)
    true = environment_dynamics(problem, lambda seen: learned.dynamics.features({}, seen))
    seeds = found.errors.shape[1]
    keys = jax.random.split(jax.random.key(7), seeds)
    blank = jnp.zeros(learned.dynamics.features({}, learned.initial).shape)
    policies = jax.vmap(lambda key: networks.policy.init(key, blank))(keys)

    def policy(params: Any, seen: Array) -> Any:
        outputs = networks.policy.apply(params, seen)
        return behaviour.distribution(outputs, None, problem.actions, config.behaviour)

    def real(key: PRNGKeyArray) -> Any:
        state, timestep = problem.reset(key)
        return Real(state.inner, timestep)

    def seen(key: PRNGKeyArray) -> Any:
        return real(key).timestep.observation

    def of(estimator: str) -> Any:
        def one(model: Any, stream: int, theta: Any, key: PRNGKeyArray) -> Estimate:
            dynamics, starts = true, real
            if model is not None:
                dynamics = models.frozen(learned, model, problem.actions).dynamics
                starts = seen
            return estimate(
                dynamics,
                policy,
                theta,
                starts,
                jax.random.fold_in(key, stream),
                estimator=estimator,
                num_batches=num_batches,
                discount=config.behaviour.discount,
            )

        return jax.jit(jax.vmap(one, (0, None, 0, 0)))

    through = of("dynamics")
    streams = len(ESTIMATORS) + 1 + np.arange(_REFERENCE)
    references = [through(None, stream, policies, keys).means for stream in streams]
    truth = jnp.mean(jnp.concatenate(references, axis=1), axis=1)
    worlds = [None, *(jax.tree.map(lambda x, i=i: x[i], found.states.params) for i in chosen)]
    measured: list[list[Any]] = []
    for stream, estimator in enumerate(ESTIMATORS, 1):
        sampled = through if estimator == "dynamics" else of(estimator)
        measured.append(
            [_against(sampled(model, stream, policies, keys), truth) for model in worlds]
        )
    stacked = jax.tree.map(lambda *xs: np.stack(xs), *[_stacked(row) for row in measured])
    return Measured(*(np.swapaxes(x, 0, 1) for x in stacked))


def _stacked(row: list[Any]) -> Any:
    return jax.tree.map(lambda *xs: np.stack(xs), *row)


@jax.jit
@jax.vmap
def _against(found: Estimate, truth: Float[Array, "horizon parameter"]) -> tuple[Array, ...]:
    """An estimate's variance, and its cosines to the truth."""
    return (
        found.variance() / jnp.sum(jnp.square(truth), axis=-1),
        jnp.mean(jax.vmap(cosine, (0, None))(found.means, truth), axis=0),
        cosine(jnp.mean(found.means, axis=0), truth),
    )


def section(
    sizes: exploitation.Sizes, num_batches: int, num_seeds: int | None, stages: Stages
) -> Section:
    """Measure gradients in models of the least, a middle and the largest amount of data.

    Args:
        sizes: Of the models.
        num_batches: How many batches of trajectories for each.
        num_seeds: How many seeds; None for the sizes' own.
        stages: Keeps what is done.

    Returns:
        The section.
    """
    seeds = num_seeds or sizes.num_seeds
    kind = sizes.kinds[0]
    found = exploitation.fitted(kind, sizes, seeds, stages)
    chosen = sorted({0, len(sizes.amounts) // 2, len(sizes.amounts) - 1})
    identity = str((to_json(CONFIG), sizes, num_batches, HORIZONS, found.errors.tolist()))
    arrays = stages("gradients", identity, lambda: measure(found, chosen, num_batches)._asdict())
    measured = Measured(**arrays)
    names = ["environment", *(f"model of {sizes.amounts[i]:,} steps" for i in chosen)]
    caption = (
        "Over the horizon: variance of one trajectory's gradient over the true gradient's squared "
        f"norm; cosine to the true gradient of a batch of {STARTS * ROLLOUTS} trajectories; and "
        f"of all {num_batches * STARTS * ROLLOUTS:,}. Full lines: dynamics; dashed: REINFORCE. "
        "Interquartile means over seeds with 95 % intervals."
    )
    return Section(
        "Dynamics against REINFORCE",
        [_table(names, measured, num_batches)],
        [picture("gradients", draw(names, measured), caption)],
    )


def _table(names: Sequence[str], measured: Measured, num_batches: int) -> Table:
    rows = []
    for w, name in enumerate(names):
        for h in (HORIZONS.index(horizon) for horizon in _SHOWN):
            ratio = measured.variance[w, 1, :, h] / measured.variance[w, 0, :, h]
            cosines = [
                text_of(values[w, e, :, h])
                for values in (measured.batch, measured.whole)
                for e in range(len(ESTIMATORS))
            ]
            rows.append([name, str(HORIZONS[h]), number(float(np.median(ratio))), *cosines])
    batch, whole = STARTS * ROLLOUTS, num_batches * STARTS * ROLLOUTS
    return table(
        "Gradients against the true one",
        f"Of a pendulum policy that has learned nothing: how many times larger the variance of a "
        f"trajectory's gradient is by REINFORCE than through the dynamics (median over seeds), and "
        f"cosines to the environment's own gradient, of batches of {batch} trajectories and of the "
        f"mean of all {whole:,}; interquartile mean over seeds (95 % interval).",
        [
            "in",
            "horizon",
            "variance ratio",
            *(f"{name}, {count:,}" for count in (batch, whole) for name in ESTIMATORS),
        ],
        rows,
    )


def draw(names: Sequence[str], measured: Measured) -> "Figure":
    """The three measures over the horizon.

    Args:
        names: Of the worlds.
        measured: The measures.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    panels = figure.subplots(1, 3)
    titles = ("variance of a trajectory", "cosine of a batch", "cosine of the mean of all")
    for axes, values, title in zip(panels, measured, titles, strict=True):
        for w, colour in zip(range(len(names)), (GREY, ORANGE, GREEN, BLUE), strict=False):
            for e, line in enumerate(("-", "--")):
                label = names[w] if e == 0 else None
                band(axes, HORIZONS, values[w, e], colour, linestyle=line, label=label)
        axes.set(title=title, xlabel="horizon")
        plain(axes)
    panels[0].set_yscale("log")
    panels[1].legend(frameon=False, fontsize=8)
    return figure
