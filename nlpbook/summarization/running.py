"""학습 한 번을 둘러싼 일: 폴더를 차지하고, 적고, 멈춤과 모자란 메모리를 다루고, 결과를 남깁니다.

무엇을 배우고 무엇이 가장 좋은지는 4단계가 정해 값과 함수로 건넵니다.
"""

from __future__ import annotations

import atexit
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from safetensors import safe_open
from torch.utils.data import Subset

from nlpbook.errors import UserError
from nlpbook.fingerprints import dataset_fingerprint
from nlpbook.interrupt import InterruptFlag
from nlpbook.paths import portable, shown, write_json
from nlpbook.pretrained import quiet_transformers
from nlpbook.resuming import finished_already
from nlpbook.runs import held
from nlpbook.screen import log_to, say
from nlpbook.summarization import runs
from nlpbook.summarization.arguments import require_metric
from nlpbook.summarization.callbacks import (
    DivergenceGuard,
    FileRecord,
    ProgressReport,
    StopOnSignal,
    WandbRecord,
    sentence_of,
)
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.precision import precision_for
from nlpbook.tracking import Tracker, WandbLogger, file_loggers

LastCheckpoint = Callable[[Path], "Path | None"]
SHOWN_PREDICTIONS = 20  # W&B의 표에 남길 예측의 수
MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


def leave_group() -> None:
    """프로세스들의 모임을 닫습니다. 열어 둔 채 끝나면, 뒤에서 돌던 쓰레드 때문에 이따금 SIGABRT로 죽습니다."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class Running:
    """학습 한 번의 앞과 뒤.

    Args:
        config: 설정.
        args: `Seq2SeqTrainingArguments`. 차지한 폴더를 여기의 `output_dir`에 적습니다.
        wandb_logger: W&B의 실행.
        logger: `nlpbook.logs.Logger`. 없으면 화면과 실행 폴더에만 적습니다.
        home: 과제의 폴더. 상대 경로인 체크포인트를 여기에서도 찾습니다.
    """

    def __init__(
        self, config: SummarizationConfig, args: Any, wandb_logger: WandbLogger, logger: Any, home: Path
    ) -> None:
        quiet_transformers()
        self.config = config
        self.args = args
        self.wandb_logger = wandb_logger
        self.logger = logger
        self.home = home
        self.tracker = Tracker()
        self.flag = InterruptFlag(enabled=args.world_size == 1)
        if args.world_size > 1:
            atexit.register(leave_group)
        self.report = ProgressReport(self.say, require_metric(config.training.metric_for_best_model))

    @property
    def is_main(self) -> bool:
        """혼자 쓰고 말하는 0번 프로세스인가."""
        return self.args.process_index == 0

    def say(self, message: str) -> None:
        """0번 프로세스만 한 줄을 말합니다. 화면을 받아 적는 `logger`에는 저절로 남습니다."""
        if not self.is_main:
            return
        say(message)
        if self.logger is not None and not self.logger.redirecting_now:
            self.logger.record(message)

    def once(self, work: Callable[[], Any]) -> Any:
        """0번 프로세스만 하고, 결과는 모두가 나눕니다."""
        return broadcast_object_list([work() if self.is_main else None])[0]

    def callbacks(self) -> list[Any]:
        """학습하는 동안 부를 것들."""
        chosen = [self.report, DivergenceGuard(), StopOnSignal(self.flag)]
        if self.is_main:
            chosen += [FileRecord(self.tracker), WandbRecord(self.wandb_logger)]
        return chosen

    # ── 이어 할 곳

    def checkpoint_of(
        self, resume: str | Path | bool | None, run: runs.RunFolder, last_checkpoint: LastCheckpoint
    ) -> Path | None:
        """이어 할 체크포인트. 이어 하지 않으면 None입니다.

        Args:
            resume: 체크포인트나 실행 폴더의 경로. 참이면 `run`의 마지막 것입니다.
            last_checkpoint: 폴더에서 가장 나중의 온전한 체크포인트를 찾는 함수.

        Raises:
            UserError: 그런 체크포인트가 없거나 온전하지 않을 때.
        """
        if resume is None or resume is False:
            return None
        place = run.path if resume is True else self._existing(resume)
        inside = runs.run_at(place)
        folder = inside.checkpoints if inside else place
        if not runs.CHECKPOINT.fullmatch(folder.name) and folder.is_dir():
            found = last_checkpoint(folder)
            if found is None:
                raise UserError(f"{shown(folder)} 에는 이어 할 온전한 체크포인트가 없습니다. 처음부터 학습해 주세요.")
            folder = found
        return runs.require_checkpoint(folder).resolve()

    def _existing(self, path: str | Path) -> Path:
        given = Path(path).expanduser()
        return self.home / given if not given.exists() and (self.home / given).exists() else given

    @contextmanager
    def at(
        self, run: runs.RunFolder, model: Any, checkpoint: Path | None, datasets: Mapping[str, Any]
    ) -> Iterator[runs.RunFolder]:
        """실행 폴더를 차지하고 있는 동안. 나갈 때 놓아주고, 적던 것을 닫습니다.

        Args:
            datasets: 데이터의 이름 → 데이터셋(없으면 None). 이어 하면 처음의 것과 같은지 봅니다.

        Yields:
            차지한 실행. 이어 하면 체크포인트가 들어 있는 실행입니다.
        """
        if checkpoint is not None:
            require_fitting(checkpoint, model)
        taken = self.once(lambda: self._take(run, checkpoint, datasets))
        self.args.output_dir = str(taken.checkpoints)
        self.flag.requested = False
        with ExitStack() as open_things:
            open_things.enter_context(held(taken, enabled=self.is_main))
            open_things.enter_context(log_to(taken.log, enabled=self.is_main))
            open_things.enter_context(self.flag)
            open_things.callback(self.report.close)
            if self.is_main:
                self._open_records(taken)
                open_things.callback(self.wandb_logger.finish)
            try:
                yield taken
            except KeyboardInterrupt:
                self.say(f"멈춘 곳에서 이어 하려면 resume_from_checkpoint에 {shown(taken.path)} 을(를) 적어 주세요.")
                raise

    def _take(self, run: runs.RunFolder, checkpoint: Path | None, datasets: Mapping[str, Any]) -> runs.RunFolder:
        data = {name: dataset_fingerprint(one) for name, one in datasets.items() if one is not None}
        around = runs.run_around(checkpoint) if checkpoint else None
        if around is None:
            taken = runs.claim_run(run)
        else:
            changed = runs.require_same_run(around, self.config, data)
            if changed:
                self.say(f"바뀐 대화로 이어 갑니다: {', '.join(changed)}.")
            taken = runs.run_again(around)
        taken.note(data=data)
        return taken

    def _open_records(self, run: runs.RunFolder) -> None:
        self.config.save(run.arguments)
        self.say(f"실행 폴더: {run}")
        if run.replaced:
            self.say(f"같은 이름의 지난 실행은 {shown(run.replaced)} 로 비켜 두었습니다.")
        logs = self.config.training.logging_dir
        self.tracker.loggers = file_loggers(Path(logs).expanduser() if logs else run.logs)
        self.wandb_logger.folder = run.path
        self.wandb_logger.init_run()

    # ── 학습과 검증

    def fit(self, trainer: Any, checkpoint: Path | None) -> dict[str, float]:
        """끝까지 학습합니다. 이미 마친 체크포인트면 가장 좋은 것을 불러오기만 합니다.

        Returns:
            학습의 값들: `train_loss`, `train_runtime` 등. 배운 것이 없으면 비어 있습니다.
        """
        for line in self._plan(trainer):
            self.say(line)
        if checkpoint is not None:
            why = _finished(checkpoint, self.config)
            if why is not None:
                self.say(why)
                trainer.restore_finished(checkpoint)
                return {}
            self.say(f"{checkpoint.name.removeprefix('checkpoint-')}스텝에서 이어 갑니다.")
        torch.manual_seed(self.args.seed + self.args.process_index)  # 드롭아웃은 프로세스마다 다르게
        with memory_explained(self.config):
            output = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        self.report.close()
        return output.metrics

    def _plan(self, trainer: Any) -> list[str]:
        """무엇을 얼마나, 무엇으로 배울지."""
        training = self.config.training
        accumulation = training.gradient_accumulation_steps
        batch = training.per_device_train_batch_size * accumulation * self.args.world_size
        examples = len(trainer.train_dataset)
        made = f"{training.per_device_train_batch_size} × {accumulation} × {self.args.world_size}"
        sizes = f"배치 {batch}개({made})" if batch != training.per_device_train_batch_size else f"배치 {batch}개"
        validation = len(trainer.eval_dataset) if trainer.eval_dataset is not None else 0
        precision = precision_for(self.config, self.args.device.type)
        return [
            f"학습 {examples:,}개, 검증 {validation:,}개, {sizes}, 에포크 {training.num_train_epochs:,}",
            f"파라미터 {trainer.model.num_parameters():,}개. {precision.sentence}",
            *([precision.warning] if precision.warning else []),
        ]

    def evaluate(self, trainer: Any) -> dict[str, float]:
        """지금 모델의 검증 값.

        Raises:
            UserError: 검증 데이터가 없거나, 메모리가 모자랄 때.
        """
        if trainer.eval_dataset is None:
            raise UserError("검증 데이터가 없습니다. ModelTrainer를 만들 때 eval_dataset을 주세요.")
        with memory_explained(self.config):
            return trainer.evaluate()

    def conclude(self, trainer: Any, best: dict[str, float], train_metrics: dict[str, float]) -> dict[str, Any]:
        """결과를 `training_results.json`과 W&B에 적고, 학습이 돌려줄 것을 만듭니다."""
        run = runs.run_at(Path(self.args.output_dir)) or runs.run_at(Path(self.args.output_dir).parent)
        assert run is not None
        state = trainer.state
        result = {
            "final_model_path": str(run.final_model),
            "eval_metrics": best,
            "train_metrics": train_metrics,
            "best_checkpoint": state.best_model_checkpoint,
            "run_folder": str(run.path),
        }
        if self.wandb_logger.mode != "disabled" and trainer.eval_dataset is not None:
            self._show_predictions(trainer)
        if self.is_main:
            facts = {**result, "best_step": state.best_global_step, "history": state.log_history}
            facts["config"] = self.config.to_dict()
            write_json(run.results, portable(facts, run.path))
        if best:
            self.say(f"가장 좋은 것(스텝 {state.best_global_step:,}): {sentence_of(best)}")
        self.say(f"모델: {shown(run.final_model)}")
        return result

    def _show_predictions(self, trainer: Any) -> None:
        """검증 대화 몇 개의 요약을 W&B의 표로. 모든 프로세스가 함께 부릅니다."""
        chosen = Subset(trainer.eval_dataset, range(min(SHOWN_PREDICTIONS, len(trainer.eval_dataset))))
        tokenizer = trainer.processing_class
        output = trainer.predict(chosen)

        def texts(ids: Any) -> list[str]:
            rows = [[one for one in row if one >= 0] for row in ids]
            return tokenizer.batch_decode(rows, skip_special_tokens=True)

        dialogues = texts([chosen[index]["input_ids"] for index in range(len(chosen))])
        if self.is_main:
            rows = zip(dialogues, texts(output.label_ids), texts(output.predictions), strict=True)
            self.wandb_logger.log_predictions(("dialogue", "reference", "prediction"), [list(row) for row in rows])


def _finished(checkpoint: Path, config: SummarizationConfig) -> str | None:
    """이 체크포인트의 학습을 이미 마쳤으면, 그렇다고 하는 말."""
    state = json.loads((checkpoint / runs.STATE).read_text(encoding="utf-8"))
    epochs = config.training.num_train_epochs
    done = math.floor(state.get("epoch") or 0)
    if done >= epochs:
        return finished_already(done, epochs)
    patience = config.training.early_stopping_patience
    stopping = state.get("stateful_callbacks", {}).get("EarlyStoppingCallback", {})
    waited = stopping.get("attributes", {}).get("early_stopping_patience_counter", 0)
    if patience and waited >= patience:
        return finished_already(done, epochs, waited)
    return None


def require_fitting(checkpoint: Path, model: Any) -> None:
    """체크포인트가 이 모델의 것인지 봅니다. `Trainer`는 이름이 다른 가중치를 말없이 버립니다.

    Raises:
        UserError: 다른 구조나 다른 크기의 모델의 것이거나, 읽을 수 없을 때.
    """
    path = checkpoint / runs.WEIGHTS
    try:
        with safe_open(path, framework="pt") as file:
            saved = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  사전이 아닙니다
    except Exception as error:
        raise UserError(
            f"{shown(path)} 을(를) 읽을 수 없습니다({type(error).__name__}). 다른 체크포인트를 주세요."
        ) from error
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tied = {name for name in own if name not in saved and _is_tied(name, own, saved, model)}
    wrong = sorted(name for name in saved.keys() | own.keys() - tied if saved.get(name) != own.get(name))
    if wrong:
        name = wrong[0]
        kind = ""
        with suppress(OSError, ValueError):
            kind = json.loads((checkpoint / "config.json").read_text(encoding="utf-8")).get("model_type", "")
        raise UserError(
            f"{shown(checkpoint)} 은(는) 다른 모델({kind})의 체크포인트입니다: {name}의 모양이 거기에서는 "
            f"{saved.get(name, '없음')}, 지금 모델에서는 {own.get(name, '없음')}입니다(모두 {len(wrong)}곳). "
            "model.architecture와 model.checkpoint를 확인해 주세요."
        )


def _is_tied(name: str, own: dict[str, tuple[int, ...]], saved: dict[str, tuple[int, ...]], model: Any) -> bool:
    """저장할 때 빠진 것이, 저장된 다른 것과 같은 메모리의 가중치인가."""
    weights = model.state_dict()
    return any(weights[other].data_ptr() == weights[name].data_ptr() for other in saved if own.get(other) == own[name])


@contextmanager
def memory_explained(config: SummarizationConfig) -> Iterator[None]:
    """메모리가 모자라 난 예외를, 무엇을 줄이면 되는지 적은 한 문장으로 바꿉니다. 어느 장치의 것이든."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error).lower() for words in MEMORY_WORDS):
            raise
        size = config.training.per_device_train_batch_size
        steps = config.training.gradient_accumulation_steps
        raise UserError(
            f"장치의 메모리가 모자랍니다. training.per_device_train_batch_size를 {size}에서 {max(1, size // 2)}(으)로 "
            f"줄이고 gradient_accumulation_steps를 {steps}에서 {2 * steps}(으)로 늘리거나, tokenizer.encoder_max_len"
            f"({config.tokenizer.encoder_max_len})을 줄여 주세요."
        ) from error
