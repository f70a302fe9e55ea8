"""3단계 · 한국어 ROUGE: 요약을 점수로

2단계의 배치로 모델을 가르치면 요약을 씁니다. 잘 썼는지는 어떻게 알까요? 사람이 쓴 요약과 겹치는 만큼을 재는 ROUGE가
널리 쓰입니다(Lin 2004). 그런데 널리 쓰이는 구현은 영어의 것입니다: 글에서 [a-z0-9]만 남기므로 한글이 모두 사라지고,
남는 것은 화자 태그뿐입니다. 그 점수로 고른 모델은 아무렇게나 고른 모델입니다. 이 단계에서는 한국어를 세는 ROUGE를
만듭니다.

    python step3_rouge_metrics.py    # 같은 요약을 세 가지로 나누어 재고, 점수의 함정을 보여 줍니다 (약 10초)

배우는 것
    - 무엇을 한 낱말로 셀지가 점수를 정합니다: 태그는 하나로, 한글은 음절로
    - 모델의 출력에도 -100이 섞입니다: 글로 되돌리기 전에 채움 토큰으로 바꿉니다
    - 짝마다 구한 F1의 평균, `rouge_sum`(셋의 합, 0~3)과 `rouge_combined_f1`(셋의 평균, 0~1)
    - 기준선(baseline): 늘 같은 문장과 앞의 두 마디. 이것을 넘지 못한 점수는 아무것도 말해 주지 않습니다

하지 않는 것: 이 점수로 가장 좋은 체크포인트를 고르는 일(4단계).
"""

import re
from collections.abc import Sequence

import torch
from rouge_score.rouge_scorer import RougeScorer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from step1_config_and_model import load_config, load_model_and_tokenizer
from step2_dialogue_dataset import IGNORED, Collator, DialogueSummarizationDataset

from nlpbook.cli import run_script
from nlpbook.summarization.baselines import CONSTANT, lead
from nlpbook.summarization.causal import summarize_by_continuing
from nlpbook.summarization.dialogues import read_dialogues
from nlpbook.summarization.rouge_tokenizers import RougeTokenizer, rouge_tokenizer

KEYS = ("rouge1", "rouge2", "rougeL")


class SyllableTokenizer:
    """한국어 요약을 ROUGE가 셀 조각으로 나눕니다. 이 강의의 기본입니다."""

    name = "syllable"

    def tokenize(self, text: str) -> list[str]:
        """글을 조각으로 나눕니다.

        Args:
            text: 요약. 예: `"#Person1#은 3시에 Tom을 만납니다."`

        Returns:
            조각들. 예: `["#person1#", "은", "3", "시", "에", "tom", "을", "만", "납", "니", "다"]`.
        """
        # [TODO 3-1] 소문자로 맞춘 글의 화자 태그, 한글 음절, 로마자 낱말, 수를 한 조각씩 차례로 pieces에 담으세요.
        # 힌트: 나머지(문장 부호, 빈칸)는 버립니다. re.findall이 앞에서부터 맞는 것을 찾습니다. 태그가 "#", "person",
        #       "1", "#"으로 흩어지면, 태그만 늘어놓은 문장의 점수는 어떻게 될까요? 한글 음절은 [가-힣] 하나입니다.
        pieces = re.findall(r"#person\d+#|[가-힣]|[a-z]+|\d+", text.lower())
        # [END 3-1]
        return pieces


def decode(tokenizer: PreTrainedTokenizerBase, ids: torch.Tensor) -> list[str]:
    """토큰 번호를 글로 되돌립니다. 예측에도 라벨에도 씁니다.

    Args:
        ids: (배치, 길이) 정수. 채운 자리에 -100이 섞여 있을 수 있습니다. 바꾸지 않습니다.

    Returns:
        글들. 시작, 끝, 채움 토큰은 빠지고 화자 태그는 남습니다.
    """
    # [TODO 3-2] -100을 채움 토큰으로 바꾼 뒤 글로 되돌려 texts에 담으세요. 특수 토큰은 뺍니다.
    # 힌트: tokenizer.batch_decode. 어휘에 -100번 토큰이 있을까요? 0으로 바꾸면, 0번은 무슨 토큰인가요?
    filled = ids.masked_fill(ids == IGNORED, tokenizer.pad_token_id)
    texts = tokenizer.batch_decode(filled, skip_special_tokens=True)
    # [END 3-2]
    return [text.strip() for text in texts]


def compute_rouge(
    predictions: Sequence[str], references: Sequence[str], tokenizer: RougeTokenizer | str = "syllable"
) -> dict[str, float]:
    """예측과 참조의 ROUGE. 짝마다 구한 F1을 그냥 평균합니다(어간 추출은 하지 않습니다).

    Args:
        predictions, references: 같은 수의 요약. 빈 요약의 짝은 0입니다. 짝이 하나도 없으면 점수는 모두 0입니다.
        tokenizer: 조각으로 나누는 법: `syllable`(기본), `word`, `char`, `morpheme`, 또는 `tokenize`가 있는 것.

    Returns:
        `rouge1`, `rouge2`, `rougeL`(0~1), `rouge_sum`(셋의 합, 0~3), `rouge_combined_f1`(셋의 평균, 0~1).

    Raises:
        ValueError: 두 목록의 길이가 다를 때.
    """
    if isinstance(tokenizer, str):
        tokenizer = SyllableTokenizer() if tokenizer == SyllableTokenizer.name else rouge_tokenizer(tokenizer)
    scorer = RougeScorer(list(KEYS), use_stemmer=False, tokenizer=tokenizer)
    scores: dict[str, float] = {}
    # [TODO 3-3] KEYS마다 짝들의 F1(fmeasure)의 평균을, 그리고 rouge_sum과 rouge_combined_f1을 scores에 담으세요.
    # 힌트: 짝 하나의 점수는 scorer.score(참조, 예측)입니다. 모든 요약을 이어 붙여 한 번에 재면 무엇이 뒤섞일까요?
    #       짝을 지을 때 길이가 다르면 멈추도록(strict=True) 하세요.
    pairs = [scorer.score(reference, prediction) for prediction, reference in zip(predictions, references, strict=True)]
    for key in KEYS:
        scores[key] = sum(pair[key].fmeasure for pair in pairs) / max(1, len(pairs))
    scores["rouge_sum"] = sum(scores[key] for key in KEYS)
    scores["rouge_combined_f1"] = scores["rouge_sum"] / len(KEYS)
    # [END 3-3]
    return scores


@torch.no_grad()
def summarize(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    dialogues: Sequence[str],
    max_len: int = 512,
    batch_size: int = 16,
) -> list[str]:
    """대화들을 요약합니다. 길이와 빔은 `model.generation_config`(설정의 generation)를 따릅니다.

    Args:
        max_len: 대화의 길이의 상한(토큰).

    Returns:
        대화와 같은 차례의 요약들.
    """
    if not model.config.is_encoder_decoder:  # 디코더뿐인 모델은 대화를 이어 쓰는 것으로 요약합니다.
        return summarize_by_continuing(model, tokenizer, dialogues, max_len, batch_size)
    dataset = DialogueSummarizationDataset(dialogues, None, tokenizer, encoder_max_len=max_len)
    collate = Collator(tokenizer.pad_token_id, model.config.decoder_start_token_id)
    order = sorted(range(len(dataset)), key=lambda index: -len(dataset[index]["input_ids"]))  # 긴 것부터
    summaries = [""] * len(dataset)
    was_training = model.training
    model.eval()
    for first in range(0, len(order), batch_size):
        numbers = order[first : first + batch_size]
        batch = collate([dataset[index] for index in numbers])
        # [TODO 3-4] 배치의 요약을 model.generate로 써서 글로 되돌리고, summaries의 제자리에 담으세요.
        # 힌트: 긴 것부터 읽으므로 차례가 바뀌어 있습니다: numbers가 제자리를 압니다. 배치를 모델의 장치로 옮기고,
        #       마스크도 건네야 합니다. 마스크가 없으면 모델은 채운 자리도 읽습니다.
        ids = model.generate(
            input_ids=batch["input_ids"].to(model.device),
            attention_mask=batch["attention_mask"].to(model.device),
        )
        for index, text in zip(numbers, decode(tokenizer, ids), strict=True):
            summaries[index] = text
        # [END 3-4]
    model.train(was_training)
    return summaries


def main() -> None:
    reference = "#Person1#은 비가 와서 등산을 미루자고 하고, #Person2#는 대신 미술관에 가자고 합니다."
    rewritten = "비 때문에 #Person1#과 #Person2#는 등산 대신 미술관에 가기로 합니다."
    print("■ 같은 요약, 다른 자")
    print(f"  참조  {reference}")
    print(f"  예측  {rewritten}")
    for name in ("word", "syllable", "char"):
        scores = compute_rouge([rewritten], [reference], name)
        print(f"  {name:<10}" + "  ".join(f"{key} {scores[key]:.3f}" for key in KEYS))

    rows = read_dialogues(load_config("quick").data.dev, need_summaries=True)
    print(f"\n■ 점수의 함정: 대화를 읽지 않고 쓴 요약들 (검증 대화 {len(rows)}개, rouge_sum)")
    fixed = [CONSTANT] * len(rows)
    opening = [lead(dialogue) for dialogue in rows.dialogues]
    print(f"  {'':<12}{'늘 같은 문장':>10}  {'앞의 두 마디':>10}")
    english = RougeScorer(list(KEYS))
    for name in ("영어의 것", "word", "syllable"):
        sums = []
        for texts in (fixed, opening):
            if name == "영어의 것":
                pairs = [english.score(one, text) for one, text in zip(rows.summaries, texts, strict=True)]
                sums.append(sum(pair[key].fmeasure for pair in pairs for key in KEYS) / len(pairs))
            else:
                sums.append(compute_rouge(texts, rows.summaries, name)["rouge_sum"])
        print(f"  {name:<12}{sums[0]:>12.3f}  {sums[1]:>12.3f}")
    print(f"  늘 같은 문장은 {CONSTANT!r}입니다. 참조마다 있는 태그는 아무것도 알려 주지 않습니다.")

    config = load_config("quick")
    model, tokenizer = load_model_and_tokenizer(config)
    print("\n■ 아직 배우지 않은 모델의 요약")
    print("  " + summarize(model, tokenizer, rows.dialogues[:1])[0])

    # 더 해 보기: 참조의 조사 하나를 바꾸어 보세요. 세 가지 자 가운데 어느 것이 가장 크게 흔들리나요?


if __name__ == "__main__":
    run_script(main)
