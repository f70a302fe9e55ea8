"""실습 코드가 딛고 서는 라이브러리입니다: 설정, 말뭉치, 데이터셋, 로더, 체크포인트, 기록, 서빙.

학생이 직접 써 보며 배울 것은 단계 파일에 있고, 어느 과제에나 필요하지만 새로 배울 것은 없는 코드가 여기 있습니다.
"""

from typing import TYPE_CHECKING, Any

from nlpbook.errors import UserError
from nlpbook.paths import DATA, OUTPUT, ROOT

if TYPE_CHECKING:  # 편집기가 아래의 늦게 읽는 이름도 알게 합니다.
    from nlpbook.classification.datasets import data_collator

__all__ = ["DATA", "OUTPUT", "ROOT", "UserError", "data_collator"]


def __getattr__(name: str) -> Any:
    """`nlpbook.data_collator`처럼 쓸 수 있게 합니다. torch를 쓰지 않는 명령이 torch를 기다리지 않도록 늦게 읽습니다."""
    if name == "data_collator":
        from nlpbook.classification.datasets import data_collator

        return data_collator
    raise AttributeError(f"module 'nlpbook' has no attribute {name!r}")
