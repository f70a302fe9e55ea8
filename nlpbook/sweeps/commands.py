"""설정 클래스에서 옵션을 만드는 과제의 `sweep` 명령. 과제의 `train`을 그대로 시도로 씁니다.

    SWEEP = Sweepable(Path(__file__), "SWEEP", TrainConfig, train, metric="val_acc", goal="maximize")
    SWEEP.add_to(cli)      # python step5_… sweep quick_sweep --num-workers 2 num_epochs=1

`train`이 적는 값(`nlpbook.tracking.Tracker`)을 들어, 검증의 값이 적힐 때마다 탐색에 알립니다. 탐색의 엔진은 명령이
시작된 뒤에 불러오므로, 다른 명령은 기다리지 않습니다.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console_text import did_you_mean
from nlpbook.casting import Refused
from nlpbook.cli import Options
from nlpbook.errors import UserError
from nlpbook.paths import OUTPUT
from nlpbook.settings import Leaf, Settings
from nlpbook.tracking import listening

if TYPE_CHECKING:
    from nlpbook.sweeps.cli import SweepTask
    from nlpbook.sweeps.config import Sweep
    from nlpbook.sweeps.loop import TrialContext

OWN = ("output", "job_name", "job_version", "resume", "debugging")  # 탐색이 정하는 옵션
MODELS = ("model", "checkpoints/best_model.pt")  # 실행 폴더에서 모델이 있는 곳
ACCELERATOR, GPU_KINDS = "accelerator", ("auto", "gpu", "cuda")


@dataclass(frozen=True)
class Sweepable:
    """탐색할 수 있는 과제.

    Attributes:
        file, name: 일꾼이 이것을 다시 찾을 단계 파일과, 그 안의 이름.
        kind: 학습의 설정. 옵션의 이름과 범위를 여기에서 압니다.
        train: 옵션을 받아 학습하는 함수.
        metric, goal: 탐색 파일에 적지 않았을 때 견줄 것. `train`이 적는 값의 이름입니다.
    """

    file: Path
    name: str
    kind: type[Settings]
    train: Callable[[Options], Any]
    metric: str
    goal: str = "maximize"

    @property
    def sweeps(self) -> Path:
        """탐색 파일들이 있는 폴더."""
        return self.file.parent / "configs" / "sweep"

    def add_to(self, cli: typer.Typer) -> None:
        """`cli`에 `sweep` 명령을 더합니다."""

        @cli.command("sweep")
        def sweep(
            name: Annotated[str, typer.Argument(help="탐색의 이름이나 파일.", metavar="탐색")],
            overrides: Annotated[
                list[str] | None, typer.Argument(help="시도마다 같은 옵션: 이름=값", metavar="이름=값")
            ] = None,
            count: Annotated[int | None, typer.Option(help="마칠 시도의 수.", metavar="정수")] = None,
            num_workers: Annotated[int, typer.Option(help="일꾼의 수. 0이면 차례로 합니다.", metavar="정수")] = 0,
            sweep_id: Annotated[str | None, typer.Option(help="이어 할 탐색의 번호.", metavar="번호")] = None,
            resume: Annotated[bool, typer.Option("--resume", help="멈춘 탐색을 이어 합니다.")] = False,
            storage: Annotated[str | None, typer.Option(help="데이터베이스의 주소.", metavar="주소")] = None,
            retry: Annotated[int, typer.Option(help="실패한 시도를 다시 할 수.", metavar="정수")] = 0,
            output: Annotated[str, typer.Option(help="결과를 모을 폴더.", metavar="글")] = str(OUTPUT),
            debugging: Annotated[bool, typer.Option("--debugging", help="오류의 traceback을 보여 줍니다.")] = False,
        ) -> None:
            """하이퍼파라미터를 바꾸어 가며 학습하고, 결과를 보는 페이지를 만듭니다."""
            from nlpbook.sweeps.cli import Request, run_sweep
            from nlpbook.sweeps.report import write_report

            request = Request(
                sweep=name,
                base={"options": self.options_of(overrides or ()), "output": output},
                count=count,
                sweep_id=sweep_id,
                resume=resume,
                storage=storage,
                retry=retry,
                workers=num_workers,
            )
            folder = run_sweep(self.task(), request)
            write_report(folder.outputs, folder.path.name)

    def options_of(self, words: Sequence[str]) -> dict[str, str]:
        """`이름=값`들을 사전으로.

        Raises:
            UserError: 그런 모양이 아니거나, 모르는 이름일 때.
        """
        made = {}
        for word in words:
            written, equals, value = word.partition("=")
            option = written.lstrip("-").replace("-", "_")
            if not equals:
                raise UserError(f"이름=값의 모양이 아닙니다: {word}. 예: num_epochs=3")
            self._leaf(option, "명령줄")
            made[option] = value
        return made

    def task(self) -> SweepTask:
        """탐색의 엔진에 건넬 것."""
        from nlpbook.sweeps.cli import SweepTask

        return SweepTask(
            file=self.file,
            name=self.name,
            trial=self._trial,
            sweeps=self.sweeps,
            outputs=_outputs_of,
            metric=self.metric,
            goal=self.goal,
            prepare=self._prepare,
            gpus=self._gpus,
        )

    def _leaf(self, option: str, where: str) -> Leaf:
        known = {leaf.option: leaf for leaf in self.kind.leaves() if leaf.option not in OWN}
        if option not in known:
            raise UserError(f"{where}: 모르는 옵션입니다: {option}.{did_you_mean(option, known)}")
        return known[option]

    def _prepare(self, sweep: Sweep, base: Mapping[str, Any]) -> None:
        """이름과 값들을 시작하기 전에 봅니다."""
        from nlpbook.sweeps import space

        for one in sweep.parameters.values():
            leaf = self._leaf(one.name, one.where)
            for value in space.examples(one):
                try:
                    leaf.owner.cast(leaf.field.name, value)
                except Refused as reason:
                    raise UserError(f"{one.where}: {one.name}에 맞지 않는 값입니다: {reason}") from None
        self.kind.of(Options.of(**base["options"]))

    def _gpus(self, base: Mapping[str, Any]) -> list[str]:
        from nlpbook.sweeps.workers import visible_gpus

        return visible_gpus() if base["options"].get(ACCELERATOR, "auto") in GPU_KINDS else []

    def _trial(self, parameters: dict[str, Any], context: TrialContext) -> Mapping[str, float]:
        """값들로 한 번 학습하고, 견주는 지표가 가장 좋았던 검증의 값들을 돌려줍니다."""
        heard: list[Mapping[str, float]] = []

        def hear(step: int, row: Mapping[str, float]) -> None:
            if any(name.startswith("val_") for name in row):
                heard.append(row)
                context.report(len(heard), row)

        version = f"{context.number:04d}-{os.getpid()}-{secrets.token_hex(2)}"
        own = {"output": str(context.outputs), "job_name": "sweep", "job_version": version}
        with listening(hear):
            self.train(Options.of(**context.base["options"], **parameters, **own))
        for run in context.outputs.glob(f"*/sweep-{version}"):
            model = next((run / one for one in MODELS if (run / one).exists()), None)
            context.note(run=run, model=model)
        return context.best()


def _outputs_of(base: Mapping[str, Any]) -> Path:
    return Path(base["output"]).expanduser().resolve()
