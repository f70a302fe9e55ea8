"""파일로 남기는 페이지: templates/의 틀에 값을 넣은, 다른 파일이 필요 없는 HTML 한 장."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from nlpbook.paths import TEMPLATES, write_text


def write_page(path: Path, template: str, **values: Any) -> None:
    """`templates/`의 `template`에 값을 넣어 `path`에 씁니다. 값은 글로만 들어갑니다(HTML로 해석되지 않습니다).

    Args:
        template: `"reports/mistakes.html"`처럼 templates/에서부터의 이름.
    """
    pages = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    write_text(path, pages.get_template(template).render(nonce="", **values))
