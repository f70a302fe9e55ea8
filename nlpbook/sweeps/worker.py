"""일꾼 하나: `python -m nlpbook.sweeps.worker <spec.json> <번호>`. `nlpbook.sweeps.workers`가 부릅니다."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from console_text import make_printable
from nlpbook.cli import EXIT_INTERRUPTED, EXIT_USER_ERROR, fail
from nlpbook.errors import UserError
from nlpbook.interrupt import postponed, terminated_like_interrupted
from nlpbook.process import prepare_process
from nlpbook.sweeps.config import read_sweep
from nlpbook.sweeps.loop import run_trials
from nlpbook.sweeps.results import SweepFolder
from nlpbook.sweeps.storages import open_storage
from nlpbook.sweeps.study import Search

STORAGE = "NLPBOOK_SWEEP_STORAGE"  # 비밀번호가 들었을 수 있어 파일에 적지 않습니다.


def load_object(target: str) -> Any:
    """`폴더/파일.py:이름`이 가리키는 것. 그 파일의 폴더를 길에 더해, 곁의 단계들을 불러올 수 있습니다."""
    path, _, name = target.rpartition(":")
    file = Path(path).resolve()
    sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise UserError(f"{file} 을(를) 읽을 수 없습니다.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


def work(spec: dict[str, Any], number: int) -> int:
    """적힌 탐색에서 자리를 가져와 합니다. 한 시도의 수를 돌려줍니다."""
    # 모듈을 읽는 동안 난 예외는 이따금 사라집니다(약한 참조의 콜백 안). 멈추라는 말은 다 읽고 나서 듣습니다.
    with postponed():
        found = load_object(spec["target"])
        task = found.task() if hasattr(found, "task") else found  # Sweepable은 엔진을 늦게 부릅니다.
        sweep = read_sweep(spec["sweep"], spec["metric"], spec["goal"])
        results = SweepFolder(Path(spec["outputs"]), sweep.name, task.summarize)
        storage = open_storage(os.environ.get(STORAGE) or None, results.journal, spec["heartbeat"])
        search = Search.load(storage, sweep, spec["id"], results.pending, remaining=task.pieces.remaining)
    return run_trials(search, task.trial, results, spec["base"], task.pieces, number)


def main(arguments: list[str]) -> int:
    make_printable()
    prepare_process()
    if sys.platform == "win32":
        signal.signal(signal.SIGBREAK, signal.default_int_handler)  # type: ignore[attr-defined]
    spec = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    try:
        with terminated_like_interrupted():
            done = work(spec, int(arguments[1]))
    except KeyboardInterrupt:
        print("멈췄습니다.", flush=True)
        return EXIT_INTERRUPTED
    except UserError as error:
        fail(str(error), EXIT_USER_ERROR)
    print(f"마쳤습니다. 한 시도: {done}개", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
