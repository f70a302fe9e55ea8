"""1단계 · 설정과 모델: 실험 하나를 파일 하나로

여러 사람이 주고받은 대화를 한두 문장으로 줄이는 모델을 만듭니다. 모델의 종류, 학습률, 배치 크기, 빔의 수까지 고를 것이
수십 가지입니다. 무엇을 골랐는지 적어 두지 않으면 좋은 결과를 얻고도 다시 얻지 못하고, 코드에 적어 두면 실험마다 코드가
달라집니다. 그래서 고른 것만 YAML 파일에 적습니다. 이 단계에서는 그 파일들을 읽어 설정 하나로 만들고, 설정이 가리키는
모델과 토크나이저가 화자 태그(`#Person1#`)를 알게 합니다.

    python step1_config_and_model.py                                  # 내장 모델의 설정을 보여 줍니다 (약 2초)
    python step1_config_and_model.py baseline_kobart --num_epochs 5   # 값마다 어디에서 왔는지 보세요
    LEARNING_RATE=1e-4 python step1_config_and_model.py quick training.batch_size=4

배우는 것
    - 물려받기(inheritance): 모든 실험에 같은 것은 한 파일에만 적고, 실험마다 다른 것만 그 위에 얹습니다
    - 앞서는 순서(precedence): 기본값 < 파일 < 환경 변수 < 명령줄 < 시도(trial)
    - 글과 수: 환경 변수와 명령줄의 "1e-4"는 글입니다. 수로 바꾸지 않으면 옵티마이저에 가서야 멈춥니다
    - 인코더-디코더와 디코더뿐인 모델: 같은 일을 다른 모양의 모델이 합니다
    - 토큰을 더하면 임베딩도 늘립니다: 새 행이 무엇에서 시작하는지가 화자를 가립니다

하지 않는 것: 대화를 읽는 일(2단계), 점수를 매기는 일(3단계), 학습(4단계).
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from nlpbook.cli import run_script
from nlpbook.errors import UserError
from nlpbook.pretrained import resolve_pretrained
from nlpbook.summarization import config_files
from nlpbook.summarization.architectures import (
    OFFLINE,
    architecture,
    load_tokenizer,
    resize_embedding_rows,
    settle_generation,
)
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.config_files import (
    circle,
    command_line_layer,
    environment_layer,
    find_config,
    problems_in,
    read_config_file,
    resolved,
    trial_layer,
)
from todo import todo

CONFIGS = Path(__file__).resolve().parent / "configs"
DEFAULT_CONFIG = "quick"

# ── 설정


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` 위에 `over`를 얹은 새 딕셔너리. 두 인수는 그대로입니다.

    딕셔너리와 딕셔너리가 만나면 그 안까지 포갭니다: `{"training": {"epochs": 3, "fp16": true}}` 위에
    `{"training": {"epochs": 9}}`을 얹어도 fp16은 남습니다. 딕셔너리가 아닌 값(목록도)은 얹은 것으로 통째로 바뀝니다.
    """
    # [TODO 1-1] base 위에 over를 얹은 새 딕셔너리를 both에 담으세요. 딕셔너리끼리 만나면 그 안까지 얹습니다.
    # 힌트: {**base, **over}는 training을 통째로 바꿉니다. 그 안의 딕셔너리를 얹는 일은, 지금 쓰는 함수가 하는 일과
    #       무엇이 다를까요? 설정 파일 하나를 여러 실험이 물려받는데, base를 고쳐 버리면 다음 실험은 무엇을 읽게 될까요?
    todo("1-1")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: both
    # [END 1-1]
    return both


def with_inheritance(path: Path | str, children: tuple[Path, ...] = ()) -> dict[str, Any]:
    """설정 파일의 값을, 그것이 물려받는(`inherits`) 파일들의 값 위에 얹은 것.

    Args:
        path: 설정 파일.
        children: 이 파일을 물려받아 여기까지 온 파일들. 처음에는 비어 있습니다.

    Returns:
        딕셔너리 안의 딕셔너리. 값은 `Sourced(값, 온 곳)`이라, 포개어도 어디에 적혀 있던 것인지 남습니다.

    Raises:
        UserError: 파일을 읽을 수 없거나, 물려받기가 맴돌 때.
    """
    path = Path(path).resolve()
    file = read_config_file(path)  # file.values는 이 파일에 적힌 것, file.parents는 물려받는 파일의 경로들
    # [TODO 1-2] file.parents의 값을 차례로 포개고 그 위에 file.values를 얹어 values에 담으세요. 맴돌면 멈춥니다.
    # 힌트: 부모에게도 부모가 있습니다. 그것까지 읽어 주는 함수는 무엇인가요? 여기까지 온 파일들(children)에 이 파일이
    #       이미 있다면 맴도는 것이니, raise circle([*children, path])로 알립니다.
    todo("1-2")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: values
    # [END 1-2]
    return values


def load_config(
    name_or_path: str | Path = DEFAULT_CONFIG,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    trial: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> SummarizationConfig:
    """실험 하나의 설정. `config.training.epochs`처럼 읽고 쓰고, `dict(config)`도 됩니다.

    Args:
        name_or_path: 설정의 이름(`"baseline_kobart"`)이나 YAML 파일의 경로.
        overrides: 명령줄에 적은 말들. 예: `["--num_epochs", "3", "training.learning_rate=1e-4"]`.
        trial: 탐색(sweep)이 고른 값. 예: `{"learning_rate": 3e-5}`.
        environment: 환경 변수. None이면 이 프로세스의 것입니다.

    Raises:
        UserError: 그런 설정이 없거나, 모르는 항목이나 맞지 않는 값이 있을 때.
    """
    path = find_config(name_or_path, CONFIGS)
    # [TODO 1-3] 파일, 환경 변수, 명령줄, 시도의 층을 뒤의 것이 앞의 것을 덮도록 차례로 포개어, 설정 config로 바꾸세요.
    # 힌트: 층을 만드는 것은 environment_layer, command_line_layer, trial_layer이고, 다 포갠 것을 설정으로 바꾸며 글을
    #       필드의 종류로 읽는 것은 resolved입니다. 명령줄에 방금 적은 것과 셸에 늘 있던 것이 다르면, 어느 쪽이
    #       사람의 뜻일까요?
    todo("1-3")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: config
    # [END 1-3]
    return config


class ConfigManager:
    """설정 파일을 읽고, 살피고, 옛 모양의 것을 옮깁니다."""

    def load_config(self, name_or_path: str | Path = DEFAULT_CONFIG, **more: Any) -> SummarizationConfig:
        """`load_config`와 같습니다."""
        return load_config(name_or_path, **more)

    def validate_config_file(self, name_or_path: str | Path) -> list[str]:
        """고칠 것들을 한 문장씩. 비어 있으면 맞습니다. 물려받는 파일들까지 봅니다."""
        try:
            path = find_config(name_or_path, CONFIGS)
            problems = problems_in(path)
            if not problems:
                resolved(with_inheritance(path))
        except UserError as error:
            return [str(error)]
        return problems

    def migrate(self, name_or_path: str | Path, to: Path | str | None = None) -> dict[str, Any]:
        """옛 단일 설정 파일을 지금의 이름으로 옮긴 값. `to`를 적으면 그 파일에 YAML로도 씁니다."""
        return config_files.migrate(find_config(name_or_path, CONFIGS), to)


# ── 모델과 토크나이저


def load_pretrained_model(config: SummarizationConfig) -> PreTrainedModel:
    """설정이 가리키는 모델. 인코더-디코더이거나, 디코더뿐입니다.

    Args:
        config: `model.architecture`가 구조를, `model.checkpoint`가 가중치를 정합니다.

    Returns:
        32비트 가중치의 모델, 평가 모드.
    """
    decoder_only = architecture(config.model.architecture).decoder_only
    checkpoint = resolve_pretrained(config.model.checkpoint, OFFLINE)
    # [TODO 1-4] 구조에 맞는 자동 클래스로 모델을 만들어 model에 담으세요. load_pretrained가 거짓이면 모양만 가져옵니다.
    # 힌트: AutoModelForSeq2SeqLM, AutoModelForCausalLM, AutoConfig. from_pretrained는 배운 가중치까지, from_config는
    #       모양만 만듭니다. 둘 가운데 하나를 고를 까닭이 두 번 있습니다. 허브에는 16비트로 저장된 모델도 있습니다:
    #       dtype을 적지 않으면 저장된 대로 16비트의 모델이 됩니다.
    todo("1-4")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: model
    # [END 1-4]
    return model.eval()


def register_speakers(tokenizer: PreTrainedTokenizerBase, tags: list[str]) -> dict[str, list[int]]:
    """화자 태그를 토큰 하나씩으로 등록합니다.

    Args:
        tokenizer: 여기에 태그가 더해집니다.
        tags: 예: `["#Person1#", "#Person2#"]`.

    Returns:
        태그 → 등록하기 전에 그 태그가 나뉘던 조각들의 번호. 새 임베딩의 처음 값을 정하는 데 씁니다.
    """
    pieces = {tag: tokenizer(tag, add_special_tokens=False)["input_ids"] for tag in tags}
    # [TODO 1-5] tags를 보통 토큰으로 tokenizer에 더하세요. 태그는 하나하나 쪼개지지 않는 토큰이 되어야 합니다.
    # 힌트: decode(…, skip_special_tokens=True)는 요약에서 특수(special) 토큰을 지웁니다. 태그까지 지워진 요약을 읽는
    #       사람은 무엇을 알 수 없게 될까요? 토큰의 성질은 AddedToken에 적어 add_tokens에 건넵니다.
    todo("1-5")  # 여기를 지우고 채워 주세요.
    # [END 1-5]
    return pieces


def resize_embeddings(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pieces: dict[str, list[int]]) -> None:
    """새 토큰만큼 임베딩의 행을 늘리고, 새 행의 처음 값을 정합니다.

    Args:
        pieces: 태그 → 등록하기 전에 나뉘던 조각들의 번호.
    """
    resize_embedding_rows(model, len(tokenizer))  # 늘리기만 합니다. 새 행들은 서로 거의 같습니다.
    embeddings = model.get_input_embeddings().weight.data  # (어휘, 차원)
    # [TODO 1-6] 태그마다, 그 태그의 행을 조각들의 행의 평균으로 채우세요. 나머지 행은 그대로입니다.
    # 힌트: 태그의 번호는 tokenizer.convert_tokens_to_ids가 압니다. 두 화자의 행이 똑같이 시작하면, 모델은 누가
    #       누구인지를 무엇으로 가릴까요? "#Person1#"과 "#Person2#"의 조각은 어디가 다른가요?
    todo("1-6")  # 여기를 지우고 채워 주세요.
    # [END 1-6]


def load_model_and_tokenizer(
    config: SummarizationConfig, tags: list[str] | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """설정의 모델과 토크나이저. 화자 태그를 알고, 생성 설정은 설정의 `generation`을 따릅니다.

    Args:
        tags: 등록할 화자 태그. None이면 설정의 `tokenizer.speaker_tags`입니다.
    """
    tokenizer = load_tokenizer(config.model.architecture, config.model.checkpoint, config.tokenizer.encoder_max_len)
    model = load_pretrained_model(config)
    pieces = register_speakers(tokenizer, tags or config.tokenizer.speaker_tags)
    resize_embeddings(model, tokenizer, pieces)
    settle_generation(model, tokenizer, config.generation)
    return model, tokenizer


def show_config(config: SummarizationConfig) -> None:
    print("■ 설정: 값과, 그것이 온 곳")
    print("  " + config.to_text().rstrip().replace("\n", "\n  "))
    for notice in config.notices():
        print(f"  알림: {notice}")


def main() -> None:
    words = sys.argv[1:]
    named = bool(words) and not words[0].startswith("-") and "=" not in words[0]
    name = words.pop(0) if named else DEFAULT_CONFIG
    config = load_config(name, words)
    show_config(config)

    print(f"\n■ 모델: {config.model.checkpoint}")
    try:
        model, tokenizer = load_model_and_tokenizer(config)
    except UserError as reason:  # 네트워크가 없어도 설정은 볼 수 있습니다.
        print(f"  {reason}")
        return
    print(f"  파라미터 {model.num_parameters():,}개, 어휘 {len(tokenizer):,}개, 디코더의 시작 ", end="")
    print(f"{tokenizer.convert_ids_to_tokens(model.config.decoder_start_token_id)!r}")
    turn = "#Person1#: 오늘 3시에 볼까?"
    ids = tokenizer(turn)["input_ids"]
    print(f"  {turn} → " + " ".join(tokenizer.convert_ids_to_tokens(ids)))
    print(f"  되돌리면 {tokenizer.decode(ids, skip_special_tokens=True)!r}")
    rows = model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(["#Person1#", "#Person2#"])]
    likeness = torch.nn.functional.cosine_similarity(rows[0], rows[1], dim=0).item()
    print(f"  두 화자의 임베딩의 코사인 유사도 {likeness:.3f}")

    # 더 해 보기: quick.yaml을 물려받는 내 설정 파일을 만들어 학습률만 바꾸어 보세요. 몇 줄이면 되나요?


if __name__ == "__main__":
    run_script(main)
