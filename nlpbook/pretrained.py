"""사전학습 모델을 이름으로 찾습니다: 내장 모델, 폴더, 허브 이름."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from nlpbook.errors import UserError
from nlpbook.paths import MODELS

EMBEDDED = "내장 모델은 --pretrained ko-bert-tiny 입니다."
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def resolve_pretrained(name: str, offline: str = EMBEDDED) -> str:
    """`from_pretrained`에 넘길 이름을 돌려줍니다. 받을 수 없는 이름이면 여기서 바로 알립니다.

    Args:
        offline: 네트워크 없이도 되는 것. 오류에 덧붙입니다.
        name: 내장 모델 이름(`ko-bert-tiny`), Hugging Face 형식의 폴더, 또는 허브 이름(`beomi/KcELECTRA-base`).

    Returns:
        폴더의 경로, 또는 허브 이름 그대로. 허브에 닿지 않으면 전에 받아 둔 것의 폴더입니다.

    Raises:
        UserError: 폴더에 모델이 없거나, 허브에 닿지 않고 캐시에도 없을 때.
    """
    quiet_transformers()
    embedded = [folder for folder in MODELS.iterdir() if folder.name == name]
    folder = embedded[0] if embedded else Path(name).expanduser()
    if folder.is_dir():
        return str(_checked(folder, offline))
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise UserError(f"모델 폴더가 없습니다: {folder}. 경로를 확인해 주세요. {offline}")
    return _on_hub(name, offline)


def _checked(folder: Path, offline: str = EMBEDDED) -> Path:
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{folder} 은(는) 모델 폴더가 아닙니다(config.json이 없습니다). save_pretrained로 저장한 폴더를 주세요."
        )
    if not any((folder / file).is_file() for file in WEIGHTS):
        raise UserError(f"{folder} 에 가중치(model.safetensors)가 없습니다. save_pretrained로 저장한 폴더를 주세요.")
    if not any((folder / file).is_file() for file in ("tokenizer.json", "vocab.txt", "spiece.model")):
        raise UserError(f"{folder} 에 토크나이저(tokenizer.json)가 없습니다. tokenizer.save_pretrained도 불러 주세요.")
    require_no_code(folder, offline)
    return folder


def require_no_code(folder: Path, offline: str = EMBEDDED) -> None:
    """폴더의 모델과 토크나이저가 Transformers에 있는 것인지 봅니다.

    `auto_map`이 있는 모델은 함께 든 파이썬 코드를 실행하려 하고, Transformers는 그래도 되는지 터미널에서 묻습니다.
    우리는 묻지도 실행하지도 않습니다. Transformers가 이미 아는 종류면 코드 없이 읽으므로 괜찮습니다.

    Raises:
        UserError: 함께 든 코드를 실행해야만 쓸 수 있을 때.
    """
    config = _json_of(folder / "config.json")
    tokenizer = _json_of(folder / "tokenizer_config.json")
    if "auto_map" not in {*config, *tokenizer}:
        return
    import transformers

    kind, tokenizer_class = config.get("model_type"), tokenizer.get("tokenizer_class")
    unknown_model = "auto_map" in config and kind not in transformers.CONFIG_MAPPING
    unknown_tokenizer = "auto_map" in tokenizer and not hasattr(transformers, str(tokenizer_class))
    if unknown_model or unknown_tokenizer:
        what = f"모델({kind})" if unknown_model else f"토크나이저({tokenizer_class})"
        raise UserError(
            f"{folder} 의 {what}은(는) 함께 든 코드를 실행해야 쓸 수 있어 읽지 않았습니다(auto_map). 코드 없이 쓸 수 "
            f"있는 모델을 주세요. {offline}"
        )


def _json_of(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # 없거나 읽을 수 없는 파일은, 읽는 쪽이 알립니다.
    return read if isinstance(read, dict) else {}


def _on_hub(name: str, offline: str) -> str:
    """허브에 있으면 이름 그대로, 닿지 않으면 전에 받아 둔 폴더.

    허브에는 한 번만 물어 봅니다. 닿지 않는 허브를 transformers에 맡기면 파일마다 20초 넘게 다시 걸어 봅니다.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    try:
        get_hf_file_metadata(hf_hub_url(name, "config.json"))
        config = hf_hub_download(name, "config.json")  # 어차피 받을 작은 파일들로, 코드가 드는지 먼저 봅니다.
        with suppress(EntryNotFoundError):
            hf_hub_download(name, "tokenizer_config.json")
        require_no_code(Path(config).parent, offline)
        return name
    except UserError:
        raise
    except HFValidationError:
        raise UserError(
            f"모델 이름이 올바르지 않습니다: {name!r}. 허브의 이름(소유자/모델)이나 폴더의 경로를 적어 주세요. "
            f"{offline}"
        ) from None
    except Exception as error:  # 끊긴 선, 프록시, 인증서 등 네트워크 라이브러리마다 다른 오류
        if snapshot := _snapshot(name):
            return snapshot
        if isinstance(error, (RepositoryNotFoundError, EntryNotFoundError)):
            raise UserError(f"허브에 '{name}' 모델이 없습니다. 이름을 확인해 주세요. {offline}") from None
        why = (
            str(error)[:80] if isinstance(error, HfHubHTTPError) else "네트워크에 닿지 않고, 전에 받아 둔 것도 없습니다"
        )
        raise UserError(
            f"허브의 모델 '{name}'을(를) 받을 수 없습니다: {why} ({type(error).__name__}). "
            f"네트워크 없이 하려면: {offline}"
        ) from error


def _snapshot(name: str) -> str | None:
    """캐시에 온전히 받아 둔 모델의 폴더."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return str(_checked(Path(hf_hub_download(name, "config.json", local_files_only=True)).parent))
    except (LocalEntryNotFoundError, UserError):
        return None


def untrained(model: Any) -> Any:
    """같은 설정의, 아무것도 배우지 않은 모델. 사전학습의 몫을 재는 절제 실험(ablation)에 씁니다.

    Args:
        model: Transformers의 모델. 바꾸지 않습니다.
    """
    return type(model)(model.config)


def quiet_transformers() -> None:
    """새로 만든 분류층에 대한 경고와 가중치 읽기 막대를 끕니다. 미세조정에서는 늘 있는 일입니다."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
