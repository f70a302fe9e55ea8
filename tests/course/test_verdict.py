"""학생의 코드가 멈추면 그 줄과 쉬운 설명을 보여 줍니다. traceback은 부탁할 때만 나옵니다."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import pytest
import yaml

from course.book.regions import splice
from course.checks import verdict as verdicts
from course.checks.messages import (
    CRASH,
    ERROR,
    FAILED,
    MISSING,
    PASSED,
    WRONG,
    Comparison,
    Failure,
    Job,
    Reply,
    Result,
)
from course.checks.plugin import describe
from course.checks.verdict import BLOCKED, BROKEN, plainly
from course.checks.words import CheckFailed
from tests.course.workshop import STEP1, STEP2, Workshop, checking_workshop
from todo import TodoNotDone, todo

FOLDER = Path("/nowhere")
CHECKS = Path(__file__).resolve().parent


def explained(code, **names):
    """코드가 일으킨 진짜 예외의 (예외의 이름, 설명)."""
    try:
        exec(compile(code, "/nowhere/step1_numbers.py", "exec"), names)
    except BaseException as error:  # noqa: BLE001  무슨 예외든 설명해야 합니다.
        told = describe(error, FOLDER, CHECKS)
        says = plainly([told.error, *told.bases], told.message, told.code, told.traceback)
        return told.error, says
    raise AssertionError("멈추지 않았습니다")


class Box:
    def put(self, thing, times=1):
        return thing


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        ("print((1, 2)", "SyntaxError", "여는 괄호 ("),
        ("x = 1)", "SyntaxError", "닫는 괄호 )"),
        ("x = (1]", "SyntaxError", "(로 연 것을 ]로"),
        ("x = 'abc", "SyntaxError", "따옴표"),
        ("if True\n    x = 1", "SyntaxError", "콜론"),
        ("x = [1 2]", "SyntaxError", "쉼표"),
        ("if x = 1: pass", "SyntaxError", "=="),
        ("1 = x", "SyntaxError", "왼쪽"),
        ("x = “a”", "SyntaxError", "U+201C"),
        ("x =\u00a01", "SyntaxError", "U+00A0"),
        ("f(a=1, 2)", "SyntaxError", "이름을 적은 인수"),
        ("f(a=1, a=2)", "SyntaxError", "인수 a"),
        ("return 1", "SyntaxError", "함수 밖"),
        ("break", "SyntaxError", "반복"),
        ("print 1", "SyntaxError", "괄호가 필요"),
        ("x = 1 +", "SyntaxError", "문법에 맞지"),
        ("x = 1\n<<<<<<< HEAD\ny = 2", "SyntaxError", "git이 합치지 못한"),
        ("x = 1\n=======\ny = 2", "SyntaxError", "git이 합치지 못한"),
        ("for i in []:\nx = 1", "IndentationError", "빈칸 네 개를 더"),
        ("x = 1\n  y = 2", "IndentationError", "더 들어가"),
        ("if 1:\n    x = 1\n  y = 2", "IndentationError", "어느 줄과도"),
        ("if 1:\n        x = 1\n\ty = 2", "TabError", "탭"),
        ("logit", "NameError", "logit"),
        ("self.x = 1", "NameError", "메서드 안"),
        ("def f():\n    print(x)\n    x = 1\nf()", "UnboundLocalError", "담기 전에"),
        ("None.loss", "AttributeError", "None이어서 .loss"),
        ("import math; math.squareroot(2)", "AttributeError", "모듈 math에 squareroot"),
        ("'abc'.append('d')", "AttributeError", "str인데, 여기에는 .append"),
        ("Box.take", "AttributeError", "클래스 Box에 take"),
        ("Box().put()", "TypeError", "put을 부를 때 꼭 있어야 하는 인수 'thing'"),
        ("Box().put(1, 2, 3)", "TypeError", "많은 인수"),
        ("Box().put(1, time=2)", "TypeError", "put에는 time"),
        ("class Net:\n    def __init__(self, size): pass\nNet(sise=1)", "TypeError", "Net에는 sise"),
        ("{}.size()", "AttributeError", "텐서가 와야 하는 곳에 dict"),
        ("len(Box().put)", "TypeError", "괄호 ()가 빠지지"),
        ("list(Box)", "TypeError", "객체를 만들어"),
        ("raise ValueError('?')", "ValueError", "찍어 보세요"),
        ("Box().put(1, thing=2)", "TypeError", "두 번"),
        ("x = 1; x()", "TypeError", "int는 함수가 아니"),
        ("Box.put['a']", "TypeError", "괄호 ()가 빠지지"),
        ("a, b = None", "TypeError", "값이 None"),
        ("1[0]", "TypeError", "대괄호"),
        ("a, b = 1", "TypeError", "하나씩 꺼내거나"),
        ("1 + 'a'", "TypeError", "int와 str 사이에는 + 계산"),
        ("'a' + 1", "TypeError", "str 뒤에는 str만"),
        ("[1]['a']", "TypeError", "번호(정수)"),
        ("{[]: 1}", "TypeError", "열쇠"),
        ("len(1)", "TypeError", "길이"),
        ("1 < 'a'", "TypeError", "견줄 수"),
        ("dict(**1)", "TypeError", "딕셔너리가 와야"),
        ("{'a': 1}['logits']", "KeyError", "'logits'"),
        ("[1][1]", "IndexError", "0부터"),
        ("a, b = [1]", "ValueError", "2개로 나누어 담으려는데 값이 1개뿐"),
        ("a, b = [1, 2, 3]", "ValueError", "더 많습니다"),
        ("int('영')", "ValueError", "수로 바꿀 수 없는"),
        ("max([])", "ValueError", "비어 있는"),
        ("import nlpboook", "ModuleNotFoundError", "nlpboook"),
        ("import step9_missing", "ModuleNotFoundError", "step9_missing.py 파일이 없습니다"),
        ("from math import squareroot", "ImportError", "math에 squareroot"),
        ("{'a': 1}.loss", "AttributeError", "대괄호"),
        ("import collections\ncollections.OrderedDict().state_dict", "AttributeError", "대괄호"),
        ("import inspect\ninspect.signature('train')", "TypeError", "함수가 와야 하는 곳에 train"),
        ("import json\njson.dumps({1})", "TypeError", "set은 JSON"),
        ("dict(**{1: 2})", "TypeError", "모두 글"),
        ("for name, value in {'long': 1}: pass", "ValueError", ".items()"),
        ("{}['가' * 500]", "KeyError", "가가…"),
        ("{'a' = 1}", "SyntaxError", "콜론"),
        ("1 / 0", "ZeroDivisionError", "0으로"),
        ("def f(): return f()\nf()", "RecursionError", "자기 자신"),
        ("exit(1)", "SystemExit", "exit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", "지워"),
        ("open('/nowhere/data.txt')", "FileNotFoundError", "/nowhere/data.txt"),
        ("next(iter([]))", "StopIteration", "더 꺼낼 것"),
        ("assert 1 == 2", "AssertionError", "assert"),
        ("assert False, 'Torch not compiled with CUDA enabled'", "AssertionError", "self.device"),
        ("print(*3)", "TypeError", "하나씩 꺼낼 수 있는"),
        ("import os; os.stat(3.5)", "TypeError", "경로(글)가 와야 하는 자리에 float"),
        ("raise AttributeError('size conflicts with the method size in A')", "AttributeError", "인수 size는"),
        ("raise ValueError('text input must be of type `str`')", "ValueError", "글의 목록을 건넵니다"),
        ("raise RuntimeError('You set `ignore_mismatched_sizes` to `False`')", "RuntimeError", "모양이 설정과"),
        (
            "raise AttributeError('TokenizersBackend has no attribute add_token')",
            "AttributeError",
            "여기에는 .add_token",
        ),
        ("raise AttributeError('X has no attribute as_target_tokenizer')", "AttributeError", "text_target"),
        ("def f(one): ...\nf(1, 2)", "TypeError", "차례로 주는 인수를 1개까지"),
        ("len([3, 1].sort())", "TypeError", "값이 None"),
        ("raise TypeError('Input must be a List[Union[str, AddedToken]]')", "TypeError", "AddedToken 하나"),
        ("class A(Exception): pass\nraise A('?')", "A", ""),
    ],
)
def test_exception_is_explained_plainly(code, error, said):
    got, says = explained(code, Box=Box, exit=sys.exit)
    assert got == error
    assert said in says
    assert not re.search(r"\{\d\}", says)


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        ("torch.ones(6, 32) @ torch.ones(64, 2)", "RuntimeError", "앞의 열 수(32)와 뒤의 행 수(64)"),
        ("torch.ones(6, 2) + torch.ones(6, 3)", "RuntimeError", "1번 축이 2와 3"),
        ("torch.ones(6).reshape(4, 2)", "RuntimeError", "6개를 [4, 2] 모양으로"),
        ("torch.ones(6).softmax(dim=1)", "IndexError", "1번 축이 없습니다"),
        ("torch.ones(6)[6]", "IndexError", "0번 축의 크기는 6"),
        ("torch.ones(6)[0, 0]", "IndexError", ".shape"),
        ("torch.ones(6).item()", "RuntimeError", "수 하나처럼"),
        ("bool(torch.ones(6))", "RuntimeError", "수 하나처럼"),
        ("torch.ones(6).mean().backward()", "RuntimeError", "기울기가 이어져 있지"),
        ("torch.ones(6, requires_grad=True).backward()", "RuntimeError", "수 하나인 손실"),
        ("x = torch.ones(1, requires_grad=True)**2; x.backward(); x.backward()", "RuntimeError", "두 번 역전파"),
        ("torch.ones(6, requires_grad=True).numpy()", "RuntimeError", ".detach()"),
        ("torch.tensor([[1, 2], [3]])", "ValueError", "길이가 다른 목록"),
        ("torch.stack([torch.ones(2), torch.ones(3)])", "RuntimeError", "모양이 다른 텐서"),
        ("torch.ones(2, 2) @ torch.ones(2, 2).long()", "RuntimeError", "자료형"),
        ("torch.nn.Embedding(3, 2)(torch.tensor([5]))", "IndexError", "임베딩의 크기"),
        ("torch.nn.Embedding(3, 2)(torch.ones(1))", "RuntimeError", "자료형"),
        ("torch.nn.Linear(2, 2)('a')", "TypeError", "Tensor가 와야 하는데 str"),
        ("torch.nn.Linear(2, 2).load_state_dict({})", "RuntimeError", "Linear의 것과 다릅니다"),
        (
            "torch.nn.functional.cross_entropy(torch.ones(6).long(), torch.ones(6).long())",
            "RuntimeError",
            "로짓 대신 예측",
        ),
        ("torch.tensor([{}])", "RuntimeError", "dict는 그대로 텐서가"),
        ("torch.ones(3).bool().mean()", "RuntimeError", "먼저 실수로(.float())"),
        ("torch.nn.Module()(x=1)", "TypeError", "forward가 없습니다"),
        ("torch.tensor([[1], ['a']])", "TypeError", "str는 텐서에 담을 수 없습니다"),
        (
            "torch.nn.functional.cross_entropy(torch.ones(6).long(), torch.ones(6))",
            "NotImplementedError",
            "Long 자료형의 텐서로는",
        ),
        (
            "torch.nn.functional.cross_entropy(torch.ones(6, 2), torch.ones(6).long(), reduction=None)",
            "ValueError",
            "따옴표로 적은 글",
        ),
        (
            "torch.optim.AdamW(torch.nn.Linear(2, 2).parameters(), lr=-1)",
            "ValueError",
            "학습률은 0보다 작을 수 없는데 -1",
        ),
        ("torch.zeros(10**12)", "RuntimeError", "메모리 4000000000000바이트를 달라고"),
        ("torch.empty(2**62)", "RuntimeError", "크기로 적은 수가 너무 큽니다"),
        ("torch.zeros(10**20)", "TypeError", "크기로 적은 수가 너무 큽니다"),
        ("torch.optim.AdamW([])", "ValueError", "건넨 파라미터가 없습니다"),
        (
            "torch.nn.functional.cross_entropy(torch.ones(6, 2), torch.ones(2).long())",
            "ValueError",
            "6줄인데 라벨은 2개",
        ),
    ],
)
def test_exception_of_torch_is_explained_plainly(code, error, said):
    got, says = explained(code, torch=pytest.importorskip("torch"))
    assert got == error
    assert said in says


@pytest.mark.parametrize(
    ("code", "error"),
    [("raise RecursionError('깊이')", "RecursionError"), ("bytearray(1 << 60)", "MemoryError")],
)
def test_limit_that_was_reached_is_told_whatever_the_check_made_of_it(code, error):
    """검사가 예외를 보고 부른 이름은 짐작이지만, 한도에 닿은 것은 확실합니다."""
    with pytest.raises(CheckFailed) as caught:
        try:
            exec(compile(f"x = 1\n{code}", "/nowhere/step1_numbers.py", "exec"))
        except (RuntimeError, MemoryError):
            raise CheckFailed(idea="자르기", symptom="too-long") from None
    told = describe(caught.value, FOLDER, CHECKS)
    assert (told.kind, told.error, told.file, told.line) == (ERROR, error, "step1_numbers.py", 2)


def test_every_line_of_the_table_is_reachable_and_in_korean():
    path = Path(verdicts.__file__).with_name("exceptions.yaml")
    seen = set()
    for one in yaml.safe_load(path.read_text(encoding="utf-8")):
        pattern = re.compile(one.get("when", ""))
        assert (one["error"], pattern.pattern) not in seen
        assert (one["error"], "") not in seen, f"{one}: 위의 것이 모두 가져갑니다"
        seen.add((one["error"], pattern.pattern))
        assert re.search("[가-힣]", one["says"])
        assert all(int(number) <= pattern.groups for number in re.findall(r"\{(\d)\}", one["says"]))


def test_empty_region_is_the_students_line_even_if_a_check_wraps_todo():
    with pytest.raises(TodoNotDone) as caught:
        code = compile("x = 1\ntodo('1-1')", "/nowhere/step1_numbers.py", "exec")
        exec(code, {"todo": lambda todo_id: todo(todo_id)})
    told = describe(caught.value, FOLDER, CHECKS)
    assert (told.kind, told.file, told.line) == (MISSING, "step1_numbers.py", 2)


def test_unknown_message_is_kept_to_one_short_line():
    failure = Failure(ERROR, "\n첫 줄" + "가" * 500, error="OSError")
    reply = Reply([Result("test_x", "1-1", FAILED, failure)])
    title = verdicts.judge("1-1", reply, verdicts.Answers()).title
    assert title.startswith("코드가 멈췄습니다: OSError: 첫 줄")
    assert len(title) < 250


@pytest.mark.parametrize(
    ("got", "shown"),
    [
        (lambda: 1, "함수 <lambda>"),
        (plainly, "함수 plainly"),
        (Path, "클래스 Path"),
        (object(), "object 객체"),
        ([1].append, "함수 append"),
        (Workshop.write, "함수 write"),
        (math.sqrt, "함수 sqrt"),
        ("a < b", "a < b"),
    ],
)
def test_values_are_shown_without_addresses_and_modules(got, shown):
    assert CheckFailed("다릅니다.", idea="값", expected=1, got=got).got == shown


def test_method_is_shown_by_its_name_alone(tmp_path):
    assert CheckFailed("다릅니다.", idea="값", expected=1, got=tmp_path.exists).got == "메서드 exists"


# ── 주고받는 말


def test_messages_arrive_as_they_were_sent():
    job = Job("task1-tiny", FOLDER, ["1-1"], "cpu", 2.5, precision="bf16")
    assert Job.from_json(job.to_json()) == job
    failure = Failure(WRONG, "다릅니다 \ud800", file="step1_numbers.py", line=9, symptom="sum", values={"sum": 1.25})
    comparison = Comparison("1-1", "test_x", "test_step1.py", 3, 1e-4, math.inf, 2.0)
    results = [Result("test_x", "1-1", FAILED, failure), Result("test_y", None, PASSED)]
    for reply in (Reply(results, {"a.py": "0f"}, ["펑"]), Reply(comparisons=[comparison]), Reply(died=CRASH)):
        assert Reply.from_json(reply.to_json()) == reply
        assert b"\n" not in reply.to_json()


def test_a_result_that_fails_for_a_new_reason_still_points_where_it_did():
    result = Result("test_x", "1-1", FAILED, Failure(ERROR, file="step1_numbers.py", line=9))
    result.fail(Failure(WRONG, "바꿔치기했습니다"))
    assert (result.failure.message, result.failure.line) == ("바꿔치기했습니다", 9)
    result.fail(Failure(WRONG, file="step2_quadruple.py", line=3))
    assert (result.failure.file, result.failure.line) == ("step2_quadruple.py", 3)


# ── 진짜 검사에서


@pytest.fixture(scope="module")
def school(tmp_path_factory):
    with checking_workshop(tmp_path_factory.mktemp("school")) as workshop:
        yield workshop


@pytest.fixture
def check(school, tmp_path):
    def run(step1, todo_id="1-1"):
        (tmp_path / "step1_numbers.py").write_text(step1, encoding="utf-8")
        (tmp_path / "step2_quadruple.py").write_text(STEP2, encoding="utf-8")
        return school.checker.check(school.task, tmp_path, [todo_id])[todo_id]

    return run


def test_stopped_line_is_shown_with_its_code(check):
    verdict = check(splice(STEP1, "1-1", "answer = numbr * 2  # 오타"))
    assert (verdict.state, verdict.error) == (BROKEN, "NameError")
    assert (verdict.file, verdict.line, verdict.code) == ("step1_numbers.py", 9, "answer = numbr * 2  # 오타")
    assert "numbr라는 이름이 아직 없습니다" in verdict.says
    assert "Traceback" not in verdict.title + verdict.says
    assert "Traceback" in verdict.traceback


def test_syntax_error_points_into_its_line(check):
    verdict = check(splice(STEP1, "1-1", "answer = = 2"))
    assert (verdict.line, verdict.code, verdict.column) == (9, "answer = = 2", 9)
    assert "(step1_numbers.py" not in verdict.title


def test_error_of_another_todo_waits_for_it_and_says_whose_it_is(check):
    verdict = check(splice(STEP1, "1-1", "answer = numbr"), "2-1")
    assert (verdict.file, verdict.line) == ("step1_numbers.py", 9)
    assert (verdict.state, verdict.title) == (BLOCKED, "먼저 TODO 1-1을 고쳐야 검사할 수 있습니다")
    assert verdict.says.startswith("TODO 1-1: 코드가 멈췄습니다: NameError")


def test_name_the_region_should_have_made_is_traced_back_to_it(check):
    verdict = check(splice(STEP1, "1-1", "result = number * 2"))
    assert verdict.code == "return answer"
    assert "자리 안에서 같은 철자의 이름에" in verdict.says


def test_error_outside_the_students_code_points_to_the_region(check):
    verdict = check(splice(STEP1, "1-2", "return '3.14'"), "1-2")
    assert (verdict.error, verdict.line) == ("TypeError", 16)
    assert verdict.says.startswith("이 TODO가 만든 것을 검사가 쓰다가 멈췄습니다.")
