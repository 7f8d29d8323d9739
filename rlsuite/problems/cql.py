"""Problems for conservative Q-learning: a point, mostly led astray."""

from rlsuite.algorithms import cql
from rlsuite.problems import blocks, mazes
from rlsuite.problems.offline import POINT_LENGTH, problem_of
from rlsuite.registry import Entry

_POINT = cql.Config(
    learning_rate=3e-3,
    policy_learning_rate=1e-3,
    discount=0.9,
    penalty_weight=3.0,
    target_rate=0.2,
    reward_scale=10.0,
    num_actions=4,
    batch_size=64,
    hidden_sizes=(32, 32),
    evaluation_episodes=1,
    evaluation_length=POINT_LENGTH,
)


_STACKING = cql.Config(
    policy_learning_rate=1e-4,
    num_actions=4,
    batch_size=128,
    hidden_sizes=(256, 256),
    evaluation_episodes=32,
    evaluation_length=blocks.LENGTH,
)


def _maze(name: str) -> cql.Config:
    return cql.Config(
        discount=0.995,
        policy_learning_rate=1e-4,
        num_actions=4,
        batch_size=128,
        hidden_sizes=(256, 256),
        evaluation_episodes=mazes.EPISODES,
        evaluation_length=mazes.LENGTHS[name],
    )


ENTRY = Entry(
    name="cql",
    make=cql.make,
    config=cql.Config,
    problems={
        "point-mixed": problem_of(
            cql.make,
            share=0.3,
            num_steps=600,
            config=_POINT,
            summary="a point in the plane, of whose 200 episodes 70 % lead away from its goal",
            quick=True,
        ),
        **blocks.policies(20_000, _STACKING),
        **mazes.problems(cql.make, _maze, 10_000),
    },
    probe="point-mixed",
    summary="Policies from recorded transitions, whose values are lower bounds.",
    citation="Kumar, Zhou, Tucker, Levine 2020.",
)
