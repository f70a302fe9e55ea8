"""학습 곡선과 선 그림. 화면이 없는 서버에서도 그려지도록 파일로만 그립니다."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlpbook.paths import written_aside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# 우리가 적는 글은 영어입니다. matplotlib에 딸린 글꼴에는 한글이 없어 네모로 보입니다. 사람이 지은 이름처럼 한글이 든
# 글은 기계에 있는 한글 글꼴로 그리고, 하나도 없으면 뺍니다(`save_figure`).
KOREAN_FONTS = ("malgun", "applegothic", "apple sd gothic", "nanum", "noto sans kr", "noto sans cjk", "batang")
BLUE, ORANGE, GRID = "#2563eb", "#ea580c", "#e5e7eb"


def learning_curve(history: list[dict[str, float]], path: Path | str, best_step: int | None = None) -> None:
    """학습 손실과 검증 손실, 검증 정확도를 PNG로 그립니다.

    Args:
        history: `Tracker.history`. `loss`, `acc`, `val_loss`, `val_acc`가 있는 줄을 씁니다. 앞의 둘은 지난 줄부터의
            평균입니다.
        path: 저장할 PNG.
        best_step: 가장 좋은 체크포인트의 스텝. 있으면 세로줄로 표시합니다.
    """
    figure, (left, right) = new_figure(1, 2, (11, 4))
    for axis, names, ylabel in (
        (left, (("loss", "train loss", BLUE), ("val_loss", "validation loss", ORANGE)), "loss (nats)"),
        (right, (("acc", "train accuracy", BLUE), ("val_acc", "validation accuracy", ORANGE)), "accuracy"),
    ):
        for name, label, color in names:
            rows = [row for row in history if name in row]
            validation = name.startswith("val")
            axis.plot(
                [row["step"] for row in rows],
                [row[name] for row in rows],
                label=label,
                color=color,
                marker="o" if validation else None,
                linewidth=2 if validation else 1.2,
                alpha=1 if validation else 0.7,
            )
        if best_step is not None:
            axis.axvline(best_step, color="#16a34a", linestyle="--", linewidth=1.2, label=f"best (step {best_step:,})")
        axis.set(xlabel="step", ylabel=ylabel)
        axis.grid(color=GRID)
        axis.legend(frameon=False)
    left.set_ylim(bottom=0)
    save_figure(figure, path)


def line(
    x: Sequence[float],
    y: Sequence[float],
    path: Path | str,
    xlabel: str,
    ylabel: str,
    title: str = "",
    log_x: bool = False,
    mark: float | None = None,
) -> None:
    """선 하나를 PNG로 그립니다.

    Args:
        x, y: 같은 길이의 값들.
        path: 저장할 PNG.
        log_x: 참이면 가로축을 로그로 그립니다.
        mark: 세로줄로 표시할 x.
    """
    figure, axis = new_figure(1, 1, (6.5, 4))
    axis.plot(x, y, color=BLUE, linewidth=1.6)
    if log_x:
        axis.set_xscale("log")
    if mark is not None:
        axis.axvline(mark, color="#16a34a", linestyle="--", linewidth=1.2, label=f"suggested: {mark:.1e}")
        axis.legend(frameon=False)
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axis.grid(color=GRID)
    save_figure(figure, path)


def small_multiples(
    curves: dict[str, list[tuple[float, float]]], path: Path | str, ylabel: str, log_x: Collection[str] = ()
) -> None:
    """이름마다 작은 그림 하나씩을, 세로축을 함께 쓰도록 나란히 그립니다.

    Args:
        curves: 이름 → (x, y)들.
        path: 저장할 PNG.
        log_x: 가로축을 로그로 그릴 이름들.
    """
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure, axes = new_figure(rows, columns, (3.6 * columns, 2.8 * rows))
    panels = list(getattr(axes, "flat", [axes]))
    heights = [y for points in curves.values() for _, y in points]
    margin = 0.05 * (max(heights) - min(heights)) or 1.0
    for axis, (name, points) in zip(panels, curves.items(), strict=False):
        axis.plot(*zip(*points, strict=True), color=BLUE, marker="o", linewidth=1.6)
        axis.set_ylim(min(heights) - margin, max(heights) + margin)
        if name in log_x:
            axis.set_xscale("log")
        axis.set(title=name, ylabel=ylabel)
        axis.grid(color=GRID)
    for axis in panels[len(curves) :]:
        axis.set_visible(False)
    save_figure(figure, path)


def new_figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, Any]:
    """빈 그림과 그 안의 축들. pyplot을 거치지 않으므로 노트북의 그림 설정을 건드리지 않고, 열린 채 남지도 않습니다.

    Args:
        size: 가로와 세로(인치).
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns)


def save_figure(figure: Figure, path: Path | str) -> None:
    """그림을 PNG로, 옆에 쓴 뒤 이름을 바꾸어 저장합니다. 한글은 네모로 그리지 않습니다."""
    draw_korean(figure)
    with written_aside(path) as aside:
        figure.savefig(aside, format="png", dpi=120)


def draw_korean(figure: Figure) -> None:
    """그림 속의 한글을 기계에 있는 한글 글꼴로 바꿉니다. 글꼴이 없으면 한글이 든 글을 뺍니다."""
    from matplotlib.text import Text

    found: list[Any] = figure.findobj(Text)
    korean = [one for one in found if any("가" <= letter <= "힣" for letter in one.get_text())]
    font = korean_font() if korean else None
    for one in korean:
        if font is None:
            one.set_text("")
        else:
            one.set_fontfamily([font, "DejaVu Sans"])


def korean_font() -> str | None:
    """기계에 있는, 한글 글자가 든 글꼴의 이름."""
    from matplotlib.font_manager import fontManager, get_font

    for font in fontManager.ttflist:
        if font.name.lower().startswith(KOREAN_FONTS) and get_font(font.fname).get_char_index(ord("가")):
            return font.name
    return None
