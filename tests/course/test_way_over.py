"""옛 판(처음 나누어 준 da7794e)의 학생이 제 `update`로 지금의 판에 옵니다.

옛 판의 나무를 git의 기록에서 꺼내 옛 도구로 합친 뒤, 새 도구로 검사하고, 보고, 무릅니다.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from course.book.gone import LIST, gone_paths
from course.book.regions import code_of, parse, splice
from course.book.tasks import DOOR, Task, all_tasks
from course.home import ROOT, Home
from course.student.update import _is_updated

OLD = "da7794e"
STEP1, STEP2, COPY = (
    f"task1-cls/{name}.py" for name in ("step1_basic_structure", "step2_data_processing", "step2_old")
)
RUN = "import sys; from course.cli import main; sys.exit(main(sys.argv[1:]))"
HALF = "2-1"  # 반만 푼 파일에서 푼 TODO


def git(*words: str) -> bytes:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"git의 기록에 {OLD}이(가) 없습니다(얕은 복제이거나 git 저장소가 아닙니다)")
    return done.stdout


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """옛 판을 받은 학생의 폴더. 1단계는 다 풀었고, 2단계는 CRLF로 반만 풀었고, 제 사본이 하나 있습니다."""
    folder = tmp_path / "old"
    with tarfile.open(fileobj=io.BytesIO(git("archive", OLD))) as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (folder / STEP1).write_bytes((folder / "solutions" / STEP1).read_bytes())
    solution = (folder / "solutions" / STEP2).read_text(encoding="utf-8")
    half = splice((folder / STEP2).read_text(encoding="utf-8"), HALF, code_of(solution, HALF))
    (folder / STEP2).write_bytes(half.replace("\n", "\r\n").encode())
    (folder / COPY).write_text("# 내가 연습한 것\n", encoding="utf-8")
    return folder


@pytest.fixture
def new(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """지금의 판: 폴더이거나, GitHub의 것처럼 모두를 담은 폴더가 든 zip."""
    names = [name for name in git("ls-files", "-z").decode().split("\0") if name and (ROOT / name).is_file()]
    folder = tmp_path / "new"
    if request.param == "zip":
        with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
            for name in names:
                archive.write(ROOT / name, f"course-main/{name}")
        return folder.with_suffix(".zip")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def course(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONUTF8": "1", "COLUMNS": "200"}
    command = [sys.executable, "-c", RUN, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8")


def contents(folder: Path) -> dict[str, bytes]:
    """도구가 적어 두는 것과 바이트코드를 뺀 모든 파일."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {
        name: path.read_bytes()
        for name, path in names.items()
        if not name.startswith(".course/") and "__pycache__" not in name
    }


@pytest.mark.slow
@pytest.mark.spread
@pytest.mark.parametrize("new", ["folder"], indirect=True)
def test_student_of_the_old_course_comes_over(old, new):
    before, fresh = contents(old), added(old)
    name, new_name = rename_what_1_4_makes(new)
    updated = course(old, "update", "--from", str(new))
    assert updated.returncode == 0, updated.stdout + updated.stderr
    solved = {"1-1", "1-2", "1-3", "1-4"}
    asked = {HALF, *asked_anew(all_tasks(Home(ROOT))[0])} & {HALF, *solved}
    again = {("task1-cls", todo_id): "맞음 → 시작 전" for todo_id in asked}
    assert changes(updated.stdout) == {**fresh, **again}, updated.stdout
    checked = course(old, "check", "cls", min(solved - asked))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    gone = gone_paths((old / LIST).read_text(encoding="utf-8"))
    assert [name for name in gone if (old / name).exists()] == []
    cleared = [name for name in gone if name in before]
    assert f"옛 판의 파일 {len(cleared)}개를 백업으로 옮겼습니다" in checked.stderr
    assert (old / "task1-cls" / DOOR).read_bytes() == (old / "solutions" / "task1-cls" / DOOR).read_bytes()
    assert f"{name} → {new_name}" in checked.stderr
    assert f"TODO {HALF}의 물음이 바뀌었습니다. 까닭입니다." in checked.stderr
    half = (old / STEP2).read_bytes()
    assert half.count(b"\r\n") == half.count(b"\n")
    assert "# optimizer = AdamW(" in half.decode()
    assert (old / COPY).read_text(encoding="utf-8") == "# 내가 연습한 것\n"
    assert {todo for _, todo in done(old)} == solved - asked
    undone = course(old, "undo")
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert contents(old) == before


@pytest.mark.slow
@pytest.mark.spread
@pytest.mark.parametrize("new", ["zip"], indirect=True)
def test_whoever_solved_everything_keeps_all_but_what_is_asked_anew(old, new):
    """표(`renamed.yaml`)가 빠뜨린 이름이 있으면 그 답은 넘어오지 못합니다."""
    solutions = sorted((old / "solutions").glob("task*/step*.py"))
    for path in solutions:
        (old / path.parent.name / path.name).write_bytes(path.read_bytes())
    solved = {(path.parent.name, one.id) for path in solutions for one in parse(path.read_text(encoding="utf-8"))}
    fresh = added(old)
    updated = course(old, "update", "--from", str(new))
    assert updated.returncode == 0, updated.stdout + updated.stderr
    asked = {(task.name, todo_id) for task in all_tasks(Home(ROOT)) for todo_id in asked_anew(task)} & solved
    assert changes(updated.stdout) == {**fresh, **dict.fromkeys(asked, "맞음 → 시작 전")}, updated.stdout
    assert done(old) == solved - asked - waiting(updated.stdout, asked)


def todos_of(file: Path) -> set[str]:
    return {one.id for one in parse(file.read_text(encoding="utf-8"))}


def added(old: Path) -> dict[tuple[str, str], str]:
    """옛 판에도 있는 단계에 새로 생긴 TODO마다, `update`가 할 말."""
    now = [(task.name, step.file_name) for task in all_tasks(Home(ROOT)) for step in task.steps]
    both = [(task, name) for task, name in now if (old / task / name).is_file()]
    fresh = {(task, one) for task, name in both for one in todos_of(ROOT / task / name) - todos_of(old / task / name)}
    return dict.fromkeys(fresh, "없음 → 시작 전")


def changes(said: str) -> dict[tuple[str, str], str]:
    """`update`가 말한, 판정이 달라진 TODO. 앞의 TODO를 기다리게 된 것(막힘)은 `waiting`이 봅니다."""
    found = re.findall(r"(\S+) (\d+-\d+): ([^.]+ → (?!막힘)[^.]+)\.", said)
    return {(task, todo_id): change for task, todo_id, change in found}


def waiting(said: str, asked: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """`update`가 말한, 물음이 바뀐 앞의 TODO(`asked`)를 기다리는 TODO."""
    found = re.findall(r"(\S+) (\d+-\d+): [^.]+ → 막힘\. 먼저 TODO (\d+-\d+)", said)
    return {(task, todo) for task, todo, first in found if (task, first) in asked}


def done(folder: Path) -> set[tuple[str, str]]:
    """새 도구가 맞았다고 세는 (과제, TODO)."""
    rows = json.loads(course(folder, "status", "--json").stdout)["todos"]
    return {(row["task"], row["todo"]) for row in rows if row["state"] == "right"}


def asked_anew(task: Task) -> dict[str, str]:
    file = task.checks / "renamed.yaml"
    return yaml.safe_load(file.read_text(encoding="utf-8")).get("new_questions", {}) if file.is_file() else {}


def rename_what_1_4_makes(new: Path) -> tuple[str, str]:
    """새 판에서 TODO 1-4가 만드는 이름을 바꾸고, 반만 푼 파일에서 푼 TODO의 물음도 바꿉니다. 표에 적힌 (옛것, 새것)."""
    made = re.search(r"self\.(\w+) =", code_of((new / "solutions" / STEP1).read_text(encoding="utf-8"), "1-4"))
    assert made is not None
    now, then = made[1], f"{made[1]}_anew"
    for folder in ("solutions/task1-cls", "task1-cls", "tests/task1_cls/checks"):
        for path in (new / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            path.write_text(re.sub(rf"\b{now}\b", then, text), encoding="utf-8")
    file = new / "tests/task1_cls/checks/renamed.yaml"
    table = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    before = next((one for one, other in table.get("names", {}).items() if other == now), now)
    table["names"] = {**table.get("names", {}), before: then}
    table["new_questions"] = {**table.get("new_questions", {}), HALF: "까닭입니다."}
    file.write_text(yaml.safe_dump(table, allow_unicode=True), encoding="utf-8")
    return before, then


def test_every_file_that_went_is_listed():
    old = git("ls-tree", "-r", "--name-only", "-z", OLD).decode().split("\0")
    went = {name for name in old if name and _is_updated(name) and not (ROOT / name).exists()}
    listed = set(gone_paths((ROOT / LIST).read_text(encoding="utf-8")))
    assert went <= listed  # 그 뒤의 판에만 있던 것도 적혀 있을 수 있습니다.
    assert [name for name in listed if (ROOT / name).exists()] == []
