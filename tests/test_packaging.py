"""What an import costs, which way imports point, and that files agree with each other."""

import ast
import os
import pathlib
import re
import subprocess
import sys

import jaxlib
import pytest

import rlsuite

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "rlsuite"

FLOORS = {
    "ops": 0,
    "nets": 1,
    "envs": 1,
    "data": 2,
    "algorithms": 3,
    "problems": 4,
    "studies": 5,
    "cli": 6,
}
"""Imports point from higher floors to lower ones. (Experts, in data, solve MDPs of envs.)"""


def imports(path):
    """The rlsuite modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rlsuite"):
            yield from (
                [node.module]
                if node.module != "rlsuite"
                else [f"rlsuite.{alias.name}" for alias in node.names]
            )
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("rlsuite"))


def floor(module):
    """The name of a module's floor, or of the module itself."""
    return module.split(".")[1]


@pytest.mark.parametrize("name", FLOORS)
def test_imports_point_one_way(name):
    paths = [PACKAGE / f"{name}.py"] if name == "cli" else (PACKAGE / name).rglob("*.py")
    for path in paths:
        for module in imports(path):
            other = floor(module)
            if other in FLOORS and other != name:
                assert FLOORS[other] < FLOORS[name], f"{path} imports {module}"
            if name == "ops":
                assert other == "ops", f"{path} imports {module}"


# Their environments are outside of JAX, so that their loops cannot be ``rlsuite.run``.
OWN_LOOPS = ("algorithms/dreamer/host.py", "algorithms/dreamer/realtime.py")


def test_only_the_loop_the_studies_and_the_commands_touch_the_disk():
    allowed = {"io", "studies", "problems"}
    for path in PACKAGE.rglob("*.py"):
        home = path.relative_to(PACKAGE).parts[0]
        if home in allowed or home in ("core.py", "loop.py", "cli.py"):
            continue
        if path.relative_to(PACKAGE).as_posix() in OWN_LOOPS:
            continue
        found = [module for module in imports(path) if floor(module) == "io"]
        assert found == [], f"{path} imports {found}"


def test_importing_rlsuite_loads_nothing_heavy():
    program = "import rlsuite, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"distrax", "flax", "gymnax", "jax", "matplotlib", "optax", "orbax", "scipy", "tyro"}
    assert heavy.isdisjoint(loaded)


def test_the_loop_does_without_environments_and_figures():
    program = "from rlsuite import run; import sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"distrax", "flax", "gymnax", "matplotlib", "optax", "orbax", "tyro"}
    assert heavy.isdisjoint(loaded)


def test_every_name_of_the_top_level_is_there():
    for name in rlsuite.__all__:
        assert getattr(rlsuite, name) is not None
        assert name in dir(rlsuite)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rlsuite.nothing


def test_versions_agree():
    version = rlsuite.__version__
    assert f"\n## {version} " in (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_ci_runs_the_two_commands_of_the_readme():
    readme, script = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    script = script.replace("pip install -q", "pip install")
    for install, run in (
        ("pip install -e '.[test]'", "pytest"),
        ("pip install -e '.[bench]'", "python -m benchmarks quick"),
    ):
        assert f"\n{install} && {run}\n" in readme
        assert re.search(rf"^{re.escape(install)} &&.*\b{run}\b", script, re.MULTILINE | re.DOTALL)


def test_pins_name_no_address_and_fix_every_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.match(r"[A-Za-z0-9._-]+==\S+( ; .*)?$", pin) for pin in pins)
    names = {re.split(r"==", pin)[0].lower() for pin in pins}
    assert {"jax", "jaxlib", "flax", "distrax", "gymnax", "tfp-nightly", "pytest"} <= names


SUMS = """
import jax, numpy as np
{before}
import rlsuite
rows = np.random.default_rng(0).normal(size=(64, 1000, 3)).astype(np.float32)
add = lambda one, rows: (one * rows).sum(-1) + (rows * rows).sum(-1)
print(np.abs(np.asarray(jax.jit(add)(2 * rows[0], rows)) - add(2 * rows[0], rows)).max())
"""


def sums(before: str) -> subprocess.CompletedProcess[str]:
    """Two sums over the last axis, added: what jaxlib 0.10.2 gets wrong by itself."""
    kept = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    program = [sys.executable, "-c", SUMS.format(before=before)]
    return subprocess.run(program, capture_output=True, text=True, check=True, env=kept)


def test_importing_rlsuite_keeps_xla_from_joining_reductions_wrongly():
    done = sums(before="")
    assert float(done.stdout) < 1e-4
    assert done.stderr == ""


def test_importing_rlsuite_after_jax_has_computed_warns_where_sums_may_be_wrong():
    done = sums(before="jax.numpy.zeros(3)")
    assert float(done.stdout) < 1e-4 or "Import rlsuite first" in done.stderr
    assert ("Import rlsuite first" in done.stderr) == (jaxlib.__version__ == "0.10.2")
