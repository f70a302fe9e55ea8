"""검사의 허용 오차가 제자리에 있는지 잽니다: 옳은 답의 흔들림보다 크고, 가장 가까운 실수보다 작은가.

검사와 허용 오차마다 세 가지를 잽니다. 결과는 `tests/<과제>/checks/tolerances.yaml`에 적어 둡니다.

- fp32: 해답과 다른 옳은 답(`also_right`)들이 보인 가장 큰 차이.
- bf16: 같은 것을, 행렬곱의 정밀도를 낮추어 두 번 잰 것 가운데 큰 쪽. 한 번은 장치의 빠른 행렬곱으로, 한 번은 모든
  행렬곱을 bf16으로 합니다(`course.checks.measuring`의 `fast_products`와 `bf16_products`). 검사는 학생의 계산과
  기준을 한 장치에서 하므로, 낮춘 정밀도도 둘 모두에 듣습니다.
- 가장 가까운 실수: 흔한 실수(`mistakes`)와 기계적인 변이(`course.author.audit`)가 보인 가장 작은 차이. 반올림과
  구별되지 않는 차이는 그 실수가 이 검사에 닿지 않은 것입니다. 뜻이 같은 변이(`equivalents`)는 보지 않습니다.
"""

from __future__ import annotations

import ast
import math
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from console_text import with_particles
from course.author.audit import known_equivalents, mutants
from course.author.copies import solved_copy
from course.book.regions import code_of, splice
from course.book.tables import Answers
from course.book.tasks import Task
from course.checks.checker import Checker
from course.checks.measuring import short_name
from course.checks.messages import Reply
from course.home import CourseError, write_text

FILE = "tolerances.yaml"
ROUNDING = 8 * 2**-23  # 값의 크기에 견주어 이만큼까지는 fp32의 반올림으로 봅니다.
DRIFTS = 10  # 옳은 답의 차이의 몇 배까지를 흔들림으로 보는지
Key = tuple[str, float]  # 검사의 이름과 허용 오차. 한 검사에서 오차가 같은 비교는 함께 잽니다.


@dataclass
class Tolerance:
    """검사 하나의 허용 오차 하나.

    Attributes:
        fp32, bf16: 옳은 답들의 가장 큰 차이.
        nearest: 가장 가까운 실수의 차이. 이 비교에 닿는 실수가 없으면 None.
        mistake: 그 실수의 이름.
        reason: bf16의 차이가 허용 오차보다 커도 괜찮은 까닭. 사람이 적습니다.
    """

    todo: str
    check: str
    atol: float
    fp32: float
    bf16: float
    nearest: float | None = None
    mistake: str = ""
    reason: str = ""

    @property
    def key(self) -> Key:
        return self.check, self.atol

    def problems(self) -> list[str]:
        """제자리에 있지 않은 까닭들. 비어 있으면 제자리입니다."""
        name, found = f"{self.check}의 {self.atol:g}", []
        if self.fp32 >= self.atol:
            found.append(f"{name}: 옳은 답도 {self.fp32:.1e}만큼 다릅니다. 틀린 값과 견주는 것이라면 matches를 쓰세요.")
        if self.bf16 >= self.atol and not self.reason:
            found.append(f"{name}: bf16의 차이 {self.bf16:.1e}보다 작습니다. 올리거나 reason에 까닭을 적어 주세요.")
        if self.nearest is not None and self.nearest <= self.atol:
            found.append(f"{name}: {self.nearest:.1e}만큼 다른 실수를 받아들입니다({self.mistake}). 내려 주세요.")
        return found


def measured(task: Task, todo_ids: list[str], checker: Checker, device: str = "cpu") -> Iterator[Tolerance]:
    """TODO들의 허용 오차를 모두 잽니다.

    Raises:
        CourseError: 해답부터 검사를 통과하지 못할 때.
    """
    answers = Answers.load(task)
    with solved_copy(task) as folder:
        for todo_id in todo_ids:
            trial = Trial(task, todo_id, folder, checker, device)
            rows = {key: Tolerance(todo_id, *key, found, 0.0) for key, (found, _) in trial.solution().items()}
            if rows:
                right = [one.code for one in answers.also_right if one.todo == todo_id]
                _measure_drift(rows, trial, [trial.code, *right])
                _measure_mistakes(rows, trial, wrong_answers(task, trial, answers))
            yield from rows.values()


class Trial:
    """TODO 하나의 자리에 여러 답을 넣어 잽니다. `folder`에는 해답의 복사본이 있습니다."""

    def __init__(self, task: Task, todo_id: str, folder: Path, checker: Checker, device: str) -> None:
        self.todo = todo_id
        self._asked = {"task": task, "folder": folder, "todo_ids": [todo_id], "device": device}
        self._checker = checker
        self._file = folder / task.step_of(todo_id).file_name
        self._text = self._file.read_text(encoding="utf-8")
        self.code = code_of(self._text, todo_id)

    def solution(self) -> dict[Key, tuple[float, float]]:
        """해답의 차이.

        Raises:
            CourseError: 해답이 허용 오차 말고 다른 까닭으로 통과하지 못할 때.
        """
        reply = self._checker.measure(**self._asked, precision="fp32")
        for result in reply.results:
            if not result.passed:
                said = result.why.message or result.why.symptom
                why = with_particles(f"{result.test}을(를) 통과하지 못해 잴 수 없습니다: {said}")
                raise CourseError(f"해답이 TODO {self.todo}의 {why}")
        if reply.comparisons is None or reply.errors:
            raise CourseError(f"TODO {self.todo}의 검사를 돌리지 못했습니다. `course check`로 먼저 확인해 주세요.")
        return largest(reply)

    def deviations(self, code: str, precision: str = "fp32") -> dict[Key, tuple[float, float]]:
        """그 답의 차이."""
        self._file.write_text(splice(self._text, self.todo, code), encoding="utf-8")
        try:
            return largest(self._checker.measure(**self._asked, precision=precision, timeout=20))
        finally:
            self._file.write_text(self._text, encoding="utf-8")


def largest(reply: Reply) -> dict[Key, tuple[float, float]]:
    """검사와 허용 오차마다 (가장 큰 차이, 옳은 값의 크기). 값이 아니라 모양이 다른 것은 무한대입니다."""
    found: dict[Key, tuple[float, float]] = {}
    for one in reply.comparisons or []:
        key = one.check, one.atol
        deviation, scale = found.get(key, (0.0, 0.0))
        found[key] = max(deviation, one.deviation), max(scale, one.scale)
    return found


def _measure_drift(rows: dict[Key, Tolerance], trial: Trial, codes: list[str]) -> None:
    for code in codes:
        for precision in ("fp32", "fast", "bf16"):
            for key, (deviation, _) in trial.deviations(code, precision).items():
                if row := rows.get(key):
                    name = "fp32" if precision == "fp32" else "bf16"
                    setattr(row, name, max(getattr(row, name), deviation))


def _measure_mistakes(rows: dict[Key, Tolerance], trial: Trial, wrong: list[tuple[str, str]]) -> None:
    for name, code in wrong:
        for key, (deviation, scale) in trial.deviations(code).items():
            row = rows.get(key)
            if row is None or not max(DRIFTS * row.fp32, ROUNDING * scale) < deviation < math.inf:
                continue
            if row.nearest is None or deviation < row.nearest:
                row.nearest, row.mistake = deviation, name


def wrong_answers(task: Task, trial: Trial, answers: Answers) -> list[tuple[str, str]]:
    """이 TODO의 (이름, 틀린 답)들: 흔한 실수와, 뜻이 다른 변이."""
    equivalents = known_equivalents(task)
    listed = [(one.name, one.code) for one in answers.mistakes if one.todo == trial.todo]
    made = [one for one in mutants(trial.todo, trial.code) if (trial.todo, one.code.strip()) not in equivalents]
    return listed + [(one.what, one.code) for one in made]


def stated(task: Task) -> dict[tuple[str, str], set[int]]:
    """검사 파일에서 허용 오차를 두고 판정하는 (파일, 함수) → 줄들. 소스에 0이라고 적힌 것은 뺍니다.

    파일은 폴더까지 적은 이름입니다. 예: `"step3/test_3_4.py"`.
    """
    places: dict[tuple[str, str], set[int]] = {}
    for path in sorted(task.checks.rglob("*.py")):
        for function in ast.parse(path.read_text(encoding="utf-8")).body:
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("close", "assert_close"):
                    named = [one.value for one in node.keywords if one.arg == "atol"]
                    atol = (named or node.args[2:3] or [None])[0]
                    if not (isinstance(atol, ast.Constant) and atol.value == 0):
                        places.setdefault((short_name(path), getattr(function, "name", "")), set()).add(node.lineno)
    return places


def load(task: Task) -> list[Tolerance]:
    """적어 둔 표. 파일이 없으면 비었습니다.

    Raises:
        CourseError: 파일을 읽을 수 없을 때.
    """
    path = task.checks / FILE
    if not path.is_file():
        return []
    try:
        return [Tolerance(**one) for one in yaml.safe_load(path.read_text(encoding="utf-8")) or []]
    except (yaml.YAMLError, TypeError) as error:
        raise CourseError(f"{path.name}을(를) 읽을 수 없습니다: {error}") from None


def with_reasons(task: Task, rows: list[Tolerance]) -> list[Tolerance]:
    """적어 둔 표에서 사람이 적은 까닭을 옮겨 옵니다."""
    reasons = {one.key: one.reason for one in load(task)}
    for row in rows:
        row.reason = reasons.get(row.key, "")
    return rows


def write(task: Task, rows: list[Tolerance], todo_ids: list[str], device: str) -> Path:
    """표를 적습니다. 이번에 재지 않은 TODO의 줄은 그대로 둡니다."""
    order = list(task.regions())
    kept = [one for one in load(task) if one.todo in order and one.todo not in todo_ids]
    chosen = sorted([*kept, *rows], key=lambda one: order.index(one.todo))
    lines = [{name: _short(value) for name, value in asdict(one).items() if value not in (None, "")} for one in chosen]
    head = [
        f"# 검사의 허용 오차(atol)와 재어 본 차이. `python -m course tolerances {task.short} --write`가 적습니다.",
        "# fp32와 bf16은 옳은 답들의 가장 큰 차이, nearest는 가장 가까운 실수의 차이입니다. reason만 사람이 적습니다.",
        f"# {date.today().isoformat()}, {machine(device)}, PyTorch {version('torch')}",
    ]
    body = yaml.safe_dump(lines, allow_unicode=True, sort_keys=False, width=110)
    write_text(task.checks / FILE, "\n".join([*head, body]))
    return task.checks / FILE


def _short(value: Any) -> Any:
    """재어 본 수는 두 자리까지만. 허용 오차는 그보다 길게 적지 않습니다."""
    return float(f"{value:.1e}") if isinstance(value, float) else value


def machine(device: str) -> str:
    """잰 기계의 이름."""
    if device != "cpu":
        import torch

        return torch.cuda.get_device_name()
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0]


def to_table(rows: list[Tolerance]) -> Table:
    """80칸에 들어가는 터미널 표."""
    table = Table("TODO", "검사")
    table.columns[1].overflow = "fold"
    for name in ("atol", "fp32", "bf16", "가장 가까운\n실수"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        marks = [_number(one) for one in (row.atol, row.fp32, row.bf16, row.nearest)]
        style = "red" if row.problems() else None
        table.add_row(row.todo, row.check.removeprefix("test_"), *marks, style=style)
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}" if value else "0"
