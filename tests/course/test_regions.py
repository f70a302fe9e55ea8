"""TODO 자리를 찾고, 읽고, 바꿉니다."""

from __future__ import annotations

import ast

import pytest

from course.book.regions import RegionError, code_of, find, lines_of, names_needed, parse, splice, to_exercise
from tests.course.workshop import ODD

TEXT = '''"""설명"""

import math


class Shape:
    def area(self, radius):
        # [TODO 1-1] 넓이를 구하세요.
        # 힌트: 원의 넓이는
        #       반지름의 제곱에 비례합니다.
        squared = radius**2

        if radius > 0:
            self.size = math.pi * squared
        # [END 1-1]
        return squared

    def name(self):
        # [TODO 1-2] 이름을 정하세요.
        words = [word for word in ("둥근", "것")]
        title = " ".join(words)
        # [END 1-2]
        return title, [word for word in "끝"]
'''


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_lines_are_those_python_counts(odd):
    text = f"a{odd}b\nc\r\nd\re"
    assert lines_of(text) == [f"a{odd}b\n", "c\r\n", "d\r", "e"]
    assert lines_of("") == []


def region(todo_id="1-1", end=None, code="x = 1"):
    return f"# [TODO {todo_id}] 할 일\n{code}\n# [END {end or todo_id}]\n"


def test_regions_are_found_in_order_with_goal_and_indent():
    assert [(one.id, one.goal, one.indent, one.step) for one in parse(TEXT)] == [
        ("1-1", "넓이를 구하세요.", " " * 8, 1),
        ("1-2", "이름을 정하세요.", " " * 8, 1),
    ]


def test_hint_of_several_lines_is_joined():
    assert find(TEXT, "1-1").hint == "원의 넓이는 반지름의 제곱에 비례합니다."
    assert find(TEXT, "1-2").hint == ""


def test_code_is_read_without_marks_hint_and_indent():
    assert code_of(TEXT, "1-1") == "squared = radius**2\n\nif radius > 0:\n    self.size = math.pi * squared\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("\n# [TODO 1-1] 할 일\nx = 1\n", 2, id="no end"),
        pytest.param("x = 1\n\n# [END 1-1]\n", 3, id="no begin"),
        pytest.param(region(end="1-2"), 3, id="another number"),
        pytest.param("# [TODO 1-1] 가\n# [TODO 1-2] 나\n# [END 1-2]\n# [END 1-1]\n", 1, id="overlap"),
        pytest.param(region() + region(), 6, id="same number twice"),
    ],
)
def test_wrong_marks_are_reported_with_file_and_line(text, line):
    with pytest.raises(RegionError, match=rf"step1_x\.py {line}번째 줄"):
        parse(text, "step1_x.py")


def test_unknown_number_is_reported_with_the_file():
    with pytest.raises(RegionError, match=r"step1_x\.py.*9-9"):
        find(TEXT, "9-9", "step1_x.py")


@pytest.mark.parametrize("todo_id", ["1-1", "1-2"])
def test_code_put_back_gives_the_same_text(todo_id):
    assert splice(TEXT, todo_id, code_of(TEXT, todo_id)) == TEXT


def test_empty_region_and_trailing_blank_lines_survive_the_round_trip():
    for text in ("# [TODO 1-1] 할 일\n# [END 1-1]\n", region(code="x = 1\n\n")):
        assert splice(text, "1-1", code_of(text, "1-1")) == text


STRINGS = [
    'page = """첫 줄\n  둘째 줄\n셋째 줄\n        여덟 칸\n\n   \n"""\ntail = page',
    'page = f"""\n{page}\n  {len(page)}\n"""',
    "page = '이어지는 \\\n글'\nif page:\n    more = '''속의 줄\n    또'''  # 주석",
]


@pytest.mark.parametrize("code", STRINGS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_strings_of_several_lines_keep_their_value(code, newline):
    text = "def f(page=''):\n    # [TODO 1-1] 할 일\n    pass\n    # [END 1-1]\n    return page\n"
    there = splice(text.replace("\n", newline), "1-1", code)
    assert code_of(there, "1-1") == code + "\n"
    assert splice(there, "1-1", code_of(there, "1-1")) == there
    wanted, got = {"page": "쪽"}, {}
    exec(code, wanted)
    exec(there.replace(newline, "\n"), got)
    assert got["f"]("쪽") == wanted["page"]


@pytest.mark.parametrize("code", ["x = 1\n    \n\t\ny = 2\n", 'x = """끝나지 않은\n  글\n', "if x:\n  y\n z = (\n"])
def test_blank_lines_and_broken_code_survive_the_round_trip(code):
    text = splice("  # [TODO 1-1] 할 일\n  # [END 1-1]\n", "1-1", code)
    assert code_of(text, "1-1") == code
    assert splice(text, "1-1", code_of(text, "1-1")) == text


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_splice_changes_nothing_outside_the_region(newline):
    text = ("앞 \t \n\x0c\n" + TEXT + "# 뒤 \u2028 줄").replace("\n", newline)
    old = text.partition(f"비례합니다.{newline}")[2].partition("        # [END 1-1]")[0]
    assert splice(text, "1-1", "pass\n") == text.replace(old, f"        pass{newline}")


def test_tabs_are_kept_as_the_indent():
    text = "def f():\n\t# [TODO 1-1] 할 일\n\tx = 1\n\t# [END 1-1]\n"
    assert code_of(text, "1-1") == "x = 1\n"
    assert splice(text, "1-1", "if x:\n\ty = 2") == text.replace("\tx = 1\n", "\tif x:\n\t\ty = 2\n")


def test_last_line_may_lack_a_newline():
    text = region().rstrip("\n")
    assert code_of(text, "1-1") == "x = 1\n"
    assert splice(text, "1-1", "y = 2") == text.replace("x = 1", "y = 2")


def test_line_separators_inside_a_string_are_not_line_ends():
    code = 'x = "가\u2028나\x0c다"\n'
    assert code_of(splice(region(), "1-1", code), "1-1") == code


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_exercise_is_python_without_a_line_of_the_solution(newline):
    text = TEXT.replace("\n", newline)
    exercise = to_exercise(text)
    ast.parse(exercise)
    secret = [line.strip() for one in ("1-1", "1-2") for line in code_of(text, one).splitlines() if line.strip()]
    assert [line for line in secret if line in exercise] == []
    assert exercise.count("\n") == exercise.count(newline)
    for one in ("1-1", "1-2"):
        assert code_of(exercise, one).startswith(f'todo("{one}")')


def test_exercise_imports_todo_below_the_other_imports():
    assert to_exercise(TEXT).splitlines()[2:4] == ["import math", "from todo import todo"]


def test_exercise_without_imports_keeps_its_docstring():
    exercise = to_exercise('"""설명"""\n\n' + region())
    assert ast.get_docstring(ast.parse(exercise)) == "설명"
    assert "from todo import todo\n" in exercise


def test_names_made_in_the_region_and_used_below_are_needed():
    assert names_needed(TEXT, find(TEXT, "1-1")) == ["squared", "self.size"]


def test_loop_variable_of_a_comprehension_is_not_needed():
    assert names_needed(TEXT, find(TEXT, "1-2")) == ["title"]


def test_loop_variable_of_a_comprehension_below_is_not_needed():
    text = (
        "def split(order):\n    made = []\n    # [TODO 1-1] 나누세요.\n    for index in order:\n"
        "        made.append(index)\n    # [END 1-1]\n    return [made[index] for index in range(len(made))]\n"
    )
    assert names_needed(text, find(text, "1-1")) == []


def test_attributes_of_what_the_region_makes_are_not_told():
    text = (
        "def build(self):\n    # [TODO 1-1] 만드세요.\n    tool = make()\n    tool.part = 3\n"
        "    self.inner.deep = 1\n    self.own = 2\n    # [END 1-1]\n    return tool\n"
    )
    assert names_needed(text, find(text, "1-1")) == ["tool", "self.own"]


def test_names_in_the_exercise_are_those_of_the_solution_for_every_region():
    exercise = to_exercise(TEXT)
    assert code_of(exercise, "1-1").endswith("쓰는 이름: squared, self.size\n")
    assert code_of(exercise, "1-2").endswith("쓰는 이름: title\n")
