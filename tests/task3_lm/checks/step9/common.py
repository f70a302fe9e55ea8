"""심화 과제의 검사들이 함께 쓰는 것."""

from __future__ import annotations

ATOL = 4e-2  # 값은 1쯤입니다. bf16 행렬곱의 차이는 2.5e-2쯤이고, 실수는 0.3 넘게 다릅니다.
