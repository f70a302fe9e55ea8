"""바뀐 이름을 옮길 곳: 이름의 토큰과 글 전체인 문자열뿐이고, f-문자열은 어느 파이썬에서나 그 속의 식까지 봅니다."""

from __future__ import annotations

import pytest

from course.book.tasks import all_tasks
from course.home import ROOT, CourseError, Home
from course.student.renaming import FILE_NAME, Reading, Table, applied, f_string_fields, find_names, read_table

NAMES = {"args": "config", "optimize": "train_step"}
STRINGS = {"model": "model_state_dict"}


def all_ways(text, names=NAMES, strings=STRINGS, **more):
    lines = range(len(text.splitlines()))
    return [applied(text, edits) for edits in Reading(text).ways(lines, names, strings, **more)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("self.args.optimize(args)", "self.config.train_step(config)"),
        ("args # args\n'args'", "config # args\n'args'"),
        ("myargs = parse_args(args)", "myargs = parse_args(config)"),
        (
            'state = {"model": self.model, "model ": r"model", b"model": 1}',
            'state = {"model_state_dict": self.model, "model ": r"model_state_dict", b"model": 1}',
        ),
        ("'''model'''", "'''model_state_dict'''"),
        ("x['model'] + '모델 model'", "x['model_state_dict'] + '모델 model'"),
        ("f'args {args.rate:.3f} {{args}}'", "f'args {config.rate:.3f} {{args}}'"),
        ("f'{args!r:>{args.width}} 가 {args=}'", "f'{config!r:>{config.width}} 가 {config=}'"),
        ("f\"{state['model']}\"", "f\"{state['model_state_dict']}\""),
        ("f'{args if args != 1 else x[args:2]}'", "f'{config if config != 1 else x[config:2]}'"),
        ("f'''가\n{args}\n{\nargs}'''", "f'''가\n{config}\n{\nconfig}'''"),
        ("rf'\\d{args}' f'{optimize()}'", "rf'\\d{config}' f'{train_step()}'"),
        ("'한글' + args; f'한글 {args}'", "'한글' + config; f'한글 {config}'"),
        ("run(\r\n    args)\r\n", "run(\r\n    config)\r\n"),
    ],
)
def test_only_whole_tokens_move(before, after):
    assert all_ways(before)[0] == after


def test_nothing_to_move_is_no_way():
    assert all_ways("x = 1  # args\n'args'") == []


def test_moving_twice_changes_nothing():
    [once] = all_ways("self.args.optimize(args, 'model')")
    assert all_ways(once) == []


def test_names_that_trade_places_move_at_once():
    [moved] = all_ways("build(config, args)", {"args": "config", "config": "lm_config"})
    assert moved == "build(lm_config, config)"


def test_name_the_code_makes_itself_moves_only_in_the_second_way():
    assert all_ways("args = [self.args]\nprint(args)") == [
        "args = [self.config]\nprint(args)",
        "config = [self.config]\nprint(config)",
    ]
    assert all_ways("def mine(args):\n    return args + self.args\n", own_too=False) == [
        "def mine(args):\n    return args + self.config\n"
    ]


def test_argument_of_someone_elses_function_stays_in_the_last_way():
    assert all_ways("args = 1\nprint(args)") == ["args = 1\nprint(args)", "config = 1\nprint(config)"]
    assert all_ways("Thread(args=args)") == ["Thread(config=config)", "Thread(args=config)"]


@pytest.mark.parametrize(
    ("text", "moved", "taken"),
    [
        ("config = load()\nuse(args, config, self.args)", "config = load()\nuse(args, config, self.config)", {"args"}),
        ("self.config = 1\nuse(self.args, args)", "self.config = 1\nuse(self.args, config)", {"args"}),
        ("model.config\nself.args", "model.config\nself.config", set()),
        ("AutoModel(config=1)\nself.args", "AutoModel(config=1)\nself.config", set()),
    ],
)
def test_new_name_that_means_something_else_here_is_not_taken(text, moved, taken):
    assert all_ways(text)[0] == moved
    assert {old for _, old in Reading(text).clashes(range(9), NAMES)} == taken


@pytest.mark.parametrize("text", ["args = = 1", "x = '", "f'{args'", "if 1:\nargs"])
def test_code_python_cannot_read_is_refused(text):
    with pytest.raises(ValueError):
        Reading(text)


@pytest.mark.parametrize(
    ("literal", "fields"),
    [
        ("f'{a}{b!r}{c:>{d}}'", ["a", "b", "c", "d"]),
        ("f'{{a}} {b}'", ["b"]),
        ("F\"{x['}']}\"", ["x['}']"]),
        ("f'{(lambda y: y)(1):{w}.{p}f} {z}'", ["(lambda y: y)(1)", "w", "p", "z"]),
        ("rf'''\\{a != b}'''", ["a != b"]),
        ("f'{a=}{b = !s}'", ["a=", "b = "]),
        ("f''", []),
    ],
)
def test_expressions_of_an_f_string_that_is_one_token(literal, fields):
    """3.11까지의 길. 3.12부터는 tokenize가 나누어 줍니다."""
    assert [literal[begin:end] for begin, end in f_string_fields(literal)] == fields


def test_table_is_read_and_what_is_new_in_it_is_told():
    text = "names: {args: config, a: {to: b, todos: ['4-6']}}\nstrings: {model: m}\nnew_questions: {'5-2': 까닭}\n"
    table = read_table(text, "renamed.yaml")
    assert table.names_for("4-6") == {"args": "config", "a": "b"}
    assert table.names_for("4-5") == {"args": "config"}
    assert (table.strings_for("1-1"), table.new_questions) == ({"model": "m"}, {"5-2": "까닭"})
    assert not table.since(table)
    assert table.since(read_table("names: {args: config}", "")).names_for("4-6") == {"a": "b"}
    assert table.since(Table()) == table


@pytest.mark.parametrize("text", ["names: [a]", "{", "name: {a: b}", "names: {a: b c}", "names: {a: {to: b}}", "3"])
def test_broken_table_is_one_clear_error(text):
    with pytest.raises(CourseError, match=r"renamed\.yaml을 읽을 수 없습니다"):
        read_table(text, "renamed.yaml")


@pytest.mark.parametrize("task", all_tasks(Home(ROOT)), ids=lambda task: task.short)
def test_table_of_a_task_names_what_is_there(task):
    """표의 TODO는 있는 것이고, 새 이름은 새 판의 해답이나 라이브러리에 나오며, 까닭은 한 문장입니다."""
    file = task.checks / FILE_NAME
    table = read_table(file.read_text(encoding="utf-8") if file.is_file() else "", FILE_NAME)
    entries = table.names | table.strings
    todos = {todo for one in entries for todo in one.todos} | table.new_questions.keys()
    assert todos <= task.regions().keys()
    places = [task.solution, ROOT / "nlpbook"] if entries else []
    code = [path.read_text(encoding="utf-8") for place in places for path in place.rglob("*.py")]
    assert {one.new for one in entries} <= {one.text for text in code for one in find_names(text)}
    assert all(why.endswith(".") for why in table.new_questions.values())
