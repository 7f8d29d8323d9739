import dataclasses
import json
import math
import subprocess

import pytest

from benchmarks import results


def test_rows_come_back_as_they_were_written(tmp_path, row):
    rows = [
        row(unit="s", reference=1.0, seeds=5, ci_low=0.2, ci_high=0.3, compile_s=1.5, wall_s=2.0),
        row(value=None, note="not available here: nothing", peak_bytes=1 << 40, commit="abc-dirty"),
        row(problem="Umlaute ä, 32x32 — ok"),
    ]
    path = tmp_path / "deep" / "results.jsonl"
    results.append(path, rows[:1])
    results.append(path, rows[1:])
    assert results.read(path) == rows


def test_a_line_holds_every_field_of_the_schema(tmp_path, row):
    path = tmp_path / "results.jsonl"
    results.append(path, [row()])
    assert set(json.loads(path.read_text())) == {
        *("suite", "algorithm", "problem", "metric", "value", "unit", "reference", "seeds"),
        *("ci_low", "ci_high", "device", "versions", "compile_s", "wall_s", "peak_bytes"),
        *("commit", "note"),
    }


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"suite": "quick", "algori', "truncated"),
        ("[1, 2]", "expected an object"),
        ('{"episode": 3}', "unknown fields episode"),
        ('{"suite": "quick"}', "incomplete row"),
        ("\x00\xff", "no JSON"),
    ],
)
def test_a_broken_line_is_named(tmp_path, row, line, complaint):
    path = tmp_path / "results.jsonl"
    results.append(path, [row(), row()])
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=complaint) as error:
        results.read(path)
    assert f"{path}, line 3" in str(error.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"value": "high"},
        {"seeds": 2.5},
        {"value": True},
        {"metric": None},
        {"versions": "jax"},
        {"value": None},
    ],
)
def test_wrong_fields_are_refused(row, fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        row(**fields)


def test_numbers_that_are_not_finite_are_kept_as_missing_with_a_reason(tmp_path, row):
    path = tmp_path / "results.jsonl"
    results.append(path, [row(value=math.nan, ci_high=math.inf)])
    (back,) = results.read(path)
    assert (back.value, back.ci_high) == (None, None)
    assert back.note == "not finite: value, ci_high"
    assert back.failed


def test_only_an_unavailable_measurement_has_not_failed(row):
    assert not row().failed
    assert row(value=None, note="failed: ValueError: no").failed
    assert not row(value=None, note=f"{results.UNAVAILABLE}no torch").failed


def test_the_latest_of_each_measurement_counts(row):
    first, other, second = row(value=1.0), row(problem="other"), row(value=2.0)
    elsewhere = row(device="gpu")
    assert results.latest([first, other, elsewhere, second]) == [second, other, elsewhere]


def test_an_output_folder_that_cannot_be_written_is_found_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        results.prepare(tmp_path / "file")
    assert results.prepare(tmp_path / "new").read_bytes() == b""


def test_results_are_found_by_file_and_by_folder(tmp_path, row):
    path = tmp_path / results.FILE_NAME
    with pytest.raises(FileNotFoundError, match="run a suite"):
        results.results_file(tmp_path)
    results.append(path, [row()])
    assert results.results_file(tmp_path) == results.results_file(path) == path


def test_commit_is_that_of_the_checkout_or_none(monkeypatch, tmp_path):
    def commit_of(folder):
        monkeypatch.setattr(results, "__file__", str(folder / "results.py"))
        results.commit.cache_clear()
        return results.commit()

    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True)

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_of(tmp_path) is None
    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-qm", "first")
    clean = commit_of(tmp_path)
    (tmp_path / "file").write_text("2")
    assert commit_of(tmp_path) == f"{clean}-dirty"
    results.commit.cache_clear()


def test_a_made_row_says_where_it_is_from():
    made = results.make_row(suite="s", algorithm="a", problem="p", metric="m", value=1.0)
    assert {"python", "jax", "numpy"} <= set(made.versions)
    assert "cores" in made.device
    assert dataclasses.replace(made, commit=None) != made or made.commit is None
