"""분류의 그림. 그림 속의 글은 영어로 적습니다(`nlpbook.plots`)."""

from __future__ import annotations

from pathlib import Path

from nlpbook.plots import new_figure, save_figure


def confusion_matrix(confusion: list[list[int]], names: list[str], path: Path | str, title: str = "") -> None:
    """혼동표를 PNG로 그립니다.

    Args:
        confusion: `confusion[정답][예측]` 개수.
        names: 라벨의 이름(영어).
        path: 저장할 PNG.
    """
    figure, axis = new_figure(1, 1, (4.6, 4.2))
    axis.imshow(confusion, cmap="Blues")
    top = max(max(row) for row in confusion)
    for true, row in enumerate(confusion):
        for predicted, count in enumerate(row):
            share = count / max(1, sum(row))
            axis.text(
                predicted,
                true,
                f"{count:,}\n{share:.1%}",
                ha="center",
                va="center",
                color="white" if count > top / 2 else "black",
            )
    axis.set(xlabel="predicted", ylabel="true", title=title)
    axis.set_xticks(range(len(names)), names)
    axis.set_yticks(range(len(names)), names)
    save_figure(figure, path)
