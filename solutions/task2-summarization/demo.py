"""완성된 대화 요약의 시연: 학습하고, 기준선과 재고, 몇 대화를 요약합니다. `python -m course demo sum`이 실행합니다.

python -m course demo sum              # 학습 → 평가 → 요약
python -m course demo sum --serve      # 그 뒤에 웹 페이지까지
"""

import argparse

import step5_cli_and_serving as step5

from nlpbook.cli import Options, run_script
from nlpbook.paths import shown
from nlpbook.screen import Stopwatch, console, say
from nlpbook.summarization.requests import Limits, read_turns

TALKS = (
    "민수: 지영 씨, 내일 두 시 회의 말인데요. 기차가 늦어서 제시간에 도착하기 어려울 것 같아요.\n"
    "지영: 아, 그렇군요. 몇 시쯤 도착하세요?\n"
    "민수: 세 시 반은 되어야 할 것 같습니다.\n"
    "지영: 그럼 회의를 네 시로 미룰게요. 다른 분들께는 제가 메일로 알리겠습니다.",
    "손님: 어제 여기에 우산을 두고 간 것 같은데요.\n"
    "직원: 어떤 우산인가요?\n"
    "손님: 손잡이가 나무로 된 파란 우산이에요.\n"
    "직원: 창가 자리에서 찾아 둔 것이 있네요. 이것이 맞나요?\n"
    "손님: 네, 맞아요!",
)
EPOCHS = 1
NAME = "demo"


def show_summary(talk: str, summarizer: step5.Summarizer, limits: Limits) -> None:
    """대화 하나의 요약과, 가장 많이 본 말."""
    turns = read_turns(talk, limits)
    answer = summarizer.answer(step5.Asked(turns, summarizer.num_beams, summarizer.max_length))
    most = max(answer["turns"], key=lambda turn: turn["share"])
    for turn in turns:
        say(f"  {turn.speaker}({turn.tag}): {turn.text}")
    say(f"  → {answer['summary']}")
    say(f"    가장 많이 본 말({most['share']:.0%}): {most['text']}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="끝난 뒤에 웹 페이지를 엽니다")
    parser.add_argument("--server_port", type=int, default=9165, help="웹 페이지의 포트")
    asked = parser.parse_args()
    watch = Stopwatch()
    chosen = {"experiment_name": NAME}

    console.rule(f"1. 학습: 이 강의를 위해 지은 대화를 {EPOCHS} 에포크")
    step5.train(Options.of(num_epochs=EPOCHS, max_eval_samples=24, logging_steps=10, **chosen))

    console.rule("2. 평가: 학습할 때 보지 않은 대화를, 기준선과 나란히")
    step5.test(Options.of(**chosen))

    console.rule("3. 요약하기")
    config, model, tokenizer, folder = step5.load_trained(step5.config_from(Options.of(**chosen), step5.TestOptions))
    model.set_attn_implementation("eager")
    summarizer = step5.Summarizer(model, tokenizer, config.tokenizer.encoder_max_len)
    for talk in TALKS:
        show_summary(talk, summarizer, Limits(tuple(config.tokenizer.speaker_tags)))

    console.rule()
    script = "python solutions/task2-summarization/step5_cli_and_serving.py"
    say(f"모두 {watch.seconds:.0f}초 · 모델 {shown(folder)}")
    say(f"더 배우기 {script} train")
    say(f"웹 페이지 {script} serve --experiment_name {NAME} --server_port {asked.server_port}")
    if asked.serve:
        console.rule("4. 웹 페이지")
        step5.serve(Options.of(server_port=asked.server_port, **chosen))


if __name__ == "__main__":
    run_script(main)
