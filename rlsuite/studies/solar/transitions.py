"""Which transition is best: evidence, predictions and control of all, from the same episodes."""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float
from scipy import stats

from rlsuite.algorithms import latent_models
from rlsuite.algorithms.latent_models import Config, LatentParams, Recorded
from rlsuite.configuration import to_json
from rlsuite.core import Algorithm, run
from rlsuite.data.pictures import judge
from rlsuite.envs.control import Control
from rlsuite.envs.pixels import pixel_navigation
from rlsuite.io.reports import Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import Table, number, table
from rlsuite.problems.latent_models import ENTRY, known_evidence, pixel_episodes
from rlsuite.problems.solar import navigation_returns
from rlsuite.studies.summaries import BLUE, GREEN, GREY, ORANGE, PURPLE, plain, text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS: dict[latent_models.Kind, str] = {
    "mniw": BLUE,
    "mniw-steps": "#60a5fa",
    "linear": PURPLE,
    "e2c": ORANGE,
    "dvbf": GREEN,
    "full": "#be123c",
    "rssm": GREY,
}
"""All transitions, and how each is drawn."""

SIDE = 16
"""How many pixels a side of the point's pictures has."""

STEPS = 20
"""How many actions its episodes have."""

SIGHTS: dict[latent_models.Sight, str] = {
    "plain": "A point in pictures",
    "whitened": "A point in pictures, by encoders that SOLAR prepares",
}
"""How pictures are seen, and what the table of it is called."""


class Sizes(NamedTuple):
    """How large this part is.

    Attributes:
        updates: Of each model of pictures.
        system_updates: Of each model of the linear system.
        num_seeds: How many of each there are.
        plays: In how many episodes each acts.
        kinds: The transitions.
        sights: How their models see pictures, of ``SIGHTS``.
    """

    updates: int
    system_updates: int
    num_seeds: int
    plays: int
    kinds: tuple[latent_models.Kind, ...]
    sights: tuple[latent_models.Sight, ...] = ("plain",)


class Scores(NamedTuple):
    """Of one transition, by seeds.

    Attributes:
        iwae: The importance-weighted bound of a held-out episode, nats.
        first_nll: Of an observation one step ahead, nats.
        last_nll: Of one ``horizon`` steps ahead.
        control: The mean return of planning; of what is not acted in, NaN.
    """

    iwae: Float[np.ndarray, " seed"]
    first_nll: Float[np.ndarray, " seed"]
    last_nll: Float[np.ndarray, " seed"]
    control: Float[np.ndarray, " seed"]


def point() -> Control:
    """The world of ``problems.latent_models.pixel_episodes``."""
    return pixel_navigation(1, side=SIDE, steps=STEPS)


def control_scores(
    control: Control, problem: Recorded, config: Config, params: LatentParams, plays: int
) -> Float[Array, " seed"]:
    """What planning in learned models earns.

    Args:
        control: Where.
        problem: What the models were learned from.
        config: The models', and how plans are found.
        params: Of all seeds, ``[seed, …]``.
        plays: In how many episodes, the same for all.

    Returns:
        Mean returns.
    """
    model, size = latent_models.default_model(problem, config), control.actions.size

    def one(params: LatentParams) -> Array:
        agent = latent_models.planning_agent(model, params, config, size)
        return judge(control, *agent, jax.random.key(1), plays, STEPS)[0]

    return jax.jit(lambda many: jax.lax.map(one, many))(params)


@functools.cache
def known_returns() -> dict[str, float]:
    """What random actions earn there, and what the best controller of the true state does."""
    return navigation_returns(point())


def untested(problem: Recorded, config: Config, **how: Any) -> Algorithm:
    """``latent_models.make`` without what tests models on other episodes."""
    return latent_models.make(problem, config, **how)._replace(evaluate=None)


def trained(
    name: str,
    kind: latent_models.Kind,
    num_steps: int,
    num_seeds: int,
    *,
    sight: latent_models.Sight = "plain",
    tested: bool = True,
) -> Any:
    """Models of one kind, trained on one of the registered problems.

    Args:
        name: The problem.
        kind: The transition.
        num_steps: Updates.
        num_seeds: Seeds.
        sight: How pictures are seen.
        tested: Whether they are, on other episodes.

    Returns:
        (the problem, the config, what ``run`` returns).
    """
    entry = ENTRY.problems[name]
    problem = entry.build()
    config = dataclasses.replace(entry.config, transition=kind, sight=sight)
    make = ENTRY.make_for(entry)
    result = run(
        make if tested else functools.partial(untested, **entry.callables),
        problem,
        config,
        jax.random.key(0),
        num_steps,
        num_seeds=num_seeds,
        progress=f"{kind}, {name}, {sight}",
    )
    return problem, config, result


def measure(
    name: str,
    kind: latent_models.Kind,
    num_steps: int,
    sizes: Sizes,
    stages: Stages,
    sight: latent_models.Sight = "plain",
) -> Scores:
    """Train and test one transition.

    Args:
        name: The problem.
        kind: The transition.
        num_steps: Updates.
        sizes: Of which seeds and plays count.
        stages: Keeps what is done.
        sight: How pictures are seen.

    Returns:
        Its scores.
    """

    def compute() -> dict[str, Any]:
        problem, config, result = trained(name, kind, num_steps, sizes.num_seeds, sight=sight)
        last = {field: getattr(result.evaluations, field)[:, -1] for field in Scores._fields[:-1]}
        acts = name == "pixel-navigation-1"
        played = (
            control_scores(point(), problem, config, result.state.params, sizes.plays)
            if acts
            else np.full(sizes.num_seeds, np.nan)
        )
        return {**last, "control": played}

    settings = to_json(ENTRY.problems[name].config)
    identity = str((name, kind, settings, sight, num_steps, sizes.num_seeds, sizes.plays))
    return Scores(**stages(f"transition {kind} {name} {sight}", identity, compute))


def section(sizes: Sizes, stages: Stages) -> Section:
    """Train all transitions, and compare them.

    Args:
        sizes: How large it is.
        stages: Keeps what is done.

    Returns:
        The section.
    """
    of_pictures = {
        sight: {
            kind: measure("pixel-navigation-1", kind, sizes.updates, sizes, stages, sight)
            for kind in sizes.kinds
        }
        for sight in sizes.sights
    }
    of_system = {
        kind: measure("linear-system", kind, sizes.system_updates, sizes, stages)
        for kind in sizes.kinds
    }
    drawn = picture(
        "transitions",
        draw(of_pictures[sizes.sights[0]]),
        "Every model of the point (of the first table): what planning in it earns, over the bound "
        "of the evidence (left) and over its predictions' negative log-likelihood, some steps "
        "ahead (right). The dashed line is what the best controller of the true state earns.",
    )
    tables = [_scores(SIGHTS[sight], found, sizes) for sight, found in of_pictures.items()]
    tables += [correlations(of_pictures[sizes.sights[0]]), _calibration(of_system)]
    return Section("Which transition", tables, [drawn])


def _scores(title: str, found: dict[Any, Scores], sizes: Sizes) -> Table:
    known = known_returns()
    horizon = ENTRY.problems["pixel-navigation-1"].config.horizon
    rows = [[kind, *map(text_of, scores)] for kind, scores in found.items()]
    return table(
        title,
        f"After {sizes.updates:,} updates on the same {len(pixel_episodes().training.actions)} "
        f"episodes of random actions: the importance-weighted bound of a held-out episode's "
        f"evidence in nats; the negative log-likelihood of pictures 1 and {horizon} steps ahead; "
        f"and the return of planning with the cross-entropy method in {sizes.plays} new episodes "
        f"(random {number(known['random'])}, the best controller of the true state "
        f"{number(known['optimal'])}). Interquartile mean over {sizes.num_seeds} seeds and its "
        "95 % interval.",
        ["transition", "IWAE", "NLL, 1 ahead", f"NLL, {horizon} ahead", "return"],
        rows,
    )


def correlations(found: dict[Any, Scores]) -> Table:
    """Whether models that are likelier also predict and act better.

    Args:
        found: Scores of the transitions.

    Returns:
        Spearman's rank correlations, over models and over the means of transitions.
    """
    stacked = Scores(*(np.stack(field) for field in zip(*found.values(), strict=True)))
    better = {
        "IWAE": stacked.iwae,
        "prediction 1 ahead": -stacked.first_nll,
        "prediction far ahead": -stacked.last_nll,
        "return": stacked.control,
    }
    names, rows = list(better), []
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            every = stats.spearmanr(better[first].ravel(), better[second].ravel())
            means = stats.spearmanr(better[first].mean(axis=1), better[second].mean(axis=1))
            rows.append(
                [first, second, *(float(x.statistic) for x in (every, means)), float(every.pvalue)]
            )
    return table(
        "Is what is likelier also better?",
        "Spearman's rank correlation of one measure with another, larger being better in all: over "
        "all models, and over the means of the transitions; p of the first.",
        ["of", "with", "models", "transitions", "p"],
        rows,
        words=2,
    )


def _calibration(found: dict[Any, Scores]) -> Table:
    known = known_evidence(ENTRY.problems["linear-system"].build())
    best, alone = known["optimal"], known["random"]
    rows = [
        [
            kind,
            text_of(scores.iwae),
            float(best - np.mean(scores.iwae)),
            float((np.mean(scores.iwae) - alone) / (best - alone)),
        ]
        for kind, scores in found.items()
    ]
    return table(
        "A linear system, whose evidence is known",
        f"The same bound where the truth is linear and its exact evidence is {number(best)} nats "
        f"(independent normal laws: {number(alone)}): what is short of it, and the share of the "
        "way from one to the other.",
        ["transition", "IWAE", "short of the evidence", "share of the way"],
        rows,
    )


def draw(found: dict[Any, Scores]) -> "Figure":
    """Returns over evidence and over predictions.

    Args:
        found: Scores of the transitions.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for kind, scores in found.items():
        for axes, x in zip(panels, (scores.iwae, scores.last_nll), strict=True):
            axes.plot(x, scores.control, "o", color=COLOURS[kind], label=kind, markersize=4)
    for axes, name in zip(panels, ("IWAE, nats", "NLL some steps ahead, nats"), strict=True):
        axes.axhline(known_returns()["optimal"], color="0.6", linestyle="--")
        axes.set(xlabel=name)
        plain(axes)
    panels[0].set_ylabel("return")
    panels[1].legend(frameon=False, fontsize=8)
    return figure
