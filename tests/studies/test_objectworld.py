"""The study of deep against linear rewards, in miniature."""

import numpy as np
import pytest

from rlsuite.studies import objectworld
from rlsuite.studies.objectworld import Cell, Sizes


@pytest.fixture(scope="module")
def report():
    small = Sizes(demonstrations=(32,), num_seeds=2, num_steps=150)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objectworld, "QUICK", small)
        return objectworld.STUDY.run(quick=True)


def test_the_deep_reward_beats_the_linear_one_and_transfers(report):
    (table,) = report.sections[0].tables
    assert [row[0].text for row in table.rows] == list(objectworld.PLACES)
    for row in table.rows:
        linear, deep = (float(cell.text.split(" ± ")[0]) for cell in row[2:4])
        assert deep < 0.7 * linear


def test_the_figure_is_a_picture(report):
    (picture,) = report.sections[0].pictures
    assert picture.data.startswith(b"\x89PNG")


def test_cells_are_counted_where_they_belong():
    cells = [
        Cell(name, count, np.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]) * scale)
        for name, scale in (("linear", 1.0), ("deep", 0.5))
        for count in (8, 16)
    ]
    row = objectworld._row(cells, "other world", 16)
    assert row == ["other world", "16", "3.5 ± 0.5", "1.75 ± 0.25", "2 of 2"]
    lines = objectworld.draw(cells).axes[2].get_lines()
    deep = next(line for line in lines if line.get_label() == "deep")
    np.testing.assert_allclose(deep.get_ydata(), [2.75, 2.75])
