"""The Decision Diffuser's study, with perceptrons that have learned next to nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled
from follow import Follow

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.data.d4rl import References
from rlsuite.data.recording import Recorder, episodes_of
from rlsuite.envs import block_stacking, gait
from rlsuite.envs.episodes import join
from rlsuite.io.stages import Stages
from rlsuite.io.tables import number
from rlsuite.problems import blocks, datasets
from rlsuite.problems import mazes as maze_problems
from rlsuite.studies import summaries
from rlsuite.studies.decision_diffuser import (
    claims,
    fine_tuning,
    locomotion,
    mazes,
    ring,
    skills,
    stacking,
    stochastic,
)
from rlsuite.studies.decision_diffuser.trained import of_seed, trained


def small(problem, **changes):
    model = dd.Model(kind="mlp", channels=8, multiples=(1,), diffusion_steps=4, inverse_units=8)
    planning = dataclasses.replace(
        problem.config.planning, sampling_steps=2, replan_every=1000, warm_steps=0
    )
    config = dataclasses.replace(
        problem.config, batch_size=2, transitions=2, model=model, planning=planning, **changes
    )
    return dataclasses.replace(problem, config=config)


def cells(table):
    return [[cell.text for cell in row] for row in table.rows]


def circle(radius):
    angles = np.linspace(0, 6, 48, dtype=np.float32)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def test_paths_are_counted():
    paths = np.stack([circle(0.5), circle(0.8), circle(0.9), circle(1.2)])
    found = compiled(ring.obeyed)(paths)
    assert [float(share) for share in found] == [0.75, 0.75, 0.5, 0.25]


def test_the_ring_is_asked_for_in_all_ways_and_read_back(monkeypatch, tmp_path):
    samplers = {"DDIM, 2 steps": {"sampler": "ddim", "sampling_steps": 2}}
    monkeypatch.setattr(ring, "SAMPLERS", samplers)
    monkeypatch.setattr(ring, "PROBLEM", small(ring.PROBLEM, evaluation_length=2))
    sizes = ring.Sizes(2, 2, 5, 4, (1.0, 2.0), (0.0, 1.0), tuple(samplers))
    section = ring.section(sizes, None, Stages(tmp_path))
    rows = cells(section.tables[0])
    assert [row[0] for row in rows] == list(ring.REQUESTS)
    (path,) = tmp_path.rglob("*.npz")
    with np.load(path) as kept:
        success, sweep = kept["success"], kept["sweep"]
    assert success.shape == (6, 2)
    assert sweep.shape == (2, 2, 2)
    assert np.all((success * 5) % 1 == 0)
    assert [row[1] for row in rows] == [summaries.text_of(100 * values) for values in success]
    monkeypatch.setattr(ring, "_measured", None)
    again = ring.section(sizes, None, Stages(tmp_path, resume=True))
    assert cells(again.tables[0]) == rows
    assert [picture.kind for picture in section.pictures] == ["png", "png", "gif"]


def test_a_sweep_in_one_program_is_each_pair_alone(monkeypatch):
    monkeypatch.setattr(ring, "PROBLEM", small(ring.PROBLEM))
    config = ring.PROBLEM.config
    state = of_seed(trained(ring.PROBLEM, 0, 1, "ring"), 0)

    def plans(omega, alpha):
        key = jax.random.key(1)
        request = ring.REQUESTS["both: the ring"]
        return ring.drawn(config, state, key, request, 3, omega, alpha)

    pairs = np.asarray([[1.0, 0.25], [2.0, 1.0]], np.float32)
    together = compiled(jax.vmap(plans))(*pairs.T)
    alone = compiled(lambda omega, alpha: plans(omega, alpha))
    for both, (omega, alpha) in zip(together, pairs, strict=True):
        np.testing.assert_allclose(both, alone(omega, alpha), atol=1e-4)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_requests_are_what_they_are_called():
    kinds = stacking.kinds()
    assert [len(asked.wanted) for asked in kinds.values()] == [12, 24, 24, 24, 24]
    assert [name for name, asked in kinds.items() if asked.ordered] == [stacking.BOTTOM_UP]
    tower = kinds["a tower, never shown"]
    np.testing.assert_array_equal(tower.wanted[0], block_stacking.chain(0, 1, 2))
    np.testing.assert_array_equal(tower.conditions[0, 0], block_stacking.pair(0, 1))
    but = kinds["a pair, and not the one below"]
    np.testing.assert_array_equal(np.sign(but.weights), [1, -1])
    np.testing.assert_array_equal(but.unwanted[0], block_stacking.pair(1, 2))


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        # Of 2, 1 and 0, whose tower is wanted, and of 3.
        pytest.param([(0, 0), (1, 0), (2, 0), (3, 0)], [0.3, 0.3, 1.0], id="nothing stands"),
        pytest.param([(0, 0), (1, 0), (2, 0), (2, 1)], [0.3, 0.3, 1.0], id="another pair"),
        pytest.param([(0, 0), (1, 0), (0, 1), (3, 0)], [0.3, 0.3, 1.0], id="two below each other"),
        pytest.param([(1, 1), (1, 0), (2, 0), (3, 0)], [0.3, 0.3, 1.0], id="the upper one only"),
        pytest.param([(0, 0), (1, 0), (3, 1), (3, 0)], [0.3, 1.0, 0.7], id="the lowest"),
        pytest.param([(1, 0), (3, 2), (3, 1), (3, 0)], [1.0, 0.7, 0.7], id="two"),
        pytest.param([(3, 3), (3, 2), (3, 1), (3, 0)], [0.7, 0.7, 0.7], id="all"),
        pytest.param([(1, 1), (1, 0), (3, 1), (3, 0)], [0.3, 1.0, 0.7], id="lowest and highest"),
    ],
)
def test_the_lowest_pair_that_does_not_stand_is_asked_for_most(places, expected):
    """A tower of all four, 0 on 1 on 2 on 3; blocks are told by column and layer."""
    positions = [(0.5 * column, 0.0, 0.1 + 0.2 * layer) for column, layer in places]
    gripper = (-1.0, -1.0, 0.7, 1.0)
    state = jnp.asarray([*gripper, *np.ravel(positions)], jnp.float32)
    request = blocks.bottom_up(blocks.pairs_of((0, 1, 2, 3)))(state)
    pairs = [block_stacking.pair(*two) for two in ((0, 1), (1, 2), (2, 3))]
    np.testing.assert_array_equal(request.conditions, pairs)
    np.testing.assert_allclose(request.weights, expected)


@pytest.fixture
def few_demonstrations(monkeypatch):
    """As many of blocks as show each constraint twice."""
    monkeypatch.setattr(blocks, "_DEMONSTRATIONS", 24)
    built = blocks.blocks, blocks.told_blocks
    for build in built:
        build.cache_clear()
    yield
    for build in built:
        build.cache_clear()


@pytest.mark.usefixtures("few_demonstrations")
def test_blocks_that_nobody_moved_make_no_tower(monkeypatch):
    """Two steps are not enough for anything, good or bad."""
    monkeypatch.setattr(stacking, "PROBLEM", small(stacking.PROBLEM, evaluation_length=2))
    monkeypatch.setattr(stacking, "POLICIES", policies(evaluation_length=2, hidden_sizes=(4,)))
    section = stacking.section(stacking.Sizes(1, 2, 2, 2, share=1e-9), None, Stages())
    assert cells(section.tables[0]) == [[name, *4 * ["0 (0 … 0)"]] for name in stacking.kinds()]


def policies(**changes):
    """The policies beside the planner, with other configs."""
    changed = {}
    for name, entry in stacking.POLICIES.items():
        problem = entry.problems["stacking"]
        config = dataclasses.replace(problem.config, **changes)
        problems = {"stacking": dataclasses.replace(problem, config=config)}
        changed[name] = dataclasses.replace(entry, problems=problems)
    return changed


@pytest.fixture
def few_walks(monkeypatch):
    """A fortieth of the walks in mazes."""
    monkeypatch.setattr(maze_problems, "_STEPS", 2500)
    maze_problems.maze.cache_clear()
    yield
    maze_problems.maze.cache_clear()


@pytest.mark.usefixtures("few_walks")
def test_a_method_is_scored_where_it_is_named(monkeypatch, tmp_path):
    """An agent that does nothing earns what the ball's first place does."""
    entries = {}
    for name in ("Decision Diffuser", "BC"):
        entry = mazes.METHODS[name]
        problem = entry.problems["maze-umaze"]
        if name == "Decision Diffuser":
            problem = small(problem, evaluation_episodes=2, evaluation_length=3)
        else:
            config = dataclasses.replace(
                problem.config, hidden_sizes=(4,), evaluation_episodes=2, evaluation_length=3
            )
            problem = dataclasses.replace(problem, config=config)
        entries[name] = dataclasses.replace(entry, problems={"maze-umaze": problem})
    monkeypatch.setattr(mazes, "METHODS", entries)
    monkeypatch.setattr(mazes, "ENTRY", entries["Decision Diffuser"])
    samplers = {"all": {"sampler": "ancestral"}, "half of the last": {"warm_steps": 1}}
    monkeypatch.setattr(mazes, "SAMPLERS", samplers)
    sizes = mazes.Sizes(("umaze",), 2, 1e-9, tuple(samplers))
    section = mazes.section(sizes, None, Stages(tmp_path))
    assert [row[0] for row in cells(section.tables[0])] == list(entries)
    with np.load(next(tmp_path.rglob("bc*.npz"))) as kept:
        assert cells(section.tables[0])[1][1] == summaries.text_of(kept["scores"])
        assert kept["scores"].shape == (2,)
    few = cells(section.tables[1])
    assert [row[0] for row in few] == list(samplers)
    assert few[0][-1] == "1.0 ×"
    with np.load(next(tmp_path.rglob("decision*.npz"))) as kept:
        assert [row[1] for row in few] == list(map(summaries.text_of, kept["few steps"]))
        assert np.all(kept["seconds"] > 0)
    assert [picture.kind for picture in section.pictures] == ["png", "gif"]


def test_frames_are_recognised_and_skills_asked_for(monkeypatch):
    """Demonstrations show their own gait in every frame that counts; who does nothing, any."""
    shown = gait.demonstrations(jax.random.key(0), 3).observations.reshape(3, 1, gait.STEPS, 13)
    np.testing.assert_allclose(skills.recognised(shown), np.eye(3, 4), atol=0.02)
    monkeypatch.setattr(skills, "PROBLEM", small(skills.PROBLEM, evaluation_length=30, horizon=8))
    section = skills.section(skills.Sizes(1, 2, 2), None, Stages())
    rows = cells(section.tables[0])
    assert [row[0] for row in rows] == list(skills.REQUESTS)
    for row in rows:
        middles = [float(cell.split(" ")[0]) for cell in row[1:]]
        np.testing.assert_allclose(sum(middles), 100, atol=0.2)
    assert [picture.kind for picture in section.pictures] == ["png", "gif"]


def test_on_slippery_ground_the_three_ways_differ_in_what_they_ask(monkeypatch, tmp_path):
    monkeypatch.setattr(
        stochastic, "PROBLEM", small(stochastic.PROBLEM, evaluation_episodes=2, overhang=6)
    )
    sizes = stochastic.Sizes(2, 2, (0.5,))
    ways = stochastic.ways()
    asked = {name: (way.config.conditions, way.config.goal) for name, way in ways.items()}
    assert list(asked.values()) == [(("return",), False), ((), True), (("state",), False)]
    chosen = {name: ways[name] for name in list(ways)[1:]}  # Of the first no program is new.
    monkeypatch.setattr(stochastic, "ways", lambda: chosen)
    section = stochastic.section(sizes, None, Stages(tmp_path))
    rows = cells(section.tables[0])
    assert [row[0] for row in rows] == list(chosen)
    kept = [np.load(path)["scores"] for path in tmp_path.rglob("*.npz")]
    assert sorted(map(summaries.text_of, kept)) == sorted(row[1] for row in rows)


def test_what_goes_on_is_told_as_it_came(monkeypatch, tmp_path):
    ways = fine_tuning.ways()
    plain, asked = (ways["α = 0.25, returns alone"], ways["α = 1, H ≥ −1"])
    assert (plain.multiplier, asked.multiplier, asked.entropy) == (0, 0.3, -1)
    assert (plain.planner.planning.temperature, asked.planner.planning.temperature) == (0.25, 1)
    few = {"episodes": 2, "capacity": 4, "updates": 2, "references": 16}
    chosen = {"asked": dataclasses.replace(asked, **few)}
    monkeypatch.setattr(fine_tuning, "ways", lambda: chosen)
    section = fine_tuning.section(fine_tuning.Sizes(5, 2, 2), None, Stages(tmp_path))
    with np.load(next(tmp_path.rglob("fine*.npz"))) as kept:
        assert kept["steps"].tolist() == [1, 2]
        row = [kept["scores"][:, 0], kept["scores"][:, 1], kept["entropy"], kept["multiplier"]]
        assert cells(section.tables[0]) == [["asked", *map(summaries.text_of, row)]]
        assert f"the score is {number(float(kept['before']))}, and" in section.tables[0].lead
        assert np.all(kept["multiplier"] != 0.3)
    assert [picture.kind for picture in section.pictures] == ["png"]


def copied(count):
    """What follows shows an expert in the second half of its steps, and nothing done before."""
    idle = Recorder(Follow, 2).walk(lambda seen: (0.0 * seen, ()), count)
    right = Recorder(Follow, 2).walk(lambda seen: (seen / 2, ()), count)
    return join(episodes_of(idle)[0] + episodes_of(right)[0])


def test_on_the_host_methods_are_scored_against_the_expert_of_their_data(monkeypatch, tmp_path):
    made = datasets.Made(copied(43), References(0.0, 10.0))
    monkeypatch.setattr(datasets, "generate", lambda name, steps: made)
    monkeypatch.setattr(datasets, "gymnasium_of", lambda name: Follow())
    planner = locomotion.METHODS["Decision Diffuser"]
    model = dd.Model(kind="mlp", channels=8, multiples=(1,), diffusion_steps=4, inverse_units=8)
    config = dataclasses.replace(
        planner[1],
        horizon=2,
        model=model,
        planning=dd.Planning(sampler="ddim", sampling_steps=2, replan_every=2),
    )
    cloning = locomotion.METHODS["BC"]
    methods = {
        "Decision Diffuser": (planner[0], config, 900),
        "BC": (cloning[0], dataclasses.replace(cloning[1], hidden_sizes=(16,)), 300),
    }
    monkeypatch.setattr(locomotion, "METHODS", methods)
    monkeypatch.setattr(locomotion, "LENGTH", 5)
    stages = Stages(tmp_path)
    section = locomotion.section(locomotion.Sizes(80, 2, 3, 1.0), None, stages)
    rows = dict(cells(section.tables[0]))
    assert list(rows) == list(methods)
    # An expert earns 5, half of what scores are counted to; who copies both kinds, less.
    assert "expert's own is 50." in section.tables[0].lead
    # What is seen next has nothing to do with what is done: actions are those of both kinds.
    for name, pattern in (("Decision Diffuser", "*decision-diffuser.npz"), ("BC", "*bc.npz")):
        with np.load(next(tmp_path.rglob(pattern))) as kept:
            assert np.all((kept["scores"] > 25) & (kept["scores"] < 45))
            assert rows[name] == summaries.text_of(kept["scores"])


def test_without_mujoco_the_full_study_does_not_begin(monkeypatch):
    def missing(name):
        raise ValueError(f"{name} needs MuJoCo")

    monkeypatch.setattr(datasets, "gymnasium_of", missing)
    with pytest.raises(ValueError, match="Hopper-v5 needs MuJoCo"):
        claims.study()
