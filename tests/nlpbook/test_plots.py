"""그림: 제대로 된 PNG, 표시, 열린 채 남지 않기."""

from __future__ import annotations

import pytest
from PIL import Image

from nlpbook import plots

RATES = [1e-6 * 10**one for one in range(7)]
LOSSES = [abs(one - 3.0) for one in range(7)]


def colors(path) -> set[tuple[int, ...]]:
    with Image.open(path) as image:
        return {color for _, color in image.convert("RGB").getcolors(maxcolors=2**24)}


@pytest.mark.parametrize("mark", [None, 1e-3])
def test_a_line_is_drawn_with_its_mark(tmp_path, assert_picture, mark):
    plots.line(RATES, LOSSES, tmp_path / "a" / "line.png", "x", "y", title="t", log_x=True, mark=mark)
    assert_picture(tmp_path / "a" / "line.png")
    assert (37, 99, 235) in colors(tmp_path / "a" / "line.png")
    assert ((22, 163, 74) in colors(tmp_path / "a" / "line.png")) is (mark is not None)


def test_drawing_leaves_no_figure_open(tmp_path):
    from matplotlib import pyplot

    before = len(pyplot.get_fignums())
    plots.line([1, 2], [3, 4], tmp_path / "line.png", "x", "y")
    plots.learning_curve([], tmp_path / "curve.png", None)
    assert len(pyplot.get_fignums()) == before
