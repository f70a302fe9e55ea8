"""탐색의 그림을 SVG 글로: 지나온 길, 평행 좌표, 중요도, 시드에 따른 흩어짐. 색은 페이지의 것(CSS)을 따릅니다."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 40
ROW = 30
AXIS = 110  # 평행 좌표의 축 사이


def history(points: Sequence[tuple[int, float]], maximize: bool, metric: str) -> str:
    """시도의 차례(가로)와 지표(세로). 선은 그때까지 가장 좋은 값입니다."""
    points = sorted(points)
    across = _scale([one for one, _ in points], LEFT, WIDTH - RIGHT)
    up = _scale([one for _, one in points], HEIGHT - BOTTOM, TOP)
    dots, path = [], []
    best: float | None = None
    for number, value in points:
        better = best is None or (value > best if maximize else value < best)
        best = value if better or best is None else best
        path.append(f"{across(number):.1f},{up(best):.1f}")
        kind = "dot best" if better else "dot"
        dots.append(
            f'<circle class="{kind}" cx="{across(number):.1f}" cy="{up(value):.1f}" r="4">'
            f"<title>시도 {number}: {value:.4f}</title></circle>"
        )
    line = f'<polyline class="line" points="{" ".join(path)}"/>'
    axes = _left_axis([one for _, one in points], up) + _bottom_axis([one for one, _ in points], across)
    return _svg(WIDTH, HEIGHT, axes + line + "".join(dots), f"시도마다의 {metric}")


def parallel(axes: Mapping[str, Sequence[Any]], values: Sequence[float], maximize: bool) -> str:
    """평행 좌표: 축마다 값 하나, 선마다 시도 하나."""
    width = max(WIDTH, LEFT + RIGHT + AXIS * len(axes))
    gap = (width - LEFT - RIGHT - AXIS / 2) / max(1, len(axes) - 1)
    places: list[list[tuple[float, float]]] = [[] for _ in values]
    drawn = []
    for number, (name, column) in enumerate(axes.items()):
        x = LEFT + gap * number
        heights, ticks = _column(column)
        for line, height in zip(places, heights, strict=True):
            line.append((x, height))
        drawn.append(f'<line class="axis" x1="{x:.1f}" y1="{TOP + 24}" x2="{x:.1f}" y2="{HEIGHT - 24}"/>')
        drawn.append(f'<text class="name" x="{x:.1f}" y="{TOP + 8}">{escape(_last(name))}</text>')
        drawn += [f'<text class="tick" x="{x + 5:.1f}" y="{y + 4:.1f}">{escape(text)}</text>' for y, text in ticks]
    low, high = min(values), max(values)
    order = sorted(range(len(values)), key=lambda index: values[index], reverse=not maximize)
    for index in order:
        good = (values[index] - low) / (high - low) if high > low else 1.0
        good = good if maximize else 1 - good
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places[index])
        drawn.append(
            f'<polyline class="line" opacity="{0.12 + 0.88 * good**2:.2f}" points="{path}">'
            f"<title>{values[index]:.4f}</title></polyline>"
        )
    return _svg(width, HEIGHT, "".join(drawn), "평행 좌표")


def bars(weights: Mapping[str, float]) -> str:
    """이름마다 막대 하나."""
    top = max(weights.values(), default=0) or 1
    height = TOP + ROW * len(weights) + 8
    start = 260
    drawn = []
    for number, (name, weight) in enumerate(sorted(weights.items(), key=lambda pair: -pair[1])):
        y = TOP + ROW * number
        long = (WIDTH - RIGHT - start - 50) * weight / top
        drawn.append(f'<text class="label" x="{start - 8}" y="{y + 15}">{escape(name)}</text>')
        drawn.append(f'<rect class="bar" x="{start}" y="{y}" width="{max(1, long):.1f}" height="20" rx="3"/>')
        drawn.append(f'<text class="tick" x="{start + long + 6:.1f}" y="{y + 15}">{weight:.2f}</text>')
    return _svg(WIDTH, height, "".join(drawn), "중요도")


def strips(groups: Sequence[tuple[str, Sequence[float]]]) -> str:
    """묶음마다 한 줄에 점들과, 평균의 세로줄."""
    across = _scale([value for _, values in groups for value in values], 20, WIDTH - 20)
    drawn = []
    for number, (name, values) in enumerate(groups):
        y = TOP + 46 * number
        mean = across(sum(values) / len(values))
        drawn.append(f'<text class="name start" x="20" y="{y + 8}">{escape(name)}</text>')
        drawn.append(f'<line class="axis" x1="20" y1="{y + 24}" x2="{WIDTH - 20}" y2="{y + 24}"/>')
        drawn.append(f'<line class="mean" x1="{mean:.1f}" y1="{y + 15}" x2="{mean:.1f}" y2="{y + 33}"/>')
        drawn += [
            f'<circle class="dot" cx="{across(one):.1f}" cy="{y + 24}" r="4"><title>{one:.4f}</title></circle>'
            for one in values
        ]
    return _svg(WIDTH, TOP + 46 * len(groups), "".join(drawn), "시드에 따른 흩어짐")


def _svg(width: float, height: float, inside: str, title: str) -> str:
    return (
        f'<div class="wide"><svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"{inside}</svg></div>"
    )


def _scale(values: Sequence[float], start: float, end: float) -> Any:
    low, high = min(values), max(values)
    if high == low:
        return lambda value: (start + end) / 2
    return lambda value: start + (end - start) * (value - low) / (high - low)


def _column(column: Sequence[Any]) -> tuple[list[float], list[tuple[float, str]]]:
    """축 하나의 (높이들, 눈금들). 수이고 크기가 백 배 넘게 벌어지면 로그로 놓습니다."""
    bottom, top = HEIGHT - 24, TOP + 24
    numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in column)
    if numbers:
        spread = min(column) > 0 and max(column) / min(column) > 100
        placed = [math.log(one) for one in column] if spread else [float(one) for one in column]
        scale = _scale(placed, bottom, top)
        ends = {min(column): scale(min(placed)), max(column): scale(max(placed))}
        return [scale(one) for one in placed], [(y, f"{value:.3g}") for value, y in ends.items()]
    names = list(dict.fromkeys(json.dumps(one, ensure_ascii=False) for one in column))
    scale = _scale([float(place) for place in range(len(names))], bottom, top)
    ticks = [(scale(float(place)), name.strip('"')[:12]) for place, name in enumerate(names)]
    return [scale(float(names.index(json.dumps(one, ensure_ascii=False)))) for one in column], ticks


def _left_axis(values: Sequence[float], up: Any) -> str:
    marks = sorted({min(values), max(values)})
    drawn = [f'<line class="axis" x1="{LEFT}" y1="{TOP}" x2="{LEFT}" y2="{HEIGHT - BOTTOM}"/>']
    drawn += [f'<text class="label" x="{LEFT - 6}" y="{up(one) + 4:.1f}">{one:.3g}</text>' for one in marks]
    return "".join(drawn)


def _bottom_axis(numbers: Sequence[int], across: Any) -> str:
    y = HEIGHT - BOTTOM
    drawn = [f'<line class="axis" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>']
    marks = sorted({min(numbers), max(numbers)})
    drawn += [f'<text class="name" x="{across(one):.1f}" y="{y + 18}">{one}</text>' for one in marks]
    return "".join(drawn) + f'<text class="name" x="{(LEFT + WIDTH) / 2:.1f}" y="{y + 34}">시도</text>'


def _last(name: str) -> str:
    return name.rpartition(".")[2]
