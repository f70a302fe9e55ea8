"""5단계 · 명령줄과 웹 서비스: 누구나 쓰는 완성품

4단계의 루프를 명령 네 개로 묶습니다. 학습한 사람이 아니어도, 이 파일을 읽지 않아도 쓸 수 있어야 완성입니다.

    python step5_cli_and_serving.py train --num_epochs 3         # 내장 데이터로 약 40초
    python step5_cli_and_serving.py test                         # 정확도, F1, 혼동표, 오답 페이지
    python step5_cli_and_serving.py serve --server_port 9164     # http://127.0.0.1:9164
    python step5_cli_and_serving.py predict "배우들 연기가 좋아요"    # 문장마다 한 줄씩 답합니다
    python step5_cli_and_serving.py train --data_name nsmc --train_batch 128   # 실제 리뷰 15만 개, 약 9분

배우는 것
    - Flask-Classful: 웹 API를 클래스 하나로. 모델은 서버가 뜰 때 한 번만 읽습니다
    - Typer: 타입 힌트가 곧 명령줄 옵션. predict의 옵션은 손으로 적고, 설정에 있는 옵션들은 설정 클래스에서 만듭니다
    - 설정의 흐름: 옵션 → 설정(config) → 말뭉치 → 데이터셋 → 로더 → 모델 → 루프 → 실행 폴더. 한쪽으로만 흐릅니다
    - Fabric: CPU, GPU 하나, 여러 프로세스를 인수 네 개로 고르기

앞 단계와 Fabric은 명령이 시작된 뒤에, 쓰는 함수 안에서 불러옵니다. 그래서 --help와 옵션의 오타에는 바로 답합니다.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
import typer
from flask import Flask, jsonify, render_template, request
from flask_classful import FlaskView, route

from nlpbook import plots
from nlpbook.checkpoints import Checkpoint, CheckpointSaver, load_weights
from nlpbook.classification import reports, runs
from nlpbook.classification.config import ClassificationConfig, ServeConfig, TestConfig, TrainConfig
from nlpbook.classification.limits import Reading, reading_of, require_testable, require_trainable
from nlpbook.classification.metrics import ClassificationReport, classification_report
from nlpbook.classification.plots import confusion_matrix
from nlpbook.classification.runs import RunFolder, find_run
from nlpbook.cli import Options, new_app, run, with_options
from nlpbook.errors import UserError
from nlpbook.exports import complete_tokenizer, write_model_card
from nlpbook.hardware import accelerator_of, most_devices, precision_of, strategy_of, use_fast_attention
from nlpbook.loaders import evaluation_loader
from nlpbook.optimization import follow_schedule
from nlpbook.paths import folder_written_aside, write_json
from nlpbook.runs import held
from nlpbook.screen import Stopwatch, console, log_to, progress_bar, say
from nlpbook.serving import listen, read_text, require_servable
from nlpbook.serving import new_app as new_web_app
from nlpbook.sweeps.commands import Sweepable
from nlpbook.text import has_visible_character
from nlpbook.tracking import Tracker, file_loggers

if TYPE_CHECKING:  # 타입 힌트에만 쓰므로, 실행할 때는 읽지 않습니다.
    from lightning.fabric import Fabric

    from step4_training_loops import NSMCModel, Trainer


class WebAPI(FlaskView):
    """`GET /`는 사람이 쓰는 페이지, `POST /api`는 프로그램이 쓰는 답, `GET /healthz`는 살아 있는지.

    Args:
        served: (모델, 설정, 문장을 얼마나 읽었는지 답하는 함수). 서버가 뜰 때 한 번 건네받습니다.
    """

    route_base = "/"

    def __init__(self, served: "tuple[NSMCModel, ServeConfig, Reading | None]") -> None:
        self.model, self.config, self.reading = served

    @route("/", methods=["GET"])
    def index(self) -> str:
        return render_template(
            self.config.server.page, model_name=f"{self.config.env.job_name}-{self.config.env.job_version}"
        )

    @route("/healthz", methods=["GET"])
    def healthz(self) -> Any:
        return jsonify(status="ok", model=self.config.env.job_name)

    @route("/api", methods=["POST"])
    def api(self) -> Any:
        """문장 하나를 받아 예측을 JSON으로 답합니다. 잘못된 요청에는 4xx와 `{"error": …}`로 답합니다."""
        text = read_text(request)  # JSON 문자열이나 {"text": "…"}에서 꺼낸 문장. 아니면 여기서 4xx로 끝납니다.
        # [TODO 5-1] 모델에 문장을 물어 sentence, prediction, negative, positive를 담은 answer 딕셔너리를 만드세요.
        # 힌트: 3단계의 infer_one이 Prediction을 돌려줍니다. prediction은 사람이 읽을 "긍정" 또는 "부정"입니다.
        prediction = self.model.infer_one(text)
        answer = {
            "sentence": text,
            "prediction": prediction.label,
            "negative": prediction.negative,
            "positive": prediction.positive,
        }
        # [END 5-1]
        if self.reading:
            answer |= self.reading(text)  # 긴 문장은 앞만 읽었음을 페이지가 알립니다.
        return jsonify(answer)


def build_web_app(model: "NSMCModel", config: ServeConfig, reading: Reading | None = None) -> Flask:
    """모델을 물고 있는 Flask 앱. `reading`은 문장을 얼마나 읽었는지 답하는 함수입니다."""
    app = new_web_app(__name__)
    WebAPI.register(app, route_base="/", init_argument=(model.eval(), config, reading))
    return app


def build_cli() -> typer.Typer:
    """`train`, `test`, `serve`, `predict` 네 명령을 가진 명령줄."""
    cli = new_app("NSMC 감성분석: 학습(train), 평가(test), 웹 서비스(serve), 문장에 답하기(predict)")
    # 세 명령은 설정의 모든 필드를 옵션으로 받습니다. 수십 개를 손으로 적는 대신 설정 클래스에서 만듭니다.
    cli.command("train")(with_options(TrainConfig)(train))
    cli.command("test")(with_options(TestConfig)(test))
    cli.command("serve")(with_options(ServeConfig)(serve))

    # [TODO 5-2] 문장들(texts)과 옵션 --job_name, --seq_len(4 이상), --device를 받는 명령 predict를 cli에 만드세요.
    # 힌트: 차례로 적는 것은 Annotated[타입, typer.Argument(help=…)], 이름으로 적는 것은 Annotated[타입,
    #       typer.Option(help=…)]입니다. 적지 않으면 작업 이름과 길이는 None, 장치는 "auto"입니다. 명령은 받은 값으로
    #       predict(texts, predict_config(job_name, seq_len, device))를 부릅니다. 타입 힌트가 없으면 --seq_len 64의 64는
    #       무엇이 될까요?
    @cli.command("predict")
    def predict_command(
        texts: Annotated[list[str], typer.Argument(help="답할 리뷰들. 하나씩 따옴표로 감쌉니다.")],
        job_name: Annotated[str | None, typer.Option("--job_name", help="어느 학습의 모델로 답할지.")] = None,
        seq_len: Annotated[int | None, typer.Option("--seq_len", min=4, help="문장 하나의 최대 토큰 수.")] = None,
        device: Annotated[str, typer.Option("--device", help="계산 장치.")] = "auto",
    ) -> None:
        """학습한 모델로 리뷰가 긍정인지 부정인지 답합니다."""
        predict(texts, predict_config(job_name, seq_len, device))

    # [END 5-2]
    return cli


def predict_config(job_name: str | None, seq_len: int | None, device: str) -> ClassificationConfig:
    """`predict`의 옵션을 설정으로 옮깁니다.

    Args:
        job_name: 작업 이름. None이면 가장 나중에 시작한 학습입니다.
        seq_len: 문장 하나의 최대 토큰 수. None이면 학습할 때의 값을 씁니다.
        device: 계산 장치. "auto", "cpu", "gpu" 등.

    Returns:
        예: `config.model.seq_len == 64`. 적지 않은 것은 기본값입니다.
    """
    # [TODO 5-3] 세 값을 제 묶음의 제 필드로 옮긴 ClassificationConfig를 config에 담으세요. None은 옮기지 않습니다.
    # 힌트: 설정은 config.묶음.필드처럼 묶음으로 나뉘어 있고(nlpbook/classification/config.py), 명령줄의 이름과 필드의
    #       이름은 다를 수 있습니다. 이름은 env, 길이는 model, 장치는 hardware 묶음에서 찾아보세요.
    config = ClassificationConfig()
    config.hardware.accelerator = device
    if job_name is not None:
        config.env.job_name = job_name
    if seq_len is not None:
        config.model.seq_len = seq_len
    # [END 5-3]
    return config


def make_fabric(config: ClassificationConfig) -> "Fabric":
    """설정에 맞는 장치, 정밀도, 프로세스 수의 Fabric. 여러 프로세스는 `launch()`를 부를 때 시작합니다.

    Raises:
        UserError: 이 기계에 없거나, 있는 것보다 많은 장치를 골랐을 때.
    """
    from lightning.fabric import Fabric

    accelerator = accelerator_of(config.hardware.accelerator)  # "auto" → 이 기계에 있는 것
    precision = precision_of(config.hardware.precision, accelerator)  # "auto" → 이 장치가 잘하는 것
    strategy = strategy_of(config.hardware.strategy, config.hardware.devices)  # "auto" → 여럿이면 "ddp"
    # [TODO 5-4] 설정의 장치 수가 이 기계의 것보다 많으면 거절하고, 위에서 고른 것들과 함께 Fabric을 만드세요.
    # 힌트: 장치가 몇 개인지는 most_devices(accelerator)가 압니다. CPU의 devices는 프로세스의 수라서 끝이 없고(None),
    #       코어보다 많으면 느릴 뿐입니다. 거절은 몇 개로 실행하면 되는지 적은 한 문장의 UserError로 합니다. Fabric의
    #       인수는 accelerator, strategy, devices, precision이고, fabric에 담습니다. 장치 수를 적지 않으면 GPU가 여덟
    #       개인 기계에서는 무슨 일이 생길까요?
    devices = config.hardware.devices
    limit = most_devices(accelerator)
    if limit is not None and devices > limit:
        raise UserError(f"이 기계의 {accelerator} 장치는 {limit}개이니, --devices {limit} 이하로 실행해 주세요.")
    fabric = Fabric(accelerator=accelerator, strategy=strategy, devices=devices, precision=precision)
    # [END 5-4]
    return fabric


def train(options: Options) -> None:
    """모델을 학습해 실행 폴더에 남깁니다. --resume은 멈춘 학습을 이어 하고, --init_from은 다른 모델에서 시작합니다."""
    from step4_training_loops import NSMCModel

    config = TrainConfig.of(options)
    resume = config.learning.resume
    run_folder = None
    weights = None
    if resume:
        run_folder = find_run(config)
        config = runs.resumed_config(run_folder, config, options.given)
    elif config.learning.init_from:
        weights = runs.start_from(config)
    require_trainable(config)
    fabric = make_fabric(config)
    fabric.launch()
    fabric.seed_everything(config.learning.seed, verbose=False)
    if fabric.is_global_zero:
        run_folder = runs.run_again(run_folder) if run_folder else runs.new_run(config)
    config, run_folder = fabric.broadcast((config, run_folder))  # 실행 폴더의 이름은 0번이 정합니다.
    with held(run_folder, enabled=fabric.is_global_zero), log_to(run_folder.log, enabled=fabric.is_global_zero):
        if fabric.is_global_zero:
            runs.check_data(run_folder, config, resume)
        model = NSMCModel(config)
        if weights:
            load_weights(model.lang_model, weights)
        fit(fabric, model, run_folder, resume)


def fit(fabric: "Fabric", model: "NSMCModel", run_folder: RunFolder, resume: bool) -> None:
    """학습하고, 결과를 실행 폴더에 남깁니다."""
    from step4_training_loops import Trainer

    watch = Stopwatch()
    config = model.config
    saver = CheckpointSaver(run_folder.checkpoints, config.learning.saving_mode, config.learning.num_saving)
    trainer = Trainer(fabric, model, saver)
    if resume:
        trainer.load_checkpoint(saver.last_state)
        follow_schedule(trainer.scheduler)  # 에포크를 늘려 이어 하면 학습률의 계획도 새로 그립니다.
    if fabric.is_global_zero:
        config.save(run_folder.arguments)
        trainer.tracker.loggers = file_loggers(run_folder.path)
        trainer.tracker.restore(trainer.tracker.history)  # 이어 하면, 지난 기록부터 다시 적습니다.
        report_start(trainer, run_folder)
    try:
        trainer.train()
    except KeyboardInterrupt:
        say("여기까지 저장했습니다. 같은 명령에 --resume을 붙이면 이어 갑니다.")
        raise
    if fabric.is_global_zero:
        export(model, saver, trainer.tracker, run_folder)
        say(f"{watch.seconds:.0f}초 걸렸습니다. 이어서: python {Path(__file__).name} test")


def report_start(trainer: "Trainer", run_folder: RunFolder) -> None:
    """무엇을 얼마나, 무엇으로 배울지 적습니다."""
    config = trainer.config
    fabric = trainer.fabric
    train_set = trainer.train_loader.dataset
    valid_set = trainer.val_loader.dataset
    say(f"실행 폴더: {run_folder}")
    say(f"학습 {len(train_set):,}개, 검증 {len(valid_set):,}개, 모두 {trainer.total_steps:,}스텝")
    say(f"장치 {fabric.device.type} × {fabric.world_size}, 정밀도 {fabric.strategy.precision.precision}")
    for example in train_set.examples[: config.data.num_check]:
        say(f"  {trainer.model.data.label_names[int(example.label)]}  {example.text}")
    if trainer.position.step:
        say(f"{trainer.position.step:,}스텝에서 이어 갑니다.")


def export(model: "NSMCModel", saver: CheckpointSaver, tracker: Tracker, run_folder: RunFolder) -> None:
    """가장 좋은 가중치를 Hugging Face 폴더로, 학습 곡선을 그림으로 남깁니다."""
    best = saver.best()
    load_weights(model.lang_model, best.path)
    with folder_written_aside(run_folder.model) as aside:
        model.lang_model.save_pretrained(aside)
        complete_tokenizer(model.lm_tokenizer, model.config.model.seq_len).save_pretrained(aside)
        facts = {
            "바탕 모델": Path(model.config.model.pretrained).name,
            "말뭉치": model.config.data.name,
            saver.metric: f"{best.value:.4f}",
        }
        write_model_card(aside, "영화 리뷰 감성분석", "text-classification", facts, "배우들 연기가 좋아요")
    plots.learning_curve(tracker.history, run_folder.learning_curve, best.step)
    say(f"가장 좋은 체크포인트: {best.step:,}스텝, {saver.metric}={best.value:.4f}")
    say(f"학습 곡선: {run_folder.learning_curve}")


def load_trained(asked: ClassificationConfig) -> "tuple[ClassificationConfig, RunFolder, NSMCModel]":
    """학습해 둔 모델과 그때의 설정. 지금 고른 값만 그때의 설정을 덮어씁니다. 장치는 지금의 것을 씁니다.

    Args:
        asked: 지금의 설정. 어느 학습인지(`env`)와 무엇을 바꿀지가 적혀 있습니다.
    """
    from step4_training_loops import NSMCModel

    run_folder = find_run(asked, with_checkpoint=True)
    config = runs.trained_config(run_folder, asked)
    return config, run_folder, NSMCModel(config)


def load_best(model: "NSMCModel", run_folder: RunFolder) -> None:
    """가장 좋은 체크포인트의 가중치를 모델에 넣습니다."""
    saving_mode = TrainConfig.load(run_folder.arguments).learning.saving_mode
    best = CheckpointSaver(run_folder.checkpoints, saving_mode).best()
    load_weights(model.lang_model, best.path)


def test(options: Options) -> None:
    """가장 좋은 체크포인트(--all이면 모두)를 평가 데이터로 재고, 표와 오답 페이지를 남깁니다."""
    config, run_folder, model = load_trained(TestConfig.of(options))
    require_testable(config)
    train_config = TrainConfig.load(run_folder.arguments)
    saver = CheckpointSaver(run_folder.checkpoints, train_config.learning.saving_mode)
    chosen = saver.checkpoints() if config.evaluation.all else [saver.best()]
    if config.evaluation.checkpoint:
        chosen = [Checkpoint(Path(config.evaluation.checkpoint), value=float("nan"), step=0)]
    load_weights(model.lang_model, chosen[0].path)  # 없는 파일이나 다른 모델의 것은, 평가 데이터를 읽기 전에 알립니다.
    fabric = make_fabric(config)
    fabric.launch()
    use_fast_attention(model.lang_model, fabric.device.type)
    model.lang_model = fabric.setup_module(model.lang_model)
    loader = fabric.setup_dataloaders(
        evaluation_loader(model.test_dataloader(), fabric.global_rank, fabric.world_size), use_distributed_sampler=False
    )
    results: dict[str, Any] = {}
    for checkpoint in chosen:
        load_weights(model.lang_model, checkpoint.path)
        report, probs = evaluate(fabric, model.eval(), loader)
        if fabric.is_global_zero:
            if not results:
                publish(config, model, run_folder, report, probs, loader)
            results[checkpoint.path.name] = report.to_dict()
            say(f"{checkpoint.path.name}: " + config.printing.tag_format_on_evaluate.format(**report.to_dict()))
    if fabric.is_global_zero:
        data = {"name": config.data.name, "file": config.data.test_file, "max_samples": config.data.max_test_samples}
        write_json(run_folder.test, {"data": data, "checkpoints": results})
        say(f"결과: {run_folder} 폴더의 test.json, mistakes.html, confusion_matrix.png")


def evaluate(fabric: "Fabric", model: Any, loader: Any) -> tuple[ClassificationReport, torch.Tensor]:
    """평가 데이터 전체의 지표와 확률. 확률은 (예문, 라벨 수), `loader.sampler.order`의 순서입니다."""
    from step4_training_loops import gather

    outputs = []
    with progress_bar("평가", len(loader), fabric.is_global_zero) as advance:
        for index, batch in enumerate(loader):
            outputs.append(model.test_step(batch, index))
            advance()
    count = len(loader.dataset)
    preds, labels, probs = (
        gather(fabric, torch.cat([one[name] for one in outputs]), count) for name in ("preds", "labels", "probs")
    )
    return classification_report(preds, labels, probs.shape[-1]), probs.float().cpu()


def publish(
    config: TestConfig, model: "NSMCModel", run_folder: RunFolder, report: ClassificationReport, probs: Any, loader: Any
) -> None:
    """평가 하나를 혼동표와 오답 페이지로 남깁니다."""
    names = model.data.label_names
    order = loader.sampler.order
    dataset = loader.dataset
    mistakes = reports.confident_mistakes(
        [dataset.examples[i].text for i in order],
        [dataset.labels[i] for i in order],
        probs,
        names,
        config.evaluation.num_mistakes,
    )
    subtitle = f"{config.env.job_name}-{config.env.job_version} · {config.data.name} {config.data.test_file}"
    reports.write_mistakes_page(run_folder.mistakes, mistakes, report, subtitle)
    confusion_matrix(report.confusion, ["negative", "positive"], run_folder.confusion_matrix, config.data.name)
    console.print(reports.confusion_table(report, names))


def serve(options: Options) -> None:
    """학습한 모델로 웹 페이지와 API를 엽니다. Ctrl-C로 멈춥니다."""
    asked = ServeConfig.of(options)
    require_servable(asked.server.page, asked.server.host, asked.server.port)
    config, run_folder, model = load_trained(asked)
    load_best(model, run_folder)
    model.to(accelerator_of(config.hardware.accelerator))
    model.infer_one("첫 요청이 느리지 않도록 한 번 미리 대답해 봅니다")
    say(f"http://{config.server.host}:{config.server.port} 에서 기다립니다. 멈추려면 Ctrl-C를 누르세요.")
    app = build_web_app(model, config, reading_of(model.lm_tokenizer, config.model.seq_len))
    listen(app, config.server.host, config.server.port, config.server.threads)


def predict(texts: list[str], asked: ClassificationConfig) -> None:
    """학습한 모델로 문장마다 한 줄씩 답합니다."""
    if not all(has_visible_character(text) for text in texts):
        raise UserError("빈 문장이 있습니다. 따옴표 안에 리뷰를 적어 주세요.")
    config, run_folder, model = load_trained(asked)
    load_best(model, run_folder)
    model.to(accelerator_of(config.hardware.accelerator))
    for text in texts:
        answer = model.infer_one(text)
        say(f"{answer.label}  긍정 {answer.positive:6.1%}   {answer.text}")


# `sweep`의 일꾼들이 이 이름으로 찾습니다.
SWEEP = Sweepable(Path(__file__), "SWEEP", TrainConfig, train, metric="val_acc")


if __name__ == "__main__":
    cli = build_cli()
    SWEEP.add_to(cli)
    run(cli)
