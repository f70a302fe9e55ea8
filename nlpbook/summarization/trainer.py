"""`Seq2SeqTrainer`에서 요약에 맞지 않는 네 가지를 바꾼 것: 배치, 검증, 손실의 배율, 체크포인트를 쓰는 법.

| | transformers 5의 것 | 여기 |
|---|---|---|
| 학습 배치 | 길이를 보지 않거나, 에포크의 첫머리만 봅니다 | 2단계의 `length_batches`. 에포크와 시드가 차례를 정합니다 |
| 검증 | 배치마다 모으며 채운 예문을 두 번 세고, 생성 설정에 기본값을 적어 넣습니다 | 긴 것부터, 꼭 한 번씩 |
| 손실 | `**kwargs`를 받으면 스스로 배율을 맞춘다고 믿습니다(BART, T5는 아닙니다) | `compute_loss_func`만 믿습니다 |
| 체크포인트 | 제자리에 쓰므로 꺼지면 반쯤 쓴 `checkpoint-N`이 남습니다 | 옆에 다 쓴 뒤 이름을 바꿉니다 |

체크포인트의 파일은 그대로라, 보통의 `Seq2SeqTrainer`도 여기에서 이어 할 수 있습니다.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from torch.utils.data import DataLoader, Sampler
from transformers import EvalPrediction, Seq2SeqTrainer
from transformers.trainer_callback import ExportableState, PrinterCallback, TrainerState
from transformers.trainer_utils import EvalLoopOutput, denumpify_detensorize, rotate_checkpoints

from nlpbook.checkpoints import require_finite_weights
from nlpbook.paths import aside_of, full_disk_explained
from nlpbook.summarization.beams import fast_beams
from nlpbook.summarization.runs import STATE, require_unchanged, write_digests

IGNORED = -100
Batches = Callable[[int, torch.Generator], list[list[int]]]  # (배치 크기, 난수) → 배치마다의 예문 번호들


class EpochBatches(Sampler[list[int]]):
    """에포크 번호와 시드만으로 차례가 정해지는 배치들. 멈춘 학습이 같은 배치부터 이어집니다.

    프로세스가 여럿이면 큰 배치 하나를 카드처럼 한 장씩 돌려 나눕니다. 배치의 예문이 프로세스보다 적으면 첫 예문을
    되풀이합니다(에포크에 많아야 한 번입니다).

    Args:
        make_batches: (배치 크기, 난수) → 배치들. 2단계의 `length_batches`에 길이를 건넨 것입니다.
        batch_size: 프로세스 하나의 배치 크기.
    """

    def __init__(
        self, make_batches: Batches, count: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self.make_batches = make_batches
        self.batch_size = batch_size * world_size
        self.count = count
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        for batch in self.make_batches(self.batch_size, generator):
            yield batch[self.rank :: self.world_size] or batch[:1]


class EpochLoader(DataLoader):
    """에포크의 번호를 배치의 차례에 알려 주는 로더."""

    def set_epoch(self, epoch: int) -> None:
        batches: Any = self.batch_sampler
        batches.set_epoch(epoch)


def evaluation_batches(lengths: Sequence[Any], batch_size: int, rank: int = 0, world_size: int = 1) -> list[list[int]]:
    """이 프로세스가 평가할 예문 번호들, 긴 것부터. 모든 예문은 꼭 한 프로세스의 한 배치에만 있습니다."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index], reverse=True)[rank::world_size]
    return [order[first : first + batch_size] for first in range(0, len(order), batch_size)]


class EvaluationCollator:
    """배치와, 요약을 쓰게 할 앞글을 함께 냅니다.

    디코더뿐인 모델의 예문에는 앞글 뒤에 정답이 이어져 있습니다. 그대로 건네면 정답을 보여 주는 셈이라 앞글만 남깁니다.
    인코더-디코더 모델에게는 대화만 건넵니다. `decoder_input_ids`를 건네면 정답을 이어 씁니다.
    """

    def __init__(self, collate: Callable[[list[Any]], dict[str, torch.Tensor]], decoder_only: bool) -> None:
        self.collate = collate
        self.decoder_only = decoder_only

    def __call__(self, features: list[dict[str, Any]]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        batch = self.collate(features)
        source = batch
        if self.decoder_only:
            source = self.collate([{"input_ids": _prompt(feature)} for feature in features])
        return batch, {name: source[name] for name in ("input_ids", "attention_mask")}


def _prompt(feature: dict[str, Any]) -> list[int]:
    labels = feature.get("labels", ())
    answer = next((index for index, label in enumerate(labels) if label != IGNORED), len(feature["input_ids"]))
    return feature["input_ids"][:answer]


class SummarizationTrainer(Seq2SeqTrainer):
    """이 모듈의 표대로 바꾼 `Seq2SeqTrainer`.

    Args:
        make_batches: 학습 배치를 만드는 함수. (배치 크기, 난수) → 배치마다의 예문 번호들.
        eval_lengths: 검증 예문마다의 길이. 긴 것부터 읽으려고 씁니다.
        given: `Seq2SeqTrainer`의 인수들. `compute_loss_func(outputs, labels, num_items_in_batch)`는 꼭 있어야 합니다.
    """

    model: Any  # 부모의 것은 None일 수도 있지만, 여기서는 모델과 손실이 언제나 있습니다.
    train_dataset: Any
    eval_dataset: Any
    compute_loss_func: Any

    def __init__(self, make_batches: Batches, eval_lengths: Sequence[Any] = (), **given: Any) -> None:
        caching = given["model"].config.use_cache
        super().__init__(**given)
        self.model.config.use_cache = caching  # 끈 채로 두면 저장한 설정에도 꺼진 것으로 남습니다.
        self.make_batches = make_batches
        self.eval_lengths = eval_lengths
        self.decoder_only = not self.model.config.is_encoder_decoder
        self.model_accepts_loss_kwargs = False  # 손실의 배율은 compute_loss_func가 맞춥니다.
        self.pop_callback(PrinterCallback)  # 사전을 그대로 찍는 것. 화면에는 우리가 적습니다.

    # ── 배치

    def get_train_dataloader(self) -> DataLoader:
        batches = EpochBatches(
            self.make_batches,
            len(self.train_dataset),
            self.args.per_device_train_batch_size,
            self.args.seed,
            self.args.process_index,
            self.args.world_size,
        )
        return EpochLoader(self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator, **self._loading())

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        if eval_dataset is None:
            return self._in_order(self.eval_dataset, self.eval_lengths)
        return self._in_order(
            eval_dataset, [len(eval_dataset[index]["input_ids"]) for index in range(len(eval_dataset))]
        )

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader:
        return self.get_eval_dataloader(test_dataset)

    def _in_order(self, dataset: Any, lengths: Sequence[Any]) -> DataLoader:
        batches = evaluation_batches(
            lengths, self.args.per_device_eval_batch_size, self.args.process_index, self.args.world_size
        )
        collate = EvaluationCollator(self.data_collator, self.decoder_only)
        return DataLoader(dataset, batch_sampler=batches, collate_fn=collate, **self._loading())

    def _loading(self) -> dict[str, Any]:
        return {
            "num_workers": self.args.dataloader_num_workers,
            "pin_memory": self.args.dataloader_pin_memory and self.args.device.type == "cuda",
            "generator": torch.Generator(),  # 없으면 반복을 시작할 때마다 전역 난수를 꺼내, 이어 한 학습이 달라집니다.
        }

    # ── 손실

    def compute_loss(self, model: Any, inputs: dict[str, Any], *given: Any, **named: Any) -> Any:
        return super().compute_loss(model, {**inputs, "use_cache": False}, *given, **named)

    # ── 검증

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """예문마다 요약을 쓰고 손실을 구합니다. 프로세스가 몇이든 모든 예문을 꼭 한 번씩 셉니다.

        Returns:
            `predictions`와 `label_ids`: (예문, 가장 긴 길이) int64, 데이터셋의 차례대로. 짧은 것의 끝은 -100입니다.
        """
        if not self.accelerator._models:
            self.accelerator.prepare_model(self.model, evaluation_mode=True)  # 정밀도(autocast)를 입힙니다.
        self.model.eval()
        rows: list[tuple[int, list[int], list[int]]] = []
        loss_sum = 0.0
        token_count = 0
        numbers: Any = dataloader.batch_sampler
        with torch.no_grad(), fast_beams(self.model):
            for indices, (batch, prompts) in zip(numbers, dataloader, strict=True):
                labels = batch.get("labels")
                if labels is not None:
                    loss, count = self._loss_of(batch)
                    loss_sum += loss
                    token_count += count
                written = self._write(prompts).tolist()
                answers = labels.tolist() if labels is not None else [[]] * len(indices)
                rows += zip(indices, written, answers, strict=True)
                self.control = self.callback_handler.on_prediction_step(self.args, self.state, self.control)
        return self._collected(rows, (loss_sum, token_count), metric_key_prefix)

    def _loss_of(self, batch: dict[str, torch.Tensor]) -> tuple[float, int]:
        """배치의 손실의 합과 토큰 수. 배치의 평균을 평균하면 짧은 요약이 더 크게 세어집니다."""
        inputs = self._prepare_inputs(batch)
        labels = inputs.pop("labels")
        counted = labels[:, 1:] if self.decoder_only else labels
        outputs = self.model(**inputs, use_cache=False)
        loss = self.compute_loss_func(outputs, labels, num_items_in_batch=1)
        return loss.item(), int((counted != IGNORED).sum())

    def _write(self, prompts: dict[str, torch.Tensor]) -> torch.Tensor:
        """요약의 토큰 번호, (배치, 길이). 길이와 빔은 `model.generation_config`를 따릅니다."""
        inputs = self._prepare_inputs(prompts)
        ids = self.model.generate(**inputs)
        return ids[:, inputs["input_ids"].shape[1] :] if self.decoder_only else ids

    def _collected(
        self, rows: list[tuple[int, list[int], list[int]]], loss: tuple[float, int], prefix: str
    ) -> EvalLoopOutput:
        """모든 프로세스의 것을 예문의 차례로 모아 점수를 매깁니다."""
        if self.args.world_size > 1:
            rows = gather_object(rows)
            losses = gather_object([loss])
            loss = sum(one for one, _ in losses), sum(count for _, count in losses)
        rows.sort()
        predictions = _padded([written for _, written, _ in rows])
        labels = _padded([answer for _, _, answer in rows]) if loss[1] else None
        metrics: dict[str, Any] = {}
        if labels is not None:
            if self.compute_metrics is not None:
                scores: Any = denumpify_detensorize(self.compute_metrics(EvalPrediction(predictions, labels)))
                metrics = dict(scores)
            metrics["loss"] = loss[0] / loss[1]
        named = {name if name.startswith(f"{prefix}_") else f"{prefix}_{name}": one for name, one in metrics.items()}
        return EvalLoopOutput(predictions, labels, named, len(rows))

    # ── 체크포인트

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """`checkpoint-N`을 옆에 다 쓴 뒤 이름을 바꿉니다. 보이는 체크포인트는 언제나 온전합니다.

        Raises:
            UserError: 가중치가 NaN이나 무한대이거나, 디스크에 빈 자리가 없을 때. 앞서 저장한 것은 그대로입니다.
        """
        self.store_flos()
        step = self.state.global_step
        facts = {"position": {"step": step}, "scheduler": {"_last_lr": [self._get_learning_rate()]}}
        require_finite_weights(self.model, facts)
        folder = Path(str(self.args.output_dir))
        target = folder / f"checkpoint-{step}"
        aside = Path(broadcast_object_list([str(aside_of(target))])[0])  # 모두 0번이 정한 이름에 씁니다.
        try:
            with full_disk_explained(target):
                self._write_checkpoint(aside)
            self.accelerator.wait_for_everyone()
            best = folder / f"checkpoint-{self.state.best_global_step}" if self.state.best_global_step else None
            if best == target or (best is not None and best.is_dir()):
                self.state.best_model_checkpoint = str(best)
            if self.args.should_save:
                self._write_state(aside)
                write_digests(aside)
                shutil.rmtree(target, ignore_errors=True)
                aside.rename(target)
                rotate_checkpoints(str(folder), self.args.save_total_limit, self.state.best_model_checkpoint)
        finally:
            if self.args.should_save:
                shutil.rmtree(aside, ignore_errors=True)
        self.accelerator.wait_for_everyone()

    def _write_checkpoint(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.save_model(str(folder), _internal_call=True)
        self._save_optimizer_and_scheduler(str(folder))
        self._save_scaler(str(folder))
        self._save_rng_state(str(folder))

    def _write_state(self, folder: Path) -> None:
        """몇 스텝째이고 무엇이 가장 좋았는지. 조기 종료의 참을성도 여기에 있습니다."""
        states: Any = {type(one).__name__: one.state() for one in [*self._stateful(), self.control]}
        self.state.stateful_callbacks = states
        self.state.save_to_json(str(folder / STATE))

    def _init_training_state(self, *given: Any, **named: Any) -> tuple[int, int]:
        """가장 좋은 것은 적힌 경로가 아니라 이어 하는 체크포인트의 곁에서 찾습니다. 옮긴 폴더일 수 있습니다."""
        resumed = named.get("resume_from_checkpoint", given[3] if len(given) > 3 else None)
        position = super()._init_training_state(*given, **named)
        if resumed is not None:
            self._find_best_beside(Path(resumed))
        return position

    def _load_callback_state(self) -> None:
        """콜백이 지금까지 센 것은 되살리되, 참을 에포크의 수 같은 설정은 지금의 것을 따릅니다."""
        given = {type(one).__name__: one.state()["args"] for one in self._stateful()}
        super()._load_callback_state()
        for one in self._stateful():
            for name, value in given.get(type(one).__name__, {}).items():
                setattr(one, name, value)

    def _stateful(self) -> list[Any]:
        return [one for one in self.callback_handler.callbacks if isinstance(one, ExportableState)]

    def _find_best_beside(self, checkpoint: Path) -> None:
        if self.state.best_global_step:
            best = checkpoint.parent / f"checkpoint-{self.state.best_global_step}"
            self.state.best_model_checkpoint = str(best) if best.is_dir() else None

    def _load_best_model(self) -> None:
        require_unchanged(Path(str(self.state.best_model_checkpoint)))
        super()._load_best_model()

    def restore_finished(self, checkpoint: Path) -> None:
        """이미 마친 학습의 체크포인트에서, 가장 좋았던 가중치(검증하지 않았으면 마지막 것)와 기록을 되살립니다."""
        self.state = TrainerState.load_from_json(str(checkpoint / STATE))
        self._find_best_beside(checkpoint)
        chosen = self.state.best_model_checkpoint or str(checkpoint)
        require_unchanged(Path(chosen))
        self._load_from_checkpoint(chosen)


def _padded(rows: list[list[int]]) -> np.ndarray:
    """길이가 다른 줄들의 오른쪽을 -100으로 채운 (줄 수, 가장 긴 길이) int64."""
    width = max((len(row) for row in rows), default=0)
    table = np.full((len(rows), width), IGNORED, dtype=np.int64)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return table
