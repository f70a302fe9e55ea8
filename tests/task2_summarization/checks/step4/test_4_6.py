"""4-6의 검사: 이어 할 체크포인트 고르기."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from course.checks.recognising import explained, sound, when
from course.checks.words import fail, todo

IDEA = "이어 할 체크포인트"
# 스텝 → 온전한가. 가장 큰 수(1000)와 그다음(310)은 쓰다 만 것입니다. 글로 견주면 8이, 앞의 두 글자만 보면 75가, 끝의
# 글자만 보면 189가 가장 큽니다. 가장 작은 것은 3입니다.
STEPS = {75: True, 1000: False, 205: True, 310: False, 189: True, 8: True, 3: True}
WANT = 205
WRONG = {
    "checkpoint-8": "as-text",
    "checkpoint-75": "part-of-number",
    "checkpoint-189": "part-of-number",
    "checkpoint-1000": "half-written",
    "checkpoint-3": "smallest",
}
OTHERS = ("final_model", "logs", "checkpoint-best", "checkpoint-900.old", ".checkpoint-400.7.tmp", "my-checkpoint-999")


def write(folder: Path, steps: dict[int, bool]) -> None:
    for step, whole in steps.items():
        place = folder / f"checkpoint-{step}"
        place.mkdir(parents=True)
        for name in ("model.safetensors", "optimizer.pt", *(["trainer_state.json"] if whole else [])):
            (place / name).write_text("{}", encoding="utf-8")
    for name in OTHERS:
        (folder / name).mkdir()
        (folder / name / "trainer_state.json").write_text("{}", encoding="utf-8")


def in_order(asked: Callable[[], Any], reverse: bool) -> Any:
    """폴더 안의 것이 스텝의 차례로, 또는 거꾸로 늘어서 있을 때의 답. 파일 시스템은 어떤 차례도 약속하지 않습니다."""
    real = Path.glob

    def glob(self: Path, *given: Any, **more: Any) -> Any:
        steps = re.compile(r"\d+")
        found = list(real(self, *given, **more))
        return iter(sorted(found, key=lambda path: int((steps.findall(path.name) or [0])[0]), reverse=reverse))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "glob", glob)
        return asked()


@pytest.fixture
def choose(load, tmp_path):
    """학생의 함수가 고른 것."""
    step = load(4)
    made: list[Path] = []

    def chosen(steps: dict[int, bool], newest: int | None = None) -> Any:
        chosen.folder = folder = tmp_path / f"{len(made)}번째" / "checkpoint-7000"  # 폴더의 이름에도 수가 있습니다.
        made.append(folder)
        folder.mkdir(parents=True)
        write(folder, steps)
        if newest is not None:
            os.utime(folder / f"checkpoint-{newest}", (4e9, 4e9))
        raised = "" if any(steps.values()) else "^(?P<got>FileNotFoundError|UserError)|list index out of range|"
        known = (
            when(
                f"{raised}empty (sequence|iterable)|max\\(\\) (arg|iterable)",
                "empty-stops",
                idea="빈 목록",
                expected="None",
            ),
            when("invalid literal for int", "not-a-number", idea="스텝 수", expected="이름의 끝의 수"),
        )
        before = set(folder.rglob("*"))
        with explained(*known):
            answers = [in_order(lambda: step.last_checkpoint(folder), reverse) for reverse in (False, True)]
        if gone := sorted(before - set(folder.rglob("*"))):
            fail(idea="부작용", symptom="folders-removed", expected="그대로인 폴더", got=gone[0].name)
        if answers[0] != answers[1]:
            if finds_without_numbers(step, folder, steps):
                fail(idea="스텝 수", expected="이름의 끝의 수", got="checkpoint-7000", symptom="parent-number")
            best = max((number for number, is_whole in steps.items() if is_whole), default=None)
            unfinished = [f"checkpoint-{number}" for number, is_whole in steps.items() if not is_whole]
            half = next((one.name for one in answers if isinstance(one, Path) and one.name in unfinished), None)
            if half is not None:
                fail(idea=IDEA, symptom="half-written", expected=f"checkpoint-{best}" if best else "None", got=half)
            names = ", ".join(str(one and Path(one).name) for one in answers)
            fail(idea="차례", symptom="depends-on-order", expected="언제나 같은 것", got=names)
        return answers[0]

    return chosen


def finds_without_numbers(step: Any, folder: Path, steps: dict[int, bool]) -> bool:
    """폴더의 경로에 수가 없으면 옳은 것을 찾는가."""
    with pytest.MonkeyPatch.context() as patch, suppress(Exception):
        patch.chdir(folder)
        found = [in_order(lambda: step.last_checkpoint(Path()), reverse) for reverse in (False, True)]
        best = max(number for number, is_whole in steps.items() if is_whole)
        return all(one.name == f"checkpoint-{best}" for one in found)
    return False


def shortened(text: str, limit: int = 20) -> str:
    return repr(text if len(text) <= limit else f"…{text[-limit:]}")


def named(got: Any, folder: Path, want: Path | None) -> None:
    """고른 것이 폴더의 경로가 아니면, 무엇인지 말합니다."""
    if isinstance(got, int):
        fail(idea=IDEA, expected="폴더의 경로", got=str(got), symptom="number-given")
    if isinstance(got, list):
        fail(idea=IDEA, expected="폴더 하나", got=f"폴더 {len(got)}개", symptom="list-given")
    if isinstance(got, (tuple, dict)):
        fail("폴더의 경로 하나가 아닌 것을 담았습니다.", idea=IDEA, expected="폴더의 경로", got=type(got).__name__)
    if got is not None and not isinstance(got, Path):
        fail(idea=IDEA, expected="Path", got=f"{type(got).__name__} {shortened(str(got))}", symptom="name-given")
    if isinstance(got, Path) and want is not None and got.name == "trainer_state.json":
        fail(idea=IDEA, expected=want.name, got=got.name, symptom="file-given")


@todo("4-6")
def test_it_is_the_whole_checkpoint_with_most_steps(choose):
    """온전한 것 가운데 스텝 수가 가장 큰 것입니다."""
    got = choose(STEPS, newest=WANT)
    want = choose.folder / f"checkpoint-{WANT}"
    named(got, choose.folder, want)
    if got is None:
        whole_only = {number: True for number, is_whole in STEPS.items() if is_whole}
        symptom = "newest-only" if choose(whole_only) == choose.folder / want.name else "never-found"
        fail(idea=IDEA, expected=want.name, got="None", symptom=symptom)
    if got != want:
        symptom = WRONG.get(got.name)
        message = "" if symptom else "가장 나중의 온전한 체크포인트가 아닙니다."
        fail(message, idea=IDEA, expected=want.name, got=got.name, symptom=symptom)


@todo("4-6")
@pytest.mark.parametrize(("less", "most"), [(9_871, 10_023), (98_713, 100_271), (998_461, 1_003_517)])
def test_the_number_of_digits_does_not_matter(choose, less, most):
    """오래 학습하면 스텝 수의 자릿수가 늘어납니다. 글로 견주면 앞의 것이, 수로 견주면 뒤의 것이 큽니다."""
    if not sound(lambda: choose(STEPS) == choose.folder / f"checkpoint-{WANT}"):
        return  # 앞의 검사가 말합니다.
    got = choose({less: True, most: True})
    want = choose.folder / f"checkpoint-{most}"
    named(got, choose.folder, want)
    if got != want:
        came = "None" if got is None else got.name
        symptom = "fixed-width" if came == f"checkpoint-{less}" else None
        message = "" if symptom else "가장 나중의 체크포인트가 아닙니다."
        fail(message, idea="스텝 수", expected=want.name, got=came, symptom=symptom)


@todo("4-6")
def test_the_time_of_the_folder_does_not_matter(choose):
    """베낀 폴더는 시각이 바뀝니다. 시각이 아니라 이름의 수를 봅니다."""
    got = choose({148: True, 310: True, 231: True, 27: True}, newest=231)  # 글로 견주어도 수로 견주어도 310입니다.
    want = choose.folder / "checkpoint-310"
    named(got, choose.folder, want)
    if got != want:
        came = "None" if got is None else got.name
        symptom = {"checkpoint-231": "by-time", "checkpoint-27": "smallest", "None": "never-found"}.get(came)
        message = "" if symptom else "가장 나중의 체크포인트가 아닙니다."
        fail(message, idea=IDEA, expected=want.name, got=came, symptom=symptom)


@todo("4-6")
@pytest.mark.parametrize("steps", [{}, {44: False}])
def test_none_is_whole(choose, steps):
    """온전한 것이 하나도 없으면 None입니다."""
    got = choose(steps)
    named(got, choose.folder, None)
    if got is not None:
        came = got.name
        symptom = {"checkpoint-44": "half-written"}.get(came)
        if got == choose.folder:
            symptom, came = "folder-itself", f"{came} 폴더"
        message = "" if symptom else "온전한 체크포인트가 없는데 무언가를 골랐습니다."
        fail(message, idea=IDEA, expected="None", got=came, symptom=symptom)
