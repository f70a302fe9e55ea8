"""잘못 적은 것에는 한국어 한 문장으로 답합니다."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from nlpbook.errors import UserError
from tests.task3_lm.system.running import FOLDER, STEP1, STEP5, explained, run

if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)


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
