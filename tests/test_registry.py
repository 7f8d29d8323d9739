"""The registry: look-ups, additions, entry points of other packages."""

import dataclasses
import importlib.metadata

import pytest
import toy

from rlsuite import registry


def toy_entry(name="toy", **changes):
    problem = registry.Problem(
        build=toy.problem,
        num_steps=10,
        config=toy.Config(),
        summary="a target in three dimensions",
        score="error",
        higher_is_better=False,
    )
    entry = registry.Entry(
        name, toy.make, toy.Config, {"target": problem}, "target", "noisy descent", "nobody"
    )
    return dataclasses.replace(entry, **changes)


@pytest.fixture(autouse=True)
def restore(monkeypatch):
    monkeypatch.setattr(registry, "_added", {})
    registry._from_packages.cache_clear()
    yield
    registry._from_packages.cache_clear()


def test_what_is_registered_is_found():
    registry.register(toy_entry())
    assert registry.algorithms()["toy"].make is toy.make
    with pytest.raises(ValueError, match="'toy' is registered already"):
        registry.register(toy_entry())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (toy_entry(config=dict), "config of 'toy' is <class 'dict'>; allowed: a class made with"),
        (toy_entry(problems={}), "probe of 'toy' is 'target'; allowed: one of its problems"),
        (toy_entry(probe="other"), "probe of 'toy' is 'other'; allowed: .* target"),
        ("toy", "register gives 'toy'; allowed: an rlsuite.registry.Entry"),
    ],
)
def test_a_bad_entry_is_refused(entry, message, monkeypatch):
    monkeypatch.setattr(registry, "algorithms", dict)
    check = registry._checked
    with pytest.raises(ValueError, match=message):
        check(entry, "register")


def test_entry_points_of_other_packages_are_found(monkeypatch):
    class Point:
        value = "their_package:entry"

        def load(self):
            return toy_entry("theirs")

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [Point()])
    assert registry.algorithms()["theirs"].problems["target"].score == "error"


def test_callables_are_bound():
    problem = dataclasses.replace(
        toy_entry().problems["target"], callables={"config": toy.Config(noise=0.0)}
    )
    bound = toy_entry().make_for(problem)
    assert bound.keywords["config"].noise == 0.0
    assert toy_entry().make_for(toy_entry().problems["target"]) is toy.make


def test_every_problem_says_what_it_must():
    for entry in registry.algorithms().values():
        for problem in entry.problems.values():
            assert isinstance(problem.config, entry.config)
            assert problem.num_steps > 0
            assert problem.summary
        assert any(problem.quick for problem in entry.problems.values())
