"""사전학습 모델을 이름으로 찾습니다: 내장 모델, 폴더, 허브 이름."""

from __future__ import annotations

from pathlib import Path

from nlpbook.errors import UserError
from nlpbook.paths import MODELS

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def resolve_pretrained(name: str) -> str:
    """`from_pretrained`에 넘길 이름을 돌려줍니다. 받을 수 없는 이름이면 여기서 바로 알립니다.

    Args:
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
        return str(_checked(folder))
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise UserError(
            f"모델 폴더가 없습니다: {folder}. 경로를 확인해 주세요. 내장 모델은 --pretrained ko-bert-tiny 입니다."
        )
    return _on_hub(name)


def _checked(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{folder} 은(는) 모델 폴더가 아닙니다(config.json이 없습니다). save_pretrained로 저장한 폴더를 주세요."
        )
    if not any((folder / file).is_file() for file in WEIGHTS):
        raise UserError(f"{folder} 에 가중치(model.safetensors)가 없습니다. save_pretrained로 저장한 폴더를 주세요.")
    if not any((folder / file).is_file() for file in ("tokenizer.json", "vocab.txt", "spiece.model")):
        raise UserError(f"{folder} 에 토크나이저(tokenizer.json)가 없습니다. tokenizer.save_pretrained도 불러 주세요.")
    return folder


def _on_hub(name: str) -> str:
    """허브에 있으면 이름 그대로, 닿지 않으면 전에 받아 둔 폴더.

    허브에는 한 번만 물어 봅니다. 닿지 않는 허브를 transformers에 맡기면 파일마다 20초 넘게 다시 걸어 봅니다.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    try:
        get_hf_file_metadata(hf_hub_url(name, "config.json"))
        return name
    except HFValidationError:
        raise UserError(
            f"모델 이름이 올바르지 않습니다: {name!r}. 예: ko-bert-tiny, beomi/KcELECTRA-base, ./내폴더"
        ) from None
    except Exception as error:  # 끊긴 선, 프록시, 인증서 등 네트워크 라이브러리마다 다른 오류
        if snapshot := _snapshot(name):
            return snapshot
        if isinstance(error, (RepositoryNotFoundError, EntryNotFoundError)):
            raise UserError(
                f"허브에 '{name}' 모델이 없습니다. 이름을 확인해 주세요. 내장 모델은 ko-bert-tiny 입니다."
            ) from None
        why = (
            str(error)[:80] if isinstance(error, HfHubHTTPError) else "네트워크에 닿지 않고, 전에 받아 둔 것도 없습니다"
        )
        raise UserError(
            f"허브의 모델 '{name}'을(를) 받을 수 없습니다: {why} ({type(error).__name__}). "
            "네트워크 없이 하려면: --pretrained ko-bert-tiny"
        ) from error


def _snapshot(name: str) -> str | None:
    """캐시에 온전히 받아 둔 모델의 폴더."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return str(_checked(Path(hf_hub_download(name, "config.json", local_files_only=True)).parent))
    except (LocalEntryNotFoundError, UserError):
        return None


def quiet_transformers() -> None:
    """새로 만든 분류층에 대한 경고와 가중치 읽기 막대를 끕니다. 미세조정에서는 늘 있는 일입니다."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
