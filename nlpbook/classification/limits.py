"""감성분석을 시작하기 전에 물어 볼 것. 공통인 것은 `nlpbook.limits`에 있습니다."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nlpbook.classification.config import TestConfig, TrainConfig
from nlpbook.classification.metrics import ClassificationReport
from nlpbook.limits import require_format, require_positions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# 4단계와 5단계가 줄마다 건네는 이름들과, 종류가 같은 보기 값
TRAINING_LINE = {"step": 1, "epoch": 0.5, "loss": 0.5, "acc": 0.5, "lr": 1e-4}
VALIDATE_LINE = {"step": 1, "epoch": 0.5, "val_loss": 0.5, "val_acc": 0.5}
EVALUATE_LINE = ClassificationReport(count=1, accuracy=0.5, f1=0.5, confusion=[[1, 0], [0, 1]]).to_dict()

Reading = Callable[[str], dict[str, int]]


def require_trainable(config: TrainConfig) -> None:
    """이 설정으로 끝까지 학습할 수 있는지, 학습하기 전에 봅니다.

    Raises:
        UserError: 모델을 찾을 수 없거나, 문장이 모델보다 길거나, 줄의 모양이 틀렸을 때.
    """
    require_format("tag_format_on_training", config.printing.tag_format_on_training, TRAINING_LINE)
    require_format("tag_format_on_validate", config.printing.tag_format_on_validate, VALIDATE_LINE)
    require_format("tag_format_on_evaluate", config.printing.tag_format_on_evaluate, EVALUATE_LINE)
    require_positions(config.model.pretrained, config.model.seq_len)


def require_testable(config: TestConfig) -> None:
    """이 설정으로 평가 결과를 적을 수 있는지, 평가하기 전에 봅니다.

    Raises:
        UserError: 줄의 모양이 틀렸을 때.
    """
    require_format("tag_format_on_evaluate", config.printing.tag_format_on_evaluate, EVALUATE_LINE)


def reading_of(tokenizer: PreTrainedTokenizerBase, seq_len: int) -> Reading:
    """문장을 얼마나 읽는지 답하는 함수.

    Args:
        tokenizer: 모델의 토크나이저.
        seq_len: 모델이 읽는 토큰의 상한. 특수 토큰도 셉니다.

    Returns:
        문장 → `{"tokens": 문장의 토큰 수, "tokens_read": 그 가운데 읽은 수}`. 특수 토큰은 빼고 셉니다.
    """
    special = tokenizer.num_special_tokens_to_add()

    def reading(text: str) -> dict[str, int]:
        tokens = len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        return {"tokens": tokens, "tokens_read": min(tokens, seq_len - special)}

    return reading
