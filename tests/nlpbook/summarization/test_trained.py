"""학습해 둔 모델을 찾기: 두 가지 실행 폴더, 옮긴 것, 끝나지 않은 것. 그리고 학습할 때의 설정을 따르기."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import nn

from nlpbook.errors import UserError
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.config_files import command_line_layer, resolved
from nlpbook.summarization.layers import Sourced
from nlpbook.summarization.limits import require_lengths
from nlpbook.summarization.runs import STATE, ExperimentRun, TrialRun
from nlpbook.summarization.trained import as_trained, find_model, run_of


def config_with(*words: str, name: str | None = "내실험") -> SummarizationConfig:
    """실험의 이름이 파일에 적힌 설정 위에 명령줄을 얹은 것. 이름이 None이면 이름 없는 설정입니다."""
    file = {"experiment": {"name": Sourced(name, "실험.yaml 3번째 줄")}} if name else {}
    layer = command_line_layer([*words, *([] if name else ["meta.experiment_name=이름없음"])])
    return resolved({**layer, **file})


def finish(run: ExperimentRun | TrialRun, **saved: object) -> Path:
    """다 마친 실행의 흔적. `saved`는 학습할 때의 설정 가운데 기본값과 다른 것입니다."""
    run.final_model.mkdir(parents=True)
    (run.final_model / "config.json").write_text(
        json.dumps({"is_encoder_decoder": True, "model_type": "bart"}), encoding="utf-8"
    )
    run.checkpoints.mkdir(exist_ok=True)
    run.facts.write_text("{}", encoding="utf-8")
    SummarizationConfig().merge(saved).save(run.arguments)
    return run.final_model


def test_the_model_of_an_experiment_is_found_by_its_name(tmp_path):
    place = finish(ExperimentRun(tmp_path / "outputs" / "내실험"))
    assert find_model(config_with("output_dir=./outputs"), tmp_path) == str(place)


def test_the_newest_of_the_runs_without_a_name_is_found(tmp_path):
    home = tmp_path / "outputs" / "experiments"
    finish(TrialRun(home / "20261130_080000_aaaaaaaa"))
    newest = finish(TrialRun(home / "20261130_090000_00000000"))
    (home / "20261130_095959_ffffffff").mkdir()  # 시작하다 만 것
    assert find_model(config_with("output_dir=outputs", name=None), tmp_path) == str(newest)


def test_a_folder_or_a_run_or_a_name_can_be_given(tmp_path):
    run = ExperimentRun(tmp_path / "outputs" / "다른것")
    place = finish(run)
    for given in (run.path, place, "outputs/다른것", "outputs/다른것/final_model"):
        found = find_model(config_with(f"checkpoint_path={given}"), tmp_path)
        assert Path(found).samefile(place)
    assert find_model(config_with("checkpoint_path=ko-bart-tiny"), tmp_path) == "ko-bart-tiny"


def test_what_was_not_trained_yet_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="먼저 `train`"):
        find_model(config_with("output_dir=outputs"), tmp_path)
    with pytest.raises(UserError, match="이름 없는 실행.*먼저 `train`"):
        find_model(config_with("output_dir=outputs", name=None), tmp_path)


def test_what_is_not_finished_says_how_to_go_on(tmp_path):
    for number in (10, 9, 11):  # 11은 쓰다 만 것
        place = tmp_path / "outputs" / "내실험" / f"checkpoint-{number}"
        place.mkdir(parents=True)
        if number < 11:
            (place / STATE).write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=r"--resume_from_checkpoint \S*내실험.*checkpoint-10"):
        find_model(config_with("output_dir=outputs"), tmp_path)


@pytest.mark.parametrize("kind", [ExperimentRun, TrialRun])
def test_settings_are_those_of_the_training_unless_typed_now(tmp_path, kind):
    saved = {
        "generation.num_beams": 7,
        "generation.max_length": 33,
        "tokenizer.encoder_max_len": 99,
        "data.test": "옛것",
    }
    folder = str(finish(kind(tmp_path / "실행"), **saved))
    now = as_trained(config_with("num_beams=2", "test_data=지금.csv"), folder)
    assert (now.generation.num_beams, now.generation.max_length, now.tokenizer.encoder_max_len) == (2, 33, 99)
    assert now.data.test == "지금.csv"
    assert now.model.checkpoint == folder


def test_a_folder_outside_any_run_takes_the_settings_asked_for(tmp_path):
    asked = config_with("num_beams=2")
    assert run_of(tmp_path / "모델") is None
    assert as_trained(asked, str(tmp_path / "모델")).generation == asked.generation


def test_a_model_of_another_kind_is_refused(tmp_path):
    folder = finish(ExperimentRun(tmp_path / "실행"), **{"model.architecture": "kogpt2"})
    with pytest.raises(UserError, match="kogpt2"):
        as_trained(config_with(), str(folder))
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="읽을 수 없습니다"):
        as_trained(config_with(), str(folder))


class Positions(nn.Module):
    """위치를 표로 배우는 모델."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.embed_positions = nn.Embedding(count, 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["encoder_max_len=41"], "tokenizer.encoder_max_len 41"),
        (["encoder_max_len=40", "decoder_max_len=41"], "요약의 상한 41"),
        (["encoder_max_len=40", "max_length=41"], "요약의 상한 41"),
        (["encoder_max_len=30", "architecture=kogpt2"], "더하면"),
    ],
)
def test_lengths_beyond_the_positions_are_refused(words, said):
    short = ["decoder_max_len=20", "max_length=20"]
    names = {word.partition("=")[0] for word in words}
    config = config_with(*words, *(word for word in short if word.partition("=")[0] not in names))
    with pytest.raises(UserError, match=said):
        require_lengths(config, Positions(40))
    require_lengths(config, nn.Linear(2, 2))  # 위치를 배우지 않는 모델에는 상한이 없습니다.


def test_lengths_that_fit_are_not_refused():
    require_lengths(config_with("encoder_max_len=40", "decoder_max_len=20", "max_length=40"), Positions(40))
