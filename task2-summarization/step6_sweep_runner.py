"""6단계 · 탐색: 좋은 값을 사람 대신 찾기

5단계까지 우리는 설정 하나로 학습하고, 요약하고, 서비스했습니다. 그런데 학습률은 5e-5가 나을까요, 2e-3이 나을까요?
하나씩 바꾸어 보고 표에 적는 일을 이 단계가 대신합니다. 무엇을 바꿀지 적은 파일 하나(탐색 공간, search space)를 읽어,
값을 고르고, 시도(trial)하고, 결과를 적고, 멈추면 이어 합니다.

    python step6_sweep_runner.py --sweep-config quick_test            # 내장 모델로 네 번 시도합니다 (약 1분)
    python step6_sweep_runner.py --base-config configs/base_config.yaml --sweep-config hyperparameter_sweep --count 20
    python step6_sweep_runner.py --sweep-config quick_test --resume   # 멈춘 탐색을 이어 합니다
    python step6_sweep_runner.py report quick_test                    # 결과를 보는 페이지를 만듭니다

배우는 것
    - 탐색 공간의 번역: 파일에 적은 분포를, 값을 고르는 것(Optuna의 Trial)에게 묻는 말로
    - 검증마다 알리기: 가망이 없는 시도를 끝까지 하지 않으려면, 도중의 값을 알아야 합니다
    - 시도의 끝: 하나가 실패해도 탐색은 계속되고, 사람이 멈춘 것과 실패한 것은 다릅니다
    - 기록과 이어 하기: 끝까지 한 것끼리만 견주고, 잃은 자리만 다시 합니다

하지 않는 것: 여러 프로세스로 나누어 하는 일(7단계).

앞 단계와 Transformers는 시도가 시작된 뒤에, 쓰는 함수 안에서 불러옵니다. 그래서 --help와 옵션의 오타에는 바로 답합니다.
"""

import copy
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from nlpbook.cli import new_app, run
from nlpbook.errors import UserError
from nlpbook.pretrained import resolve_pretrained
from nlpbook.screen import say
from nlpbook.summarization import runs
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.config_files import find_config
from nlpbook.summarization.sweeping import BASE, MODEL, environment_now, overridden, require_known, trial_values
from nlpbook.sweeps import space
from nlpbook.sweeps.cli import SEED, Request, SweepTask, run_sweep
from nlpbook.sweeps.config import Parameter, Sweep, metric_name
from nlpbook.sweeps.loop import MetricMissing, Pieces, Pruned, Skipped, TrialContext, metric_in, sentence_of
from nlpbook.sweeps.report import write_report
from nlpbook.sweeps.study import (
    COMPLETE,
    FAILED,
    INTERRUPTED,
    KILLED,
    PRUNED,
    SKIPPED,
    Attempt,
    Outcome,
)
from todo import todo

HOME = Path(__file__).resolve().parent  # 과제의 폴더. 결과의 상대 경로(./outputs)는 여기에서 셉니다.
CONFIGS = HOME / "configs"
SWEEPS = CONFIGS / "sweep"
METRIC = "rouge_combined_f1"  # ROUGE-1, 2, L의 F1의 평균, 0~1


# ── 값 고르기


def suggest(trial: Any, parameter: Parameter) -> Any:
    """`trial`에게 값 하나를 고르게 합니다.

    Args:
        trial: Optuna의 Trial. `suggest_float`, `suggest_int`, `suggest_categorical`이 있습니다.
        parameter: 탐색 파일의 항목 하나. `name`, `kind`(분포의 이름), `facts`(분포의 값들)가 있습니다.

    Returns:
        설정에 그대로 적을 수 있는 값.
    """
    name = parameter.name
    facts = parameter.facts
    # [TODO 6-1] parameter.kind에 맞게 trial에게 물어, 고른 값을 value에 담으세요.
    # 힌트: constant는 물을 것이 없습니다. int_uniform은 min과 max를 포함한 정수, uniform은 그 사이의 수입니다.
    #       log_uniform_values는 1e-6과 1e-3 사이에서 1e-5도 자주 나와야 합니다. categorical의 값에는 목록이나
    #       딕셔너리도 있어, space.choices(값들)를 건네고 space.chosen(고른 것, 값들)으로 되돌립니다. 나머지는
    #       space.suggest_special(trial, parameter)가 고릅니다.
    todo("6-1")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: value
    # [END 6-1]
    return value


# ── 시도 하나


class ReportEvaluations:
    """검증할 때마다 탐색에 알립니다. 가망이 없으면 알리는 곳에서 `Pruned`가 나, 학습이 거기에서 멈춥니다.

    `on_evaluate`는 Transformers의 `TrainerCallback`의 것과 같은 모양입니다. 학습기에는 `AfterEvaluation`이 끼웁니다.

    Attributes:
        step: 지금까지 검증한 횟수.
    """

    def __init__(self, context: TrialContext) -> None:
        self.context = context
        self.step = 0

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, float], **more: Any) -> None:
        # [TODO 6-2] 검증의 횟수를 하나 늘리고, 그 횟수와 지표들을 context.report로 알리세요.
        # 힌트: 탐색 파일의 min_iter는 검증의 횟수로 셉니다. state.global_step은 무엇을 세나요? 배치 크기가 다른 두
        #       시도를 스텝 수로 견주면 공평할까요?
        todo("6-2")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: self.step
        # [END 6-2]


class Warm:
    """지난 시도가 읽은 모델과 데이터. 다음 시도가 같은 것을 쓰면 다시 읽지 않습니다.

    시도는 늘 베낀 것을 받으므로, 앞의 시도가 무엇을 배웠는지 알 수 없습니다. 한 번에 하나만 갖고 있습니다.
    """

    def __init__(self) -> None:
        self.key: str | None = None
        self.loaded: tuple[Any, ...] = ()

    def ready(self, config: SummarizationConfig) -> tuple[Any, ...]:
        """(모델, 토크나이저, 학습 데이터셋, 검증 데이터셋)."""
        from transformers import set_seed

        from step1_config_and_model import load_model_and_tokenizer
        from step4_model_trainer import small_datasets

        seed = None if config.model.load_pretrained else config.general.seed
        key = repr([config.model, config.tokenizer, config.data, seed])
        if key != self.key:
            self.key = None
            self.loaded = ()  # 새것을 읽기 전에 앞의 것을 놓아, 둘이 함께 메모리에 있지 않게 합니다.
            set_seed(config.general.seed)
            model, tokenizer = load_model_and_tokenizer(config)
            self.loaded = model, tokenizer, *small_datasets(config, tokenizer)
            self.key = key
        model, *rest = self.loaded
        return copy.deepcopy(model), *rest


WARM = Warm()


def trial_config(parameters: Mapping[str, Any], base: Mapping[str, Any]) -> SummarizationConfig:
    """시도의 설정. 환경 변수와 명령줄보다 시도가 고른 값이 앞섭니다."""
    from step1_config_and_model import load_config, with_inheritance

    values = trial_values(parameters, lambda name: with_inheritance(find_config(name, CONFIGS)))
    values.setdefault("training.metric_for_best_model", base["best"])
    name = parameters.get(BASE, base["config"])
    return load_config(name, base["overrides"], trial=values, environment=base["environment"])


def run_trial(parameters: dict[str, Any], context: TrialContext) -> Mapping[str, float]:
    """값들로 한 번 학습하고, 가장 좋았던 검증의 지표들을 돌려줍니다.

    Raises:
        Pruned: 가망이 없어 멈췄을 때.
        Skipped: 모델에 닿을 수 없을 때.
    """
    from step4_model_trainer import create_trainer

    from nlpbook.summarization.callbacks import AfterEvaluation

    config = trial_config(parameters, context.base)
    try:
        resolve_pretrained(config.model.checkpoint)
    except UserError as reason:
        raise Skipped(f"{parameters.get(MODEL, config.model.checkpoint)}: {reason}") from None
    model, tokenizer, train_dataset, eval_dataset = WARM.ready(config)
    folder = runs.new_trial(context.outputs)
    trainer = create_trainer(
        config,
        model,
        tokenizer,
        train_dataset,
        eval_dataset,
        use_wandb=False,  # 시도의 기록은 탐색이 남깁니다.
        callbacks=[AfterEvaluation(ReportEvaluations(context).on_evaluate)],
        run=folder,
    )
    context.note(run=folder.path)
    try:
        results = trainer.train()
    finally:
        shutil.rmtree(folder.checkpoints, ignore_errors=True)  # 옵티마이저까지 든 것이라 모델의 세 배입니다.
    context.note(model=results["final_model_path"])
    return {name: value for name, value in results["eval_metrics"].items() if name.startswith("eval_")}


def attempt(trial: Callable[[], Mapping[str, float]], metric: str) -> Outcome:
    """시도 하나를 하고, 어떻게 끝났는지 정합니다.

    Args:
        trial: 부르면 시도를 하고 지표들을 돌려줍니다.
        metric: 견줄 지표의 이름.

    Returns:
        `Outcome(끝, 값, 지표들, error=까닭)`. 끝은 COMPLETE, PRUNED, SKIPPED, INTERRUPTED, FAILED입니다.

    Raises:
        MetricMissing: 견줄 지표가 오지 않았을 때. 다음 시도에서도 오지 않을 것이므로 탐색이 멈춥니다.
    """
    # [TODO 6-3] trial을 부르고, 그 결과나 예외에 맞는 Outcome을 outcome에 담으세요. MetricMissing은 그대로 둡니다.
    # 힌트: 값은 metric_in(지표들, metric)이 찾습니다. Pruned, Skipped, KeyboardInterrupt는 실패와 다릅니다. 메모리가
    #       모자란 시도 하나 때문에 남은 열아홉 번을 잃으면 안 됩니다. 까닭은, 건너뛴 것은 str(예외), 실패는
    #       sentence_of(예외)입니다. 글이 없는 예외도 있습니다.
    todo("6-3")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: outcome
    # [END 6-3]
    return outcome


# ── 기록과 이어 하기


def summarize(records: Sequence[Mapping[str, Any]], maximize: bool) -> dict[str, Any]:
    """결과 줄들에서 가장 좋은 것과 통계를 냅니다.

    Args:
        records: 시도마다의 줄. `status`(끝), `value`(견주는 값, 끝까지 하지 않았으면 None일 수 있음)가 있습니다.
        maximize: 참이면 클수록 좋습니다.

    Returns:
        `best`(가장 좋은 줄), `average`, `min`, `max`. 끝까지 한 시도가 없으면 넷 다 None입니다.
    """
    # [TODO 6-4] 끝까지 한(COMPLETE) 줄들에서 best, average, min, max를 구해 found에 담으세요.
    # 힌트: 일찍 멈춘 시도의 값을 평균에 넣으면 무엇이 나빠 보일까요? 끝까지 한 것이 하나도 없을 수도 있습니다.
    todo("6-4")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: found
    # [END 6-4]
    return found


def remaining(count: int, attempts: Sequence[Attempt], retry: int) -> list[tuple[int, int]]:
    """이어 할 때 새로 적어 둘 시도들.

    자리(slot)는 0부터 count-1까지입니다. 자리마다 시도(attempt)를 0번부터 셉니다.

    Args:
        count: 자리의 수.
        attempts: 지금까지의 시도들. `slot`, `attempt`, `status`가 있습니다.
        retry: 실패한(FAILED, KILLED, SKIPPED) 자리를 몇 번까지 다시 할지.

    Returns:
        (자리, 몇 번째 시도)들.
    """
    bad = (FAILED, KILLED, SKIPPED)
    wanted: list[tuple[int, int]] = []
    # [TODO 6-5] 해야 할 (자리, 몇 번째 시도)를 자리의 차례대로 wanted에 담으세요.
    # 힌트: 한 번도 하지 않은 자리는 0번부터입니다. 사람이 멈춘(INTERRUPTED) 자리는 언제나 다시 하고, 실패한 자리는
    #       실패한 수가 retry를 넘지 않을 때만 다시 합니다. 기다리거나 하고 있거나 마친 자리는 그대로 둡니다.
    todo("6-5")  # 여기를 지우고 채워 주세요.
    # [END 6-5]
    return wanted


# ── 명령


def prepare(sweep: Sweep, base: Mapping[str, Any]) -> None:
    """시작하기 전에 이름과 값들을 살핍니다.

    Raises:
        UserError: 설정에 없는 이름이거나, 맞지 않는 값이거나, 검증이 재지 않는 지표일 때.
    """
    from nlpbook.summarization.arguments import require_metric

    fields = require_known(((one.name, one.where, space.examples(one)) for one in sweep.parameters.values()), CONFIGS)
    require_metric(metric_name(sweep.metric))
    trial_config(sweep.constants, base)
    for name in overridden(fields, base["environment"]):
        say(f"알림: 환경 변수 {name}은(는) 쓰지 않습니다. 탐색이 바꾸는 값입니다.")


def outputs_of(base: Mapping[str, Any]) -> Path:
    """결과를 모을 폴더: 설정의 general.output_dir."""
    from step1_config_and_model import load_config

    return runs.outputs_of(load_config(base["config"], base["overrides"], environment=base["environment"]), HOME)


TASK = SweepTask(
    file=Path(__file__),
    name="TASK",
    trial=run_trial,
    sweeps=SWEEPS,
    outputs=outputs_of,
    metric=METRIC,
    prepare=prepare,
    pieces=Pieces(suggest, attempt, remaining),
    summarize=summarize,
    rerun="python step5_cli_and_serving.py train --config {config}",
)

cli = new_app("하이퍼파라미터를 바꾸어 가며 시도하고, 가장 좋은 것을 찾습니다.")
BaseConfig = Annotated[str, typer.Option("--base-config", help="시도마다 같은 바탕이 되는 설정.", metavar="이름")]
SweepId = Annotated[str | None, typer.Option("--sweep-id", help="이어 할 탐색의 번호.", metavar="번호")]
Resume = Annotated[bool, typer.Option("--resume", help="멈춘 탐색을 이어 합니다.")]
Engine = Annotated[str, typer.Option("--engine", help="값을 고르는 것: optuna(계정 없이) 또는 wandb.", metavar="이름")]
Storage = Annotated[str | None, typer.Option("--storage", help="여러 기계가 쓸 데이터베이스의 주소.", metavar="주소")]
Seed = Annotated[int, typer.Option("--seed", help="값을 고르는 난수의 시드.", metavar="정수")]
Retry = Annotated[int, typer.Option("--retry", help="실패한 시도를 몇 번까지 다시 할지.", metavar="정수")]
Debugging = Annotated[bool, typer.Option("--debugging", help="오류가 나면 traceback을 모두 보여 줍니다.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="바탕 설정에서 바꿀 것: 이름=값", metavar="이름=값")]


def base_of(config: str, overrides: Sequence[str] | None, sweep_metric: str = METRIC) -> dict[str, Any]:
    """시도마다 같은 것. 환경 변수는 지금의 것을 적어 두어, 어느 일꾼에서나 같습니다."""
    return {
        "config": config,
        "overrides": list(overrides or []),
        "environment": environment_now(),
        "best": f"eval_{metric_name(sweep_metric)}",
    }


@cli.command("run")
def sweep(
    sweep_config: Annotated[str, typer.Option("--sweep-config", help="탐색의 이름이나 파일.", metavar="이름")],
    base_config: BaseConfig = "quick",
    count: Annotated[int | None, typer.Option("--count", help="마칠 시도의 수.", metavar="정수")] = None,
    sweep_id: SweepId = None,
    resume: Resume = False,
    engine: Engine = "optuna",
    storage: Storage = None,
    seed: Seed = SEED,
    retry: Retry = 0,
    project: Annotated[str | None, typer.Option("--project", help="W&B의 프로젝트.", metavar="이름")] = None,
    entity: Annotated[str | None, typer.Option("--entity", help="W&B의 팀.", metavar="이름")] = None,
    debugging: Debugging = False,
    overrides: Overrides = None,
) -> None:
    """탐색을 시작하거나 이어 합니다. 이 프로세스에서 차례로 시도합니다."""
    request = Request(
        sweep=sweep_config,
        base=base_of(base_config, overrides, sweep_metric(sweep_config)),
        count=count,
        sweep_id=sweep_id,
        resume=resume,
        engine=engine,
        storage=storage,
        seed=seed,
        retry=retry,
        project=project,
        entity=entity,
    )
    folder = run_sweep(TASK, request)
    say(f"결과를 보려면: python step6_sweep_runner.py report {folder.path.name.removeprefix('sweep_')}")


@cli.command("report")
def report(
    name: Annotated[str, typer.Argument(help="탐색의 이름.", metavar="이름")],
    base_config: BaseConfig = "quick",
    debugging: Debugging = False,
    overrides: Overrides = None,
) -> None:
    """결과를 보는 페이지(report.html)를 만들고, 화면에는 짧게 보여 줍니다."""
    write_report(outputs_of(base_of(base_config, overrides)), Path(name).stem)


def sweep_metric(name: str) -> str:
    """탐색 파일이 견주는 지표의 이름."""
    from nlpbook.sweeps.config import find_sweep, read_sweep

    return read_sweep(find_sweep(name, SWEEPS), METRIC).metric


def arguments_of(words: Sequence[str]) -> list[str]:
    """명령을 적지 않았으면 run입니다. 가이드의 명령은 모두 그렇습니다."""
    named = words[:1] in (["run"], ["report"], ["--help"], ["-h"])
    return [*words] if named else ["run", *words]


if __name__ == "__main__":
    sys.argv[1:] = arguments_of(sys.argv[1:])
    run(cli)
