"""토크나이저 하나와, 디스크에 놓인 토큰들.

토큰 번호는 메모리 맵 파일(`numpy.memmap`)에 두므로, 글이 아무리 커도 배치에 쓰이는 만큼만 메모리에 올라옵니다.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, normalizers

from nlpbook.errors import UserError
from nlpbook.language.texts import Piece, TextPart
from nlpbook.paths import shown, write_text, written_aside
from nlpbook.screen import progress_bar
from nlpbook.text import composed

END_OF_TEXT = "<|endoftext|>"
OFFLINE = "--tokenizer를 비우면 글에서 새로 학습합니다."
PIECES_AT_ONCE = 2_000  # 한꺼번에 토큰으로 바꿀 조각의 수. Rust의 쓰레드들이 나누어 합니다.
BYTES_AT_ONCE = 2**20  # 조각이 길면 이만큼에서 끊습니다. 글이 아무리 커도 메모리는 이만큼의 몇 배만 듭니다.


class TextTokenizer:
    """글 ↔ 토큰 번호. 새로 학습한 것이든 Hugging Face에서 읽은 것이든 쓰는 법이 같습니다.

    글은 NFC로 모아 쓴 뒤에 번호로 바꿉니다. 그래서 `decode(encode(글))`은 NFC로 모아 쓴 글입니다.

    Args:
        tokenizer: `tokenizers.Tokenizer`.
        end_of_text: 문서의 끝을 뜻하는 토큰. 어휘에 있어야 합니다.

    Attributes:
        end_id: 그 토큰의 번호.
    """

    def __init__(self, tokenizer: Tokenizer, end_of_text: str = END_OF_TEXT) -> None:
        self.tokenizer, self.end_of_text = tokenizer, end_of_text
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        end_id = tokenizer.token_to_id(end_of_text)
        if end_id is None:
            raise UserError(f"이 토크나이저의 어휘에는 글의 끝을 뜻하는 토큰 {end_of_text!r}이(가) 없습니다.")
        self.end_id: int = end_id

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(composed(text), add_special_tokens=False).ids

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        whole = [composed(text) for text in texts]
        return [one.ids for one in self.tokenizer.encode_batch_fast(whole, add_special_tokens=False)]

    def decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def composing(self) -> Tokenizer:
        """스스로 NFC로 모아 쓰는 `tokenizers.Tokenizer`. 내보낸 모델에서도 같은 번호가 나옵니다."""
        own = Tokenizer.from_str(self.tokenizer.to_str())
        own.normalizer = normalizers.Sequence([one for one in (normalizers.NFC(), own.normalizer) if one])
        return own

    def to_text(self) -> str:
        """`from_text`가 되살리는 JSON."""
        return json.dumps({"end_of_text": self.end_of_text, "tokenizer": json.loads(self.tokenizer.to_str())})

    @classmethod
    def from_text(cls, text: str) -> TextTokenizer:
        saved = json.loads(text)
        return cls(Tokenizer.from_str(json.dumps(saved["tokenizer"])), saved["end_of_text"])

    def save(self, path: Path | str) -> None:
        """Hugging Face의 `tokenizer.json` 형식으로 저장합니다."""
        write_text(path, self.tokenizer.to_str(pretty=True))

    @classmethod
    def load(cls, name: str) -> TextTokenizer:
        """`tokenizer.json` 파일, Hugging Face 폴더, 또는 허브 이름에서 읽습니다.

        Raises:
            UserError: 파일이 토크나이저가 아니거나, 받을 수 없는 이름일 때.
        """
        if Path(name).is_file():
            try:
                text = Path(name).read_text(encoding="utf-8")
                if "end_of_text" in json.loads(text):  # `to_text`로 적은 것. 글의 끝 토큰의 이름까지 압니다.
                    return cls.from_text(text)
                return cls(Tokenizer.from_str(text))
            except UserError:
                raise
            except Exception as error:
                raise UserError(f"{name} 은(는) tokenizer.json이 아닙니다({type(error).__name__}).") from error
        from transformers import AutoTokenizer

        from nlpbook.pretrained import require_no_code, resolve_pretrained

        folder = Path(name).expanduser()
        require_no_code(folder)
        # 토크나이저만 있는 폴더도 됩니다.
        source = str(folder) if folder.is_dir() else resolve_pretrained(name, OFFLINE)
        try:
            loaded = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        except Exception as error:
            raise UserError(
                f"'{name}'에서 토크나이저를 읽을 수 없습니다({type(error).__name__}). tokenizer.json이 있는 폴더인지 "
                "확인해 주세요."
            ) from error
        ends = [one for one in (loaded.eos_token, loaded.sep_token) if one]
        if not getattr(loaded, "is_fast", False) or not ends:
            raise UserError(f"'{name}'의 토크나이저에는 빠른(fast) 구현이나 글의 끝을 뜻하는 토큰이 없습니다.")
        return cls(loaded.backend_tokenizer, ends[0])


class TokenMap(np.memmap):
    """토큰 번호의 메모리 맵. 다른 프로세스로는 내용 대신 파일의 경로가 건너가고, 거기서 다시 엽니다.

    `numpy.memmap`은 pickle하면 파일 전체를 베낍니다(numpy#2049). 잘라 낸 조각은 여느 배열처럼 내용이 건너갑니다.
    """

    def __reduce__(self) -> Any:
        if isinstance(self.base, mmap.mmap) and self.filename is not None:
            return _reopened, (str(self.filename), self.dtype.name)
        return np.asarray(self).__reduce__()


def _reopened(path: str, dtype: str) -> np.memmap:
    return TokenMap(path, dtype=dtype, mode="r")


class TokenFile:
    """디스크에 놓인 토큰 번호들.

    Attributes:
        tokens: (토큰 수,) uint16 또는 uint32의 메모리 맵. 읽기 전용입니다.
        num_bytes: 이 토큰들이 된 글의 크기(UTF-8 바이트).
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            facts = json.loads(self.path.with_suffix(".json").read_text(encoding="utf-8"))
            self.num_bytes = int(facts["num_bytes"])
            self.tokens = TokenMap(self.path.resolve(), dtype=facts["dtype"], mode="r")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"토큰 파일을 읽을 수 없습니다: {shown(self.path)} ({type(error).__name__}). 지우고 다시 학습해 주세요."
            ) from None

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def bytes_per_token(self) -> float:
        """토큰 하나가 담은 글의 평균 크기(UTF-8 바이트). 바이트당 비트(bits per byte)를 셈할 때 씁니다."""
        return self.num_bytes / len(self)


def write_tokens(
    tokenizer: TextTokenizer, part: TextPart, path: Path, description: str = "토큰으로 바꾸기"
) -> TokenFile:
    """글을 흘려보내며 토큰으로 바꾸어 `path`에 씁니다. 문서마다 글의 끝 토큰을 붙입니다.

    Raises:
        UserError: 글이 비어 있을 때.
    """
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 2**16 else np.uint32)
    num_bytes = num_tokens = 0
    with written_aside(path) as aside, progress_bar(description, part.stop - part.start) as advance:
        with aside.open("wb") as out:
            for pieces in _batches(part.pieces()):
                ids: list[int] = []
                for piece, encoded in zip(pieces, tokenizer.encode_batch([one.text for one in pieces]), strict=True):
                    ids += encoded
                    if piece.ends_document:
                        ids.append(tokenizer.end_id)
                np.asarray(ids, dtype=dtype).tofile(out)
                size = sum(piece.num_bytes for piece in pieces)
                num_bytes, num_tokens = num_bytes + size, num_tokens + len(ids)
                advance(size)
        if not num_tokens:
            raise UserError("글이 너무 짧아 나눌 수 없습니다. 더 긴 글을 --data에 주거나 --val_ratio를 바꾸어 주세요.")
        write_text(path.with_suffix(".json"), json.dumps({"dtype": dtype.name, "num_bytes": num_bytes}))
    return TokenFile(path)


def _batches(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += piece.num_bytes
        if len(batch) == PIECES_AT_ONCE or size >= BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
