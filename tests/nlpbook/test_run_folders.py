"""실행 폴더: 이름, 혼자 차지하기, 놓아주기, 다시 찾기. 이름의 표는 과제가 건넵니다."""

from __future__ import annotations

import ast
import os
import platform
import subprocess
import sys
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import nlpbook
from nlpbook import runs
from nlpbook.errors import UserError
from nlpbook.runs import Place, RunFolder, claim, held, latest_run, name_after, require_name, take_up


class Experiment(RunFolder):
    """다른 이름을 쓰는 과제의 표."""

    arguments = Place("training_results.json")
    log = Place("training.log")
    best_model = Place("models/best_model")
    trained = ("checkpoints/*", "models/*")


@pytest.fixture
def gone() -> int:
    """이미 끝난 프로세스의 번호."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def learn(run: RunFolder, name: str = "checkpoints/last.pt") -> RunFolder:
    """배운 것이 남은 실행으로 만듭니다."""
    (run.path / name).parent.mkdir(parents=True, exist_ok=True)
    (run.path / name).touch()
    run.arguments.write_text("{}", encoding="utf-8")
    run.note(pid=None)
    return run


# ── 이름의 표 ──


def test_a_task_names_its_places_in_a_table(tmp_path):
    run = Experiment(tmp_path / "one")
    assert run.arguments == tmp_path / "one" / "training_results.json"
    assert run.best_model == tmp_path / "one" / "models" / "best_model"
    assert run.learning_curve == RunFolder(tmp_path / "one").learning_curve  # 적지 않은 것은 공통의 이름입니다.


def test_runs_are_found_by_the_names_of_their_task(tmp_path):
    learn(claim(RunFolder(tmp_path / "a-1")))
    other = learn(claim(Experiment(tmp_path / "b-1")))
    assert latest_run(Experiment, tmp_path, None, None).path == other.path
    assert latest_run(RunFolder, tmp_path, None, None).path.name == "a-1"


# ── 이름 한 마디 ──


@pytest.mark.parametrize("name", ["a", "한글 이름", "v1.2", "a-b_c", "1e-3", "[x]", "é"])
def test_a_name_is_one_segment(name):
    assert require_name("job_name", name) == name


@pytest.mark.parametrize(
    "name",
    ["", " ", "\u3000", ".", "..", "../../x", "a/b", "a\\b", "/abs", "C:x", "a\nb", "a\0b", "a ", " a", "a.", ".a"]
    + ["CON", "nul.txt", "com1", "what?", "a*", "가" * 34],
)
def test_what_is_no_single_segment_is_refused_by_its_option(name):
    with pytest.raises(UserError, match="--job_version"):
        require_name("job_version", name)


def test_a_decomposed_name_is_the_same_name(tmp_path):
    """macOS의 파인더에서 옮겨 적은 이름은 자모로 풀려 있습니다."""
    decomposed = unicodedata.normalize("NFD", "한글")
    assert require_name("job_name", decomposed) == "한글"
    learn(claim(RunFolder(tmp_path / f"{decomposed}-1")))
    assert latest_run(RunFolder, tmp_path, "한글", "1").path.name == f"{decomposed}-1"


@pytest.mark.parametrize(
    ("source", "name"),
    [("stories.txt", "stories"), ("beomi/KcELECTRA-base", "KcELECTRA-base"), ("/", "run"), ("v1.5-model", "v1.5-model")]
    + [("...", "run"), ("what?.txt", "what_"), ("nul", "nul_"), ("글" * 90, "글" * 16)],
)
def test_a_name_made_from_a_source_is_always_usable(source, name):
    assert name_after(source) == name
    assert require_name("job_name", name) == name


def test_a_run_of_the_current_folder_is_named_after_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert name_after(".") == tmp_path.name


# ── 혼자 차지하기 ──


def test_of_many_who_start_at_once_each_gets_its_own_folder(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: claim(RunFolder(tmp_path / "a-now"), fixed_name=False), range(24)))
    names = {run.path.name for run in made}
    assert len(names) == 24
    assert {"a-now", "a-now-2", "a-now-24"} <= names


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "an abandoned start"])
def test_of_many_who_ask_for_one_name_one_gets_it(tmp_path, there):
    for number in range(20):
        run = RunFolder(tmp_path / str(number) / "a-1")
        if there != "nothing":
            run.path.mkdir(parents=True)
        if there == "an abandoned start":
            run.note(started="2026-11-30T09:00:00.000321+09:00", pid=2**30, host=platform.node())
        together = threading.Barrier(8)

        def attempt(_: int, run=run, together=together) -> bool:
            together.wait()
            try:
                claim(RunFolder(run.path))
            except UserError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(attempt, range(8))) == 1
        assert run.busy
        assert [path for path in run.path.parent.iterdir() if path.name.startswith(".")] == []


def test_a_name_in_use_is_refused_or_moved_aside_whole(tmp_path):
    run = learn(claim(RunFolder(tmp_path / "a-1")))
    with pytest.raises(UserError, match="이미 있는 실행.*--resume.*--job_version"):
        claim(RunFolder(run.path))
    new = claim(RunFolder(run.path), overwrite=True)
    assert new.replaced is not None
    assert (new.replaced / "checkpoints" / "last.pt").is_file()
    assert not new.checkpoints.exists()
    learn(new)
    assert latest_run(RunFolder, tmp_path, None, None).path == run.path  # 비켜 둔 것은 찾지 않습니다.


def test_a_run_in_training_is_neither_taken_nor_resumed(tmp_path, monkeypatch):
    run = claim(RunFolder(tmp_path / "a-1"))
    for attempt in (lambda: claim(RunFolder(run.path)), lambda: claim(RunFolder(run.path), overwrite=True)):
        with pytest.raises(UserError, match="지금 학습하고 있는"):
            attempt()
    monkeypatch.setattr(os, "getpid", lambda: -1)  # 다른 프로세스가 본다면
    with pytest.raises(UserError, match="지금 학습하고 있는"):
        take_up(run)


def test_a_start_cut_off_by_a_kill_leaves_nothing_in_the_way(tmp_path, gone):
    run = claim(RunFolder(tmp_path / "a-1"))
    run.note(pid=gone)
    (run.path / "train.log").write_text("시작", encoding="utf-8")
    again = claim(RunFolder(run.path))
    assert not again.log.exists()
    assert (again.replaced / "train.log").is_file()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "a-1").mkdir()
    (tmp_path / "a-1" / "mine.txt").touch()
    with pytest.raises(UserError, match="이미 있는"):
        claim(RunFolder(tmp_path / "a-1"))
    (tmp_path / "b-1").touch()
    with pytest.raises(UserError, match="파일입니다"):
        claim(RunFolder(tmp_path / "b-1"))
    with pytest.raises(UserError, match="파일입니다|만들 수 없습니다"):
        claim(RunFolder(tmp_path / "b-1" / "c"))


def test_an_empty_folder_is_in_nobodys_way(tmp_path):
    (tmp_path / "a-1").mkdir()
    assert claim(RunFolder(tmp_path / "a-1")).replaced is None


# ── 놓아주기 ──


def test_a_failed_start_is_as_if_it_never_was(tmp_path):
    old = learn(claim(RunFolder(tmp_path / "a-1")))
    run = claim(RunFolder(old.path), overwrite=True)
    with pytest.raises(UserError, match="없는 글"), held(run):
        run.log.touch()
        raise UserError("없는 글")
    assert [one.name for one in tmp_path.iterdir()] == ["a-1"]
    assert old.has_trained


def test_a_run_that_began_stays_and_is_let_go(tmp_path):
    run = claim(RunFolder(tmp_path / "a-1"))
    with pytest.raises(KeyboardInterrupt), held(run):
        run.arguments.write_text("{}", encoding="utf-8")
        assert run.busy
        raise KeyboardInterrupt
    assert not run.busy
    assert run.noted()["started"]


def test_other_processes_hold_nothing(tmp_path):
    run = claim(RunFolder(tmp_path / "a-1"))
    with held(run, enabled=False):
        pass
    assert run.busy
    with held(None):
        pass


# ── 이름은 약속, 폴더가 진짜 ──


def test_a_renamed_or_copied_run_is_found_under_its_new_name(tmp_path):
    run = learn(claim(RunFolder(tmp_path / "a-1")))
    run.arguments.write_text('{"job_name": "a", "job_version": "1"}', encoding="utf-8")
    run.path.rename(tmp_path / "b-2")
    for name, version in (("b", "2"), ("b", None), (None, "2")):
        assert latest_run(RunFolder, tmp_path, name, version).path.name == "b-2"
    for name, version in (("a", "1"), ("a", None), (None, "1")):
        with pytest.raises(UserError, match="먼저 train"):
            latest_run(RunFolder, tmp_path, name, version)


def test_the_latest_is_the_one_begun_last_even_after_copying(tmp_path):
    for number, name in enumerate(("new-1", "old-1")):
        run = learn(claim(RunFolder(tmp_path / name)))
        run.note(started=f"2026-01-0{2 - number}T00:00:00+00:00")  # 나중에 쓰인(복사된) 것이 먼저 시작한 것입니다.
    assert latest_run(RunFolder, tmp_path, None, None).path.name == "new-1"


# ── 라이브러리는 값을 받습니다 ──

LIBRARY_OBJECTS = {"fabric", "ctx", "wandb"}  # Lightning의 Fabric, PyTorch의 autograd, W&B의 모듈
OF_PYTORCH = {
    "parameters",
    "named_parameters",
    "state_dict",
    "load_state_dict",
    "set_attn_implementation",
    "max",
}
DUCKS = {("classification/datasets.py", "corpus")}  # NsmcCorpus나 그와 같은 말뭉치. 단계의 클래스가 아닙니다.


def attributes_of_strangers(source: str, path: str = "") -> set[str]:
    """무엇인지 적지 않은(Any) 인수의 속성을 읽거나 쓰는 곳들."""
    found = set()
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        strangers = {
            one.arg
            for one in arguments
            if one.arg not in ("self", "cls")
            and (one.annotation is None or ast.unparse(one.annotation) in ("Any", "object", "torch.nn.Module"))
        }
        found |= {
            f"{path}:{function.name}: {node.value.id}.{node.attr}"
            for node in ast.walk(function)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in strangers - LIBRARY_OBJECTS
            and node.attr not in OF_PYTORCH
            and (path, node.value.id) not in DUCKS
        }
    return found


@pytest.mark.parametrize("name", ["runs", "checkpoints", "language", "classification", "tracking", "hardware"])
def test_the_library_touches_no_attribute_of_what_a_step_defines(name):
    home = Path(nlpbook.__file__).parent
    paths = [home / f"{name}.py"] if (home / f"{name}.py").is_file() else sorted((home / name).glob("*.py"))
    for path in paths:
        where = path.relative_to(home).as_posix()
        assert attributes_of_strangers(path.read_text(encoding="utf-8"), where) == set()


def test_a_trainer_that_is_looked_into_would_be_seen():
    source = "def f(trainer: Any, model: torch.nn.Module, n: int):\n    trainer.best = model.tokenizer\n    n.real"
    assert attributes_of_strangers(source) == {":f: trainer.best", ":f: model.tokenizer"}
    assert runs.Place("a").name == "a"
