"""Problems for planning by diffusion: a probe."""

from rlsuite.algorithms import decision_diffuser
from rlsuite.algorithms.decision_diffuser import Config, Model, Planning
from rlsuite.problems.offline import POINT_LENGTH, problem_of
from rlsuite.registry import Entry

_POINT = Config(
    learning_rate=3e-3,
    batch_size=64,
    transitions=64,
    horizon=4,
    overhang=2,
    discount=1.0,
    average_rate=0.02,
    average_after=50,
    evaluation_episodes=8,
    evaluation_length=POINT_LENGTH,
    model=Model(kind="mlp", channels=64, inverse_units=32, diffusion_steps=20),
    planning=Planning(sampler="ddim", sampling_steps=5, temperature=0.25),
)

ENTRY = Entry(
    name="decision-diffuser",
    make=decision_diffuser.make,
    config=Config,
    problems={
        "point": problem_of(
            decision_diffuser.make,
            0.5,
            num_steps=1000,
            config=_POINT,
            summary="a point is moved to a goal; half of the episodes are headed for the opposite",
        ),
    },
    probe="point",
    summary="Plans drawn from a diffusion model of states, as they are asked for.",
    citation="Ajay et al. 2023.",
)
