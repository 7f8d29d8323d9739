"""The commands, on a registry that holds one toy algorithm."""

import jax
import jax.numpy as jnp
import pytest
from matplotlib.figure import Figure

from benchmarks import results
from benchmarks.commands import main
from rlsuite import Algorithm, config, registry, setting

START = 8.0


@config
class Config:
    rate: float = setting(default=0.5, above=0, at_most=1)


def make(problem, config=Config()):  # noqa: B008
    """Halve the distance to a number in every step, starting from a number drawn near `START`."""

    def step(key, x):
        return x - config.rate * (x - problem), {"loss": (x - problem) ** 2}

    return Algorithm(
        init=lambda key: START + jax.random.uniform(key),
        step=step,
        evaluate=lambda key, x: {"distance": jnp.abs(x - problem)},
        chunk_length=4,
    )


def draw(problem, config, state):
    figure = Figure(figsize=(1, 1))
    figure.subplots().axhline(float(state))
    return figure


def problem(**changes):
    fields = {
        "build": lambda: jnp.zeros(()),
        "num_steps": 8,
        "config": Config(),
        "summary": "A number to be found",
        "score": "distance",
        "higher_is_better": False,
        "baselines": lambda _: {"random": 8.5, "optimal": 0.0},
        "draw": draw,
    }
    return registry.Problem(**{**fields, **changes})


@pytest.fixture
def register(monkeypatch):
    """Let the registry hold one algorithm with the given problems, and nothing else."""
    monkeypatch.setattr(registry, "_OWN", ())
    monkeypatch.setattr(registry, "_added", {})

    def with_problems(**problems):
        entry = registry.Entry(
            name="toy",
            make=make,
            config=Config,
            problems=problems,
            probe=next(iter(problems)),
            summary="A toy",
            citation="Nobody",
        )
        registry.register(entry)

    return with_problems


def by_metric(folder):
    return {(row.problem, row.metric): row for row in results.read(folder / results.FILE_NAME)}


def test_quick_trains_shows_and_draws(register, tmp_path, capsys):
    register(full=problem(), small=problem(quick=True, quick_steps=4))
    assert main(["quick", "--out", str(tmp_path)]) == 0
    rows = by_metric(tmp_path)
    assert {name for name, _ in rows} == {"small"}
    # Four halvings of a number between 8 and 9.
    assert 8 / 16 <= rows["small", "distance"].value <= 9 / 16
    assert rows["small", "baseline: random"].value == 8.5
    assert rows["small", "training speed"].value > 0
    assert rows["small", "distance"].compile_s > 0
    assert (tmp_path / "figures" / "quick-toy-small.png").read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert "0.5" in shown
    assert "8.5" in shown
    assert "report.html" in shown
    assert "<img" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_quick_without_a_marked_problem_takes_the_first(register, tmp_path):
    register(first=problem(num_steps=4, draw=None), second=problem())
    assert main(["quick", "toy", "--out", str(tmp_path)]) == 0
    assert {name for name, _ in by_metric(tmp_path)} == {"first"}


def test_scores_are_interquartile_means_over_seeds(register, tmp_path):
    register(full=problem(reference=0.03, reference_source="by hand"))
    assert main(["scores", "--seeds", "5", "--out", str(tmp_path)]) == 0
    row = by_metric(tmp_path)["full", "distance"]
    assert row.seeds == 5
    # Eight halvings of numbers between 8 and 9 that differ from seed to seed.
    assert 8 / 256 <= row.ci_low < row.value < row.ci_high <= 9 / 256
    assert row.reference == 0.03


def test_scores_of_chosen_problems_only(register, tmp_path):
    register(full=problem(), other=problem(), third=problem())
    words = ["scores", "--problems", "other", "third", "--seeds", "2", "--out", str(tmp_path)]
    assert main(words) == 0
    assert {name for name, _ in by_metric(tmp_path)} == {"other", "third"}


def test_one_algorithm_that_fails_does_not_end_the_suite(register, tmp_path):
    def fail():
        raise OSError("the data set is missing")

    register(broken=problem(build=fail), whole=problem())
    assert main(["scores", "--seeds", "2", "--out", str(tmp_path)]) == 1
    rows = by_metric(tmp_path)
    assert rows["broken", "distance"].note == "failed: OSError: the data set is missing"
    assert rows["whole", "distance"].value is not None


def test_a_score_that_is_not_evaluated_is_named(register, tmp_path):
    register(full=problem(score="length"))
    assert main(["quick", "--out", str(tmp_path)]) == 1
    assert "score is 'length'; the evaluation has distance" in (
        by_metric(tmp_path)["full", "length"].note
    )


def test_speed_is_a_curve_over_seeds(register, tmp_path):
    register(full=problem())
    assert main(["speed", "--out", str(tmp_path)]) == 0
    assert list(by_metric(tmp_path)) == [
        (f"full@seeds={seeds}", "training speed") for seeds in (1, 4, 16)
    ]


def test_the_report_is_made_again_from_the_rows(register, tmp_path, row, capsys):
    results.append(tmp_path / results.FILE_NAME, [row(value=0.123)])
    assert main(["report", str(tmp_path)]) == 0
    assert "0.123" in capsys.readouterr().out
    assert "0.123" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_problems_are_listed(register, capsys):
    register(full=problem(), small=problem(quick=True))
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert "full" in shown
    assert "small" in shown


def test_an_algorithm_without_peers_has_nothing_to_compare(register, tmp_path, capsys):
    register(full=problem())
    assert main(["peers", "--out", str(tmp_path)]) == 0
    assert "nothing to measure" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["report", "nowhere"], "benchmarks: error: no results at nowhere"),
        (["scores", "--seeds", "0"], "benchmarks: error: seeds is 0; it must be at least 1"),
        (
            ["peers", "--repetitions", "3"],
            "benchmarks: error: repetitions is 3; it must be at least 7",
        ),
        (["quick", "toi"], "benchmarks: error: algorithm 'toi' is unknown (did you mean 'toy'?)"),
        (["quick", "--out", "file"], "benchmarks: error: "),
        (["scores", "--problems", "ful"], "benchmarks: error: problem 'ful' is unknown"),
        (["quik"], "benchmarks: error: command 'quik' is unknown (did you mean 'quick'?)"),
        (["quick", "--seeds", "3"], "benchmarks: error: "),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    register, tmp_path, monkeypatch, capsys, arguments, complaint
):
    register(full=problem())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(complaint)
    assert captured.err.count("\n") == 1


def test_a_broken_results_file_is_named(tmp_path, capsys):
    (tmp_path / results.FILE_NAME).write_text("{")
    assert main(["report", str(tmp_path)]) == 2
    assert f"{tmp_path / results.FILE_NAME}, line 1: " in capsys.readouterr().err
