"""계산을 시작하기 전에 프로세스를 한 번 준비합니다: 환경 변수 하나와, 남의 기록(log)의 수준.

모듈을 읽는 것만으로는 아무것도 바뀌지 않습니다. 명령(`nlpbook.cli.run`)과 `make_fabric`이 부르고, 노트북에서는
직접 부릅니다.
"""

from __future__ import annotations

import logging
import os


def prepare_process() -> None:
    """CPU의 행렬곱이 느려지지 않게 하고, Lightning의 영어 안내를 숨깁니다. 여러 번 불러도 됩니다."""
    # 문장 길이마다 행렬의 모양이 달라, oneDNN이 만들어 둔 커널을 버리고 다시 만들지 않도록 자리를 넉넉히 둡니다.
    # 첫 행렬곱보다 앞서기만 하면 됩니다.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")
    for name in ("lightning.fabric.utilities.rank_zero", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)  # "Using bfloat16 …" 같은 말은 우리가 한국어로 적습니다.
