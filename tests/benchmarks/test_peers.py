"""The peer protocol, with tiny scripts of no requirements in the place of peers."""

import itertools
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import comparison, environment, maml, maxent_irl
from benchmarks.peers.comparison import Comparison, Side, compare, disagreement
from benchmarks.peers.environment import InstallError, Requirements
from benchmarks.peers.protocol import SideError, SideProcess, current_interpreter

SCRIPT = """
import json, os, sys, time
import numpy as np

def double(inputs):
    x, log = inputs["x"], str(inputs["log"])
    print("a library that talks on standard output")
    def run():
        with open(log, "a") as file:
            print(os.getpid(), file=file)
        time.sleep(0.02)
        return 2 * x
    return run, lambda output: {"y": output}

def cores(inputs):
    count = len(os.sched_getaffinity(0))
    return lambda: time.sleep(0.01), lambda output: {"cores": np.asarray(count)}

def slightly_more(inputs):
    run, result = double(inputs)
    return run, lambda output: {"y": result(output)["y"] + 1e-6}

def refuse(inputs):
    raise KeyError("no such thing")

def refuse_to_run(inputs):
    return lambda: 1 / 0, lambda output: {}

def die(inputs):
    sys.stderr.write("out of luck\\n")
    return lambda: os._exit(3), lambda output: {}

def sleep(inputs):
    return lambda: time.sleep(60), lambda output: {}
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "side.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def contest(script, tmp_path):
    """Make a comparison of two cases of the script."""

    def make(ours="double", peer="double", requirements=None, **options):
        return Comparison(
            algorithm="toy",
            problem="doubling",
            ours=Side("us", script, ours),
            peer=Side("them", script, peer, requirements),
            inputs=lambda: {"x": np.arange(3.0), "log": np.asarray(str(tmp_path / "log"))},
            tolerance=1e-8,
            bar=0.01,
            **options,
        )

    return make


def test_both_sides_are_timed_in_turn_and_compared(contest, tmp_path):
    rows = {row.metric: row for row in compare(contest(), repetitions=3)}
    assert list(rows) == ["speed-up", "largest difference", "our time", "peer's time"]
    assert rows["largest difference"].value == 0.0
    ratio, ours, theirs = rows["speed-up"], rows["our time"], rows["peer's time"]
    assert ratio.value == pytest.approx(theirs.value / ours.value)
    assert ratio.ci_low <= ratio.value <= ratio.ci_high
    assert (ratio.seeds, ratio.reference, ratio.problem) == (3, 0.01, "doubling: us against them")
    assert min(ours.value, theirs.value) >= 0.02
    assert ours.versions["python"]
    # The log holds who ran: a first call each, then turns of several calls: 1 + 3 of each side.
    turns = [who for who, _ in itertools.groupby((tmp_path / "log").read_text().split())]
    assert turns == turns[:2] * 4
    assert turns[0] != turns[1]


def test_both_sides_can_be_kept_on_one_core(contest, monkeypatch):
    results = []
    monkeypatch.setattr(
        comparison, "disagreement", lambda *sides: results.extend(sides[:2]) or (0.0, "")
    )
    before = os.sched_getaffinity(0)
    rows = compare(contest("cores", "cores", one_core=True), repetitions=1)
    assert rows[0].problem == "doubling, on one core: us against them"
    assert [int(result["cores"]) for result in results] == [1, 1]
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(("load", "busy"), [(0.0, False), (2.9, False), (3.1, True)])
def test_a_busy_machine_is_told(monkeypatch, load, busy):
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(comparison, "usable_cores", lambda: 2)
    assert bool(comparison.busy_note()) == busy


def test_disagreement_is_a_failure_without_a_speed_up(contest):
    rows = {row.metric: row for row in compare(contest(peer="slightly_more"), repetitions=1)}
    assert rows["speed-up"].value is None
    assert rows["speed-up"].failed
    assert rows["speed-up"].note == "the sides disagree: y differs by 1e-06; allowed is 1e-08"
    assert rows["largest difference"].value == pytest.approx(1e-6)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("refuse", "failed: side:refuse failed: KeyError: 'no such thing'"),
        ("refuse_to_run", "failed: side:refuse_to_run failed: ZeroDivisionError"),
        ("die", "failed: side:die ended with exit code 3: out of luck"),
        ("missing", "failed: side:missing failed: AttributeError"),
    ],
)
def test_a_side_that_fails_becomes_a_row_that_says_how(contest, case, reason):
    (row,) = compare(contest(peer=case), repetitions=1)
    assert row.metric == "speed-up"
    assert row.failed
    assert row.note.startswith(reason)


def test_a_side_that_hangs_is_ended(script, tmp_path):
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, x=np.zeros(1))
    side = SideProcess(current_interpreter(), script, "sleep", inputs, timeout=1.0)
    with side, pytest.raises(SideError, match="did not answer within 1 s"):
        side.first()


def test_a_peer_that_cannot_be_installed_becomes_a_row_that_says_why(
    contest, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    missing = tmp_path / "peer-1.0-py3-none-any.whl"
    (row,) = compare(contest(requirements=Requirements(packages=(str(missing),))))
    assert row.value is None
    assert not row.failed
    assert row.note.startswith("not available here: them cannot be installed: ")
    assert missing.name in row.note
    assert not list((tmp_path / "cache" / "rlsuite" / "peers").iterdir())


@pytest.mark.parametrize(
    ("ours", "peer", "complaint"),
    [
        ({"y": [1.0]}, {"z": [1.0]}, "we return ['y'], the peer ['z']"),
        ({"y": [1.0]}, {"y": [[1.0]]}, "y has shape (1,) here and (1, 1) there"),
        ({"y": [np.nan]}, {"y": [np.nan]}, "y is not finite"),
        ({}, {}, "we return []"),
    ],
)
def test_results_that_cannot_be_compared_disagree(ours, peer, complaint):
    sides = [{name: np.asarray(value) for name, value in side.items()} for side in (ours, peer)]
    difference, problem = disagreement(*sides, 1e-8)
    assert difference == np.inf
    assert problem.startswith(complaint)


def test_the_worst_of_several_arrays_counts():
    ours = {"a": np.zeros(2), "b": np.zeros((2, 2))}
    peer = {"a": np.full(2, 1e-9), "b": np.array([[0.0, -2e-8], [0.0, 0.0]])}
    assert disagreement(ours, peer, 1e-7) == (2e-8, "")
    assert disagreement(ours, peer, 1e-8)[1] == "b differs by 2e-08; allowed is 1e-08"


@pytest.fixture
def builds(tmp_path, monkeypatch):
    """Replace the building of environments by a link to this interpreter; record the commands."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    commands = []

    def call(command):
        commands.append(command)
        if command[1:3] == ["-m", "venv"]:
            (Path(command[3]) / "bin").mkdir(parents=True)
            os.symlink(sys.executable, Path(command[3]) / "bin" / "python")

    monkeypatch.setattr(environment, "_call", call)
    return commands


NEEDS = Requirements(packages=("one==1", "two==2"), alone=("three==3",))


def test_an_environment_is_built_once(builds):
    python = environment.interpreter(NEEDS)
    assert python.is_file()
    assert [command[-2:] for command in builds[1:]] == [
        ["--no-deps", "three==3"],
        ["one==1", "two==2"],
    ]
    assert environment.interpreter(NEEDS) == python
    assert len(builds) == 3


def test_other_requirements_have_another_environment(builds):
    other = Requirements(packages=("one==1", "two==2"))
    assert environment.interpreter(NEEDS) != environment.interpreter(other)


def test_a_peers_versions_are_not_constrained_to_ours(monkeypatch):
    monkeypatch.setenv("PIP_CONSTRAINT", "constraints.txt")
    monkeypatch.setenv("PIP_PROXY", "kept")
    asked = (
        "import os; print('ERROR:', *(os.environ.get(f'PIP_{x}') for x in ('CONSTRAINT', 'PROXY')))"
    )
    with pytest.raises(InstallError, match=r"^None kept$"):
        environment._call([sys.executable, "-c", f"{asked}; raise SystemExit(1)"])


@pytest.mark.parametrize("part", ["complete.json", "bin/python"])
def test_a_broken_environment_is_built_again(builds, part):
    python = environment.interpreter(NEEDS)
    (python.parent.parent / part).unlink()
    assert environment.interpreter(NEEDS) == python
    assert len(builds) == 6


def test_an_interrupted_build_leaves_nothing(builds, monkeypatch):
    def fail(command):
        if "three==3" in command:
            raise InstallError("no space")

    monkeypatch.setattr(environment, "_call", fail)
    with pytest.raises(InstallError, match="no space"):
        environment.interpreter(NEEDS)
    assert not list(environment.cache_folder().iterdir())


def test_maxent_irl_peers_are_given_the_same_problem():
    inputs = maxent_irl.gridworld(0.1)
    probabilities, next_states = inputs["probabilities"], inputs["next_states"]
    assert probabilities.shape == (1024, 5, 1024)
    np.testing.assert_allclose(probabilities.sum(axis=2), 1.0, atol=1e-12)
    # From the corner up and left stay; 0.9 + 0.1/5 each way, 3 of 5 actions stay there at all.
    assert next_states[0].tolist() == [0, 32, 0, 1, 0]
    assert probabilities[0, 0, 0] == pytest.approx(0.9 + 0.1 * 3 / 5)
    assert probabilities[0, 1, 32] == pytest.approx(0.9 + 0.1 / 5)
    assert {one.bar for one in maxent_irl.COMPARISONS} == {10.0, 100.0}


def test_maml_peers_are_given_the_same_problem():
    """All points of a task lie on one wave: y is a combination of sin x and cos x."""
    inputs = maml.sinusoids()
    assert inputs["support_x"].shape == inputs["query_y"].shape == (25, 10, 1)
    x, y = (
        np.concatenate([inputs[f"{part}_{axis}"] for part in ("support", "query")], axis=1)
        for axis in "xy"
    )
    for xs, ys in zip(x.astype(float), y.astype(float), strict=True):
        waves = np.hstack([np.sin(xs), np.cos(xs)])
        np.testing.assert_allclose(waves @ np.linalg.lstsq(waves, ys)[0], ys, atol=1e-5)
    kernels = [inputs[f"kernel_{layer}"] for layer in range(3)]
    assert [kernel.shape for kernel in kernels] == [(1, 40), (40, 40), (40, 1)]
    assert {array.dtype for array in (x, y, *kernels)} == {np.dtype("float32")}
    assert {one.bar for one in maml.COMPARISONS} >= {10.0, 50.0, 200.0}
