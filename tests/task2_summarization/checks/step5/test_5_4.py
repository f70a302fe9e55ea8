"""5-4의 검사: 명령줄에 적은 것만 설정 파일 위에 얹기.

설정을 읽는 일(1단계)에는, 건네받은 것을 적어 두는 것을 대신 둡니다.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from course.checks.recognising import explained, require_value, when
from course.checks.words import fail, todo
from nlpbook.cli import Options
from nlpbook.summarization.commands import ServeOptions, TrainOptions
from nlpbook.summarization.config import SummarizationConfig

IDEA = "얹는 것"
# 사람이 적은 것들. 거짓으로 읽히는 값(0, False, 빈 목록)도, 설정의 기본값과 같은 값(num_beams와 빈 목록)도 있습니다.
WRITTEN = {
    "num_beams": 4,
    "fp16": False,
    "warmup_ratio": 0.0,
    "num_train_epochs": 11,
    "remove_tokens": [],
    "experiment_name": "내 실험",
}
WORDS = ["training.learning_rate=3e-4", "wandb.mode=offline"]
ASSIGNED = {"training.learning_rate": "3e-4", "wandb.mode": "offline"}
OWN = {"config": "내 설정.yaml", "quantize": "int8", "server_port": 9213}  # 명령의 것


def command_line(kind: type, own: Mapping[str, Any], words: list[str] | None) -> Options:
    """명령줄에서 온 것과 같은 옵션: 적지 않은 설정의 항목은 None이고, 적지 않은 명령의 것은 기본값입니다."""
    values: dict[str, Any] = {"settings": words}
    values |= {leaf.option: getattr(leaf.field, "default", None) for leaf in kind.leaves()}
    values |= dict.fromkeys(SummarizationConfig.options())
    values |= {**own, **WRITTEN}
    options = Options(values)
    options.given = frozenset({*own, *WRITTEN})
    return options


class Loading:
    """학생의 함수가 `load_config`에 건넨 것.

    Attributes:
        name: 설정의 이름.
        overrides: 얹으라고 한 것.
    """

    def __init__(self, step: Any, options: Options, kind: type) -> None:
        self.name: Any = None
        self.overrides: Any = None
        self.called = False
        before = dict(options)

        def load_config(name: Any = "quick", overrides: Any = (), *more: Any, **rest: Any) -> SummarizationConfig:
            self.called = True
            self.name, self.overrides = name, overrides
            return SummarizationConfig()

        known = (
            when("KeyError: '(?P<got>\\w+\\.\\w+)'", "words-looked-up", idea="이름=값", expected="written"),
            when(
                "dictionary update sequence|cannot convert dictionary",
                "words-unsplit",
                idea="이름=값",
                expected="written",
            ),
        )
        with pytest.MonkeyPatch.context() as patch, explained(*known):
            patch.setattr("step1_config_and_model.load_config", load_config)
            step.config_from(options, kind)
        if dict(options) != before:
            fail(idea="부작용", expected="그대로", got="달라진 옵션", symptom="inputs-changed", name="options")


@pytest.fixture
def serving(step) -> Loading:
    return Loading(step, command_line(ServeOptions, OWN, list(WORDS)), ServeOptions)


@pytest.fixture
def training(step) -> Loading:
    return Loading(step, command_line(TrainOptions, {"resume_from_checkpoint": "가/나"}, None), TrainOptions)


def require_overrides(got: Any, want: dict[str, Any], own: Mapping[str, Any], words: bool) -> None:
    """얹을 것이 `want`와 같은지 봅니다. 아니면 무엇이 다른지 말합니다."""
    require_value(got, "overrides")
    if not isinstance(got, Mapping):
        fail("overrides가 딕셔너리가 아닙니다.", idea=IDEA, expected="이름 → 값", got=type(got).__name__)
    if dict(got) == want:
        return
    unasked = sorted(name for name, value in got.items() if value is None and name in SummarizationConfig.options())
    if unasked:
        fail(
            idea="적지 않은 것", expected=f"{len(want)}개", got=f"{len(got)}개", symptom="defaults-too", name=unasked[0]
        )
    if "settings" in got and not isinstance(got["settings"], Mapping):
        fail(idea=IDEA, expected="training.learning_rate", got="settings", symptom="settings-key", name="settings")
    mine = sorted(set(got) & set(own))
    lost = sorted(set(want) - set(got))
    if mine and lost == sorted(WRITTEN):
        fail(idea="명령의 것", expected="설정의 항목", got=", ".join(mine), symptom="inverted")
    if mine:
        fail(idea="명령의 것", expected="설정의 항목만", got=mine[0], symptom="own-included", name=mine[0])
    name_the_lost(got, want, lost, words)
    if set(got) == set(want):
        name = next(name for name in want if got[name] != want[name])
        about = {"expected": f"{name}={want[name]!r}", "got": f"{name}={got[name]!r}"}
        same = got[name]
        if all(got[one] is same for one in WRITTEN):
            fail(idea=IDEA, symptom="same-value", expected=about["expected"], got=repr(same))
        symptom = (
            {str(want[name]): "as-text", name: "name-as-value"}.get(got[name]) if isinstance(got[name], str) else None
        )
        fail("" if symptom else "값이 적은 것과 다릅니다.", idea=IDEA, symptom=symptom, **about)
    more = sorted(set(got) - set(want))
    about = {"expected": f"{len(want)}개", "got": f"{', '.join(lost or more)[:80]}"}
    fail(f"얹는 것에서 {'빠진' if lost else '남는'} 것이 있습니다.", idea=IDEA, **about)


def name_the_lost(got: Mapping[str, Any], want: dict[str, Any], lost: list[str], words: bool) -> None:
    """빠진 것들에서, 무엇을 보고 빼었는지 알아봅니다."""
    about = {
        "expected": ", ".join(sorted(want)),
        "got": ", ".join(sorted(map(str, got))) or "없음",
        "name": ", ".join(lost),
    }
    falsy = sorted(name for name, value in WRITTEN.items() if not value)
    texts = sorted(name for name, value in WRITTEN.items() if not isinstance(value, (int, float)))
    usual = sorted(name for name, value in WRITTEN.items() if value == default_of(name))
    plain = [
        name for name in usual if not isinstance(WRITTEN[name], list)
    ]  # 목록의 기본값은 필드가 아니라 만드는 함수에 있습니다.
    if lost == falsy:
        fail(idea="0과 False", symptom="falsy-dropped", **about)
    if lost == texts:
        fail(idea="옵션", symptom="numbers-only", **about)
    if lost in (usual, plain):
        fail(idea="기본값", symptom="default-dropped", **about)
    if words and lost == sorted(ASSIGNED):
        nested = any(isinstance(one, Mapping) and dict(one) == ASSIGNED for one in got.values())
        short = next((name for name in lost if name.rpartition(".")[2] in got), None)
        if short is not None:
            fail(idea="이름", symptom="renamed", expected=short, got=short.rpartition(".")[2])
        if unfolded(got):
            fail(idea="이름", symptom="words-unfolded", expected=lost[0], got=lost[0].partition(".")[0])
        fail(idea="이름=값", symptom="words-nested" if nested else "words-dropped", **about)
    extra = [str(name) for name in got if name not in want]
    if lost == sorted(WRITTEN) and extra and all(name.rpartition(".")[2] in WRITTEN for name in extra):
        fail(idea="이름", symptom="renamed", expected="num_beams", got=next(one for one in extra if "num_beams" in one))
    if lost == sorted(WRITTEN):
        fail(idea="옵션", symptom="options-dropped", **about)
    left = [name for name in WRITTEN if name in got]
    if len(left) == 1 and not extra:
        fail(idea="반복", symptom="only-one", expected=f"{len(WRITTEN)}개", got=left[0])


def unfolded(got: Mapping[str, Any]) -> bool:
    """이름=값의 말들이 이름의 점에서 갈라져 딕셔너리 안의 딕셔너리에 담겼는가."""
    places = {path: path.split(".") for path in ASSIGNED}
    groups = {path: got.get(group) for path, (group, _) in places.items()}
    return all(
        isinstance(inner, Mapping) and inner.get(places[path][1]) == ASSIGNED[path] for path, inner in groups.items()
    )


def default_of(option: str) -> Any:
    """그 옵션의, 설정에서의 기본값."""
    leaf = next(leaf for leaf in SummarizationConfig.leaves() if leaf.option == option)
    return SummarizationConfig()[".".join(leaf.path)]


@todo("5-4")
def test_what_was_written_goes_over_the_file(serving):
    """사람이 적은 설정의 항목과 이름=값의 말들이, 적은 값 그대로 얹힙니다."""
    if not serving.called:
        fail("load_config를 부르지 않았습니다.", idea=IDEA, expected="load_config(이름, overrides)", got="부르지 않음")
    require_overrides(serving.overrides, {**WRITTEN, **ASSIGNED}, OWN, words=True)
    if serving.name != OWN["config"]:
        fail(idea="설정 파일", symptom="other-config", expected=OWN["config"], got=str(serving.name))


@todo("5-4")
def test_nothing_else_goes_over_the_file(training):
    """이름=값의 말이 없을 때도, 다른 명령에서도 마찬가지입니다."""
    require_overrides(training.overrides, WRITTEN, {"resume_from_checkpoint": ""}, words=False)
