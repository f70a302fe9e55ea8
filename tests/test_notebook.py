"""노트북을 처음부터 끝까지 실행합니다."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from course.home import ROOT


@pytest.mark.slow
def test_pipeline_tour_runs_from_top_to_bottom(monkeypatch):
    monkeypatch.setenv("PYTHONUTF8", "1")
    notebook = nbformat.read(ROOT / "notebooks" / "pipeline_tour.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT / "notebooks")}}).execute()
    printed = "".join(out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", []))
    after = float(printed.split("에포크 1  검증 정확도 ")[1].split()[0])
    assert after > 0.7
    assert "'prediction': '긍정'" in printed
    assert "'prediction': '부정'" in printed


def test_notebook_is_stored_without_outputs():
    notebook = nbformat.read(ROOT / "notebooks" / "pipeline_tour.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
