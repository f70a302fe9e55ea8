"""노트북을 처음부터 끝까지 실행합니다."""

from __future__ import annotations

import shutil

import nbformat
import pytest
from nbclient import NotebookClient

from course.home import ROOT

SUMMARIES = ROOT / "solutions" / "task2-summarization"


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


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)


@pytest.mark.slow
def test_summarization_baseline_runs_from_top_to_bottom(monkeypatch):
    """배운 모델은 늘 같은 문장보다 낫고, 저장한 것이 요약을 씁니다."""
    monkeypatch.setenv("PYTHONUTF8", "1")
    before = sorted((SUMMARIES / "outputs").glob("notebook*"))
    notebook = nbformat.read(ROOT / "notebooks" / "summarization_baseline.ipynb", as_version=4)
    try:
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT / "notebooks")}}).execute()
    finally:
        for made in set((SUMMARIES / "outputs").glob("notebook*")) - set(before):
            shutil.rmtree(made)
    printed = "".join(out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", []))
    assert "ROUGE Sum: 0." in printed
    assert "요약 90개를 notebook/prediction.csv에 적었습니다" in printed
    [table] = [
        out["data"]["text/plain"]
        for cell in notebook.cells
        for out in cell.get("outputs", [])
        if "배운 모델" in out.get("data", {}).get("text/plain", "")
    ]
    rows = {line.rsplit(maxsplit=5)[0].strip(): float(line.split()[-2]) for line in table.splitlines()[1:]}
    assert rows["배운 모델"] > rows["늘 같은 문장"]
