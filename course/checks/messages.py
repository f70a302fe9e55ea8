"""검사 프로세스와 주고받는 말: 건네는 일(Job), 돌아오는 답(Reply)과 그 안의 것들. JSON으로 옮기는 일은 여기서만 합니다.

plugin과 measuring이 답을 만들고, worker가 나르고, verdict가 학생이 읽을 판정으로 풉니다.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"  # pytest의 낱말입니다.
MISSING, WRONG, ERROR = "missing", "wrong", "error"
TIMEOUT, CRASH, FORGED = "timeout", "crash", "forged"
INTERRUPTED = "Interrupted"  # 끝까지 가지 못한 검사의 예외 이름
LATER = ("nonce", "tampered", "rewritten", "printed", "stopped_at")


@dataclass(frozen=True)
class Job:
    """건네는 일 하나.

    Attributes:
        task: 과제의 이름. 예: `"task1-cls"`.
        folder: 검사할 단계 파일들이 있는 폴더.
        timeout: 기다릴 초.
        precision: 판정 대신 차이를 잴 때의 행렬곱의 정밀도(`measuring.PRECISIONS`). 판정이면 None.
        nonce: 물음마다 다른 글. 답이 되풀이합니다.
    """

    task: str
    folder: Path
    todos: list[str]
    device: str
    timeout: float
    precision: str | None = None
    nonce: str = ""

    def to_json(self) -> bytes:
        return _encoded(self)

    @classmethod
    def from_json(cls, text: bytes) -> Job:
        fields = json.loads(text)
        return cls(**{**fields, "folder": Path(fields["folder"])})


@dataclass(frozen=True)
class Failure:
    """통과하지 못한 까닭. 종류마다 채우는 것이 다릅니다.

    Attributes:
        kind: `MISSING`(빈 TODO를 만남), `WRONG`(검사가 틀린 답을 찾음), `ERROR`(예외로 멈춤).
        message: 검사의 말이나 예외의 글.
        file, line: 학생의 파일에서 가리킬 곳. 모르면 None.
        code: 그 줄의 코드, 들여쓰기 없이.
        column: 문법 오류가 난 칸(`code`의 몇 번째 글자인지, 0부터). 모르면 None.
        missing: (MISSING) 비어 있는 TODO.
        idea, expected, got, symptom, values: (WRONG) `CheckFailed`의 것.
        error, bases: (ERROR) 예외의 이름과 그 조상들의 이름.
    """

    kind: str = ERROR
    message: str = ""
    traceback: str = ""
    file: str | None = None
    line: int | None = None
    code: str = ""
    column: int | None = None
    missing: str = ""
    idea: str = ""
    expected: str = ""
    got: str = ""
    symptom: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    error: str = "예외"
    bases: list[str] = field(default_factory=list)

    def at(self, file: str | None, line: int | None) -> Failure:
        """같은 까닭을 다른 곳에서."""
        return replace(self, file=file, line=line)


@dataclass
class Result:
    """검사 하나의 결과. 통과하지 못했으면 `failure`가 있습니다."""

    test: str
    todo: str | None
    outcome: str
    failure: Failure | None = None

    @property
    def passed(self) -> bool:
        return self.outcome == PASSED

    @property
    def why(self) -> Failure:
        """통과하지 못한 까닭. 적히지 않았으면 아무것도 모르는 것입니다."""
        return self.failure or Failure()

    def fail(self, failure: Failure) -> None:
        """실패로 바꿉니다. 새 까닭이 어디인지 모르면, 먼저 가리키던 곳을 그대로 가리킵니다."""
        if failure.file is None and self.failure is not None:
            failure = failure.at(self.failure.file, self.failure.line)
        self.outcome, self.failure = FAILED, failure


@dataclass(frozen=True)
class Comparison:
    """허용 오차가 있는 비교 하나.

    Attributes:
        check: 검사의 이름.
        file, line: 견준 곳.
        deviation: 가장 많이 다른 원소의 차이. 모양이 다르거나 NaN이면 무한대.
        scale: 옳은 값의 크기.
    """

    todo: str | None
    check: str
    file: str
    line: int
    atol: float
    deviation: float
    scale: float


@dataclass(frozen=True)
class Reply:
    """일 하나의 답.

    Attributes:
        hashes: 읽은 단계 파일의 이름 → 내용의 해시.
        errors: 검사 파일 자체의 문제.
        comparisons: 잰 차이들. 판정하는 일이면 None.
        died: 프로세스가 끝까지 가지 못했으면 `TIMEOUT`이나 `CRASH`, 묻지 않은 답이 왔으면 `FORGED`.
        stopped_at: 그때 돌고 있던 학생의 (파일, 줄). 모르면 비었습니다.
        nonce: 물음의 것. 다른 물음의 답이 아님을 압니다.
        tampered: 검사하는 동안 바꿔치기된 도구의 이름들. 비어 있지 않으면 아무것도 통과하지 못했습니다.
        printed: 검사의 이름 → 자리의 코드가 찍은 것의 마지막 줄들.
        rewritten: 검사하는 동안 바뀌어 되돌려 놓은 파일들. 비어 있지 않으면 이 검사는 세지 않습니다.
    """

    results: list[Result] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    comparisons: list[Comparison] | None = None
    died: str = ""
    stopped_at: list[Any] = field(default_factory=list)
    nonce: str = ""
    tampered: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    printed: dict[str, list[str]] = field(default_factory=dict)

    def must_be_asked_alone(self, todo_id: str) -> bool:
        """여럿을 함께 물은 답에서, 다른 TODO 때문에 이 TODO의 결과를 알 수 없는가."""
        results = [one for one in self.results if one.todo == todo_id]
        interrupted = any(one.failure is not None and one.failure.error == INTERRUPTED for one in results)
        return bool(self.died or self.rewritten or self.tampered or interrupted)

    def to_json(self) -> bytes:
        return _encoded(self)

    @classmethod
    def from_json(cls, text: bytes) -> Reply:
        """
        Raises:
            ValueError: 온전한 답이 아닐 때.
        """
        try:
            return cls._from_fields(json.loads(text))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"답의 모양이 아닙니다: {error}") from None

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Reply:
        results = [
            Result(**{**one, "failure": one["failure"] and Failure(**one["failure"])}) for one in fields.pop("results")
        ]
        measured = fields.pop("comparisons")
        return cls(results, comparisons=measured and [Comparison(**one) for one in measured], **fields)


def _encoded(message: Job | Reply) -> bytes:
    """한 줄의 JSON. 짝 잃은 서로게이트도 옮기도록 ASCII로 적습니다.

    나중에 생긴 항목은 비었으면 적지 않습니다: `update`를 하는 동안에는 옛 판이 새 판의 답을 읽습니다.
    """
    fields = asdict(message)
    return json.dumps({name: one for name, one in fields.items() if one or name not in LATER}, default=str).encode()
