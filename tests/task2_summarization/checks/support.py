"""task2-summarization의 검사가 함께 쓰는 것."""

from __future__ import annotations

import torch


def warm() -> None:
    """검사 프로세스가 갈라지기 전에 한 번: 설정 파일을 읽는 것들을 미리 읽습니다."""
    from nlpbook.summarization.config_files import command_line_layer, resolved

    torch.set_num_threads(1)
    resolved(command_line_layer(["num_epochs=5"]))
