"""학습 시스템의 네 가지 시험: 만들기, 학습 인자, ROUGE, 편의 함수.

python tests/task2_summarization/test_trainer.py      # pytest 없이 이렇게 불러도 됩니다
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path[:0] = [str(folder) for folder in Path(__file__).resolve().parents if (folder / "nlpbook").is_dir()]

from tests.task2_summarization import trainers  # noqa: E402

if not trainers.FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)


def test_trainer_is_made(tmp_path):
    """Trainer 생성"""
    made = trainers.trainer(tmp_path)
    assert isinstance(made, trainers.lesson().ModelTrainer)
    assert type(made.trainer).__mro__[1].__name__ == "Seq2SeqTrainer"
    assert made.trainer.train_dataset is made.train_dataset


def test_arguments_are_made_from_the_config(tmp_path):
    """학습 인자 생성"""
    made = trainers.trainer(tmp_path, "training.warmup_steps=7", "training.label_smoothing=0.2")
    args = made._create_training_args()
    assert args.output_dir == str(tmp_path / "quick")
    assert args.num_train_epochs == 3
    assert args.per_device_train_batch_size == 4
    assert args.learning_rate == 0.01
    assert args.warmup_steps == 7
    assert args.label_smoothing_factor == 0.2
    assert (args.eval_strategy, args.save_strategy) == ("epoch", "epoch")
    assert args.load_best_model_at_end
    assert args.metric_for_best_model == "eval_rouge_sum"
    assert args.greater_is_better
    assert args.predict_with_generate
    assert (args.generation_max_length, args.generation_num_beams) == (12, 2)
    assert args.use_cpu


def test_rouge_of_predictions(tmp_path):
    """ROUGE 평가 함수 (compute_metrics)"""
    made = trainers.trainer(tmp_path)
    answers = made.tokenizer(trainers.SUMMARIES[:2])["input_ids"]
    width = max(map(len, answers)) + 3
    labels = np.array([row + [-100] * (width - len(row)) for row in answers])
    scores = made.compute_metrics((labels, labels))
    assert set(scores) == {"rouge1", "rouge2", "rougeL", "rouge_sum", "rouge_combined_f1"}
    assert scores["rouge_sum"] == pytest.approx(3)


def test_convenience_function(tmp_path):
    """편의 함수 (create_trainer)"""
    config = trainers.config(tmp_path)
    tokenizer = trainers.tokenizer()
    train_dataset, eval_dataset = trainers.datasets(tokenizer, config)
    made = trainers.lesson().create_trainer(
        config=config,
        model=trainers.tiny_model(),
        tokenizer=tokenizer,
        train_dataset=train_dataset,
        eval_dataset=eval_dataset,
        use_wandb=False,
        logger=None,
    )
    assert isinstance(made, trainers.lesson().ModelTrainer)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-p", "no:cacheprovider", "--rootdir", str(trainers.ROOT)]))
