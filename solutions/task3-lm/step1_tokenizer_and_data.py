"""1단계 · 토크나이저와 데이터: 글을 번호로, 번호를 창으로

언어 모델이 배우는 것은 단 하나, "다음 토큰은 무엇인가"입니다. 정답을 사람이 달 필요가 없습니다: 글 자체가 정답입니다.
이 단계에서는 글을 토큰의 번호로 바꾸고, 일정한 길이의 창(window)으로 잘라 모델이 읽을 배치를 만듭니다.

    python step1_tokenizer_and_data.py               # 내장된 이야기의 토큰과 창을 보여 줍니다 (약 3초)
    python step1_tokenizer_and_data.py 내글.txt      # 내 글로 해 봅니다

배우는 것
    - BPE(byte pair encoding)의 합치기 한 번: 라이브러리가 수천 번 되풀이할 일을 먼저 손으로 합니다(준비 운동, 1-0)
    - 바이트 단위 BPE(byte-level BPE): 모르는 토큰([UNK])이 되는 글자가 없습니다
    - 나누기가 먼저, 창이 나중: 겹치는 창을 만든 뒤에 나누면 검증할 글을 이미 배운 셈이 됩니다
    - 입력과 정답: 같은 글을 한 칸 밀어 놓은 두 벌
    - 로더: 학습은 섞고, 검증은 섞지 않습니다

하지 않는 것: 모델. 2단계에서 만듭니다.
"""

import hashlib
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nlpbook.cli import run_script
from nlpbook.errors import UserError
from nlpbook.language.config import LMConfig
from nlpbook.language.texts import TextCorpus, TextPart
from nlpbook.language.tokens import END_OF_TEXT, TextTokenizer, TokenFile, write_tokens
from nlpbook.text import composed

SMALL_TEXT_WINDOWS = 1_200  # 작은 글은 창이 이만큼은 되도록 겹칩니다. 배치 8개씩이면 한 에포크가 150스텝입니다.
Word = tuple[bytes, ...]  # 낱말 하나를 나눈 조각들. 처음에는 조각마다 한 바이트입니다.
Pair = tuple[bytes, bytes]


def merge_most_common(words: Mapping[Word, int]) -> tuple[Pair, dict[Word, int]]:
    """가장 자주 이웃한 두 조각을 하나로 합칩니다. (Sennrich 외 2016, 알고리즘 1)

    Args:
        words: 조각으로 나눈 낱말 → 글에 나온 횟수. 바꾸지 않습니다. 두 조각 넘는 낱말이 하나는 있습니다.

    Returns:
        (합친 두 조각, 합친 뒤의 낱말 → 횟수). 낱말의 차례와 횟수는 그대로이고, 그 짝이 없는 낱말도 남습니다.
    """
    # [TODO 1-0] 가장 많이 이웃한 두 조각을 pair에, 낱말마다 그 둘을 모두 붙인 딕셔너리를 merged에 담으세요.
    # 힌트: 먼저 셉니다. 한 낱말에 세 번 나온 짝은 세 번이고, 다섯 번 나온 낱말의 짝은 다섯 배입니다. 횟수가 같은 짝이
    #       여럿이면 바이트의 차례로 앞선 것(min)을 고릅니다.
    counts: Counter[Pair] = Counter()
    for word, count in words.items():
        for neighbours in pairwise(word):
            counts[neighbours] += count
    pair = min(counts, key=lambda one: (-counts[one], one))
    merged: dict[Word, int] = {}
    for word, count in words.items():
        pieces: list[bytes] = []
        for piece in word:
            if pieces and (pieces[-1], piece) == pair:
                pieces[-1] += piece
            else:
                pieces.append(piece)
        merged[tuple(pieces)] = count
    # [END 1-0]
    return pair, merged


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> TextTokenizer:
    """글에서 바이트 단위 BPE 토크나이저를 학습합니다. (Radford 외, GPT-2, 2.2절)

    먼저 낱말과 문장 부호로 가르고(앞의 빈칸은 낱말에 붙습니다), 그 안에서 256가지 바이트에서 시작해 가장 자주 이웃하는
    둘을 하나로 합치는 일을 되풀이합니다. 한글 한 글자는 UTF-8로 세 바이트라, 처음 보는 글자도 바이트 셋으로는 적을 수
    있습니다.

    Args:
        texts: 학습할 글의 조각들. 검증할 글은 넣지 않습니다.
        vocab_size: 어휘의 크기. 글이 짧으면 이보다 작게 끝납니다.

    Returns:
        `encode`와 `decode`가 있는 토크나이저. 글의 끝 토큰 `END_OF_TEXT`를 어휘에 담고 있습니다.
    """
    texts = map(composed, texts)  # 'ㄱㅏ'로 풀어 적은 글도 '가'로 모아서(NFC) 배웁니다. encode도 그렇게 읽습니다.
    # [TODO 1-1] 바이트 단위 BPE tokenizer를 만들고 texts로 학습하세요. 특수 토큰은 END_OF_TEXT 하나입니다.
    # 힌트: models.BPE, pre_tokenizers.ByteLevel(글 앞에 빈칸을 더하지 않습니다), decoders.ByteLevel,
    #       trainers.BpeTrainer를 씁니다. 학습할 글에 없던 바이트도 적을 수 있으려면, 처음 어휘(initial_alphabet)에
    #       무엇이 들어 있어야 할까요?
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # [END 1-1]
    return TextTokenizer(tokenizer, END_OF_TEXT)


def split_corpus(corpus: TextCorpus, val_ratio: float) -> tuple[TextPart, TextPart]:
    """글을 학습할 앞부분과 검증할 뒷부분으로 나눕니다. 어느 줄도 두 쪽에 들어가지 않습니다.

    Args:
        corpus: `corpus.num_bytes`는 전체 크기, `corpus.part(시작, 끝)`은 첫 바이트가 그 사이에 있는 줄들입니다.
        val_ratio: 뒤에서 검증으로 떼어 둘 비율, 0과 1 사이.

    Returns:
        (학습할 부분, 검증할 부분).
    """
    # [TODO 1-2] 글의 앞 (1 - val_ratio)만큼을 train에, 나머지를 valid에 담으세요. 크기는 바이트로 잽니다.
    # 힌트: 두 부분이 만나는 곳은 하나입니다. 그 바이트에서 시작하는 줄은 어느 쪽의 것일까요?
    boundary = round(corpus.num_bytes * (1 - val_ratio))
    train = corpus.part(0, boundary)
    valid = corpus.part(boundary, corpus.num_bytes)
    # [END 1-2]
    return train, valid


class WindowDataset(Dataset):
    """긴 토큰의 줄을 일정한 길이의 창으로 자른 데이터셋.

    Args:
        tokens: (토큰 수,) 토큰 번호. 메모리 맵이어도 됩니다.
        max_seq_len: 창 하나의 길이(입력의 토큰 수).
        stride: 이웃한 두 창의 시작이 떨어진 거리. max_seq_len이면 겹치지 않습니다.
        bytes_per_token: 토큰 하나가 담은 글의 평균 크기(UTF-8 바이트). 이 글의 바이트당 비트를 셈할 때 씁니다.
    """

    def __init__(self, tokens, max_seq_len: int, stride: int, bytes_per_token: float = math.nan) -> None:
        self.tokens = tokens
        self.max_seq_len = max_seq_len
        self.stride = stride
        self.bytes_per_token = bytes_per_token

    def __len__(self) -> int:
        """만들 수 있는 창의 수. 다 채우지 못하는 마지막 창은 버립니다."""
        total = len(self.tokens)
        length = self.max_seq_len
        stride = self.stride
        # [TODO 1-3] total개의 토큰에서 stride마다 시작하는 창이 몇 개 나오는지 count에 담으세요. 하나도 없으면 0입니다.
        # 힌트: 정답은 입력보다 한 칸 뒤까지 봅니다. 그러면 창 하나에는 토큰이 몇 개 필요할까요?
        count = max(0, (total - length - 1) // stride + 1)
        # [END 1-3]
        return count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """`index`번째 창의 입력과 정답. 둘 다 (max_seq_len,) int64이고, 정답은 입력보다 한 칸 뒤의 토큰입니다."""
        start = index * self.stride
        # [TODO 1-4] start에서 시작하는 inputs와, 그보다 한 칸 뒤에서 시작하는 targets를 self.tokens에서 꺼내세요.
        # 힌트: 둘의 길이는 같습니다. 입력의 i번째 자리에서 모델이 맞혀야 할 것은 정답의 몇 번째 자리에 있나요?
        inputs = self.tokens[start : start + self.max_seq_len]
        targets = self.tokens[start + 1 : start + self.max_seq_len + 1]
        # [END 1-4]
        return torch.from_numpy(inputs.astype("int64")), torch.from_numpy(targets.astype("int64"))


class LMData:
    """설정에 적힌 글을 토큰 파일로 바꾸어 두고, 거기서 로더를 만듭니다.

    같은 글과 설정이면 전에 만든 토큰 파일을 다시 씁니다. 이 파일의 코드를 고치면 새로 만듭니다.

    Args:
        config: 설정.
        folder: 토큰 파일을 둘 폴더. None이면 `<output>/<project>/tokens/`.

    Attributes:
        tokenizer: 글 ↔ 번호.
        train, valid: 두 부분의 `TokenFile`.

    Raises:
        UserError: 글이 없거나, UTF-8이 아니거나, 창 하나를 만들기에도 짧을 때.
    """

    def __init__(self, config: LMConfig, folder: Path | str | None = None) -> None:
        self.config = config
        self.corpus = TextCorpus(config.data, config.data_home, config.max_bytes)
        given = TextTokenizer.load(config.tokenizer) if config.tokenizer else None
        self.folder = Path(folder or Path(config.output) / config.project / "tokens") / self._key(given)
        self.tokenizer = given or self._learned()
        self.train = self._tokens("train.bin")
        self.valid = self._tokens("valid.bin")

    @cached_property
    def parts(self) -> tuple[TextPart, TextPart]:
        """(학습할 부분, 검증할 부분). 나누려면 글을 한 번 다 읽으므로, 토큰 파일이 이미 있으면 나누지 않습니다."""
        return split_corpus(self.corpus, self.config.val_ratio)

    def _key(self, given: TextTokenizer | None) -> str:
        """글과 이 파일의 코드, 토큰에 영향을 주는 설정으로 정해지는 폴더 이름."""
        code = Path(__file__).read_text(encoding="utf-8")
        tokenizer = given.to_text() if given else self.config.vocab_size
        facts = [self.corpus.fingerprint(), code, tokenizer, self.config.val_ratio]
        return f"{self.corpus.name}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]}"

    def _learned(self) -> TextTokenizer:
        path = self.folder / "tokenizer.json"
        if not path.is_file():
            train_tokenizer(self.parts[0].texts(), self.config.vocab_size).save(path)
        return TextTokenizer.load(str(path))

    def _tokens(self, name: str) -> TokenFile:
        path = self.folder / name
        number = 0 if name.startswith("train") else 1
        tokens = TokenFile(path) if path.is_file() else write_tokens(self.tokenizer, self.parts[number], path)
        needed = self.config.max_seq_len + 1
        if len(tokens) < needed:
            kind = ("학습", "검증")[number]
            raise UserError(
                f"{kind}에 쓸 글이 {len(tokens):,}토큰뿐입니다. 창 하나를 만들려면 {needed:,}토큰이 있어야 합니다. 더 "
                "긴 글을 --data에 주거나 --max_seq_len을 줄여 주세요."
            )
        return tokens

    @property
    def stride(self) -> int:
        """학습할 창의 간격. 적지 않으면, 창이 `SMALL_TEXT_WINDOWS`개쯤 되도록 정하되 창보다 넓게 띄우지는 않습니다."""
        spacing = (len(self.train) - self.config.max_seq_len) // SMALL_TEXT_WINDOWS
        return self.config.stride or max(1, min(self.config.max_seq_len, spacing))

    def train_dataloader(self) -> DataLoader:
        """학습 로더. 배치는 (입력, 정답)이고 둘 다 (배치, 길이)입니다.

        4단계가 `loader.dataset`에게 bytes_per_token을 물으므로, 읽는 것은 위의 dataset 그대로입니다.
        """
        dataset = WindowDataset(self.train.tokens, self.config.max_seq_len, self.stride, self.train.bytes_per_token)
        # [TODO 1-5] dataset의 모든 창을 에포크마다 새로 섞어 batch_size개씩 내는 DataLoader를 loader에 담으세요.
        # 힌트: 설정(self.config)의 batch_size와 workers를 씁니다. 겹치는 창을 순서대로 읽으면 이웃한 배치들은 서로
        #       얼마나 닮았을까요? 마지막의 작은 배치도 남기나요?
        loader = DataLoader(dataset, batch_size=self.config.batch_size, shuffle=True, num_workers=self.config.workers)
        # [END 1-5]
        return loader

    def val_dataloader(self) -> DataLoader:
        """검증 로더. 창이 겹치지 않아 토큰마다 한 번씩만 재고, 순서를 섞지 않습니다."""
        length = self.config.max_seq_len
        dataset = WindowDataset(self.valid.tokens, length, length, self.valid.bytes_per_token)
        return DataLoader(dataset, batch_size=self.config.batch_size, num_workers=self.config.workers)


def show_merges(corpus: TextCorpus, merges: int = 60) -> None:
    counts = Counter(word for piece in corpus.pieces() for word in re.findall(r"\w+|[^\w\s]+", piece.text))
    words: dict[Word, int] = {tuple(bytes([byte]) for byte in word.encode()): n for word, n in counts.items()}
    before = sum(len(word) * count for word, count in words.items())
    made: list[str] = []
    while len(made) < merges and any(len(word) > 1 for word in words):  # 아주 짧은 글은 먼저 다 합쳐집니다.
        (left, right), words = merge_most_common(words)
        made.append((left + right).decode(errors="replace"))
    after = sum(len(word) * count for word, count in words.items())
    print(f"■ 글의 앞 {corpus.num_bytes:,}바이트에서 손으로 합치기 {len(made)}번: {before:,}조각 → {after:,}조각")
    print("  글자가 된 것: " + " ".join(one for one in made if "�" not in one) + "\n")


def main() -> None:
    config = LMConfig(data=sys.argv[1]) if len(sys.argv) > 1 else LMConfig()
    show_merges(TextCorpus(config.data, config.data_home, max_bytes=60_000))
    data = LMData(config)
    print(f"■ 글: {data.corpus!r}")
    print(f"  학습 {data.train.num_bytes:,}바이트 = {len(data.train):,}토큰")
    print(f"  검증 {data.valid.num_bytes:,}바이트 = {len(data.valid):,}토큰")
    print(f"  어휘 {len(data.tokenizer):,}개, 토큰 하나에 평균 {data.train.bytes_per_token:.1f}바이트")

    sentence = "옛날 옛적에 작은 여우가 살았습니다. 😀"
    ids = data.tokenizer.encode(sentence)
    print(f"\n■ 문장 하나: {sentence}")
    print("  " + " ".join(f"{one}[{data.tokenizer.decode([one])}]" for one in ids))
    print("  (�는 글자의 일부만 담은 토큰입니다. 처음 보는 😀는 바이트 넷으로 적혔습니다)")

    loader = data.train_dataloader()
    inputs, targets = (part[None] for part in loader.dataset[len(loader.dataset) // 2])
    print(
        f"\n■ 창: 길이 {config.max_seq_len}, 간격 {data.stride}, 모두 {len(loader.dataset):,}개 → {len(loader):,}배치"
    )
    batch = next(iter(loader))
    print(f"  배치의 모양: 입력 {tuple(batch[0].shape)}, 정답 {tuple(batch[1].shape)}")
    for position in range(3):
        context = data.tokenizer.decode(inputs[0, : position + 1].tolist())
        answer = data.tokenizer.decode([targets[0, position].item()])
        print(f"  {context!r} 다음은 {answer!r}")

    # 더 해 보기: LMConfig()를 LMConfig(vocab_size=512)로 바꾸면 토큰의 수와, 문장 하나의 토큰은 어떻게 달라질까요?


if __name__ == "__main__":
    run_script(main)
