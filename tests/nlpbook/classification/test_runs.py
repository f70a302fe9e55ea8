"""실행 폴더: 이름 짓기, 겹치지 않기, 가장 나중의 것 찾기."""

from __future__ import annotations

import pytest

from nlpbook.classification.config import ClassificationConfig, TestConfig, TrainConfig
from nlpbook.classification.runs import RunFolder, find_run, new_run, trained_config
from nlpbook.errors import UserError


@pytest.fixture
def config_for(tmp_path):
    """`config_for(이름, 버전)`은 임시 폴더에 실행을 남기는 설정입니다."""

    def make(name: str | None = None, version: str | None = None, kind=TrainConfig):
        config = kind()
        config.model.output = str(tmp_path)
        config.env.job_name, config.env.job_version = name, version
        return config

    return make


@pytest.fixture
def train(config_for):
    """`train(이름, 버전, 시각)`은 그때 시작한 실행을 하나 남깁니다."""

    def make(name: str, version: str, started: int) -> RunFolder:
        config = config_for(name, version)
        run = new_run(config)
        config.save(run.arguments)
        run.note(started=f"2026-01-01T00:0{started // 60}:{started % 60:02d}+00:00", pid=None)
        return run

    return make


def test_a_new_run_is_named_after_its_model_and_start(config_for, tmp_path):
    config = config_for()
    config.model.pretrained = "beomi/KcELECTRA-base"
    run = new_run(config)
    assert config.env.job_name == "KcELECTRA-base"
    assert run.path == tmp_path / "task1-cls" / f"KcELECTRA-base-{config.env.job_version}"
    assert run.path == RunFolder.of(config).path
    assert run.path.is_dir()


def test_a_run_is_never_overwritten(train):
    run = train("a", "1", started=1)
    run.checkpoints.mkdir()
    (run.checkpoints / "last.pt").touch()
    with pytest.raises(UserError, match="--resume.*--job_version"):
        train("a", "1", started=2)


def test_everything_of_a_run_lives_in_its_folder(tmp_path):
    run = RunFolder(tmp_path)
    parts = [run.arguments, run.checkpoints, run.model, run.learning_curve, run.confusion_matrix, run.mistakes]
    assert len(set(parts)) == 6
    assert {part.parent for part in parts} == {tmp_path}


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [(None, None, "b-1"), ("a", None, "a-2"), (None, "1", "b-1"), ("a", "1", "a-1"), ("a-b", None, "a-b-1")],
)
def test_the_latest_fitting_run_is_found(train, config_for, name, version, expected):
    train("a-b", "1", started=50)
    train("a", "1", started=100)
    train("a", "2", started=200)
    train("b", "1", started=300)
    assert find_run(config_for(name, version, TestConfig)).path.name == expected


def test_runs_of_other_projects_do_not_count(train, config_for):
    train("a", "1", started=1)
    config = config_for()
    config.env.project = "task2"
    with pytest.raises(UserError, match="task2"):
        find_run(config)


def test_an_unfinished_folder_is_not_a_run(train, config_for, tmp_path):
    run = train("a", "1", started=1)
    (tmp_path / "task1-cls" / "half-made").mkdir()
    assert find_run(config_for()).path == run.path


def test_no_fitting_run_says_what_was_wanted_and_to_train_first(train, config_for):
    train("a", "1", started=1)
    with pytest.raises(UserError, match=r"'c-\*'.*먼저 train"):
        find_run(config_for("c"))


def test_a_run_remembers_where_its_data_and_model_are(config_for, tmp_path, monkeypatch):
    """상대 경로로 학습한 실행을 다른 폴더에서 평가해도 같은 데이터를 찾습니다."""
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    config = config_for("a", "1")
    config.data.home, config.model.pretrained = "reviews", "mine"
    new_run(config)
    assert config.data.home == str(tmp_path / "reviews")
    assert config.model.pretrained == str(tmp_path / "mine")


def test_a_run_that_stopped_before_saving_does_not_hide_the_one_before(train, config_for):
    good, stopped = train("a", "1", started=1), train("a", "2", started=2)
    good.checkpoints.mkdir()
    (good.checkpoints / "step=000001-val_acc=0.5.safetensors").touch()
    assert find_run(config_for(), with_checkpoint=True).path == good.path
    assert find_run(config_for()).path == stopped.path


def test_a_trained_model_is_used_with_what_was_chosen_now(config_for, tmp_path):
    config = config_for("a", "1")
    config.model.seq_len, config.hardware.infer_batch, config.data.test_file = 57, 9, "mine.txt"
    run = new_run(config)
    config.save(run.arguments)
    asked = ClassificationConfig()
    asked.hardware.accelerator = "cpu"
    found = trained_config(run, asked)
    assert (found.model.seq_len, found.data.test_file, found.env.job_name) == (57, "mine.txt", "a")
    assert found.hardware == asked.hardware  # 장치는 지금의 것입니다.
    asked.model.seq_len = ClassificationConfig().model.seq_len  # 기본값과 같아도, 고른 것입니다.
    assert trained_config(run, asked).model.seq_len == 128


def test_the_model_of_the_run_is_used_unless_another_is_named(config_for):
    config = config_for("a", "1")
    run = new_run(config)
    config.save(run.arguments)
    run.model.mkdir()
    asked = TestConfig()
    assert trained_config(run, asked).model.pretrained == str(run.model)
    asked.model.pretrained = "beomi/KcELECTRA-base"
    assert trained_config(run, asked).model.pretrained == "beomi/KcELECTRA-base"
