"""옛 단일 설정 파일을 알아보고 지금의 모양으로 옮깁니다.

옛 파일에는 묶음이 general, tokenizer, training, wandb, inference의 다섯뿐이고, 요약을 쓰는 법이 inference에 있습니다.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from nlpbook.summarization.layers import Entry
from nlpbook.summarization.spellings import OLD_DATA, OLD_FILE, OLD_REPORT

OLD_GROUPS = {"general", "tokenizer", "training", "wandb", "inference"}


def is_old_file(values: Any) -> bool:
    """이 파일의 값들이 옛 단일 설정 파일의 것인가."""
    return isinstance(values, dict) and "inference" in values and set(values) <= OLD_GROUPS


def migrated(entries: Iterable[Entry]) -> Iterator[Entry]:
    """옛 항목들을 지금의 이름으로. 이름이 그대로인 것은 그대로 둡니다."""
    folder_name, files = OLD_DATA
    report_name, enabled_name = OLD_REPORT
    for one in entries:
        if one.name == folder_name:
            for name, file in files.items():
                yield one._replace(name=name, value=str(PurePosixPath(str(one.value).replace("\\", "/")) / file))
        elif one.name == report_name:
            places = one.value if isinstance(one.value, list) else [one.value]
            yield one._replace(name=enabled_name, value="wandb" in places or "all" in places)
        else:
            yield one._replace(name=OLD_FILE.get(one.name, one.name))
