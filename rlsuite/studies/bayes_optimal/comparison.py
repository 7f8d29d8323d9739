"""Memories against Bayes-optimal agents, in five parts and what goes beyond them."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.algorithms import memory_meta
from rlsuite.envs.bandits import Bandits, bandits
from rlsuite.envs.prediction import Prediction
from rlsuite.io.reports import Report, Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import number, table
from rlsuite.ops.bandits import UniformArms
from rlsuite.ops.conjugate import DirichletCategorical
from rlsuite.problems.memory_meta import BANDIT, LENGTH, PREDICTION
from rlsuite.registry import Study
from rlsuite.studies.bayes_optimal import behaviour, beyond, convergence, ladder, structure
from rlsuite.studies.bayes_optimal.training import Runs, train


class Sizes(NamedTuple):
    """How large the study is.

    Attributes:
        num_steps: Updates of predictions.
        bandit_steps: Updates of bandits.
        num_seeds: How many seeds.
        num_checkpoints: How often parameters are kept.
        num_sequences: For maps, and as many to measure them.
        map_steps: Updates of each map.
        compared: Sequences and episodes on which runs are compared.
        beyond_steps: Updates of other memories; 0 leaves them out.
        beyond_seeds: Seeds of other memories.
    """

    num_steps: int
    bandit_steps: int
    num_seeds: int
    num_checkpoints: int
    num_sequences: int
    map_steps: int
    compared: int
    beyond_steps: int
    beyond_seeds: int


FULL = Sizes(10_000, 9000, 10, 31, 4000, 10_000, 500, 10_000, 3)
QUICK = Sizes(400, 60, 2, 7, 200, 400, 100, 0, 1)


def study(
    *, quick: bool = False, num_seeds: int | None = None, stages: Stages | None = None
) -> Report:
    """Train, compare and report.

    Args:
        quick: The small version.
        num_seeds: How many seeds; the version's own by default.
        stages: Keep what is done.

    Returns:
        The report.
    """
    sizes = QUICK if quick else FULL
    sizes = sizes._replace(num_seeds=num_seeds or sizes.num_seeds)
    stages = Stages() if stages is None else stages
    dice = Prediction(DirichletCategorical(jnp.ones(3)), LENGTH)
    game = bandits(UniformArms(2), LENGTH)
    dice_config = dataclasses.replace(PREDICTION, annealing_steps=sizes.num_steps)
    game_config = dataclasses.replace(BANDIT, annealing_steps=sizes.bandit_steps)
    if quick:
        game_config = dataclasses.replace(game_config, batch_size=64)
    how = sizes.num_seeds, sizes.num_checkpoints, stages
    of_dice = train("dice", dice, dice_config, sizes.num_steps, *how)
    of_game = train("bandit", game, game_config, sizes.bandit_steps, *how)
    sections = [
        _predictions(dice, dice_config, of_dice, sizes),
        _structure(dice, dice_config, of_dice, sizes),
        _pulls(game, game_config, of_game, sizes),
        *_converged(dice, dice_config, of_dice, game, game_config, of_game, sizes),
    ]
    if sizes.beyond_steps:
        config = dataclasses.replace(PREDICTION, annealing_steps=sizes.beyond_steps)
        steps, seeds = sizes.beyond_steps, sizes.beyond_seeds
        same = steps == sizes.num_steps and seeds <= sizes.num_seeds
        sections.append(beyond.section(config, steps, seeds, stages, of_dice if same else None))
    return Report(
        "Memories against Bayes-optimal agents",
        "Networks with a memory, trained on episodes whose law is drawn anew each time, after "
        "Mikulik et al. 2020: how near they come to what follows from Bayes' rule, which is "
        "computed exactly, and whether what they remember is what it needs.",
        sections,
    )


def _predictions(
    problem: Prediction, config: memory_meta.Config, runs: Runs, sizes: Sizes
) -> Section:
    network = memory_meta.prediction.default_network(problem, config)
    found = beyond.divergence(problem, network, runs.last)
    rows = [
        [f"{seed}", number(float(x.mean())), number(float(x.max()))] for seed, x in enumerate(found)
    ]
    made = table(
        "Dice: predictions",
        f"KL(Bayes ‖ agent) in nats after {sizes.num_steps:,} updates, its mean over histories as "
        f"they occur, on 2000 new sequences of {problem.length} throws of a three-sided die with a "
        "uniform prior: the mean over steps, and the worst step.",
        ["seed", "mean", "worst step"],
        rows,
    )
    drawn = picture(
        "dice-behaviour",
        behaviour.predictions(problem, network, runs.at(-1, 0)),
        "Three sequences: what was thrown (dots), the probabilities of its sides, and the log "
        "likelihood of what came; Bayes dashed.",
    )
    return Section("Dice: behaviour", [made], [drawn])


def _structure(
    problem: Prediction, config: memory_meta.Config, runs: Runs, sizes: Sizes
) -> Section:
    network = memory_meta.prediction.default_network(problem, config)
    found = {
        name: structure.compare(
            problem,
            network,
            runs.at(checkpoint, 0),
            num_sequences=sizes.num_sequences,
            num_steps=sizes.map_steps,
        )
        for name, checkpoint in (("trained", -1), ("untrained", 0))
    }
    rows = [
        [direction, name, *map(number, getattr(made, field)), number(made.floor if least else 0.0)]
        for direction, field, least in (
            ("RNN → Bayes", "to_bayes", False),
            ("Bayes → RNN", "to_memory", True),
        )
        for name, made in found.items()
    ]
    maps = table(
        "Dice: structure",
        "D_s, the squared error of mapped states over their variance, and D_o, the KL between "
        "outputs in nats, on new sequences; beside them those of the untrained agent, and the "
        "least D_s that any map could have. Perceptrons of two layers of 128 units, trained on "
        f"{sizes.num_sequences:,} sequences for {sizes.map_steps:,} updates.",
        ["map", "agent", "D_s", "D_o", "floor of D_s"],
        rows,
        words=2,
    )
    shown = [t for t in (0, 4, 9, 18) if t < problem.length - 1]
    loops = table(
        "Dice: closed loop",
        "KL from Bayes, in nats, of predictions from statistics that were never looked at: "
        "s ← f(RNN(g(s), x)), from the prior on.",
        ["agent", *(f"after {t + 1}" for t in shown)],
        [[name, *(number(float(made.drift[t])) for t in shown)] for name, made in found.items()],
    )
    drawn = picture(
        "dice-components",
        structure.draw(problem, network, runs.at(-1, 0)),
        "Principal components of what is remembered and of what suffices, coloured by the chance "
        "of the last side; three sequences in orange.",
    )
    return Section("Dice: structure", [maps, loops], [drawn])


def _pulls(problem: Bandits, config: memory_meta.Config, runs: Runs, sizes: Sizes) -> Section:
    network = memory_meta.impala.default_network(problem.control, config)

    def lost(greedy: bool) -> np.ndarray:
        def of_seed(one: Any) -> Any:
            key = jax.random.key(7)
            return memory_meta.play(problem, network, one, key, 4000, greedy=greedy).value_lost

        return np.asarray(jax.jit(lambda many: jax.lax.map(of_seed, many))(runs.last))

    agents = {"agent, drawn": lost(False), "agent, likeliest": lost(True)}
    rows = [
        [
            name,
            *map(
                number,
                structure.bandit_value(
                    problem,
                    network,
                    runs.at(checkpoint, 0),
                    num_episodes=sizes.num_sequences,
                    num_steps=sizes.map_steps,
                ),
            ),
        ]
        for name, checkpoint in (("trained", -1), ("untrained", 0))
    ]
    maps = table(
        "Bandit: Bayes → RNN",
        "What is lost, exactly, by pulling as the agent would with the memory that a learned map "
        "makes of the counts; the map is trained as those of the dice.",
        ["agent", "drawn", "likeliest"],
        rows,
    )
    drawn = picture(
        "bandit-behaviour",
        behaviour.pulls(problem, network, runs.at(-1, 0)),
        "Three episodes of the agent, with the best choice for what it knew (half, where both are "
        "as good); and what it has lost by each pull on average.",
    )
    return Section("Bandit: behaviour", [ladder.ladder(problem, agents), maps], [drawn])


def _converged(
    dice: Prediction,
    dice_config: memory_meta.Config,
    of_dice: Runs,
    game: Bandits,
    game_config: memory_meta.Config,
    of_game: Runs,
    sizes: Sizes,
) -> list[Section]:
    return [
        convergence.section(
            "Dice",
            "KL from Bayes, nats a step",
            of_dice,
            *convergence.predictions(dice, dice_config, of_dice, sizes.compared),
        ),
        convergence.section(
            "Bandit",
            "value lost in an episode",
            of_game,
            *convergence.bandits(game, game_config, of_game, sizes.compared),
        ),
    ]


STUDY = Study(
    name="bayes-optimal",
    run=study,
    summary="memories against Bayes-optimal agents: behaviour, convergence, structure, the ladder",
)
