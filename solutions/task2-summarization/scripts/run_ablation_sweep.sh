#!/bin/bash
# 하나씩 꺼 봅니다.
# 이 폴더에서 실행합니다: cd scripts && bash run_ablation_sweep.sh
set -e
cd "$(dirname "$0")/.."
python step6_sweep_runner.py --base-config configs/base_config.yaml --sweep-config ablation_sweep "$@"
