"""5-7의 검사: server-sent events."""

from __future__ import annotations

import json
from copy import deepcopy
from itertools import islice
from typing import Any

import pytest

from course.checks.words import assert_equal, fail, todo

EVENTS = [
    {"text": "옛날 옛적에", "probability": 0.25, "alternatives": [{"text": "\n", "probability": 0.5}]},
    {"text": '"여우야,\n\n어디 가니?"\r\n😀\\', "probability": None, "alternatives": []},
    {"done": True, "reason": "length", "text": "data: 끝\n\n"},
]


def unreadable(body: str, event: dict[str, Any]) -> str:
    """JSON으로 읽을 수 없는 것이 무엇인지."""
    if body == str(event):
        return "python-dict"
    if body == event["text"].strip():
        return "text-only"
    if body.startswith(("b'", 'b"')):
        return "bytes-in-text"
    return "done-marker" if body == "[DONE]" else "not-json"


def without_texts(value: Any) -> Any:
    """글의 내용만 지운 것."""
    if isinstance(value, dict):
        return {name: without_texts(one) for name, one in value.items()}
    if isinstance(value, list):
        return [without_texts(one) for one in value]
    return "" if isinstance(value, str) else value


@pytest.fixture
def messages(step):
    """사건마다의 메시지."""
    idea = "server-sent events"
    try:
        made = list(islice(step.server_sent_events(iter(deepcopy(EVENTS))), len(EVENTS) + 1))
    except (TypeError, RuntimeError) as error:
        known = {"argument: 'fp'": "dumped-to-file", "must be str, bytes": "loads", "application context": "jsonify"}
        symptom = next((name for words, name in known.items() if words in str(error)), None)
        if symptom is None:
            raise
        fail(idea="JSON", expected="JSON인 글", got="멈춤", symptom=symptom)
    assert_equal(len(made), len(EVENTS), idea=idea, message="사건과 메시지의 수가 다릅니다.")
    for one in made:
        if not isinstance(one, str):
            more = {"expected": "글(str)", "got": type(one).__name__, "symptom": "not-text"}
            fail(idea=idea, **more)
    return made


@todo("5-7")
def test_message_begins_with_data(messages):
    """메시지는 "data: "로 시작합니다."""
    for one in messages:
        if one.startswith("data: "):
            continue
        if one.startswith("data:"):
            symptom = "no-space"
        elif one.lstrip("\r\n").startswith("data:"):
            symptom = "newline-first"
        else:
            symptom = "no-prefix"
        got = one[: one.find("data:") + 5] if symptom == "newline-first" else one[:12]
        fail(idea="메시지의 처음", expected=repr("data: "), got=repr(got), symptom=symptom)


@todo("5-7")
def test_message_ends_with_one_blank_line(messages):
    """메시지는 빈 줄 하나로 끝납니다."""
    for event, one in zip(EVENTS, messages, strict=True):
        body = one.rstrip("\r\n")
        end = one[len(body) :]
        text = event["text"]
        own = text[len(text.rstrip("\r\n")) :]
        if end == "\n\n" or own and end == own + "\n\n":
            continue  # 글에 있던 줄바꿈까지 적은 것은 다음 검사가 말합니다.
        symptom = "one-newline"
        if body.endswith("\\n\\n"):
            end, symptom = "\\n\\n", "literal-newline"
        elif "\r" in end:
            symptom = "carriage-return"
        elif len(end) > 2:
            symptom = "blank-lines"
        elif not end and one.startswith("\n"):
            symptom = None  # 줄바꿈이 앞에 있다고 위의 검사가 말합니다.
        more = {"expected": repr("\n\n"), "got": repr(end), "symptom": symptom, "count": len(end)}
        fail("메시지가 빈 줄로 끝나지 않습니다.", idea="메시지의 끝", **more)


@todo("5-7")
def test_message_carries_the_whole_event(messages):
    """가운데는 사건 전체를 담은 JSON 한 줄입니다. 글 속의 줄바꿈과 한글도 그대로 돌아옵니다."""
    idea = "JSON"
    for event, one in zip(EVENTS, messages, strict=True):
        body = one.rstrip("\r\n").removeprefix("data:").removeprefix(" ").removesuffix("\\n\\n")
        if "\n" in body or "\r" in body:
            lines = len(body.splitlines())
            named = all(line.startswith("data:") for line in one.splitlines() if line)  # 줄마다 이름을 적었습니다.
            more = {"expected": "한 줄", "got": f"{lines}줄", "symptom": "many-data" if named else "many-lines"}
            fail("메시지의 가운데가 여러 줄입니다.", idea=idea, **more)
        try:
            got = json.loads(body)
        except ValueError:
            symptom = unreadable(body, event)
            more = {"expected": json.dumps(event, ensure_ascii=False)[:40], "got": body[:40], "symptom": symptom}
            fail("data: 다음이 JSON이 아닙니다.", idea=idea, **more)
        if got == event:
            continue
        symptom = None
        if isinstance(got, str):
            symptom = "twice"
            if got == event["text"]:
                symptom = "text-only"
            elif got == str(event):
                symptom = "python-dict"
        elif isinstance(got, dict) and got.keys() != event.keys():
            symptom = "other-names"
        elif without_texts(got) == without_texts(event):
            symptom = "text-changed"
        expected, shown = (json.dumps(part, ensure_ascii=False)[:60] for part in (event, got))
        fail("메시지의 사건이 받은 사건과 다릅니다.", idea=idea, expected=expected, got=shown, symptom=symptom)
