"""Problems for implicit Q-learning: a point, mostly led astray."""

from rlsuite.algorithms import iql
from rlsuite.problems import mazes
from rlsuite.problems.offline import POINT_LENGTH, problem_of
from rlsuite.registry import Entry

_POINT = iql.Config(
    learning_rate=3e-3,
    discount=0.9,
    expectile=0.9,
    target_rate=0.05,
    batch_size=64,
    annealing_steps=None,
    hidden_sizes=(32, 32),
    evaluation_episodes=1,
    evaluation_length=POINT_LENGTH,
)


_MAZE_STEPS = 25_000


def _maze(name: str) -> iql.Config:
    return iql.Config(
        expectile=0.9,
        temperature=10.0,
        discount=0.995,
        annealing_steps=_MAZE_STEPS,
        evaluation_episodes=mazes.EPISODES,
        evaluation_length=mazes.LENGTHS[name],
    )


ENTRY = Entry(
    name="iql",
    make=iql.make,
    config=iql.Config,
    problems={
        "point-mixed": problem_of(
            iql.make,
            share=0.3,
            num_steps=400,
            config=_POINT,
            summary="a point in the plane, of whose 200 episodes 70 % lead away from its goal",
            quick=True,
        ),
        **mazes.problems(iql.make, _maze, _MAZE_STEPS),
    },
    probe="point-mixed",
    summary="Policies from recorded transitions, better than the data, by expectiles of value.",
    citation="Kostrikov, Nair, Levine 2022.",
)
