"""The training loop: batches, resuming, failing, interrupting."""

import functools
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from rlsuite import grid, programs, run
from rlsuite.io.checkpoints import CheckpointError
from rlsuite.io.logs import read_jsonl

KEY = jax.random.key(7)
train = functools.partial(run, toy.make, toy.problem(), toy.Config(), KEY, progress=False)


def test_reaches_the_target():
    result = train(200)
    np.testing.assert_allclose(result.state.params, [1.0, -2.0, 0.5], atol=0.02)
    assert result.metrics.loss.shape == (200,)
    assert result.evaluations["error"].shape == (1,)
    assert result.evaluation_steps.tolist() == [200]
    assert result.evaluations["error"][0] < 0.05


def test_programs_that_take_too_many_mappings_are_let_go():
    """XLA crashes where a process has as many as Linux allows."""
    first, maps = train(20), pathlib.Path("/proc/self/maps")
    kept = programs._compile.cache_info().currsize
    programs.make_room()  # Far from the limit, nothing goes.
    assert programs._compile.cache_info().currsize == kept > 0
    before = maps.read_bytes().count(b"\n")
    programs.make_room(0)
    assert programs._compile.cache_info().currsize == 0
    assert maps.read_bytes().count(b"\n") < before
    np.testing.assert_array_equal(train(20).state.params, first.state.params)


def test_steps_draw_the_documented_keys():
    _, step_key, _ = jax.random.split(KEY, 3)
    noise = [
        jnp.sum(0.01 * jax.random.normal(jax.random.fold_in(step_key, t), (3,))) for t in range(25)
    ]
    np.testing.assert_allclose(train(25).metrics.noise, np.asarray(noise), rtol=1e-5)


@pytest.mark.parametrize("chunk_length", [1, 7, 100])
def test_chunks_equal_one_scan_bitwise(chunk_length, assert_trees_equal):
    assert_trees_equal(train(40, chunk_length=chunk_length).state, train(40, chunk_length=40).state)


def test_axes_are_problem_config_seed(assert_trees_equal):
    problems = {"target": jnp.stack([jnp.ones(3), jnp.zeros(3)]), "name": "toy"}
    configs = grid(toy.Config(), learning_rate=[0.1, 0.2, 0.3], noise=[0.01])
    result = run(
        toy.make,
        problems,
        configs,
        KEY,
        20,
        num_problems=2,
        num_seeds=4,
        evaluate_every=10,
        progress=False,
    )
    assert result.state.params.shape == (2, 3, 4, 3)
    assert result.metrics.loss.shape == (2, 3, 4, 20)
    assert result.evaluations["error"].shape == (2, 3, 4, 2)
    one = run(
        toy.make,
        {"target": jnp.zeros(3), "name": "toy"},
        toy.Config(learning_rate=0.3),
        jax.random.fold_in(KEY, 2),
        20,
        progress=False,
    )
    np.testing.assert_allclose(result.state.params[1, 2, 2], one.state.params, rtol=1e-5)


def test_a_second_run_compiles_nothing():
    train(30)
    before = programs._compile.cache_info()
    train(30)
    after = programs._compile.cache_info()
    assert (after.misses, after.hits) == (before.misses, before.hits + 5)


def test_static_leaves_of_the_problem_reach_make_unchanged():
    seen = []

    def make(problem, config):
        seen.append(problem["name"])
        return toy.make(problem, config)

    run(make, toy.problem(), toy.Config(), KEY, 1, progress=False)
    assert set(seen) == {"toy"}


def test_evaluations_come_at_the_chunks_ends(tmp_path):
    result = train(35, evaluate_every=15, directory=tmp_path)
    assert result.evaluation_steps.tolist() == [20, 30, 35]
    lines = read_jsonl(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines if "evaluate/error" in line] == [20, 30, 35]
    losses = [line["loss"] for line in lines if "loss" in line]
    np.testing.assert_allclose(
        losses[:3], result.metrics.loss[:30].reshape(3, 10).mean(1), rtol=1e-6
    )


def test_resume_equals_the_uninterrupted_run_bitwise(tmp_path, assert_trees_equal):
    whole = train(60, num_seeds=2, directory=tmp_path / "whole")
    train(30, num_seeds=2, directory=tmp_path / "parts")
    resumed = train(60, num_seeds=2, directory=tmp_path / "parts", resume=True)
    assert resumed.start == 30
    assert_trees_equal(resumed.state, whole.state)
    assert_trees_equal(resumed.metrics, jax.tree.map(lambda x: x[..., 30:], whole.metrics))
    assert_trees_equal(resumed.evaluations, whole.evaluations)


def test_resume_of_a_finished_run_does_nothing(tmp_path, assert_trees_equal):
    whole = train(20, directory=tmp_path)
    again = train(20, directory=tmp_path, resume=True)
    assert_trees_equal(again.state, whole.state)
    assert again.metrics is None
    assert_trees_equal(again.evaluations, whole.evaluations)


def test_only_the_last_checkpoints_stay(tmp_path):
    train(100, directory=tmp_path, checkpoint_every=20, keep=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["100", "80"]


def test_a_directory_in_use_is_refused(tmp_path):
    train(10, directory=tmp_path)
    with pytest.raises(ValueError, match="already holds a run of 10 steps"):
        train(20, directory=tmp_path)


def test_fewer_steps_than_the_checkpoint_are_refused(tmp_path):
    train(20, directory=tmp_path)
    with pytest.raises(ValueError, match="num_steps is 10, but the checkpoint is at step 20"):
        train(10, directory=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"config": toy.Config(learning_rate=0.2)}, "config.learning_rate is 0.1"),
        ({"key": jax.random.key(8)}, "key"),
        ({"problem": {"target": jnp.zeros(3), "name": "toy"}}, "problem"),
        ({"num_seeds": 3}, "batch"),
    ],
)
def test_a_foreign_checkpoint_is_refused_and_kept(tmp_path, change, what):
    arguments = {"problem": toy.problem(), "config": toy.Config(), "key": KEY}
    options = {"num_steps": 20, "num_seeds": 2, "directory": tmp_path, "progress": False}
    run(toy.make, **arguments, **options)
    before = _contents(tmp_path)
    with pytest.raises(CheckpointError, match=f"belongs to another run: its {what}"):
        run(toy.make, **{**arguments, **options, "num_steps": 40, "resume": True, **change})
    assert _contents(tmp_path) == before


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "strange"])
def test_a_damaged_checkpoint_is_refused_and_kept(tmp_path, damage):
    train(20, directory=tmp_path, checkpoint_every=10)
    latest = tmp_path / "checkpoints" / "20"
    if damage == "truncate":
        for path in _files(latest):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "flip":
        largest = max(_files(latest), key=lambda path: path.stat().st_size)
        data = bytearray(largest.read_bytes())
        data[len(data) // 2] ^= 0xFF
        largest.write_bytes(data)
    elif damage == "empty":
        for path in _files(latest):
            path.unlink()
    else:
        for path in _files(latest):
            path.write_bytes(b"not a checkpoint")
    before = _contents(tmp_path)
    with pytest.raises(CheckpointError, match=r"20' cannot be read .* to resume from step 10"):
        train(40, directory=tmp_path, resume=True)
    assert _contents(tmp_path) == before


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "checkpoints" / "5").mkdir(parents=True)
    (tmp_path / "checkpoints" / "5" / "data.txt").write_text("theirs")
    with pytest.raises(CheckpointError, match="cannot be read"):
        train(10, directory=tmp_path, resume=True)
    assert (tmp_path / "checkpoints" / "5" / "data.txt").read_text() == "theirs"


def test_an_unwritable_directory_is_found_before_training(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match=r"directory .* cannot take"):
        train(10, directory=tmp_path / "file" / "run")


FULL_DISK = """
import resource, signal, sys
import jax
import test_core  # before the limit, under which its bytecode would be kept cut off
jax.config.update("jax_enable_compilation_cache", False)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
test_core.train(10, directory=sys.argv[1])
"""


def test_a_full_disk_is_found_before_training(tmp_path):
    done = _python(["-c", FULL_DISK, str(tmp_path / "run")], check=False)
    assert done.returncode == 1
    assert "cannot take the" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_steps": -1}, "num_steps is -1; allowed"),
        ({"num_seeds": 0}, "num_seeds is 0; allowed"),
        ({"chunk_length": 0}, "chunk_length is 0; allowed"),
        ({"keep": 0}, "keep is 0; allowed"),
        ({"checkpoint_minutes": 0.0}, r"checkpoint_minutes is 0.0; allowed"),
        ({"num_problems": 2}, "num_problems is 2, but an array of the problem has shape"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        run(
            toy.make,
            toy.problem(),
            toy.Config(),
            KEY,
            **{"num_steps": 1, "progress": False, **change},
        )


LONG_RUN = """
import sys, time
import test_core

class Slow:
    def write(self, step, metrics):
        print(step, flush=True)
        time.sleep(0.05)
    def close(self):
        pass

test_core.train(400, directory=sys.argv[1], checkpoint_every=20, sinks=[Slow()], resume=True)
"""


def _stop_midway(directory, how):
    """Start a long run in a process of its own, and send it a signal at about step 100."""
    process = _start(LONG_RUN, directory)
    for line in process.stdout:
        if int(line) >= 100:
            break
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_kill_9_then_resume_equals_the_uninterrupted_run(tmp_path, assert_trees_equal):
    code, _ = _stop_midway(tmp_path / "killed", signal.SIGKILL)
    assert code == -signal.SIGKILL
    resumed = train(400, directory=tmp_path / "killed", resume=True)
    whole = train(400, directory=tmp_path / "whole", checkpoint_every=20)
    assert 60 <= resumed.start < 400
    assert_trees_equal(resumed.state, whole.state)
    logs = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("killed", "whole")]
    assert logs[0] == logs[1]


def test_ctrl_c_saves_the_chunk_and_resumes(tmp_path, assert_trees_equal):
    code, errors = _stop_midway(tmp_path, signal.SIGINT)
    assert code != 0
    assert "KeyboardInterrupt: stopped after step" in errors
    (last,) = [line for line in errors.splitlines() if "KeyboardInterrupt: stopped" in line]
    step = int(last.split("stopped after step ")[1].split(";")[0])
    resumed = train(400, directory=tmp_path, resume=True)
    assert resumed.start == step
    assert_trees_equal(resumed.state, train(400).state)


DEVICES = """
import json
import jax
import numpy as np
import test_core

assert len(jax.devices()) == 8
result = test_core.train(30, num_seeds=8)
assert len(result.state.params.sharding.device_set) == 8, result.state.params.sharding
print(json.dumps([np.asarray(result.state.params).tolist(), result.metrics.loss.tolist()]))
"""


def test_eight_devices_equal_one():
    done = _python(["-c", DEVICES], JAX_NUM_CPU_DEVICES="8")
    params, loss = json.loads(done.stdout)
    one = train(30, num_seeds=8)
    np.testing.assert_allclose(params, one.state.params, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(loss, one.metrics.loss, rtol=2e-5, atol=1e-6)


PROCESSES = """
import json, sys
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
import numpy as np
import test_core

result = test_core.train(30, num_seeds=4, directory=sys.argv[3])
print(json.dumps(np.asarray(result.metrics.loss).tolist()))
"""


def test_two_processes_equal_one(tmp_path):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    running = [_start(PROCESSES, address, i, tmp_path) for i in range(2)]
    outputs = [process.communicate(timeout=120) for process in running]
    for process, (_, errors) in zip(running, outputs, strict=True):
        assert process.returncode == 0, errors
    one = train(30, num_seeds=4)
    for output, _ in outputs:
        np.testing.assert_allclose(
            json.loads(output.splitlines()[-1]), one.metrics.loss, rtol=2e-5, atol=1e-6
        )


def _start(program, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=pathlib.Path(__file__).parent,
    )


def _python(arguments, *, check=True, **environment):
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        cwd=pathlib.Path(__file__).parent,
        timeout=120,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def _files(directory):
    return [path for path in directory.rglob("*") if path.is_file()]


def _contents(directory):
    return {str(path): path.read_bytes() for path in _files(directory)}
