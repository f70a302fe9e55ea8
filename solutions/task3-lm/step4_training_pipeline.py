"""4단계 · 학습 파이프라인: 배우고, 재고, 남기고, 이어 하기

3단계까지의 부품을 루프로 묶습니다. 학습률을 바꾸어 가며 가중치를 고치고, 에포크마다 검증하고, 가장 좋은 모델을 남기고,
언제 꺼져도 그 자리에서 이어 갑니다. Lightning Fabric이 장치와 정밀도(mixed precision), 여러 프로세스를 맡습니다.

    python step4_training_pipeline.py                                # my_config로 학습합니다 (2코어 CPU에서 약 5분)
    python step4_training_pipeline.py --num_layers 2 --num_epochs 2  # LMConfig의 모든 항목은 옵션이기도 합니다
    python step4_training_pipeline.py --find_lr                      # 알맞은 학습률 찾기 (약 30초)
    python step4_training_pipeline.py --resume                       # 이어 하기 (--num_epochs 20을 더하면 늘려서)
    python step4_training_pipeline.py --init_from 모델.pt --data 글  # 배운 모델에서 시작하는 미세조정

배우는 것
    - 기울기 누적(gradient accumulation)과 자르기(clipping): 작은 배치 여럿으로 큰 배치 하나를, 한 스텝은 너무 크지 않게
    - 가장 좋은 모델과 조기 종료(early stopping): 학습 손실이 아니라 검증 손실로 정합니다
    - 이어 하기: 옵티마이저, 학습률, 난수, 읽던 자리까지 되돌려야 같은 학습입니다
    - 학습률 찾기(learning rate finder): 학습률을 곱하며 올려, 손실이 가장 잘 내려가는 곳을 봅니다

하지 않는 것: 더 나은 글쓰기와 웹 서비스. 5단계에서 합니다.
"""

import copy
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from step1_tokenizer_and_data import LMData
from step2_gpt_model import GPT, Block, generate_text
from step3_loss_and_optimizer import Metrics, accuracy_of, compute_loss, configure_optimizer, learning_rate_at

from nlpbook import hardware, loss_guard, tracking
from nlpbook.checkpoints import all_rng_states, copy_state, save_state, set_rng_state
from nlpbook.cli import Options, new_app, run, with_options
from nlpbook.interrupt import InterruptFlag
from nlpbook.language import reports, runs
from nlpbook.language.config import LMConfig
from nlpbook.language.metrics import window_scores
from nlpbook.loaders import evaluation_loader, training_loader
from nlpbook.optimization import follow_schedule
from nlpbook.paths import portable
from nlpbook.position import Position
from nlpbook.resuming import finished_already
from nlpbook.runs import held
from nlpbook.screen import Stopwatch, log_to, progress_bar, say

if TYPE_CHECKING:  # 타입을 적을 때만 씁니다. 읽는 데 몇 초가 걸려, --help도 그만큼 늦어집니다.
    from lightning.fabric import Fabric

# 바꾸어 볼 것만 적습니다. 적지 않은 것은 LMConfig의 기본값입니다(nlpbook/language/config.py).
# 예: {"d_embed": 128, "num_layers": 2, "learning_rate": 1e-3}. 학습률은 --find_lr이 제안합니다.
my_config = {}


def fabric_of(config: LMConfig) -> "Fabric":
    """설정에 맞는 장치, 정밀도(mixed precision), 프로세스 수의 Fabric."""
    return hardware.make_fabric(config.accelerator, config.strategy, config.devices, config.precision, wrap={Block})


class Trainer:
    """모델 하나를 처음부터 끝까지(또는 멈춘 곳부터 끝까지) 학습합니다.

    Args:
        model, data, config: 학습할 GPT(여기서 장치로 옮겨집니다), 토큰 파일과 로더가 있는 데이터, 설정.
        fabric: `launch()`를 마친 Fabric. 없으면 설정에 맞게 만듭니다.
        run_folder: 체크포인트와 그림을 남길 실행 폴더. None이면 아무것도 저장하지 않습니다.

    Attributes:
        position: 몇 에포크, 몇 배치, 몇 스텝까지 왔는지.
        best_val_loss, bad_epochs: 지금까지 가장 낮은 검증 손실과, 그 뒤로 나아지지 않은 채 지난 에포크의 수.
    """

    def __init__(
        self,
        model: GPT,
        data: LMData,
        config: LMConfig,
        fabric: "Fabric | None" = None,
        run_folder: runs.RunFolder | None = None,
    ) -> None:
        self.config = config
        self.data = data
        self.gpt = model
        self.run_folder = run_folder
        self.tracker = tracking.Tracker()
        self.guard = loss_guard.LossGuard()

        self.fabric = fabric or fabric_of(config)
        self.model, self.optimizer = self.fabric.setup(model, configure_optimizer(model, config))
        rank = self.fabric.global_rank
        processes = self.fabric.world_size
        self.train_loader, self.val_loader = self.fabric.setup_dataloaders(
            training_loader(data.train_dataloader(), config.seed, rank, processes),
            evaluation_loader(data.val_dataloader(), rank, processes),
            use_distributed_sampler=False,  # 나누는 일은 로더가 이미 했습니다.
        )
        self.steps_per_epoch = math.ceil(len(self.train_loader) / config.grad_accumulation)
        self.total_steps = config.num_epochs * self.steps_per_epoch
        self.scheduler = LambdaLR(self.optimizer, lambda step: self.lr_at(step) / config.learning_rate)

        self.position = Position()
        self.best_val_loss = math.inf
        self.best_step = None
        self.bad_epochs = 0
        self.sums = torch.zeros(3, device=self.fabric.device)  # 이 에포크의 손실 합, 정확도 합, 창의 수
        torch.manual_seed(config.seed + rank)  # 드롭아웃은 프로세스마다 다르게

    def lr_at(self, step: int) -> float:
        """`step`번째 스텝(0부터)에 쓰는 학습률."""
        return learning_rate_at(step, self.total_steps, self.config)

    @property
    def finished(self) -> bool:
        """더 배울 것이 없는가: 정한 에포크를 모두 마쳤거나, patience만큼 기다려도 나아지지 않을 때."""
        epoch = self.position.epoch
        num_epochs = self.config.num_epochs
        patience = self.config.patience
        # [TODO 4-1] 정한 에포크를 모두 마쳤거나 조기 종료할 때이면 참, 아니면 거짓을 done에 담으세요.
        # 힌트: self.bad_epochs가 patience에 이르면 멈춥니다. 다만 patience가 0이면 조기 종료를 쓰지 않는다는 뜻입니다.
        done = epoch >= num_epochs or (patience > 0 and self.bad_epochs >= patience)
        # [END 4-1]
        return done

    def train(self) -> None:
        """남은 에포크를 모두 배웁니다. Ctrl-C를 받으면 하던 스텝을 마치고 저장한 뒤 KeyboardInterrupt로 멈춥니다."""
        if self.finished and self.fabric.is_global_zero:
            say(finished_already(self.position.epoch, self.config.num_epochs, self.bad_epochs))
        self.model.train()
        with InterruptFlag(enabled=self.fabric.world_size == 1) as self.interrupt:
            # [TODO 4-2] 끝날 때까지 한 에포크씩 학습하고, 검증하고, 그 결과로 에포크를 마무리하세요.
            # 힌트: self.finished, self.train_epoch(), self.evaluate(), self.finish_epoch(검증 결과).
            while not self.finished:
                self.train_epoch()
                self.finish_epoch(self.evaluate())
            # [END 4-2]

    def train_epoch(self) -> None:
        """지금 에포크의 남은 배치를 모두 배웁니다."""
        description = f"Epoch {self.position.epoch + 1}/{self.config.num_epochs}"
        with progress_bar(description, self.steps_per_epoch, self.fabric.is_global_zero) as advance:
            advance(self.position.batch // self.config.grad_accumulation)
            for batches in self.remaining_batches():
                loss, accuracy = self.train_step(batches)
                windows = sum(len(inputs) for inputs, _ in batches)
                self.sums += torch.stack([loss, accuracy, torch.ones_like(loss)]) * windows
                if self.fabric.device.type == "cpu" or self.position.step % 10 == 0:  # 수를 꺼내면 GPU가 기다립니다.
                    self.guard.check()
                    advance(0, f"loss={loss:.4f}, acc={accuracy:.4f}, lr={self.lr_at(self.position.step):.1e}")
                self.position.batch += len(batches)
                self.position.step += 1
                advance()
                self.after_step()

    def remaining_batches(self) -> Iterator[list[tuple[Tensor, Tensor]]]:
        """지금 에포크에서 아직 배우지 않은 배치들을 `grad_accumulation`개씩 묶은 것. 순서는 시드가 정합니다."""
        self.train_loader.batch_sampler.start_at(self.position.epoch, self.position.batch)
        batches = iter(self.train_loader)
        while group := list(itertools.islice(batches, self.config.grad_accumulation)):
            yield group

    def train_step(self, batches: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """배치 여럿의 기울기를 모아 가중치를 한 번 고칩니다.

        Args:
            batches: (입력, 정답) 배치들, 하나 이상. 저마다 (배치, 길이). 모델과 같은 장치.

        Returns:
            배치들의 평균 손실과 평균 정확도, 둘 다 () 이고 기울기가 없습니다.
        """
        lr = self.optimizer.param_groups[0]["lr"]
        losses = []
        accuracies = []
        # [TODO 4-3] 지난 기울기를 지우고, 배치마다 역전파하며 손실과 정확도를 losses와 accuracies에 모으세요.
        # 힌트: self.fabric.backward(손실)를 부를 때마다 기울기는 더해집니다. 크기가 같은 배치들을 하나로 이어 붙여 평균
        #       낸 것과 같아지려면, 저마다의 손실을 무엇으로 나누어야 할까요? 모으는 손실에 매달린 기울기는 메모리를
        #       붙듭니다.
        self.optimizer.zero_grad()
        for inputs, targets in batches:
            logits = self.model(inputs)
            loss = compute_loss(logits, targets)
            self.fabric.backward(loss / len(batches))
            losses.append(loss.detach())
            accuracies.append(accuracy_of(logits, targets))
        # [END 4-3]
        # [TODO 4-4] 기울기 전체의 크기를 설정의 max_grad_norm까지로 자르고, 가중치와 학습률을 한 스텝 고치세요.
        # 힌트: self.fabric.clip_gradients(모델, 옵티마이저, max_norm=…) → self.optimizer → self.scheduler의 차례입니다.
        #       자르기가 가중치를 고친 뒤에 온다면 무엇을 자르는 것일까요? 16-mixed에서는 기울기가 가끔 무한대가 됩니다.
        #       그때 clip_gradients가 멈추지 않게 하려면 error_if_nonfinite에 무엇을 주어야 할까요? 그런 스텝을
        #       건너뛰는 일은 optimizer.step 안에서 Fabric이 합니다.
        limit = self.config.max_grad_norm
        self.fabric.clip_gradients(self.model, self.optimizer, max_norm=limit, error_if_nonfinite=False)
        self.optimizer.step()
        self.scheduler.step()
        # [END 4-4]
        average = torch.stack(losses).mean()
        self.guard.note(self.position.step + 1, lr, average)
        return average, torch.stack(accuracies).mean()

    def after_step(self) -> None:
        """한 스텝 뒤에 할 일: 때가 되었거나 멈추라는 신호가 왔으면 저장하기."""
        save_every = self.config.save_every
        if self.interrupt.requested or (save_every and self.position.step % save_every == 0):
            self.save_checkpoint()
        if self.interrupt.requested:
            raise KeyboardInterrupt

    def evaluate(self, loader: DataLoader | None = None) -> Metrics:
        """검증 글 전체의 손실과 정확도. 프로세스가 몇이든 같은 값입니다.

        Args:
            loader: 다른 글로 재려면 그 글의 로더. 데이터셋은 `WindowDataset`처럼 `bytes_per_token`을 압니다.
        """
        loader = loader or self.val_loader
        scores = []
        # [TODO 4-5] 평가 모드에서, 기울기 없이, 배치마다 window_scores(로짓, 정답)을 구해 scores에 모으세요.
        # 힌트: 끝나면 학습 모드로 돌아와야 합니다. 평가 모드가 아니면 드롭아웃은 무엇을 할까요?
        self.model.eval()
        with torch.no_grad():
            for inputs, targets in loader:
                scores.append(window_scores(self.model(inputs), targets))
        self.model.train()
        # [END 4-5]
        count = len(loader.dataset)
        mine = len(range(self.fabric.global_rank, count, self.fabric.world_size))  # 되풀이해 읽은 창은 세지 않습니다.
        total = self.fabric.all_reduce(torch.cat(scores)[:mine].sum(dim=0), reduce_op="sum") / count
        loss, accuracy = total.tolist()
        return Metrics(loss, accuracy, loader.dataset.bytes_per_token)

    def finish_epoch(self, metrics: Metrics) -> None:
        """에포크를 마무리합니다: 보고하고, 저장하고, 이어 쓴 글과 과적합 경고를 보입니다."""
        self.guard.note(self.position.step, self.optimizer.param_groups[0]["lr"], metrics.loss)
        self.guard.check()
        loss, accuracy, count = self.fabric.all_reduce(self.sums, reduce_op="sum").tolist()
        train = Metrics(loss / count, accuracy / count, self.train_loader.dataset.bytes_per_token)
        self.sums.zero_()
        self.position.next_epoch()
        improved = self.is_best(metrics.loss)
        if self.fabric.is_global_zero:
            self.report_epoch(train, metrics)
        self.save_checkpoint(best=improved)
        if self.fabric.is_global_zero:
            self.show_sample_and_advice(metrics)

    def report_epoch(self, train: Metrics, valid: Metrics) -> None:
        """에포크 하나의 값을 화면과 로거에 적습니다."""
        lr = self.lr_at(self.position.step - 1)  # 마지막 스텝에 쓴 것. 스케줄러는 이미 다음 것을 가리킵니다.
        title = f"Epoch {self.position.epoch}/{self.config.num_epochs}"
        reports.report_epoch(title, train.values(), valid.values(), lr)
        train_row = reports.metrics_row("train", train.values())
        valid_row = reports.metrics_row("val", valid.values())
        self.tracker.log(self.position.step, **train_row, **valid_row, lr=lr)

    def show_sample_and_advice(self, valid: Metrics) -> None:
        """지금 모델이 이어 쓴 글을 보이고, 과적합과 조기 종료를 알립니다."""
        config = self.config
        if config.sample_tokens and config.strategy != "fsdp":  # fsdp에서는 가중치가 흩어져 있습니다.
            text = generate_text(self.gpt, config.sample_prompt, config.sample_tokens, config.seed)
            reports.write_sample(text, self.position.step, self.run_folder and self.run_folder.samples)
        if valid.loss > self.best_val_loss + config.overfit_margin:
            say(reports.OVERFITTING)
        if self.finished and self.position.epoch < config.num_epochs:
            say(f"  {self.bad_epochs}에포크 동안 나아지지 않아 일찍 멈춥니다(조기 종료).")

    def is_best(self, val_loss: float) -> bool:
        """검증 손실이 지금까지 가장 낮은가. 가장 낮은 값과, 나아지지 않은 에포크의 수를 고쳐 적습니다."""
        # [TODO 4-6] improved를 정하고, self.best_val_loss와 self.bad_epochs를 고치세요.
        # 힌트: 나아졌으면 bad_epochs는 처음부터 다시 셉니다. 같은 값은 나아진 것일까요?
        improved = val_loss < self.best_val_loss
        if improved:
            self.best_val_loss = val_loss
            self.bad_epochs = 0
        else:
            self.bad_epochs += 1
        # [END 4-6]
        self.best_step = self.position.step if improved else self.best_step
        return improved

    def save_checkpoint(self, best: bool = False) -> None:
        """지금의 모든 상태를 last.pt에, 가장 좋으면 best_model.pt에도 저장합니다. 파일에는 열넷이 남습니다.

        이름                      담는 것                               없으면
        model_state_dict          self.model 그대로. Fabric이 바꿉니다  배운 것이 없습니다
        optimizer_state_dict      self.optimizer 그대로                 AdamW가 기억하던 평균이 0이 됩니다
        scheduler_state_dict      self.scheduler의 state_dict()         학습률이 처음으로 돌아갑니다
        scaler_state_dict         아래의 scaler                         16-mixed가 배율을 처음부터 찾습니다
        position                  self.position의 to_dict()             어느 배치부터 이어 갈지 모릅니다
        best_val_loss, best_step  지금의 것                             가장 좋던 때를 잊습니다
        bad_epochs                지금의 것                             조기 종료가 처음부터 다시 셉니다
        sums                      아래의 sums                           이 에포크의 평균에서 앞부분이 빠집니다
        history                   self.tracker의 history                학습 곡선이 여기에서 시작합니다
        rng_states                아래의 everyone                       드롭아웃이 끄는 값이 달라집니다
        config                    아래의 config                         모델의 모양을 알 수 없습니다
        vocab_size                self.gpt의 것                         임베딩의 크기를 알 수 없습니다
        tokenizer                 self.gpt.tokenizer의 to_text()        번호를 글로 바꿀 수 없습니다
        """
        self.guard.check()
        run = self.run_folder
        config = portable(self.config.to_dict(), run and run.path)  # 경로는 폴더를 옮겨도 맞게 적습니다.
        scaler = self.fabric.strategy.precision.state_dict()  # 16-mixed가 손실을 키우는 배율
        everyone = all_rng_states(self.fabric)  # 난수는 프로세스마다 다릅니다.
        sums = self.fabric.all_reduce(self.sums.clone(), reduce_op="mean")  # 되읽는 것은 모두이므로, 합이 아니라 평균
        # [TODO 4-7] 위의 표에 적은 열넷을 모두 그 이름으로 state에 담으세요.
        # 힌트: 파일은 텐서와 수와 글, 그것들의 목록과 딕셔너리만 읽습니다. 그대로 담을 수 없는 것은 무엇일까요?
        state = {
            "model_state_dict": self.model,
            "optimizer_state_dict": self.optimizer,
            "scheduler_state_dict": self.scheduler.state_dict(),
            "scaler_state_dict": scaler,
            "position": self.position.to_dict(),
            "best_val_loss": self.best_val_loss,
            "bad_epochs": self.bad_epochs,
            "best_step": self.best_step,
            "sums": sums,
            "history": self.tracker.history,
            "rng_states": everyone,
            "config": config,
            "vocab_size": self.gpt.vocab_size,
            "tokenizer": self.gpt.tokenizer.to_text(),
        }
        # [END 4-7]
        if run is None:
            return
        self.tracker.save()
        save_state(self.fabric, run.best_model if best else run.last_state, state)
        if best and self.fabric.is_global_zero:  # 가장 좋은 것을 먼저 남겨야, 그 사이에 꺼져도 잃지 않습니다.
            copy_state(run.best_model, run.last_state)
            say(f"  ✅ 최고 모델 저장! (Val Loss: {self.best_val_loss:.4f})")

    def load_checkpoint(self, path: Path | str) -> None:
        """저장된 상태(`last.pt`나 `best_model.pt`)로 되돌립니다. 그 뒤의 `train()`은 멈춘 적 없는 학습과 같아집니다.

        Raises:
            UserError: 파일이 없거나, 깨졌거나, 모양이 다른 모델의 것일 때.
        """
        state = runs.read_checkpoint(path, self.fabric.device)
        runs.require_same_shape(state, self.config, self.gpt.vocab_size, path)
        runs.require_same_tokenizer(state["tokenizer"], self.gpt.tokenizer)
        rank = self.fabric.global_rank
        # [TODO 4-8] 모델, 옵티마이저, 스케줄러, 진행(position), 가장 좋은 값들, 난수를 state에서 되돌리세요.
        # 힌트: 모델과 옵티마이저는 self.fabric.load(path, {"model_state_dict": self.model, …})가 되돌립니다. position은
        #       Position(**…)으로 되살리고, 난수는 set_rng_state에 이 프로세스의 것(state["rng_states"][rank])을 줍니다.
        parts = {"model_state_dict": self.model, "optimizer_state_dict": self.optimizer}
        self.fabric.load(path, parts, weights_only=True)
        self.scheduler.load_state_dict(state["scheduler_state_dict"])
        self.position = Position(**state["position"])
        self.best_val_loss = state["best_val_loss"]
        self.bad_epochs = state["bad_epochs"]
        set_rng_state(state["rng_states"][rank])
        # [END 4-8]
        self.fabric.strategy.precision.load_state_dict(state["scaler_state_dict"])
        self.sums.copy_(state["sums"])
        self.best_step = state["best_step"]
        self.tracker.restore(state["history"])
        if state["config"].get("num_epochs") != self.config.num_epochs:
            follow_schedule(self.scheduler)  # 에포크를 늘리면 학습률의 계획도 새로 그립니다.


def find_learning_rate(
    model: GPT, data: LMData, config: LMConfig, fabric: "Fabric", num_steps: int = 100
) -> tuple[list[float], list[float]]:
    """학습률을 배치마다 곱해 올리며 손실을 잽니다. 모델의 복사본으로 하므로 모델은 그대로입니다.

    Smith 2017의 LR range test는 학습률을 더해 올립니다. 곱해 올리고 가장 가파른 곳을 고르는 것은 fastai의 방법입니다.

    Returns:
        (학습률, 그때의 손실). 손실이 가장 낮던 값의 4배를 넘거나 유한하지 않으면 거기서 멈추고, 그 값은 담지 않습니다.
    """
    trainer = Trainer(copy.deepcopy(model), data, config, fabric)
    batches = endless(trainer.train_loader)

    def loss_at(lr: float) -> float:
        """다음 배치로 학습률 lr의 한 스텝을 배우고, 배우기 전의 손실을 돌려줍니다."""
        for group in trainer.optimizer.param_groups:
            group["lr"] = lr
        loss, _ = trainer.train_step([next(batches)])
        return fabric.all_reduce(loss, reduce_op="mean").item()

    lowest = 1e-6
    highest = 1.0
    rates = []
    losses = []
    # [TODO 4-9] 학습률을 lowest에서 highest까지 num_steps번에 걸쳐 같은 비율로 곱해 올리며, 학습률과 손실을 모으세요.
    # 힌트: loss_at(학습률)이 한 스텝의 손실을 냅니다. index번째의 학습률은 lowest × (highest / lowest)의 몇 제곱일까요?
    #       손실이 min(losses)의 4배를 넘거나 math.isfinite가 아니면 담지 않고 멈춥니다.
    for index in range(num_steps):
        lr = lowest * (highest / lowest) ** (index / (num_steps - 1))
        loss = loss_at(lr)
        if not math.isfinite(loss) or (losses and loss > 4 * min(losses)):
            break
        rates.append(lr)
        losses.append(loss)
    # [END 4-9]
    return rates, losses


def endless(loader: DataLoader) -> Iterator[tuple[Tensor, Tensor]]:
    """로더의 배치를 끝없이: 다 읽으면 처음부터 다시 읽습니다."""
    while True:
        yield from loader


def train(options: Options) -> None:
    """글을 배워 실행 폴더에 남깁니다. --resume은 멈춘 학습을 이어 하고, --init_from은 다른 모델에서 시작합니다."""
    config = LMConfig.of(runs.fine_tuning(options))
    resume = config.resume
    find_lr = config.find_lr
    run = None
    source = None
    if resume:
        run = runs.find_run(config, resuming=True)
        config = runs.resumed_settings(run, options)
    elif config.init_from:
        source = starting_model(config.init_from)
        runs.take_shape(config, source.config, options.given)
    fabric = fabric_of(config)
    fabric.launch()
    fabric.seed_everything(config.seed, verbose=False)
    if fabric.is_global_zero and not find_lr:
        run = runs.run_again(run) if run else runs.new_run(config)
    config, run = fabric.broadcast((config, run))  # 실행 폴더의 이름은 0번이 정합니다.
    with held(run, enabled=fabric.is_global_zero and run is not None):
        if fabric.is_global_zero:
            runs.prepare_texts(run, config, resume, source and source.tokenizer)
        config = fabric.broadcast(config)
        with fabric.rank_zero_first():
            data = LMData(config)
        model = GPT(config, len(data.tokenizer), data.tokenizer)
        if source:
            model.load_state_dict(source.state_dict())
        if not find_lr:
            fit(Trainer(model, data, config, fabric, run), resume)
            return
        found = find_learning_rate(model, data, config, fabric)
        if fabric.is_global_zero:
            reports.suggest_learning_rate(*found, config)


def starting_model(init_from: str) -> GPT:
    """미세조정을 시작할 모델: 우리의 체크포인트(.pt)나, GPT-2 모양의 Hugging Face 폴더 또는 이름."""
    if init_from.endswith(".pt"):
        return runs.load_model(GPT, Path(init_from).expanduser())
    from step6_export_and_quantize import GPT as HuggingFaceGPT  # 이 길은 6단계에서 놓습니다.

    return HuggingFaceGPT.from_pretrained(init_from)


def fit(trainer: Trainer, resume: bool) -> None:
    """학습 한 번을 실행 폴더에 적으며 끝까지 갑니다."""
    run = trainer.run_folder
    config = trainer.config
    fabric = trainer.fabric
    watch = Stopwatch()
    with log_to(run.log, enabled=fabric.is_global_zero):
        if fabric.is_global_zero:
            config.save(run.arguments)
            trainer.tracker.loggers = reports.loggers_of(config, run)
            say(f"실행 폴더: {run}")
            for line in plan_of(trainer):
                say(line)
        if resume:
            trainer.load_checkpoint(run.resumable)
            if fabric.is_global_zero:
                say(f"{trainer.position.step:,}스텝에서 이어 갑니다.")
        try:
            trainer.train()
        except KeyboardInterrupt:
            if fabric.is_global_zero and run.last_state.is_file():
                say("같은 명령에 --resume을 붙이면 마지막으로 저장한 곳부터 이어 갑니다.")
            raise
        if fabric.is_global_zero:
            history = trainer.tracker.history
            reports.report_end(run, history, trainer.best_step, trainer.best_val_loss, watch.seconds)


def plan_of(trainer: Trainer) -> list[str]:
    """무엇을 얼마나, 무엇으로 배울지 적은 줄들."""
    data = trainer.data
    fabric = trainer.fabric
    steps = f"에포크마다 {trainer.steps_per_epoch:,}스텝, 모두 {trainer.total_steps:,}스텝"
    return [
        f"학습 {len(data.train):,}토큰, 검증 {len(data.valid):,}토큰, 어휘 {len(data.tokenizer):,}개",
        f"파라미터 {trainer.gpt.num_parameters():,}개, {steps}",
        f"장치 {fabric.device.type} × {fabric.world_size}, 정밀도 {fabric.strategy.precision.precision}",
    ]


def main(options: Options) -> None:
    """위의 my_config로 학습합니다. 명령줄에 적은 옵션은 my_config보다 앞섭니다."""
    train(options.over(my_config))


if __name__ == "__main__":
    cli = new_app("GPT 학습", no_args_is_help=False)
    cli.command()(with_options(LMConfig)(main))
    run(cli)
