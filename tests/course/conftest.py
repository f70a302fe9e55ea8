"""작은 저장소를 빌려줍니다."""

import pytest

from tests.course.workshop import Workshop


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path)
