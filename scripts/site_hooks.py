"""학습 가이드의 사이트를 지을 때 mkdocs가 부르는 것(mkdocs.yml의 hooks).

글의 원본은 저장소의 Markdown이고 베끼지 않습니다. 입구(README_stepwise_learning.md)는 docs/ 밖에 있으므로 첫 페이지로
건네고, GitHub에서 읽을 때의 링크를 사이트의 것으로 바꿉니다. 사이트에 없는 파일은 저장소의 주소로 잇습니다.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
ENTRY = "README_stepwise_learning.md"
FRONT = "index.md"
LINK = re.compile(r"(?P<before>\]\()(?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=\))")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def on_files(files: Files, *, config: Any) -> Files:
    """입구를 첫 페이지로 더합니다."""
    files.append(File.generated(config, FRONT, abs_src_path=str(ROOT / ENTRY)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """페이지의 상대 링크를 사이트의 것으로 바꿉니다. 코드 안의 것은 그대로입니다."""
    kept = []
    done = 0
    for fence in FENCE.finditer(markdown):
        kept += [_linked(markdown[done : fence.start()], page.file.src_uri), fence.group()]
        done = fence.end()
    return "".join([*kept, _linked(markdown[done:], page.file.src_uri)])


def _linked(text: str, here: str) -> str:
    return LINK.sub(lambda match: match["before"] + target(here, match["path"]) + (match["anchor"] or ""), text)


def target(here: str, path: str) -> str:
    """사이트의 페이지 `here`에 적힌 저장소의 상대 경로를, 그 페이지에서의 링크로."""
    source = ENTRY if here == FRONT else f"docs/{here}"
    wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if wanted == ENTRY or wanted.startswith("docs/"):
        there = FRONT if wanted == ENTRY else wanted.removeprefix("docs/")
        return posixpath.relpath(there, posixpath.dirname(here) or ".")
    if (ROOT / wanted).exists():
        return f"{repository()}/blob/main/{wanted}"
    return path


def repository() -> str:
    """저장소의 주소. pyproject.toml 한 곳에 있습니다."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^Repository = "(.+)"$', project, re.MULTILINE)
    if found is None:
        raise ValueError("pyproject.toml에 Repository가 없습니다.")
    return found[1]
