"""시작하기 전에 물어 볼 것: 모델의 자리, 줄의 모양, 결과를 둘 폴더."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from nlpbook.classification.config import PrintingConfig, TestConfig, TrainConfig
from nlpbook.classification.limits import EVALUATE_LINE, VALIDATE_LINE, require_testable, require_trainable
from nlpbook.errors import UserError
from nlpbook.limits import position_limit, require_format, require_positions
from nlpbook.paths import require_writable_folder

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 50}
TABLES = [
    (BertConfig, 40, 40),
    (ElectraConfig, 40, 40),
    (RobertaConfig, 40, 38),  # 채움이 1번이라 2번 자리부터 셉니다
    (XLMRobertaConfig, 40, 38),
]


@pytest.mark.parametrize(("kind", "table", "limit"), TABLES, ids=lambda one: getattr(one, "model_type", str(one)))
def test_the_limit_is_the_longest_text_that_the_model_can_really_read(kind, table, limit):
    model = AutoModel.from_config(kind(**SMALL, max_position_embeddings=table)).eval()
    assert position_limit(model) == limit
    model(input_ids=torch.full((1, limit), 7))
    with pytest.raises((IndexError, RuntimeError, ValueError)):
        model(input_ids=torch.full((1, limit + 1), 7))


def test_another_padding_moves_the_first_position():
    config = RobertaConfig(**SMALL, max_position_embeddings=40, pad_token_id=3, bos_token_id=0, eos_token_id=1)
    assert position_limit(AutoModel.from_config(config)) == 36


def test_a_model_with_another_name_for_the_table_and_one_without_any():
    assert (
        position_limit(AutoModel.from_config(DistilBertConfig(vocab_size=50, dim=16, hidden_dim=16, n_heads=2))) == 512
    )
    with torch.device("meta"):
        assert position_limit(AutoModel.from_config(ModernBertConfig())) is None


def test_a_longer_text_is_refused_before_the_weights_are_read(tmp_path):
    RobertaConfig(**SMALL, max_position_embeddings=40).save_pretrained(tmp_path)
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_text("아직 읽지 않습니다", encoding="utf-8")
    require_positions(str(tmp_path), 38)
    with pytest.raises(UserError, match=r"--seq_len 39.*38토큰"):
        require_positions(str(tmp_path), 39)


def test_the_embedded_model_reads_what_its_table_holds():
    require_positions("ko-bert-tiny", 128)
    with pytest.raises(UserError, match="128토큰"):
        require_positions("ko-bert-tiny", 129)


@pytest.mark.parametrize(
    "template", ["", "{step}", "{epoch:.2f} {val_loss:>8.3e}", "{{ {val_acc:.1%} }}", "{step:05d}"]
)
def test_a_good_line_is_accepted(template):
    require_format("tag_format_on_validate", template, VALIDATE_LINE)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{val_los:.3f}", "val_los.*혹시 val_loss"),
        ("{zzz}", "zzz"),
        ("{}", "모르는 이름"),
        ("{0}", "모르는 이름"),
        ("{val_loss", "모양대로"),
        ("val_loss}", "모양대로"),
        ("{val_loss:.3q}", "모양대로"),
        ("{step:.3}", "모양대로"),
        ("{epoch:d}", "모양대로"),
        ("{val_loss.nothing}", "모양대로"),
        ("{val_loss[0]}", "모양대로"),
        ("{step!x}", "모양대로"),
    ],
)
def test_a_bad_line_is_refused_with_the_names_that_can_be_used(template, said):
    with pytest.raises(UserError, match=f"--tag_format_on_validate.*{said}") as caught:
        require_format("tag_format_on_validate", template, VALIDATE_LINE)
    for name in VALIDATE_LINE:
        assert name in str(caught.value)


def test_the_default_lines_are_good():
    require_trainable(TrainConfig())
    require_testable(TestConfig())


@pytest.mark.parametrize("option", [name for name in PrintingConfig.options() if name.startswith("tag_format")])
def test_every_line_is_tried_before_the_training(option):
    config = TrainConfig()
    setattr(config.printing, option, "{nonsense}")
    with pytest.raises(UserError, match=option):
        require_trainable(config)


def test_the_sample_names_are_those_of_a_real_report():
    assert set(EVALUATE_LINE) == {"count", "accuracy", "f1", "confusion"}


def test_a_result_folder_that_cannot_be_made_is_refused_before_the_work(tmp_path):
    assert require_writable_folder(tmp_path / "new" / "deeper") == tmp_path / "new" / "deeper"
    assert require_writable_folder(tmp_path) == tmp_path
    (tmp_path / "file").write_text("")
    for taken in (tmp_path / "file", tmp_path / "file" / "export"):
        with pytest.raises(UserError, match=r"file.*폴더가 아니라"):
            require_writable_folder(taken)
