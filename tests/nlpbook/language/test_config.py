"""언어 모델의 설정: 학습 가이드의 기본값, 명령줄 옵션, 저장과 되살리기, 어긋난 값."""

from __future__ import annotations

import ast
from dataclasses import Field, fields
from pathlib import Path

import pytest

from nlpbook.cli import new_app, with_options
from nlpbook.errors import UserError
from nlpbook.language.config import ExportConfig, GenerateConfig, LMConfig, RunChoice, ServeConfig, TestConfig
from nlpbook.paths import ROOT
from nlpbook.settings import default_of

GUIDE = {
    "d_embed": 256,
    "num_heads": 4,
    "num_layers": 4,
    "batch_size": 8,
    "num_epochs": 10,
    "learning_rate": 3e-4,
    "dropout": 0.1,
    "weight_decay": 0.1,
}
KINDS = [LMConfig, TestConfig, GenerateConfig, ServeConfig, ExportConfig]
STEP4 = ROOT / "solutions" / "task3-lm" / "step4_training_pipeline.py"


def assigned(path: Path, name: str) -> object:
    """파일을 실행하지 않고 읽은 `name = …`의 값."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"{path.name}에 {name}이(가) 없습니다")


def run_with(kind: type, *words: str) -> dict:
    """명령줄을 읽은 옵션."""
    import typer

    heard: list = []
    cli = new_app("시험", no_args_is_help=False)
    cli.command()(with_options(kind)(lambda options: heard.append(options)))
    typer.main.get_command(cli).main(args=list(words), standalone_mode=False)
    return heard[0]


def test_the_defaults_are_those_of_the_guide():
    assert {name: getattr(LMConfig(), name) for name in GUIDE} == GUIDE


@pytest.mark.skipif(not STEP4.is_file(), reason="해답이 없는 배포판입니다")
def test_step4_writes_no_default_a_second_time():
    written = assigned(STEP4, "my_config")
    assert written.keys() <= LMConfig.options().keys()
    assert [name for name, value in written.items() if getattr(LMConfig(), name) == value] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_an_option_with_its_default(kind):
    options = run_with(kind)
    assert options.given == frozenset()
    assert options.keys() == kind.options().keys()
    assert kind.of(options).to_dict() == kind().to_dict() | (
        {"prompt": list(kind().prompt)} if kind is GenerateConfig else {}
    )


def test_what_is_given_on_the_command_line_reaches_the_config():
    options = run_with(LMConfig, "--d_embed", "64", "--learning-rate", "1e-3", "--resume", "--tokenizer", "my.json")
    assert options.given == {"d_embed", "learning_rate", "resume", "tokenizer"}
    config = LMConfig.of(options)
    assert (config.d_embed, config.learning_rate, config.resume, config.tokenizer) == (64, 1e-3, True, "my.json")


def test_prompts_may_be_many():
    assert GenerateConfig.of(run_with(GenerateConfig, "--prompt", "하나", "--prompt", "둘")).prompt == ["하나", "둘"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, "0") for name in ("d_embed", "num_heads", "num_layers", "batch_size", "num_epochs", "stride")],
        *[(name, "-1") for name in ("learning_rate", "dropout", "weight_decay", "patience", "seed", "save_every")],
        ("max_seq_len", "1"),
        ("dropout", "1"),
        ("vocab_size", "256"),
        ("val_ratio", "0"),
        ("val_ratio", "1"),
        ("warmup_rate", "1.1"),
        ("beta1", "1"),
        ("beta2", "1"),
        ("grad_accumulation", "0"),
        ("d_embed", "big"),
        ("precision", "fp8"),
        ("strategy", "magic"),
        ("accelerator", "tpu"),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_command_line(name, value):
    import typer

    with pytest.raises(typer.BadParameter):
        run_with(LMConfig, f"--{name}", value)


def test_the_ends_of_the_ranges_make_an_optimizer():
    """받아들인 값으로 AdamW를 만들지 못해 나중에 멈추는 일이 없습니다."""
    import torch

    for name in ("beta1", "beta2"):
        (one,) = (one for one in fields(LMConfig) if one.name == name)
        for value in (one.metadata["min"], one.metadata["max"]):
            config = LMConfig(**{name: float(value)})
            torch.optim.AdamW([torch.zeros(1, requires_grad=True)], betas=(config.beta1, config.beta2))


@pytest.mark.parametrize(("d_embed", "num_heads"), [(10, 4), (4, 8), (255, 2)])
def test_a_width_the_heads_cannot_share_is_refused_with_what_to_do(d_embed, num_heads):
    with pytest.raises(UserError, match=rf"d_embed {d_embed}.*num_heads {num_heads}.*{num_heads}의 배수"):
        LMConfig(d_embed=d_embed, num_heads=num_heads)


@pytest.mark.parametrize("rate", [0, -1e-3])
def test_a_learning_rate_of_zero_or_less_is_refused(rate):
    with pytest.raises(UserError, match="learning_rate"):
        LMConfig(learning_rate=rate)


def test_the_lowest_learning_rate_follows_the_highest_and_never_exceeds_it():
    assert LMConfig(learning_rate=1e-6).min_lr == pytest.approx(1e-7)
    assert LMConfig(learning_rate=1e-2).min_lr == pytest.approx(1e-3)
    assert LMConfig(learning_rate=1e-2, min_lr=3e-5).min_lr == 3e-5
    assert LMConfig(learning_rate=1e-6, min_lr=3e-5).min_lr == 1e-6


def other_than(one: Field) -> object:
    """기본값이 아니면서, 범위와 고를 수 있는 값, 헤드가 차원을 나누는 것과 같은 약속은 지키는 값."""
    default = default_of(one)
    if one.metadata["choices"]:
        return one.metadata["choices"][-1]
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return 2 * default or 1
    if isinstance(default, float):
        return default / 2
    if default is None and "int" in str(one.type):
        return 3
    if default is None and "float" in str(one.type):
        return 1e-6
    return ["다른 값"] if isinstance(default, tuple) else "다른 값"


@pytest.mark.parametrize("kind", [RunChoice, *KINDS])
def test_a_saved_config_comes_back(tmp_path, kind):
    changed = {leaf.option: other_than(leaf.field) for leaf in kind.leaves()}
    one = kind.of(changed)
    one.save(tmp_path / "arguments.json")
    assert kind.load(tmp_path / "arguments.json") == one
    assert {leaf.option: one[".".join(leaf.path)] for leaf in kind.leaves()} == changed
    assert "다른 값" in (tmp_path / "arguments.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "먼저 train"),
        (b"{", "읽을 수 없습니다"),
        (b"\xff", "읽을 수 없습니다"),
        (b"[]", "사전이 아닙니다"),
        (b'{"d_embde": 3, "banana": 1}', "모르는 항목.*d_embde.*혹시 d_embed"),
        (b'{"d_embed": 10, "num_heads": 4}', "나누어떨어지지 않습니다"),
    ],
)
def test_a_broken_config_file_is_reported_with_its_name(tmp_path, content, said):
    path = tmp_path / "arguments.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        LMConfig.load(path)
    assert path.name in str(caught.value) or "d_embed 10" in str(caught.value)
