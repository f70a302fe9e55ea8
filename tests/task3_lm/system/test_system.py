"""완성된 언어 모델을 사람처럼 써 봅니다: 단계마다 실행, 학습, 죽였다가 이어 하기, 글쓰기, 웹, 내보내기, 잘못된 입력."""

from __future__ import annotations

import csv
import importlib
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest
import torch

from course.checks.loading import load_step
from course.home import ROOT
from nlpbook.errors import UserError
from nlpbook.language.config import LMConfig, ServeConfig, TestConfig
from nlpbook.language.runs import RunFolder, load_model
from nlpbook.language.sampling import Sampling
from nlpbook.loaders import evaluation_loader
from nlpbook.position import Position
from tests.task3_lm.checks import support
from tests.task3_lm.system.running import FOLDER, STEP1, STEP2, STEP3, STEP4, STEP5, STEP6, alone, options, run, words

if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)
slow = pytest.mark.slow
needs_signals = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows에는 이 시그널이 없습니다")
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def steps() -> SimpleNamespace:
    """이 프로세스에서 읽은 해답의 단계들."""
    load_step(FOLDER, STEP5.stem)
    return SimpleNamespace(**{f"step{n}": sys.modules[path.stem] for n, path in enumerate((STEP1, STEP2, STEP3), 1)},
                           step4=sys.modules[STEP4.stem], step5=sys.modules[STEP5.stem])  # fmt: skip


@pytest.fixture(scope="module")
def step6(steps):
    sys.modules.update({getattr(steps, f"step{n}").__name__: getattr(steps, f"step{n}") for n in range(1, 6)})
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(STEP6.stem)
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def model(steps):
    """배우지 않은 두 층짜리 작은 모델. 문맥은 16토큰이고, 로짓이 서로 뚜렷이 다르도록 가중치를 키웠습니다."""
    torch.manual_seed(3)
    made = steps.step2.GPT(support.tiny_config(d_embed=16, max_seq_len=16), 300, support.tokenizer())
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(6 if parameter.dim() == 2 else 1)
    return made.eval()


def explained(done: CompletedProcess, said: str, codes: tuple[int, ...] = (1,)) -> None:
    """0이 아닌 코드로, 까닭이 적힌 한국어 한 문장만 남기고 끝났습니다."""
    assert done.returncode in codes, done.stdout + done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("오류: ")
    assert re.search(said, line), line
    assert re.search("[가-힣]", line)


def finished(done: CompletedProcess) -> CompletedProcess:
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def state_of(run_folder: Path, name: str = "last.pt") -> dict:
    return torch.load(run_folder / "checkpoints" / name, weights_only=True)


def same(one: object, other: object) -> bool:
    """텐서까지 비트 하나 다르지 않은가."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """한 번도 멈추지 않은 학습의 실행 폴더. 화면에 적힌 것은 `printed.txt`에 있습니다."""
    output = tmp_path_factory.mktemp("output")
    done = finished(run(STEP5, "train", *options(output)))
    folder = output / "task3-lm" / "tiny-1"
    (folder / "printed.txt").write_text(done.stdout, encoding="utf-8")
    return folder


# ── 단계마다 혼자서 ──


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """다른 곳에 놓인 강의. 결과가 이 저장소의 output/에 쌓이지 않습니다."""
    root = tmp_path_factory.mktemp("elsewhere") / "강의 폴더"
    for name in ("nlpbook", "data/lm-sample", "solutions/task3-lm"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("todo.py", "console_text.py", "command_line.py"):
        shutil.copy(ROOT / name, root)
    return root / "solutions" / "task3-lm"


@slow
def test_step1_shows_tokens_and_windows(project, tmp_path):
    done = finished(alone(project / STEP1.name, cwd=tmp_path))
    assert re.search(r"학습 [\d,]{7,}바이트 = [\d,]+토큰", done.stdout)
    assert "길이 256" in done.stdout
    assert "(8, 256)" in done.stdout


@slow
def test_step2_shows_a_model_that_guesses_at_random(project, tmp_path):
    done = finished(alone(project / STEP2.name, cwd=tmp_path))
    loss, chance = map(float, re.search(r"손실 ([\d.]+)\. .*= ([\d.]+)입니다", done.stdout).groups())
    assert loss == pytest.approx(chance, abs=0.3)
    assert "옛날 옛적에" in done.stdout


@slow
def test_step3_shows_loss_groups_and_a_picture(project, tmp_path):
    done = finished(alone(project / STEP3.name, cwd=tmp_path))
    assert re.search(r"배우기 전: 손실 [\d.]+, 혼란도 [\d,]+", done.stdout)
    assert "weight_decay 0.1" in done.stdout
    assert "weight_decay 0.0" in done.stdout
    picture = project.parents[1] / "output" / "task3-lm" / "learning_rate.png"
    assert picture.read_bytes().startswith(PNG)


@slow
def test_step4_uses_its_config_and_lets_options_override_it(project, tmp_path):
    """`my_config` 딕셔너리에 적은 값으로 학습하고, 명령줄의 옵션은 그보다 앞섭니다."""
    script = project / STEP4.name
    source = script.read_text(encoding="utf-8")
    changed = source.replace("\nmy_config = {}\n", '\nmy_config = {"batch_size": 5, "dropout": 0.3}\n')
    script.write_text(changed, encoding="utf-8")
    assert changed != source
    small = {"d_embed": 16, "num_layers": 1, "max_seq_len": 16, "num_epochs": 1, "dropout": 0.2, "stride": 400}
    done = finished(alone(script, *words({**small, "job_version": "x", "sample_tokens": 2}), cwd=tmp_path))
    assert "Epoch 1/1" in done.stdout
    saved = json.loads(
        (project.parents[1] / "output" / "task3-lm" / "lm-sample-x" / "arguments.json").read_text(encoding="utf-8")
    )
    assert {name: saved[name] for name in small} == small
    assert (saved["batch_size"], saved["num_heads"], saved["learning_rate"]) == (5, 4, 3e-4)


# ── 데이터: 검증할 글은 배우지 않습니다 ──

TRAINING = [f"{n}번째 이야기에서 여우가 {n * 37 % 101}번 뛰었습니다.\n" for n in range(60)]
HELD_OUT = [f"{n}번째 비밀: 쿼카쿼카가 {n * 53 % 97}번 울었습니다.\n" for n in range(900, 920)]


@pytest.fixture(scope="module")
def split(steps, tmp_path_factory) -> SimpleNamespace:
    """줄마다 다른 글. 뒤의 20줄에만 나오는 낱말이 있고, 꼭 그만큼이 검증입니다."""
    folder = tmp_path_factory.mktemp("split")
    path = folder / "unique.txt"
    path.write_text("".join(TRAINING + HELD_OUT), encoding="utf-8", newline="\n")
    sizes = [sum(len(line.encode()) for line in lines) for lines in (TRAINING, HELD_OUT)]
    config = support.tiny_config(
        data=str(path), val_ratio=(sizes[1] + 5) / sum(sizes), max_seq_len=64, stride=7, vocab_size=400
    )
    return SimpleNamespace(config=config, data=steps.step1.LMData(config, folder))


def test_no_line_of_validation_is_in_any_training_window(split):
    decode = split.data.tokenizer.decode
    windows = [
        decode([*inputs.tolist(), targets[-1].item()])
        for batch in split.data.train_dataloader()
        for inputs, targets in zip(*batch, strict=True)
    ]
    assert len(windows) > 50
    assert any(line in window for window in windows for line in TRAINING)  # 창은 줄 하나를 담을 만큼 깁니다.
    assert not [line for line in HELD_OUT for window in windows if line in window or "쿼카" in window]


def test_validation_holds_exactly_what_training_does_not(split):
    decode = split.data.tokenizer.decode
    learned, held_out = decode(split.data.train.tokens.tolist()), decode(split.data.valid.tokens.tolist())
    assert learned + held_out == "".join(TRAINING + HELD_OUT)
    assert (learned.count("쿼카"), held_out) == (0, "".join(HELD_OUT))


def test_the_tokenizer_never_saw_the_validation_text(split, steps):
    seen_all = steps.step1.train_tokenizer(TRAINING + HELD_OUT, split.config.vocab_size)
    assert len(seen_all.encode("쿼카쿼카")) < len("쿼카쿼카".encode()) / 2
    assert len(split.data.tokenizer.encode("쿼카쿼카")) >= len("쿼카쿼카".encode()) / 2


def test_an_edited_tokenizer_file_makes_new_tokens(steps, tmp_path):
    """같은 이름의 토크나이저라도 내용이 바뀌면 전의 토큰을 쓰지 않습니다."""
    tokenizer = tmp_path / "tokenizer.json"
    found = []
    for size in (300, 320):
        steps.step1.train_tokenizer(support.SENTENCES, size).save(tokenizer)
        found.append(steps.step1.LMData(support.tiny_config(tokenizer=str(tokenizer)), tmp_path))
    assert [len(one.tokenizer) for one in found] == [300, 320]
    assert len(found[0].train) > len(found[1].train)


# ── 학습이 남기는 것 ──


def test_training_leaves_everything_a_user_needs(trained):
    for name in ("arguments.json", "train.log", "samples.txt", "checkpoints/best_model.pt", "checkpoints/last.pt"):
        assert (trained / name).stat().st_size > 0, name
    assert (trained / "learning_curve.png").read_bytes().startswith(PNG)
    assert any((trained / "tensorboard").iterdir())
    assert not list(trained.parent.rglob("*.tmp"))
    assert (trained / "samples.txt").read_text(encoding="utf-8").count("옛날 옛적에") == 3
    with (trained / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [state_of(trained)["position"]["step"] // 3 * n for n in (1, 2, 3)]
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])


def test_epochs_are_reported_in_the_form_of_the_guide(trained):
    number = r"[\d,]+\.\d+"
    form = (
        r"Epoch 1/3\n"
        rf"  Train Loss: {number}, PPL: {number}, Acc: 0\.\d+.*\n"
        rf"  Val   Loss: {number}, PPL: {number}, Acc: 0\.\d+.*\n"
        r"  LR: \d\.\de-\d\d\n"
        rf"  ✅ 최고 모델 저장! \(Val Loss: {number}\)\n"
    )
    for name in ("printed.txt", "train.log"):
        text = re.sub(r"(?m)^[\d-]+ [\d:,]+ ", "", (trained / name).read_text(encoding="utf-8"))
        assert re.search(form, text), text


def test_evaluation_repeats_the_validation_loss_of_the_best_model(trained):
    done = finished(run(STEP5, "test", "--output", str(trained.parents[1])))
    saved = json.loads((trained / "test.json").read_text(encoding="utf-8"))
    assert saved["test_loss"] == pytest.approx(state_of(trained, "best_model.pt")["best_val_loss"], abs=0.02)
    assert saved["data"] == str(support.tiny_text())
    assert f"loss {saved['test_loss']:.4f}" in done.stdout


def test_an_epoch_is_reported_with_every_window_alike_and_the_rate_just_used(steps):
    """마지막의 작은 배치도 창마다 같은 무게이고, 학습률은 다음 스텝이 아니라 마지막 스텝의 것입니다."""
    config = support.tiny_config(batch_size=7, num_epochs=1, stride=5)
    data = steps.step1.LMData(config)
    model = steps.step2.GPT(config, len(data.tokenizer), data.tokenizer)
    trainer = steps.step4.Trainer(model, data, config)
    sizes = []

    def size_as_loss(batches):
        sizes.append(len(batches[0][0]))
        return torch.tensor(float(sizes[-1])), torch.tensor(0.5)

    trainer.train_step = size_as_loss
    trainer.train()
    row = trainer.tracker.history[-1]
    assert len(set(sizes)) == 2
    assert row["train_loss"] == pytest.approx(sum(size**2 for size in sizes) / sum(sizes))
    assert row["lr"] == pytest.approx(steps.step3.learning_rate_at(len(sizes) - 1, len(sizes), config))
    assert row["lr"] > config.min_lr


def test_bits_per_byte_are_those_of_the_text_that_was_read(trained, steps):
    """검증 글이 아닌 글을 재면, 토큰 하나의 바이트도 그 글의 것입니다."""
    model = load_model(steps.step2.GPT, RunFolder(trained).best_model)
    data = steps.step1.LMData(model.config)
    trainer = steps.step4.Trainer(model, data, model.config)
    loader = evaluation_loader(data.train_dataloader())
    for found, tokens in ((trainer.evaluate(), data.valid), (trainer.evaluate(loader), data.train)):
        bytes_per_token = tokens.num_bytes / len(tokens)
        assert found.bits_per_byte == pytest.approx(found.loss / math.log(2) / bytes_per_token)
    assert data.train.bytes_per_token != pytest.approx(data.valid.bytes_per_token, rel=1e-3)


def test_any_text_can_be_evaluated(trained, tmp_path):
    (tmp_path / "short.txt").write_text("곰", encoding="utf-8")
    finished(run(STEP5, "test", *words({"output": trained.parents[1], "data": tmp_path / "short.txt"})))
    assert json.loads((trained / "test.json").read_text(encoding="utf-8"))["test_ppl"] > 1


# ── 죽였다가 이어 하기 ──

PATCH = f"""
import os, signal
from pathlib import Path
import {STEP4.stem} as step4
Trainer, saves = step4.Trainer, []
train_step, evaluate, replace = Trainer.train_step, Trainer.evaluate, Path.replace
"""
BEFORE_STEP = """
def killed(self, batches):
    if self.position.step == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return train_step(self, batches)
Trainer.train_step = killed
"""
WHILE_EVALUATING = """
def killed(self, *loader):
    if self.position.epoch == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate(self, *loader)
Trainer.evaluate = killed
"""
WHILE_SAVING = """
def killed(source, target):
    saves.append(target)
    if str(target).endswith(".pt") and sum(str(one).endswith(".pt") for one in saves) == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(source, target)
Path.replace = killed
"""
STOPPED = """
def interrupted(self, batches):
    made = train_step(self, batches)
    if self.position.step + 1 == {at}:
        os.kill(os.getpid(), signal.{signal})
    return made
Trainer.train_step = interrupted
"""
FULL_DISK = """
from lightning.fabric import Fabric
save = Fabric.save
def full(self, path, state, **more):
    saves.append(path)
    if len(saves) == {at}:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")
    return save(self, path, state, **more)
Fabric.save = full
"""
LOSS_OF_NAN = """
compute_loss, seen = step4.compute_loss, []
def noticed(self, batches):
    seen.append(self.position.step)
    return train_step(self, batches)
Trainer.train_step = noticed
step4.compute_loss = lambda *given: compute_loss(*given) * (float("nan") if seen[-1] == {at} else 1)
"""
WEIGHTS_OF_NAN = """
def ruined(self, batches):
    made = train_step(self, batches)
    if self.position.step == {at}:
        self.gpt.norm.weight.data.fill_(float("nan"))
    return made
Trainer.train_step = ruined
"""


def at(when: object, moment: str) -> str:
    """학습하기 전에 실행할 코드: `when`번째에 `moment`의 일이 일어나게 합니다."""
    return PATCH + moment.replace("{at}", str(when))


def assert_same_as_never_stopped(output: Path, trained: Path) -> None:
    resumed = output / "task3-lm" / "tiny-1"
    for name in ("last.pt", "best_model.pt"):
        again, never_stopped = state_of(resumed, name), state_of(trained, name)
        for state in (again, never_stopped):
            for changed in ("output", "save_every"):
                state["config"].pop(changed)
        for part in never_stopped:
            assert same(again[part], never_stopped[part]), (name, part)
    tables = [(folder / "metrics.csv").read_text(encoding="utf-8") for folder in (resumed, trained)]
    assert tables[0] == tables[1]


def resume(output: Path) -> CompletedProcess:
    return finished(run(STEP5, "train", "--resume", "--output", str(output)))


@slow
@needs_signals
@pytest.mark.parametrize(
    ("moment", "when", "save_every", "back_at"),
    [
        pytest.param(BEFORE_STEP, 10, 3, 9, id="in the middle of the first epoch"),
        pytest.param(BEFORE_STEP, 1, 1, 1, id="after the first step"),
        pytest.param(BEFORE_STEP, "self.config.num_epochs * self.steps_per_epoch - 1", 0, None, id="before the last"),
        pytest.param(WHILE_EVALUATING, 1, 0, None, id="while evaluating"),
        pytest.param(WHILE_SAVING, 4, 3, None, id="while saving a state"),
        pytest.param(WHILE_SAVING, 2, 0, None, id="while keeping the best"),
    ],
)
def test_killed_training_resumes_to_the_same_bits(trained, tmp_path, moment, when, save_every, back_at):
    """SIGKILL을 받은 학습을 이어 하면, 한 번도 멈추지 않은 학습과 가중치, 옵티마이저, 기록이 비트까지 같습니다."""
    killed = run(STEP5, "train", *options(tmp_path, save_every=save_every), first=at(when, moment))
    assert killed.returncode == -9, killed.stderr
    done = resume(tmp_path)
    came_back = int(re.search(r"([\d,]+)스텝에서 이어 갑니다", done.stdout)[1].replace(",", ""))
    assert came_back == back_at or (back_at is None and came_back > 0)
    assert_same_as_never_stopped(tmp_path, trained)


@needs_signals
@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_being_stopped_saves_where_it_stopped_and_says_how_to_go_on(trained, tmp_path, signal_name):
    """Ctrl-C든, 작업 관리기가 보내는 SIGTERM이든 같습니다. 오류가 아닙니다."""
    stopped = run(STEP5, "train", *options(tmp_path), first=at(5, STOPPED.replace("{signal}", signal_name)))
    assert stopped.returncode == 130
    assert "--resume" in stopped.stdout
    assert "Traceback" not in stopped.stderr
    assert stopped.stderr.strip().splitlines()[-1] == "멈췄습니다. 저장한 것은 그대로 있습니다."
    assert "오류" not in stopped.stderr
    assert state_of(tmp_path / "task3-lm" / "tiny-1")["position"] == {"epoch": 0, "batch": 10, "step": 5}
    assert "5스텝에서 이어 갑니다" in resume(tmp_path).stdout
    assert_same_as_never_stopped(tmp_path, trained)


def test_resuming_a_finished_training_changes_nothing(trained, tmp_path):
    shutil.copytree(trained.parents[1], tmp_path, dirs_exist_ok=True)
    resume(tmp_path)
    assert_same_as_never_stopped(tmp_path, trained)


def test_a_full_disk_is_one_sentence_and_loses_nothing(trained, tmp_path):
    done = run(STEP5, "train", *options(tmp_path, save_every=4), first=at(3, FULL_DISK))
    explained(done, "디스크에 빈 자리가 없어.*--resume")
    assert state_of(tmp_path / "task3-lm" / "tiny-1")["position"]["step"] == 8
    assert not list(tmp_path.rglob("*.tmp"))
    resume(tmp_path)
    assert_same_as_never_stopped(tmp_path, trained)


def test_a_text_edited_since_is_not_resumed_on_unless_accepted(tmp_path):
    """글이 바뀌면 토크나이저도 바뀝니다. 크기가 같아 티가 나지 않는 것을 그냥 두지 않습니다."""
    text = tmp_path / "text.txt"
    text.write_text(support.tiny_text().read_text(encoding="utf-8"), encoding="utf-8", newline="\n")
    finished(run(STEP5, "train", *options(tmp_path, data=text, num_epochs=1)))
    text.write_text(text.read_text(encoding="utf-8").replace("습니다", "어요"), encoding="utf-8", newline="\n")
    again = ["train", "--resume", "--num_epochs", "2", "--output", str(tmp_path)]
    explained(run(STEP5, *again), r"text\.txt의 내용이 바뀌었습니다.*--accept_changed_data")
    explained(run(STEP5, "test", "--output", str(tmp_path)), "글이나 토크나이저가.*달라졌습니다")
    before = state_of(tmp_path / "task3-lm" / "tiny-1")
    assert "바뀐 글로 이어 갑니다" in finished(run(STEP5, *again, "--accept_changed_data")).stdout
    after = state_of(tmp_path / "task3-lm" / "tiny-1")
    assert after["position"]["epoch"] == 2
    assert after["tokenizer"] == before["tokenizer"]
    finished(run(STEP5, *again, "--num_epochs", "3"))  # 받아들인 글이 이제 이 실행의 글입니다.


def test_a_training_is_made_longer_and_says_when_it_is_done(trained, tmp_path):
    """늘려 이어 한 학습은, 처음부터 그만큼 하려던 학습처럼 끝까지 가고 학습률의 계획을 새로 그립니다."""
    shutil.copytree(trained.parents[1], tmp_path, dirs_exist_ok=True)
    again = ["train", "--resume", "--output", str(tmp_path)]
    assert "이미 3에포크를 모두 마친 학습입니다" in finished(run(STEP5, *again)).stdout
    explained(run(STEP5, *again, "--learning_rate", "0.1"), r"--learning_rate\(그때 0.003, 지금 0.1\)")
    assert "Epoch 4/4" in finished(run(STEP5, *again, "--num_epochs", "4")).stdout
    state = state_of(tmp_path / "task3-lm" / "tiny-1")
    assert (state["position"]["epoch"], state["config"]["num_epochs"]) == (4, 4)
    rates = [row["lr"] for row in state["history"]]
    assert rates[-1] < rates[0]


def test_a_finished_training_says_so_in_a_notebook_too(steps, trained, capsys):
    config = LMConfig.load(trained / "arguments.json")
    data = steps.step1.LMData(config)
    trainer = steps.step4.Trainer(steps.step2.GPT(config, len(data.tokenizer), data.tokenizer), data, config)
    trainer.load_checkpoint(trained / "checkpoints" / "last.pt")
    trainer.train()
    assert "이미 3에포크를 모두 마친 학습입니다" in capsys.readouterr().out


def test_fine_tuning_starts_from_a_checkpoint_or_a_hugging_face_folder(trained, tmp_path):
    """모양과 토크나이저는 그 모델의 것이고, 학습률은 작고, 계획은 처음부터입니다."""
    finished(run(STEP6, "--output", str(trained.parents[1]), "--export_to", str(tmp_path / "out")))
    before = state_of(trained, "best_model.pt")
    for number, source in enumerate((trained / "checkpoints" / "best_model.pt", tmp_path / "out" / "hugging_face")):
        values = {"data": support.tiny_text(), "output": tmp_path, "job_name": "fine", "job_version": number}
        more = {"num_epochs": 1, "batch_size": 4, "sample_tokens": 0, "stride": 16, "accelerator": "cpu"}
        finished(run(STEP5, "train", "--init_from", str(source), *words(values | more)))
        state = state_of(tmp_path / "task3-lm" / f"fine-{number}")
        assert (state["config"]["d_embed"], state["vocab_size"]) == (32, before["vocab_size"])
        assert (state["config"]["learning_rate"], state["config"]["min_lr"]) == (3e-5, pytest.approx(3e-6))
        assert abs(state["best_val_loss"] - before["best_val_loss"]) < 0.2  # 처음부터라면 손실이 훨씬 큽니다.
    wrong = ["--init_from", str(source), "--d_embed", "64", "--output", str(tmp_path)]
    explained(run(STEP5, "train", *wrong), "d_embed가 32인데.*--d_embed")
    finished(run(STEP5, "test", *words({"output": tmp_path, "job_name": "fine"})))


def test_what_was_copied_or_moved_works_in_its_new_place_alone(trained, tmp_path):
    """옮긴 폴더에서 평가하고, 쓰고, 내보내고, 이어 합니다. 옛 자리에는 아무것도 생기지 않습니다."""
    here, there = tmp_path / "here", tmp_path / "there"
    finished(run(STEP5, "train", *options(here, num_epochs=1)))
    here.rename(there)
    (there / "task3-lm" / "tiny-1").rename(there / "task3-lm" / "new-2")
    chosen = words({"output": there, "job_name": "new", "job_version": "2"})
    finished(run(STEP5, "test", *chosen))
    finished(run(STEP5, "generate", *chosen, "--max_tokens", "3"))
    finished(run(STEP6, *chosen))
    assert "Epoch 2/2" in finished(run(STEP5, "train", "--resume", "--num_epochs", "2", *chosen)).stdout
    assert not here.exists()
    assert {path.name for path in (there / "task3-lm").iterdir()} == {"new-2", "tokens"}


def test_a_flipped_byte_in_a_checkpoint_is_noticed(trained, tmp_path):
    path = shutil.copy(trained / "checkpoints" / "best_model.pt", tmp_path / "moved.pt")
    content = bytearray(Path(path).read_bytes())
    content[len(content) // 2] ^= 1
    Path(path).write_bytes(content)
    explained(run(STEP5, "generate", "--checkpoint", str(path)), r"moved\.pt.*저장할 때와 다릅니다")


@pytest.mark.parametrize("wrong", [{"job_name": "../../x"}, {"job_version": ""}, {"project": "a/b"}, {"job_name": "."}])
def test_a_name_that_is_a_path_is_refused_by_every_command(tmp_path, wrong):
    for command in (["train", *options(tmp_path / "out", **wrong)], ["test", *words({"output": tmp_path, **wrong})]):
        explained(run(STEP5, *command), f"--{next(iter(wrong))}")
    assert not list(tmp_path.rglob("arguments.json"))


def test_a_start_that_fails_leaves_nothing_in_the_way(tmp_path):
    explained(run(STEP5, "train", *options(tmp_path, data=tmp_path / "nowhere.txt")), "글이 없습니다")
    assert not (tmp_path / "task3-lm" / "tiny-1").exists()
    finished(run(STEP5, "train", *options(tmp_path, num_epochs=1)))
    explained(run(STEP5, "train", *options(tmp_path)), "이미 있는 실행입니다.*--resume.*--job_version")


FIRST_NAMES = {"scheduler_state_dict": "scheduler", "scaler_state_dict": "scaler", "rng_states": "rng"}


def test_a_checkpoint_of_the_first_version_still_loads(trained, steps, tmp_path):
    """경로를 있는 그대로 적고, 이름이 달랐고, run.json이 없던 때의 실행입니다."""
    old = Path(shutil.copytree(trained, tmp_path / "task3-lm" / "old-1"))
    (old / "run.json").unlink()
    for name in ("last.pt", "best_model.pt"):
        state = state_of(old, name)
        state["config"] = {
            **{one: value for one, value in state["config"].items() if one not in ("init_from", "accept_changed_data")},
            "output": "/somewhere/else",
        }
        state = {FIRST_NAMES.get(one, one): value for one, value in state.items()}
        torch.save(state | {"epoch": 3}, old / "checkpoints" / name)
    (old / "arguments.json").write_text(json.dumps(state["config"]), encoding="utf-8")
    model = load_model(steps.step2.GPT, old / "checkpoints" / "best_model.pt")
    assert model.config.output == str(tmp_path)
    resumed = finished(run(STEP5, "train", "--resume", "--num_epochs", "4", "--output", str(tmp_path)))
    assert "Epoch 4/4" in resumed.stdout


# ── 손실이 무너질 때, 나아지지 않을 때 ──


def test_a_schedule_of_nothing_but_warmup_still_comes_down(steps):
    config = support.tiny_config(learning_rate=4.5, min_lr=1.2, warmup_rate=1.0)
    assert [steps.step3.learning_rate_at(step, 4, config) for step in range(6)] == [1.5, 3.0, 4.5, 4.5, 1.2, 1.2]


def test_a_learning_rate_far_too_high_stops_with_step_and_rate(tmp_path):
    done = run(STEP5, "train", *options(tmp_path, learning_rate=1e6, precision="32-true", save_every=1))
    explained(done, r"^오류: \d+스텝째에 손실이 (nan이|inf가) 되었습니다\(학습률 \d\.\de\+0\d\)")


def test_a_broken_loss_leaves_the_last_good_checkpoint(trained, tmp_path):
    """둘째 에포크에서 손실이 NaN이 되면, 첫 에포크의 가장 좋은 모델이 그대로 있고 그대로 쓸 수 있습니다."""
    steps = state_of(trained)["position"]["step"] // 3
    done = run(STEP5, "train", *options(tmp_path), first=at(steps + 3, LOSS_OF_NAN))
    explained(done, rf"^오류: {steps + 4}스텝째에 손실이 nan이 되었습니다\(학습률 \d\.\de-0\d\)")
    kept = tmp_path / "task3-lm" / "tiny-1"
    for name in ("last.pt", "best_model.pt"):
        assert state_of(kept, name)["position"]["step"] == steps
        assert all(torch.isfinite(one).all() for one in state_of(kept, name)["model_state_dict"].values())
    finished(run(STEP5, "generate", *words({"output": tmp_path, "max_tokens": 3})))


@slow
def test_weights_that_became_nan_do_not_overwrite_the_last_state(tmp_path):
    """기울기가 넘쳐 가중치가 망가져도 그 스텝의 손실은 멀쩡합니다. 스텝마다 저장해도 망가지기 전의 것이 남습니다."""
    done = run(STEP5, "train", *options(tmp_path, save_every=1), first=at(4, WEIGHTS_OF_NAN))
    explained(done, r"^오류: 5스텝째에 가중치가 NaN이나 무한대가 되었습니다\(학습률 약 \d\.\de-0\d\)")
    state = state_of(tmp_path / "task3-lm" / "tiny-1")
    assert state["position"]["step"] == 4
    assert all(torch.isfinite(one).all() for one in state["model_state_dict"].values())


def tiny_trainer(steps, folder: Path | None = None, **changes: object):
    """이 프로세스에서 만든 Trainer."""
    config = support.tiny_config(max_seq_len=16, stride=40, **changes)
    data = steps.step1.LMData(config)
    torch.manual_seed(config.seed)
    model = steps.step2.GPT(config, len(data.tokenizer), data.tokenizer)
    return steps.step4.Trainer(model, data, config, run_folder=folder and RunFolder(folder))


def test_training_stops_early_keeps_the_best_and_warns_of_overfitting(steps, tmp_path, monkeypatch, capsys):
    trainer = tiny_trainer(steps, tmp_path, num_epochs=9, patience=2, overfit_margin=0.5)
    losses = iter([5.0, 4.0, 4.4, 4.6, 3.0])
    monkeypatch.setattr(trainer, "evaluate", lambda: steps.step3.Metrics(next(losses), 0.1, 2.0))
    trainer.train()
    said = capsys.readouterr().out
    assert trainer.position.epoch == 4
    assert "2에포크 동안 나아지지 않아" in said
    assert said.count("과적합") == 1
    assert said.index("Epoch 4/9") < said.index("과적합")
    assert state_of(tmp_path, "best_model.pt")["best_val_loss"] == 4.0
    assert state_of(tmp_path, "best_model.pt")["position"]["epoch"] == 2
    assert state_of(tmp_path)["position"]["epoch"] == 4


def test_a_loss_of_nan_in_validation_is_no_best_model(steps, tmp_path, monkeypatch):
    trainer = tiny_trainer(steps, tmp_path, num_epochs=2)
    monkeypatch.setattr(trainer, "evaluate", lambda: steps.step3.Metrics(float("nan"), 0.1, 2.0))
    with pytest.raises(UserError, match="손실이 nan"):
        trainer.train()
    assert not (tmp_path / "checkpoints").exists()


def test_the_learning_rate_finder_draws_and_suggests(tmp_path):
    done = finished(run(STEP4, "--find_lr", *options(tmp_path)))
    suggestion = float(re.search(r"--learning_rate (\S+)", done.stdout)[1])
    assert 1e-6 < suggestion < 1
    assert (tmp_path / "task3-lm" / "lr_finder.png").read_bytes().startswith(PNG)
    assert not (tmp_path / "task3-lm" / "tiny-1").exists()


def test_finding_a_learning_rate_leaves_the_model_as_it_was(steps):
    trainer = tiny_trainer(steps)
    before = {name: tensor.clone() for name, tensor in trainer.gpt.state_dict().items()}
    rates, losses = steps.step4.find_learning_rate(trainer.gpt, trainer.data, trainer.config, trainer.fabric, 20)
    assert same(dict(trainer.gpt.state_dict()), before)
    assert len(rates) == len(losses) > 5
    assert rates == sorted(rates)


# ── 여러 프로세스, W&B ──


@slow
def test_two_processes_train_without_hanging_and_measure_like_one(steps, tmp_path):
    """검증 창은 홀수 개라 둘이 나누면 하나를 되풀이해 읽지만, 두 번 세지 않습니다."""
    changes = {"devices": 2, "strategy": "ddp", "num_epochs": 1, "precision": "32-true", "val_ratio": 0.21}
    done = finished(alone(STEP5, "train", *options(tmp_path, **changes)))
    assert done.stdout.count("실행 폴더:") == len(re.findall(r"Epoch 1/1 +100 %", done.stdout)) == 1
    folder = tmp_path / "task3-lm" / "tiny-1"
    assert {path.name for path in folder.parent.iterdir()} == {"tiny-1", "tokens"}
    state = state_of(folder, "best_model.pt")
    assert len(state["rng_states"]) == 2
    assert not torch.equal(state["rng_states"][0]["torch"], state["rng_states"][1]["torch"])

    model = load_model(steps.step2.GPT, folder / "checkpoints" / "best_model.pt")
    config = LMConfig.from_dict(state["config"] | {"devices": 1, "strategy": "auto"})
    one = steps.step4.Trainer(model, steps.step1.LMData(config), config)
    assert len(one.val_loader.dataset) % 2 == 1
    assert one.evaluate().loss == pytest.approx(state["best_val_loss"], abs=1e-6)


@slow
def test_training_is_written_to_wandb_without_a_network(tmp_path):
    pytest.importorskip("wandb")
    changes = {"wandb_project": "task3-lm-test", "num_epochs": 1, "stride": 200}
    finished(alone(STEP5, "train", *options(tmp_path, **changes), WANDB_MODE="offline", WANDB_SILENT="true"))
    assert list((tmp_path / "task3-lm" / "tiny-1" / "wandb").glob("offline-run-*/*.wandb"))


# ── 가이드의 사용법 ──


def test_the_best_model_loads_as_the_guide_says(trained, steps):
    config = LMConfig.load(trained / "arguments.json")
    data = steps.step1.LMData(config)
    model = steps.step2.GPT(config, len(data.tokenizer), data.tokenizer)
    trainer = steps.step4.Trainer(model, data, config)
    trainer.load_checkpoint(str(trained / "checkpoints" / "best_model.pt"))
    assert trainer.position == Position(**state_of(trained, "best_model.pt")["position"])
    assert trainer.evaluate().loss == pytest.approx(trainer.best_val_loss, abs=1e-6)


def test_text_is_generated_as_the_guide_says(trained, steps):
    model = load_model(steps.step2.GPT, trained / "checkpoints" / "best_model.pt")
    for generate_text in (steps.step2.generate_text, steps.step5.generate_text):
        text = generate_text(model, "옛날 옛적에", max_tokens=100)
        assert text.startswith("옛날 옛적에")
        assert len(text) > len("옛날 옛적에")


@pytest.mark.parametrize("changes", [{"d_embed": 16}, {"num_layers": 2}, {"max_seq_len": 20}, {"num_heads": 4}])
def test_a_checkpoint_of_another_shape_is_refused_by_the_trainer(trained, steps, changes):
    config = LMConfig.load(trained / "arguments.json")
    for name, value in changes.items():
        setattr(config, name, value)
    data = steps.step1.LMData(config)
    trainer = steps.step4.Trainer(steps.step2.GPT(config, len(data.tokenizer), data.tokenizer), data, config)
    ((name, value),) = changes.items()
    with pytest.raises(UserError, match=rf"모양이 다른 모델.*{name} \d+ ≠ {value}"):
        trainer.load_checkpoint(trained / "checkpoints" / "best_model.pt")


# ── 글쓰기 ──


@torch.no_grad()
def test_cached_logits_equal_the_full_forward(steps, model):
    ids = torch.randint(300, (1, 16), generator=torch.Generator().manual_seed(1))
    for cuts in ([16], [1] * 16, [5, 1, 1, 9], [15, 1]):
        reader = steps.step5.CachedReader(model, torch.tensor([0]))
        logits = torch.cat([reader.read(part) for part in ids.split(cuts, dim=1)], dim=1)
        assert torch.allclose(logits, model(ids), atol=1e-5), cuts


@torch.no_grad()
def test_prompts_of_unequal_length_are_read_together_as_if_alone(steps, model):
    prompts = [[5, 9, 3], [7], [1, 2, 3, 4, 5, 6, 7, 8]]
    following = torch.randint(300, (3, 6), generator=torch.Generator().manual_seed(2))
    padding = torch.tensor([8 - len(one) for one in prompts])
    reader = steps.step5.CachedReader(model, padding)
    reader.read(torch.tensor([[0] * (8 - len(one)) + one for one in prompts]))
    together = torch.stack([reader.read(following[:, [step]])[:, -1] for step in range(6)], dim=1)
    for row, prompt in enumerate(prompts):
        alone_ids = torch.tensor([prompt + following[row].tolist()])
        assert torch.allclose(together[row], model(alone_ids)[0, len(prompt) :], atol=1e-5)


@torch.no_grad()
def test_beyond_the_context_reading_goes_on_from_its_latter_half(steps, model):
    ids = torch.randint(300, (1, 40), generator=torch.Generator().manual_seed(4))
    reader = steps.step5.CachedReader(model, torch.tensor([0]))
    for step in range(40):
        logits = reader.read(ids[:, [step]])
        seen = reader.ids.size(1)
        assert 8 <= seen <= 16 or step < 8
        assert torch.allclose(logits[:, -1], model(ids[:, step + 1 - seen : step + 1])[:, -1], atol=1e-5)


def test_two_prompts_are_continued_as_each_alone(steps, model):
    prompts = ["여우", "곰", "곰은"]
    greedy = Sampling(max_tokens=8, temperature=0)  # 문맥 16토큰 안에서
    together = steps.step5.generate_texts(model, prompts, greedy)
    assert together == [steps.step5.generate_texts(model, [one], greedy)[0] for one in prompts]


def test_a_text_longer_than_the_context_is_written_to_its_end(steps, model):
    ids = [one for one in range(300) if one != model.tokenizer.end_id][:5]
    made = list(steps.step5.continue_tokens(model, [ids], Sampling(max_tokens=50, seed=1)))
    assert len(made) == 50 or made[-1][0].item() == model.tokenizer.end_id
    assert len(made) > 16


def test_a_seed_writes_the_same_again_and_another_seed_does_not(steps, model):
    texts = [steps.step5.generate_text(model, "여우", max_tokens=20, seed=seed) for seed in (5, 5, 6)]
    assert texts[0] == texts[1] != texts[2]


def test_generate_continues_every_prompt_on_the_command_line(trained):
    asked = ["--prompt", "작은 여우", "--prompt", "곰은", *words({"max_tokens": 8, "seed": 3})]
    said = [finished(run(STEP5, "generate", *asked, "--output", str(trained.parents[1]))).stdout for _ in range(2)]
    assert said[0] == said[1]
    assert said[0].startswith("작은 여우")
    assert "\n\n곰은" in said[0]


def test_a_checkpoint_file_alone_is_enough_to_write(trained, tmp_path):
    shutil.copy(trained / "checkpoints" / "best_model.pt", tmp_path / "moved.pt")
    asked = words({"checkpoint": tmp_path / "moved.pt", "output": tmp_path / "nowhere", "max_tokens": 2})
    assert finished(run(STEP5, "generate", *asked)).stdout.startswith("옛날 옛적에")


# ── 웹 ──


@pytest.fixture
def client(steps, model):
    """한 번에 한 글만 쓰는 서버."""
    return steps.step5.build_web_app(model, ServeConfig(max_parallel=1, max_new_tokens=40)).test_client()


def events_of(text: str) -> list[dict]:
    parts = text.split("\n\n")
    assert parts.pop() == ""
    assert all(part.startswith("data: ") and "\n" not in part for part in parts)
    return [json.loads(part.removeprefix("data: ")) for part in parts]


def test_the_page_and_the_health_check_answer(client, model):
    page = client.get("/").get_data(as_text=True)
    assert "<textarea" in page
    assert f"{model.num_parameters():,}개의 모델" in page
    assert 'max="40"' in page
    assert client.get("/healthz").get_json() == {"status": "ok", "parameters": model.num_parameters()}


def test_a_plain_answer_and_a_streamed_one_say_the_same(client):
    asked = {"prompt": "작은 여우", "max_tokens": 12, "seed": 3}
    plain = client.post("/api/generate", json=asked).get_json()
    streamed = client.post("/api/generate", json=asked | {"stream": True})
    assert streamed.mimetype == "text/event-stream"
    *tokens, end = events_of(streamed.get_data(as_text=True))
    assert plain["prompt"] == "작은 여우"
    assert plain["text"] == end["text"] == "".join(one["text"] for one in tokens)
    assert plain["reason"] == end["reason"] in ("length", "end_of_text")
    assert plain["tokens"] == sum(one["probability"] is not None for one in tokens) <= 12


def test_events_are_sent_while_the_text_is_still_being_written(client, steps, monkeypatch):
    """첫 사건을 받았을 때 모델은 한두 토큰만 골랐습니다. 다 쓴 뒤에 보내는 것이 아닙니다."""
    picked: list[int] = []
    monkeypatch.setattr(steps.step5, "pick", lambda *_: picked.append(1) or torch.tensor([len(picked) + 40]))
    response = client.post("/api/generate", json={"prompt": "여우", "max_tokens": 30, "stream": True})
    chunks = response.iter_encoded()
    next(chunks)
    assert 1 <= len(picked) <= 2
    rest = b"".join(chunks)
    assert len(picked) == 30
    assert b'"done": true' in rest


def test_one_text_too_many_is_answered_with_503_until_a_stream_is_closed(client):
    asked = {"prompt": "여우", "max_tokens": 30, "stream": True}
    first = client.post("/api/generate", json=asked)
    busy = client.post("/api/generate", json=asked)
    assert busy.status_code == 503
    assert "잠시 뒤" in busy.get_json()["error"]
    first.close()
    assert client.post("/api/generate", json=asked | {"stream": False}).status_code == 200
    with client.post("/api/generate", json=asked) as whole:
        assert events_of(whole.get_data(as_text=True))[-1]["done"]
    assert client.post("/api/generate", json=asked | {"stream": False}).status_code == 200


def test_a_failure_while_writing_frees_its_place_and_is_explained(client, steps, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("boom")

    with monkeypatch.context() as patch:
        patch.setattr(steps.step5, "pick", broken)
        failed = client.post("/api/generate", json={"prompt": "여우"})
    assert failed.status_code == 500
    assert re.search("[가-힣]", failed.get_json()["error"])
    assert client.post("/api/generate", json={"prompt": "여우", "max_tokens": 1}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "JSON"),
        (b'{"prompt": 3}', 422, "문자열"),
        (b'{"prompt": "a", "max_tokens": 41}', 422, "40"),
        (b'{"prompt": "a", "temperature": -1}', 422, "temperature"),
        (b'{"prompt": "' + b"abc " * 100 + b'"}', 422, "앞글이 .*토큰"),
        (b"x" * 100_000, 413, "너무 큽니다"),
    ],
)
def test_a_bad_request_is_answered_in_korean_and_takes_no_place(client, body, status, said):
    for _ in range(2):
        answer = client.post("/api/generate", data=body)
        assert answer.status_code == status
        assert re.search(said, answer.get_json()["error"])
    assert client.post("/api/generate", json={"prompt": "a", "max_tokens": 1}).status_code == 200


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", "/api/generate", 405)])
def test_wrong_addresses_and_methods_are_answered_in_json(client, method, path, status):
    answer = client.open(path, method=method)
    assert answer.status_code == status
    assert re.search("[가-힣]", answer.get_json()["error"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def post(base: str, **asked: object) -> tuple[int, dict]:
    body = json.dumps(asked).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{base}/api/generate", data=body)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@slow
def test_server_answers_streams_and_stops_over_http(trained, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    port = free_port()
    asked = {"output": trained.parents[1], "server_port": port, "max_parallel": 1, "max_new_tokens": 100_000}
    server = subprocess.Popen(
        [sys.executable, str(STEP5), "serve", *words(asked)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
    )
    try:
        base = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                assert json.load(urllib.request.urlopen(f"{base}/healthz"))["status"] == "ok"
                break
            except OSError:
                assert server.poll() is None, server.stdout.read().decode()
                time.sleep(0.1)  # 다른 프로세스가 뜨기를 기다립니다.
        assert "<textarea" in urllib.request.urlopen(base).read().decode()
        status, answer = post(base, prompt="작은 여우", max_tokens=5, seed=1)
        assert (status, answer["prompt"]) == (200, "작은 여우")
        assert post(base, prompt="a", max_tokens=100_001)[0] == 422

        for seed in range(20):  # 글의 끝을 뽑아 벌써 끝난 글은 자리를 비웁니다. 그러면 다른 글로 다시 합니다.
            with closing(HTTPConnection("127.0.0.1", port)) as connection:
                endless = {"prompt": "여우", "max_tokens": 100_000, "stream": True, "seed": seed}
                connection.request("POST", "/api/generate", json.dumps(endless))
                first = connection.getresponse().readline()
                assert events_of(first.decode() + "\n")[0]["alternatives"]
                if post(base, prompt="곰")[0] == 503:  # 첫 사건은 받았고, 글은 아직 쓰는 중입니다.
                    break
        else:
            raise AssertionError("쓰는 중에도 다른 글을 받습니다")
        for _ in range(200):
            if post(base, prompt="곰", max_tokens=1)[0] == 200:
                break
            time.sleep(0.05)  # 서버는 다음 토큰을 보내려다 끊긴 것을 압니다.
        else:
            raise AssertionError("연결을 끊었는데도 자리가 비지 않습니다")
        explained(run(STEP5, "serve", *words(asked)), f"포트 {port}")
    finally:
        server.terminate()
        server.wait()


# ── 내보내기 ──


@pytest.fixture(scope="module")
def exported(trained) -> Path:
    """6단계가 내보낸 폴더."""
    done = finished(run(STEP6, "--output", str(trained.parents[1])))
    assert "Hugging Face: 로짓의 차이는" in done.stdout
    return trained / "export"


@pytest.fixture(scope="module")
def best(steps, trained):
    return load_model(steps.step2.GPT, trained / "checkpoints" / "best_model.pt")


IDS = [torch.randint(300, shape, generator=torch.Generator().manual_seed(1)) for shape in ((1, 1), (3, 5), (2, 16))]


@slow
@torch.no_grad()
def test_transformers_reads_the_export_and_computes_the_same(exported, best):
    from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

    folder = str(exported / "hugging_face")
    plain = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    fast = AutoModelForCausalLM.from_pretrained(folder)  # CPU의 SDPA는 exp를 어림해 1e-5쯤 다릅니다.
    for ids in IDS:
        assert torch.allclose(plain(ids).logits, best(ids), atol=1e-5)
        assert torch.allclose(fast(ids).logits, best(ids), atol=1e-3)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "작은 여우가 등불을 들고"
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == best.tokenizer.encode(text)
    made = pipeline("text-generation", model=folder)("작은 여우", max_new_tokens=3, do_sample=False)
    assert made[0]["generated_text"].startswith("작은 여우")


@slow
@torch.no_grad()
def test_an_exported_model_comes_back_as_ours(exported, best, step6):
    again = step6.GPT.from_pretrained(str(exported / "hugging_face"))
    assert not again.training
    assert again.tokenizer.encode("작은 여우") == best.tokenizer.encode("작은 여우")
    assert same(dict(again.state_dict()), dict(best.state_dict()))
    assert again.lm_head.weight is again.token_embedding.weight


@slow
@torch.no_grad()
def test_onnx_computes_the_same_for_any_batch_and_length(exported, best):
    from nlpbook.language.onnx_models import OnnxModel

    whole, small = (OnnxModel(exported / name) for name in ("model.onnx", "model.int8.onnx"))
    for ids in IDS:
        expected = best(ids)
        assert torch.allclose(whole(ids), expected, atol=1e-4)
        assert small(ids).shape == expected.shape
        assert (small(ids) - expected).abs().max() < 0.25 * expected.std() * 4
    (exported / "broken.onnx").write_bytes(b"not onnx")
    with pytest.raises(UserError, match=r"ONNX.*broken\.onnx"):
        OnnxModel(exported / "broken.onnx")


@slow
def test_eight_bits_are_smaller_and_hardly_worse(exported):
    rows = json.loads((exported / "export.json").read_text(encoding="utf-8"))
    assert [row["model"] for row in rows] == ["PyTorch fp32", "ONNX fp32", "ONNX int8"]
    full, onnx, small = rows
    assert (exported / "model.int8.onnx").stat().st_size < (exported / "model.onnx").stat().st_size
    assert small["mebibytes"] < onnx["mebibytes"]
    assert onnx["perplexity"] == pytest.approx(full["perplexity"], rel=1e-3)
    assert small["perplexity"] == pytest.approx(full["perplexity"], rel=0.05)
    assert all(row["tokens_per_second"] > 0 for row in rows)


# ── 잘못된 입력 ──


@pytest.fixture
def bad(tmp_path) -> Path:
    """알아볼 수 없는 글과 체크포인트가 있는 폴더."""
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "short.txt").write_text("짧은 글\n" * 3, encoding="utf-8")
    (tmp_path / "cp949.txt").write_bytes(b"ok\n" + "옛날 옛적에\n".encode("cp949"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "garbage.pt").write_bytes(b"garbage")
    (tmp_path / "tokenizer.json").write_text("{}")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "given", "said"),
    [
        ("train", "--data {bad}/empty.txt", "비어 있습니다"),
        ("train", "--data {bad}/short.txt", "학습에 쓸 글이 .*토큰뿐|검증에 쓸 글이 .*토큰뿐"),
        ("train", "--data {bad}/short.txt --val_ratio 0.001", "너무 짧아|토큰뿐"),
        ("train", "--data {bad}/cp949.txt", "cp949.txt 의 4번째 바이트가 UTF-8이 아닙니다"),
        ("train", "--data {bad}/folder", "txt 파일이 없습니다"),
        ("train", "--data {bad}/nowhere.txt", "글이 없습니다"),
        ("train", "--tokenizer {bad}/tokenizer.json", "tokenizer.json이 아닙니다"),
        ("train", "--tokenizer {bad}/folder", "토크나이저"),
        ("train", "--d_embed 30 --num_heads 4", "나누어떨어지지 않습니다"),
        ("train", "--learning_rate 0", "learning_rate"),
        ("train", "--precision 16-mixed", "16-mixed"),
        ("train", "--strategy fsdp", "fsdp"),
        ("train", "--num_epochs 0", "--num_epochs"),
        ("train", "--d_embd 3", "모르는 옵션"),
        ("train", "--resume", "먼저 train"),
        ("test", "", "먼저 train"),
        ("test", "--checkpoint {bad}/garbage.pt", "garbage.pt"),
        ("test", "--checkpoint {bad}/other.pt", "이 과제의 체크포인트가 아닙니다"),
        ("generate", "--checkpoint {bad}/nowhere.pt", "체크포인트가 없습니다"),
        ("generate", "--temperature -1", "--temperature"),
        ("generate", "--temperature 99", "--temperature.*10 이하"),
        ("generate", "--temperature 0.0001", "temperature"),
        ("train", "--seed 4294967296", "--seed"),
        ("test", "--data {bad}/nowhere.txt", "글이 없습니다"),
        ("serve", "--server_page serve_ml.html", "serve_lm.html"),
        ("serve", "", "먼저 train"),
    ],
)
def test_bad_input_gets_one_korean_sentence(bad, command, given, said):
    asked = ["--output", str(bad / "out"), "--accelerator", "cpu", *given.format(bad=bad).split()]
    explained(run(STEP5, command, *asked), said, codes=(1, 2))
    assert not list((bad / "out").rglob("arguments.json"))


@pytest.mark.parametrize(
    ("command", "given", "said"),
    [
        ("generate", ["--prompt", "여우가 " * 40], r"앞글이 \d+토큰인데.*15토큰까지"),
        ("generate", ["--temperature", "0.0001"], "temperature"),
        ("serve", ["--server_page", "nowhere.html"], "nowhere.html"),
        ("test", ["--data", "nowhere.txt"], "글이 없습니다"),
        ("train", ["--job_name", "tiny", "--job_version", "1"], "이미 있는 실행"),
    ],
)
def test_a_trained_model_asked_badly_answers_in_one_korean_sentence(trained, command, given, said):
    explained(run(STEP5, command, "--output", str(trained.parents[1]), *given), said)


def test_step1_explains_a_bad_text_too(bad):
    explained(run(STEP1, str(bad / "empty.txt")), "비어 있습니다")


def test_settings_edited_into_another_shape_are_not_resumed(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "task3-lm" / "tiny-1")
    arguments = tmp_path / "task3-lm" / "tiny-1" / "arguments.json"
    saved = json.loads(arguments.read_text(encoding="utf-8"))
    arguments.write_text(json.dumps(saved | {"output": str(tmp_path), "d_embed": 16}), encoding="utf-8")
    explained(run(STEP5, "train", "--resume", "--output", str(tmp_path)), "모양이 다른 모델.*d_embed 32 ≠ 16")


def test_a_sequence_longer_than_the_context_is_refused_by_the_model(model):
    with pytest.raises(UserError, match="17토큰인데.*16토큰까지"):
        model(torch.zeros(1, 17, dtype=torch.long))


# ── 시연 ──


def test_the_demo_asks_only_for_what_the_commands_know(steps, monkeypatch):
    spec = importlib.util.spec_from_file_location("lm_demo", FOLDER / "demo.py")
    demo = importlib.util.module_from_spec(spec)
    sys.modules.update({steps.step4.__name__: steps.step4, steps.step5.__name__: steps.step5})
    spec.loader.exec_module(demo)
    asked = []
    monkeypatch.setattr(demo.step4, "train", asked.append)
    monkeypatch.setattr(demo.step5, "test", asked.append)
    monkeypatch.setattr(demo, "find_run", lambda choice: 1 / 0)  # 여기까지만 봅니다.
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    with pytest.raises(ZeroDivisionError):
        demo.main()
    train, test = asked
    assert LMConfig.of(train).num_epochs == train["num_epochs"]
    assert TestConfig.of(test).job_name == LMConfig.of(train).job_name == "demo"
    assert train.given == set(train)


def test_a_text_nobody_waits_for_is_written_no_further(client, steps, monkeypatch):
    picked: list[int] = []
    monkeypatch.setattr(steps.step5, "pick", lambda *_: picked.append(1) or torch.tensor([len(picked) + 40]))
    asked = {"prompt": "여우", "max_tokens": 30, "stream": True}
    left = {"waitress.client_disconnected": lambda: len(picked) > 3}
    for stream in (True, False):
        picked.clear()
        with client.post("/api/generate", json=asked | {"stream": stream}, environ_overrides=left) as answer:
            assert answer.status_code == 200
            answer.get_data()
        assert len(picked) == 4
