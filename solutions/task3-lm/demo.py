"""완성된 작은 GPT의 시연: 학습하고, 재고, 이야기를 이어 씁니다. `python -m course demo lm`이 실행합니다.

python -m course demo lm              # 학습 → 평가 → 글쓰기
python -m course demo lm --serve      # 그 뒤에 웹 페이지까지
"""

import argparse

import step4_training_pipeline as step4
import step5_cli_and_serving as step5

from nlpbook.cli import Options, run_script
from nlpbook.language.config import RunChoice
from nlpbook.language.runs import find_run, load_model
from nlpbook.language.sampling import Sampling
from nlpbook.screen import Stopwatch, console, say

PROMPTS = ("옛날 옛적에 물새골에", '"큰일이야, 큰일!" 까미가', "순이 할머니는")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="끝난 뒤에 웹 페이지를 엽니다")
    parser.add_argument("--server_port", type=int, default=9166, help="웹 페이지의 포트")
    asked = parser.parse_args()
    watch = Stopwatch()

    console.rule("1. 학습: 이 강의를 위해 지어낸 이야기로 다섯 에포크")
    small = {"d_embed": 192, "num_layers": 3, "max_seq_len": 128, "batch_size": 16, "stride": 32}
    step4.train(Options.of(job_name="demo", num_epochs=5, learning_rate=1.5e-3, sample_tokens=30, **small))

    console.rule("2. 평가: 학습할 때 보지 않은 이야기")
    step5.test(Options.of(job_name="demo"))

    console.rule("3. 이어 쓰기")
    run_folder = find_run(RunChoice(job_name="demo"))
    model = load_model(step5.GPT, run_folder.best_model)
    for text in step5.generate_texts(model, list(PROMPTS), Sampling(max_tokens=70, seed=7)):
        say(f"  {text.replace(chr(10), ' / ')}\n")

    console.rule()
    say(f"모두 {watch.seconds:.0f}초 · 학습 곡선 {run_folder.learning_curve}")
    say(f"글쓰기    python solutions/task3-lm/step5_cli_and_serving.py generate --prompt '{PROMPTS[0]}'")
    say(f"웹 페이지 python solutions/task3-lm/step5_cli_and_serving.py serve --server_port {asked.server_port}")
    if asked.serve:
        console.rule("4. 웹 페이지")
        step5.serve(Options.of(job_name="demo", server_port=asked.server_port))


if __name__ == "__main__":
    run_script(main)
