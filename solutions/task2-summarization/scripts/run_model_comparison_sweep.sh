#!/bin/bash
# 네 모델을 시드 넷으로 견줍니다.
# 이 폴더에서 실행합니다: cd scripts && bash run_model_comparison_sweep.sh
set -e
cd "$(dirname "$0")/.."
python step6_sweep_runner.py --base-config configs/base_config.yaml --sweep-config model_comparison_sweep --count 16 "$@"
