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


@pytest.mark.parametrize("font", [None, "DejaVu Sans"])
def test_korean_is_drawn_with_an_installed_font_or_left_out(tmp_path, monkeypatch, font):
    figure, axis = plots.new_figure(1, 1, (3, 2))
    axis.set(title="영화 리뷰", xlabel="step")
    monkeypatch.setattr(plots, "korean_font", lambda: font)
    plots.save_figure(figure, tmp_path / "a.png")
    assert axis.get_xlabel() == "step"
    if font is None:
        assert axis.get_title() == ""
    else:
        assert axis.get_title() == "영화 리뷰"
        assert axis.title.get_fontfamily()[0] == font


def test_a_korean_font_has_korean_letters():
    from matplotlib.font_manager import fontManager, get_font

    name = plots.korean_font()
    files = [one.fname for one in fontManager.ttflist if one.name == name]
    assert name is None or any(get_font(file).get_char_index(ord("가")) for file in files)
