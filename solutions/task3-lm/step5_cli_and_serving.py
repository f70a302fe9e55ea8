"""5단계 · 글쓰기와 웹 서비스: 잘 고르고, 빨리 쓰고, 쓰는 대로 보여 주기

4단계에서 배운 모델로 글을 이어 씁니다. 다음 토큰을 어떻게 고르는지에 따라 같은 모델도 다른 글을 쓰고, 이미 읽은 것을
기억해 두면(KV 캐시) 앞을 다시 계산하지 않아 글이 길어져도 훨씬 덜 느려집니다. 그리고 누구나 쓸 수 있게 명령과 웹
페이지로 묶습니다.

    python step5_cli_and_serving.py train                                  # 학습 (2코어 CPU에서 약 5분)
    python step5_cli_and_serving.py test                                   # 검증 글의 손실, 혼란도, 바이트당 비트
    python step5_cli_and_serving.py generate --prompt "옛날 옛적에" --prompt "까치가"
    python step5_cli_and_serving.py serve --server_port 9166               # http://127.0.0.1:9166

배우는 것
    - 고르기: 온도(temperature), top-k, top-p, 되풀이 벌점(repetition penalty)
    - KV 캐시: 자리마다 한 번 구한 열쇠(key)와 값(value)은 다시 구하지 않습니다. 지난 자리들을 살피는 일은 남습니다
    - 흘려보내기(server-sent events): 글이 다 될 때까지 기다리지 않고, 토큰이 나오는 대로 보냅니다

출처: Keskar 외 2019 "CTRL"(되풀이 벌점), Holtzman 외 2020 "The Curious Case of Neural Text Degeneration"(top-p)
"""

import json
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import typer
from flask import Flask, Response, jsonify, render_template, request
from flask_classful import FlaskView, route
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from step1_tokenizer_and_data import LMData, WindowDataset
from step2_gpt_model import GPT, CausalSelfAttention
from step3_loss_and_optimizer import Metrics
from step4_training_pipeline import train

from nlpbook import gate, hardware, paths, serving
from nlpbook.cli import Options, new_app, run, with_options
from nlpbook.errors import UserError
from nlpbook.language import reports, runs, texts
from nlpbook.language.config import GenerateConfig, LMConfig, RunChoice, ServeConfig, TestConfig
from nlpbook.language.metrics import window_scores
from nlpbook.language.request import read_generation
from nlpbook.language.sampling import Sampling, encode_prompt
from nlpbook.language.streaming import collected, token_events
from nlpbook.language.tokens import write_tokens
from nlpbook.screen import say
from nlpbook.sweeps.commands import Sweepable
from nlpbook.text import composed


def penalize_repetition(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """이미 나온 토큰의 점수를 깎습니다.

    Args:
        logits: (글, 어휘). 부른 쪽이 다시 쓰므로 바꾸지 않습니다.
        seen: (글, 어휘) bool. 그 글에 이미 나온 토큰이면 참.
        penalty: 1이면 그대로, 클수록 많이 깎습니다.

    Returns:
        (글, 어휘). 나온 적 없는 토큰의 점수는 그대로입니다.
    """
    # [TODO 5-1] 이미 나온 토큰의 점수를, 양수면 penalty로 나누고 음수면 곱한 penalized를 만드세요.
    # 힌트: 음수를 나누면 점수는 커질까요, 작아질까요? torch.where가 자리마다 둘 가운데 하나를 고릅니다.
    lowered = torch.where(logits > 0, logits / penalty, logits * penalty)
    penalized = torch.where(seen, lowered, logits)
    # [END 5-1]
    return penalized


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """글마다 점수가 높은 k개만 남기고 나머지를 -inf로 지웁니다. k가 0이거나 어휘보다 크면 그대로입니다. (글, 어휘)."""
    if not 0 < k < logits.size(-1):
        return logits
    # [TODO 5-2] 글마다 k번째로 높은 점수보다 낮은 것을 -inf로 바꾼 kept를 만드세요.
    # 힌트: logits.topk(k)의 values는 높은 것부터 (글, k)입니다. 그 가운데 문턱이 되는 것은 몇 번째인가요?
    threshold = logits.topk(k, dim=-1).values[:, -1:]  # (글, 1)
    kept = logits.masked_fill(logits < threshold, float("-inf"))
    # [END 5-2]
    return kept


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """글마다, 확률이 높은 것부터 더해 p에 이를 때까지의 토큰만 남깁니다. 가장 높은 것은 언제나 남습니다. (글, 어휘)."""
    if p >= 1:
        return logits
    ordered, order = logits.sort(dim=-1, descending=True)
    # [TODO 5-3] 높은 것부터 늘어놓은 ordered에서 지울 자리를 참으로, 남길 자리를 거짓으로 하는 removed를 만드세요.
    # 힌트: 앞선 것들의 확률의 합이 이미 p 이상이면(꼭 p여도) 지웁니다. 확률은 ordered.softmax(dim=-1), 여기까지의
    #       합은 cumsum입니다. 합에서 무엇을 빼면 "앞선 것들"의 합이 될까요? 가장 높은 것(0번 자리)은 p가 0이어도
    #       지우지 않습니다.
    probabilities = ordered.softmax(dim=-1)
    removed = probabilities.cumsum(dim=-1) - probabilities >= p
    removed[:, 0] = False
    # [END 5-3]
    return logits.masked_fill(torch.zeros_like(removed).scatter(1, order, removed), float("-inf"))


def pick(logits: Tensor, seen: Tensor, sampling: Sampling, generator: torch.Generator | None = None) -> Tensor:
    """글마다 다음 토큰을 하나씩 고릅니다.

    Args:
        logits: (글, 어휘).
        seen: (글, 어휘) bool.

    Returns:
        (글,) 토큰 번호.
    """
    logits = penalize_repetition(logits.float(), seen, sampling.repetition_penalty)
    # [TODO 5-4] 온도를 적용하고 top-k, top-p로 거른 뒤, 확률대로 하나씩 뽑아 tokens에 담으세요.
    # 힌트: 온도는 로짓을 나누는 수입니다. 0으로는 나눌 수 없으니, 그때는 가장 높은 것을 고릅니다. 뽑는 것은
    #       torch.multinomial(확률, 1, generator=generator)이고 모양은 (글, 1)입니다.
    if sampling.temperature == 0:
        tokens = logits.argmax(dim=-1)
    else:
        logits = keep_top_p(keep_top_k(logits / sampling.temperature, sampling.top_k), sampling.top_p)
        tokens = torch.multinomial(logits.softmax(dim=-1), 1, generator=generator).squeeze(1)
    # [END 5-4]
    return tokens


class LayerMemory:
    """블록 하나가 기억하는 열쇠와 값. 자리를 미리 잡아 두므로, 새 토큰이 와도 옛것을 옮겨 적지 않습니다.

    Args:
        shape: (글, 헤드, 최대 길이, 차원/헤드).
    """

    def __init__(self, shape: tuple[int, int, int, int], device: torch.device) -> None:
        self.keys = torch.zeros(shape, device=device)
        self.values = torch.zeros(shape, device=device)

    def append(self, key: Tensor, value: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """새 토큰의 열쇠와 값을 `start`번째 자리부터 적고, 처음부터 거기까지를 돌려줍니다.

        Args:
            key, value: (글, 헤드, 새 길이, 차원/헤드).
            start: 앞서 적은 자리의 수.

        Returns:
            둘 다 (글, 헤드, start + 새 길이, 차원/헤드).
        """
        end = start + key.size(2)
        # [TODO 5-5] 새것을 self.keys와 self.values의 제자리에 적고, 처음부터 end까지를 keys와 values에 담으세요.
        # 힌트: 자리의 축은 몇 번째인가요? torch.cat은 매번 모두를 옮겨 적습니다. 이미 잡아 둔 자리에 적으면 어떨까요?
        self.keys[:, :, start:end] = key
        self.values[:, :, start:end] = value
        keys = self.keys[:, :, :end]
        values = self.values[:, :, :end]
        # [END 5-5]
        return keys, values


class CachedReader:
    """글 여럿을 함께 읽되, 이미 읽은 자리는 다시 계산하지 않습니다. 문맥이 차면 뒤의 절반만 다시 읽고 이어 갑니다.

    Args:
        model: 평가 모드의 GPT.
        padding: (글,) 글마다 왼쪽에 채운 토큰의 수. 채운 것은 보지 않고 자리로 세지도 않습니다.
    """

    def __init__(self, model: GPT, padding: Tensor) -> None:
        config = model.config
        shape = (len(padding), config.num_heads, config.max_seq_len, config.d_embed // config.num_heads)
        self.model = model
        self.padding = padding
        self.padded = bool(padding.any())
        self.memories = [LayerMemory(shape, padding.device) for _ in model.blocks]
        self.ids = torch.zeros(len(padding), 0, dtype=torch.long, device=padding.device)  # 지금까지 읽은 것

    def read(self, new: Tensor) -> Tensor:
        """새 토큰들을 읽습니다. 2단계의 `forward`와 같되, 어텐션만 기억해 둔 열쇠와 값을 함께 봅니다.

        Args:
            new: (글, 새 길이) 아직 읽지 않은 토큰.

        Returns:
            새 자리마다의 로짓 (글, 새 길이, 어휘).
        """
        start = self.ids.size(1)  # 앞서 읽은 길이
        end = start + new.size(1)
        if end > self.model.config.max_seq_len:
            return self._read_half_again(new)
        rows = torch.arange(start, end, device=new.device)  # (새 길이,)
        positions = (rows - self.padding[:, None]).clamp(min=0)  # (글, 새 길이) 채운 것은 세지 않습니다.
        x = self.model.token_embedding(new) + self.model.position_embedding(positions)  # (글, 새 길이, 차원)
        bias = self._bias(rows, end, x.dtype)
        for block, memory in zip(self.model.blocks, self.memories, strict=True):
            attend = partial(self._attend, block.attention, memory, bias, start)
            x = block(x, attend)
        self.ids = torch.cat([self.ids, new], dim=1)
        return self.model.lm_head(self.model.norm(x))

    def _read_half_again(self, new: Tensor) -> Tensor:
        """문맥이 찼습니다: 뒤의 절반만 남겨 처음부터 읽고, 새 토큰의 로짓만 돌려줍니다."""
        everything = torch.cat([self.ids, new], dim=1)
        kept = everything[:, -(self.model.config.max_seq_len // 2) :]
        dropped = everything.size(1) - kept.size(1)
        self.ids = kept[:, :0]
        self.padding = (self.padding - dropped).clamp(min=0)
        return self.read(kept)[:, -new.size(1) :]

    def _bias(self, rows: Tensor, end: int, dtype: torch.dtype) -> Tensor | None:
        """어텐션 점수에 더할 값, (글, 1, 새 길이, 지금까지): 뒤의 토큰과 채운 토큰은 아주 작은 수입니다.

        채운 것 없이 한 토큰씩 읽을 때는 가릴 것이 없어 None입니다. -inf로 가리면, 볼 것이 하나도 없는 채운 자리가
        NaN이 됩니다. 점수와 dtype이 다르면 PyTorch가 CPU에 따라 엉뚱한 값을 냅니다.
        """
        if not self.padded and len(rows) == 1:
            return None
        columns = torch.arange(end, device=rows.device)
        hidden = (columns > rows[:, None]) | (columns < self.padding[:, None, None])  # (글, 새 길이, 지금까지)
        bias = torch.zeros(hidden.shape, dtype=dtype, device=rows.device)
        return bias.masked_fill(hidden, torch.finfo(dtype).min)[:, None]

    @staticmethod
    def _attend(
        attention: CausalSelfAttention, memory: LayerMemory, bias: Tensor | None, start: int, x: Tensor
    ) -> Tensor:
        """2단계의 어텐션과 같되, 섞을 때 기억까지 봅니다. 평가 모드라 드롭아웃은 없습니다. x는 (글, 새 길이, 차원)."""
        query, key, value = attention.heads(x)  # (글, 헤드, 새 길이, 차원/헤드)
        keys, values = memory.append(key, value, start)  # (글, 헤드, 지금까지, 차원/헤드)
        mixed = functional.scaled_dot_product_attention(query, keys, values, attn_mask=bias)
        return attention.projection(mixed.transpose(1, 2).flatten(2))


def left_padded(prompts: list[list[int]], end_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """길이가 다른 앞글들을 한 텐서에: 짧은 것은 왼쪽을 채워, 다음 토큰의 자리가 모두 끝에 오게 합니다.

    Returns:
        (토큰 번호 (글, 가장 긴 길이), 채운 토큰의 수 (글,)).
    """
    longest = max(map(len, prompts))
    rows = [[end_id] * (longest - len(one)) + one for one in prompts]
    padding = [longest - len(one) for one in prompts]
    return torch.tensor(rows, device=device), torch.tensor(padding, device=device)


def tokens_in(ids: Tensor, vocab_size: int, end_id: int) -> Tensor:
    """글마다 어떤 토큰이 나왔는가, (글, 어휘) bool. 채우는 데 쓴 글의 끝 토큰은 나오지 않은 것으로 칩니다."""
    seen = torch.zeros(len(ids), vocab_size, dtype=torch.bool, device=ids.device).scatter(1, ids, True)
    seen[:, end_id] = False
    return seen


@torch.inference_mode()
def continue_tokens(model: GPT, prompts: list[list[int]], sampling: Sampling) -> Iterator[tuple[Tensor, Tensor]]:
    """앞글들을 함께 이어 쓰며, 한 번에 한 토큰씩 고른 토큰과 모델의 확률을 냅니다. 모두 글의 끝에 이르면 멈춥니다.

    Args:
        prompts: 앞글마다의 토큰 번호. 길이가 서로 달라도 되고, 저마다 하나 이상입니다.

    Yields:
        (고른 토큰 (글,), 고르기 전의 확률 (글, 어휘)).
    """
    device = next(model.parameters()).device
    end_id = model.tokenizer.end_id
    ids, padding = left_padded(prompts, end_id, device)  # (글, 길이), (글,)
    reader = CachedReader(model.eval(), padding)
    seen = tokens_in(ids, model.vocab_size, end_id)  # (글, 어휘)
    finished = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    generator = sampling.generator(device)
    # [TODO 5-6] 읽지 않은 것을 reader로 읽고 토큰을 골라 내보내는 일을, max_tokens번까지 되풀이하세요.
    # 힌트: 읽지 않은 것은 처음에는 앞글(ids), 그다음부터는 방금 고른 토큰 (글, 1)뿐입니다. reader.read의 마지막 자리가
    #       다음 토큰의 로짓입니다. 고르면 읽기 전에 바로 yield tokens, 확률. 고른 토큰은 seen에, end_id를 고른 글은
    #       finished에 적습니다. 모든 글이 끝났으면 멈춥니다.
    unread = ids
    for _ in range(sampling.max_tokens):
        logits = reader.read(unread)[:, -1]  # (글, 어휘)
        tokens = pick(logits, seen, sampling, generator)
        yield tokens, logits.float().softmax(dim=-1)
        seen.scatter_(1, tokens[:, None], True)
        finished |= tokens == end_id
        if finished.all():
            break
        unread = tokens[:, None]
    # [END 5-6]


def ids_of(model: GPT, prompt: str) -> list[int]:
    """앞글의 토큰 번호. 모델의 문맥보다 길면 `UserError`입니다."""
    return encode_prompt(model.tokenizer, prompt, model.config.max_seq_len)


def generate_texts(model: GPT, prompts: list[str], sampling: Sampling) -> list[str]:
    """앞글들을 한꺼번에 이어 씁니다. 돌려주는 글은 저마다 NFC로 모아 쓴 앞글로 시작합니다."""
    prompts = [composed(one) for one in prompts]
    made: list[list[int]] = [[] for _ in prompts]
    for tokens, _ in continue_tokens(model, [ids_of(model, one) for one in prompts], sampling):
        for ids, token in zip(made, tokens.tolist(), strict=True):
            if not ids or ids[-1] != model.tokenizer.end_id:
                ids.append(token)
    return [prompt + model.tokenizer.decode(ids) for prompt, ids in zip(prompts, made, strict=True)]


def generate_text(model: GPT, prompt: str, max_tokens: int = 100, **sampling: Any) -> str:
    """앞글 하나를 이어 씁니다. 예: `generate_text(model, "옛날 옛적에", max_tokens=100, temperature=0.7)`."""
    return generate_texts(model, [prompt], Sampling(max_tokens=max_tokens, **sampling))[0]


def server_sent_events(events: Iterable[dict[str, Any]]) -> Iterator[str]:
    """사건들을 server-sent events의 글로 바꿉니다. (https://html.spec.whatwg.org/multipage/server-sent-events.html)"""
    for event in events:
        # [TODO 5-7] event를 JSON으로 바꾸어, server-sent events의 메시지 하나인 message를 만드세요.
        # 힌트: 메시지는 "data: "로 시작하는 한 줄과, 다 보냈다는 뜻의 빈 줄 하나입니다. 그러면 끝에는 줄바꿈이 몇 개
        #       필요할까요? JSON 안에 줄바꿈이 들어가면 안 됩니다(json.dumps는 넣지 않습니다).
        message = f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
        # [END 5-7]
        yield message


class WebAPI(FlaskView):
    """`GET /`는 사람이 쓰는 페이지, `POST /api/generate`는 이어 쓴 글, `GET /healthz`는 살아 있는지."""

    route_base = "/"

    def __init__(self, served: tuple[GPT, ServeConfig, gate.Turnstile]) -> None:
        """served는 (모델, 설정, 동시에 쓰는 글의 수를 막는 문)입니다. 서버가 뜰 때 한 번 건네받습니다."""
        model, config, turnstile = served
        self.model = model
        self.config = config
        self.turnstile = turnstile

    @route("/", methods=["GET"])
    def index(self) -> str:
        count = self.model.num_parameters()
        return render_template(self.config.server.page, limit=self.config.max_new_tokens, parameters=count)

    @route("/healthz", methods=["GET"])
    def healthz(self) -> Any:
        return jsonify(status="ok", parameters=self.model.num_parameters())

    @route("/api/generate", methods=["POST"])
    def generate(self) -> Any:
        """앞글을 이어 씁니다. `"stream": true`면 토큰마다 사건 하나를 보냅니다. 잘못된 요청에는 4xx로 답합니다."""
        prompt, sampling, stream = read_generation(request, self.config.max_new_tokens)
        steps = continue_tokens(self.model, [ids_of(self.model, prompt)], sampling)
        steps = serving.while_connected(steps)  # 받던 사람이 떠나면 더 쓰지 않습니다.
        events = token_events(self.model.tokenizer, steps)
        self.turnstile.enter()
        if stream:
            answer = Response(server_sent_events(events), mimetype="text/event-stream")
            answer.headers["Cache-Control"] = "no-store"
            answer.call_on_close(self.turnstile.leave)  # 다 보냈거나, 받던 사람이 떠났을 때
            return answer
        try:
            return jsonify(prompt=prompt, **collected(events))
        finally:
            self.turnstile.leave()


def build_web_app(model: GPT, config: ServeConfig) -> Flask:
    """모델을 물고 있는 Flask 앱."""
    app = serving.new_app(__name__)
    app.register_error_handler(UserError, lambda error: (jsonify(error=str(error)), 422))
    WebAPI.register(app, route_base="/", init_argument=(model.eval(), config, gate.Turnstile(config.max_parallel)))
    return app


def load_trained(choice: RunChoice) -> tuple[GPT, runs.RunFolder]:
    """학습해 둔 가장 좋은 모델(--checkpoint를 주면 그것)과 실행 폴더."""
    if choice.checkpoint:
        path = Path(choice.checkpoint).expanduser()
        run_folder = runs.run_around(path) or runs.RunFolder(path.parent)  # 홀로 옮겨 놓은 파일이면 그 옆
    else:
        run_folder = runs.find_run(choice)
        path = run_folder.best_model
    model = runs.load_model(GPT, path)
    return model.to(hardware.accelerator_of(choice.accelerator)), run_folder


@torch.no_grad()
def test(options: Options) -> None:
    """가장 좋은 모델을 검증 글(--data를 주면 그 글)로 재고 test.json에 남깁니다."""
    config = TestConfig.of(options)
    corpus = texts.TextCorpus(config.data, config.data_home) if config.data else None
    model, run_folder = load_trained(config)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows는 열려 있는 파일을 못 지웁니다.
        if corpus:
            tokens = write_tokens(model.tokenizer, corpus.part(0, corpus.num_bytes), Path(folder) / "test.bin")
        else:
            data = LMData(model.config)
            runs.require_same_tokenizer(model.tokenizer.to_text(), data.tokenizer)
            tokens = data.valid
        length = min(model.config.max_seq_len, len(tokens) - 1)
        device = model.lm_head.weight.device
        loader = DataLoader(WindowDataset(tokens.tokens, length, length), batch_size=config.batch_size)
        scores = [window_scores(model(x.to(device)), y.to(device)) for x, y in loader]
    loss, accuracy = torch.cat(scores).mean(dim=0).tolist()
    metrics = Metrics(loss, accuracy, tokens.bytes_per_token)
    row = reports.metrics_row("test", metrics.values())
    source = paths.portable(config.data or model.config.data, run_folder.path)
    paths.write_json(run_folder.test, {"data": source, **row})
    say("  ".join(f"{name.removeprefix('test_')} {value:.4f}" for name, value in row.items()))


def generate(options: Options) -> None:
    """앞글들을 한꺼번에 이어 씁니다."""
    config = GenerateConfig.of(options)
    sampling = Sampling.of(config)
    model, _ = load_trained(config)
    for text in generate_texts(model, list(config.prompt), sampling):
        say(text + "\n")


def serve(options: Options) -> None:
    """학습한 모델로 웹 페이지와 API를 엽니다. Ctrl-C로 멈춥니다."""
    config = ServeConfig.of(options)
    serving.require_servable(config.server.page, config.server.host, config.server.port)
    model, _ = load_trained(config)
    say(f"http://{config.server.host}:{config.server.port} 에서 기다립니다. 멈추려면 Ctrl-C를 누르세요.")
    serving.listen(build_web_app(model, config), config.server.host, config.server.port, config.server.threads)


def build_cli() -> typer.Typer:
    """`train`, `test`, `generate`, `serve` 네 명령을 가진 명령줄."""
    cli = new_app("작은 GPT: 학습(train), 평가(test), 글쓰기(generate), 웹 서비스(serve)")
    for kind, command in ((LMConfig, train), (TestConfig, test), (GenerateConfig, generate), (ServeConfig, serve)):
        cli.command(command.__name__)(with_options(kind)(command))
    return cli


# `sweep`의 일꾼들이 이 이름으로 찾습니다.
SWEEP = Sweepable(Path(__file__), "SWEEP", LMConfig, train, metric="val_loss", goal="minimize")


if __name__ == "__main__":
    cli = build_cli()
    SWEEP.add_to(cli)
    run(cli)
