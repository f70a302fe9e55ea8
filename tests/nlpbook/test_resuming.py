"""이어 하기의 설정: 바꾸어도 되는 것만 얹고, 나머지는 이름을 대어 거절합니다."""

from __future__ import annotations

import pytest
import torch

from nlpbook.classification.config import CHANGEABLE as CLS_CHANGEABLE
from nlpbook.classification.config import TrainConfig
from nlpbook.errors import UserError
from nlpbook.language import config
from nlpbook.language.config import LMConfig
from nlpbook.optimization import follow_schedule
from nlpbook.resuming import finished_already, with_given


def test_more_epochs_are_applied_and_the_rest_stays():
    saved = LMConfig(num_epochs=3, learning_rate=1e-2, d_embed=32, job_name="a")
    asked = LMConfig(num_epochs=9, job_name="b", resume=True)
    made = with_given(saved, asked, {"num_epochs", "job_name", "resume"}, config.CHANGEABLE)
    assert (made.num_epochs, made.learning_rate, made.d_embed, made.job_name) == (9, 1e-2, 32, "a")
    assert not made.resume
    assert saved.num_epochs == 3


def test_options_that_would_make_another_training_are_refused_by_name():
    saved, asked = LMConfig(learning_rate=1e-2, d_embed=32), LMConfig(learning_rate=3e-3, d_embed=32)
    with pytest.raises(UserError, match=r"--learning_rate\(그때 0.01, 지금 0.003\).*--num_epochs") as refused:
        with_given(saved, asked, {"learning_rate", "d_embed"}, config.CHANGEABLE)
    assert "--d_embed" not in str(refused.value)  # 그때와 같은 값은 괜찮습니다.


def test_settings_in_groups_are_changed_in_their_group():
    saved, asked = TrainConfig(), TrainConfig()
    asked.learning.num_epochs, asked.data.home = 9, "elsewhere"
    made = with_given(saved, asked, {"num_epochs", "data_home"}, CLS_CHANGEABLE)
    assert (made.learning.num_epochs, made.data.home) == (9, "elsewhere")
    asked.hardware.train_batch = 7
    with pytest.raises(UserError, match=r"--train_batch\(그때 32, 지금 7\)"):
        with_given(saved, asked, {"train_batch"}, CLS_CHANGEABLE)


@pytest.mark.parametrize(("kind", "changeable"), [(LMConfig, config.CHANGEABLE), (TrainConfig, CLS_CHANGEABLE)])
def test_every_changeable_option_exists(kind, changeable):
    assert set(changeable) <= set(kind.options())


def test_a_finished_training_says_what_would_go_on():
    assert "--num_epochs를 3보다 크게" in finished_already(3, 3)
    assert "--patience를 2보다" in finished_already(4, 9, bad_epochs=2)


def test_the_rate_follows_the_new_schedule():
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    optimizer.step()
    scheduler.step()
    follow_schedule(scheduler)
    assert optimizer.param_groups[0]["lr"] == scheduler.get_last_lr()[0] == 0.25  # 그대로면 비트까지 그대로입니다.
    scheduler.lr_lambdas = [lambda step: 10 - step]
    follow_schedule(scheduler)
    assert optimizer.param_groups[0]["lr"] == 4.5
