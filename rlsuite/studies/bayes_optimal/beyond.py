"""Beyond the paper: other memories, longer episodes than were trained on, and a hidden chain."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from rlsuite.algorithms import memory_meta
from rlsuite.algorithms.memory_meta.config import Memory
from rlsuite.envs.prediction import Prediction
from rlsuite.io.reports import Section
from rlsuite.io.stages import Stages
from rlsuite.io.tables import number, table
from rlsuite.ops.conjugate import DirichletCategorical
from rlsuite.problems.memory_meta import LENGTH, weather
from rlsuite.studies.bayes_optimal.training import Runs, train

MEMORIES: tuple[Memory, ...] = ("lstm", "gru", "rnn", "linear", "transformer")
LONGER = 100


def divergence(problem: Prediction, network: Any, params: Any, count: int = 2000) -> np.ndarray:
    """The mean KL from Bayes at each step, of several agents.

    Args:
        problem: The sequences.
        network: The agent.
        params: Of all of them, along a first axis.
        count: Over how many sequences.

    Returns:
        ``[agent, time]``.
    """

    @jax.jit
    def means(params: Any) -> Array:
        x = problem.samples(jax.random.key(8), count)

        def mean(one: Any) -> Array:
            return jnp.mean(memory_meta.divergences(problem, network, one, x), axis=1)

        return jax.lax.map(mean, params)

    return np.asarray(means(params))


def section(
    config: memory_meta.Config,
    num_steps: int,
    num_seeds: int,
    stages: Stages,
    known: Runs | None = None,
) -> Section:
    """Train each memory on dice and on the hidden chain, and report them.

    Args:
        config: The hyperparameters; the transformer takes a third of the rate.
        num_steps: How many updates.
        num_seeds: How many seeds.
        stages: Keeps what is done.
        known: As many runs of an LSTM on dice, or more, if there are any by the same settings.

    Returns:
        The section.
    """
    dice = Prediction(DirichletCategorical(jnp.ones(3)), LENGTH)
    chain = Prediction(weather(), LENGTH)
    longer = dataclasses.replace(dice, length=LONGER)
    rows = []
    for memory in MEMORIES:
        rate = float(config.learning_rate) * (1 / 3 if memory == "transformer" else 1)
        # Attention over no more steps than there are: its parameters are the same for longer ones.
        context = LENGTH if memory == "transformer" else config.context
        own = dataclasses.replace(config, memory=memory, learning_rate=rate, context=context)
        cells: list[Any] = [memory]
        for name, problem in (("dice", dice), ("chain", chain)):
            if known is not None and (memory, name) == ("lstm", "dice"):
                last = jax.tree.map(lambda leaf: leaf[:num_seeds], known.last)
            else:
                stage = f"{name} {memory}"
                last = train(stage, problem, own, num_steps, num_seeds, 2, stages).last
            network = memory_meta.prediction.default_network(problem, own)
            found = divergence(problem, network, last)
            cells.append(number(float(np.median(found.mean(axis=1)))))
            if problem is dice:
                reach = dataclasses.replace(own, context=LONGER)
                network = memory_meta.prediction.default_network(longer, reach)
                far = divergence(longer, network, last, 500)[:, LENGTH:]
                cells.append(number(float(np.median(far.mean(axis=1)))))
        rows.append(cells)
    lead = (
        f"Mean KL from Bayes in nats a step, the median over {num_seeds} seeds, after "
        f"{num_steps:,} updates on episodes of {LENGTH} steps: on dice, on dice at steps "
        f"{LENGTH + 1} to {LONGER} of longer episodes, and on a chain with hidden states, whose "
        "exact filter has no finite count of what was seen."
    )
    columns = ["memory", "dice", f"dice to {LONGER}", "hidden chain"]
    return Section("Beyond the paper", [table("Other memories", lead, columns, rows)])
