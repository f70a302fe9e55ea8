"""완성된 시스템을 사람처럼 써 봅니다: 학습, 평가, 서비스, 죽였다가 이어 하기, 여러 프로세스, 잘못된 입력."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from safetensors.torch import load_file

from course.home import ROOT
from nlpbook.checkpoints import OLD_NAMES, CheckpointSaver, write_state
from tests.bits import same
from tests.task1_cls.checks import support

SCRIPT = ROOT / "solutions" / "task1-cls" / "step5_cli_and_serving.py"
pytestmark = pytest.mark.slow


def tiny_options(output: Path, **more: object) -> list[str]:
    """작은 모델과 말뭉치로 몇 초 만에 끝나는 옵션."""
    options = {
        "data_home": support.tiny_corpus().parent,
        "data_name": support.tiny_corpus().name,
        "pretrained": support.tiny_model(),
        "seq_len": support.SEQ_LEN,
        "train_batch": 4,
        "infer_batch": 3,
        "num_epochs": 3,
        "learning_rate": 3e-3,
        "val_interval": 4,
        "print_every": 1,
        "output": output,
        "job_name": "tiny",
        "job_version": "1",
        "accelerator": "cpu",
    }
    return [word for name, value in (options | more).items() for word in (f"--{name}", str(value))]


def run(command: str, *options: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(SCRIPT), command, *options],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1", **environment},
        timeout=240,
    )


def only_for(command: str, options: list[str]) -> list[str]:
    """학습 옵션 가운데 다른 명령도 아는 것만."""
    unknown = {"--num_epochs", "--learning_rate", "--val_interval"} if command != "train" else set()
    pairs = zip(options[::2], options[1::2], strict=True)
    return [word for name, value in pairs if name not in unknown for word in (name, value)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """한 번도 멈추지 않은 학습의 실행 폴더."""
    output = tmp_path_factory.mktemp("output")
    done = run("train", *tiny_options(output))
    assert done.returncode == 0, done.stderr
    return output / "task1-cls" / "tiny-1"


def final_state(run_folder: Path) -> dict:
    import torch

    return torch.load(run_folder / "checkpoints" / "last.pt", weights_only=True)


def test_training_leaves_everything_a_user_needs(trained):
    for name in ("arguments.json", "train.log", "metrics.csv", "learning_curve.png", "model/config.json"):
        assert (trained / name).stat().st_size > 0, name
    assert any((trained / "tensorboard").iterdir())
    assert len(list((trained / "checkpoints").glob("*.safetensors"))) == 2
    assert not list(trained.rglob("*.tmp"))


def test_saved_model_answers_through_the_pipeline(trained):
    from transformers import pipeline

    answer = pipeline("text-classification", model=str(trained / "model"))("배우들 연기가 좋아서 두 번 봤어요")
    assert answer[0]["label"] in ("부정", "긍정")


def train_until(moment: str, output: Path, **more: object) -> subprocess.CompletedProcess:
    """학습을 시작하되, `moment`의 파이썬 코드를 먼저 실행해 정한 순간에 스스로 끊기게 합니다."""
    code = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(SCRIPT.parent)!r})
import step5_cli_and_serving as step5
from step4_training_loops import Trainer
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
saves = []
train_step, replace = Trainer.train_step, Path.replace
{moment}
step5.run(step5.build_cli())
"""
    return subprocess.run(
        [sys.executable, "-c", code, "train", *tiny_options(output, **more)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"},
        timeout=240,
    )


BEFORE_STEP = """
def step_or_die(self, batch):
    if self.position.step == {step}:
        os.kill(os.getpid(), KILL)
    return train_step(self, batch)
Trainer.train_step = step_or_die
"""
WHILE_SAVING = """
def replace_or_die(source, target):
    if Path(target).name == "last.pt":
        saves.append(target)
    if len(saves) == {save}:
        os.kill(os.getpid(), KILL)
    return replace(source, target)
Path.replace = replace_or_die
"""
CTRL_C = """
def step_then_interrupt(self, batch):
    outputs = train_step(self, batch)
    if self.position.step == {step}:
        os.kill(os.getpid(), signal.SIGINT)
    return outputs
Trainer.train_step = step_then_interrupt
"""
WEIGHTS_OF_NAN = """
import torch
def step_and_ruin(self, batch):
    outputs = train_step(self, batch)
    if self.position.step == {step}:
        with torch.no_grad():
            self.model.lang_model.classifier.bias.fill_(float("nan"))
    return outputs
Trainer.train_step = step_and_ruin
"""
SEEDED_STEPS = sorted(random.Random(20261122).sample(range(5, 18), 3))


def assert_same_as_never_stopped(resumed: Path, trained: Path) -> None:
    again, never_stopped = final_state(resumed), final_state(trained)
    for part in never_stopped:
        assert same(again[part], never_stopped[part]), part
    assert (resumed / "metrics.csv").read_text(encoding="utf-8") == (trained / "metrics.csv").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("step", SEEDED_STEPS)
@pytest.mark.parametrize("save_every", [0, 1])
def test_killed_training_resumes_to_the_same_bits(trained, tmp_path, step, save_every):
    """SIGKILL을 받은 학습을 이어 하면, 한 번도 멈추지 않은 학습과 모든 상태가 비트까지 같습니다."""
    killed = train_until(BEFORE_STEP.format(step=step), tmp_path, save_every=save_every)
    assert killed.returncode not in (0, 1)
    resumed = run("train", "--resume", "--output", str(tmp_path))
    assert resumed.returncode == 0, resumed.stderr
    came_back_at = step if save_every else step // 4 * 4  # 검증은 네 스텝마다 했습니다.
    assert f"{came_back_at}스텝에서 이어 갑니다" in resumed.stdout
    assert_same_as_never_stopped(tmp_path / "task1-cls" / "tiny-1", trained)


@pytest.mark.parametrize("save", [4, 7])
def test_training_killed_while_saving_resumes_to_the_same_bits(trained, tmp_path, save):
    """파일을 다 쓰고 이름을 바꾸기 직전에 꺼져도, 그 앞의 상태에서 이어 갑니다."""
    killed = train_until(WHILE_SAVING.format(save=save), tmp_path, save_every=1)
    assert killed.returncode not in (0, 1)
    assert run("train", "--resume", "--output", str(tmp_path)).returncode == 0
    assert_same_as_never_stopped(tmp_path / "task1-cls" / "tiny-1", trained)


def test_interrupted_training_saves_where_it_stopped(trained, tmp_path):
    """Ctrl-C를 누르면 하던 스텝을 마치고 저장한 뒤, 이어 하는 법을 알립니다."""
    stopped = train_until(CTRL_C.format(step=3), tmp_path)
    assert stopped.returncode == 130
    assert "--resume" in stopped.stdout
    assert "Traceback" not in stopped.stderr
    resumed = run("train", "--resume", "--output", str(tmp_path))
    assert "3스텝에서 이어 갑니다" in resumed.stdout
    assert_same_as_never_stopped(tmp_path / "task1-cls" / "tiny-1", trained)


def test_weights_that_became_nan_do_not_overwrite_the_last_state(tmp_path):
    """기울기가 넘쳐 가중치가 망가져도 그 스텝의 손실은 멀쩡합니다. 스텝마다 저장해도 망가지기 전의 것이 남습니다."""
    import torch

    stopped = train_until(WEIGHTS_OF_NAN.format(step=5), tmp_path, save_every=1)
    assert stopped.returncode == 1
    (error,) = stopped.stderr.strip().splitlines()
    assert error.startswith("오류: 5스텝째에 가중치가 NaN이나 무한대가 되었습니다(학습률 약 ")
    state = final_state(tmp_path / "task1-cls" / "tiny-1")
    assert state["position"]["step"] == 4
    assert all(torch.isfinite(one).all() for one in state["model_state_dict"].values())


def test_resuming_a_finished_training_changes_nothing(trained, tmp_path):
    shutil.copytree(trained.parents[1], tmp_path, dirs_exist_ok=True)
    done = run("train", "--resume", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert_same_as_never_stopped(tmp_path / "task1-cls" / "tiny-1", trained)


def write_old_state(run_folder: Path) -> None:
    """마지막 상태를 예전 판이 적던 이름으로 다시 적습니다."""
    old_name = {new: old for old, new in OLD_NAMES.items()}
    state = {old_name.get(name, name): value for name, value in final_state(run_folder).items()}
    assert {"model", "optimizer", "scheduler", "scaler", "rng"} <= state.keys()
    write_state(run_folder / "checkpoints" / "last.pt", state)


def test_a_renamed_copy_is_made_longer_in_its_new_place(trained, tmp_path):
    """예전 판의 실행을 옮기고 이름을 바꾸어 늘려 이어 하고 평가합니다. 바꿀 수 없는 옵션은 이름을 대어 거절합니다."""
    shutil.copytree(trained, tmp_path / "out" / "task1-cls" / "new-2")
    chosen = ["--output", str(tmp_path / "out"), "--job_name", "new", "--job_version", "2"]
    refused = run("train", "--resume", "--train_batch", "5", *chosen)
    assert "--train_batch(그때 4, 지금 5)" in refused.stderr
    write_old_state(tmp_path / "out" / "task1-cls" / "new-2")
    longer = run("train", "--resume", "--num_epochs", "4", *chosen)
    assert longer.returncode == 0, longer.stderr
    state = final_state(tmp_path / "out" / "task1-cls" / "new-2")
    assert state["position"]["epoch"] == 3
    assert state["position"]["step"] == final_state(trained)["position"]["step"] * 4 // 3
    tested = run("test", *chosen)
    assert tested.returncode == 0, tested.stderr
    assert [one.name for one in (tmp_path / "out" / "task1-cls").iterdir()] == ["new-2"]


def test_reviews_changed_since_are_noticed_by_name(trained, tmp_path):
    shutil.copytree(trained.parents[1], tmp_path / "out")
    corpus = Path(shutil.copytree(support.tiny_corpus(), tmp_path / support.tiny_corpus().name))
    again = ["train", "--resume", "--output", str(tmp_path / "out"), "--data_home", str(tmp_path)]
    same = run(*again)
    assert same.returncode == 0, same.stderr  # 다른 폴더에 있어도 내용이 같으면 같은 글입니다.
    train_file = corpus / "ratings_train.txt"
    text = train_file.read_text(encoding="utf-8")
    train_file.write_text(text.replace("train 3", "train 8"), encoding="utf-8", newline="\n")
    changed = run(*again)
    assert changed.returncode == 1
    assert "ratings_train.txt의 내용이 바뀌었습니다" in changed.stderr
    accepted = run(*again, "--accept_changed_data")
    assert "바뀐 글로 이어 갑니다" in accepted.stdout


def test_evaluation_writes_json_page_and_picture(trained):
    done = run("test", *only_for("test", tiny_options(trained.parents[1])))
    assert done.returncode == 0, done.stderr
    result = json.loads((trained / "test.json").read_text(encoding="utf-8"))
    (report,) = result["checkpoints"].values()
    assert report["count"] == 7
    assert sum(map(sum, report["confusion"])) == 7
    assert f"acc={report['accuracy']:.4f}" in done.stdout
    assert "<table>" in (trained / "mistakes.html").read_text(encoding="utf-8")
    assert (trained / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")


def test_all_checkpoints_can_be_evaluated(trained):
    done = run("test", "--all", "--output", str(trained.parents[1]), "--accelerator", "cpu")
    assert done.returncode == 0, done.stderr
    assert len(json.loads((trained / "test.json").read_text(encoding="utf-8"))["checkpoints"]) == 2


def test_two_processes_evaluate_like_one(trained):
    """평가 예문 7개를 두 프로세스가 나누면 하나를 되풀이해 읽지만, 두 번 세지 않습니다."""
    results = []
    for devices in ("1", "2"):
        done = run(
            "test",
            *("--output", str(trained.parents[1]), "--accelerator", "cpu", "--precision", "32-true"),
            *(("--devices", devices, "--strategy", "ddp") if devices == "2" else ()),
        )
        assert done.returncode == 0, done.stderr
        results.append(json.loads((trained / "test.json").read_text(encoding="utf-8"))["checkpoints"])
    assert results[0] == results[1]
    assert next(iter(results[0].values()))["count"] == 7


def test_two_processes_train_and_leave_one_run(tmp_path):
    done = run("train", *tiny_options(tmp_path, devices=2, strategy="ddp", num_epochs=1))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "task1-cls").iterdir()] == ["tiny-1"]
    assert done.stdout.count("실행 폴더") == 1


def test_predict_answers_each_text(trained):
    code = f"""
import sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
import step5_cli_and_serving as step5
asked = step5.predict_config("tiny", None, "cpu")
asked.model.output = {str(trained.parents[1])!r}
step5.predict(["재미있어요", "지루하다"], asked)
step5.predict(["좋아요", " "], asked)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8")
    lines = done.stdout.strip().splitlines()
    assert [line.split()[-1] for line in lines] == ["재미있어요", "지루하다"]
    assert all(line.split()[0] in ("긍정", "부정") and line.split()[1] == "긍정" for line in lines)
    assert "빈 문장이 있습니다" in done.stderr


def test_checkpoint_weights_are_what_the_model_folder_holds(trained):
    best = CheckpointSaver(trained / "checkpoints", "max val_acc").best()
    assert same(load_file(best.path), load_file(trained / "model" / "model.safetensors"))


@pytest.mark.parametrize(
    ("command", "options", "expected"),
    [
        ("train", ["--data_home", "/nonexistent", "--data_name", "my-reviews"], "말뭉치 'my-reviews'"),
        ("train", ["--pretrained", "./nowhere"], "모델 폴더가 없습니다"),
        ("train", ["--num_epochs", "0"], "--num_epochs"),
        ("train", ["--precision", "fp8"], "--precision"),
        ("train", ["--num_epoch", "3"], "모르는 옵션"),
        ("train", ["--seq_len", "129"], "128토큰"),
        ("train", ["--tag_format_on_validate", "{val_los:.3f}"], "혹시 val_loss"),
        ("train", ["--tag_format_on_evaluate", "{f1:d}"], "--tag_format_on_evaluate"),
        ("train", ["--seed", "4294967296"], "--seed"),
        ("serve", ["--server_page", "serve_csl.html"], "serve_cls.html"),
        ("train", ["--precision", "16-mixed", "--accelerator", "cpu"], "16-mixed"),
        ("test", ["--output", "/nonexistent"], "먼저 train"),
        ("predict", ["재미있어요", "--seq_len", "3"], "4 이상의 수를"),
        ("predict", [" "], "빈 문장"),
        ("serve", ["--output", "/nonexistent"], "먼저 train"),
    ],
)
def test_bad_input_gets_one_korean_sentence(command, options, expected):
    done = run(command, *options)
    assert done.returncode in (1, 2)
    assert expected in done.stderr
    assert done.stderr.strip().startswith("오류:")
    assert "Traceback" not in done.stderr


def test_checkpoint_of_another_model_is_refused(trained, tmp_path):
    from safetensors.torch import save_file

    stranger = tmp_path / "stranger.safetensors"
    save_file({"weight": __import__("torch").zeros(3)}, stranger)
    done = run("test", "--output", str(trained.parents[1]), "--checkpoint", str(stranger), "--accelerator", "cpu")
    assert done.returncode == 1
    assert "다른 모델의 체크포인트" in done.stderr


def test_same_version_is_not_overwritten(trained):
    done = run("train", *tiny_options(trained.parents[1]))
    assert done.returncode == 1
    assert "이미 있는 실행" in done.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def post(url: str, body: bytes) -> tuple[int, dict]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST")) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_server_answers_over_http(trained):
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, str(SCRIPT), "serve", "--output", str(trained.parents[1]), "--server_port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"},
    )
    try:
        base = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{base}/healthz")
                break
            except OSError:
                assert server.poll() is None, server.stdout.read().decode()
                time.sleep(0.1)  # 다른 프로세스가 뜨기를 기다리는 유일한 곳
        assert "<textarea" in urllib.request.urlopen(base).read().decode()
        for body in ('"재미있어요"', '{"text": "재미있어요"}'):
            status, answer = post(f"{base}/api", body.encode())
            assert status == 200
            assert answer["sentence"] == "재미있어요"
            assert answer["positive"] + answer["negative"] == pytest.approx(1, abs=1e-5)
        assert post(f"{base}/api", b"x" * 10_000_000)[0] == 413
        busy = run("serve", "--output", str(trained.parents[1]), "--server_port", str(port))
        assert busy.returncode == 1
        assert f"포트 {port}" in busy.stderr
    finally:
        server.terminate()
        server.wait()
