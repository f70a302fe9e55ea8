@echo off
chcp 65001 >nul
rem 하이퍼파라미터를 찾습니다.
cd /d %~dp0..
python step6_sweep_runner.py --base-config configs\base_config.yaml --sweep-config hyperparameter_sweep --count 50 %*
