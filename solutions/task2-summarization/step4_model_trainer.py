"""4단계 · 학습: 가장 좋은 것을 남기고, 멈춘 곳에서 다시 걷기

3단계까지 우리는 배치를 만들고 요약을 점수로 바꾸었습니다. 이 단계에서는 그것들을 transformers의 `Seq2SeqTrainer`에
끼웁니다. 반복과 저장은 라이브러리가 하지만, 무엇을 좋은 것으로 볼지, 모은 배치의 손실을 무엇으로 나눌지, 어느
체크포인트에서 이어 할지는 우리가 정해야 합니다. 라이브러리의 기본값이 우리의 모델에 맞지 않는 곳이 있기 때문입니다.

    python step4_model_trainer.py     # 배치를 모을 때의 손실, 짧은 학습, 이어 하기를 보여 줍니다 (약 25초)

배우는 것
    - 가장 좋은 모델: 무엇을 재고(`eval_rouge_sum`), 어느 쪽이 좋은지, 그리고 끝나면 그것을 불러오기
    - 배치를 모으기(gradient accumulation): 배치마다의 평균을 평균하면 큰 배치 하나와 같지 않습니다
    - 조기 종료(early stopping)와, 이어 할 때도 남아 있어야 하는 참을성
    - 이어 하기: 가장 나중의 온전한 체크포인트에서. 글로 견주면 checkpoint-9가 checkpoint-10보다 나중입니다

하지 않는 것: 명령줄과 웹 서비스(5단계), 하이퍼파라미터 탐색(6단계).
"""

import re
import tempfile
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
)

from step1_config_and_model import load_config, load_model_and_tokenizer
from step2_dialogue_dataset import IGNORED, Collator, DialogueSummarizationDataset, length_batches
from step3_rouge_metrics import compute_rouge, decode

from nlpbook.cli import run_script
from nlpbook.paths import folder_written_aside
from nlpbook.summarization import runs
from nlpbook.summarization.accumulation import accumulated_gradient, without_dropout
from nlpbook.summarization.architectures import settle_generation
from nlpbook.summarization.arguments import argument_values, require_metric
from nlpbook.summarization.callbacks import sentence_of
from nlpbook.summarization.causal import CausalCollator
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.dialogues import read_dialogues
from nlpbook.summarization.running import Running
from nlpbook.summarization.trainer import SummarizationTrainer
from nlpbook.tracking import WandbLogger, wandb_mode

HOME = Path(__file__).resolve().parent  # 과제의 폴더. 결과의 상대 경로(./outputs)는 여기에서 셉니다.


class ModelTrainer:
    """설정 하나로 모델을 학습합니다. `Seq2SeqTrainer`를 감쌉니다.

    Args:
        config: 1단계의 설정. 만든 뒤에 바꾼 설정은 쓰이지 않습니다.
        model, tokenizer: 1단계의 `load_model_and_tokenizer`가 낸 것.
        train_dataset, eval_dataset: 2단계의 데이터셋. 검증 데이터가 없으면 마지막 것이 남습니다.
        use_wandb: 거짓이면 설정이 어떻든 W&B에 적지 않습니다. 차례는 `nlpbook.tracking.wandb_mode`에 있습니다.
        logger: `nlpbook.logs.Logger`. 적지 않아도 실행 폴더에 기록이 남습니다.
        callbacks: 더 부를 것들. 탐색(sweep)이 가망 없는 시도를 멈출 때 씁니다.
        run: 결과를 둘 폴더. None이면 설정의 이름에서 정합니다.

    Attributes:
        args: `Seq2SeqTrainingArguments`.
        trainer: `Seq2SeqTrainer`. 처음 쓸 때 만듭니다.
        run: 결과가 놓이는 실행 폴더.
    """

    def __init__(
        self,
        config: SummarizationConfig,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        train_dataset: Dataset,
        eval_dataset: Dataset | None = None,
        use_wandb: bool = True,
        logger: Any = None,
        callbacks: Sequence[TrainerCallback] = (),
        run: runs.RunFolder | None = None,
    ) -> None:
        self.config = config
        self.model = model
        self.tokenizer = tokenizer
        self.train_dataset = train_dataset
        self.eval_dataset = eval_dataset
        self.callbacks = list(callbacks)
        self.decoder_only = not model.config.is_encoder_decoder
        self.run = run or runs.run_for(config, HOME)
        self.wandb_logger = WandbLogger(
            project_name=config.wandb.project,
            entity=config.wandb.entity,
            experiment_name=config.experiment.name,
            config=dict(config),
            tags=[*config.experiment.tags, *config.wandb.tags],
            mode=wandb_mode(use_wandb, config.wandb.enabled, config.wandb.mode),
        )
        settle_generation(model, tokenizer, config.generation)
        self.args = self._create_training_args()
        self.running = Running(config, self.args, self.wandb_logger, logger, HOME)

    @cached_property
    def trainer(self) -> Seq2SeqTrainer:
        return self._create_trainer()

    def _create_training_args(self) -> Seq2SeqTrainingArguments:
        """설정에서 학습의 인자를 만듭니다.

        Raises:
            UserError: 그 장치나 정밀도를 쓸 수 없거나, 검증이 재지 않는 지표를 적었을 때.
        """
        values = argument_values(self.config, self.run.checkpoints)  # 학습률, 배치, 정밀도처럼 이름만 다른 것들
        metric = require_metric(self.config.training.metric_for_best_model)
        validating = self.eval_dataset is not None
        # [TODO 4-1] 에포크마다 검증하고 저장하며, 끝나면 metric이 가장 좋은 것을 불러오도록 values에 더하세요.
        # 힌트: eval_strategy, save_strategy, load_best_model_at_end, metric_for_best_model, greater_is_better,
        #       predict_with_generate. 손실(eval_loss)도 클수록 좋은가요? 검증 데이터가 없으면(validating이 거짓)
        #       검증하지도("no"), 고르지도 않습니다. 조기 종료의 참을성은 이어 할 때도 남아야 합니다:
        #       restore_callback_states_from_checkpoint.
        values["eval_strategy"] = "epoch" if validating else "no"
        values["save_strategy"] = "epoch"
        values["load_best_model_at_end"] = validating
        values["metric_for_best_model"] = metric
        values["greater_is_better"] = metric != "eval_loss"
        values["predict_with_generate"] = True
        values["restore_callback_states_from_checkpoint"] = True
        # [END 4-1]
        return Seq2SeqTrainingArguments(**values)

    def compute_metrics(self, eval_preds: Any) -> dict[str, float]:
        """검증의 점수. `Seq2SeqTrainer`가 이름 앞에 `eval_`을 붙입니다. 내 지표도 여기에 더하면 됩니다.

        Args:
            eval_preds: (예측, 라벨). 둘 다 (예문, 길이)의 토큰 번호이고, 짧은 것의 끝은 -100입니다.

        Returns:
            3단계의 `compute_rouge`가 낸 점수들.
        """
        predictions, labels = eval_preds
        # [TODO 4-2] 예측과 라벨을 글로 되돌려, ROUGE를 scores에 담으세요.
        # 힌트: 3단계의 decode와 compute_rouge. 번호들은 NumPy 배열로 오고, decode는 텐서를 받습니다(torch.as_tensor).
        #       예측에도 -100이 있습니다. 모으면서 길이를 맞출 때 채운 것입니다.
        written = decode(self.tokenizer, torch.as_tensor(predictions))
        answers = decode(self.tokenizer, torch.as_tensor(labels))
        scores = compute_rouge(written, answers)
        # [END 4-2]
        return scores

    def compute_loss(self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """배치 하나의 손실. 여러 배치의 기울기를 더하면 큰 배치 하나의 기울기가 됩니다.

        Args:
            outputs: 모델의 출력. `outputs.logits`는 (배치, 길이, 어휘)입니다.
            labels: (배치, 길이). 세지 않을 자리는 -100입니다.
            num_items_in_batch: 한 번에 모으는 배치 전부의, 세는 라벨의 수. None이면 이 배치의 것입니다.

        Returns:
            () float32.
        """
        logits = outputs.logits
        if self.decoder_only:  # 디코더뿐인 모델의 i번째 자리는 i+1번째 토큰을 맞힙니다.
            logits = logits[:, :-1]
            labels = labels[:, 1:]
        smoothing = self.config.training.label_smoothing
        # [TODO 4-3] 세는 라벨마다의 교차 엔트로피를 더하고, num_items_in_batch로 나누어 loss에 담으세요.
        # 힌트: functional.cross_entropy의 reduction, ignore_index, label_smoothing. 16토큰짜리 배치와 4토큰짜리 배치의
        #       평균을 그냥 더하면, 토큰 하나의 무게는 어느 쪽이 클까요? 16비트로 더하면 끝자리를 잃으니 float()로
        #       바꾸세요.
        losses = functional.cross_entropy(
            logits.flatten(0, 1).float(),
            labels.flatten(),
            ignore_index=IGNORED,
            label_smoothing=smoothing,
            reduction="sum",
        )
        count = (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        loss = losses / count
        # [END 4-3]
        return loss

    def _create_trainer(self) -> Seq2SeqTrainer:
        """`Seq2SeqTrainer`를 만듭니다. 배치는 2단계의 `length_batches`가, 손실과 점수는 이 클래스가 정합니다."""
        training = self.config.training
        callbacks = [*self.running.callbacks(), *self.callbacks]
        validating = self.eval_dataset is not None
        # [TODO 4-4] 검증하고 early_stopping_patience가 0보다 크면, callbacks에 EarlyStoppingCallback을 더하세요.
        # 힌트: 참을 에포크의 수와, 나아졌다고 볼 가장 작은 차이(early_stopping_threshold)를 건넵니다. 검증하지 않으면
        #       무엇이 나아졌는지 알 수 있을까요?
        if validating and training.early_stopping_patience > 0:
            callbacks.append(EarlyStoppingCallback(training.early_stopping_patience, training.early_stopping_threshold))
        # [END 4-4]
        return SummarizationTrainer(
            make_batches=partial(length_batches, self.train_dataset.lengths),
            eval_lengths=self.eval_dataset.lengths if validating else (),
            model=self.model,
            args=self.args,
            data_collator=self.collator(),
            train_dataset=self.train_dataset,
            eval_dataset=self.eval_dataset,
            processing_class=self.tokenizer,
            compute_metrics=self.compute_metrics,
            compute_loss_func=self.compute_loss,
            callbacks=callbacks,
        )

    def collator(self) -> Collator | CausalCollator:
        """모델의 구조에 맞게 배치를 묶는 것."""
        pad_id = self.tokenizer.pad_token_id
        if self.decoder_only:
            return CausalCollator(pad_id)
        return Collator(pad_id, self.model.config.decoder_start_token_id)

    def train(self, resume_from_checkpoint: str | Path | bool | None = None) -> dict[str, Any]:
        """끝까지 학습하고, 가장 좋은 모델을 `final_model`에 남깁니다.

        Args:
            resume_from_checkpoint: 이어 할 체크포인트의 폴더나 실행 폴더. 참이면 이 실행의 마지막 것입니다.

        Returns:
            `final_model_path`(글), `eval_metrics`(가장 좋은 것의 `eval_rouge_sum` 등), `train_metrics`,
            `best_checkpoint`, `run_folder`.

        Raises:
            UserError: 이어 할 수 없는 체크포인트이거나, 손실이 발산하거나, 메모리나 디스크가 모자랄 때.
            KeyboardInterrupt: Ctrl-C나 SIGTERM으로 멈추었을 때. 그때까지의 것은 저장되어 있습니다.
        """
        checkpoint = self.running.checkpoint_of(resume_from_checkpoint, self.run, last_checkpoint)
        datasets = {"학습 데이터": self.train_dataset, "검증 데이터": self.eval_dataset}
        with self.running.at(self.run, self.model, checkpoint, datasets) as self.run:
            train_metrics = self.running.fit(self.trainer, checkpoint)
            best = self.running.once(self.save_best)
            return self.running.conclude(self.trainer, best, train_metrics)

    def save_best(self) -> dict[str, float]:
        """가장 좋은 모델을 저장하고, 그것의 검증 값을 돌려줍니다. 이때 모델은 이미 가장 좋은 것입니다."""
        state = self.trainer.state
        best: dict[str, float] = {}
        with folder_written_aside(self.run.final_model) as folder:
            # [TODO 4-5] 모델과 토크나이저를 folder에 저장하고, 가장 좋았던 스텝의 검증 값을 best에 담으세요.
            # 힌트: 둘 다 save_pretrained가 있습니다. 잰 값은 state.log_history에 차례로 있습니다. 검증의 것에는
            #       eval_loss가 있고, 가장 좋았던 스텝은 state.best_global_step입니다. 마지막에 잰 것이 가장 좋은
            #       것인가요? 검증하지 않았으면 best는 빈 딕셔너리입니다.
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
            for row in state.log_history:
                if "eval_loss" in row and row["step"] == state.best_global_step:
                    best = row
            # [END 4-5]
        return best

    def evaluate(self) -> dict[str, float]:
        """지금 모델의 검증 값: `eval_loss`, `eval_rouge1`, …, `eval_rouge_sum`.

        Raises:
            UserError: 검증 데이터가 없을 때.
        """
        return self.running.evaluate(self.trainer)


def create_trainer(
    config: SummarizationConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_dataset: Dataset,
    eval_dataset: Dataset | None = None,
    use_wandb: bool = True,
    logger: Any = None,
    **more: Any,
) -> ModelTrainer:
    """`ModelTrainer`를 만듭니다. `more`는 `callbacks`와 `run`입니다."""
    return ModelTrainer(config, model, tokenizer, train_dataset, eval_dataset, use_wandb, logger, **more)


def last_checkpoint(folder: Path) -> Path | None:
    """폴더의 `checkpoint-N` 가운데 가장 나중의 온전한 것. 없으면 None입니다.

    체크포인트의 상태(`trainer_state.json`)는 맨 나중에 쓰입니다. 그것이 없는 폴더는 쓰다가 꺼진 것입니다.
    """
    places = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    # [TODO 4-6] 온전한 것 가운데 스텝 수(N)가 가장 큰 폴더를 last에 담으세요. 하나도 없으면 None입니다.
    # 힌트: 이름을 글로 견주면 "checkpoint-9"와 "checkpoint-10" 가운데 어느 것이 클까요? 폴더의 시각은 베끼거나
    #       옮기면 바뀝니다. 이름의 어디까지가 스텝 수인가요?
    whole = [path for path in places if (path / runs.STATE).is_file()]
    last = max(whole, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=None)
    # [END 4-6]
    return last


def small_datasets(config: SummarizationConfig, tokenizer: PreTrainedTokenizerBase) -> tuple[Dataset, Dataset]:
    """설정의 학습과 검증 데이터셋. 짧은 대화만 씁니다."""
    lengths = config.tokenizer.encoder_max_len, config.tokenizer.decoder_max_len
    train = read_dialogues(config.data.train, limit=config.data.max_train_samples, need_summaries=True)
    dev = read_dialogues(config.data.dev, limit=config.data.max_eval_samples, need_summaries=True)
    return (
        DialogueSummarizationDataset(train.dialogues, train.summaries, tokenizer, *lengths),
        DialogueSummarizationDataset(dev.dialogues, dev.summaries, tokenizer, *lengths),
    )


def show_accumulation(trainer: ModelTrainer) -> None:
    """배치 넷을 모은 기울기가, 네 배 큰 배치 하나의 것과 같은지 보여 줍니다."""
    without_dropout(trainer.model)
    plain = Seq2SeqTrainer(
        model=trainer.model, args=trainer.args, data_collator=trainer.trainer.data_collator, eval_dataset=[0]
    )
    items = [trainer.train_dataset[index] for index in range(16)]
    four = [items[first : first + 4] for first in range(0, 16, 4)]
    for name, one in (("보통의 Seq2SeqTrainer", plain), ("우리의 compute_loss", trainer.trainer)):
        whole = accumulated_gradient(one, [items])
        parts = accumulated_gradient(one, four)
        ratio = parts.norm() / whole.norm()
        print(f"  {name:<22} 16개 한 번의 기울기에 견주어, 4개씩 네 번 모은 것은 {ratio:.2f}배")


def main() -> None:
    config = load_config("quick")
    config.training.num_train_epochs = 2
    config.data.max_train_samples = 192
    config.data.max_eval_samples = 16
    config.generation.num_beams = 1
    config.generation.max_length = 48
    with tempfile.TemporaryDirectory() as folder:
        config.general.output_dir = folder
        model, tokenizer = load_model_and_tokenizer(config)
        train_dataset, eval_dataset = small_datasets(config, tokenizer)

        print("■ 배치를 모을 때의 손실 (라벨 평활화 없이)")
        without_smoothing = config.copy()
        without_smoothing.training.label_smoothing = 0.0
        show_accumulation(create_trainer(without_smoothing, model, tokenizer, train_dataset, eval_dataset))

        print("\n■ 짧은 학습: 대화 192개, 2 에포크")
        model, tokenizer = load_model_and_tokenizer(config)
        trainer = create_trainer(config, model, tokenizer, train_dataset, eval_dataset)
        results = trainer.train()

        print("\n■ 첫 에포크의 체크포인트에서 이어 하기")
        first = min(Path(results["run_folder"]).glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
        model, tokenizer = load_model_and_tokenizer(config)
        again = create_trainer(config, model, tokenizer, train_dataset, eval_dataset).train(first)
        same = again["eval_metrics"]["eval_rouge_sum"] == results["eval_metrics"]["eval_rouge_sum"]
        print(f"  멈추지 않은 학습과 {'같은' if same else '다른'} 값입니다: {sentence_of(again['eval_metrics'])}")

    # 더 해 보기: compute_loss가 num_items_in_batch 대신 이 배치의 라벨 수로 나누게 하면 몇 배가 되나요?


if __name__ == "__main__":
    run_script(main)
