"""A hopper in MuJoCo, on the host: plans against policies, from D4RL's medium-expert data."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.configuration import to_json
from rlsuite.core import run
from rlsuite.data.offline import Offline, offline
from rlsuite.data.recording import Recorder, episode_returns
from rlsuite.envs.episodes import Episodes
from rlsuite.io.reports import Section
from rlsuite.io.stages import Stages
from rlsuite.io.tables import number, table
from rlsuite.problems import behaviour_cloning, behaviours, cql, datasets, decision_diffuser, iql
from rlsuite.registry import Entry
from rlsuite.studies.decision_diffuser.trained import of_seed
from rlsuite.studies.summaries import over, text_of

NAME, LENGTH = "hopper-medium-expert", 1000

ENTRY = decision_diffuser.ENTRY

METHODS: dict[str, tuple[Entry, Any, int]] = {
    "Decision Diffuser": (
        ENTRY,
        dd.Config(
            learning_rate=5e-4,
            batch_size=256,
            horizon=32,
            discount=0.997,
            model=dd.Model(kind="mlp", channels=512, multiples=(1, 1, 1, 1), prediction="data"),
            planning=dd.Planning(sampler="dpm-solver", guidance=3.0, replan_every=4),
        ),
        8000,
    ),
    "IQL": (
        iql.ENTRY,
        iql.ENTRY.config(expectile=0.7, temperature=0.5, reward_scale=0.28, annealing_steps=50_000),
        50_000,
    ),
    "CQL": (cql.ENTRY, cql.ENTRY.config(batch_size=128, num_actions=4), 50_000),
    "BC": (behaviour_cloning.ENTRY, behaviour_cloning.ENTRY.config(), 50_000),
}
"""The rows of the table: algorithms, their configs, and how many updates they have."""


class Sizes(NamedTuple):
    """How much is done.

    Attributes:
        data_steps: How many steps of data are recorded.
        num_seeds: How many seeds.
        num_episodes: How many episodes each is tried out in.
        share: Of each method's own number of updates.
    """

    data_steps: int
    num_seeds: int
    num_episodes: int
    share: float


def require() -> None:
    """Refuse to begin where there is no MuJoCo.

    Raises:
        ValueError: Saying what to install.
    """
    datasets.gymnasium_of("Hopper-v5").close()


def section(sizes: Sizes, num_seeds: int | None, stages: Stages) -> Section:
    """Record the data, train all methods on them, and let them hop.

    Args:
        sizes: How much is done.
        num_seeds: How many seeds; None for the sizes' own.
        stages: Keeps what is done.

    Returns:
        The section.

    Raises:
        ValueError: If MuJoCo is missing.
    """
    seeds = num_seeds or sizes.num_seeds
    identity = str((sizes.data_steps, to_json(behaviours.HOPPER)))
    made = stages("hopper, data", identity, lambda: _recorded(sizes.data_steps))
    problem, expert = _problem(made)
    scores = {
        name: stages(
            f"hopper, {name}",
            str((identity, to_json(config), num_steps, sizes, seeds)),
            functools.partial(_scores, name, problem, sizes, seeds),
        )["scores"]
        for name, (_, config, num_steps) in METHODS.items()
    }
    shown = table(
        "Scores of a hopper",
        f"MuJoCo's Hopper-v5, walked on the host, from {NAME} as it is generated here "
        f"({sizes.data_steps:,} steps, half of them an expert's). Scores as D4RL has them; the "
        f"expert's own is {number(expert)}. {sizes.num_episodes} episodes a seed, {over(seeds)}. "
        "The paper, on D4RL's data, has 111.8 for the Decision Diffuser, 91.5 for IQL, 105.4 for "
        "CQL and 52.5 for BC.",
        ["method", "score"],
        [[name, text_of(values)] for name, values in scores.items()],
    )
    return Section("A hopper on the host", [shown], [])


def _recorded(steps: int) -> Mapping[str, Any]:
    made = datasets.generate(NAME, steps)
    return {
        **{name: np.asarray(leaf) for name, leaf in made.episodes._asdict().items()},
        "references": np.asarray(made.references),
    }


def _problem(made: Mapping[str, Any]) -> tuple[Offline, float]:
    """The problem, and the expert's score: that of its episodes, in the second half of the steps.

    Those that the end of recording cut off do not count.
    """
    episodes = Episodes(**{name: jnp.asarray(made[name]) for name in Episodes._fields})
    low, high = made["references"]
    problem = offline(NAME, episodes, random_return=float(low), expert_return=float(high))
    returns = np.add.reduceat(np.asarray(episodes.rewards), np.asarray(episodes.starts))
    last = np.asarray(episodes.starts + episodes.lengths) - 1
    whole = np.asarray(episodes.terminals)[last] | (np.asarray(episodes.lengths) >= LENGTH)
    experts = whole & (np.asarray(episodes.starts) >= episodes.num_steps // 2)
    return problem, float(problem.score(jnp.mean(returns[experts])))


def _scores(name: str, problem: Offline, sizes: Sizes, seeds: int) -> Mapping[str, Any]:
    entry, config, num_steps = METHODS[name]
    states = run(
        entry.make,
        problem,
        config,
        jax.random.key(0),
        max(int(sizes.share * num_steps), 1),
        num_seeds=seeds,
        progress=f"{name}, hopper",
    ).state
    act = jax.jit(
        _planning(problem, config) if entry is ENTRY else _deciding(entry, problem, config)
    )
    scores = [_hopped(act, of_seed(states, seed), sizes.num_episodes) for seed in range(seeds)]
    return {"scores": np.asarray(problem.score(jnp.asarray(scores)))}


Act = Callable[[Any, Any, Any, Any], tuple[Any, Any]]
"""From a state, a key, observations and what is remembered to actions and what is remembered."""


def _planning(problem: Offline, config: dd.Config) -> Act:
    def act(state: Any, key: Any, observations: Any, plan: Any) -> tuple[Any, Any]:
        planner = dd.planner_of(problem, config, state)
        return dd.act_together(config, planner, key, observations, plan)

    return act


def _deciding(entry: Entry, problem: Offline, config: Any) -> Act:
    likeliest = entry.make(problem, config).act
    assert likeliest is not None

    def act(state: Any, key: Any, observations: Any, carry: Any) -> tuple[Any, Any]:
        del key
        return jax.vmap(lambda seen: likeliest(None, state, seen, None)[0])(observations), carry

    return act


def _hopped(act: Act, state: Any, count: int) -> float:
    """The mean return of some episodes."""
    recorder = Recorder(lambda: datasets.gymnasium_of("Hopper-v5"), count, seed=1)
    keys = iter(jax.random.split(jax.random.key(1), LENGTH))

    def together(observations: np.ndarray, carry: Any) -> tuple[np.ndarray, Any]:
        actions, carry = act(state, next(keys), observations, carry)
        return np.asarray(actions), carry

    earned = episode_returns(recorder, together, LENGTH)
    recorder.close()
    return float(np.mean(earned))
