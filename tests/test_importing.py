"""불러오는 것만으로는 프로세스의 아무것도 바뀌지 않습니다: 훅, 모양, 로그 수준, 환경 변수, 난수, 신호."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from course.home import ROOT

# 새 파이썬에서, 우리의 것을 읽기 앞뒤로 프로세스가 함께 쓰는 것을 견줍니다. 바깥 라이브러리가 바꾸는 것은 세지 않도록,
# 우리의 파일들이 맨 위에서 부르는 것을 먼저 모두 읽습니다.
LOOK = r"""
import ast, contextlib, importlib, json, locale, logging, os, random, signal, sys, threading, warnings
from pathlib import Path

OURS = {"course", "nlpbook", "todo", "console_text", "command_line"}
root, *roots = sys.argv[1:]
os.chdir(root)
sys.path.insert(0, root)
files = [file for name in roots for file in (sorted(Path(name).rglob("*.py")) or [Path(f"{name}.py")])]
for file in files:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            if name.split(".")[0] not in OURS:
                module = importlib.import_module(name)
                for one in node.names:  # 이름을 찾을 때에야 제 모듈을 읽는 라이브러리도 있습니다(transformers).
                    getattr(module, one.name, None)
import flask, huggingface_hub, lightning.fabric, lightning.pytorch, matplotlib, numpy, rich.text, torch, transformers
import typer.rich_utils

def seen():
    loggers = [("root", logging.root), *logging.root.manager.loggerDict.items()]
    set_up = {name: (one.level, one.handlers) for name, one in loggers if getattr(one, "handlers", None)
              or getattr(one, "level", 0)}
    return {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "loggers": (set_up, logging.root.manager.disable),
        "hooks": (sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook, sys.gettrace()),
        "imports": (sys.path, sys.meta_path, sys.path_hooks, sys.dont_write_bytecode),
        "streams": [(id(one), one.encoding, one.errors) for one in (sys.stdin, sys.stdout, sys.stderr)],
        "signals": [(int(one), signal.getsignal(one)) for one in sorted(signal.valid_signals())],
        "warnings": warnings.filters,
        "locale": locale.setlocale(locale.LC_ALL),
        "plots": (dict(matplotlib.rcParams), matplotlib.get_backend(auto_select=False)),
        "help": {name: one for name, one in vars(typer.rich_utils).items() if name.isupper()},
        "text": rich.text.Text.rstrip_end,
        "numbers": (torch.get_num_threads(), torch.get_default_dtype(), torch.get_float32_matmul_precision(),
                    torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled()),
        "random": (random.getstate(), numpy.random.get_state(), torch.initial_seed()),
    }

before = {name: repr(value) for name, value in seen().items()}
for file in files:
    parts = file.with_suffix("").parts
    importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
after = {name: repr(value) for name, value in seen().items()}
print(json.dumps([len(files), {name: [before[name], after[name]] for name in before if before[name] != after[name]}]))
"""


def what_importing_changes(root: Path, names: list[str]) -> tuple[int, dict[str, list[str]]]:
    """`root`의 패키지나 모듈들을 모두 읽고, (읽은 파일의 수, 그래서 달라진 것의 이름 → [앞, 뒤])."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(root), *names],
        env={**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    count, changed = json.loads(done.stdout.strip().splitlines()[-1])
    return count, changed


@pytest.mark.slow
@pytest.mark.spread
def test_reading_everything_changes_nothing_in_the_process():
    count, changed = what_importing_changes(ROOT, ["course", "nlpbook", "todo", "console_text", "command_line"])
    assert count > 80
    assert changed == {}


@pytest.mark.slow
@pytest.mark.spread
def test_every_kind_of_change_would_be_seen(tmp_path):
    (tmp_path / "meddler.py").write_text(
        "import logging, os, random, sys, warnings\n"
        "import matplotlib, torch\n"
        "sys.excepthook = print\n"
        "os.environ['MEDDLED'] = 'yes'\n"
        "logging.getLogger('lightning').setLevel(logging.ERROR)\n"
        "warnings.filterwarnings('ignore')\n"
        "matplotlib.rcParams['font.family'] = 'NanumGothic'\n"
        "torch.set_num_threads(3)\n"
        "random.seed(1)\n",
        encoding="utf-8",
    )
    count, changed = what_importing_changes(tmp_path, ["meddler"])
    assert count == 1
    assert set(changed) == {"hooks", "environment", "loggers", "warnings", "plots", "numbers", "random"}
