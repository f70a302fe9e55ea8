"""4단계 · 학습 루프: 만 스텝을 되풀이하고, 가장 좋은 것을 남기고, 멈춘 곳에서 이어 하기

3단계의 학습 스텝을 되풀이합니다. 도중에 검증해 가장 좋은 가중치를 남기고, 언제 꺼져도 그 자리에서 이어 갑니다.
Lightning Fabric이 장치와 정밀도, 여러 프로세스를 맡으므로, 루프는 CPU 하나에서나 GPU 여덟 개에서나 같은 코드입니다.

    python step4_training_loops.py     # 짧은 학습과 검증, 그리고 멈췄다가 이어 하기 (약 15초)

배우는 것
    - 에포크와 배치의 두 겹 반복, 그 안의 네 박자: 기울기 지우기 → 역전파 → 자르기 → 고치기
    - `fabric.all_gather`: 프로세스마다 흩어진 예측을 모으되, 되풀이해 읽은 예문은 한 번만 세기
    - 검증 주기와 체크포인트: 학습 손실이 아니라 검증 값으로 고릅니다
    - 이어 하기: 가중치만으로는 모자랍니다. 옵티마이저, 학습률, 난수, 읽던 자리까지 되돌려야 같은 학습입니다

하지 않는 것: 명령줄과 웹 서비스. 5단계에서 합니다.
"""

import tempfile
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import get_linear_schedule_with_warmup

from step3_training_steps import NSMCModel

from nlpbook.checkpoints import CheckpointSaver, all_rng_states, load_state, set_rng_state
from nlpbook.classification.config import TrainConfig
from nlpbook.classification.metrics import accuracy
from nlpbook.cli import run_script
from nlpbook.hardware import use_fast_attention
from nlpbook.interrupt import InterruptFlag
from nlpbook.loaders import evaluation_loader, training_loader
from nlpbook.loss_guard import require_finite
from nlpbook.position import Position, steps_between
from nlpbook.process import prepare_process
from nlpbook.resuming import finished_already
from nlpbook.screen import progress_bar, say
from nlpbook.tracking import Tracker
from todo import todo


def gather(fabric: Fabric, values: Tensor, count: int) -> Tensor:
    """모든 프로세스의 값을, 한 프로세스가 혼자 읽은 것과 같은 순서로 모읍니다.

    `evaluation_loader`는 예문을 카드처럼 한 장씩 돌려 나눕니다. 프로세스가 둘이면 0번은 0, 2, 4, …번째를, 1번은
    1, 3, 5, …번째를 읽고, 수를 맞추려고 마지막 예문을 되풀이하기도 합니다.

    Args:
        values: 이 프로세스가 읽은 예문마다의 값, (예문, …). 모든 프로세스에서 같은 모양입니다.
        count: 되풀이를 뺀 진짜 예문의 수.

    Returns:
        (count, …).
    """
    # [TODO 4-3] fabric.all_gather로 모은 값을 원래 순서로 늘어놓고, 되풀이한 예문을 떼어 everyone에 담으세요.
    # 힌트: 프로세스가 여럿이면 all_gather는 맨 앞에 프로세스 축을 더합니다: (프로세스, 예문, …).
    #       하나뿐이면 더하지 않습니다. 카드를 다시 한 장씩 번갈아 모으려면 어느 축을 먼저 지나야 할까요?
    todo("4-3")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: everyone
    # [END 4-3]
    return everyone


class Trainer:
    """모델 하나를 처음부터 끝까지(또는 멈춘 곳부터 끝까지) 학습합니다.

    Args:
        fabric: `launch()`를 마친 Fabric.
        model: 학습할 모델. 여기서 장치로 옮겨집니다.
        saver: 체크포인트를 남길 곳.
        tracker: 값을 적을 곳.

    Attributes:
        position: 몇 에포크, 몇 배치, 몇 스텝까지 왔는지.
        total_steps: 학습 전체의 스텝 수.
        val_steps: 검증 사이의 스텝 수.
    """

    def __init__(
        self, fabric: Fabric, model: NSMCModel, saver: CheckpointSaver, tracker: Tracker | None = None
    ) -> None:
        self.fabric = fabric
        self.config = model.config
        self.saver = saver
        self.tracker = tracker or Tracker()
        self.position = Position()
        self.recent: list[Tensor] = []  # 아직 적지 않은 스텝마다의 (손실, 정확도), 저마다 (2,)

        use_fast_attention(model.lang_model, fabric.device.type)
        # 계산이 일어나는 lang_model을 감쌉니다: 정밀도(autocast)와 여러 프로세스의 기울기 맞추기가 여기서 끼어듭니다.
        model.lang_model, self.optimizer = fabric.setup(model.lang_model, model.configure_optimizers())
        self.model = model.to(fabric.device)

        rank = fabric.global_rank
        processes = fabric.world_size
        learning = self.config.learning
        self.train_loader, self.val_loader = fabric.setup_dataloaders(
            training_loader(model.train_dataloader(), learning.seed, rank, processes),
            evaluation_loader(model.val_dataloader(), rank, processes),
            use_distributed_sampler=False,  # 나누는 일은 로더가 이미 했습니다.
        )
        self.steps_per_epoch = len(self.train_loader)
        self.total_steps = learning.num_epochs * self.steps_per_epoch
        self.val_steps = steps_between(learning.val_interval, self.steps_per_epoch)
        self.print_steps = steps_between(self.config.printing.print_every, self.steps_per_epoch)

        warmup_steps = round(learning.warmup_rate * self.total_steps)
        self.scheduler = get_linear_schedule_with_warmup(self.optimizer, warmup_steps, self.total_steps)
        torch.manual_seed(learning.seed + rank)  # 드롭아웃은 프로세스마다 다르게

    def train(self) -> None:
        """남은 스텝을 모두 배웁니다. Ctrl-C를 받으면 하던 스텝을 마치고 저장한 뒤 멈춥니다."""
        num_epochs = self.config.learning.num_epochs
        if self.position.step >= self.total_steps and self.fabric.is_global_zero:
            say(finished_already(num_epochs, num_epochs))
        self.model.train()
        with (
            InterruptFlag(enabled=self.fabric.world_size == 1) as self.interrupt,
            progress_bar("학습", self.total_steps, self.fabric.is_global_zero) as self.advance,
        ):
            self.advance(self.position.step)
            # [TODO 4-1] 남은 에포크마다 self.remaining_batches()의 배치를 하나씩 꺼내 self.train_step으로 학습하세요.
            # 힌트: 스텝이 끝날 때마다 self.after_step(outputs)을, 에포크가 끝날 때마다 self.position.next_epoch()를
            #       부릅니다. 이어 하는 학습은 0번 에포크가 아니라 self.position.epoch에서 시작합니다.
            todo("4-1")  # 여기를 지우고 채워 주세요.
            # [END 4-1]

    def remaining_batches(self) -> DataLoader:
        """지금 에포크에서 아직 배우지 않은 배치들. 순서는 시드와 에포크 번호로 정해집니다."""
        self.train_loader.batch_sampler.start_at(self.position.epoch, self.position.batch)
        return self.train_loader

    def train_step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """배치 하나로 가중치를 한 번 고칩니다.

        Args:
            batch: `input_ids`, `attention_mask`: (배치, 길이). `labels`: (배치,). 모델과 같은 장치.

        Returns:
            `training_step`의 결과.
        """
        # [TODO 4-2] 기울기를 지우고, 손실을 구해 역전파하고, 기울기를 자르고, 가중치와 학습률을 고치세요.
        # 힌트: self.model.training_step → self.fabric.backward → self.fabric.clip_gradients → step.
        #       자르는 한계는 self.config.learning.max_grad_norm입니다. 16비트에서는 기울기가 이따금 무한대가 되는데,
        #       그때 clip_gradients가 멈추지 않게 하려면 error_if_nonfinite에 무엇을 주어야 할까요? 그런 스텝을 건너뛰는
        #       일은 optimizer.step 안에서 Fabric이 합니다.
        todo("4-2")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: outputs
        # [END 4-2]
        self.position.next_batch()
        return outputs

    def after_step(self, outputs: dict[str, Tensor]) -> None:
        """한 스텝 뒤에 할 일: 화면에 적기, 때가 되면 검증하기, 멈추라는 신호가 왔으면 저장하고 멈추기."""
        self.advance()
        step = self.position.step
        self.recent.append(torch.stack([outputs["loss"].detach(), outputs["acc"].detach()]))
        if step % self.print_steps == 0:
            self.report()
        # [TODO 4-4] val_steps 스텝마다, 그리고 맨 마지막 스텝(total_steps)에서 검증하고 self.record에 건네세요.
        # 힌트: self.evaluate(self.val_loader)는 드롭아웃을 끈 평가 모드에서 해야 하고, 끝나면 학습 모드로
        #       돌아와야 합니다.
        todo("4-4")  # 여기를 지우고 채워 주세요.
        # [END 4-4]
        save_every = self.config.learning.save_every
        if self.interrupt.requested or (save_every and step % save_every == 0):
            self.save_checkpoint()
        if self.interrupt.requested:
            raise KeyboardInterrupt

    def evaluate(self, loader: DataLoader) -> dict[str, float]:
        """검증 데이터 전체의 평균 손실과 정확도. 프로세스가 몇이든 같은 값입니다."""
        outputs = [self.model.validation_step(batch, index) for index, batch in enumerate(loader)]
        count = len(loader.dataset)
        preds, labels, loss = (
            gather(self.fabric, torch.cat([one[name] for one in outputs]), count)
            for name in ("preds", "labels", "loss")
        )
        return {"val_loss": loss.double().mean().item(), "val_acc": accuracy(preds, labels).item()}

    def report(self) -> None:
        """지난번 뒤의 평균을 적습니다. 배치 하나의 값은 운에 흔들립니다.

        수를 꺼내는 `.tolist()`는 GPU를 기다리게 하므로 스텝마다 부르지 않습니다.

        Raises:
            UserError: 손실이 NaN이나 무한대가 되었을 때.
        """
        step = self.position.step
        loss, acc = torch.stack(self.recent).mean(dim=0).tolist()
        self.recent.clear()
        lr = self.scheduler.get_last_lr()[0]
        require_finite(step, lr, loss)
        if self.fabric.is_global_zero:
            self.tracker.log(step, loss=loss, acc=acc, lr=lr)
            epoch = step / self.steps_per_epoch
            say(self.config.printing.tag_format_on_training.format(step=step, epoch=epoch, loss=loss, acc=acc, lr=lr))

    def record(self, metrics: dict[str, float]) -> None:
        """검증 값을 적고, 체크포인트를 남깁니다."""
        step = self.position.step
        if self.fabric.is_global_zero:
            self.tracker.log(step, **metrics)
            epoch = step / self.steps_per_epoch
            say(self.config.printing.tag_format_on_validate.format(step=step, epoch=epoch, **metrics))
            self.keep_if_good(metrics)
        self.save_checkpoint()

    def keep_if_good(self, metrics: dict[str, float]) -> None:
        """검증 값이 손에 든 것들보다 나으면 가중치를 남깁니다. 0번 프로세스만 부릅니다.

        Args:
            metrics: 이름 → 값. 예: `{"val_loss": 0.41, "val_acc": 0.83}`.
        """
        weights = self.model.lang_model.state_dict()
        # [TODO 4-5] 이름이 self.saver.metric인 값을 metrics에서 꺼내, 남길 만하면 가중치와 값, 스텝 수를 저장하세요.
        # 힌트: self.saver.is_worth_keeping(값)과 self.saver.save_best(가중치, 값, 스텝 수)가 있습니다. 고르는 값의
        #       이름은 설정(saving_mode)에 따라 val_acc일 수도, val_loss일 수도 있습니다.
        todo("4-5")  # 여기를 지우고 채워 주세요.
        # [END 4-5]

    def save_checkpoint(self) -> None:
        """지금의 모든 상태를 저장합니다. 난수는 프로세스마다 다르므로 모아서 담습니다."""
        everyone = all_rng_states(self.fabric)
        if self.fabric.is_global_zero:
            self.tracker.save()
            self.saver.save_last(
                {
                    "model_state_dict": self.model.lang_model.state_dict(),
                    "optimizer_state_dict": self.optimizer.state_dict(),
                    "scheduler_state_dict": self.scheduler.state_dict(),
                    "scaler_state_dict": self.fabric.strategy.precision.state_dict(),
                    "position": self.position.to_dict(),
                    "rng_states": everyone,
                    "history": self.tracker.history,
                    "recent": self.recent,
                }
            )

    def load_checkpoint(self, path: Path | str) -> None:
        """저장된 상태(`last.pt`)로 되돌립니다. 그 뒤의 `train()`은 한 번도 멈추지 않은 학습과 같아집니다.

        Raises:
            UserError: 파일이 없거나 깨졌을 때.
        """
        state = load_state(path, self.fabric.device)
        self.fabric.strategy.precision.load_state_dict(state["scaler_state_dict"])
        # [TODO 4-6] 저장된 상태에서 가중치, 옵티마이저, 스케줄러, 진행(position), 난수를 되돌리세요.
        # 힌트: 가중치는 self.model.lang_model의 것입니다. position은 Position(**…)으로 되살리고, 난수는
        #       set_rng_state에 이 프로세스의 것(state["rng_states"][self.fabric.global_rank])을 줍니다.
        todo("4-6")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: self.position
        # [END 4-6]
        self.tracker.restore(state["history"])
        self.recent = list(state.get("recent", []))  # 옛 체크포인트에는 없습니다.


def main() -> None:
    config = TrainConfig()
    config.data.max_train_samples = 384
    config.data.max_valid_samples = 100
    config.learning.num_epochs = 2
    config.learning.val_interval = 0.5
    config.printing.print_every = 0.25
    prepare_process()
    fabric = Fabric(accelerator="auto", devices=1)
    with tempfile.TemporaryDirectory() as folder:
        saver = CheckpointSaver(Path(folder), config.learning.saving_mode, num_saving=2)
        fabric.seed_everything(config.learning.seed, verbose=False)
        print("■ 짧은 학습: 리뷰 384개, 2 에포크")
        Trainer(fabric, NSMCModel(config), saver).train()
        print("\n■ 남은 체크포인트 (좋은 것부터)")
        for one in saver.checkpoints():
            print(f"  {one.path.name}")

        print("\n■ 에포크를 하나 늘려 이어 하기")
        config.learning.num_epochs = 3
        trainer = Trainer(fabric, NSMCModel(config), saver)
        trainer.load_checkpoint(saver.last_state)
        print(f"  {trainer.position.step}스텝에서 이어 갑니다")
        trainer.train()

    # 더 해 보기: train_step의 zero_grad()를 지우면 기울기의 크기는 어떻게 변할까요? 짐작한 뒤 clip 앞에서 찍어 보세요.


if __name__ == "__main__":
    run_script(main)
