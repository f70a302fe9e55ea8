@echo off
chcp 65001 >nul
rem 하나씩 꺼 봅니다.
cd /d %~dp0..
python step6_sweep_runner.py --base-config configs\base_config.yaml --sweep-config ablation_sweep %*
