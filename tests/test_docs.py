"""The reference refuses names without a docstring; the README's links and example hold."""

import importlib.util
import pathlib
import re
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope="module")
def reference():
    """The Sphinx extension that writes the API reference."""
    folder = ROOT / "docs" / "extensions"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(folder), *sys.path])
        spec = importlib.util.spec_from_file_location("reference", folder / "reference.py")
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "reference", module)
        spec.loader.exec_module(module)
        yield module


GOOD = '"""A module."""\n\n\ndef f():\n    """A function."""\n\n\nclass C:\n    """A class."""\n'


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        (GOOD, []),
        (GOOD + "\n\ndef g():\n    pass\n", ["package.module.g"]),
        (GOOD + "\n    def method(self):\n        pass\n", ["package.module.C.method"]),
        (GOOD + "\n\nclass D:\n    pass\n", ["package.module.D"]),
        (GOOD + "\n\ndef _private():\n    pass\n", []),
        ("x = 1\n", ["package.module"]),
    ],
)
def test_an_undocumented_name_stops_the_build(reference, tmp_path, text, missing):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text('"""A package."""\n')
    (package / "module.py").write_text(text)
    assert reference.undocumented(package) == missing
    app = type("App", (), {"srcdir": tmp_path, "config": type("C", (), {})})
    app.config.reference_package = "package"
    if missing:
        with pytest.raises(reference.UndocumentedError, match=missing[0]):
            reference._prepare(app)
    else:
        reference._prepare(app)
        assert "package.module" in (tmp_path / "generated" / "index.rst").read_text()


def test_every_public_name_of_ours_is_documented(reference):
    assert reference.undocumented(ROOT / "rlsuite") == []


def test_the_reference_has_the_names_that_users_import(reference):
    pages = dict(reference.pages(ROOT / "rlsuite"))
    assert "autofunction:: run" in pages["rlsuite.core.rst"]
    assert "autofunction:: make" in pages["rlsuite.algorithms.maxent_irl.rst"]
    assert "autofunction:: value_iteration" in pages["rlsuite.ops.tabular.rst"]
    for name in pages:
        assert name == "index.rst" or f"<{name.removesuffix('.rst')}>" in pages["index.rst"]


def test_the_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text())
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_example_of_the_readme_learns_the_policy():
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names = {}
    exec(example, names)
    kl = names["result"].evaluations.policy_kl
    assert kl.shape == (4, 1)
    assert np.all(kl < 0.05)
