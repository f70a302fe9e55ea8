@echo off
chcp 65001 >nul
rem 탐색이 되는지 빨리 돌려 봅니다.
cd /d %~dp0..
python step6_sweep_runner.py --base-config configs\base_config.yaml --sweep-config quick_test %*
