"""내보낸 모델 폴더를 남이 그대로 쓸 수 있게: 모자란 토크나이저 설정을 채우고, 모델 카드(README.md)를 적습니다."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlpbook.paths import write_text


def complete_tokenizer(tokenizer: Any, max_length: int) -> Any:
    """패딩 토큰과 최대 길이를 아는 토크나이저. 없으면 여럿을 한꺼번에 넣거나 긴 글을 자를 때 멈춥니다.

    Args:
        tokenizer: Transformers의 토크나이저. 이것을 고칩니다.
        max_length: 모델이 배운 길이(토큰).

    Returns:
        받은 토크나이저.
    """
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.model_max_length = max_length
    return tokenizer


def write_model_card(folder: Path, title: str, tag: str, facts: Mapping[str, Any], example: str) -> None:
    """Hugging Face의 모델 카드를 `README.md`로 적습니다.

    Args:
        tag: 허브의 `pipeline_tag`. 예: `"text-classification"`.
        facts: 표에 적을 이름 → 값. 없는 값(None)은 적지 않습니다.
        example: 모델에 넣어 볼 글.
    """
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items() if value is not None)
    head = f"---\nlanguage: ko\nlibrary_name: transformers\npipeline_tag: {tag}\n---\n\n# {title}\n\n"
    note = "강의의 실습으로 학습한 모델입니다. 쓰기 전에 데이터와 바탕 모델의 사용 조건을 확인해 주세요.\n\n"
    table = f"| 항목 | 값 |\n|---|---|\n{rows}\n\n"
    code = f'from transformers import pipeline\n\nprint(pipeline("{tag}", model="이 폴더의 경로")("{example}"))'
    write_text(folder / "README.md", f"{head}{note}{table}## 쓰는 법\n\n```python\n{code}\n```\n")
