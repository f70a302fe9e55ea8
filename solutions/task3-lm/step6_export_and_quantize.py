"""6단계 · 내보내기와 양자화: 다른 곳에서도 쓰는 모델

배운 모델을 다른 도구가 읽는 모양으로 옮깁니다. 2단계의 구조가 GPT-2와 같으므로 가중치의 이름을 바꾸고 일부를
전치(transpose)하면 Hugging Face의 모델이 되고, 거꾸로 공개된 GPT-2도 우리 모델이 됩니다. PyTorch 없이 도는 ONNX와,
가중치를 8비트 정수로 줄인 것도 만들어 크기와 속도, 혼란도를 나란히 놓고 봅니다.

    python step6_export_and_quantize.py                    # 마지막 실행을 내보내고 표를 보여 줍니다 (약 30초)
    python step6_export_and_quantize.py --export_to 폴더

배우는 것
    - 가중치 옮기기: 이름의 짝과 전치. GPT-2의 Conv1D는 Linear의 가중치를 전치해 둡니다
    - 옮긴 것이 같은 모델인지는 로짓을 견주어 확인합니다. 글이 그럴듯한 것은 증거가 아닙니다
    - ONNX: 배치와 길이가 달라져도 되는 계산 그래프
    - 동적 양자화(dynamic quantization): 가중치는 미리, 입력은 그때그때 8비트로. 무엇을 얻고 무엇을 잃나요?

출처: ONNX Runtime의 양자화 문서 https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader

import step2_gpt_model
from step1_tokenizer_and_data import LMData, WindowDataset

from nlpbook.cli import Options, new_app, run, with_options
from nlpbook.errors import UserError
from nlpbook.exports import complete_tokenizer, write_model_card
from nlpbook.language import runs
from nlpbook.language.config import ExportConfig, LMConfig
from nlpbook.language.metrics import window_scores
from nlpbook.language.onnx_models import OnnxModel, quiet_export, seconds_per_call
from nlpbook.language.tokens import TextTokenizer
from nlpbook.paths import folder_written_aside, require_writable_folder, shown, write_json, written_aside
from nlpbook.pretrained import quiet_transformers, resolve_pretrained
from nlpbook.screen import console, say

if TYPE_CHECKING:  # 타입을 적을 때만. transformers와 onnxruntime은 읽는 데 몇 초가 걸리므로, 쓰는 함수가 부릅니다.
    from transformers import GPT2LMHeadModel

# 우리의 이름 → GPT-2의 이름. 블록의 것은 "blocks.0."을 "transformer.h.0."으로 바꾼 뒤에 맞춥니다.
NAMES = {
    "token_embedding": "transformer.wte",
    "position_embedding": "transformer.wpe",
    "norm": "transformer.ln_f",
    "norm1": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.projection": "attn.c_proj",
    "norm2": "ln_2",
    "mlp.expand": "mlp.c_fc",
    "mlp.projection": "mlp.c_proj",
}
SAME_SHAPE = {  # 우리 모델과 같은 계산을 하는 GPT-2의 설정
    "model_type": "gpt2",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "tie_word_embeddings": True,
}
CLOSE_ENOUGH = 1e-3  # 내보낸 것과 원래 것의 로짓이 이보다 다르면 잘못 내보낸 것입니다.


def gpt2_name(name: str) -> str:
    """우리 모델의 파라미터 이름을 GPT-2의 것으로. 예: `blocks.0.mlp.expand.bias` → `transformer.h.0.mlp.c_fc.bias`."""
    module, _, kind = name.rpartition(".")
    if module.startswith("blocks."):
        _, number, part = module.split(".", 2)
        return f"transformer.h.{number}.{NAMES[part]}.{kind}"
    return f"{NAMES[module]}.{kind}"


def is_laid_down(name: str) -> bool:
    """GPT-2가 전치해 두는 가중치인가: 블록 안의 Linear 네 개의 행렬."""
    return name.endswith((".qkv.weight", ".projection.weight", ".expand.weight"))


def to_gpt2_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """우리 모델의 가중치를 GPT-2의 이름과 모양으로 바꿉니다.

    Args:
        weights: `GPT.state_dict()`. `lm_head.weight`는 토큰 임베딩과 같은 것입니다.

    Returns:
        `GPT2LMHeadModel`에 넣을 가중치. `lm_head.weight`는 담지 않습니다(그쪽도 묶여 있습니다).
    """
    converted: dict[str, Tensor] = {}
    # [TODO 6-1] lm_head.weight를 뺀 가중치를 GPT-2의 이름으로 converted에 담되, GPT-2가 전치해 두는 것은 전치하세요.
    # 힌트: gpt2_name(이름)과 is_laid_down(이름)이 있습니다. 정사각 행렬(어텐션의 projection)은 전치하지 않아도 모양이
    #       맞아 오류가 나지 않습니다. 그러면 무엇으로 알 수 있을까요?
    for name, tensor in weights.items():
        if name != "lm_head.weight":
            converted[gpt2_name(name)] = tensor.t() if is_laid_down(name) else tensor
    # [END 6-1]
    return converted


class GPT(step2_gpt_model.GPT):
    """2단계의 GPT에, Hugging Face의 GPT-2와 오가는 길을 더한 것."""

    @classmethod
    def from_pretrained(cls, name: str) -> "GPT":
        """공개된 GPT-2(예: `skt/kogpt2-base-v2`)나, 그런 모양의 폴더를 읽습니다. 평가 모드입니다.

        Raises:
            UserError: 받을 수 없거나, GPT-2가 아니거나, 구조가 우리와 다를 때.
        """
        from transformers import GPT2Config, GPT2LMHeadModel

        source = resolve_pretrained(name, "받아 둔 GPT-2 폴더의 경로를 적어 주세요.")
        shape = GPT2Config.from_pretrained(source)
        same = all(getattr(shape, key) == value for key, value in SAME_SHAPE.items())
        if (
            not same
            or shape.activation_function not in ("gelu", "gelu_new")
            or shape.n_inner not in (None, 4 * shape.n_embd)
        ):
            raise UserError(
                f"'{name}'은(는) GPT-2와 같은 구조의 모델이 아닙니다(gelu나 gelu_new, 네 배 넓은 MLP, 묶인 lm_head)."
            )
        config = LMConfig(
            d_embed=shape.n_embd, num_heads=shape.n_head, num_layers=shape.n_layer, max_seq_len=shape.n_positions,
            activation=shape.activation_function, dropout=shape.resid_pdrop, tokenizer=name,
        )  # fmt: skip
        model = cls(config, shape.vocab_size, TextTokenizer.load(name))
        theirs = GPT2LMHeadModel.from_pretrained(source, dtype=torch.float32).state_dict()
        # [TODO 6-2] theirs의 가중치를 우리의 이름과 모양으로 바꾸어 model에 넣으세요.
        # 힌트: 이름의 짝은 우리 쪽 이름에서 찾는 것이 쉽습니다: model.state_dict()의 이름마다 gpt2_name을 물어 보세요.
        #       lm_head.weight는 두 쪽의 이름이 같습니다. 전치해 둔 것은 다시 전치합니다.
        weights = {}
        for ours in model.state_dict():
            tensor = theirs[ours if ours == "lm_head.weight" else gpt2_name(ours)]
            weights[ours] = tensor.t() if is_laid_down(ours) else tensor
        model.load_state_dict(weights)
        # [END 6-2]
        return model.eval()

    def to_hugging_face(self) -> "GPT2LMHeadModel":
        """같은 가중치의 `GPT2LMHeadModel`, 평가 모드."""
        from transformers import GPT2Config, GPT2LMHeadModel

        end_id = self.tokenizer.end_id
        dropout = self.config.dropout
        shape = GPT2Config(
            vocab_size=self.vocab_size, n_positions=self.config.max_seq_len, n_embd=self.config.d_embed,
            n_layer=self.config.num_layers, n_head=self.config.num_heads,
            bos_token_id=end_id, eos_token_id=end_id, pad_token_id=end_id,
            activation_function=self.config.activation, embd_pdrop=dropout, attn_pdrop=dropout, resid_pdrop=dropout,
        )  # fmt: skip
        model = GPT2LMHeadModel(shape)
        missing, unexpected = model.load_state_dict(to_gpt2_weights(self.state_dict()), strict=False)
        if unexpected or set(missing) - {"lm_head.weight"}:
            raise UserError(f"가중치의 이름이 GPT-2와 맞지 않습니다: {sorted({*unexpected, *missing})[:3]}")
        model.tie_weights()
        return model.eval()

    def save_hugging_face(self, folder: Path) -> None:
        """`transformers.pipeline("text-generation", model=폴더)`가 읽는 폴더로 저장합니다."""
        from transformers import PreTrainedTokenizerFast

        self.to_hugging_face().save_pretrained(folder)
        end = self.tokenizer.end_of_text
        own = self.tokenizer.composing()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=own, bos_token=end, eos_token=end)
        complete_tokenizer(tokenizer, self.config.max_seq_len).save_pretrained(folder)
        facts = {
            "파라미터": f"{self.num_parameters():,}개",
            "문맥": f"{self.config.max_seq_len}토큰",
            "글": Path(self.config.data).name,
        }
        write_model_card(folder, "작은 GPT", "text-generation", facts, "옛날 옛적에")


def to_onnx(model: step2_gpt_model.GPT, path: Path) -> None:
    """모델을 ONNX로 내보냅니다. 입력 `ids`는 (배치, 길이), 출력 `logits`는 (배치, 길이, 어휘)입니다.

    배치는 아무 크기나, 길이는 1부터 max_seq_len까지 됩니다.
    """
    length = model.config.max_seq_len
    example = torch.zeros(2, min(8, length), dtype=torch.long)
    model.eval()
    with quiet_export():
        # [TODO 6-3] 배치와 길이가 달라질 수 있다고 알리며 model을 내보내 program을 얻으세요.
        # 힌트: torch.onnx.export(모델, (example,), dynamo=True, input_names=…, output_names=…, dynamic_shapes=…).
        #       dynamic_shapes는 입력마다 달라지는 축의 번호와 이름을 적은 딕셔너리입니다. 없으면 example과 같은 모양만
        #       받는 그래프가 됩니다. 입력과 출력의 이름, 축의 차례는 이 함수의 설명에 있습니다.
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            input_names=["ids"],
            output_names=["logits"],
            dynamic_shapes={"ids": {0: "batch", 1: "length"}},
        )
        # [END 6-3]
        with written_aside(path) as aside:
            program.save(aside)


def quantize(source: Path, target: Path) -> None:
    """ONNX 모델의 가중치를 8비트 정수로 줄입니다. 입력은 돌 때마다 그때의 범위로 줄입니다(동적)."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet_export(), written_aside(target) as aside:
        # [TODO 6-4] source의 행렬곱과 임베딩을 8비트로 줄여 aside에 쓰되, 행렬곱은 가중치의 열마다 눈금을 따로 두세요.
        # 힌트: quantize_dynamic(읽을 파일, 쓸 파일, weight_type=…, op_types_to_quantize=…, per_channel=…). ONNX에서
        #       행렬곱은 MatMul, 임베딩은 Gather입니다(Gather는 언제나 눈금 하나입니다). 큰 열과 작은 열이 눈금 하나를
        #       함께 쓰면 작은 열은 어떻게 될까요?
        quantize_dynamic(
            source,
            aside,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=True,
        )
        # [END 6-4]


def largest_difference(one, other, vocab_size: int, length: int) -> float:
    """같은 입력에서 두 모델의 로짓이 가장 많이 다른 만큼."""
    ids = torch.randint(vocab_size, (2, length), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, second = (model(ids) for model in (one, other))
        return (first - getattr(second, "logits", second)).abs().max().item()


def main(options: Options) -> None:
    """가장 좋은 모델을 Hugging Face, ONNX, 8비트 ONNX로 내보내고 나란히 잽니다."""
    quiet_transformers()
    config = ExportConfig.of(options)
    path, folder = source_and_target(config)
    model = runs.load_model(GPT, path)
    data = LMData(model.config)  # 나란히 잴 글이 없거나 달라졌다면, 내보내기 전에 알립니다.
    runs.require_same_tokenizer(model.tokenizer.to_text(), data.tokenizer)
    export(model, folder)
    rows = measure(model, data, folder)
    show_table(rows)
    write_json(folder / "export.json", rows)
    say(f"내보낸 폴더: {shown(folder)}")


def source_and_target(config: ExportConfig) -> tuple[Path, Path]:
    """(내보낼 체크포인트, 내보낼 폴더)."""
    if config.checkpoint:
        path = Path(config.checkpoint).expanduser()
        folder = path.parent / "export"
    else:
        run_folder = runs.find_run(config)
        path = run_folder.best_model
        folder = run_folder.export
    return path, require_writable_folder(config.export_to) if config.export_to else folder


def export(model: GPT, folder: Path) -> None:
    """세 가지로 내보내고, 8비트가 아닌 것들은 원래와 같은 모델인지 봅니다.

    Raises:
        UserError: 내보낸 모델의 로짓이 원래와 `CLOSE_ENOUGH`보다 다를 때.
    """
    with folder_written_aside(folder / "hugging_face") as aside:
        model.save_hugging_face(aside)
    to_onnx(model, folder / "model.onnx")
    quantize(folder / "model.onnx", folder / "model.int8.onnx")
    for name, other in (("Hugging Face", model.to_hugging_face()), ("ONNX", OnnxModel(folder / "model.onnx"))):
        difference = largest_difference(model, other, model.vocab_size, model.config.max_seq_len)
        say(f"{name}: 로짓의 차이는 많아야 {difference:.1e}")
        if difference > CLOSE_ENOUGH:
            raise UserError(f"{name}(으)로 내보낸 모델이 원래와 다릅니다. 내보낸 것을 쓰지 마세요.")


def measure(model: GPT, data: LMData, folder: Path) -> list[dict[str, Any]]:
    """PyTorch와 ONNX, 8비트 ONNX의 파일 크기와 속도, 검증 글의 혼란도."""
    length = model.config.max_seq_len
    loader = DataLoader(WindowDataset(data.valid.tokens, length, length), batch_size=8)
    one_text = torch.zeros(1, length, dtype=torch.long)
    rows = []
    for name, candidate, path in (
        ("PyTorch fp32", model, folder / "hugging_face" / "model.safetensors"),
        ("ONNX fp32", OnnxModel(folder / "model.onnx"), folder / "model.onnx"),
        ("ONNX int8", OnnxModel(folder / "model.int8.onnx"), folder / "model.int8.onnx"),
    ):
        with torch.no_grad():
            scores = torch.cat([window_scores(candidate(x), y) for x, y in loader])  # (창, 2)
            seconds = seconds_per_call(candidate, one_text)
        row = {
            "model": name,
            "mebibytes": path.stat().st_size / 2**20,
            "tokens_per_second": length / seconds,
            "perplexity": math.exp(scores[:, 0].mean().item()),
        }
        rows.append(row)
    return rows


def show_table(rows: list[dict[str, Any]]) -> None:
    """`measure`가 잰 것을 표로 보입니다."""
    table = Table("모델", "크기 (MiB)", "토큰/초", "검증 혼란도")
    for row in rows:
        size = f"{row['mebibytes']:.1f}"
        speed = f"{row['tokens_per_second']:,.0f}"
        table.add_row(row["model"], size, speed, f"{row['perplexity']:.2f}")
    console.print(table)


if __name__ == "__main__":
    cli = new_app("GPT 내보내기", no_args_is_help=False)
    cli.command()(with_options(ExportConfig)(main))
    run(cli)
