#!/bin/bash
# 일꾼 넷이 하이퍼파라미터를 나누어 찾습니다.
# 이 폴더에서 실행합니다: cd scripts && bash run_parallel_sweep.sh
set -e
cd "$(dirname "$0")/.."
python step7_parallel_sweep_runner.py --base-config configs/base_config.yaml --single-parallel hyperparameter_sweep --num-workers 4 --runs-per-worker 5 "$@"
