"""이름으로 말뭉치를 찾고, NSMC(Naver Sentiment Movie Corpus) 형식의 파일을 읽습니다.

파일은 `id<TAB>document<TAB>label`이고 첫 줄은 제목, 인용 부호의 특별한 뜻은 없습니다. 그래서 csv 모듈로 읽지 않습니다:
csv는 리뷰에 섞인 `"` 하나에 여러 줄을 한 줄로 합쳐, 15만 줄 가운데 수백 줄을 잃습니다. 빈 리뷰도 한 줄로 남깁니다.
출처: https://github.com/e9t/nsmc (CC0 1.0)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from nlpbook.errors import UserError
from nlpbook.paths import DATA, require_regular_file
from nlpbook.text import normalized

HEADER = ["id", "document", "label"]
NSMC_FILES = {"ratings_train.txt", "ratings_test.txt"}  # Korpora가 내려받는 것들


class LabeledText(NamedTuple):
    """글 하나와 그 라벨."""

    text: str
    label: str


def read_nsmc(path: Path | str, labels: tuple[str, ...] = ("0", "1")) -> list[LabeledText]:
    """NSMC 형식의 파일을 한 줄도 빠뜨리지 않고 읽습니다.

    BOM과 CRLF는 받아들이고, 나머지 어긋난 줄은 조용히 건너뛰지 않고 알립니다. 글은 NFC로 모아 쓰고, 보이는 글자가 없는
    리뷰는 빈 글로 바꿉니다(`nlpbook.text`).

    Raises:
        UserError: 파일이 없거나 비었거나 UTF-8이 아닐 때, 열이나 라벨이 틀렸을 때(파일과 줄 번호를 적습니다).
    """
    path = Path(path)
    # splitlines()는 리뷰 속의 U+2028 같은 글자에서도 줄을 나눕니다. NSMC의 줄은 \n으로만 끝납니다.
    lines = [line.removesuffix("\r") for line in _decoded(path).split("\n")]
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise UserError(f"데이터 파일이 비어 있습니다: {path}.")
    if lines[0].split("\t") != HEADER:
        raise UserError(
            f"{path}의 첫 줄은 'id<탭>document<탭>label'이어야 하는데 {lines[0][:60]!r}입니다. 열 이름을 확인해 주세요."
        )
    if len(lines) == 1:
        raise UserError(f"{path}에 제목 줄만 있고 예문이 없습니다.")
    examples = []
    for number, line in enumerate(lines[1:], start=2):
        columns = line.split("\t")
        if len(columns) != len(HEADER):
            raise UserError(f"{path} {number}번째 줄의 열이 {len(columns)}개입니다(3개여야 합니다): {line[:60]!r}")
        if columns[2] not in labels:
            raise UserError(
                f"{path} {number}번째 줄의 라벨이 {columns[2]!r}입니다({' 또는 '.join(labels)}이어야 합니다)."
            )
        examples.append(LabeledText(text=normalized(columns[1]), label=columns[2]))
    return examples


def _decoded(path: Path) -> str:
    """파일의 글. BOM은 뗍니다.

    Raises:
        UserError: 파일이 없거나, 보통 파일이 아니거나, 열 수 없거나, UTF-8이 아닐 때.
    """
    require_regular_file(path)
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"데이터 파일이 없습니다: {path}. --data_home과 --data_name, 파일 이름을 확인해 주세요."
        ) from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"데이터 파일을 열 수 없습니다: {path} ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1  # error.object에는 BOM이 없습니다.
        raise UserError(
            f"{path} {line}번째 줄이 UTF-8이 아닙니다. 편집기에서 'UTF-8로 저장'한 뒤 다시 실행해 주세요."
        ) from None


def find_corpus(home: str | Path, name: str, needed: list[str]) -> Path:
    """말뭉치 폴더를 찾습니다: `<home>/<name>` → `<home>` → 내장 → (nsmc라면) Korpora의 폴더 → Korpora로 내려받기.

    Raises:
        UserError: 어디에도 없고 내려받을 수도 없을 때.
    """
    home = Path(home).expanduser()
    candidates = [home / name, DATA / name]
    if home.name == name:
        candidates.insert(1, home)
    if name == "nsmc":
        candidates.append(korpora_home() / "nsmc")
    for folder in candidates:
        if all((folder / file).is_file() for file in needed):
            return folder
    for folder in candidates:  # 일부만 있는 폴더: NSMC라면 없는 것만 받고, 아니면 읽을 때 이름으로 알립니다.
        if any((folder / file).is_file() for file in needed):
            return fetch_nsmc(folder.parent) if name == "nsmc" and set(needed) == NSMC_FILES else folder
    if name == "nsmc":
        return fetch_nsmc(home)
    raise UserError(
        f"말뭉치 '{name}'을(를) 찾지 못했습니다: {home / name} 폴더에 {', '.join(needed)} 파일이 있어야 합니다. "
        "내장 말뭉치는 --data_name nsmc-sample, 실제 NSMC는 --data_name nsmc입니다."
    )


def korpora_home() -> Path:
    """Korpora가 파일을 두는 폴더. 패키지의 `default_korpora_path`와 같습니다."""
    from Korpora.utils import default_korpora_path

    return Path(default_korpora_path)


def fetch_nsmc(home: Path) -> Path:
    """Korpora로 NSMC를 `<home>/nsmc`에 내려받습니다. 없는 파일만 받습니다.

    Korpora 0.2.0은 파일이 있어도 주소를 먼저 열기 때문에, 이미 있는 파일에는 부르지 않습니다.

    Raises:
        UserError: 내려받지 못했을 때. 무엇을 어디에 두면 되는지 적습니다.
    """
    from Korpora.korpus_nsmc import NSMC_FETCH_INFORMATION
    from Korpora.utils import fetch

    for one in NSMC_FETCH_INFORMATION:
        target = home / one["destination"]
        if target.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            fetch(one["url"], str(aside), "nsmc", force_download=True, method=one["method"])
            read_nsmc(aside)  # 반쯤 받은 파일이나 오류 페이지를 말뭉치로 삼지 않습니다.
            aside.replace(target)
        except Exception as error:
            raise UserError(
                f"NSMC를 내려받지 못했습니다({type(error).__name__}). 네트워크를 확인하거나, {one['url']} 을(를) 받아 "
                f"{target} 에 두어 주세요. 네트워크 없이 하려면: --data_name nsmc-sample"
            ) from error
        finally:
            aside.unlink(missing_ok=True)
    return home / "nsmc"
