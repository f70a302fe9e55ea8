"""여러 프로세스(torchrun, gloo)의 학습: 한 무리로 움직이고, 한 프로세스만 쓰고, 모든 예문을 꼭 한 번씩 셉니다."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from course.home import ROOT
from tests.task2_summarization import trainers

if not trainers.FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)

pytestmark = pytest.mark.slow
WORK = """
import json, sys
import torch
sys.path[:0] = [{root!r}]
from nlpbook.summarization.accumulation import accumulated_gradient, without_dropout
from tests.task2_summarization import trainers

folder = sys.argv[1]
facts = {{}}
for dev in (5, 1):
    made = trainers.trainer(folder, dev=dev)
    output = made.trainer.predict(made.eval_dataset)
    metrics = made.evaluate()
    facts[f"dev{{dev}}"] = [output.predictions.tolist(), metrics["eval_rouge_sum"], metrics["eval_loss"]]

for name in ("kobart", "t5", "mt5", "kogpt2"):
    for smoothing in (0.0, 0.1):
        made = trainers.trainer(folder, f"training.label_smoothing={{smoothing}}", name=name)
        without_dropout(made.model)
        trainer = made.trainer
        trainer.model_wrapped = trainer.accelerator.prepare(made.model)
        items = [made.train_dataset[index] for index in range(16)]
        mine = items[made.args.process_index :: made.args.world_size]
        size = len(mine) // 4
        gradient = accumulated_gradient(trainer, [mine[first : first + size] for first in range(0, len(mine), size)])
        facts[f"{{name}} {{smoothing}}"] = gradient.double().norm().item()
        facts[f"{{name}} {{smoothing}} head"] = gradient[:50].tolist()

made = trainers.trainer(folder, dropout=0.0)
results = made.train()
facts["results"] = results
facts["world"] = made.args.world_size
facts["seen"] = [row["eval_rouge_sum"] for row in made.trainer.state.log_history if "eval_rouge_sum" in row]
with open(f"{{folder}}/facts-{{made.args.process_index}}.json", "w", encoding="utf-8") as out:
    json.dump(facts, out)
"""


def run(folder: Path, processes: int) -> list[dict]:
    """`processes`개의 프로세스로 `WORK`를 하고, 저마다 적은 것."""
    folder.mkdir()
    script = folder / "work.py"
    script.write_text(WORK.format(root=str(ROOT)), encoding="utf-8")
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    done = subprocess.run(
        [sys.executable, *launcher, str(script), str(folder)],
        env={**os.environ, "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    facts = [json.loads((folder / f"facts-{rank}.json").read_text(encoding="utf-8")) for rank in range(processes)]
    facts[0]["screen"] = done.stdout
    return facts


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return run(tmp_path_factory.mktemp("processes") / "one", 1)[0]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    return run(tmp_path_factory.mktemp("processes") / "two", 2)


def test_the_processes_are_one_group_with_one_writer(together):
    assert [one["world"] for one in together] == [2, 2]
    first, second = (one["results"] for one in together)
    assert {**first, "train_metrics": 0} == {**second, "train_metrics": 0}  # 잰 시간만 다를 수 있습니다.
    folder = Path(first["run_folder"])
    assert [path.name for path in folder.parent.glob("quick*")] == ["quick"]
    assert trainers.state_of(folder / "checkpoint-9")["global_step"] == 9  # 19개를 둘이 4개씩: 에포크마다 3스텝
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in (folder / "checkpoint-9").iterdir()}
    assert together[0]["screen"].count("실행 폴더:") == 1
    assert trainers.same_weights(first["final_model_path"], first["best_checkpoint"])


@pytest.mark.parametrize("dev", [5, 1])
def test_every_example_is_counted_once(alone, together, dev):
    predictions, rouge, loss = alone[f"dev{dev}"]
    assert len(predictions) == dev
    for one in together:
        assert one[f"dev{dev}"][0] == predictions
        assert one[f"dev{dev}"][1] == rouge
        assert one[f"dev{dev}"][2] == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", ["kobart", "t5", "mt5", "kogpt2"])
def test_the_gradient_is_that_of_one_process(alone, together, name, smoothing):
    """둘이 나누어 모은 기울기는 하나가 모은 것과 같습니다. 두 배도, 절반도 아닙니다."""
    key = f"{name} {smoothing}"
    for one in together:
        assert one[key] == pytest.approx(alone[key], rel=1e-4)
        assert one[f"{key} head"] == pytest.approx(alone[f"{key} head"], abs=1e-6)
