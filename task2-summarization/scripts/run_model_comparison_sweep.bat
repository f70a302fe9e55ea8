@echo off
chcp 65001 >nul
rem 네 모델을 시드 넷으로 견줍니다.
cd /d %~dp0..
python step6_sweep_runner.py --base-config configs\base_config.yaml --sweep-config model_comparison_sweep --count 16 %*
