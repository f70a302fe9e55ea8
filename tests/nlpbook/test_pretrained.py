"""사전학습 모델 찾기: 내장, 폴더, 이상한 이름, 닿지 않는 허브, 그리고 허브에서 정말로 내려받기."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from nlpbook.errors import UserError
from nlpbook.language.tokens import TextTokenizer
from nlpbook.paths import MODELS, ROOT
from nlpbook.pretrained import resolve_pretrained, untrained
from tests.task1_cls.checks import support

SOLUTION = ROOT / "solutions" / "task1-cls"


def test_the_embedded_model_is_found_by_name():
    assert resolve_pretrained("ko-bert-tiny") == str(MODELS / "ko-bert-tiny")


def test_a_folder_is_found_by_path():
    assert resolve_pretrained(str(support.tiny_model())) == str(support.tiny_model())


def test_a_folder_is_found_relative_to_the_current_one(monkeypatch):
    monkeypatch.chdir(support.tiny_model().parent)
    assert Path(resolve_pretrained("./tiny-bert")).resolve() == support.tiny_model().resolve()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "config.json이 없습니다"),
        (["model.safetensors", "tokenizer.json"], "config.json이 없습니다"),
        (["config.json", "tokenizer.json"], "가중치"),
        (["config.json", "model.safetensors"], "토크나이저"),
    ],
)
def test_an_incomplete_folder_says_what_is_missing(tmp_path, files, said):
    for file in files:
        (tmp_path / file).touch()
    with pytest.raises(UserError, match=said) as caught:
        resolve_pretrained(str(tmp_path))
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "files", [["pytorch_model.bin", "vocab.txt"], ["model.safetensors.index.json", "spiece.model"]]
)
def test_other_forms_of_weights_and_tokenizers_are_accepted(tmp_path, files):
    for file in ["config.json", *files]:
        (tmp_path / file).touch()
    assert resolve_pretrained(str(tmp_path)) == str(tmp_path)


CODE = "from pathlib import Path; Path(r'{marker}').touch()"


def folder_with_code(folder: Path, kind: str, tokenizer_class: str, where: str) -> Path:
    """`where`의 파일에 auto_map이 있는 모델 폴더. 함께 든 코드를 실행하면 executed 파일이 생깁니다."""
    shutil.copytree(support.tiny_model(), folder / "model")
    for name, changes in (
        ("config.json", {"model_type": kind}),
        ("tokenizer_config.json", {"tokenizer_class": tokenizer_class}),
    ):
        path = folder / "model" / name
        saved = json.loads(path.read_text(encoding="utf-8")) | changes
        if name == where:
            saved["auto_map"] = {"AutoConfig": "mine.Config", "AutoTokenizer": [None, "mine.Tokenizer"]}
        path.write_text(json.dumps(saved), encoding="utf-8")
    (folder / "model" / "mine.py").write_text(CODE.format(marker=folder / "executed"), encoding="utf-8")
    return folder / "model"


@pytest.mark.parametrize(
    ("kind", "tokenizer_class", "where"),
    [("mine", "BertTokenizer", "config.json"), ("bert", "MineTokenizer", "tokenizer_config.json")],
)
def test_a_model_that_needs_its_own_code_is_refused_without_asking(tmp_path, kind, tokenizer_class, where):
    folder = folder_with_code(tmp_path, kind, tokenizer_class, where)
    for read in (resolve_pretrained, TextTokenizer.load):
        with pytest.raises(UserError, match=r"auto_map.*ko-bert-tiny"):
            read(str(folder))
    assert not (tmp_path / "executed").exists()


def test_code_beside_a_known_kind_of_model_is_left_alone(tmp_path, monkeypatch):
    """Transformers가 아는 종류면 함께 든 코드 없이 읽습니다. 묻지도 않습니다."""
    from transformers import AutoConfig, AutoTokenizer

    folder = folder_with_code(tmp_path, "bert", "BertTokenizer", "config.json")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("물었습니다"))
    source = resolve_pretrained(str(folder))
    assert AutoConfig.from_pretrained(source).model_type == "bert"
    assert len(AutoTokenizer.from_pretrained(source)) > 5
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/model", "~/nowhere-model", "data/models/nowhere"])
def test_a_missing_folder_is_not_asked_of_the_hub(name):
    with pytest.raises(UserError, match="모델 폴더가 없습니다"):
        resolve_pretrained(name)


@pytest.mark.parametrize("name", ["이상한 이름", "a b", "--", "model..name", "-model", "a" * 97])
def test_a_name_no_hub_could_have_is_reported(name):
    with pytest.raises(UserError, match="올바르지 않습니다"):
        resolve_pretrained(name)


# ── 허브: huggingface_hub는 주소와 캐시를 처음 읽힐 때 정하므로 프로세스를 따로 씁니다 ──


def python(code: str, endpoint: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """허브의 주소와 캐시를 바꾼 새 파이썬에서 `code`를 실행합니다."""
    hub = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "no_proxy": "*"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=kept | hub | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, SOLUTION))), "PYTHONIOENCODING": "utf-8"},
        cwd=home,
        capture_output=True,
        encoding="utf-8",
        timeout=180,
    )


RESOLVE = """
import sys
from nlpbook.errors import UserError
from nlpbook.pretrained import resolve_pretrained
try:
    print(resolve_pretrained(sys.argv[1]))
except UserError as error:
    print("UserError:", error)
"""
ANSWER = """
import sys
from step3_training_steps import NSMCModel
from nlpbook.classification.config import TrainConfig
import torch
config = TrainConfig()
config.model.pretrained = sys.argv[1]
config.model.seq_len = 64
torch.manual_seed(0)
model = NSMCModel(config)
print(float(model.lang_model.bert.embeddings.word_embeddings.weight.double().sum()), model.infer_one("별로").label)
"""


class Hub(SimpleHTTPRequestHandler):
    """모델 하나(course/tiny-bert)가 있는 허브. 그 밖의 파일과 저장소에는 진짜 허브처럼 X-Error-Code로 답합니다."""

    repo = "/course/tiny-bert/resolve/"

    def send_head(self):
        file = support.tiny_model() / Path(self.path).name
        if self.path.startswith(self.repo) and file.is_file():
            content = file.read_bytes()
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Repo-Commit", "c0ffee" + "0" * 34)
            self.end_headers()
            return file.open("rb")
        known = self.path.startswith((self.repo, "/api/models/course/tiny-bert"))
        self.send_response(404 if known else 401)
        self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
        self.send_header("X-Repo-Commit", "c0ffee" + "0" * 34)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.slow
def test_an_unreachable_hub_names_the_command_that_works_offline(tmp_path, closed_port):
    result = python(RESOLVE, f"http://127.0.0.1:{closed_port}", tmp_path, "beomi/KcELECTRA-base")
    assert result.stdout.startswith("UserError: 허브의 모델 'beomi/KcELECTRA-base'"), result.stderr
    assert "네트워크에 닿지 않고" in result.stdout
    assert "--pretrained ko-bert-tiny" in result.stdout
    assert "Retrying" not in result.stderr  # 20초 넘게 다시 걸어 보지 않고 곧바로 알립니다.


@pytest.mark.slow
def test_a_model_the_hub_does_not_have_is_reported(tmp_path, serving):
    with serving(Hub) as url:
        result = python(RESOLVE, url, tmp_path, "course/no-such-model")
    assert "UserError: 허브에 'course/no-such-model' 모델이 없습니다" in result.stdout, result.stderr


@pytest.mark.slow
@pytest.mark.skipif(not SOLUTION.is_dir(), reason="해답이 없는 배포판입니다")
def test_a_hub_model_is_downloaded_once_and_then_works_offline(tmp_path, serving):
    from safetensors.torch import load_file

    weights = load_file(support.tiny_model() / "model.safetensors")
    expected = float(weights["bert.embeddings.word_embeddings.weight"].double().sum())
    with serving(Hub) as url:
        online = python(ANSWER, url, tmp_path, "course/tiny-bert")
    offline = python(ANSWER, url, tmp_path, "course/tiny-bert")
    assert online.returncode == 0, online.stderr
    assert offline.returncode == 0, offline.stderr
    assert offline.stdout == online.stdout
    assert "Retrying" not in offline.stderr
    assert float(online.stdout.split()[0]) == pytest.approx(expected)


def test_an_untrained_model_keeps_the_shape_and_forgets_the_weights():
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    small = BertConfig(
        vocab_size=17, hidden_size=12, num_hidden_layers=1, num_attention_heads=3, intermediate_size=20, num_labels=5
    )
    learned = BertForSequenceClassification(small)
    fresh = untrained(learned)
    assert {name: tuple(one.shape) for name, one in fresh.state_dict().items()} == {
        name: tuple(one.shape) for name, one in learned.state_dict().items()
    }
    words = "bert.embeddings.word_embeddings.weight"
    assert not torch.equal(fresh.state_dict()[words], learned.state_dict()[words])
    assert fresh.config.num_labels == 5
