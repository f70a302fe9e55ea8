"""명령줄: 밑줄과 하이픈, 도움말, 사람이 적은 옵션, 한국어 한 문장의 오류와 종료 코드."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import typer
from rich.cells import cell_len

from nlpbook.classification.config import TestConfig, TrainConfig
from nlpbook.cli import EXIT_INTERRUPTED, EXIT_USAGE, EXIT_USER_ERROR, new_app, run, with_options
from nlpbook.errors import UserError
from nlpbook.settings import PANELS
from todo import TodoNotDone, todo


@pytest.fixture
def command_line(capsys, monkeypatch):
    """`command_line("train", "--seed", "3")` → 종료 코드(code), 받은 옵션(options), 화면(out, err).

    `command_line.train`을 바꾸면 train이 하는 일이 바뀝니다.
    """
    monkeypatch.setenv("COLUMNS", "110")

    def call(*words: str) -> SimpleNamespace:
        got = []

        def train(options) -> None:
            """학습합니다."""
            got.append(options)
            call.train(options)

        app = new_app("시험용 명령줄")
        app.command("train")(with_options(TrainConfig)(train))
        app.command("test")(with_options(TestConfig)(lambda options: None))
        with pytest.raises(SystemExit) as ended:
            run(app, list(words))
        shown = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code, options=got[0] if got else None, out=shown.out, err=shown.err)

    call.train = lambda options: None
    return call


def assert_one_korean_sentence(result: SimpleNamespace, code: int) -> None:
    assert result.code == code
    assert result.err.startswith("오류: ")
    assert len(result.err.splitlines()) == 1
    assert any("가" <= letter <= "힣" for letter in result.err.removeprefix("오류: "))


def test_underscores_and_hyphens_mean_the_same(command_line):
    under = command_line("train", "--num_epochs", "5", "--data_name=nsmc")
    hyphen = command_line("train", "--num-epochs", "5", "--data-name=nsmc")
    assert under.code == hyphen.code == 0
    assert under.options == hyphen.options
    assert (under.options["num_epochs"], under.options["data_name"]) == (5, "nsmc")


def test_hyphens_inside_values_stay(command_line):
    options = command_line("train", "--job_name", "my-run_1", "--precision", "bf16-mixed").options
    assert (options["job_name"], options["precision"]) == ("my-run_1", "bf16-mixed")


def test_options_left_out_have_their_defaults(command_line):
    options = command_line("train").options
    assert {name: options[name] for name in ("seq_len", "valid_file", "resume")} == {
        "seq_len": 128,
        "valid_file": None,
        "resume": False,
    }
    assert set(options) == set(TrainConfig.options())


def test_given_holds_only_what_was_typed_even_if_it_equals_the_default(command_line):
    options = command_line("train", "--seq-len", "128", "--resume").options
    assert options.given == {"seq_len", "resume"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--num_epochs", "셋"], "정수"),
        (["train", "--learning_rate", "빠르게"], "수를"),
        (["train", "--num_epochs", "0"], "1 이상"),
        (["train", "--warmup_rate", "1.5"], "1 이하"),
        (["train", "--seq-len", "-1"], "4 이상"),
        (["train", "--learning_rate", "nan"], "수를"),
        (["train", "--precision", "8bit"], "'bf16-mixed'"),
        (["train", "--saving_mode", "max accuracy"], "'max val_acc'"),
        (["train", "--seed"], "--seed"),
        (["train", "--num_epoch", "3"], "--num_epochs"),
        (["train", "--resume=3"], "--resume"),
        (["train", "남는말"], "남는말"),
        (["trian"], "모르는 명령"),
        (["test", "--num_epochs", "3"], "모르는 옵션"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_korean_sentence_and_code_2(command_line, words, said):
    result = command_line(*words)
    assert_one_korean_sentence(result, EXIT_USAGE)
    assert said in result.err
    assert "--help" in result.err
    assert result.options is None


def test_no_command_shows_the_help(command_line):
    result = command_line()
    assert result.code == EXIT_USAGE
    assert "train" in result.out + result.err


def test_help_lists_every_option_under_its_panel(command_line):
    result = command_line("train", "--help")
    assert result.code == 0
    for group in TrainConfig.groups():
        assert PANELS[group] in result.out
    for name in TrainConfig.options():
        assert f"--{name}" in result.out
    assert "이 도움말을 보여 줍니다" in result.out
    assert PANELS["server"] not in result.out


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("파일이 없습니다: a.txt"), "파일이 없습니다: a.txt"),
        (OSError(28, "No space left on device"), "디스크"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "--train_batch"),
        (PermissionError(13, "denied", "/root/output"), "/root/output"),
        (ValueError("처음 줄\n둘째 줄"), "처음 줄"),
    ],
)
def test_an_error_while_running_is_one_korean_sentence(command_line, error, said):
    command_line.train = raiser(error)
    result = command_line("train")
    assert_one_korean_sentence(result, EXIT_USER_ERROR)
    assert said in result.err


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), typer.Abort()])
def test_ctrl_c_ends_quietly_with_130(command_line, interrupt):
    """사람이나 작업 관리기가 멈춘 것은 오류가 아닙니다."""
    command_line.train = raiser(interrupt)
    result = command_line("train")
    assert (result.code, result.err) == (EXIT_INTERRUPTED, "멈췄습니다. 저장한 것은 그대로 있습니다.\n")


def test_debugging_shows_the_whole_error(command_line):
    command_line.train = raiser(UserError("까닭"))
    with pytest.raises(UserError, match="까닭"):
        command_line("train", "--debugging")


def test_an_unfilled_todo_is_left_to_say_where_it_is(command_line):
    command_line.train = lambda options: todo("5-3")
    with pytest.raises(TodoNotDone):
        command_line("train")


def test_only_the_first_process_speaks(command_line, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    result = command_line("train", "--num_epochs", "0")
    assert (result.code, result.err) == (EXIT_USAGE, "")


def raiser(error: BaseException):
    def act(options) -> None:
        raise error

    return act


@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize("words", [["--help"], ["train", "--help"]], ids=" ".join)
def test_help_fits_the_width_and_loses_no_text(command_line, monkeypatch, columns, words):
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = command_line(*words).out
    assert max(map(cell_len, shown.splitlines())) <= columns
    assert "…" not in shown
    texts = [field.metadata["help"] for _, field in TrainConfig.options().values()] if len(words) > 1 else []
    for text in ["학습합니다.", *texts]:
        assert text.replace(" ", "") in "".join(shown.split())


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["trian"], "혹시 train 인가요?"),
        (["train", "--num_epoch", "3"], "혹시 --num_epochs"),
        (["train", "--lerning-rate", "1"], "혹시 --learning_rate"),
        (["train", "--precision", "bf16-mixd"], "혹시 bf16-mixed"),
    ],
    ids=" ".join,
)
def test_a_near_name_is_suggested(command_line, words, meant):
    assert meant in command_line(*words).err


def test_the_advice_to_run_foreign_code_is_not_passed_on(capsys):
    """PyTorch의 오류는 `weights_only=False`로 읽으라고 권합니다."""

    def main() -> None:
        raise RuntimeError("Weights only load failed. (1) set `weights_only=False` …")

    app = new_app("시험", no_args_is_help=False)
    app.command()(main)
    with pytest.raises(SystemExit):
        run(app, [])
    said = capsys.readouterr().err
    assert "코드가 든 파일이라 읽지 않았습니다" in said
    assert "weights_only" not in said


@pytest.mark.parametrize(
    ("limits", "value", "expected"),
    [({"min": 4}, "3", "4 이상의 수를"), ({"max": 9}, "10", "9 이하의 수를"), ({"min": 4}, "많이", "정수를")],
)
def test_a_value_typer_refuses_gets_a_korean_sentence(capsys, limits, value, expected):
    app = new_app("시험", no_args_is_help=False)

    @app.command()
    def main(length: int = typer.Option(5, **limits)) -> None: ...

    with pytest.raises(SystemExit):
        run(app, ["--length", value])
    assert expected in capsys.readouterr().err
