"""요약 과제의 설정: 여러 이름, 서로 어긋나는 값, 알림, transformers 5와 맞는 이름."""

from __future__ import annotations

import copy
import pickle
import re
from dataclasses import fields

import pytest

from nlpbook.errors import UserError
from nlpbook.settings import UnknownSetting, WrongValue
from nlpbook.summarization import SummarizationConfig
from nlpbook.summarization.config import TrainingSettings
from nlpbook.summarization.precision import precision_for
from nlpbook.summarization.spellings import (
    ARGUMENT_NAMES,
    ENVIRONMENT,
    FIXED,
    OLD_DATA,
    OLD_FILE,
    OLD_REPORT,
    PLAIN_NAMES,
    RIVALS,
    SAME,
    SPELLINGS,
)

PATHS = {".".join(leaf.path) for leaf in SummarizationConfig.leaves()}


@pytest.mark.parametrize(
    ("spelled", "field"), [pair for pair in SPELLINGS.items() if pair[0].split(".")[0] == pair[1].split(".")[0]]
)
def test_a_guide_spelling_reads_and_writes_its_field(spelled, field):
    config = SummarizationConfig()
    group, name = spelled.split(".")
    given = ["#Person9#"] if field.endswith("tags") else 0.37 if field.endswith("smoothing") else 37
    given = "이름" if field == "experiment.name" else given
    setattr(config[group], name, given)
    assert config[field] == getattr(config[group], name) == config[spelled] == given


def test_a_config_reads_like_a_dict_and_can_be_copied():
    config = SummarizationConfig()
    config.training.epochs = 2
    config.wandb.enabled = False
    assert dict(config)["training"]["num_train_epochs"] == 2
    assert dict(config)["training"]["epochs"] == 2
    for one in (copy.deepcopy(config), pickle.loads(pickle.dumps(config)), SummarizationConfig(**config.to_dict())):
        assert one == config
        one.training.epochs = 3
        assert config.training.epochs == 2


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (lambda one: setattr(one.training, "epoch", 2), UnknownSetting, "혹시 epochs"),
        (lambda one: setattr(one.training, "epochs", "많이"), WrongValue, "정수를"),
        (lambda one: setattr(one.model, "architecture", "kobert"), WrongValue, "'kogpt2'.*혹시 kobart"),
        (lambda one: setattr(one.general, "device", "gpu"), WrongValue, "'auto', 'cuda', 'cpu', 'mps'"),
        (lambda one: setattr(one, "traning", {}), UnknownSetting, "혹시 training"),
    ],
)
def test_a_wrong_assignment_is_refused_at_once(change, kind, said):
    with pytest.raises(kind, match=said):
        change(SummarizationConfig())


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="TrainingSettings에 epoch이"):
        _ = SummarizationConfig().training.epoch


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training.learning_rate": 0}, "learning_rate가 0"),
        ({"generation.min_length": 70, "generation.max_length": 70}, "min_length 70.*max_length 70보다 작아야"),
    ],
)
def test_values_that_contradict_each_other_are_told(changes, said):
    with pytest.raises(UserError, match=said):
        SummarizationConfig().merge(changes).require_consistent()


def test_the_evaluation_batch_follows_the_training_batch_unless_given():
    config = SummarizationConfig()
    config.training.batch_size = 5
    assert config.training.eval_batch_size == 5
    config.training.per_device_eval_batch_size = 9
    assert config.training.eval_batch_size == 9


@pytest.mark.parametrize(("enabled", "mode", "active"), [(True, "online", True), (True, "disabled", False)])
def test_wandb_is_active_when_enabled_and_not_disabled(enabled, mode, active):
    config = SummarizationConfig().merge({"wandb.enabled": enabled, "wandb.mode": mode})
    assert config.wandb.active is active
    assert not SummarizationConfig().wandb.active


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"general.model_name": "가/나"},
            "general.model_name.*'가/나'.*model.checkpoint.*ko-bart-tiny.*model.checkpoint.*씁니다",
        ),
        ({"training.warmup_steps": 30, "training.warmup_ratio": 0.2}, "warmup_steps를 씁니다"),
        ({"training.fp16_opt_level": "O2"}, "fp16_opt_level"),
        ({"training.overwrite_output_dir": False}, "overwrite_output_dir"),
        ({"unused": {"training.save_strategy": "steps"}}, "save_strategy: 'steps'.*쓰이지 않습니다"),
    ],
)
def test_what_has_no_effect_is_said(changes, said):
    (notice,) = SummarizationConfig().merge(changes).notices()
    assert re.search(said, notice)


def test_defaults_need_no_notice():
    assert SummarizationConfig().notices() == []


# ── 표


def test_every_name_in_the_tables_is_a_field():
    named = [*SPELLINGS.values(), *PLAIN_NAMES.values(), *ENVIRONMENT.values(), *OLD_FILE.values()]
    named += [*OLD_DATA[1], OLD_REPORT[1], *(one for pair in (*SAME, *RIVALS) for one in pair)]
    assert set(named) <= PATHS
    assert not (set(SPELLINGS) | set(FIXED)) & PATHS


def test_options_have_names_of_their_own():
    names = [leaf.option for leaf in SummarizationConfig.leaves()]
    assert len(names) == len(set(names))


def test_names_of_training_are_those_of_transformers_5():
    """같은 이름이라고 한 것은 있고, 없어졌다고 한 것은 없습니다."""
    from transformers import Seq2SeqTrainingArguments

    known = set(Seq2SeqTrainingArguments.__dataclass_fields__)
    names = {one.name for one in fields(TrainingSettings)}
    assert set(ARGUMENT_NAMES) <= names
    assert {ARGUMENT_NAMES.get(name, name) for name in names} - {None} <= known
    assert {name for name in names if name in ARGUMENT_NAMES} & known == set()


def test_a_share_of_the_steps_is_taken_as_warmup_steps():
    from transformers import TrainingArguments

    made = TrainingArguments(output_dir="x", warmup_steps=0.25, report_to="none", use_cpu=True)
    assert made.get_warmup_steps(80) == 20


# ── 정밀도


@pytest.mark.parametrize(
    ("changes", "native", "name"),
    [
        ({}, "bf16-mixed", "bf16-mixed"),
        ({}, "16-mixed", "16-mixed"),
        ({}, "32-true", "32-true"),
        ({"training.fp16": False}, "bf16-mixed", "32-true"),
        ({"training.precision": "16-mixed", "training.fp16": False}, "bf16-mixed", "16-mixed"),
    ],
)
def test_fp16_means_the_best_16_bits_of_the_device(monkeypatch, changes, native, name):
    monkeypatch.setattr(
        "nlpbook.hardware.precision_of", lambda asked, accelerator: native if asked == "auto" else asked
    )
    chosen = precision_for(SummarizationConfig().merge(changes), "cuda")
    assert chosen.name == name
    assert (chosen.bf16, chosen.fp16) == (name == "bf16-mixed", name == "16-mixed")
    assert "\n" not in chosen.sentence
    assert {"bf16-mixed": "bf16", "16-mixed": "fp16", "32-true": "32비트"}[name] in chosen.sentence


@pytest.mark.parametrize(("architecture", "warned"), [("t5", True), ("mt5", True), ("kobart", False)])
def test_fp16_is_warned_of_for_t5_but_bf16_is_not(monkeypatch, architecture, warned):
    config = SummarizationConfig().merge({"model.architecture": architecture})
    for native, overflows in (("16-mixed", True), ("bf16-mixed", False)):
        monkeypatch.setattr("nlpbook.hardware.precision_of", lambda asked, accelerator, native=native: native)
        assert ("NaN" in precision_for(config, "cuda").warning) is (warned and overflows)


def test_fp16_asked_for_on_a_cpu_is_refused():
    with pytest.raises(UserError, match="CPU에서는 16-mixed"):
        precision_for(SummarizationConfig().merge({"training.precision": "16-mixed"}), "cpu")
