"""어느 폴더에서 pytest를 실행해도 검사의 옵션(--target, --todo)과 표시를 알아듣게 합니다."""

pytest_plugins = ["course.pytest_plugin"]
