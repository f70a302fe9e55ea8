@echo off
chcp 65001 >nul
rem 일꾼 넷이 하이퍼파라미터를 나누어 찾습니다.
cd /d %~dp0..
python step7_parallel_sweep_runner.py --base-config configs\base_config.yaml --single-parallel hyperparameter_sweep --num-workers 4 --runs-per-worker 5 %*
