"""Logs: what is written, what survives a crash, the optional sinks."""

import builtins
import json

import numpy as np
import pytest

from rlsuite.io import logs


def test_jsonl_appends_one_flushed_object_a_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    sink = logs.JSONL(path)
    sink.write(10, {"loss": np.asarray(0.5), "kl": np.asarray([1.0, np.nan])})
    assert json.loads(path.read_text()) == {"step": 10, "loss": 0.5, "kl": [1.0, None]}
    sink.write(20, {"loss": np.asarray(0.25)})
    sink.close()
    assert [row["step"] for row in logs.read_jsonl(path)] == [10, 20]


def test_jsonl_drops_what_a_resumed_run_will_write_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 10}\n{"step": 20}\n{"step": 30}\n{"step": 4')
    logs.JSONL(path, after=20).close()
    assert path.read_text() == '{"step": 10}\n{"step": 20}\n'


def test_a_broken_line_before_the_last_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 10}\n{"ste\n{"step": 30}\n')
    with pytest.raises(ValueError, match=r"metrics.jsonl, line 2: not JSON"):
        logs.read_jsonl(path)
    path.write_text("[1]\n{}\n")
    with pytest.raises(ValueError, match=r"line 1: '\[1\]' is not a JSON object"):
        logs.read_jsonl(path)


def test_tensorboard_gets_the_mean_and_every_run(tmp_path):
    from tensorboardX.proto import event_pb2
    from tensorboardX.record_writer import masked_crc32c

    sink = logs.TensorBoard(tmp_path)
    sink.write(7, {"loss": np.asarray([1.0, 3.0]), "kl": np.asarray(0.5)})
    sink.close()
    (path,) = tmp_path.iterdir()
    data, found = path.read_bytes(), {}
    while data:
        header, length = data[:8], int.from_bytes(data[:8], "little")
        assert int.from_bytes(data[8:12], "little") == masked_crc32c(header)
        event = event_pb2.Event.FromString(data[12 : 12 + length])
        found |= {value.tag: (event.step, value.simple_value) for value in event.summary.value}
        data = data[16 + length :]
    assert found == {"loss": (7, 2.0), "loss/0": (7, 1.0), "loss/1": (7, 3.0), "kl": (7, 0.5)}


def test_wandb_gets_scalars(monkeypatch):
    import sys
    import types

    logged = []

    class Run:
        def log(self, values, step):
            logged.append((step, values))

        def finish(self):
            logged.append("finished")

    fake = types.SimpleNamespace(init=lambda **options: logged.append(options) or Run())
    monkeypatch.setitem(sys.modules, "wandb", fake)
    sink = logs.WandB(project="rlsuite")
    sink.write(3, {"loss": np.asarray(2.0)})
    sink.close()
    assert logged == [{"project": "rlsuite"}, (3, {"loss": 2.0}), "finished"]


@pytest.mark.parametrize(("sink", "package"), [("TensorBoard", "tensorboardX"), ("WandB", "wandb")])
def test_a_missing_package_is_named_with_its_cure(sink, package, monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    arguments = (tmp_path,) if sink == "TensorBoard" else ()
    with pytest.raises(ValueError, match=rf"needs {package}; pip install 'rlsuite\[logging\]'"):
        getattr(logs, sink)(*arguments)
