"""학습 가이드(README_stepwise_learning.md와 docs/guide/): 링크와 앵커, 단계의 표, 명령, 그리고 지은 사이트."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from course.book.tables import Answers
from course.book.tasks import Task, all_tasks
from course.home import ROOT, Home

HOME = Home(ROOT)
PAGES = HOME.guide_pages()
DOCUMENTS = [*PAGES, *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"))]
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
TIME = re.compile(r"약 [\d~]+[초분]")
STEPS = [(task, step) for task in all_tasks(HOME) for step in task.steps]
REQUIRED = [(task, step) for task, step in STEPS if not step.is_stretch]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def prose(page: Path) -> str:
    """코드를 뺀 글."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


@cache
def anchors(page: Path) -> list[str]:
    """GitHub가 제목에 붙이는 이름. 같은 제목이 또 나오면 -1, -2가 붙습니다."""
    found: list[str] = []
    for title in re.findall(r"^#{1,6} (.+)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", title).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        again = sum(one == slug or bool(re.fullmatch(rf"{re.escape(slug)}-\d+", one)) for one in found)
        found.append(f"{slug}-{again}" if again else slug)
    return found


def links(page: Path) -> list[tuple[str, str]]:
    """페이지의 상대 링크들: (경로, 앵커)."""
    inner = [link for link in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link)]
    return [(path, unquote(anchor)) for path, _, anchor in (link.partition("#") for link in inner)]


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(page):
    lost = []
    for path, anchor in links(page):
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            lost.append(f"{path}#{anchor}")
    assert lost == []


def test_the_entry_leads_to_every_page():
    entry = {(ROOT / path).resolve() for path, _ in links(HOME.guide) if path}
    assert [name_of(page) for page in PAGES if page != HOME.guide and page not in entry] == []


def test_every_step_has_its_table_of_todos_in_one_chapter():
    tables = [found for page in PAGES for found in re.findall(r"<!-- todos (\S+ \d+) -->", prose_with_code(page))]
    assert sorted(tables) == sorted(f"{task.name} {step.number}" for task, step in STEPS)


def prose_with_code(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def rows() -> list[list[str]]:
    """모든 단계의 표의 줄들: 과제, 단계, 만드는 것, TODO의 수, 푸는 시간, 실행하는 시간."""
    table = HOME.guide.read_text(encoding="utf-8").partition("## 2. 모든 단계")[2]
    lines = [line for line in table.splitlines() if re.match(r"\|.*\[\d단계 ", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(("task_and_step", "row"), list(zip(REQUIRED, rows(), strict=True)), ids=str)
def test_the_table_of_all_steps_says_what_the_steps_say(task_and_step, row):
    task, step = task_and_step
    if not task.solution.is_dir():
        pytest.skip("해답이 없는 배포판입니다")
    source = (task.solution / step.file_name).read_text(encoding="utf-8")
    assert f"[{step.number}단계 " in row[1]
    assert row[3] == str(len(re.findall(r"# \[TODO ", source)))
    assert row[4] == f"{minutes_of(task, step.number)}분"
    assert TIME.findall(row[5]) == stated_times(source)[:1]


def minutes_of(task: Task, number: int) -> int:
    """단계의 TODO에 적힌 시간의 합(분)."""
    efforts = Answers.load(task).efforts
    return sum(one.minutes for todo_id, one in efforts.items() if todo_id.startswith(f"{number}-"))


def lesson_plans() -> dict[tuple[str, int], tuple[int, list[tuple[int, str]]]]:
    """강사의 장의 수업 진행: (과제, 단계) → (제목의 분, 시간표의 줄들의 (분, 할 일))."""
    plans = {}
    text = (ROOT / "docs" / "guide" / "teaching.md").read_text(encoding="utf-8")
    for task, chapter in re.findall(r"^## 수업 진행: (\S+)$(.*?)(?=^## |\Z)", text, re.M | re.S):
        for number, total, plan in re.findall(
            r"^### (\d)단계 [^\n]*\((\d+)분\)$(.*?)(?=^### |\Z)", chapter, re.M | re.S
        ):
            lines = re.findall(r"^\| (\d+)분 \| (.*) \|$", plan, re.M)
            plans[task, int(number)] = int(total), [(int(minutes), what) for minutes, what in lines]
    return plans


@pytest.mark.parametrize(("task", "step"), REQUIRED, ids=str)
def test_the_plan_of_a_lesson_adds_up_and_leaves_half_the_minutes_of_its_todos(task, step):
    total, lines = lesson_plans()[task.name, step.number]
    assert sum(minutes for minutes, _ in lines) == total
    [(practice, what)] = [(minutes, what) for minutes, what in lines if what.startswith("실습: ")]
    asked = minutes_of(task, step.number)
    assert what.endswith(f"(TODO의 합 {asked}분)")
    assert asked / 2 <= practice


def test_the_sums_for_two_tasks_are_those_of_the_plans():
    plans = {key: plan for key, plan in lesson_plans().items() if key[0] in ("task1-cls", "task3-lm")}
    total = sum(minutes for minutes, _ in plans.values())
    practice = sum(minutes for _, lines in plans.values() for minutes, what in lines if what.startswith("실습: "))
    asked = sum(minutes_of(task, step.number) for task, step in REQUIRED if (task.name, step.number) in plans)
    text = (ROOT / "docs" / "guide" / "teaching.md").read_text(encoding="utf-8")
    assert f"모두 하면 {total:,}분, 곧 {total // 60}시간 {total % 60}분입니다" in text
    assert f"실습이 {practice}분, TODO의 합이 {asked}분" in text


def stated_times(source: str) -> list[str]:
    return TIME.findall(ast.get_docstring(ast.parse(source)) or "")


def test_running_times_in_the_chapters_are_those_of_the_steps():
    """명령 곁의 `# 약 8초`는 단계 파일의 설명에도 있습니다."""
    wrong = []
    for page in PAGES:
        for task, name, note in re.findall(r"^python (task\d-[a-z]+)/(step\d_\w+\.py) +# (.*)$", fences(page), re.M):
            known = stated_times((ROOT / "solutions" / task / name).read_text(encoding="utf-8"))
            wrong += [f"{name}: {time}" for time in TIME.findall(note) if time not in known]
    assert wrong == []


def fences(page: Path) -> str:
    return "\n".join(FENCE.findall(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_commands_are_run_from_the_top_of_the_repository(page):
    assert re.findall(r"^cd (?:solutions/)?task\d.*$", fences(page), re.MULTILINE) == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_scripts_in_commands_exist(page):
    scripts = re.findall(r"^(?:!|[A-Z_]+=\S+ )?python3? ([\w./-]+\.py)", fences(page), re.MULTILINE)
    assert [name for name in scripts if not (ROOT / name).is_file() and name not in {"training_pipeline.py"}] == []


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("material") is None, reason="mkdocs-material이 설치되어 있지 않습니다")
def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONUTF8": "1"}
    built = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", env=environment)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stdout + built.stderr
    front = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert 'href="guide/task1-cls.html' in front
    assert (tmp_path / "site" / "search" / "search_index.json").is_file()


# ── 용어집 ──
GLOSSARY = ROOT / "docs" / "guide" / "glossary.md"
TERMS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| (?!우리말|---)", line)
]


@cache
def everything_else() -> str:
    """용어집을 뺀 가이드와, 단계 파일들."""
    lessons = [task.source / step.file_name for task, step in STEPS]
    return "\n".join(path.read_text(encoding="utf-8") for path in [*PAGES, *lessons] if path != GLOSSARY)


def test_every_term_of_the_glossary_is_a_word_of_the_course():
    words = [re.fullmatch(r"\[(.+?)(?: \(.+\))?\]\(\S+\)", row[0])[1] for row in TERMS]
    assert [word for word in words if word not in everything_else()] == []


def test_terms_of_the_glossary_stand_once():
    assert len(TERMS) >= 120
    for column in (0, 1):
        words = [row[column].partition("](")[0].lower() for row in TERMS]
        assert sorted(words) == sorted(set(words))
    assert [row for row in TERMS if len(row) != 3 or not all(row)] == []


# ── 한국어를 다룰 때 ──
def test_the_splits_of_the_korean_page_are_those_of_the_embedded_tokenizers(monkeypatch):
    """이야기에서 새로 배우는 토크나이저의 줄은 빼고 봅니다. 빈도가 같은 조각의 차례는 판마다 다를 수 있습니다."""
    from scripts import draw_korean_tokenizers as script

    monkeypatch.setattr(script, "story_pieces", lambda text: [])
    text = script.PAGE.read_text(encoding="utf-8")

    def steady(page: str) -> list[str]:
        return [line for line in page.splitlines() if not line.startswith("| task3 stories")]

    assert steady(script.page_with_table(text)) == steady(text)
