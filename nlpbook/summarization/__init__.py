"""대화 요약에 쓰는 것들을 한 이름으로.

from nlpbook.summarization import SummarizationConfig
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # 편집기가 늦게 읽는 이름의 형을 알게 합니다.
    from nlpbook.summarization.config import SummarizationConfig

HOMES = {"SummarizationConfig": "config"}

__all__ = ["SummarizationConfig"]


def __getattr__(name: str) -> Any:
    """무거운 라이브러리를 쓰지 않는 명령(`--help` 등)이 그것을 기다리지 않도록, 찾을 때 읽습니다."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
