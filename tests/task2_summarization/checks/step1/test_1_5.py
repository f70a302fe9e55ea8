"""1-5의 검사: 화자 태그를 토큰 하나로."""

from __future__ import annotations

import re
from typing import Any

import pytest

from course.checks.recognising import recognise
from course.checks.words import assert_equal, fail, todo
from tests.task2_summarization.checks import support
from tests.task2_summarization.checks.step1.common import NEW_TAGS, new_tokenizer, pieces_of, registered

IDEA = "토큰 더하기"
TEXTS = [  # 조사가 붙은 태그, 빈칸에 싸인 태그, 이어진 태그, 줄바꿈
    "#Person12#는 회의를 미룹니다.",
    "네 #Person231# 네",
    "#Person32##Person12#: 네.\n#Person231#: 자료는 #Person32#의 것입니다.\n#Person12#\n네",
]
MANNERS = ("bos_token", "eos_token", "pad_token", "unk_token", "padding_side", "truncation_side", "model_max_length")


class Registering:
    """학생의 함수를 한 번 부른 것.

    Attributes:
        tokenizer: 부른 뒤의 토크나이저.
        returned: 돌려받은 것.
        added: 어휘에 새로 생긴 글들.
    """

    def __init__(self, step: Any) -> None:
        self.tokenizer = new_tokenizer()
        self.before = new_tokenizer()
        self.tags = list(NEW_TAGS)
        self.returned = step.register_speakers(self.tokenizer, self.tags)
        self.added = self.tokenizer.get_vocab().keys() - self.before.get_vocab().keys()

    def entry(self, tag: str) -> Any:
        """태그의 `AddedToken`. 없으면 None."""
        return self.tokenizer.added_tokens_decoder.get(self.tokenizer.convert_tokens_to_ids(tag))

    @property
    def has_all(self) -> bool:
        return self.added == set(NEW_TAGS)


@pytest.fixture
def registering(step1) -> Registering:
    return Registering(step1)


@todo("1-5")
def test_every_tag_is_a_token_of_the_vocabulary(registering):
    """어휘에 태그 셋이 더해지고, 다른 것은 더해지지 않습니다."""
    added = registering.added
    if registering.has_all:
        return
    wrong = [
        ("nothing-added", set()),
        *[("one-only", {tag}) for tag in NEW_TAGS],
        *[("one-only", set(NEW_TAGS) - {tag}) for tag in NEW_TAGS],
        *[("joined", {glue.join(NEW_TAGS)}) for glue in ("", " ", ",", ", ", "\n")],
        ("joined", {str(NEW_TAGS)}),
        ("no-hashes", {tag.strip("#") for tag in NEW_TAGS}),
        *[("respelled", {change(tag) for tag in NEW_TAGS}) for change in (str.lower, str.upper, str.title)],
        *[("respelled", {tag.replace("Person", word) for tag in NEW_TAGS}) for word in ("P", "Speaker", "사람")],
        *[("more-than-tag", {f"{tag}{more}" for tag in NEW_TAGS}) for more in (":", ": ", " ")],
        *[("word-mark", {f"{mark}{tag}" for tag in NEW_TAGS}) for mark in ("▁", "Ġ", "##")],
        ("more-than-tag", {f" {tag}" for tag in NEW_TAGS}),
    ]
    shown = ", ".join(one if one == one.strip() else repr(one) for one in sorted(added)) or "없음"
    expected = ", ".join(NEW_TAGS)
    recognise(added, wrong, idea=IDEA, expected=expected, shown=shown)
    if not added & set(NEW_TAGS) and all(re.fullmatch(r"#Person\d+#", one) for one in added):
        fail(idea=IDEA, expected=expected, got=shown, symptom="own-tags")
    fail("어휘에 더해진 것이 태그들이 아닙니다.", idea=IDEA, expected=expected, got=shown)


@todo("1-5")
def test_tags_survive_the_way_back_to_text(registering):
    """특수 토큰을 뺀 글에도 태그가 남습니다. 누가 말했는지는 요약의 알맹이입니다."""
    if not registering.has_all:
        return
    tokenizer = registering.tokenizer
    tokenizer_roles(registering)
    for text in TEXTS:
        got = tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True)
        lost = [tag for tag in NEW_TAGS if tag in text and tag not in got]
        special = [tag for tag in lost if registering.entry(tag).special]
        if special:
            replaced = "<usr>" not in tokenizer.all_special_tokens
            symptom = "replaced-list" if replaced else "special"
            fail(idea="특수 토큰", expected=text, got=got, symptom=symptom, tag=special[0])
        if lost:
            fail("되돌린 글에서 태그가 사라졌습니다.", idea="특수 토큰", expected=text, got=got)


def tokenizer_roles(registering: Registering) -> None:
    """시작, 끝, 채움 같은 토큰의 역할과 쓰는 법은 그대로여야 합니다."""
    for name in MANNERS:
        was, now = getattr(registering.before, name), getattr(registering.tokenizer, name)
        if was != now:
            fail(idea="부작용", expected=was, got=now, symptom="role-changed", name=name)


@todo("1-5")
@pytest.mark.parametrize("text", TEXTS, ids=["조사", "빈칸", "이어진 태그"])
def test_a_tag_is_found_wherever_it_stands(registering, text):
    """조사나 빈칸, 다른 태그가 붙어 있어도 토큰 하나이고, 둘레의 글은 그대로 나뉩니다."""
    if not registering.has_all:
        return
    right = registered(registering.before)
    got, want = (one.convert_ids_to_tokens(one(text)["input_ids"]) for one in (registering.tokenizer, right))
    if got == want:
        return
    entries = [registering.entry(tag) for tag in NEW_TAGS]
    symptom = None
    if any(one.single_word for one in entries) and any(tag in text and tag not in got for tag in NEW_TAGS):
        symptom = "single-word"
    elif any(one.lstrip or one.rstrip for one in entries) and len(got) < len(want):
        symptom = "spaces-eaten"
    message = "" if symptom else "글을 나눈 것이 다릅니다."
    fail(message, idea=IDEA, expected=" ".join(want), got=" ".join(got), symptom=symptom, text=text)


@todo("1-5")
def test_other_texts_are_cut_as_before(registering):
    """태그가 없는 글의 번호와, 이미 있던 태그의 번호는 그대로입니다."""
    tokenizer_roles(registering)
    for text in [*support.DIALOGUES[:-1], *support.SUMMARIES[:-1]]:
        got, want = (one(text)["input_ids"] for one in (registering.tokenizer, registering.before))
        assert_equal(got, want, idea="부작용", message="태그와 상관없는 글의 번호가 달라졌습니다.")


@todo("1-5")
def test_pieces_are_those_before_the_tags_were_known(registering):
    """돌려주는 조각은 등록하기 전의 것입니다. 받은 태그의 목록도 그대로입니다."""
    assert_equal(registering.tags, NEW_TAGS, idea="부작용", symptom="inputs-changed", name="tags")
    got, want = registering.returned, pieces_of()
    if got == want:
        return
    after = {tag: [registering.tokenizer.convert_tokens_to_ids(tag)] for tag in NEW_TAGS}
    shown, expected = (str(one.get(NEW_TAGS[0])) if isinstance(one, dict) else str(one) for one in (got, want))
    numbers = {tag: ids[0] for tag, ids in after.items()}
    recognise(
        got,
        [("pieces-after", after), ("pieces-after", numbers)],
        idea="조각",
        expected=expected,
        shown=shown,
        tag=NEW_TAGS[0],
    )
    fail("돌려준 조각들이 등록하기 전의 것과 다릅니다.", idea="조각", expected=expected, got=shown)
