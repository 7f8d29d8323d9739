"""Problems for behaviour cloning: a point, led by an expert or mostly led astray."""

from rlsuite.algorithms import behaviour_cloning
from rlsuite.problems import blocks, mazes
from rlsuite.problems.offline import POINT_LENGTH, problem_of
from rlsuite.registry import Entry

_POINT = behaviour_cloning.Config(
    learning_rate=3e-3,
    batch_size=64,
    hidden_sizes=(32, 32),
    evaluation_episodes=1,
    evaluation_length=POINT_LENGTH,
)


_STACKING = behaviour_cloning.Config(evaluation_episodes=32, evaluation_length=blocks.LENGTH)


def _maze(name: str) -> behaviour_cloning.Config:
    return behaviour_cloning.Config(
        evaluation_episodes=mazes.EPISODES, evaluation_length=mazes.LENGTHS[name]
    )


ENTRY = Entry(
    name="bc",
    make=behaviour_cloning.make,
    config=behaviour_cloning.Config,
    problems={
        "point-expert": problem_of(
            behaviour_cloning.make,
            share=1.0,
            num_steps=200,
            config=_POINT,
            summary="a point in the plane, whose 200 episodes are headed for its goal",
            quick=True,
        ),
        "point-mixed": problem_of(
            behaviour_cloning.make,
            share=0.3,
            num_steps=200,
            config=_POINT,
            summary="the same point, of whose episodes 70 % are headed the other way",
        ),
        **blocks.policies(20_000, _STACKING),
        **mazes.problems(behaviour_cloning.make, _maze, 20_000),
    },
    probe="point-expert",
    summary="Policies from what was done, by maximum likelihood.",
    citation="Pomerleau 1988.",
)
