"""5단계의 명령들: 예측은 꺼져도 같은 파일로 이어지고, 평가는 기준선과 나란히, 잘못된 입력은 일하기 전에 한 문장으로."""

from __future__ import annotations

import csv
import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from nlpbook.cli import Options
from nlpbook.cli import run as run_app
from nlpbook.errors import UserError
from nlpbook.paths import ROOT
from nlpbook.summarization import predictions
from tests.nlpbook.summarization import tiny_models
from tests.task2_summarization import trainers

if not trainers.FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)

SCRIPT = trainers.FOLDER / "step5_cli_and_serving.py"
SHORT = ["tokenizer.encoder_max_len=64", "tokenizer.decoder_max_len=32", "generation.max_length=9"]
TALKS = [*trainers.DIALOGUES[:11], '#Person1#: 쉼표, "따옴표"\n#Person2#: 네 😊', trainers.DIALOGUES[0]]


@pytest.fixture(scope="module")
def lesson():
    return trainers.lesson("step5_cli_and_serving")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    """배우지 않은 작은 모델의 폴더."""
    folder = tmp_path_factory.mktemp("model")
    trainers.tiny_model().save_pretrained(folder)
    trainers.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def source(tmp_path) -> Path:
    return write_csv(tmp_path / "대화.csv", TALKS)


def write_csv(path: Path, talks: list[str], encoding: str = "utf-8", names: bool = True) -> Path:
    with path.open("w", encoding=encoding, newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["topic", "dialogue", *(["fname"] if names else [])])
        for number, talk in enumerate(talks):
            writer.writerow(["주제", talk, *([f"이름_{number}"] if names else [])])
    return path


def options(model_folder: Path, source: Path, output: Path, /, **more: object) -> Options:
    chosen = {"checkpoint_path": str(model_folder), "input": str(source), "output": str(output)}
    return Options.of(**{**chosen, "predict_batch_size": 3, "settings": SHORT, **more})


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_one_row_per_dialogue_in_the_order_of_the_file(lesson, model_folder, source, tmp_path, capsys):
    lesson.predict(options(model_folder, source, tmp_path / "요약" / "out.csv"))
    header, *rows = rows_of(tmp_path / "요약" / "out.csv")
    assert header == ["fname", "summary"]
    assert [name for name, _ in rows] == [f"이름_{number}" for number in range(len(TALKS))]
    assert rows[0][1] == rows[-1][1]
    assert f"요약 {len(TALKS)}개" in capsys.readouterr().out
    assert [one.name for one in (tmp_path / "요약").iterdir()] == ["out.csv"]


def test_the_batch_size_does_not_move_a_summary(lesson, model_folder, source, tmp_path):
    for size in (1, 3, 50):
        lesson.predict(options(model_folder, source, tmp_path / f"{size}.csv", predict_batch_size=size))
    assert len({(tmp_path / f"{size}.csv").read_bytes() for size in (1, 3, 50)}) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp949"])
def test_a_bom_and_cp949_are_read(lesson, model_folder, tmp_path, encoding):
    talks = [talk.replace("😊", "") for talk in TALKS]
    want = write_csv(tmp_path / "a.csv", talks)
    other = write_csv(tmp_path / "b.csv", talks, encoding)
    for name, path in (("want", want), ("got", other)):
        lesson.predict(options(model_folder, path, tmp_path / name))
    assert (tmp_path / "got").read_bytes() == (tmp_path / "want").read_bytes()


def test_without_names_the_rows_are_numbered(lesson, model_folder, tmp_path):
    path = write_csv(tmp_path / "a.csv", TALKS[:2], names=False)
    lesson.predict(options(model_folder, path, tmp_path / "out.csv"))
    assert [name for name, _ in rows_of(tmp_path / "out.csv")[1:]] == ["0", "1"]


@pytest.mark.parametrize("batches", range(1, 5))
@pytest.mark.parametrize("torn", [0, 11])
def test_killed_and_resumed_is_the_same_file(
    lesson, model_folder, source, tmp_path, monkeypatch, capsys, batches, torn
):
    """배치 `batches`개를 적은 뒤 꺼집니다. `torn`바이트만 적힌 줄이 남기도 합니다."""
    lesson.predict(options(model_folder, source, tmp_path / "whole.csv"))
    target = tmp_path / "out.csv"
    target.write_text("앞서 있던 것", encoding="utf-8")
    add = predictions.Journal.add
    left = [batches]

    def add_then_die(self, numbers, summaries):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        add(self, numbers, summaries)

    with monkeypatch.context() as patch:
        patch.setattr(predictions.Journal, "add", add_then_die)
        with pytest.raises(KeyboardInterrupt):
            lesson.predict(options(model_folder, source, target))
    assert target.read_text(encoding="utf-8") == "앞서 있던 것"
    journal = predictions.journal_of(target)
    if torn:
        journal.write_bytes(journal.read_bytes()[:-torn])
    capsys.readouterr()
    asked = []
    step3 = importlib.import_module("step3_rouge_metrics")
    summarize = step3.summarize
    monkeypatch.setattr(step3, "summarize", lambda *given: asked.append(given[2]) or summarize(*given))
    lesson.predict(options(model_folder, source, target))
    assert target.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not journal.exists()
    kept = batches - (torn > 0)
    assert len(asked) == 5 - kept
    assert ("에서 이어 갑니다" in capsys.readouterr().out) == (kept > 0)


def test_what_was_written_by_another_model_is_not_used(lesson, model_folder, source, tmp_path, monkeypatch, capsys):
    lesson.predict(options(model_folder, source, tmp_path / "want.csv", num_beams=1))
    target = tmp_path / "out.csv"
    monkeypatch.setattr(lesson, "write_predictions", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        lesson.predict(options(model_folder, source, target))
    monkeypatch.undo()
    lesson.predict(options(model_folder, source, target, num_beams=1))
    assert "처음부터 씁니다" in capsys.readouterr().out
    assert target.read_bytes() == (tmp_path / "want.csv").read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"input": "없는.csv"}, "대화 파일이 없습니다"),
        ({"output": "."}, "폴더입니다"),
        ({"checkpoint_path": "./없는/폴더"}, "모델 폴더가 없습니다"),
        ({"checkpoint_path": None, "output_dir": "빈폴더"}, "먼저 `train`"),
        ({"settings": ["tokenizer.encoder_max_len=999"]}, "위치 200개보다 깁니다"),
        ({"settings": ["quick"]}, "남는 말이 있습니다"),
        ({"settings": ["generation.num_beans=3"]}, "num_beams"),
        ({"config": "quik"}, "혹시 quick"),
        ({"num_beams": 0}, "1 이상"),
        ({"architecture": "kogpt2"}, "model.architecture는 kogpt2"),
    ],
)
def test_a_wrong_input_is_one_sentence_before_the_work(
    lesson, model_folder, source, tmp_path, monkeypatch, change, said
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lesson, "write_summaries", lambda *given: pytest.fail("일을 시작했습니다"))
    with pytest.raises(UserError) as refused:
        lesson.predict(options(model_folder, source, tmp_path / "out.csv", **change))
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "out.csv").exists()


def test_the_test_compares_with_baselines_and_tells_about_eight_bits(lesson, model_folder, capsys):
    lesson.test(Options.of(checkpoint_path=str(model_folder), max_test_samples=6, quantize="int8", settings=SHORT))
    shown = capsys.readouterr().out
    for name in ("늘 같은 문장", "앞의 두 마디", "모델(int8)", "rouge_sum", "크기(MB)"):
        assert name in shown


def test_a_decoder_only_model_predicts_too(lesson, source, tmp_path):
    folder = tiny_models.make("kogpt2", tmp_path / "gpt")
    settings = ["tokenizer.encoder_max_len=40", "tokenizer.decoder_max_len=12", "generation.max_length=9"]
    lesson.predict(options(folder, source, tmp_path / "out.csv", architecture="kogpt2", settings=settings, num_beams=2))
    assert len(rows_of(tmp_path / "out.csv")) == 1 + len(TALKS)


# ── 학습부터 서비스까지


def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, words)], **how(environment))


def how(environment: dict[str, str]) -> dict:
    return {
        "capture_output": True,
        "text": True,
        "encoding": "utf-8",
        "env": {**os.environ, "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1", **environment},
        "timeout": 240,
    }


SMALL = ["--max_train_samples", 24, "--max-eval-samples", 4, "--num_epochs", 2, "--batch_size", 8, *SHORT]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory, model_folder) -> Path:
    """명령으로 학습한 결과가 모이는 폴더. 빔의 수는 설정 파일과 다릅니다."""
    folder = tmp_path_factory.mktemp("outputs")
    chosen = ["--checkpoint", model_folder, "--output_dir", folder, "--num_beams", 3]
    done = run("train", "--config", "quick", *chosen, *SMALL)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_training_leaves_a_run_and_the_other_commands_find_it(outputs):
    assert {"final_model", "arguments.json", "training_results.json"} <= {
        one.name for one in (outputs / "quick").iterdir()
    }
    done = run("test", "--output_dir", outputs, "--max_test_samples", 5)
    assert done.returncode == 0, done.stderr
    results = json.loads((outputs / "quick" / "test.json").read_text(encoding="utf-8"))
    assert set(results["scores"]) == {"늘 같은 문장", "앞의 두 마디", "모델"}
    assert results["generation"]["num_beams"] == 3  # 학습할 때의 것
    assert results["generation"]["max_length"] == 9
    assert results["data"]["dialogues"] == 5
    again = run("test", "--output_dir", outputs, "--max_test_samples", 5, "--num_beams", 1)
    assert again.returncode == 0, again.stderr
    results = json.loads((outputs / "quick" / "test.json").read_text(encoding="utf-8"))
    assert results["generation"]["num_beams"] == 1  # 지금 적은 것


@pytest.mark.slow
def test_the_run_folder_can_be_named_and_moved(outputs, lesson, tmp_path, source):
    place = tmp_path / "옮긴 실행"
    shutil.copytree(outputs / "quick", place)
    lesson.predict(Options.of(checkpoint_path=str(place), input=str(source), output=str(tmp_path / "a.csv")))
    model = str(outputs / "quick" / "final_model")
    lesson.predict(Options.of(checkpoint_path=model, input=str(source), output=str(tmp_path / "b.csv")))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    (place / "final_model").rename(place / "다른 이름")
    with pytest.raises(UserError, match="아직 끝나지 않았습니다.*checkpoint-"):
        lesson.predict(Options.of(checkpoint_path=str(place), input=str(source), output=str(tmp_path / "c.csv")))


@pytest.mark.slow
def test_a_finished_training_can_be_resumed_for_more_epochs(outputs, tmp_path):
    place = tmp_path / "outputs"
    shutil.copytree(outputs, place)
    last = max((place / "quick").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    words = ["--checkpoint", outputs / "quick" / "final_model", "--output_dir", place, *SMALL, "--num_beams", 3]
    done = run("train", "--resume-from-checkpoint", last, *words, "training.num_train_epochs=3")
    assert done.returncode == 1  # --num_epochs 2와 어긋납니다.
    assert "같은 것을 다르게 말합니다" in done.stderr
    words[words.index("--num_epochs") + 1] = 3
    done = run("train", "--resume-from-checkpoint", last, *words)
    assert done.returncode == 0, done.stderr
    assert f"{last.name.split('-')[1]}스텝에서 이어 갑니다" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL이 없는 운영체제입니다")
def test_sigkill_loses_one_batch_at_most(model_folder, tmp_path):
    talks = [f"#Person1#: {number}시에 볼까요?\n#Person2#: 네, 좋아요." for number in range(60)]
    source = write_csv(tmp_path / "많은 대화.csv", talks)
    words = ["predict", "--checkpoint_path", model_folder, "--input", source, "--predict_batch_size", 2, *SHORT]
    assert run(*words, "--output", tmp_path / "whole.csv").returncode == 0
    target = tmp_path / "out.csv"
    journal = predictions.journal_of(target)
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, words), "--output", str(target)],
        stdout=subprocess.DEVNULL,
        env=how({})["env"],
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if journal.is_file() and journal.read_bytes().count(b"\n") > 5:
            process.kill()
            break
        time.sleep(0.005)
    process.wait(60)
    assert not target.exists()
    done = run(*words, "--output", target)
    assert done.returncode == 0, done.stderr
    assert "에서 이어 갑니다" in done.stdout
    assert target.read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.slow
def test_the_service_answers_over_http_and_stops_quietly(outputs):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["serve", "--output_dir", outputs, "--server_port", port, "--quantize", "int8"]
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, words)], stdout=subprocess.PIPE, env=how({})["env"], encoding="utf-8"
    )
    try:
        assert process.stdout is not None
        assert f":{port} 에서 기다립니다" in process.stdout.readline()
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as response:
                    assert json.load(response) == {"status": "ok"}
                break
            except OSError:
                assert time.monotonic() < deadline
        body = json.dumps({"dialogue": "민수: 볼까?\n지영: 네"}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api", data=body, timeout=60) as response:
            assert [turn["speaker"] for turn in json.load(response)["turns"]] == ["민수", "지영"]
        taken = run("serve", "--output_dir", outputs, "--server_port", port)
        assert taken.returncode == 1
        assert f"--server_port {port + 1}" in taken.stderr
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--config", "quik"], "혹시 quick"),
        (["train", "--train-data", "없는.csv"], "대화 파일이 없습니다"),
        (["train", "--resume-from-checkpoint", "없는/checkpoint-3"], "체크포인트 폴더가 없습니다"),
        (["train", "--train-data", ROOT / "data" / "dialogue-sample" / "dev.csv"], "같은 대화"),
        (["test", "--output_dir", "없는 폴더"], "먼저 `train`"),
        (["serve", "--server_page", "없는.html"], "serve_sum.html"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(map(str, value[:2])),
)
def test_a_mistake_on_the_command_line_is_one_sentence(lesson, words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    where = ["--output_dir", str(tmp_path), "--device", "cpu"] if words[0] == "train" else []
    with pytest.raises(SystemExit) as ended:
        run_app(lesson.build_cli(), [*map(str, words), *where])
    told = capsys.readouterr().err
    assert ended.value.code == 1
    assert told.startswith("오류: ")
    assert len(told.splitlines()) == 1
    assert said in told


@pytest.mark.slow
def test_a_model_that_cannot_be_fetched_names_what_works_offline(tmp_path):
    words = ["train", "--checkpoint", "digit82/kobart-summarization", "--output_dir", tmp_path]
    done = run(*words, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "--config quick" in done.stderr
