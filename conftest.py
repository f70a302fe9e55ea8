"""어느 폴더에서 pytest를 실행해도 검사의 옵션(--target, --todo)과 표시를 알아듣게 합니다."""

import pytest

pytest_plugins = ["course.checks.plugin"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """여러 프로세스로 나누어 돌릴 때(-n), 무거운 준비를 함께 쓰도록 한 파일의 시험은 한 프로세스에 둡니다.
    검사는 한 단계(`checks/stepN/`)가 함께 씁니다.

    저마다 따로 도는 시험(`spread`)만 하나씩 나눕니다. 그 가운데 짧은 것들은 맨 뒤로 보냅니다: 긴 것 하나가 마지막에
    남으면 나머지 프로세스는 그것을 기다리기만 합니다.
    """
    for item in items:
        if not item.get_closest_marker("spread"):
            together = item.path.parent if item.path.parent.parent.name == "checks" else item.path
            item.add_marker(pytest.mark.xdist_group(str(together)))
    items.sort(key=lambda item: bool(item.get_closest_marker("spread") and not item.get_closest_marker("slow")))
