"""YAML 설정 파일을 OmegaConf로 읽고, 항목마다 몇 번째 줄에 있는지도 알아냅니다.

OmegaConf는 PyYAML이 글로 읽는 `1e-5`를 수로 읽고, `${다른.항목}`을 그 값으로 바꾸어 줍니다.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nlpbook.errors import UserError
from nlpbook.paths import shown

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # C로 짠 것이 열 배쯤 빠릅니다.


def read_yaml(path: Path | str) -> tuple[Any, dict[tuple[str, ...], int]]:
    """파일의 값과, 항목의 경로(`("training", "epochs")`) → 줄 번호(1부터).

    Raises:
        UserError: 파일이 없거나, UTF-8이 아니거나, YAML이 아니거나, `${…}`가 가리키는 것이 없을 때.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        made = OmegaConf.create(text) if text.strip() else OmegaConf.create()
        return OmegaConf.to_container(made, resolve=True), _lines(yaml.compose(text, Loader=LOADER))
    except FileNotFoundError:
        raise UserError(f"설정 파일이 없습니다: {shown(path)}. 경로를 확인해 주세요.") from None
    except UnicodeDecodeError:
        raise UserError(f"{shown(path)} 은(는) UTF-8 글이 아닙니다. UTF-8로 저장해 주세요.") from None
    except OSError as error:
        raise UserError(f"설정 파일을 읽을 수 없습니다: {shown(path)} ({error.strerror}).") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" {mark.line + 1}번째 줄" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{shown(path)}{line}이(가) YAML의 모양이 아닙니다({problem}). 고쳐 주세요.") from None
    except OmegaConfBaseException as error:
        problem = str(error).splitlines()[0]
        raise UserError(
            f"{shown(path)} 의 ${{…}}를 풀 수 없습니다({problem}). 가리키는 이름을 확인해 주세요."
        ) from None


def _lines(node: yaml.Node | None, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            found[here] = key.start_mark.line + 1
            found |= _lines(value, here)
    return found
