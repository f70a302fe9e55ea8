#!/bin/bash
# 탐색이 되는지 빨리 돌려 봅니다.
# 이 폴더에서 실행합니다: cd scripts && bash run_quick_test.sh
set -e
cd "$(dirname "$0")/.."
python step6_sweep_runner.py --base-config configs/base_config.yaml --sweep-config quick_test "$@"
