"""What a point's controllers cost over episodes: SOLAR, what is left without its parts, others."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from scipy import stats

from rlsuite.algorithms import latent_models, ppo, solar
from rlsuite.configuration import to_json
from rlsuite.core import Algorithm, Result, run
from rlsuite.io.reports import Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import Table, number, table
from rlsuite.studies.solar import pictures
from rlsuite.studies.solar.transitions import STEPS, known_returns, point
from rlsuite.studies.summaries import BLUE, GREEN, GREY, ORANGE, PURPLE, band, over, plain, text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Sizes(NamedTuple):
    """How large this part is.

    Attributes:
        first_rollouts: Episodes of random actions.
        first_updates: Of a model, then.
        updates: In each later round.
        rounds: Of ten episodes each.
        planner_updates: Of the model that is planned in, at first; a tenth in later rounds.
        ppo_updates: Of PPO, each of 8 episodes.
        num_seeds: How many seeds.
        methods: Which of ``METHODS`` there are, SOLAR first.
    """

    first_rollouts: int
    first_updates: int
    updates: int
    rounds: int
    planner_updates: int
    ppo_updates: int
    num_seeds: int
    methods: tuple[str, ...]


class Curve(NamedTuple):
    """What the mean actions earned on the way.

    Attributes:
        episodes: How many episodes had been seen.
        returns: In new episodes.
    """

    episodes: Float[np.ndarray, " evaluation"]
    returns: Float[np.ndarray, "seed evaluation"]


SOLAR = "SOLAR"
METHODS = {
    SOLAR: BLUE,
    "without sequences (VAE)": ORANGE,
    "principal components (LQR-FLM)": PURPLE,
    "SOLAR, model of the first episodes": "#60a5fa",
    "SOLAR, whole natural gradient": "#1e3a8a",
    "planning in the model": GREEN,
    "planning along gradients": "#86efac",
    "actor-critic in the model (SLAC)": "#db2777",
    "PPO": GREY,
}
"""All methods, and how each is drawn."""

_PARALLEL = 8  # episodes of PPO side by side


def solar_config(sizes: Sizes, **how: Any) -> solar.Config:
    """SOLAR's config of this part.

    Args:
        sizes: How large it is.
        **how: Other fields.

    Returns:
        The config.
    """
    fields: dict[str, Any] = {
        "size": 2,
        "length": STEPS,
        "first_rollouts": sizes.first_rollouts,
        "first_updates": sizes.first_updates,
        "updates": sizes.updates,
        "capacity": sizes.first_rollouts + 10 * sizes.rounds,
        "exploration": 0.5,
        **how,
    }
    return solar.Config(**fields)


def section(sizes: Sizes, stages: Stages) -> Section:
    """Train all methods and compare them.

    Args:
        sizes: How large it is.
        stages: Keeps what is done.

    Returns:
        The section.
    """
    found = {name: _stage(name, sizes, stages) for name in sizes.methods}
    curves = {name: Curve(*(one[field] for field in Curve._fields)) for name, one in found.items()}
    seen = pictures.Seen(*(found[SOLAR][field] for field in pictures.Seen._fields))
    best = known_returns()["optimal"]
    drawn = picture(
        "curves",
        draw(curves, best),
        "Cost of an episode of the mean actions, over that of the best controller of the true "
        f"state, after so many episodes, random ones counted in: {over(sizes.num_seeds)}.",
    )
    return Section(
        "Learning from pictures",
        [table_of(curves, best)],
        [drawn, *pictures.of_run(seen)],
    )


def _stage(name: str, sizes: Sizes, stages: Stages) -> dict[str, np.ndarray]:
    """A method's curve; of SOLAR, also what its first seed sees in the end."""

    def compute() -> dict[str, Any]:
        curve, result = _train(name, sizes)
        if name != SOLAR:
            return curve._asdict()
        state = jax.tree.map(lambda x: x[0], result.state)
        seen = pictures.look(point(), solar_config(sizes), state)
        return {**curve._asdict(), **seen._asdict()}

    return stages(f"curve {name}", str((name, sizes, _settings(sizes))), compute)


def _settings(sizes: Sizes) -> str:
    return str(to_json(solar_config(sizes)))


def method(name: str, sizes: Sizes) -> tuple[Callable[..., Algorithm], Any]:
    """How a method is run.

    Args:
        name: One of ``METHODS``.
        sizes: How large this part is.

    Returns:
        (``make``, its config).
    """
    in_rounds: dict[str, Any] = {
        "length": STEPS,
        "first_rollouts": sizes.first_rollouts,
        "capacity": sizes.first_rollouts + 10 * sizes.rounds,
        "first_updates": sizes.planner_updates,
        "updates": sizes.planner_updates // 10,
        "exploration": 0.5,
    }
    plans, by_gradients = latent_models.make_planner, latent_models.Config(planner="gradients")
    others: dict[str, tuple[Callable[..., Algorithm], Any]] = {
        "planning in the model": (plans, latent_models.PlanningConfig(**in_rounds)),
        "planning along gradients": (
            plans,
            latent_models.PlanningConfig(**in_rounds, model=by_gradients),
        ),
        "actor-critic in the model (SLAC)": (
            latent_models.make_actor_critic,
            latent_models.ActorCriticConfig(**in_rounds),
        ),
        "PPO": (
            ppo.make,
            ppo.Config(num_envs=_PARALLEL, rollout_length=STEPS, num_minibatches=2),
        ),
    }
    changes: dict[str, dict[str, Any]] = {
        SOLAR: {},
        "without sequences (VAE)": {"representation": "independent"},
        "principal components (LQR-FLM)": {"representation": "components"},
        "SOLAR, model of the first episodes": {"updates": 0},
        "SOLAR, whole natural gradient": {"full": True},
    }
    return others[name] if name in others else (solar.make, solar_config(sizes, **changes[name]))


def _train(name: str, sizes: Sizes) -> tuple[Curve, Result]:
    make, config = method(name, sizes)
    shared: dict[str, Any] = {"num_seeds": sizes.num_seeds, "progress": name}
    problem, key = point(), jax.random.key(0)
    if isinstance(config, ppo.Config):
        every = max(sizes.ppo_updates // 20, 1)
        how = {"chunk_length": every, "evaluate_every": every, **shared}
        result = run(make, problem, config, key, sizes.ppo_updates, **how)
        episodes = _PARALLEL * result.evaluation_steps
        return Curve(episodes.astype(float), result.evaluations.episode_return), result
    result = run(make, problem, config, key, sizes.rounds, evaluate_every=1, **shared)
    seen = config.first_rollouts + config.rollouts * (result.evaluation_steps - 1)
    return Curve(np.maximum(seen, 1.0).astype(float), result.evaluations.score), result


def table_of(curves: dict[str, Curve], best: float) -> Table:
    """Costs in the end, and how soon they were low.

    Args:
        curves: Of the methods.
        best: The best return.

    Returns:
        The table.
    """
    reference, rows = curves[SOLAR].returns[:, -1] / best, []
    for name, curve in curves.items():
        ratios = curve.returns / best
        last = ratios[:, -1]
        near = np.median(ratios, axis=0) <= 1.5
        first = float(curve.episodes[np.argmax(near)]) if near.any() else None
        p = stats.mannwhitneyu(reference, last, alternative="less").pvalue
        every = ", ".join(number(float(value)) for value in np.sort(last))
        rows.append(
            [
                name,
                float(curve.episodes[-1]),
                text_of(last),
                every,
                first,
                None if name == SOLAR else float(p),
            ]
        )
    return table(
        "Costs",
        f"Cost of an episode of {STEPS} steps over that of the best controller of the true state, "
        f"{number(-best)}, in the end: {over(len(reference))}, and all seeds; after how many "
        "episodes the median was at most 1.5; and p of SOLAR's being lower (Mann and Whitney).",
        ["method", "episodes", "cost", "seeds", "to 1.5", "p"],
        rows,
    )


def draw(curves: dict[str, Curve], best: float) -> "Figure":
    """Costs over episodes.

    Args:
        curves: Of the methods.
        best: The best return.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        band(axes, curve.episodes, curve.returns / best, METHODS[name], label=name)
    axes.axhline(1.0, color="0.6", linestyle="--", linewidth=0.8)
    axes.set(xlabel="episodes", ylabel="cost over the best", xscale="log", yscale="log")
    axes.legend(frameon=False, fontsize=8)
    plain(axes)
    return figure
