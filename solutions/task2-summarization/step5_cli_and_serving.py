"""5단계 · 명령줄과 웹 서비스: 누구나 쓰는 완성품

4단계의 학습기를 명령 넷으로 묶습니다. 학습한 사람이 아니어도, 이 파일을 읽지 않아도 쓸 수 있어야 완성입니다.

    python step5_cli_and_serving.py train --config quick             # 내장 모델과 대화로 학습
    python step5_cli_and_serving.py test                             # 기준선과 나란히 놓은 ROUGE
    python step5_cli_and_serving.py predict --input 대화.csv --output 요약.csv
    python step5_cli_and_serving.py serve --server_port 9165         # http://127.0.0.1:9165
    python step5_cli_and_serving.py train --config baseline_kobart --num_epochs 5 training.learning_rate=2e-5

배우는 것
    - 이어지는 예측: 만 개의 대화를 요약하다 꺼져도, 쓴 데까지 남고 같은 파일로 이어집니다
    - 교차 어텐션(cross-attention): 요약을 쓰는 동안 대화의 어느 말을 보았는지. 보았다는 것이 까닭은 아닙니다
    - 함께 쓰는 모델: 요청 하나의 빔과 길이가 다음 요청에 새지 않게
    - 명령줄의 기본값은 설정 파일을 덮지 않습니다: 사람이 적은 것만 얹습니다
    - 동적 양자화(dynamic quantization): 8비트 정수로 줄이면 무엇을 얻고 무엇을 잃는지

하지 않는 것: 알맞은 하이퍼파라미터를 찾는 일(6, 7단계).

앞 단계와 Transformers는 명령이 시작된 뒤에, 쓰는 함수 안에서 불러옵니다. 그래서 --help와 옵션의 오타에는 바로 답합니다.
"""

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import typer
from flask import Flask, jsonify, render_template, request
from flask_classful import FlaskView, route
from torch import Tensor

from nlpbook import serving
from nlpbook.cli import Options, new_app, run, with_options
from nlpbook.fingerprints import fingerprint
from nlpbook.gate import Turnstile
from nlpbook.hardware import accelerator_of, use_fast_attention
from nlpbook.paths import shown
from nlpbook.screen import Stopwatch, console, progress_bar, say
from nlpbook.summarization.baselines import CONSTANT, lead
from nlpbook.summarization.causal import CausalSummarizationDataset, prompt_ids
from nlpbook.summarization.commands import (
    TRAINING,
    USING,
    CommandOptions,
    PredictOptions,
    ServeOptions,
    TestOptions,
    TrainOptions,
    assignments,
)
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.dialogues import Dialogues, read_dialogues, require_apart, turns_cut
from nlpbook.summarization.generation import cross_attentions, quantized, saved_bytes, turn_numbers
from nlpbook.summarization.limits import require_lengths
from nlpbook.summarization.predictions import (
    Journal,
    journal_of,
    length_ordered_batches,
    require_output,
    without,
    write_predictions,
)
from nlpbook.summarization.reports import quantization_table, scores_table, write_test
from nlpbook.summarization.requests import Asked, Limits, read_summarization
from nlpbook.summarization.trained import as_trained, find_model, run_of

if TYPE_CHECKING:  # 타입 힌트에만 쓰므로, 실행할 때는 읽지 않습니다.
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

HOME = Path(__file__).resolve().parent  # 과제의 폴더. 결과의 상대 경로(./outputs)는 여기에서 셉니다.
SHOWN = 3  # 평가한 뒤에 읽어 볼 요약의 수

# ── 예측


def write_summaries(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    dialogues: Sequence[str],
    max_len: int,
    batches: Sequence[list[int]],
    journal: Journal,
) -> list[str]:
    """대화들을 배치마다 한 번에(나누지 않고) 요약하며 일지에 적습니다. 앞서 적어 둔 배치는 다시 쓰지 않습니다.

    Args:
        max_len: 대화의 길이의 상한(토큰).
        batches: 배치마다의 대화 번호들. 모든 번호가 꼭 한 번씩 있습니다.
        journal: 쓴 데까지의 기록. `journal.has(번호들)`, `journal.add(번호들, 요약들)`, `journal.summaries[번호]`.

    Returns:
        대화와 같은 차례의 요약들.
    """
    from step3_rouge_metrics import summarize

    with progress_bar("요약", len(dialogues)) as advance:
        for numbers in batches:
            # [TODO 5-1] 적어 두지 않은 배치만 요약해 일지에 적으세요. 적어 둔 배치는 건너뜁니다.
            # 힌트: summarize(model, tokenizer, 대화들, max_len, batch_size)는 건넨 차례대로 요약을 돌려줍니다. 요약을
            #       모두 모았다가 마지막에 한꺼번에 적으면, 그 전에 꺼졌을 때 무엇이 남을까요?
            if not journal.has(numbers):
                texts = summarize(model, tokenizer, [dialogues[number] for number in numbers], max_len, len(numbers))
                journal.add(numbers, texts)
            # [END 5-1]
            advance(len(numbers))
    return [journal.summaries[number] for number in range(len(dialogues))]


def predict(options: Options) -> None:
    """CSV의 대화를 요약해 `fname,summary`의 CSV로 적습니다. 도중에 꺼졌으면 같은 명령으로 이어집니다."""
    from step2_dialogue_dataset import encode_dialogue

    from nlpbook.summarization.beams import fast_beams, native_dtype

    asked = config_from(options, PredictOptions)
    source = Path(options.get("input") or asked.data.test).expanduser()
    target = Path(options.get("output") or HOME / asked.prediction.result_path / source.name)
    target = require_output(source, target)
    rows = read_dialogues(source, None if options.get("input") else asked.data.max_test_samples)
    config, model, tokenizer, folder = load_trained(asked)
    if options.get("half"):
        model = model.to(native_dtype(model.device.type))
    max_len = config.tokenizer.encoder_max_len
    lengths = [len(encode_dialogue(tokenizer, dialogue, max_len)) for dialogue in rows.dialogues]
    batches = length_ordered_batches(lengths, config.prediction.batch_size)
    facts = {
        "대화": fingerprint([source]),
        "개수": len(rows),
        "모델": fingerprint(sorted(folder.glob("*.safetensors"))) or str(folder),
        "정밀도": str(model.dtype),
        "장치": model.device.type,
        "설정": {name: config[name].to_dict() for name in ("tokenizer", "generation", "prediction")},
    }
    journal = Journal(journal_of(target), facts)
    if journal.restarted:
        say("앞서 멈춘 예측은 대화나 모델, 설정이 지금과 달라 처음부터 씁니다.")
    elif journal.summaries:
        say(f"앞서 쓴 {len(journal.summaries):,}개에서 이어 갑니다.")
    with fast_beams(model):
        summaries = write_summaries(model, tokenizer, rows.dialogues, max_len, batches, journal)
    removed = config.prediction.remove_tokens
    write_predictions(target, rows.names, [without(text, removed) for text in summaries])
    journal.close()
    say(f"요약 {len(rows):,}개를 {shown(target)} 에 적었습니다.")


# ── 웹 서비스


def turn_shares(attentions: Tensor, turns: Tensor, num_turns: int) -> list[float]:
    """요약을 쓰는 동안 말(turn)마다 받은 교차 어텐션의 몫.

    Args:
        attentions: (층, 헤드, 요약 길이, 대화 길이). 마지막 축의 합은 1입니다.
        turns: (대화 길이,) int64. 토큰마다 몇 번째 말의 것인지. 시작과 끝 토큰은 -1입니다.
        num_turns: 말의 수. 잘려서 읽지 못한 말까지 셉니다.

    Returns:
        말마다의 몫. 합은 1이고, 읽지 못한 말의 몫은 0입니다.
    """
    # [TODO 5-2] 층, 헤드, 요약의 토큰에 걸쳐 평균한 다음, 같은 말의 것끼리 더해 합이 1인 shares에 담으세요.
    # 힌트: 시작과 끝 토큰(-1)도 어텐션을 받습니다. 그 몫을 빼면 남은 것의 합은 얼마인가요? turns의 -1을 그대로
    #       번호로 쓰면 몇 번째 말에 더해질까요? 같은 번호끼리 더하는 것은 index_add나 반복문입니다.
    received = attentions.mean(dim=(0, 1, 2))  # (대화 길이,)
    spoken = turns >= 0
    shares = torch.zeros(num_turns).index_add(0, turns[spoken], received[spoken])  # (말의 수,)
    shares = shares / shares.sum()
    # [END 5-2]
    return shares.tolist()


class Summarizer:
    """요청 하나에 답합니다. 모델은 서버가 뜰 때 한 번 읽어, 모든 요청이 함께 씁니다.

    Args:
        max_len: 대화의 길이의 상한(토큰).
    """

    def __init__(self, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", max_len: int) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_len = max_len
        self.decoder_only = not model.config.is_encoder_decoder
        settings = model.generation_config
        self.num_beams = settings.num_beams
        self.max_length = settings.max_new_tokens or settings.max_length
        settings.max_new_tokens = None  # 길이는 언제나 max_length로 말합니다.

    def read(self, dialogue: str) -> Tensor:
        """모델이 읽는 토큰 번호, (1, 대화 길이). 디코더뿐인 모델이면 대화 뒤에 "요약:"이 붙습니다."""
        from step2_dialogue_dataset import encode_dialogue

        encode = prompt_ids if self.decoder_only else encode_dialogue
        return torch.tensor([encode(self.tokenizer, dialogue, self.max_len)], device=self.model.device)

    @torch.no_grad()
    def write(self, dialogue: str, num_beams: int, max_length: int) -> Tensor:
        """요청한 빔의 수와 길이로 쓴 요약의 토큰 번호.

        Args:
            num_beams: 빔의 수.
            max_length: 요약의 최대 토큰 수.

        Returns:
            (요약 길이,) int64, CPU. 인코더-디코더이면 디코더의 시작 토큰부터, 디코더뿐이면 새로 쓴 것만입니다.
        """
        ids = self.read(dialogue)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        prompt = ids.shape[1] if self.decoder_only else 0  # 디코더뿐인 모델의 길이에는 읽은 것도 들어갑니다.
        max_length += prompt
        # [TODO 5-3] 요청한 num_beams와 max_length로 요약을 쓴 written (1, 요약 길이)를 구하세요.
        # 힌트: 나머지(반복 금지, 특수 토큰 …)는 self.model.generation_config의 것입니다. 거기에 적어 넣으면, 다음
        #       사람의 요청은 어떤 빔과 길이로 답하게 될까요? generate는 쓸 설정을 generation_config=로 받습니다.
        settings = copy.deepcopy(self.model.generation_config)
        settings.num_beams = num_beams
        settings.max_length = max_length
        written = self.model.generate(**inputs, generation_config=settings)
        # [END 5-3]
        return written[0][prompt:].cpu()

    def answer(self, asked: Asked) -> dict[str, Any]:
        """요청의 답: 요약, 말마다의 몫, 그리고 잘린 것이 있으면 그렇다는 말."""
        from step3_rouge_metrics import decode

        watch = Stopwatch()
        dialogue = asked.dialogue
        ids = self.write(dialogue, asked.num_beams, asked.max_length)
        cut = turns_cut(self.tokenizer, dialogue, self.max_len)
        read = len(asked.turns) - cut
        notices = []
        if cut:
            notices.append(
                f"대화가 길어 마지막 {cut}마디는 다 읽지 못했습니다. 한 번에 {self.max_len:,}토큰까지 읽습니다."
            )
        if int(ids[-1]) != self.tokenizer.eos_token_id and len(ids) >= asked.max_length:
            notices.append(f"요약이 {asked.max_length}토큰에서 잘렸습니다. 길이를 늘려 보세요.")
        shares = self.shares(dialogue, ids, len(asked.turns))
        turns = [
            {"speaker": turn.speaker, "tag": turn.tag, "text": turn.text, "share": share, "read": number < read}
            for number, (turn, share) in enumerate(zip(asked.turns, shares, strict=True))
        ]
        return {
            "summary": decode(self.tokenizer, ids[None])[0],
            "turns": turns,
            "notices": notices,
            "num_beams": asked.num_beams,
            "max_length": asked.max_length,
            "seconds": round(watch.seconds, 3),
        }

    def shares(self, dialogue: str, summary_ids: Tensor, num_turns: int) -> list[float | None]:
        """말마다의 몫. 교차 어텐션이 없는 모델이면 모두 None입니다."""
        ids = self.read(dialogue)
        attentions = cross_attentions(self.model, ids, torch.ones_like(ids), summary_ids.to(ids.device))
        if attentions is None:
            return [None] * num_turns
        turns = torch.tensor(turn_numbers(self.tokenizer, dialogue, self.max_len))
        return list(turn_shares(attentions, turns, num_turns))


class WebAPI(FlaskView):
    """`GET /`는 사람이 쓰는 페이지, `POST /api`는 프로그램이 쓰는 답, `GET /healthz`는 살아 있는지."""

    route_base = "/"

    def __init__(self, served: tuple[Summarizer, str, Limits, Turnstile]) -> None:
        """served는 (답하는 것, 페이지의 이름, 상한, 동시에 쓰는 수를 막는 문)입니다."""
        self.summarizer, self.page, self.limits, self.turnstile = served

    @route("/", methods=["GET"])
    def index(self) -> str:
        return render_template(
            self.page,
            limits=self.limits,
            num_beams=min(self.summarizer.num_beams, self.limits.num_beams),
            max_length=min(self.summarizer.max_length, self.limits.max_length),
            parameters=self.summarizer.model.num_parameters(),
        )

    @route("/healthz", methods=["GET"])
    def healthz(self) -> Any:
        return jsonify(status="ok")

    @route("/api", methods=["POST"])
    def api(self) -> Any:
        """대화를 받아 요약을 JSON으로 답합니다. 잘못된 요청에는 4xx와 `{"error": …}`로 답합니다."""
        asked = read_summarization(request, self.limits, self.summarizer.num_beams, self.summarizer.max_length)
        with self.turnstile:
            return jsonify(self.summarizer.answer(asked))


def build_web_app(summarizer: Summarizer, limits: Limits, page: str = "serve_sum.html", max_parallel: int = 2) -> Flask:
    """모델을 물고 있는 Flask 앱."""
    app = serving.new_app(__name__)
    summarizer.model.register_forward_pre_hook(serving.require_connected)  # 떠난 사람의 요약은 더 쓰지 않습니다.
    WebAPI.register(app, route_base="/", init_argument=(summarizer, page, limits, Turnstile(max_parallel)))
    return app


def serve(options: Options) -> None:
    """학습한 모델로 웹 페이지와 API를 엽니다. Ctrl-C로 멈춥니다."""
    asked = ServeOptions.of({name: one for name, one in options.items() if name in ServeOptions.options()})
    server = asked.server
    serving.require_servable(server.page, server.host, server.port)
    config, model, tokenizer, _ = load_trained(config_from(options, ServeOptions))
    model.set_attn_implementation("eager")  # 어디를 보았는지 알려 주는 구현입니다.
    model = quantized(model, asked.quantize)
    speakers = tuple(tag for tag in config.tokenizer.speaker_tags if tag in tokenizer.get_vocab())
    limits = Limits(speakers, max_length=config.tokenizer.decoder_max_len)
    summarizer = Summarizer(model, tokenizer, config.tokenizer.encoder_max_len)
    summarizer.write("#Person1#: 첫 요청이 느리지 않도록 한 번 써 봅니다.", 1, 8)
    say(f"http://{server.host}:{server.port} 에서 기다립니다. 멈추려면 Ctrl-C를 누르세요.")
    app = build_web_app(summarizer, limits, server.page, asked.max_parallel)
    serving.listen(app, server.host, server.port, server.threads)


# ── 명령줄


def config_from(options: Options, kind: type[CommandOptions]) -> SummarizationConfig:
    """명령줄에 적은 것을 설정 파일 위에 얹은 설정.

    Args:
        options: 옵션 이름 → 값. `options.given`은 사람이 적은 이름들이고, 나머지의 값은 None이거나 기본값입니다.
        kind: 명령의 옵션 클래스. 그 이름들(`config`, `quantize` …)은 명령의 것이지 설정의 항목이 아닙니다.
    """
    from step1_config_and_model import load_config

    own = kind.options()
    written = assignments(options)  # 이름=값으로 적은 것들. 예: {"training.learning_rate": "1e-4"}
    # [TODO 5-4] 사람이 적은 옵션 가운데 설정의 항목인 것과, written을 합친 딕셔너리 overrides를 만드세요.
    # 힌트: 적지 않은 옵션까지 얹으면 설정 파일에 적힌 값은 어떻게 될까요? 반대로, 사람이 일부러 적은 0이나 False는
    #       얹어야 합니다. 이름=값의 말들은 options["settings"]가 아니라 written에 딕셔너리로 있습니다.
    overrides: dict[str, Any] = {}
    for name in options.given:
        if name not in own:
            overrides[name] = options[name]
    overrides.update(written)
    # [END 5-4]
    return load_config(options.get("config") or CommandOptions().config, overrides)


def load_trained(
    config: SummarizationConfig,
) -> "tuple[SummarizationConfig, PreTrainedModel, PreTrainedTokenizerBase, Path]":
    """학습해 둔 모델: 그것을 쓰는 설정, 모델, 토크나이저, 폴더. 길이와 빔은 학습할 때의 것을 따릅니다."""
    from step1_config_and_model import load_model_and_tokenizer

    folder = find_model(config, HOME)
    config = as_trained(config, folder)
    model, tokenizer = load_model_and_tokenizer(config)
    require_lengths(config, model)
    device = accelerator_of(config.general.device)
    use_fast_attention(model, device)
    return config, model.to(device), tokenizer, Path(folder)


def read_both(config: SummarizationConfig) -> tuple[Dialogues, Dialogues]:
    """학습과 검증의 대화. 같은 대화가 두 곳에 있으면 멈춥니다."""
    train_rows = read_dialogues(config.data.train, config.data.max_train_samples, need_summaries=True)
    valid_rows = read_dialogues(config.data.dev, config.data.max_eval_samples, need_summaries=True)
    require_apart(train_rows, valid_rows, config.data.train, config.data.dev)
    return train_rows, valid_rows


def train(options: Options) -> None:
    """모델을 학습해 실행 폴더에 남깁니다. --resume_from_checkpoint는 멈춘 학습을 이어 합니다."""
    from transformers import set_seed

    from step1_config_and_model import load_model_and_tokenizer
    from step2_dialogue_dataset import DialogueSummarizationDataset
    from step4_model_trainer import create_trainer

    watch = Stopwatch()
    config = config_from(options, TrainOptions)
    first = int(os.environ.get("RANK", 0)) == 0  # 여러 프로세스로 학습할 때는 0번만 말합니다.
    for notice in config.notices() if first else ():
        say(f"알림: {notice}")
    both = read_both(config)
    set_seed(config.general.seed)
    model, tokenizer = load_model_and_tokenizer(config)
    require_lengths(config, model)
    kind = DialogueSummarizationDataset if model.config.is_encoder_decoder else CausalSummarizationDataset
    lengths = config.tokenizer.encoder_max_len, config.tokenizer.decoder_max_len
    train_dataset, valid_dataset = (kind(rows.dialogues, rows.summaries, tokenizer, *lengths) for rows in both)
    trainer = create_trainer(config, model, tokenizer, train_dataset, valid_dataset)
    trainer.train(options.get("resume_from_checkpoint"))
    if first:
        name = options.get("config") or CommandOptions().config
        say(f"{watch.seconds:.0f}초 걸렸습니다. 이어서: python {Path(__file__).name} test --config {name}")


def test(options: Options) -> None:
    """평가 대화를 요약해 기준선과 함께 ROUGE를 잽니다. --quantize int8이면 줄이기 앞뒤를 견줍니다."""
    from step3_rouge_metrics import compute_rouge, summarize

    from nlpbook.summarization.beams import fast_beams

    asked = config_from(options, TestOptions)
    rows = read_dialogues(asked.data.test, asked.data.max_test_samples, need_summaries=True)
    references = rows.summaries or []
    config, model, tokenizer, folder = load_trained(asked)
    scores = {
        "늘 같은 문장": compute_rouge([CONSTANT] * len(rows), references),
        "앞의 두 마디": compute_rouge([lead(dialogue) for dialogue in rows.dialogues], references),
    }
    measured = []
    texts: list[str] = []
    for kind in dict.fromkeys(["none", options.get("quantize") or "none"]):
        name = "모델" if kind == "none" else f"모델({kind})"
        chosen = quantized(model, kind)
        watch = Stopwatch()
        with fast_beams(chosen):
            texts = summarize(chosen, tokenizer, rows.dialogues, config.tokenizer.encoder_max_len)
        scores[name] = compute_rouge(texts, references)
        measured.append((name, saved_bytes(chosen), watch.seconds, scores[name]["rouge_sum"]))
    console.print(scores_table(scores))
    if len(measured) > 1:
        console.print(quantization_table(measured))
    for number in range(min(SHOWN, len(rows))):
        say(f"참조 {references[number]}\n요약 {texts[number]}")
    run = run_of(folder)
    if run is not None:
        write_test(run, config, rows, scores)
        say(f"결과: {run} 폴더의 test.json")


def build_cli() -> typer.Typer:
    """`train`, `test`, `predict`, `serve` 네 명령을 가진 명령줄."""
    cli = new_app("대화 요약: 학습(train), 평가(test), 예측(predict), 웹 서비스(serve)")
    cli.command("train")(with_options(TrainOptions, TRAINING)(train))
    cli.command("test")(with_options(TestOptions, USING)(test))
    cli.command("predict")(with_options(PredictOptions, USING)(predict))
    cli.command("serve")(with_options(ServeOptions, USING)(serve))
    return cli


if __name__ == "__main__":
    run(build_cli())
