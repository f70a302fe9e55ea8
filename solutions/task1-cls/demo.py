"""완성된 감성분석의 시연: 학습하고, 평가하고, 몇 문장에 답합니다. `python -m course demo`가 실행합니다.

python -m course demo              # 학습 → 평가 → 예문
python -m course demo --serve      # 그 뒤에 웹 페이지까지
"""

import argparse
import json

import step5_cli_and_serving as step5

from nlpbook.classification.runs import find_run
from nlpbook.cli import Options, run_script
from nlpbook.screen import Stopwatch, console, say

SENTENCES = (
    "배우들 연기가 좋아서 두 번 봤어요",
    "돈이 아까워서 잠이 안 온다",
    "지루할 틈이 없었습니다",
    "기대를 많이 했는데 결말이 너무 허무하네요",
    "ㅋㅋㅋㅋ 오랜만에 극장에서 크게 웃음",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="끝난 뒤에 웹 페이지를 엽니다")
    parser.add_argument("--server_port", type=int, default=9164, help="웹 페이지의 포트")
    options = parser.parse_args()
    watch = Stopwatch()

    console.rule("1. 학습: 이 강의를 위해 지어낸 리뷰로 세 에포크")
    step5.train(Options.of(num_epochs=3, job_name="demo", print_every=0.2))

    console.rule("2. 평가: 학습할 때 보지 않은 리뷰")
    step5.test(Options.of(job_name="demo"))

    console.rule("3. 몇 문장에 답하기")
    asked = step5.predict_config("demo", seq_len=None, device="auto")
    step5.predict(list(SENTENCES), asked)

    run_folder = find_run(asked)
    report = next(iter(json.loads((run_folder.path / "test.json").read_text(encoding="utf-8"))["checkpoints"].values()))
    console.rule()
    say(f"평가 정확도 {report['accuracy']:.4f}, F1 {report['f1']:.4f} · 모두 {watch.seconds:.0f}초")
    say(f"학습 곡선   {run_folder.learning_curve}")
    say(f"혼동표      {run_folder.confusion_matrix}")
    say(f"오답 페이지 {run_folder.path / 'mistakes.html'}")
    say(f"웹 페이지   python solutions/task1-cls/step5_cli_and_serving.py serve --server_port {options.server_port}")
    if options.serve:
        console.rule("4. 웹 페이지")
        step5.serve(Options.of(job_name="demo", server_port=options.server_port))


if __name__ == "__main__":
    run_script(main)
