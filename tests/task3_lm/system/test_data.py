"""검증할 글은 어디에서도 배우지 않습니다."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.task3_lm.checks import support
from tests.task3_lm.system.running import FOLDER

if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)


TRAINING = [f"{n}번째 이야기에서 여우가 {n * 37 % 101}번 뛰었습니다.\n" for n in range(60)]
HELD_OUT = [f"{n}번째 비밀: 쿼카쿼카가 {n * 53 % 97}번 울었습니다.\n" for n in range(900, 920)]


@pytest.fixture(scope="module")
def split(steps, tmp_path_factory) -> SimpleNamespace:
    """줄마다 다른 글. 뒤의 20줄에만 나오는 낱말이 있고, 꼭 그만큼이 검증입니다."""
    folder = tmp_path_factory.mktemp("split")
    path = folder / "unique.txt"
    path.write_text("".join(TRAINING + HELD_OUT), encoding="utf-8", newline="\n")
    sizes = [sum(len(line.encode()) for line in lines) for lines in (TRAINING, HELD_OUT)]
    config = support.tiny_config(
        data=str(path), val_ratio=(sizes[1] + 5) / sum(sizes), max_seq_len=64, stride=7, vocab_size=400
    )
    return SimpleNamespace(config=config, data=steps.step1.LMData(config, folder))


def test_no_line_of_validation_is_in_any_training_window(split):
    decode = split.data.tokenizer.decode
    windows = [
        decode([*inputs.tolist(), targets[-1].item()])
        for batch in split.data.train_dataloader()
        for inputs, targets in zip(*batch, strict=True)
    ]
    assert len(windows) > 50
    assert any(line in window for window in windows for line in TRAINING)  # 창은 줄 하나를 담을 만큼 깁니다.
    assert not [line for line in HELD_OUT for window in windows if line in window or "쿼카" in window]


def test_validation_holds_exactly_what_training_does_not(split):
    decode = split.data.tokenizer.decode
    learned, held_out = decode(split.data.train.tokens.tolist()), decode(split.data.valid.tokens.tolist())
    assert learned + held_out == "".join(TRAINING + HELD_OUT)
    assert (learned.count("쿼카"), held_out) == (0, "".join(HELD_OUT))


def test_the_tokenizer_never_saw_the_validation_text(split, steps):
    seen_all = steps.step1.train_tokenizer(TRAINING + HELD_OUT, split.config.vocab_size)
    assert len(seen_all.encode("쿼카쿼카")) < len("쿼카쿼카".encode()) / 2
    assert len(split.data.tokenizer.encode("쿼카쿼카")) >= len("쿼카쿼카".encode()) / 2


def test_an_edited_tokenizer_file_makes_new_tokens(steps, tmp_path):
    """같은 이름의 토크나이저라도 내용이 바뀌면 전의 토큰을 쓰지 않습니다."""
    tokenizer = tmp_path / "tokenizer.json"
    found = []
    for size in (300, 320):
        steps.step1.train_tokenizer(support.SENTENCES, size).save(tokenizer)
        found.append(steps.step1.LMData(support.tiny_config(tokenizer=str(tokenizer)), tmp_path))
    assert [len(one.tokenizer) for one in found] == [300, 320]
    assert len(found[0].train) > len(found[1].train)
