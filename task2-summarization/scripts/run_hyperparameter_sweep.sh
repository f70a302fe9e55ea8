#!/bin/bash
# 하이퍼파라미터를 찾습니다.
# 이 폴더에서 실행합니다: cd scripts && bash run_hyperparameter_sweep.sh
set -e
cd "$(dirname "$0")/.."
python step6_sweep_runner.py --base-config configs/base_config.yaml --sweep-config hyperparameter_sweep --count 50 "$@"
